#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/cuda.h"
#include "cotangent/cotangent.h"
#include "cotangent/cotangent_checks.h"

namespace geospec {
namespace {

// Refusing an index here would cost a wait for the device, so a face that names no vertex gives NaN instead.
__device__ bool face_in_range(const int64_t* face, int64_t n) {
  return face[0] >= 0 && face[0] < n && face[1] >= 0 && face[1] < n && face[2] >= 0 && face[2] < n;
}

template <class T>
__global__ void cotangent_kernel(const T* vertices, const int64_t* faces, int64_t n, int64_t f, T* cotangents,
                                 T* areas) {
  GEOSPEC_GRID_STRIDE(i, f) {
    if (face_in_range(faces + 3 * i, n)) {
      face_cotangents(vertices, faces + 3 * i, cotangents + 3 * i, areas + i);
    } else {
      for (int c = 0; c < 3; ++c) cotangents[3 * i + c] = T(NAN);
      areas[i] = T(NAN);
    }
  }
}

template <class T>
__global__ void cotangent_backward_kernel(const T* grad_cotangents, const T* grad_areas, const T* vertices,
                                          const int64_t* faces, int64_t n, int64_t f, T* grad) {
  GEOSPEC_GRID_STRIDE(i, f) {
    if (face_in_range(faces + 3 * i, n)) {
      face_cotangents_backward(vertices, faces + 3 * i, grad_cotangents + 3 * i, grad_areas[i], grad + 9 * i);
    } else {
      for (int c = 0; c < 9; ++c) grad[9 * i + c] = T(NAN);
    }
  }
}

std::tuple<Tensor, Tensor> cotangent(const Tensor& vertices_in, const Tensor& faces_in) {
  const auto [vertices, faces] = check_cotangent(vertices_in, faces_in);
  torch::stable::accelerator::DeviceGuard guard(vertices.get_device_index());
  const int64_t f = faces.size(0);
  Tensor cotangents = torch::stable::new_empty(vertices, {f, 3}), areas = torch::stable::new_empty(vertices, {f});
  if (f == 0) return {cotangents, areas};
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    cotangent_kernel<T><<<blocks_for(f), kThreads, 0, current_stream(vertices)>>>(
        data<T>(vertices), data<int64_t>(faces), vertices.size(0), f, data<T>(cotangents), data<T>(areas));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {cotangents, areas};
}

Tensor cotangent_backward(const Tensor& grad_cotangents_in, const Tensor& grad_areas_in, const Tensor& vertices_in,
                          const Tensor& faces_in) {
  const auto [grad_cotangents, grad_areas, vertices, faces] =
      check_cotangent_backward(grad_cotangents_in, grad_areas_in, vertices_in, faces_in);
  torch::stable::accelerator::DeviceGuard guard(vertices.get_device_index());
  const int64_t f = faces.size(0);
  Tensor grad = torch::stable::new_empty(vertices, {f, 3, 3});
  if (f == 0) return grad;
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    cotangent_backward_kernel<T><<<blocks_for(f), kThreads, 0, current_stream(vertices)>>>(
        data<T>(grad_cotangents), data<T>(grad_areas), data<T>(vertices), data<int64_t>(faces), vertices.size(0), f,
        data<T>(grad));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return grad;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("cotangent", TORCH_BOX(&cotangent));
  m.impl("cotangent_backward", TORCH_BOX(&cotangent_backward));
}

}  // namespace geospec
