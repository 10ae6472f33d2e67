// mesh_adjacency has no kernel here: on CUDA its sort-based twin in geospec/ops/assembly.py is registered.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "assembly/assembly.h"
#include "assembly/assembly_checks.h"
#include "common/cuda.h"

namespace geospec {
namespace {

template <class T>
__global__ void assemble_kernel(MeshView view, const T* cotangents, const T* areas, const int64_t* crow,
                                const int64_t* col, int64_t n, T* values, T* mass) {
  GEOSPEC_GRID_STRIDE(i, n) assemble_row(view, cotangents, areas, crow, col, i, values, mass);
}

template <class T>
__global__ void assemble_backward_kernel(const T* grad_values, const T* grad_mass, const int64_t* faces,
                                         const int64_t* crow, const int64_t* col, int64_t f, T* grad_cotangents,
                                         T* grad_areas) {
  GEOSPEC_GRID_STRIDE(i, f)
  assemble_backward_face(faces + 3 * i, crow, col, grad_values, grad_mass, grad_cotangents + 3 * i, grad_areas + i);
}

std::tuple<Tensor, Tensor> assemble_stiffness(const Tensor& cotangents_in, const Tensor& areas_in,
                                              const Tensor& faces_in, const Tensor& offsets_in,
                                              const Tensor& corners_in, const Tensor& crow_in, const Tensor& col_in) {
  const AssemblyInputs in = check_assembly(cotangents_in, areas_in, faces_in, offsets_in, corners_in, crow_in, col_in);
  torch::stable::accelerator::DeviceGuard guard(in.cotangents.get_device_index());
  const int64_t n = in.crow.size(0) - 1;
  Tensor values = torch::stable::new_empty(in.cotangents, {in.col.size(0)});
  Tensor mass = torch::stable::new_empty(in.cotangents, {n});
  if (n == 0) return {values, mass};
  dispatch_float(in.cotangents, "cotangents", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const MeshView view{data<int64_t>(in.faces), data<int64_t>(in.offsets), data<int64_t>(in.corners)};
    assemble_kernel<T><<<blocks_for(n), kThreads, 0, current_stream(in.cotangents)>>>(
        view, data<T>(in.cotangents), data<T>(in.areas), data<int64_t>(in.crow), data<int64_t>(in.col), n,
        data<T>(values), data<T>(mass));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {values, mass};
}

std::tuple<Tensor, Tensor> assemble_stiffness_backward(const Tensor& grad_values_in, const Tensor& grad_mass_in,
                                                       const Tensor& faces_in, const Tensor& crow_in,
                                                       const Tensor& col_in) {
  const AssemblyGradients in = check_assembly_backward(grad_values_in, grad_mass_in, faces_in, crow_in, col_in);
  torch::stable::accelerator::DeviceGuard guard(in.grad_values.get_device_index());
  const int64_t f = in.faces.size(0);
  Tensor grad_cotangents = torch::stable::new_empty(in.grad_values, {f, 3});
  Tensor grad_areas = torch::stable::new_empty(in.grad_values, {f});
  if (f == 0) return {grad_cotangents, grad_areas};
  dispatch_float(in.grad_values, "grad_values", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    assemble_backward_kernel<T><<<blocks_for(f), kThreads, 0, current_stream(in.grad_values)>>>(
        data<T>(in.grad_values), data<T>(in.grad_mass), data<int64_t>(in.faces), data<int64_t>(in.crow),
        data<int64_t>(in.col), f, data<T>(grad_cotangents), data<T>(grad_areas));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {grad_cotangents, grad_areas};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("assemble_stiffness", TORCH_BOX(&assemble_stiffness));
  m.impl("assemble_stiffness_backward", TORCH_BOX(&assemble_stiffness_backward));
}

}  // namespace geospec
