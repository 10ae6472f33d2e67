// What the ops of the grid on the doubled sphere accept, the same on both devices.
#pragma once

#include "sphere_interpolation/sphere_interpolation.h"
#include "spherical_harmonics/checks.h"

namespace geospec {

struct SphereInputs {
  Tensor xyz, pieces;  // contiguous
  int64_t n, half, rows, columns, terms;
};

inline SphereInputs check_sphere(const Tensor& xyz, const Tensor& pieces, int64_t half) {
  check_matrix(xyz, "xyz", 3);
  const int64_t width = dispatch_float(
      xyz, "xyz", [](auto* type) -> int64_t { return sphere::kWidth<std::remove_pointer_t<decltype(type)>>; });
  STD_TORCH_CHECK(pieces.dim() == 2 && pieces.size(0) == width && pieces.size(1) > 0, "pieces: wanted shape (", width,
                  ", terms), got ", describe(pieces));
  check_same_dtype(xyz, "xyz", pieces, "pieces");
  check_same_device(xyz, "xyz", pieces, "pieces");
  STD_TORCH_CHECK(half > 0 && half < (int64_t(1) << 14), "half: wanted 1 to 16383 steps from pole to pole, got ", half);
  return {torch::stable::contiguous(xyz),
          torch::stable::contiguous(pieces),
          xyz.size(0),
          half,
          half + width,
          2 * half + width,
          pieces.size(1)};
}

// Rows for as many steps as a grid (rows, columns, channels) has from pole to pole.
inline SphereInputs check_grid(const Tensor& xyz, const Tensor& pieces, const Tensor& grid, const char* name) {
  STD_TORCH_CHECK(grid.dim() == 3 && pieces.dim() == 2, name, ": wanted shape (rows, columns, channels), got ",
                  describe(grid));
  const SphereInputs in = check_sphere(xyz, pieces, grid.size(0) - pieces.size(0));
  STD_TORCH_CHECK(grid.size(1) == in.columns, name, ": wanted ", in.columns, " columns to ", in.rows, " rows, got ",
                  describe(grid));
  check_same_dtype(xyz, "xyz", grid, name);
  check_same_device(xyz, "xyz", grid, name);
  return in;
}

// A row for each point: contiguous.
inline Tensor check_point_rows(const Tensor& grad, const SphereInputs& in, int64_t channels) {
  STD_TORCH_CHECK(grad.dim() == 2 && grad.size(0) == in.n && (channels < 0 || grad.size(1) == channels),
                  "grad: wanted shape (", in.n, ", ", channels < 0 ? std::string("h") : std::to_string(channels),
                  "), got ", describe(grad));
  check_same_dtype(in.xyz, "xyz", grad, "grad");
  check_same_device(in.xyz, "xyz", grad, "grad");
  return torch::stable::contiguous(grad);
}

}  // namespace geospec
