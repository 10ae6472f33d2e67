#include <torch/csrc/stable/library.h>

#include <limits>
#include <tuple>

#include "assembly/assembly_cpu.h"
#include "robust_stiffness/cover.h"
#include "robust_stiffness/robust_stiffness_checks.h"

namespace geospec {
namespace {

constexpr int64_t kGrain = 4096;
constexpr int64_t kMaxFlipsPerEdge =
    1000;  // stretched grids need as many as their cells are long; none seen needs more

// A vertex that is not finite would make all lengths NaN, for mollification looks at all of them.
template <class T>
void check_vertices(const Tensor& vertices) {
  const T* v = data<T>(vertices);
  for (int64_t i = 0; i < 3 * vertices.size(0); ++i)
    STD_TORCH_CHECK(std::isfinite(v[i]), "vertices: wanted finite coordinates, got ", double(v[i]), " in vertex ",
                    i / 3);
}

// Faces one after another, layer by layer, their vertices in 32 bits.
std::pair<Surface, Layers> expand(const Tensor& faces, const Tensor& multiplicity, int64_t n) {
  const int64_t f = faces.size(0);
  const int64_t *index = data<int64_t>(faces), *count = data<int64_t>(multiplicity);
  int64_t most = 0;
  for (int64_t t = 0; t < f; ++t) {
    STD_TORCH_CHECK(count[t] >= 1 && count[t] <= kMostLayers, "multiplicity: wanted 1 to ", kMostLayers, ", got ",
                    count[t], " of face ", t);
    most = std::max(most, count[t]);
    for (int64_t c = 0; c < 3; ++c)
      STD_TORCH_CHECK(index[3 * t + c] >= 0 && index[3 * t + c] < n, "faces: wanted indices in [0, ", n, "), got ",
                      index[3 * t + c], " in face ", t);
  }
  Layers layers;
  for (int64_t l = 0; l < most; ++l) {
    int64_t here = 0;
    for (int64_t t = 0; t < f; ++t) here += count[t] > l;
    layers.start.push_back(layers.start.back() + here);
  }
  check_fits(layers.n_faces(), std::max<int64_t>(most, 1) * n);
  Surface sheet(layers.n_faces());
  int64_t next = 0;
  for (int64_t l = 0; l < most; ++l)
    for (int64_t t = 0; t < f; ++t)
      if (count[t] > l) {
        for (int64_t c = 0; c < 3; ++c) sheet.origin[3 * next + c] = uint32_t(index[3 * t + c]);
        ++next;
      }
  return {std::move(sheet), std::move(layers)};
}

// Lengthens all edges alike until no triangle inequality lacks its slack, then takes the cotangents.
void mollify(Surface& sheet, double delta) {
  const int64_t f = sheet.n_faces;
  double* length = sheet.length.get();
  std::vector<double> missing(count_blocks(f), 0.0);
  parallel_blocks(f, [&](int64_t block, int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      missing[block] =
          std::max(missing[block], missing_slack(length[3 * t], length[3 * t + 1], length[3 * t + 2], delta));
  });
  const double longer = delta > 0 && f ? *std::max_element(missing.begin(), missing.end()) : 0.0;
  double* cotangent = sheet.cotangent.get();
  torch::stable::parallel_for(0, f, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t c = 0; c < 3; ++c) length[3 * t + c] += longer;
      cotangents_of_lengths(length + 3 * t, cotangent + 3 * t);
    }
  });
}

// Half-edges that want a flip, in their order; of two twins the first.
std::vector<uint32_t> find_flips(Surface& surface) {
  const IntrinsicView m = surface.view();
  const int64_t n = 3 * surface.n_faces;
  std::vector<std::vector<uint32_t>> found(count_blocks(n));
  parallel_blocks(n, [&](int64_t block, int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h)
      if (m.cotangent[h] < 0 && wants_flip(m, uint32_t(h)) && (uint32_t(h) < m.twin[h] || m.cotangent[m.twin[h]] >= 0))
        found[block].push_back(uint32_t(h));
  });
  std::vector<uint32_t> all;
  for (const auto& part : found) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// Flips until every edge is Delaunay. The result does not depend on the order, but where four corners lie on a circle.
