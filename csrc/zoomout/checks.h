// What ZoomOut asks of its arguments, on either device.
#pragma once

#include <optional>
#include <vector>

#include "common/checks.h"

namespace geospec {

// How many steps there are.
inline int64_t check_sizes(const std::vector<int64_t>& sizes, const char* name, int64_t first, int64_t last) {
  STD_TORCH_CHECK(sizes.size() >= 2, name, ": wanted at least two sizes, got ", sizes.size());
  STD_TORCH_CHECK(sizes.front() == first, name, ": wanted to start at the size of the maps, ", first, ", got ",
                  sizes.front());
  STD_TORCH_CHECK(sizes.back() == last, name, ": wanted to end at the number of columns, ", last, ", got ",
                  sizes.back());
  for (size_t i = 1; i < sizes.size(); ++i)
    STD_TORCH_CHECK(sizes[i] >= sizes[i - 1], name, ": wanted sizes that never fall, got ", sizes[i], " after ",
                    sizes[i - 1]);
  return int64_t(sizes.size()) - 1;
}

inline void check_zoomout(const Tensor& maps, const Tensor& source, const Tensor& target,
                          const std::vector<int64_t>& source_sizes, const std::vector<int64_t>& target_sizes,
                          const std::optional<Tensor>& measure, const std::optional<Tensor>& factor) {
  check_float(maps, "maps");
  STD_TORCH_CHECK(maps.dim() == 3 && maps.size(1) > 0 && maps.size(2) > 0,
                  "maps: wanted shape (b, k_t, k_s) with at least one mode each, got ", describe(maps));
  const auto check_modes = [&](const Tensor& modes, const char* name) {
    check_matrix(modes, name, -1);
    check_same_dtype(maps, "maps", modes, name);
    check_same_device(maps, "maps", modes, name);
  };
  check_modes(source, "source");
  check_modes(target, "target");
  STD_TORCH_CHECK(source.size(0) > 0, "source: wanted at least one row, got none");
  const int64_t steps = check_sizes(source_sizes, "source_sizes", maps.size(2), source.size(1));
  const int64_t others = check_sizes(target_sizes, "target_sizes", maps.size(1), target.size(1));
  STD_TORCH_CHECK(steps == others, "target_sizes: wanted as many as source_sizes, ", steps + 1, ", got ", others + 1);
  if (measure) {
    check_vector(*measure, "measure", target.size(0));
    check_same_dtype(maps, "maps", *measure, "measure");
    check_same_device(maps, "maps", *measure, "measure");
  }
  if (factor) {
    STD_TORCH_CHECK(factor->dim() == 2 && factor->size(0) == target.size(1) && factor->size(1) == target.size(1),
                    "factor: wanted shape (", target.size(1), ", ", target.size(1), "), got ", describe(*factor));
    STD_TORCH_CHECK(factor->scalar_type() == ScalarType::Double, "factor: wanted float64, got another type");
    check_same_device(maps, "maps", *factor, "factor");
  }
}

}  // namespace geospec
