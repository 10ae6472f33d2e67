// What masked_map_solve accepts, the same on both devices.
#pragma once

#include <vector>

#include "common/checks.h"

namespace geospec {

struct MapSystems {
  Tensor gram, right, penalty;  // contiguous
  int64_t batch, k_t, k_s;
  std::vector<int64_t> rows;  // the shape of right without its last dimension
};

inline MapSystems check_map_systems(const Tensor& gram, const Tensor& right, const Tensor& penalty) {
  const int64_t d = right.dim();
  STD_TORCH_CHECK(d >= 2, "right: wanted shape (..., k_t, k_s), got ", describe(right));
  check_float(right, "right");
  const int64_t k_t = right.size(d - 2), k_s = right.size(d - 1);
  bool fits = gram.dim() == d && gram.size(d - 2) == k_s && gram.size(d - 1) == k_s, alike = penalty.dim() == d;
  int64_t batch = 1;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < d; ++i) {
    if (i < d - 2) batch *= right.size(i);
    if (i < d - 2) fits = fits && gram.size(i) == right.size(i);
    if (i < d - 1) rows.push_back(right.size(i));
    alike = alike && penalty.size(i) == right.size(i);
  }
  STD_TORCH_CHECK(fits, "gram: wanted shape (..., ", k_s, ", ", k_s, ") with the leading dimensions of right, ",
                  describe(right), ", got ", describe(gram));
  STD_TORCH_CHECK(alike, "penalty: wanted the shape of right, ", describe(right), ", got ", describe(penalty));
  check_same_dtype(right, "right", gram, "gram");
  check_same_dtype(right, "right", penalty, "penalty");
  check_same_device(right, "right", gram, "gram");
  check_same_device(right, "right", penalty, "penalty");
  return {torch::stable::contiguous(gram),
          torch::stable::contiguous(right),
          torch::stable::contiguous(penalty),
          batch,
          k_t,
          k_s,
          rows};
}

}  // namespace geospec
