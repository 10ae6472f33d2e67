#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>
#include <type_traits>

#include "captured_energy/captured_energy.h"
#include "captured_energy/captured_energy_checks.h"

namespace geospec {
namespace {

constexpr int64_t kTask = 1 << 16;  // multiplications worth waking a thread for

template <class T>
double row_energy(const T* row, int64_t m) {
  double sums[kLanes] = {};
  const int64_t whole = m - m % kLanes;
  for (int64_t c = 0; c < whole; c += kLanes)
    for (int l = 0; l < kLanes; ++l) sums[l] += double(row[c + l]) * double(row[c + l]);
  double sum = strided_energy(row, whole, 1, m);
  for (int l = 0; l < kLanes; ++l) sum += sums[l];
  return sum;
}

std::tuple<Tensor, Tensor> captured_energy(const Tensor& q, const Tensor& f) {
  const Tensor coefficients = coefficients_of(q, f);
  const int64_t k = coefficients.size(0), m = coefficients.size(1);
  Tensor energy = torch::stable::new_empty(q, {k});
  dispatch_float(q, "q", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* rows = data<T>(coefficients);
    T* out = data<T>(energy);
    torch::stable::parallel_for(0, k, std::max<int64_t>(1, kTask / (m + 1)), [=](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) out[j] = T(row_energy(rows + j * m, m));
    });
  });
  return {energy, coefficients};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("captured_energy", TORCH_BOX(&captured_energy)); }

}  // namespace geospec
