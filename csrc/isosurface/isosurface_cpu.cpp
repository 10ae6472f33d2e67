#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <type_traits>

#include "common/pages.h"
#include "isosurface/instruction_sets.h"
#include "isosurface/isosurface_checks.h"

namespace geospec {
namespace {

using isosurface::Masks;
using isosurface::Size;

constexpr int64_t kChunk = 1 << 15;  // samples of the rows that a thread takes at a time

// Calls f(begin, end) for parts of the rows, which threads take as they become free: surfaces are not spread evenly.
template <class F>
void parallel_rows(const Size& size, const F& f) {
  const int64_t rows = size.rows(), grain = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, size.nx));
  const int64_t chunks = (rows + grain - 1) / grain;
  std::atomic<int64_t> next{0};
  torch::stable::parallel_for(0, std::min<int64_t>(chunks, torch::stable::get_num_threads()), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < chunks; i = next++) f(i * grain, std::min(rows, (i + 1) * grain));
  });
}

// The least T that is not below the level: samples of T are below both or neither.
template <class T>
T as_bar(double level) {
  const T bar = T(level);
  return double(bar) < level ? std::nextafter(bar, std::numeric_limits<T>::infinity()) : bar;
}

// First place of each row's vertices, by axis, and of its faces; the totals last.
struct Places {
  std::unique_ptr<int64_t[]> vertices, faces;
  int64_t n_vertices, n_faces;
};

template <class L>
Places count_rows(const Masks& masks) {
  const int64_t rows = masks.size.rows();
  Places places{std::make_unique_for_overwrite<int64_t[]>(3 * rows + 1),
                std::make_unique_for_overwrite<int64_t[]>(rows + 1), 0, 0};
  int64_t *vertices = places.vertices.get(), *faces = places.faces.get();
  parallel_rows(masks.size, [&](int64_t begin, int64_t end) { L::count(masks, begin, end, vertices, faces); });
  vertices[0] = faces[0] = 0;
  for (int64_t i = 0; i < 3 * rows; ++i) vertices[i + 1] += vertices[i];
  for (int64_t i = 0; i < rows; ++i) faces[i + 1] += faces[i];
  places.n_vertices = vertices[3 * rows];
  places.n_faces = faces[rows];
  return places;
}

std::tuple<Tensor, Tensor, Tensor> extract(const Tensor& grid_in, double level) {
  const IsosurfaceInputs in = check_isosurface(grid_in, level);
  const Size size = in.size;
  Tensor vertices = torch::stable::new_empty(in.grid, {0, 3}), edges = new_index(in.grid, 0);
  Tensor faces = torch::stable::new_empty(in.grid, {0, 3}, ScalarType::Long);
  dispatch_float(in.grid, "grid", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* grid = data<T>(in.grid);
    const auto bits = std::make_unique_for_overwrite<uint64_t[]>(size.rows() * size.words());
    const auto kinds = std::make_unique_for_overwrite<uint8_t[]>(size.rows());
    const Masks masks{size, bits.get(), kinds.get()};
    isosurface::dispatch_lanes<T>([&](auto* lanes) {
      using L = std::remove_pointer_t<decltype(lanes)>;
      std::atomic<bool> unordered{false};
      parallel_rows(size, [&, bar = as_bar<T>(level)](int64_t begin, int64_t end) {
        if (L::classify(grid, bar, size, begin, end, bits.get(), kinds.get())) unordered = true;
      });
      if (unordered) refuse_nan(size, std::find_if(grid, grid + in.grid.numel(), [](T x) { return x != x; }) - grid);
      if (!in.has_cells) return;
      const Places places = count_rows<L>(masks);
      vertices = torch::stable::new_empty(in.grid, {places.n_vertices, 3});
      edges = new_index(in.grid, places.n_vertices);
      faces = torch::stable::new_empty(in.grid, {places.n_faces, 3}, ScalarType::Long);
      prefer_large_pages(data<int64_t>(faces), places.n_faces * 3 * sizeof(int64_t));
      prefer_large_pages(data<T>(vertices), places.n_vertices * 3 * sizeof(T));
      const isosurface::Output<T> out{data<T>(vertices), data<int64_t>(edges), data<int64_t>(faces),
                                      places.vertices.get(), places.faces.get()};
      parallel_rows(size, [&](int64_t begin, int64_t end) { L::write(masks, grid, level, out, begin, end); });
    });
  });
  return {vertices, faces, edges};
}

// First vertex of each row of the grid; refuses edges that are none of the grid's or do not ascend by row.
std::unique_ptr<int64_t[]> first_of_rows(const Tensor& edges_in, const Size& size) {
  const int64_t n = edges_in.size(0), rows = size.rows();
  const int64_t* edges = data<int64_t>(edges_in);
  auto first = std::make_unique_for_overwrite<int64_t[]>(rows + 1);
  int64_t begun = 0;
  for (int64_t v = 0; v < n; ++v) {
    const int64_t row = isosurface::is_edge(size, edges[v]) ? edges[v] / 3 / size.nx : -1;
    if (row + 1 < std::max<int64_t>(begun, 1)) refuse_edge(size, edges[v], v);
    while (begun <= row) first[begun++] = v;
  }
  while (begun <= rows) first[begun++] = n;
  return first;
}

Tensor extract_backward(const Tensor& grad_in, const Tensor& grid_in, const Tensor& edges_in, double level) {
  const GradientInputs in = check_isosurface_backward(grad_in, grid_in, edges_in, level);
  const Size size = in.surface.size;
  Tensor grad_grid = torch::stable::empty_like(in.surface.grid);
  const auto first = first_of_rows(in.edges, size);
  dispatch_float(in.surface.grid, "grid", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *grid = data<T>(in.surface.grid), *grad = data<T>(in.grad);
    T* out = data<T>(grad_grid);
    prefer_large_pages(out, grad_grid.numel() * sizeof(T));
    parallel_rows(size, [&](int64_t begin, int64_t end) {
      std::fill(out + begin * size.nx, out + end * size.nx, T(0));
      for (int64_t row = begin; row < end; ++row)
        isosurface::gather_row(size, grid, level, grad, data<int64_t>(in.edges), first.get(), row, out);
    });
  });
  return grad_grid;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("isosurface", TORCH_BOX(&extract));
  m.impl("isosurface_backward", TORCH_BOX(&extract_backward));
}

}  // namespace geospec
