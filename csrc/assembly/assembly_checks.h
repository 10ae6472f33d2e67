// What assembly accepts, said once for both devices. The index tensors must come from mesh_adjacency:
// sizes are checked here, contents are not, since reading them all would cost as much as the assembly.
#pragma once

#include "common/checks.h"

namespace geospec {

struct AssemblyInputs {
  Tensor cotangents, areas, faces, offsets, corners, crow, col;
};

struct AssemblyGradients {
  Tensor grad_values, grad_mass, faces, crow, col;
};

inline void check_pattern(const Tensor& faces, const Tensor& crow, const Tensor& col) {
  check_matrix(faces, "faces", 3);
  check_index(faces, "faces");
  check_vector(crow, "crow", -1);
  check_index(crow, "crow");
  check_vector(col, "col", -1);
  check_index(col, "col");
  STD_TORCH_CHECK(crow.size(0) >= 1, "crow: wanted shape (n + 1,), got (0,)");
}

inline AssemblyInputs check_assembly(const Tensor& cotangents, const Tensor& areas, const Tensor& faces,
                                     const Tensor& offsets, const Tensor& corners, const Tensor& crow,
                                     const Tensor& col) {
  check_pattern(faces, crow, col);
  check_matrix(cotangents, "cotangents", 3);
  STD_TORCH_CHECK(cotangents.size(0) == faces.size(0), "cotangents: wanted one row per face, ", faces.size(0), ", got ",
                  cotangents.size(0));
  check_vector(areas, "areas", faces.size(0));
  check_same_dtype(cotangents, "cotangents", areas, "areas");
  check_vector(offsets, "offsets", crow.size(0));
  check_index(offsets, "offsets");
  check_vector(corners, "corners", 3 * faces.size(0));
  check_index(corners, "corners");
  check_same_device(cotangents, "cotangents", areas, "areas");
  check_same_device(cotangents, "cotangents", faces, "faces");
  check_same_device(cotangents, "cotangents", offsets, "offsets");
  check_same_device(cotangents, "cotangents", corners, "corners");
  check_same_device(cotangents, "cotangents", crow, "crow");
  check_same_device(cotangents, "cotangents", col, "col");
  using torch::stable::contiguous;
  return {contiguous(cotangents), contiguous(areas), contiguous(faces), contiguous(offsets),
          contiguous(corners),    contiguous(crow),  contiguous(col)};
}

inline AssemblyGradients check_assembly_backward(const Tensor& grad_values, const Tensor& grad_mass,
                                                 const Tensor& faces, const Tensor& crow, const Tensor& col) {
  check_pattern(faces, crow, col);
  check_vector(grad_values, "grad_values", col.size(0));
  check_vector(grad_mass, "grad_mass", crow.size(0) - 1);
  check_same_dtype(grad_values, "grad_values", grad_mass, "grad_mass");
  check_same_device(grad_values, "grad_values", grad_mass, "grad_mass");
  check_same_device(grad_values, "grad_values", faces, "faces");
  check_same_device(grad_values, "grad_values", crow, "crow");
  check_same_device(grad_values, "grad_values", col, "col");
  using torch::stable::contiguous;
  return {contiguous(grad_values), contiguous(grad_mass), contiguous(faces), contiguous(crow), contiguous(col)};
}

}  // namespace geospec
