// Signs by crossings: how often each row along x has entered the surface before each cell.
#pragma once

#include <cstdint>
#include <vector>

#include "mesh_sdf/tree.h"

namespace geospec::mesh_sdf {

// Adds to the counts of the slice (ny, nx) at height z, for every triangle, where rows cross it.
template <class T>
void cross_slice(const Box& box, const Mesh<T>& mesh, const Tree<T>& tree, double z, T* counts) {
  const T height = T(z);  // rounding keeps the order, so nothing that spans z is lost
  int64_t stack[128], depth = 0;
  stack[depth++] = 0;
  while (depth > 0) {
    const int64_t i = stack[--depth];
    const Node<T>& node = tree.nodes[i];
    if (!(node.low[2] <= height && height <= node.high[2])) continue;
    if (!tree.leaf(i)) {
      stack[depth++] = 2 * i + 2;
      stack[depth++] = 2 * i + 1;
      continue;
    }
    const Leaf<T>& leaf = tree.leaves[node.first];
    for (int l = 0; l < kLeaf; ++l) {
      if (!(leaf.low[2][l] <= height && height <= leaf.high[2][l])) continue;
      double corners[9];
      mesh.signing_corners(tree.face[int64_t(node.first) * kLeaf + l], corners);
      cross_rows(box, corners, z, [&](int64_t j, int64_t i, int turn) { counts[j * box.n[0] + i] += T(turn); });
    }
  }
}

// Calls finish(count, value) at every cell with how often its row has entered the surface before it less how often
// left.
template <class T, class P, class F>
void every_count(const Box& box, const Mesh<T>& mesh, const Tree<T>& tree, T* values, const P& parallel,
                 const F& finish) {
  const int64_t row = box.n[0], slice = box.n[1] * row;
  parallel(0, box.n[2], 4, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      T* counts = values + k * slice;
      for (int64_t i = 0; i < slice; ++i) counts[i] = 0;
      cross_slice(box, mesh, tree, box.at(2, k), counts);
      for (int64_t j = 0; j < box.n[1]; ++j) {
        T count = 0;  // whole numbers, far below where these end to be exact
        for (int64_t i = j * row; i < (j + 1) * row; ++i) counts[i] = finish(count += counts[i]);
      }
    }
  });
}

// Writes -truncation inside and truncation outside. Inside is where the count of a row is odd (parity), or not zero.
template <class T, class P>
void sign_by_crossings(const Box& box, const Mesh<T>& mesh, const Tree<T>& tree, bool parity, T truncation, T* values,
                       const P& parallel) {
  if (parity)
    every_count(box, mesh, tree, values, parallel,
                [=](T count) { return int64_t(count) % 2 != 0 ? -truncation : truncation; });
  else
    every_count(box, mesh, tree, values, parallel, [=](T count) { return count != 0 ? -truncation : truncation; });
}

}  // namespace geospec::mesh_sdf
