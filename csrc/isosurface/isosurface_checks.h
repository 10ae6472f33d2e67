// What isosurface and its gradient accept, the same on both devices.
#pragma once

#include <cmath>

#include "common/checks.h"
#include "isosurface/isosurface.h"

namespace geospec {

struct IsosurfaceInputs {
  Tensor grid;  // contiguous
  isosurface::Size size;
  bool has_cells;
};

inline IsosurfaceInputs check_isosurface(const Tensor& grid, double level) {
  check_float(grid, "grid");
  STD_TORCH_CHECK(grid.dim() == 3, "grid: wanted shape (nz, ny, nx), got ", describe(grid));
  STD_TORCH_CHECK(std::isfinite(level), "level: wanted a finite number, got ", level);
  const isosurface::Size size{grid.size(0), grid.size(1), grid.size(2)};
  return {torch::stable::contiguous(grid), size, size.nz > 1 && size.ny > 1 && size.nx > 1};
}

[[noreturn]] inline void refuse_nan(const isosurface::Size& size, int64_t sample) {
  const int64_t row = sample / size.nx;
  STD_TORCH_CHECK(false, "grid: wanted no NaN, got one at (", row / size.ny, ", ", row % size.ny, ", ",
                  sample % size.nx, "); replace it by a large value to leave a hole");
}

[[noreturn]] inline void refuse_edge(const isosurface::Size& size, int64_t edge, int64_t place) {
  STD_TORCH_CHECK(isosurface::is_edge(size, edge), "edges: wanted edges of the grid, got ", edge, " at ", place);
  STD_TORCH_CHECK(false, "edges: wanted them by row, as isosurface gives them, got ", edge, " at ", place);
}

struct GradientInputs {
  IsosurfaceInputs surface;
  Tensor grad, edges;  // contiguous
};

inline GradientInputs check_isosurface_backward(const Tensor& grad, const Tensor& grid, const Tensor& edges,
                                                double level) {
  const IsosurfaceInputs surface = check_isosurface(grid, level);
  check_matrix(grad, "grad_vertices", 3);
  check_same_dtype(grid, "grid", grad, "grad_vertices");
  check_same_device(grid, "grid", grad, "grad_vertices");
  check_vector(edges, "edges", grad.size(0));
  check_index(edges, "edges");
  check_same_device(grid, "grid", edges, "edges");
  return {surface, torch::stable::contiguous(grad), torch::stable::contiguous(edges)};
}

}  // namespace geospec
