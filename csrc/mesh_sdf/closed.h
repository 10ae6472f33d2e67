// Whether a mesh is closed, and whether its faces agree: by edges, without a hash or a sort of them all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "mesh_sdf/checks.h"
#include "mesh_sdf/tree.h"

namespace geospec::mesh_sdf {

struct Closed {
  bool agree, even;  // every edge has as many faces one way as the other; an even number of faces
};

// name(c): the vertex of corner c of 3 f, in [0, n).
template <class Name>
Closed closed(int64_t n, int64_t f, const Name& name) {
  const auto next = [](int64_t c) { return c % 3 == 2 ? c - 2 : c + 1; };
  std::vector<int64_t> first(n + 1);  // edges are kept with their smaller vertex
  for (int64_t c = 0; c < 3 * f; ++c) ++first[std::min(name(c), name(next(c))) + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<int64_t> place(first.begin(), first.end() - 1), edges(3 * f);  // 2 * the larger vertex + the direction
  for (int64_t c = 0; c < 3 * f; ++c) {
    const int64_t p = name(c), q = name(next(c));
    edges[place[std::min(p, q)]++] = 2 * std::max(p, q) + (p < q);
  }
  Closed all = {true, true};
  for (int64_t v = 0; v < n; ++v) {
    std::sort(edges.begin() + first[v], edges.begin() + first[v + 1]);
    for (int64_t i = first[v]; i < first[v + 1];) {
      const int64_t other = edges[i] / 2;
      int64_t count = 0, balance = 0;
      for (; i < first[v + 1] && edges[i] / 2 == other; ++i, ++count) balance += edges[i] % 2 ? 1 : -1;
      if (other == v) continue;  // a face that names a vertex twice has no such side
      all.agree &= balance == 0;
      all.even &= count % 2 == 0;
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

// What Sign::automatic stands for.
template <class T>
Sign choose_sign(const T* vertices, int64_t n, const int64_t* faces, int64_t f) {
  Closed found = closed(n, f, [=](int64_t c) { return faces[c]; });
  if (!found.agree && !found.even) {
    const std::vector<int64_t> name = same_place(vertices, n);
    found = closed(n, f, [&](int64_t c) { return name[faces[c]]; });
  }
  return found.agree ? Sign::nonzero : found.even ? Sign::parity : Sign::winding;
}

}  // namespace geospec::mesh_sdf
