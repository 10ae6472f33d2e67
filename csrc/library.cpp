// Every op of geospec and its schema, one line each: the table of contents of csrc/.
#include <Python.h>
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(geospec, m) {
  // Per face: cotangent of the angle at each corner (f, 3), and area (f).
  m.def("cotangent(Tensor vertices, Tensor faces) -> (Tensor, Tensor)");
  // Its adjoint: gradient with respect to the position of each corner (f, 3, 3).
  m.def("cotangent_backward(Tensor grad_cotangents, Tensor grad_areas, Tensor vertices, Tensor faces) -> Tensor");
  // Corners around each vertex (offsets, corners) and the CSR pattern of the edges and the diagonal (crow, col).
  m.def("mesh_adjacency(Tensor faces, int n_vertices) -> (Tensor, Tensor, Tensor, Tensor)");
  // Stiffness values on that pattern and lumped mass, from corner cotangents and face areas.
  m.def(
      "assemble_stiffness(Tensor cotangents, Tensor areas, Tensor faces, Tensor offsets, Tensor corners, Tensor crow, "
      "Tensor col) -> (Tensor, Tensor)");
  // Its adjoint: gradients with respect to the corner cotangents (f, 3) and the face areas (f).
  m.def(
      "assemble_stiffness_backward(Tensor grad_values, Tensor grad_mass, Tensor faces, Tensor crow, Tensor col) -> "
      "(Tensor, Tensor)");
  // Per query the distance (q,) to the nearest point, and its index (q,).
  m.def("spectral_nearest(Tensor queries, Tensor points, str method=\"auto\") -> (Tensor, Tensor)");
  // Sparse matrix (n, m) in CSR times a dense block (m, b).
  m.def("csr_matmul(Tensor crow, Tensor col, Tensor values, Tensor x) -> Tensor");
  // For each entry (i, j) of a CSR pattern <row i of left, row j of right>: the derivative of csr_matmul in the values.
  m.def("csr_sampled_products(Tensor crow, Tensor col, Tensor left, Tensor right) -> Tensor");
  // Chebyshev polynomial of a symmetric matrix, within [-1, 1] on [lower, upper] and growing below, times a block.
  m.def(
      "chebyshev_filter(Tensor crow, Tensor col, Tensor values, Tensor x, int degree, float lower, float upper) -> "
      "Tensor");
}

// Importing geospec._C loads this library, which registers the ops above; the module itself is empty.
extern "C" {
PyMODINIT_FUNC PyInit__C(void) {
  static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_C", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};
  return PyModule_Create(&module);
}
}
