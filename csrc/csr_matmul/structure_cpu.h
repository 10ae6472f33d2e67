// Whether a CSR pattern can be followed without reading what is not there.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <type_traits>

#include "common/checks.h"

namespace geospec {

// Reads the whole pattern once, which a product does anyway: an index out of range would read what is not there.
template <class I>
void check_structure(const Tensor& crow_in, const Tensor& col_in, int64_t m) {
  constexpr int64_t kEntries = 1 << 16;  // worth waking a thread for
  const I *crow = data<I>(crow_in), *col = data<I>(col_in);
  const int64_t n = crow_in.size(0) - 1, entries = col_in.size(0);
  STD_TORCH_CHECK(crow[0] == 0 && crow[n] == entries, "crow: wanted offsets from 0 to the ", entries,
                  " entries, got from ", int64_t(crow[0]), " to ", int64_t(crow[n]));
  std::atomic<bool> ascends{true}, inside{true};
  torch::stable::parallel_for(0, n, kEntries, [&](int64_t begin, int64_t end) {
    bool good = true;
    for (int64_t i = begin; i < end; ++i) good &= crow[i] <= crow[i + 1];
    if (!good) ascends = false;
  });
  STD_TORCH_CHECK(ascends, "crow: wanted offsets that do not descend");
  // The top bit of j or of m - 1 - j is set just where j is out of range: no branch, any register does it.
  using U = std::make_unsigned_t<I>;
  const U last = U(std::min<int64_t>(m - 1, std::numeric_limits<I>::max()));
  torch::stable::parallel_for(0, entries, kEntries, [&](int64_t begin, int64_t end) {
    U any = 0;
    for (int64_t e = begin; e < end; ++e) any |= U(col[e]) | (last - U(col[e]));
    if (any >> (8 * sizeof(I) - 1)) inside = false;
  });
  STD_TORCH_CHECK(inside, "col: wanted indices in [0, ", m, ")");
}

}  // namespace geospec
