#include <torch/csrc/stable/library.h>

#include <tuple>

#include "assembly/assembly_cpu.h"
#include "robust_stiffness/cover.h"
#include "robust_stiffness/robust_stiffness_checks.h"

namespace geospec {
namespace {

constexpr int64_t kGrain = 4096;
constexpr int64_t kMaxFlipsPerTriangle = 1000;  // stretched grids need as many as their cells are long

// A vertex that is not finite would make all lengths NaN, for mollification looks at all of them.
template <class T>
void check_vertices(const Tensor& vertices) {
  const T* v = data<T>(vertices);
  for (int64_t i = 0; i < 3 * vertices.size(0); ++i)
    STD_TORCH_CHECK(std::isfinite(v[i]), "vertices: wanted finite coordinates, got ", double(v[i]), " in vertex ",
                    i / 3);
}

// Faces in 32 bits, their copies numbered.
Faces load_faces(const Tensor& faces, const Tensor& multiplicity, int64_t n) {
  const int64_t f = faces.size(0);
  const int64_t *index = data<int64_t>(faces), *count = data<int64_t>(multiplicity);
  check_fits(f, n);
  Faces m;
  m.n_vertices = n;
  m.n_faces = f;
  m.corner = std::make_unique_for_overwrite<uint32_t[]>(3 * f);
  m.first_copy.resize(f + 1);
  for (int64_t t = 0; t < f; ++t) {
    STD_TORCH_CHECK(count[t] >= 1 && count[t] <= kMostLayers, "multiplicity: wanted 1 to ", kMostLayers, ", got ",
                    count[t], " of face ", t);
    m.first_copy[t] = uint32_t(m.n_copies);
    m.n_copies += count[t];
    for (int64_t c = 0; c < 3; ++c) {
      STD_TORCH_CHECK(index[3 * t + c] >= 0 && index[3 * t + c] < n, "faces: wanted indices in [0, ", n, "), got ",
                      index[3 * t + c], " in face ", t);
      m.corner[3 * t + c] = uint32_t(index[3 * t + c]);
    }
  }
  check_fits(m.n_copies, n);
  m.first_copy[f] = uint32_t(m.n_copies);
  if (m.n_copies > f) {
    m.face_of.resize(m.n_copies);
    for (int64_t t = 0; t < f; ++t)
      std::fill(m.face_of.begin() + m.first_copy[t], m.face_of.begin() + m.first_copy[t + 1], uint32_t(t));
  }
  return m;
}

// Lengthens all edges alike until no triangle inequality lacks its slack, then takes the cotangents.
void mollify(Faces& m, double delta) {
  double* length = m.length.get();
  std::vector<double> missing(count_blocks(m.n_faces), 0.0);
  parallel_blocks(m.n_faces, [&](int64_t block, int64_t begin, int64_t end) {
    double most = 0;
    for (int64_t t = begin; t < end; ++t)
      most = std::max(most, missing_slack(length[3 * t], length[3 * t + 1], length[3 * t + 2], delta));
    missing[block] = most;
  });
  const double longer = delta > 0 && m.n_faces ? *std::max_element(missing.begin(), missing.end()) : 0.0;
  m.cotangent = std::make_unique_for_overwrite<double[]>(3 * m.n_faces);
  double* cotangent = m.cotangent.get();
  torch::stable::parallel_for(0, m.n_faces, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t c = 0; c < 3; ++c) length[3 * t + c] += longer;
      cotangents_of_lengths(length + 3 * t, cotangent + 3 * t);
    }
  });
}

// Copies of face t that no flip has touched.
int64_t count_untouched(const Faces& m, const Surface& surface, int64_t t) {
  int64_t count = 0;
  for (int64_t i = surface.sides() * int64_t(m.first_copy[t]); i < surface.sides() * int64_t(m.first_copy[t + 1]); ++i)
    count += !surface.is_made(i);
  return count;
}

// One triangle as assembly takes it. One that meets a vertex twice is turned so that the other vertex comes first: then
// its two edges to that one are summed in one order in both rows, and the matrix stays symmetric bit for bit.
template <class T>
void put_triangle(const uint32_t* v, const double* length, const double* opposite, double weight, int64_t* index,
                  T* cotangent, T* area) {
  const int64_t first = v[0] == v[1] ? 2 : (v[0] == v[2] ? 1 : 0);
  for (int64_t c = 0; c < 3; ++c) {
    const int64_t corner = first + c < 3 ? first + c : first + c - 3;
    index[c] = v[corner];
    cotangent[c] = T(weight * opposite[corner < 2 ? corner + 1 : 0]);
  }
  *area = T(weight * area_of_lengths(length[0], length[1], length[2]));
}

