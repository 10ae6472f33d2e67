// Bound by bandwidth, so laid out for it. Threads of one row stand side by side on its columns: the block is read in
// whole lines, an entry of the matrix is broadcast to them, and each thread serves two columns with one such read.
// Column tiles are the slow dimension of the grid, so the rows that a tile gathers from are still in the second-level
// cache when their neighbours ask for them.
#include <torch/csrc/stable/library.h>

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

// One thread for each entry; rows are found by bisection, as entries are many and rows short.
template <class T, class I>
__global__ void sampled_kernel(const I* crow, const I* col, const T* left, const T* right, int64_t n, int64_t m,
                               int64_t b, int64_t entries, T* out) {
  GEOSPEC_GRID_STRIDE(e, entries) {
    int64_t low = 0, high = n;
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      if (crow[middle] <= e)
        low = middle;
      else
        high = middle;
    }
    const int64_t j = col[e];
    out[e] = j >= 0 && j < m ? sampled_product(left + low * b, right + j * b, b) : std::numeric_limits<T>::quiet_NaN();
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

Tensor csr_matmul(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x) {
  const CsrInputs in = check_product(crow, col, values, x);
  torch::stable::accelerator::DeviceGuard guard(in.x.get_device_index());
  const int64_t b = in.x.size(1);
  Tensor y = torch::stable::new_empty(in.x, {in.crow.size(0) - 1, b});
  dispatch_csr(in.x, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    apply_step<T, I>(view_of<T, I>(in), Step{1, 0, 0}, data<T>(in.x), nullptr, data<T>(y), b, current_stream(in.x));
  });
  return y;
}

Tensor chebyshev_filter(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x, int64_t degree,
                        double lower, double upper) {
  const CsrInputs in = check_filter(crow, col, values, x, degree, lower, upper);
  torch::stable::accelerator::DeviceGuard guard(in.x.get_device_index());
  if (degree == 0) return torch::stable::clone(in.x);
  Tensor first = torch::stable::empty_like(in.x), second = torch::stable::empty_like(in.x);
  bool swapped = false;
  dispatch_csr(in.x, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    const CsrView<T, I> view = view_of<T, I>(in);
    const cudaStream_t stream = current_stream(in.x);
    const T* result = chebyshev_recurrence<T>(data<T>(in.x), data<T>(first), data<T>(second), degree, lower, upper,
                                              [&](const Step& s, const T* now, const T* before, T* y) {
                                                apply_step(view, s, now, before, y, in.x.size(1), stream);
                                              });
    swapped = result != data<T>(first);
  });
  return swapped ? second : first;
}

Tensor csr_sampled_products(const Tensor& crow, const Tensor& col, const Tensor& left, const Tensor& right) {
  const SampledInputs in = check_sampled(crow, col, left, right);
  torch::stable::accelerator::DeviceGuard guard(in.left.get_device_index());
  const int64_t entries = in.col.size(0);
  Tensor values = torch::stable::new_empty(in.left, {entries});
  if (entries == 0) return values;
  dispatch_csr(in.left, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    sampled_kernel<T, I><<<blocks_for(entries), kThreads, 0, current_stream(in.left)>>>(
        data<I>(in.crow), data<I>(in.col), data<T>(in.left), data<T>(in.right), in.crow.size(0) - 1, in.right.size(0),
        in.left.size(1), entries, data<T>(values));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return values;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("csr_matmul", TORCH_BOX(&csr_matmul));
  m.impl("csr_sampled_products", TORCH_BOX(&csr_sampled_products));
  m.impl("chebyshev_filter", TORCH_BOX(&chebyshev_filter));
}

}  // namespace geospec
