// Isosurface of a grid, row by row (after Schroeder, Maynard and Geveci 2015, "Flying Edges"): the work of one row on
// masks of 64 samples. Vertices are numbered by row, in a row those on edges along x, then y, then z, each by x.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"
#include "isosurface/cases.h"

namespace geospec::isosurface {

constexpr uint8_t kInside = 1, kOutside = 2, kBoth = 3;

struct Size {
  int64_t nz, ny, nx;
  GEOSPEC_HOST_DEVICE int64_t rows() const { return nz * ny; }
  GEOSPEC_HOST_DEVICE int64_t words() const { return (nx + 63) / 64; }
};

// Which samples are below the level.
struct Masks {
  Size size;
  const uint64_t* bits;  // (rows, words): bit b of word w is sample 64 w + b; no bit beyond the row
  const uint8_t* kinds;  // (rows): kInside where a sample of the row is, kOutside where one is not
};

GEOSPEC_HOST_DEVICE int count_ones(uint64_t bits) {
#ifdef __CUDA_ARCH__
  return __popcll(bits);
#else
  return __builtin_popcountll(bits);
#endif
}

GEOSPEC_HOST_DEVICE int lowest_one(uint64_t bits) {
#ifdef __CUDA_ARCH__
  return __ffsll(static_cast<long long>(bits)) - 1;
#else
  return __builtin_ctzll(bits);
#endif
}

// The bits of word w that are below n.
GEOSPEC_HOST_DEVICE uint64_t below(int64_t n, int64_t w) {
  const int64_t left = n - 64 * w;
  return left >= 64 ? ~uint64_t(0) : left <= 0 ? 0 : (uint64_t(1) << left) - 1;
}

// A row's masks, word by word.
struct RowMask {
  const uint64_t* bits;
  int64_t words;
  GEOSPEC_HOST_DEVICE uint64_t at(int64_t w) const { return bits[w]; }
  // Bit b is that of the sample after b.
  GEOSPEC_HOST_DEVICE uint64_t after(int64_t w) const { return bits[w] >> 1 | (w + 1 < words ? bits[w + 1] << 63 : 0); }
};

GEOSPEC_HOST_DEVICE RowMask row_mask(const Masks& masks, int64_t row) {
  return {masks.bits + row * masks.size.words(), masks.size.words()};
}

// Row `row` is (k, j), and its neighbour along each axis is this far away; 0 where the grid ends.
struct Steps {
  int64_t y, z;
};

GEOSPEC_HOST_DEVICE Steps steps_of(const Size& size, int64_t row) {
  return {row % size.ny + 1 < size.ny ? 1 : 0, row / size.ny + 1 < size.nz ? size.ny : 0};
}

// Edges along x with a crossing, by their lower sample; along y and z they are the exclusive or of two rows.
GEOSPEC_HOST_DEVICE uint64_t crossings_x(const Masks& masks, const RowMask& row, int64_t w) {
  return (row.at(w) ^ row.after(w)) & below(masks.size.nx - 1, w);
}

// A row of cells between four rows of samples. A cell is named by its lowest sample.
struct CellRow {
  RowMask rows[4];  // at y + 2 z

