// Launch helpers of the CUDA twins: the current stream, a 1-D grid with 64-bit sizes, launch errors.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/checks.h"

namespace geospec {

inline cudaStream_t current_stream(const Tensor& t) {
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(t.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

constexpr int kThreads = 256;

// Blocks for n items; kernels stride over the grid, so a capped grid still covers any n.
inline unsigned blocks_for(int64_t n) {
  return static_cast<unsigned>(std::clamp<int64_t>((n + kThreads - 1) / kThreads, 1, 1 << 20));
}

// Values of the host as a vector on the device of `like`; they are read before this returns.
template <class U>
Tensor on_device(const std::vector<U>& values, const Tensor& like, ScalarType type) {
  Tensor copy = torch::stable::new_empty(like, {int64_t(values.size())}, type);
  STD_CUDA_CHECK(cudaMemcpyAsync(copy.mutable_data_ptr(), values.data(), values.size() * sizeof(U),
                                 cudaMemcpyHostToDevice, current_stream(like)));
  return copy;
}

}  // namespace geospec

// Visits i = 0..n-1 once over the whole grid, counted in 64 bits.
#define GEOSPEC_GRID_STRIDE(i, n)                                                                                    \
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, step_ = int64_t(gridDim.x) * blockDim.x; i < (n); \
       i += step_)
