// Whether a mesh is closed, and whether its faces agree: by edges, without a hash or a sort of them all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "mesh_sdf/checks.h"
#include "mesh_sdf/tree.h"

namespace geospec::mesh_sdf {

struct Closed {
  bool agree = true, even = true;  // every edge has as many faces one way as the other; an even number of faces
  std::vector<uint8_t> open;       // (f) faces with a side where those of one way outnumber the others
};

struct HalfEdge {
  int32_t other, face;  // the larger vertex
  bool upward;          // from the smaller to it
};

inline int64_t next_corner(int64_t c) { return c % 3 == 2 ? c - 2 : c + 1; }

// name(c): the vertex of corner c of 3 f, in [0, n). Faces to skip have no edges; null where there are none.
template <class Name>
Closed closed(int64_t n, int64_t f, const uint8_t* skip, const Name& name) {
  const auto every_side = [&](const auto& visit) {
    for (int64_t c = 0; c < 3 * f; ++c)
      if (!skip || !skip[c / 3]) visit(name(c), name(next_corner(c)), c / 3);
  };
  std::vector<int64_t> first(n + 1);  // half-edges are kept with their smaller vertex
  every_side([&](int64_t p, int64_t q, int64_t) { ++first[std::min(p, q) + 1]; });
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<int64_t> place(first.begin(), first.end() - 1);
  std::vector<HalfEdge> edges(first[n]);
  every_side([&](int64_t p, int64_t q, int64_t face) {
    edges[place[std::min(p, q)]++] = {int32_t(std::max(p, q)), int32_t(face), p < q};
  });
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

// By the vertices' indices, then by their places, where the indices leave the mesh open.
inline Closed closed(int64_t n, const int64_t* faces, int64_t f, const std::vector<int64_t>& name,
                     const uint8_t* skip) {
  Closed found = closed(n, f, skip, [=](int64_t c) { return faces[c]; });
  if (found.agree || found.even) return found;
  return closed(n, f, skip, [&](int64_t c) { return name[faces[c]]; });
}

// A face by its places: the smallest is where it is kept, `turned` tells an odd order of the three.
struct Triple {
  int32_t middle, largest, face;
  bool turned;
};

// Calls visit(begin, end) for the faces that have the same three places, in order, where there are two or more.
template <class Visit>
void every_repeated(int64_t n, const int64_t* faces, int64_t f, const std::vector<int64_t>& name, const Visit& visit) {
  std::vector<int64_t> first(n + 1);
  const auto every_face = [&](const auto& put) {
    for (int64_t i = 0; i < f; ++i) {
      int64_t p[3] = {name[faces[3 * i]], name[faces[3 * i + 1]], name[faces[3 * i + 2]]};
      bool turned = false;
      for (const int k : {0, 1, 0})
        if (p[k] > p[k + 1]) {
          std::swap(p[k], p[k + 1]);
          turned = !turned;
        }
      if (p[0] < p[1] && p[1] < p[2]) put(p[0], Triple{int32_t(p[1]), int32_t(p[2]), int32_t(i), turned});
    }
  };
  every_face([&](int64_t least, const Triple&) { ++first[least + 1]; });
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<int64_t> place(first.begin(), first.end() - 1);
  std::vector<Triple> triples(first[n]);
  every_face([&](int64_t least, const Triple& t) { triples[place[least]++] = t; });
  for (int64_t v = 0; v < n; ++v) {
    const auto begin = triples.begin() + first[v], end = triples.begin() + first[v + 1];
    std::sort(begin, end, [](const Triple& a, const Triple& b) {
      return std::tie(a.middle, a.largest, a.face) < std::tie(b.middle, b.largest, b.face);
    });
    for (auto t = begin; t != end;) {
      const auto same = t;
      while (t != end && t->middle == same->middle && t->largest == same->largest) ++t;
      if (t - same > 1) visit(same, t);
    }
  }
}

// Faces in pieces that share places.
class Pieces {
 public:
  explicit Pieces(int64_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), 0); }

  int64_t of(int64_t v) {
    while (parent_[v] != v) v = parent_[v] = parent_[parent_[v]];
    return v;
  }
  void join(int64_t a, int64_t b) { parent_[of(a)] = of(b); }

 private:
  std::vector<int64_t> parent_;
};

struct Verdict {
  Closed closed;
  std::vector<uint8_t> skip;  // (f) faces that do not count for signs; empty where all do
};

// Of faces with the same three places one counts, the first of the sense that more have. Where that leaves the mesh
// open, as many of either sense count as none: they are walls within a body; but not in pieces that have no other
// faces: those are sheets with two sides.
template <class T>
Verdict judge(const T* vertices, int64_t n, const int64_t* faces, int64_t f) {
  const std::vector<int64_t> name = same_place(vertices, n);
  Verdict out;
  std::vector<int32_t> walls;  // that count, and have as many twins in the other sense
  every_repeated(n, faces, f, name, [&](auto begin, auto end) {
    out.skip.resize(f);
    int64_t turned = 0;
    for (auto t = begin; t != end; ++t) turned += t->turned ? 1 : -1;
    auto kept = begin;
    while (turned != 0 && kept->turned != (turned > 0)) ++kept;
    for (auto t = begin; t != end; ++t) out.skip[t->face] = t != kept;
    if (turned == 0) walls.push_back(kept->face);
  });
  const uint8_t* skip = out.skip.empty() ? nullptr : out.skip.data();
  out.closed = closed(n, faces, f, name, skip);
  if (out.closed.agree || out.closed.even || walls.empty()) return out;
  Pieces pieces(n);
  for (int64_t c = 0; c < 3 * f; ++c) pieces.join(name[faces[c]], name[faces[next_corner(c)]]);
  std::vector<uint8_t> wall(f), mixed(n);
  for (const int32_t i : walls) wall[i] = 1;
  for (int64_t i = 0; i < f; ++i)
    if (!out.skip[i] && !wall[i]) mixed[pieces.of(name[faces[3 * i]])] = 1;
  for (const int32_t i : walls) out.skip[i] = mixed[pieces.of(name[faces[3 * i]])];
  out.closed = closed(n, faces, f, name, skip);
  return out;
}

// What "auto" stands for, and which faces count then; signs asked by name count them all.
template <class T>
Verdict decide(Mesh<T>& mesh, int64_t n, Sign& sign) {
  Verdict out;
  if (sign == Sign::winding) {
    out.closed = closed(n, mesh.faces, mesh.f, same_place(mesh.vertices, n), nullptr);
  } else if (sign == Sign::automatic) {
    out = judge(mesh.vertices, n, mesh.faces, mesh.f);
    if (!out.skip.empty()) mesh.skip = out.skip.data();
    sign = out.closed.agree ? Sign::nonzero : out.closed.even ? Sign::parity : Sign::winding;
  }
  return out;
}

}  // namespace geospec::mesh_sdf
