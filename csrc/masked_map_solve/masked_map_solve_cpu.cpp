// Rows of one map go side by side through one factorisation, as many as a register has lanes; threads share out such
// groups. A lane never looks at another, so neither the grouping nor the number of threads changes a bit.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <type_traits>

#include "common/aligned.h"
#include "masked_map_solve/instruction_sets.h"
#include "masked_map_solve/masked_map_solve.h"
#include "masked_map_solve/masked_map_solve_checks.h"

namespace geospec {
namespace {

constexpr int64_t kTask = 1 << 16;  // multiplications worth waking a thread for

// G's symmetric part (n, n), bordered by the identity where n > k.
template <class T>
void pad(const T* gram, int64_t k, int64_t n, double* padded) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      padded[i * n + j] = i < k && j < k ? map_solve::symmetric_entry(gram, k, i, j) : double(i == j);
}

// Row l of `rows` into lane l, zero beyond column k; lanes without a row of their own take the last one.
template <int kLanes, class T>
void to_lanes(const T* rows, int64_t count, int64_t k, int64_t n, double* out) {
  for (int l = 0; l < kLanes; ++l) {
    const T* row = rows + std::min<int64_t>(l, count - 1) * k;
    for (int64_t j = 0; j < n; ++j) out[j * kLanes + l] = j < k ? double(row[j]) : 0;
  }
}

template <class L, class T>
void solve_all(const MapSystems& in, T* solution, bool* indefinite) {
  const int64_t k = in.k_s, n = (k + L::kTile - 1) / L::kTile * L::kTile;
  const int64_t groups = (in.k_t + L::kLanes - 1) / L::kLanes;
  const T *grams = data<T>(in.gram), *rights = data<T>(in.right), *penalties = data<T>(in.penalty);
  const int64_t grain = std::max<int64_t>(1, kTask / (k * k * k / 6 + 1));
  torch::stable::parallel_for(0, in.batch * groups, grain, [&](int64_t begin, int64_t end) {
    const Aligned gram(n * n), penalty(n * L::kLanes), x(n * L::kLanes), factor(L::panel(n / L::kTile) * L::kLanes);
    long long usable[L::kLanes];
    int64_t held = -1;
    for (int64_t g = begin; g < end; ++g) {
      const int64_t b = g / groups, first = b * in.k_t + g % groups * L::kLanes;
      const int64_t count = std::min<int64_t>(L::kLanes, (b + 1) * in.k_t - first);
      if (b != held) pad(grams + b * k * k, k, n, gram.get());
      held = b;
      to_lanes<L::kLanes>(penalties + first * k, count, k, n, penalty.get());
      to_lanes<L::kLanes>(rights + first * k, count, k, n, x.get());
      L::solve(gram.get(), n, penalty.get(), x.get(), factor.get(), usable);
      for (int64_t l = 0; l < count; ++l) {
        T* row = solution + (first + l) * k;
        indefinite[first + l] = !usable[l];
        for (int64_t j = 0; j < k; ++j)
          row[j] = usable[l] ? T(x.get()[j * L::kLanes + l]) : std::numeric_limits<T>::quiet_NaN();
      }
    }
  });
}

std::tuple<Tensor, Tensor> masked_map_solve(const Tensor& gram, const Tensor& right, const Tensor& penalty) {
  const MapSystems in = check_map_systems(gram, right, penalty);
  Tensor solution = torch::stable::empty_like(in.right);
  Tensor indefinite = torch::stable::new_zeros(in.right, in.rows, ScalarType::Bool);
  if (in.right.numel() == 0) return {solution, indefinite};
  dispatch_float(in.right, "right", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    map_solve::dispatch_lanes([&](auto* lanes) {
      solve_all<std::remove_pointer_t<decltype(lanes)>, T>(in, data<T>(solution), data<bool>(indefinite));
    });
  });
  return {solution, indefinite};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("masked_map_solve", TORCH_BOX(&masked_map_solve)); }

}  // namespace geospec
