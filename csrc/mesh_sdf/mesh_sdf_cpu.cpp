#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>

#include "common/pages.h"
#include "mesh_sdf/band.h"
#include "mesh_sdf/checks.h"
#include "mesh_sdf/closed.h"
#include "mesh_sdf/crossings.h"
#include "mesh_sdf/winding.h"

namespace geospec {
namespace {

using namespace mesh_sdf;

struct Parallel {
  template <class F>
  void operator()(int64_t begin, int64_t end, int64_t grain, const F& f) const {
    torch::stable::parallel_for(begin, end, grain, f);
  }
};

// Writes the truncation with the sign of every cell.
template <class T>
void write_signs(const Box& box, Mesh<T> mesh, int64_t n, const Tree<T>& tree, Sign sign, T truncation, T* values) {
  const Parallel parallel;
  if (sign == Sign::unsigned_) return void(std::fill_n(values, box.cells(), truncation));
  const Verdict verdict = decide(mesh, n, sign);
  if (sign != Sign::winding)
    return sign_by_crossings(box, mesh, tree, sign == Sign::parity, truncation, values, parallel);
  every_count(box, mesh, tree, values, parallel, [](T count) { return count; });
  const Moments<T> moments(mesh, tree, verdict.closed.open);
  dispatch_lanes<T>([&](auto* lanes) {
    sign_by_windings<std::remove_pointer_t<decltype(lanes)>>(box, tree, moments, truncation, values, parallel);
  });
}

template <class T>
void measure_mesh(const Box& box, const Mesh<T>& mesh, int64_t n, Sign sign, T truncation, const Field<T>& field) {
  if (field.nearest) std::fill_n(field.nearest, box.cells(), -1);
  if (mesh.f == 0) return void(std::fill_n(field.values, box.cells(), truncation));
  const Tree<T> tree = plant(mesh, Parallel());
  write_signs(box, mesh, n, tree, sign, truncation, field.values);
  dispatch_lanes<T>([&](auto* lanes) {
    measure_band<std::remove_pointer_t<decltype(lanes)>>(box, tree, truncation, field, Parallel());
  });
}

std::tuple<Tensor, Tensor> signed_distances(const Tensor& vertices_in, const Tensor& faces_in,
                                            std::vector<int64_t> shape, double truncation, std::vector<double> lower,
                                            std::vector<double> upper, std::string sign_name, bool nearest) {
  check_mesh(vertices_in, faces_in, truncation);
  const Box box = read_box(shape, lower, upper);
  const Sign sign = read_sign(sign_name);
  const Tensor vertices = torch::stable::contiguous(vertices_in), faces = torch::stable::contiguous(faces_in);
  Tensor values = torch::stable::new_empty(vertices, {box.n[2], box.n[1], box.n[0]});
  Tensor face = torch::stable::new_empty(
      vertices, nearest ? std::vector<int64_t>{box.n[2], box.n[1], box.n[0]} : std::vector<int64_t>{0, 0, 0},
      ScalarType::Int);
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    check_faces(data<T>(vertices), vertices.size(0), data<int64_t>(faces), faces.size(0));
    const Mesh<T> mesh = {data<T>(vertices), data<int64_t>(faces), faces.size(0), box};
    prefer_large_pages(values.data_ptr(), box.cells() * int64_t(sizeof(T)));
    measure_mesh<T>(box, mesh, vertices.size(0), sign, T(truncation),
                    {data<T>(values), nearest ? data<int32_t>(face) : nullptr});
  });
  return {values, face};
}

// Cell after cell, so that sums have one order.
Tensor signed_distances_backward(const Tensor& grad_in, const Tensor& vertices_in, const Tensor& faces_in,
                                 const Tensor& values_in, const Tensor& nearest_in, std::vector<double> lower,
                                 std::vector<double> upper) {
  check_backward(grad_in, vertices_in, faces_in, values_in, nearest_in);
  const Box box = read_box({values_in.size(0), values_in.size(1), values_in.size(2)}, lower, upper);
  const Tensor grad = torch::stable::contiguous(grad_in), vertices = torch::stable::contiguous(vertices_in),
               faces = torch::stable::contiguous(faces_in), values = torch::stable::contiguous(values_in),
               nearest = torch::stable::contiguous(nearest_in);
  Tensor out = torch::stable::new_empty(vertices, {vertices.size(0), 3});
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    check_faces(data<T>(vertices), vertices.size(0), data<int64_t>(faces), faces.size(0));
    const Mesh<T> mesh = {data<T>(vertices), data<int64_t>(faces), faces.size(0), box};
    std::vector<double> sums(3 * vertices.size(0));
    const int32_t* face = data<int32_t>(nearest);
    for (int64_t c = 0; c < box.cells(); ++c) {
      if (face[c] < 0) continue;
      STD_TORCH_CHECK(face[c] < mesh.f, "nearest: wanted faces below ", mesh.f, ", got ", face[c]);
      double p[3], corners[9], each[9];
      box.cell(c, p);
      mesh.corners(face[c], corners);
      corner_gradients(p, corners, std::copysign(1.0, double(data<T>(values)[c])) * double(data<T>(grad)[c]), each);
      for (int k = 0; k < 9; ++k) sums[3 * mesh.faces[3 * face[c] + k / 3] + k % 3] += each[k];
    }
    std::copy(sums.begin(), sums.end(), data<T>(out));
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("mesh_sdf", TORCH_BOX(&signed_distances));
  m.impl("mesh_sdf_backward", TORCH_BOX(&signed_distances_backward));
}

}  // namespace geospec
