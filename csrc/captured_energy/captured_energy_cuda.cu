// One block of threads a row: each sums its columns, halves are added until one sum is left.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "captured_energy/captured_energy.h"
#include "captured_energy/captured_energy_checks.h"
#include "common/cuda.h"

namespace geospec {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads) energy_kernel(const T* rows, int64_t k, int64_t m, T* energy) {
  __shared__ double sums[kThreads];
  for (int64_t j = blockIdx.x; j < k; j += gridDim.x) {
    sums[threadIdx.x] = strided_energy(rows + j * m, threadIdx.x, kThreads, m);
    for (unsigned half = kThreads / 2; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) energy[j] = T(sums[0]);
    __syncthreads();
  }
}

std::tuple<Tensor, Tensor> captured_energy(const Tensor& q, const Tensor& f) {
  const Tensor coefficients = coefficients_of(q, f);
  torch::stable::accelerator::DeviceGuard guard(q.get_device_index());
  const int64_t k = coefficients.size(0);
  Tensor energy = torch::stable::new_empty(q, {k});
  if (k == 0) return {energy, coefficients};
  dispatch_float(q, "q", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const unsigned blocks = static_cast<unsigned>(std::min<int64_t>(k, 1 << 20));
    energy_kernel<T>
        <<<blocks, kThreads, 0, current_stream(q)>>>(data<T>(coefficients), k, coefficients.size(1), data<T>(energy));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {energy, coefficients};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) { m.impl("captured_energy", TORCH_BOX(&captured_energy)); }

}  // namespace geospec
