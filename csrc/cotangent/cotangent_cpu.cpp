#include <torch/csrc/stable/library.h>

#include <tuple>

#include "cotangent/cotangent.h"
#include "cotangent/cotangent_checks.h"

namespace geospec {
namespace {

constexpr int64_t kGrain = 4096;  // faces per task: about 50 us
constexpr int64_t kAhead = 12;    // faces between a prefetch and its use: some 200 ns

// The kernels trust indices, so an op that reads through them looks at each first.
void check_range(const Tensor& faces, int64_t n_vertices) {
  const int64_t* index = data<int64_t>(faces);
  for (int64_t i = 0; i < 3 * faces.size(0); ++i)
    STD_TORCH_CHECK(index[i] >= 0 && index[i] < n_vertices, "faces: wanted indices in [0, ", n_vertices, "), got ",
                    index[i], " in face ", i / 3);
}

std::tuple<Tensor, Tensor> cotangent(const Tensor& vertices_in, const Tensor& faces_in) {
  const auto [vertices, faces] = check_cotangent(vertices_in, faces_in);
  check_range(faces, vertices.size(0));
  const int64_t f = faces.size(0);
  Tensor cotangents = torch::stable::new_empty(vertices, {f, 3}), areas = torch::stable::new_empty(vertices, {f});
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* v = data<T>(vertices);
    const int64_t* index = data<int64_t>(faces);
    T *cot = data<T>(cotangents), *area = data<T>(areas);
    torch::stable::parallel_for(0, f, kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if (i + kAhead < f)
          for (int c = 0; c < 3; ++c) prefetch(v + 3 * index[3 * (i + kAhead) + c]);
        face_cotangents(v, index + 3 * i, cot + 3 * i, area + i);
      }
    });
  });
  return {cotangents, areas};
}

Tensor cotangent_backward(const Tensor& grad_cotangents_in, const Tensor& grad_areas_in, const Tensor& vertices_in,
                          const Tensor& faces_in) {
  const auto [grad_cotangents, grad_areas, vertices, faces] =
      check_cotangent_backward(grad_cotangents_in, grad_areas_in, vertices_in, faces_in);
  check_range(faces, vertices.size(0));
  const int64_t f = faces.size(0);
  Tensor grad = torch::stable::new_empty(vertices, {f, 3, 3});
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *v = data<T>(vertices), *gc = data<T>(grad_cotangents), *ga = data<T>(grad_areas);
    const int64_t* index = data<int64_t>(faces);
    T* out = data<T>(grad);
    torch::stable::parallel_for(0, f, kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) face_cotangents_backward(v, index + 3 * i, gc + 3 * i, ga[i], out + 9 * i);
    });
  });
  return grad;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("cotangent", TORCH_BOX(&cotangent));
  m.impl("cotangent_backward", TORCH_BOX(&cotangent_backward));
}

}  // namespace geospec