  // Cells that the surface cuts.
  GEOSPEC_HOST_DEVICE uint64_t active(const Masks& masks, int64_t w) const {
    uint64_t any = 0, all = ~uint64_t(0);
    for (int c = 0; c < 4; ++c) {
      const uint64_t here = rows[c].at(w), after = rows[c].after(w);
      any |= here | after;
      all &= here & after;
    }
    return any & ~all & below(masks.size.nx - 1, w);
  }
};

// The case of the cell at bit b of a word, from that word of its four rows and the words of the samples after.
GEOSPEC_HOST_DEVICE int pattern_at(const uint64_t* here, const uint64_t* after, int b) {
  int bits = 0;
  if (b < 63)
    for (int c = 0; c < 4; ++c) bits |= int(here[c] >> b & 3) << 2 * c;
  else
    for (int c = 0; c < 4; ++c) bits |= int(here[c] >> 63 | after[c] >> 63 << 1) << 2 * c;
  return bits;
}

// Whether the row has cells that are cut, and then their rows.
GEOSPEC_HOST_DEVICE bool cell_row(const Masks& masks, int64_t row, CellRow& cells) {
  const Steps step = steps_of(masks.size, row);
  if (!step.y || !step.z) return false;
  uint8_t kinds = 0;
  for (int c = 0; c < 4; ++c) {
    const int64_t r = row + (c & 1) * step.y + (c >> 1) * step.z;
    kinds |= masks.kinds[r];
    cells.rows[c] = row_mask(masks, r);
  }
  return kinds == kBoth;
}

// Edges with a crossing between two neighbouring rows; of a row and itself there are none.
GEOSPEC_HOST_DEVICE int64_t count_between(const Masks& masks, int64_t row, int64_t other) {
  int64_t n = 0;
  if (row == other || (masks.kinds[row] | masks.kinds[other]) != kBoth) return n;
  const RowMask here = row_mask(masks, row), there = row_mask(masks, other);
  for (int64_t w = 0; w < here.words; ++w) n += count_ones(here.at(w) ^ there.at(w));
  return n;
}

// Vertices on the edges of a row along each axis, and faces of its cells.
GEOSPEC_HOST_DEVICE void count_row(const Masks& masks, const Cases& cases, int64_t row, int64_t* vertices,
                                   int64_t& faces) {
  const RowMask here = row_mask(masks, row);
  const Steps step = steps_of(masks.size, row);
  int64_t along_x = 0;
  if (masks.kinds[row] == kBoth)
    for (int64_t w = 0; w < here.words; ++w) along_x += count_ones(crossings_x(masks, here, w));
  vertices[0] = along_x;
  vertices[1] = count_between(masks, row, row + step.y);
  vertices[2] = count_between(masks, row, row + step.z);
  faces = 0;
  CellRow cells;
  if (!cell_row(masks, row, cells)) return;
  for (int64_t w = 0; w < here.words; ++w) {
    uint64_t active = cells.active(masks, w);
    if (!active) continue;
    uint64_t at[4], after[4];
    for (int c = 0; c < 4; ++c) at[c] = cells.rows[c].at(w), after[c] = cells.rows[c].after(w);
    for (; active; active &= active - 1) faces += cases.triangles[pattern_at(at, after, lowest_one(active))];
  }
}

// Where the level is reached from a, which is below it, to b, which is not, or the other way round: 0 at a, 1 at b.
// Infinite values pull the crossing all the way to the finite end, two of them to the middle.
template <class T>
GEOSPEC_HOST_DEVICE double crossing(T a, T b, double level) {
  const double rise = double(b) - double(a);
  if (std::isfinite(rise)) return (level - double(a)) / rise;
  const bool infinite_a = std::isinf(a), infinite_b = std::isinf(b);
  if (infinite_a || infinite_b) return infinite_a && infinite_b ? 0.5 : infinite_a ? 1.0 : 0.0;
  return (0.5 * level - 0.5 * double(a)) / (0.5 * double(b) - 0.5 * double(a));  // the rise is beyond double's range
}

// Its derivatives in a and b.
template <class T>
GEOSPEC_HOST_DEVICE void crossing_slopes(T a, T b, double level, double& of_a, double& of_b) {
  of_a = of_b = 0;
  const double rise = double(b) - double(a);
  if (!std::isfinite(rise)) return;
  const double t = (level - double(a)) / rise;
  of_a = (t - 1) / rise;
  of_b = -t / rise;
}

// What is written: vertices (v, 3), their edges (v,) as 3 * sample + axis, faces (f, 3); and where each row begins.
template <class T>
struct Output {
  T* vertices;
  int64_t *edges, *faces;
  const int64_t* first_vertex;  // (3 * rows + 1): of each row and axis
  const int64_t* first_face;    // (rows + 1)
};

template <class T>
GEOSPEC_HOST_DEVICE void write_vertices(const Size& size, const T* grid, double level, const Output<T>& out,
                                        int64_t row, int axis, int64_t stride, int64_t w, uint64_t bits,
                                        int64_t& next) {
  for (; bits; bits &= bits - 1) {
    const int64_t i = 64 * w + lowest_one(bits), sample = row * size.nx + i;
    const double t = crossing(grid[sample], grid[sample + stride], level);
    T* v = out.vertices + 3 * next;
    v[0] = T(axis == 0 ? double(i) + t : double(i));
    v[1] = T(axis == 1 ? double(row % size.ny) + t : double(row % size.ny));
    v[2] = T(axis == 2 ? double(row / size.ny) + t : double(row / size.ny));
    out.edges[next++] = 3 * sample + axis;
  }
}

template <class T>
GEOSPEC_HOST_DEVICE void write_row_vertices(const Masks& masks, const T* grid, double level, const Output<T>& out,
                                            int64_t row) {
  int64_t next = out.first_vertex[3 * row];
  if (next == out.first_vertex[3 * row + 3]) return;
  const Size& size = masks.size;
  const RowMask here = row_mask(masks, row);
  const Steps step = steps_of(size, row);
  for (int64_t w = 0; w < here.words; ++w)
    write_vertices(size, grid, level, out, row, 0, 1, w, crossings_x(masks, here, w), next);
  for (int axis = 1; axis < 3; ++axis) {
    if (out.first_vertex[3 * row + axis] == out.first_vertex[3 * row + axis + 1]) continue;
    const int64_t rows = axis == 1 ? step.y : step.z;
    const RowMask there = row_mask(masks, row + rows);
    for (int64_t w = 0; w < here.words; ++w)
      write_vertices(size, grid, level, out, row, axis, rows * size.nx, w, here.at(w) ^ there.at(w), next);
  }
}

template <class T>
GEOSPEC_HOST_DEVICE void write_row_faces(const Masks& masks, const Cases& cases, const Output<T>& out, int64_t row) {
  int64_t* face = out.faces + 3 * out.first_face[row];
  CellRow cells;
  if (out.first_face[row] == out.first_face[row + 1] || !cell_row(masks, row, cells)) return;
  const Steps step = steps_of(masks.size, row);
  // Vertices so far on the eight lines of edges around the row of cells: along x at y + 2 z, along y at z, along z at
  // y.
  const int64_t beside[4] = {row, row + step.y, row + step.z, row + step.y + step.z};
  int64_t number[8];
  for (int c = 0; c < 4; ++c) number[c] = out.first_vertex[3 * beside[c]];
  for (int c = 0; c < 2; ++c) {
    number[4 + c] = out.first_vertex[3 * beside[2 * c] + 1];
    number[6 + c] = out.first_vertex[3 * beside[c] + 2];
  }
  for (int64_t w = 0; w < masks.size.words(); ++w) {
    uint64_t at[4], after[4], line[8];
    for (int c = 0; c < 4; ++c) {
      at[c] = cells.rows[c].at(w), after[c] = cells.rows[c].after(w);
      line[c] = crossings_x(masks, cells.rows[c], w);
    }
    for (int c = 0; c < 2; ++c) {
      line[4 + c] = at[2 * c] ^ at[2 * c + 1];
      line[6 + c] = at[c] ^ at[2 + c];
    }
    for (uint64_t active = cells.active(masks, w); active; active &= active - 1) {
      const int b = lowest_one(active), pattern = pattern_at(at, after, b);
      const uint64_t before = (uint64_t(1) << b) - 1;
      int64_t vertex[12];
      for (int c = 0; c < 4; ++c) vertex[c] = number[c] + count_ones(line[c] & before);
      for (int c = 0; c < 4; ++c) {
        vertex[4 + 2 * c] = number[4 + c] + count_ones(line[4 + c] & before);
        vertex[5 + 2 * c] = vertex[4 + 2 * c] + int64_t(line[4 + c] >> b & 1);
      }
      const int corners = 3 * cases.triangles[pattern];
      for (int c = 0; c < corners; ++c) *face++ = vertex[cases.edges[pattern][c]];
    }
    for (int c = 0; c < 8; ++c) number[c] += count_ones(line[c]);
  }
}

// Whether 3 * sample + axis is an edge of the grid.
GEOSPEC_HOST_DEVICE bool is_edge(const Size& size, int64_t edge) {
  if (edge < 0 || edge >= 3 * size.rows() * size.nx) return false;
  const int64_t axis = edge % 3, sample = edge / 3, row = sample / size.nx;
  if (axis == 0) return sample % size.nx + 1 < size.nx;
  return axis == 1 ? row % size.ny + 1 < size.ny : row / size.ny + 1 < size.nz;
}

// The gradient in a row of the grid, gathered from the vertices on its edges and on those that end in it. At most six
// terms a sample, in one order. `first` (rows + 1) are the rows' vertices.
template <class T>
GEOSPEC_HOST_DEVICE void gather_row(const Size& size, const T* grid, double level, const T* grad_vertices,
                                    const int64_t* edges, const int64_t* first, int64_t row, T* grad_grid) {
  const int64_t strides[3] = {1, size.nx, size.ny * size.nx};
  for (int64_t v = first[row]; v < first[row + 1]; ++v) {
    const int64_t sample = edges[v] / 3, axis = edges[v] % 3;
    double of_a, of_b;
    crossing_slopes(grid[sample], grid[sample + strides[axis]], level, of_a, of_b);
    grad_grid[sample] += T(of_a * double(grad_vertices[3 * v + axis]));
    if (axis == 0) grad_grid[sample + 1] += T(of_b * double(grad_vertices[3 * v]));
  }
  for (int axis = 1; axis < 3; ++axis) {
    const int64_t rows = axis == 1 ? 1 : size.ny;
    if (row < rows) continue;  // where a plane begins, the row before ends one and has no edges along y
    for (int64_t v = first[row - rows]; v < first[row - rows + 1]; ++v) {
      const int64_t sample = edges[v] / 3;
      if (edges[v] % 3 != axis) continue;
      double of_a, of_b;
      crossing_slopes(grid[sample], grid[sample + strides[axis]], level, of_a, of_b);
      grad_grid[sample + strides[axis]] += T(of_b * double(grad_vertices[3 * v + axis]));
    }
  }
}

}  // namespace geospec::isosurface
