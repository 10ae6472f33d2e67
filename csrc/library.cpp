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
  // Fill and layout of the factor L D L^T of a symmetric pattern eliminated in a given order: final order, then by
  // supernode first column, offsets of its rows, rows, offset of its panel, parent.
  m.def("ldl_analyze(Tensor crow, Tensor col, Tensor order) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  // The factor's panels, pivots (n,) and, by blocks of columns, the row that each place takes (n,).
  m.def(
      "ldl_factor(Tensor values, Tensor crow, Tensor col, Tensor order, Tensor first, Tensor row_begin, Tensor rows, "
      "Tensor panel_begin, Tensor parent) -> (Tensor, Tensor, Tensor)");
  // Solutions for right-hand sides (n, c), or (c, n) where the rows are the vectors.
  m.def(
      "ldl_solve(Tensor panels, Tensor pivots, Tensor swaps, Tensor order, Tensor first, Tensor row_begin, Tensor "
      "rows, Tensor "
      "panel_begin, Tensor parent, Tensor right, bool rows_are_vectors=False) -> Tensor");
  // Stiffness (crow, col, values) and lumped mass of any mesh: mollified, tufted cover, intrinsic Delaunay. A face of
  // multiplicity m is summed m times, each time glued to other faces only.
  m.def(
      "robust_stiffness(Tensor vertices, Tensor faces, Tensor multiplicity, float mollify_factor, bool tufted) -> "
      "(Tensor, "
      "Tensor, Tensor, Tensor)");
  // Planar Delaunay stars of all points among their neighbours (n, k): distinct triangles (t, 3), how many stars hold
  // each.
  m.def("local_triangles(Tensor points, Tensor neighbours) -> (Tensor, Tensor)");
  // Per query the distance (q,) to the nearest point, and its index (q,).
  m.def("spectral_nearest(Tensor queries, Tensor points, str method=\"auto\") -> (Tensor, Tensor)");
  // Per query the squared distances (q, k) to its nearest points, nearest first, and their indices (q, k).
  m.def(
      "knn(Tensor queries, Tensor points, int k, bool exclude_self=False, Tensor? query_offsets=None, "
      "Tensor? point_offsets=None) -> (Tensor, Tensor)");
  // Per query all points within a radius, packed as CSR: squared distances (nnz,), crow (q + 1,), indices (nnz,).
  m.def(
      "radius_search(Tensor queries, Tensor points, float radius, int? most=None, bool exclude_self=False, "
      "Tensor? query_offsets=None, Tensor? point_offsets=None) -> (Tensor, Tensor, Tensor)");
  // Indices (m,) of points, each the farthest from those before it.
  m.def("farthest_points(Tensor points, int m, int start=0) -> Tensor");
  // Per query the squared distances (q, k) to the k nearest points, the nearest first, and their indices (q, k).
  m.def("spectral_knn(Tensor queries, Tensor points, int k, str method=\"auto\") -> (Tensor, Tensor)");
  // ZoomOut of maps (b, k_t0, k_s0) between embeddings (n_s, k_s) and (n_t, k_t), over the given sizes: maps (b, k_t,
  // k_s) and the images (b, n_t) that they are projected from.
  m.def(
      "zoomout(Tensor maps, Tensor source, Tensor target, int[] source_sizes, int[] target_sizes, Tensor? "
      "measure=None, "
      "Tensor? factor=None, float scale=1.0) -> (Tensor, Tensor)");
  // Sparse matrix (n, m) in CSR times a dense block (m, b).
  m.def("csr_matmul(Tensor crow, Tensor col, Tensor values, Tensor x) -> Tensor");
  // For each entry (i, j) of a CSR pattern <row i of left, row j of right>: the derivative of csr_matmul in the values.
  m.def("csr_sampled_products(Tensor crow, Tensor col, Tensor left, Tensor right) -> Tensor");
  // Chebyshev polynomial of a symmetric matrix, within [-1, 1] on [lower, upper] and growing below, times a block.
  m.def(
      "chebyshev_filter(Tensor crow, Tensor col, Tensor values, Tensor x, int degree, float lower, float upper) -> "
      "Tensor");
  // A symmetric sparse matrix, applied to a block `steps` times.
  m.def("graph_smooth(Tensor crow, Tensor col, Tensor values, Tensor x, int steps) -> Tensor");
  // Its adjoint in the values (nnz,): sums over the steps of products of rows where the pattern looks.
  m.def(
      "graph_smooth_values_backward(Tensor grad, Tensor crow, Tensor col, Tensor values, Tensor x, int steps) -> "
      "Tensor");
  // Sums of squares (k,) of the rows of Q^T F, and that product (k, m).
  m.def("captured_energy(Tensor q, Tensor f) -> (Tensor, Tensor)");
  // Rows c_i of C (..., k_t, k_s) with (G + diag(penalty_i)) c_i = right_i, and whether a system is not positive
  // definite
  // (..., k_t).
  m.def("masked_map_solve(Tensor gram, Tensor right, Tensor penalty) -> (Tensor, Tensor)");
  // |clean| with noise of level sigma[d] in draw first + d, (n, ...): seed, draw and element decide each number.
  m.def("noisy_magnitudes(Tensor clean, Tensor sigma, int seed, int first, str form) -> Tensor");
  // Sums over those draws x, made again, in double: of x - denoised, of x, of (x - denoised) / x.
  m.def(
      "mask_sums(Tensor clean, Tensor denoised, Tensor sigma, int seed, int first, str form) -> (Tensor, Tensor, "
      "Tensor)");
  // Real harmonics (n, (degree + 1)^2) of directions (n, 3), by the table of a recurrence with its convention built in.
  m.def("spherical_harmonics(Tensor xyz, Tensor table, bool normalize) -> Tensor");
  // Their derivatives (n, k) as each direction moves along a tangent (n, 3).
  m.def("spherical_harmonics_jvp(Tensor xyz, Tensor tangent, Tensor table, bool normalize) -> Tensor");
  // The adjoint: gradient (n, 3) of sum_k grad_k Y_k at each direction.
  m.def("spherical_harmonics_backward(Tensor grad, Tensor xyz, Tensor table, bool normalize) -> Tensor");
  // The Hessian of that sum times a tangent, (n, 3).
  m.def("spherical_harmonics_hvp(Tensor grad, Tensor xyz, Tensor tangent, Tensor table, bool normalize) -> Tensor");
  // A linear layer (h, k) on harmonics, (n, h), which are never stored.
  m.def("spherical_harmonics_linear(Tensor xyz, Tensor weight, Tensor? bias, Tensor table, bool normalize) -> Tensor");
  // Its gradients in the directions (n, 3) and in the weight (h, k).
  m.def(
      "spherical_harmonics_linear_xyz(Tensor grad, Tensor xyz, Tensor weight, Tensor table, bool normalize) -> Tensor");
  m.def("spherical_harmonics_linear_weight(Tensor grad, Tensor xyz, Tensor table, bool normalize) -> Tensor");
  // Coefficients (k, c) of waves on rings of latitude (rings, degree + 1, c, 2), real parts to cosines, imaginary ones
  // with a minus to sines; nodes (rings, 3): cosine, sine, factor. Orders other than 0 are multiplied by `factor`.
  m.def("legendre_analysis(Tensor waves, Tensor nodes, Tensor table, float factor) -> Tensor");
  // Its adjoint: waves of coefficients.
  m.def("legendre_synthesis(Tensor coefficients, Tensor nodes, Tensor table, float factor) -> Tensor");
  // Values (n, h) at directions of a grid (rows, columns, h) on the doubled sphere, by a bump in pieces (width, terms).
  m.def("sphere_interpolate(Tensor xyz, Tensor grid, Tensor pieces, bool normalize) -> Tensor");
  // Gradients (n, 3) of sum_j grad_j f_j in the directions, from a grid of the slopes of f south and east (.., 2 h).
  m.def("sphere_interpolate_xyz(Tensor grad, Tensor xyz, Tensor slopes, Tensor pieces, bool normalize) -> Tensor");
  // The adjoint of sphere_interpolate in the grid, in double.
  m.def("sphere_spread(Tensor grad, Tensor xyz, Tensor pieces, int half, bool normalize) -> Tensor");
  // Distances (nz, ny, nx) to a mesh, negative inside, cut at the truncation, at the centres of a box's cells; where
  // asked the nearest face of each, int32, -1 beyond the truncation (else (0, 0, 0)).
  m.def(
      "mesh_sdf(Tensor vertices, Tensor faces, int[] shape, float truncation, float[] lower, float[] upper, str sign, "
      "bool nearest) -> (Tensor, Tensor)");
  // Its gradient (n, 3) in the vertices.
  m.def(
      "mesh_sdf_backward(Tensor grad, Tensor vertices, Tensor faces, Tensor values, Tensor nearest, float[] lower, "
      "float[] upper) -> Tensor");
  // One level of a 3D wavelet transform of (..., n0, n1, n2) by taps (1 or 2, length), low pass first: the coarse grid
  // (..., m0, m1, m2) and the details (..., 7, m0, m1, m2), none of one filter. `adjoint`: that of the synthesis by
  // them.
  m.def("wavelet3d_analyze(Tensor grid, Tensor taps, str mode=\"constant\", bool adjoint=False) -> (Tensor, Tensor)");
  // One level back to a grid of the given shape. `adjoint`: that of the analysis by these taps.
  m.def(
      "wavelet3d_synthesize(Tensor coarse, Tensor details, int[] shape, Tensor taps, str mode=\"constant\", "
      "bool adjoint=False) -> Tensor");
  // Wavelet details (b, bands, q0, q1, q2) by tree, (K, bands fan^3): rows are cells of all shapes of the batch, which
  // ascend; cell p has the children fan p + o - shift along an axis, and what lies outside is zero.
  m.def("tree_gather(Tensor detail, Tensor rows, int[] cells, int fan, int shift) -> Tensor");
  // Its adjoint: details of a shape that are zero but for the given trees.
  m.def("tree_scatter(Tensor values, Tensor rows, int[] shape, int[] cells, int fan, int shift) -> Tensor");
  // The trees of all cells as channels (b, bands fan^3, m0, m1, m2), and its adjoint, the way back.
  m.def("tree_pack(Tensor detail, int[] cells, int fan, int shift) -> Tensor");
  m.def("tree_unpack(Tensor channels, int[] shape, int fan, int shift) -> Tensor");
  // Places of the largest values of each row (b, m), so many a row, packed and ascending; ties go to the first.
  m.def("tree_largest(Tensor values, int[] counts) -> Tensor");
  // Thin QR of tall blocks (..., n, k) with positive diagonal, and 1 for columns that depend on none before them (...,
  // k). Made of torch's own products in geospec/ops/cholesky_qr.py, on any device.
  m.def("cholesky_qr(Tensor z, bool rank_guard=False) -> (Tensor, Tensor, Tensor)");
  // Surface of a grid (nz, ny, nx) at a level: vertices (v, 3) in cells, faces (f, 3), and each vertex's edge of the
  // grid (v,) as 3 * sample + axis (0 = x).
  m.def("isosurface(Tensor grid, float level) -> (Tensor, Tensor, Tensor)");
  // Its adjoint: gradient with respect to the grid.
  m.def("isosurface_backward(Tensor grad_vertices, Tensor grid, Tensor edges, float level) -> Tensor");
}

// Importing geospec._C loads this library, which registers the ops above; the module itself is empty.
extern "C" {
PyMODINIT_FUNC PyInit__C(void) {
  static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_C", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};
  return PyModule_Create(&module);
}
}
