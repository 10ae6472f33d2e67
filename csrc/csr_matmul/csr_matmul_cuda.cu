#include <torch/csrc/stable/library.h>

#include <limits>

#include "csr_matmul/csr_matmul_checks.h"
#include "csr_matmul/step_cuda.h"

namespace geospec {
namespace {

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