void flip_to_delaunay(Surface& surface, std::vector<uint32_t> waiting) {
  const IntrinsicView m = surface.view();
  const int64_t limit = kMaxFlipsPerEdge * (3 * surface.n_faces / 2) + 1000;
  int64_t flips = 0;
  while (!waiting.empty()) {
    const uint32_t h = waiting.back();
    waiting.pop_back();
    if (!wants_flip(m, h)) continue;
    const uint32_t g = m.twin[h];
    if (!flip(m, h)) continue;
    STD_TORCH_CHECK(++flips < limit, "vertices, faces: wanted a mesh that flips make Delaunay, got ", flips,
                    " flips on ", surface.n_faces, " triangles and ", waiting.size(), " edges still waiting");
    for (const uint32_t outer : {h, next_in_face(next_in_face(h)), g, next_in_face(next_in_face(g))})
      if (wants_flip(m, outer)) waiting.push_back(outer);
  }
}

// Triangles in int64 as assembly takes them, cotangents by corner, all scaled. A triangle that meets a vertex twice is
// turned so that the other one comes first: then its two edges to that one are summed alike in both rows.
template <class T>
std::tuple<Tensor, Tensor, Tensor> export_triangles(const Surface& surface, const Tensor& vertices, double weight) {
  const int64_t f = surface.n_faces;
  Tensor faces = torch::stable::new_empty(vertices, {f, 3}, ScalarType::Long);
  Tensor cotangents = torch::stable::new_empty(vertices, {f, 3}), areas = torch::stable::new_empty(vertices, {f});
  int64_t* index = data<int64_t>(faces);
  T *cotangent = data<T>(cotangents), *area = data<T>(areas);
  torch::stable::parallel_for(0, f, kGrain, [&, index, cotangent, area](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const uint32_t* v = surface.origin.get() + 3 * t;
      const double *l = surface.length.get() + 3 * t, *opposite = surface.cotangent.get() + 3 * t;
      const int64_t first = v[0] == v[1] ? 2 : (v[0] == v[2] ? 1 : 0);
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t corner = (first + c) % 3;
        index[3 * t + c] = v[corner];
        cotangent[3 * t + c] = T(weight * opposite[(corner + 1) % 3]);
      }
      area[t] = T(weight * area_of_lengths(l[0], l[1], l[2]));
    }
  });
  return {faces, cotangents, areas};
}

template <class T>
std::tuple<Surface, double> intrinsic_delaunay(const RobustInputs& in, double mollify_factor, bool tufted) {
  const int64_t n = in.vertices.size(0);
  const T* vertices = data<T>(in.vertices);
  check_vertices<T>(in.vertices);
  auto [sheet, layers] = expand(in.faces, in.multiplicity, n);
  const Edges edges = sort_edges(sheet, layers, n);
  const EdgeCensus census = measure_edges(vertices, edges, sheet);
  STD_TORCH_CHECK(tufted || census.oriented,
                  "faces: wanted an oriented manifold mesh without tufted cover, got edges of more than two faces or "
                  "neighbours that turn in opposite ways");
  mollify(sheet, mollify_factor * census.mean_length);
  const bool closed = false;
  (void)closed;
  if (!census.oriented) {
    Surface cover = tufted_cover(vertices, edges, sheet);
    flip_to_delaunay(cover, find_flips(cover));
    return {std::move(cover), 0.5};
  }
  flip_to_delaunay(sheet, find_flips(sheet));
  // The cover of an oriented sheet is its double, which differs from two copies only where an edge of the boundary
  // wants a flip.
  std::vector<uint32_t> waiting;
  for (int64_t h = 0; h < 3 * sheet.n_faces; ++h)
    if (sheet.twin[h] == kNoTwin && sheet.cotangent[h] < -kDelaunaySlack) waiting.push_back(uint32_t(h));
  if (!tufted || waiting.empty()) return {std::move(sheet), 1.0};
  Surface cover = double_of(sheet);
  flip_to_delaunay(cover, std::move(waiting));
  return {std::move(cover), 0.5};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> robust_stiffness(const Tensor& vertices, const Tensor& faces,
                                                            const Tensor& multiplicity, double mollify_factor,
                                                            bool tufted) {
  const RobustInputs in = check_robust(vertices, faces, multiplicity, mollify_factor);
  return dispatch_float(in.vertices, "vertices", [&](auto* type) -> std::tuple<Tensor, Tensor, Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto [index, cotangents, areas] = [&] {
      const auto [surface, weight] = intrinsic_delaunay<T>(in, mollify_factor, tufted);
      return export_triangles<T>(surface, in.vertices, weight);
    }();
    const auto [offsets, corners, crow, col] = mesh_adjacency(index, in.vertices.size(0));
    const auto [values, mass] = assemble_stiffness(cotangents, areas, index, offsets, corners, crow, col);
    return {crow, col, values, mass};
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("robust_stiffness", TORCH_BOX(&robust_stiffness)); }

}  // namespace geospec
