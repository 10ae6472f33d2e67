#include "assembly/assembly_cpu.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <vector>

#include "assembly/assembly.h"
#include "assembly/assembly_checks.h"

namespace geospec {
namespace {

constexpr int64_t kGrain = 2048;
constexpr int64_t kAhead = 24;  // corners between a prefetch and its use: some 200 ns

// Counting sort of the corners by vertex; corners of one vertex stay in the order of the faces.
void sort_corners(const int64_t* faces, int64_t n_corners, int64_t n, int64_t* offsets, int64_t* corners) {
  std::fill(offsets, offsets + n + 1, 0);
  for (int64_t i = 0; i < n_corners; ++i) {
    STD_TORCH_CHECK(faces[i] >= 0 && faces[i] < n, "faces: wanted indices in [0, ", n, "), got ", faces[i], " in face ",
                    i / 3);
    ++offsets[faces[i] + 1];
  }
  for (int64_t i = 0; i < n; ++i) offsets[i + 1] += offsets[i];
  std::vector<int64_t> next(offsets, offsets + n);
  for (int64_t i = 0; i < n_corners; ++i) {
    if (i + kAhead < n_corners) prefetch(corners + next[faces[i + kAhead]]);
    corners[next[faces[i]]++] = i;
  }
}

constexpr int64_t kSmall = 32;  // corners around a vertex up to which gather_small serves
constexpr int64_t kLanes = 8;   // numbers compared at once

// Calls visit with the two other vertices of each corner around vertex i.
template <class F>
void visit_neighbours(const MeshView& m, int64_t n_corners, int64_t i, const F& visit) {
  for (int64_t s = m.offsets[i]; s < m.offsets[i + 1]; ++s) {
    if (s + kAhead < n_corners) prefetch(m.faces + m.corners[s + kAhead]);
    const int64_t face = m.corners[s] / 3, c = m.corners[s] - 3 * face;
    visit(m.faces[3 * face + (c == 2 ? 0 : c + 1)]);
    visit(m.faces[3 * face + (c == 0 ? 2 : c - 1)]);
  }
}

// The sorted, distinct neighbours of vertex i and i itself; returns how many.
int64_t gather_any(const MeshView& m, int64_t n_corners, int64_t i, int64_t* row) {
  int64_t count = 0;
  row[count++] = i;
  visit_neighbours(m, n_corners, i, [&](int64_t j) { row[count++] = j; });
  std::sort(row, row + count);
  return std::unique(row, row + count) - row;
}

// The same for few neighbours, in 32 bits and without a branch that depends on their values: on meshes numbered at
// random such branches are guessed wrong every other time, which costs more than all the comparisons.
int64_t gather_small(const MeshView& m, int64_t n_corners, int64_t i, int64_t* row) {
  int32_t seen[2 * kSmall + kLanes];
  const int64_t most = 1 + 2 * (m.offsets[i + 1] - m.offsets[i]);
  std::fill(seen, seen + (most + kLanes - 1) / kLanes * kLanes, -1);  // -1 is no vertex
  seen[0] = int32_t(i);
  int64_t count = 1, lanes = kLanes;
  visit_neighbours(m, n_corners, i, [&](int64_t j) {
    int32_t known = 0;
    for (int64_t block = 0; block < lanes; block += kLanes)
      for (int64_t e = 0; e < kLanes; ++e) known |= seen[block + e] == int32_t(j);
    seen[count] = known ? seen[count] : int32_t(j);
    count += 1 - known;
    lanes = (count + kLanes) / kLanes * kLanes;
  });
  lanes = (count + kLanes - 1) / kLanes * kLanes;
  for (int64_t a = 0; a < count; ++a) {  // each goes to its rank: the number of smaller ones, the padding aside
    int32_t rank = int32_t(count - lanes);
    for (int64_t block = 0; block < lanes; block += kLanes)
      for (int64_t e = 0; e < kLanes; ++e) rank += seen[block + e] < seen[a];
    row[rank] = seen[a];
  }
  return count;
}

int64_t gather_row(const MeshView& m, int64_t n_corners, int64_t n, int64_t i, int64_t* row) {
  const bool small = m.offsets[i + 1] - m.offsets[i] <= kSmall && n <= INT32_MAX;
  return small ? gather_small(m, n_corners, i, row) : gather_any(m, n_corners, i, row);
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor> mesh_adjacency(const Tensor& faces_in, int64_t n) {
  check_matrix(faces_in, "faces", 3);
  check_index(faces_in, "faces");
  STD_TORCH_CHECK(n >= 0, "n_vertices: wanted at least 0, got ", n);
  const Tensor faces = torch::stable::contiguous(faces_in);
  const int64_t n_corners = 3 * faces.size(0);
  Tensor offsets = new_index(faces, n + 1), corners = new_index(faces, n_corners), crow = new_index(faces, n + 1);
  sort_corners(data<int64_t>(faces), n_corners, n, data<int64_t>(offsets), data<int64_t>(corners));
  const MeshView view{data<int64_t>(faces), data<int64_t>(offsets), data<int64_t>(corners)};

  // Row i has at most 1 + 2 valence entries, so it is gathered at a place known beforehand, then packed.
  const auto wide = std::make_unique_for_overwrite<int64_t[]>(2 * n_corners + n);
  int64_t *row_of = wide.get(), *row_start = data<int64_t>(crow);
  auto place = [&view](int64_t i) { return 2 * view.offsets[i] + i; };
  row_start[0] = 0;
  torch::stable::parallel_for(0, n, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) row_start[i + 1] = gather_row(view, n_corners, n, i, row_of + place(i));
  });
  for (int64_t i = 0; i < n; ++i) row_start[i + 1] += row_start[i];
  Tensor col = new_index(faces, row_start[n]);
  int64_t* column = data<int64_t>(col);
  torch::stable::parallel_for(0, n, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::copy_n(row_of + place(i), row_start[i + 1] - row_start[i], column + row_start[i]);
  });
  return {offsets, corners, crow, col};
}

