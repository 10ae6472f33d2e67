// What the robust stiffness accepts.
#pragma once

#include <cmath>

#include "common/checks.h"

namespace geospec {

constexpr int64_t kMostLayers = 255;

struct RobustInputs {
  Tensor vertices, faces, multiplicity;
};

inline RobustInputs check_robust(const Tensor& vertices, const Tensor& faces, const Tensor& multiplicity,
                                 double mollify_factor) {
  check_matrix(vertices, "vertices", 3);
  check_float(vertices, "vertices");
  check_matrix(faces, "faces", 3);
  check_index(faces, "faces");
  check_vector(multiplicity, "multiplicity", faces.size(0));
  check_index(multiplicity, "multiplicity");
  STD_TORCH_CHECK(std::isfinite(mollify_factor) && mollify_factor >= 0,
                  "mollify_factor: wanted a finite number of at least 0, got ", mollify_factor);
  using torch::stable::contiguous;
  return {contiguous(vertices), contiguous(faces), contiguous(multiplicity)};
}

// Half-edges of both sides, and vertices, are numbered in 32 bits.
inline void check_fits(int64_t n_faces, int64_t n_vertices) {
  STD_TORCH_CHECK(n_faces <= int64_t(UINT32_MAX - 1) / 6, "faces: wanted at most ", (UINT32_MAX - 1) / 6,
                  " with their multiplicity, got ", n_faces);
  STD_TORCH_CHECK(n_vertices < int64_t(UINT32_MAX), "vertices: wanted fewer than ", UINT32_MAX, ", got ", n_vertices);
}

}  // namespace geospec
