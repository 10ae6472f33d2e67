#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>

#include "common/pages.h"
#include "mesh_sdf/band.h"
#include "mesh_sdf/checks.h"
#include "mesh_sdf/closed.h"
#include "mesh_sdf/crossings.h"

namespace geospec {
namespace {

using namespace mesh_sdf;

struct Parallel {
  template <class F>
  void operator()(int64_t begin, int64_t end, int64_t grain, const F& f) const {
    torch::stable::parallel_for(begin, end, grain, f);
  }
};

template <class T>
void measure_mesh(const Box& box, const Mesh<T>& mesh, Sign sign, T truncation, const Field<T>& field) {
  const int64_t n = box.n[0] * box.n[1] * box.n[2];
  const Parallel parallel;
  if (field.nearest) std::fill_n(field.nearest, n, -1);
  if (mesh.f == 0) return void(std::fill_n(field.values, n, truncation));
  const Tree<T> tree = plant(mesh, parallel);
  if (sign == Sign::unsigned_)
    std::fill_n(field.values, n, truncation);
  else
    sign_by_crossings(box, mesh, tree, sign == Sign::parity, truncation, field.values, parallel);
  dispatch_lanes<T>([&](auto* lanes) {
    measure_band<std::remove_pointer_t<decltype(lanes)>>(box, tree, truncation, field, parallel);
  });
}

std::tuple<Tensor, Tensor> signed_distances(const Tensor& vertices_in, const Tensor& faces_in,
                                            std::vector<int64_t> shape, double truncation, std::vector<double> lower,
                                            std::vector<double> upper, std::string sign_name, bool nearest) {
  check_mesh(vertices_in, faces_in, truncation);
  const Box box = read_box(shape, lower, upper);
  Sign sign = read_sign(sign_name);
  const Tensor vertices = torch::stable::contiguous(vertices_in), faces = torch::stable::contiguous(faces_in);
  Tensor values = torch::stable::new_empty(vertices, {box.n[2], box.n[1], box.n[0]});
  Tensor face = torch::stable::new_empty(
      vertices, nearest ? std::vector<int64_t>{box.n[2], box.n[1], box.n[0]} : std::vector<int64_t>{0, 0, 0},
      ScalarType::Int);
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    check_faces(data<T>(vertices), vertices.size(0), data<int64_t>(faces), faces.size(0));
    if (sign == Sign::automatic)
      sign = choose_sign(data<T>(vertices), vertices.size(0), data<int64_t>(faces), faces.size(0));
    STD_TORCH_CHECK(sign != Sign::winding, "sign: wanted a closed mesh, got an open one: winding numbers are to come");
    const Mesh<T> mesh = {data<T>(vertices), data<int64_t>(faces), faces.size(0), box.centre};
    prefer_large_pages(values.data_ptr(), box.n[0] * box.n[1] * box.n[2] * int64_t(sizeof(T)));
    measure_mesh<T>(box, mesh, sign, T(truncation), {data<T>(values), nearest ? data<int32_t>(face) : nullptr});
  });
  return {values, face};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("mesh_sdf", TORCH_BOX(&signed_distances)); }

}  // namespace geospec