std::tuple<Tensor, Tensor> assemble_stiffness(const Tensor& cotangents_in, const Tensor& areas_in,
                                              const Tensor& faces_in, const Tensor& offsets_in,
                                              const Tensor& corners_in, const Tensor& crow_in, const Tensor& col_in) {
  const AssemblyInputs in = check_assembly(cotangents_in, areas_in, faces_in, offsets_in, corners_in, crow_in, col_in);
  const int64_t n = in.crow.size(0) - 1, n_corners = in.corners.size(0);
  Tensor values = torch::stable::new_empty(in.cotangents, {in.col.size(0)});
  Tensor mass = torch::stable::new_empty(in.cotangents, {n});
  dispatch_float(in.cotangents, "cotangents", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const MeshView view{data<int64_t>(in.faces), data<int64_t>(in.offsets), data<int64_t>(in.corners)};
    const T *cot = data<T>(in.cotangents), *area = data<T>(in.areas);
    const int64_t *row = data<int64_t>(in.crow), *column = data<int64_t>(in.col);
    T *out = data<T>(values), *out_mass = data<T>(mass);
    torch::stable::parallel_for(0, n, kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t ahead = std::min(view.offsets[i] + kAhead, n_corners);
        for (int64_t s = ahead; s < std::min(view.offsets[i + 1] + kAhead, n_corners); ++s) {
          prefetch(view.faces + view.corners[s]);
          prefetch(cot + view.corners[s]);
          prefetch(area + view.corners[s] / 3);
        }
        assemble_row(view, cot, area, row, column, i, out, out_mass);
      }
    });
  });
  return {values, mass};
}

namespace {

std::tuple<Tensor, Tensor> assemble_stiffness_backward(const Tensor& grad_values_in, const Tensor& grad_mass_in,
                                                       const Tensor& faces_in, const Tensor& crow_in,
                                                       const Tensor& col_in) {
  const AssemblyGradients in = check_assembly_backward(grad_values_in, grad_mass_in, faces_in, crow_in, col_in);
  const int64_t f = in.faces.size(0);
  Tensor grad_cotangents = torch::stable::new_empty(in.grad_values, {f, 3});
  Tensor grad_areas = torch::stable::new_empty(in.grad_values, {f});
  dispatch_float(in.grad_values, "grad_values", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *gv = data<T>(in.grad_values), *gm = data<T>(in.grad_mass);
    const int64_t *index = data<int64_t>(in.faces), *row = data<int64_t>(in.crow), *column = data<int64_t>(in.col);
    T *out = data<T>(grad_cotangents), *out_area = data<T>(grad_areas);
    torch::stable::parallel_for(0, f, kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        assemble_backward_face(index + 3 * i, row, column, gv, gm, out + 3 * i, out_area + i);
    });
  });
  return {grad_cotangents, grad_areas};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("mesh_adjacency", TORCH_BOX(&mesh_adjacency));
  m.impl("assemble_stiffness", TORCH_BOX(&assemble_stiffness));
  m.impl("assemble_stiffness_backward", TORCH_BOX(&assemble_stiffness_backward));
}

}  // namespace geospec
