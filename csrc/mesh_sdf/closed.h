// Whether a mesh is closed, and whether its faces agree: by edges, without a hash or a sort of them all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace geospec::mesh_sdf {

struct Closed {
  bool agree = true, even = true;  // every edge has as many faces one way as the other; an even number of faces
  std::vector<uint8_t> open;       // (f) faces with a side where those of one way outnumber the others
};

struct HalfEdge {
  int32_t other, face;  // the larger vertex
  bool upward;          // from the smaller to it
};

// name(c): the vertex of corner c of 3 f, in [0, n).
template <class Name>
Closed closed(int64_t n, int64_t f, const Name& name) {
  const auto next = [](int64_t c) { return c % 3 == 2 ? c - 2 : c + 1; };
  std::vector<int64_t> first(n + 1);  // half-edges are kept with their smaller vertex
  for (int64_t c = 0; c < 3 * f; ++c) ++first[std::min(name(c), name(next(c))) + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<int64_t> place(first.begin(), first.end() - 1);
  std::vector<HalfEdge> edges(3 * f);
  for (int64_t c = 0; c < 3 * f; ++c) {
    const int64_t p = name(c), q = name(next(c));
    edges[place[std::min(p, q)]++] = {int32_t(std::max(p, q)), int32_t(c / 3), p < q};
  }
  Closed all;
  all.open.resize(f);
  for (int64_t v = 0; v < n; ++v) {
    const auto end = edges.begin() + first[v + 1];
    std::sort(edges.begin() + first[v], end, [](const HalfEdge& a, const HalfEdge& b) { return a.other < b.other; });
    for (auto edge = edges.begin() + first[v]; edge != end;) {
      const auto begin = edge;
      int64_t balance = 0;
      for (; edge != end && edge->other == begin->other; ++edge) balance += edge->upward ? 1 : -1;
      if (begin->other == v) continue;  // a face that names a vertex twice has no such side
      all.even &= (edge - begin) % 2 == 0;
      if (balance == 0) continue;
      all.agree = false;
      for (auto e = begin; e != edge; ++e) all.open[e->face] = 1;
    }
  }
  return all;
}

// For each vertex the first that has its coordinates.
template <class T>
std::vector<int64_t> same_place(const T* vertices, int64_t n) {
  std::vector<int64_t> order(n), name(n);
  std::iota(order.begin(), order.end(), 0);
  const auto compare = [=](int64_t a, int64_t b) {
    for (int k = 0; k < 3; ++k)
      if (vertices[3 * a + k] != vertices[3 * b + k]) return vertices[3 * a + k] < vertices[3 * b + k] ? -1 : 1;
    return 0;
  };
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const int side = compare(a, b);
    return side < 0 || (side == 0 && a < b);
  });
  for (int64_t i = 0; i < n; ++i)
    name[order[i]] = i > 0 && compare(order[i - 1], order[i]) == 0 ? name[order[i - 1]] : order[i];
  return name;
}

// By the vertices' indices, then by their coordinates, where the indices leave the mesh open.
template <class T>
Closed closed(const T* vertices, int64_t n, const int64_t* faces, int64_t f) {
  Closed found = closed(n, f, [=](int64_t c) { return faces[c]; });
  if (found.agree || found.even) return found;
  const std::vector<int64_t> name = same_place(vertices, n);
  return closed(n, f, [&](int64_t c) { return name[faces[c]]; });
}

}  // namespace geospec::mesh_sdf
