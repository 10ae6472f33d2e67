// What cotangents accept, said once for both devices. Whether the faces name vertices is checked on the CPU alone:
// on CUDA it would cost a wait for the device.
#pragma once

#include "common/checks.h"

namespace geospec {

struct CotangentInputs {
  Tensor vertices, faces;
};

struct CotangentGradients {
  Tensor grad_cotangents, grad_areas, vertices, faces;
};

inline CotangentInputs check_cotangent(const Tensor& vertices, const Tensor& faces) {
  check_matrix(vertices, "vertices", 3);
  check_matrix(faces, "faces", 3);
  check_index(faces, "faces");
  check_same_device(vertices, "vertices", faces, "faces");
  return {torch::stable::contiguous(vertices), torch::stable::contiguous(faces)};
}

inline CotangentGradients check_cotangent_backward(const Tensor& grad_cotangents, const Tensor& grad_areas,
                                                   const Tensor& vertices, const Tensor& faces) {
  const CotangentInputs in = check_cotangent(vertices, faces);
  const int64_t f = faces.size(0);
  check_matrix(grad_cotangents, "grad_cotangents", 3);
  check_vector(grad_areas, "grad_areas", f);
  STD_TORCH_CHECK(grad_cotangents.size(0) == f, "grad_cotangents: wanted one row per face, ", f, ", got ",
                  grad_cotangents.size(0));
  check_same_dtype(vertices, "vertices", grad_cotangents, "grad_cotangents");
  check_same_dtype(vertices, "vertices", grad_areas, "grad_areas");
  check_same_device(vertices, "vertices", grad_cotangents, "grad_cotangents");
  check_same_device(vertices, "vertices", grad_areas, "grad_areas");
  return {torch::stable::contiguous(grad_cotangents), torch::stable::contiguous(grad_areas), in.vertices, in.faces};
}

}  // namespace geospec
