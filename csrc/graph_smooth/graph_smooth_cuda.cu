// One launch of the sparse product a step, on two blocks that take turns: each is the input of the next, so rows cannot
// run ahead. The gradient in the values adds up in double, one thread an entry, step by step in one order.
#include <torch/csrc/stable/library.h>

#include <limits>

#include "csr_matmul/step_cuda.h"
#include "graph_smooth/graph_smooth.h"

namespace geospec {
namespace {

// Rows are found by bisection, as entries are many and rows short.
template <class T, class I>
__global__ void accumulate_kernel(CsrView<T, I> a, const T* left, const T* right, int64_t b, int64_t entries,
                                  double* sums) {
  GEOSPEC_GRID_STRIDE(e, entries) {
    int64_t low = 0, high = a.n;
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      if (a.crow[middle] <= e)
        low = middle;
      else
        high = middle;
    }
    const int64_t j = a.col[e];
    double sum = j >= 0 && j < a.m ? 0 : std::numeric_limits<double>::quiet_NaN();
    if (sum == 0)
      for (int64_t c = 0; c < b; ++c) sum += double(left[low * b + c]) * double(right[j * b + c]);
    sums[e] += sum;
  }
}

template <class T>
__global__ void round_kernel(const double* sums, int64_t entries, T* out) {
  GEOSPEC_GRID_STRIDE(e, entries) out[e] = T(sums[e]);
}

Tensor graph_smooth(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x, int64_t steps) {
  const CsrInputs in = check_smooth(crow, col, values, x, steps);
  torch::stable::accelerator::DeviceGuard guard(in.x.get_device_index());
  if (steps == 0) return torch::stable::clone(in.x);
  Tensor now = torch::stable::empty_like(in.x);
  Tensor next = steps > 1 ? torch::stable::empty_like(in.x) : now;
  dispatch_csr(in.x, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    const CsrView<T, I> view = view_of<T, I>(in);
    const cudaStream_t stream = current_stream(in.x);
    const T* from = data<T>(static_cast<const Tensor&>(in.x));
    for (int64_t t = 0; t < steps; ++t) {
      if (t > 0) std::swap(now, next);
      apply_step<T, I>(view, Step{1, 0, 0}, from, nullptr, data<T>(now), in.x.size(1), stream);
      from = data<T>(now);
    }
  });
  return now;
}

Tensor graph_smooth_values_backward(const Tensor& grad, const Tensor& crow, const Tensor& col, const Tensor& values,
                                    const Tensor& x, int64_t steps) {
  const CsrInputs in = check_smooth(crow, col, values, x, steps);
  const Tensor given = check_smooth_grad(grad, in.x);
  torch::stable::accelerator::DeviceGuard guard(in.x.get_device_index());
  const int64_t entries = in.col.size(0), b = in.x.size(1), size = in.x.numel();
  if (steps == 0 || entries == 0 || size == 0) return torch::stable::new_zeros(in.values, {entries});
  Tensor out = torch::stable::empty_like(in.values);
  Tensor sums = torch::stable::new_zeros(in.values, {entries}, ScalarType::Double);
  const int64_t blocks = blocks_of_adjoint(steps);
  Tensor work = torch::stable::new_empty(in.x, {blocks, in.x.size(0), b});
  dispatch_csr(in.x, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    const CsrView<T, I> view = view_of<T, I>(in);
    const cudaStream_t stream = current_stream(in.x);
    const size_t bytes = size_t(size) * sizeof(T);
    T* const begin = data<T>(work);
    STD_CUDA_CHECK(cudaMemcpyAsync(begin, in.x.data_ptr(), bytes, cudaMemcpyDeviceToDevice, stream));
    STD_CUDA_CHECK(
        cudaMemcpyAsync(begin + (blocks - 1) * size, given.data_ptr(), bytes, cudaMemcpyDeviceToDevice, stream));
    adjoint_of_values(
        begin, size, steps,
        [&](const T* from, T* to) { apply_step<T, I>(view, Step{1, 0, 0}, from, nullptr, to, b, stream); },
        [&](const T* left, const T* right) {
          accumulate_kernel<T, I>
              <<<blocks_for(entries), kThreads, 0, stream>>>(view, left, right, b, entries, data<double>(sums));
          STD_CUDA_KERNEL_LAUNCH_CHECK();
        });
    round_kernel<T><<<blocks_for(entries), kThreads, 0, stream>>>(data<double>(sums), entries, data<T>(out));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("graph_smooth", TORCH_BOX(&graph_smooth));
  m.impl("graph_smooth_values_backward", TORCH_BOX(&graph_smooth_values_backward));
}

}  // namespace geospec
