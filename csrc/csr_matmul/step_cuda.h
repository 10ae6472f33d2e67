// A sparse product and its step of a recurrence on CUDA.
//
// Bound by bandwidth, so laid out for it. Threads of one row stand side by side on its columns: the block is read in
// whole lines, an entry of the matrix is broadcast to them, and each thread serves two columns with one such read.
// Column tiles are the slow dimension of the grid, so the rows that a tile gathers from are still in the second-level
// cache when their neighbours ask for them.
#pragma once

#include <limits>

#include "common/cuda.h"
#include "csr_matmul/csr_matmul.h"
#include "csr_matmul/csr_matmul_checks.h"

namespace geospec {
namespace {

constexpr int kPer = 2;  // columns a thread serves

template <class T, class I>
__global__ void __launch_bounds__(kThreads)
    step_kernel(CsrView<T, I> a, Step s, const T* __restrict__ x, const T* z, T* y, int64_t b) {
  const int64_t c = int64_t(blockIdx.y) * blockDim.x * kPer + threadIdx.x;
  if (c >= b) return;
  const bool both = c + blockDim.x < b;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; i < a.n; i += int64_t(gridDim.x) * blockDim.y) {
    double one = 0, two = 0;  // an index out of range makes the row NaN instead of a stray read
    const int64_t stop = a.crow[i + 1];
#pragma unroll 4
    for (int64_t e = a.crow[i]; e < stop; ++e) {
      const int64_t j = a.col[e];
      const bool inside = j >= 0 && j < a.m;
      const double value = inside ? double(a.values[e]) : std::numeric_limits<double>::quiet_NaN();
      const T* row = x + (inside ? j : 0) * b + c;
      one += value * double(row[0]);
      if (both) two += value * double(row[blockDim.x]);
    }
    y[i * b + c] = finish(s, one, x, z, i * b + c);
    if (both) y[i * b + c + blockDim.x] = finish(s, two, x, z, i * b + c + blockDim.x);
  }
}

template <class T, class I>
void apply_step(const CsrView<T, I>& a, const Step& s, const T* x, const T* z, T* y, int64_t b, cudaStream_t stream) {
  if (a.n == 0 || b == 0) return;
  unsigned lanes = 4;
  while (lanes < 32 && int64_t(lanes) * kPer < b) lanes *= 2;
  const dim3 threads(lanes, kThreads / lanes);
  const int64_t rows = (a.n + threads.y - 1) / threads.y, tiles = (b + lanes * kPer - 1) / (lanes * kPer);
  STD_TORCH_CHECK(tiles <= 65535, "x: wanted at most ", 65535 * int64_t(lanes) * kPer, " columns on CUDA, got ", b);
  const dim3 blocks(static_cast<unsigned>(std::min<int64_t>(rows, 1 << 20)), static_cast<unsigned>(tiles));
  step_kernel<T, I><<<blocks, threads, 0, stream>>>(a, s, x, z, y, b);
  STD_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class T, class I>
CsrView<T, I> view_of(const CsrInputs& in) {
  return {data<I>(in.crow), data<I>(in.col), data<T>(in.values), in.crow.size(0) - 1, in.x.size(0)};
}

}  // namespace
}  // namespace geospec