// Each face once for all its copies that no flip has touched, then the triangles that flips have touched.
template <class T>
std::tuple<Tensor, Tensor, Tensor> collect(const Faces& m, const Surface& surface, const Tensor& like, double weight) {
  std::vector<int64_t> start(count_blocks(m.n_faces) + 1, 0);
  parallel_blocks(m.n_faces, [&](int64_t block, int64_t begin, int64_t end) {
    int64_t count = 0;
    for (int64_t t = begin; t < end; ++t) count += count_untouched(m, surface, t) > 0;
    start[block + 1] = count;
  });
  for (size_t b = 1; b < start.size(); ++b) start[b] += start[b - 1];
  const int64_t kept = start.back(), total = kept + int64_t(surface.touched().size());
  Tensor faces = torch::stable::new_empty(like, {total, 3}, ScalarType::Long);
  Tensor cotangents = torch::stable::new_empty(like, {total, 3}), areas = torch::stable::new_empty(like, {total});
  int64_t* index = data<int64_t>(faces);
  T *cotangent = data<T>(cotangents), *area = data<T>(areas);
  parallel_blocks(m.n_faces, [&](int64_t block, int64_t begin, int64_t end) {
    int64_t to = start[block];
    for (int64_t t = begin; t < end; ++t)
      if (const int64_t count = count_untouched(m, surface, t)) {
        put_triangle(&m.corner[3 * t], &m.length[3 * t], &m.cotangent[3 * t], weight * double(count), index + 3 * to,
                     cotangent + 3 * to, area + to);
        ++to;
      }
  });
  int64_t to = kept;
  for (const IntrinsicTriangle& t : surface.touched()) {
    put_triangle(t.origin, t.length, t.cotangent, weight, index + 3 * to, cotangent + 3 * to, area + to);
    ++to;
  }
  return {faces, cotangents, areas};
}

// The triangles of the Delaunay surface, each scaled by the part it counts.
template <class T>
std::tuple<Tensor, Tensor, Tensor> delaunay_triangles(const RobustInputs& in, double mollify_factor, bool tufted) {
  check_vertices<T>(in.vertices);
  Faces m = load_faces(in.faces, in.multiplicity, in.vertices.size(0));
  sort_rings(m);
  const EdgeCensus census = measure_edges(data<T>(in.vertices), m);
  STD_TORCH_CHECK(tufted || census.oriented,
                  "faces: wanted an oriented manifold mesh without tufted cover, got edges of more than two faces or "
                  "neighbours that turn in opposite ways");
  mollify(m, mollify_factor * census.mean_length);
  // The cover of an oriented surface is its double, two equal copies until an edge of the boundary wants a flip.
  Surface surface(m, census.oriented ? 1 : 2);
  const auto flip_all = [&](std::vector<uint32_t> waiting) {
    STD_TORCH_CHECK(surface.make_delaunay(std::move(waiting), kMaxFlipsPerTriangle * (2 * m.n_copies + 1)) >= 0,
                    "vertices, faces: wanted a mesh that flips make Delaunay, got no end after ", kMaxFlipsPerTriangle,
                    " flips for each of ", 2 * m.n_copies, " triangles");
  };
  flip_all(surface.find_flips());
  if (tufted && census.oriented && !census.closed)
    if (std::vector<uint32_t> waiting = surface.find_boundary_flips(); !waiting.empty()) {
      surface = surface.doubled();
      flip_all(std::move(waiting));
    }
  return collect<T>(m, surface, in.vertices, 1.0 / surface.sides());
}

std::tuple<Tensor, Tensor, Tensor, Tensor> robust_stiffness(const Tensor& vertices, const Tensor& faces,
                                                            const Tensor& multiplicity, double mollify_factor,
                                                            bool tufted) {
  const RobustInputs in = check_robust(vertices, faces, multiplicity, mollify_factor);
  return dispatch_float(in.vertices, "vertices", [&](auto* type) -> std::tuple<Tensor, Tensor, Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto [index, cotangents, areas] = delaunay_triangles<T>(in, mollify_factor, tufted);
    const auto [offsets, corners, crow, col] = mesh_adjacency(index, in.vertices.size(0));
    const auto [values, mass] = assemble_stiffness(cotangents, areas, index, offsets, corners, crow, col);
    return {crow, col, values, mass};
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("robust_stiffness", TORCH_BOX(&robust_stiffness)); }

}  // namespace geospec
