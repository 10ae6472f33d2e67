// A balanced tree of boxes over triangles: halves by number along the widest axis, leaves of kLeaf triangles that lie
// across the lanes of a register.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "mesh_sdf/mesh_sdf.h"

namespace geospec::mesh_sdf {

constexpr int kLeaf = 16;

template <class T>
struct Node {
  T low[3], high[3];     // what its triangles span
  T sample[3];           // a point of one of them
  int32_t first, count;  // leaves
};

// The boxes of a leaf's triangles, empty ones (low above high) behind the last.
template <class T>
struct Leaf {
  T low[3][kLeaf], high[3][kLeaf];
};

template <class T>
struct Mesh {
  const T* vertices;     // (n, 3)
  const int64_t* faces;  // (f, 3)
  int64_t f;
  const Box& box;
  const uint8_t* skip = nullptr;  // (f) faces that do not count for signs; null where all do

  // Corners (3, 3) of a face in the kernel's coordinates.
  void corners(int64_t face, double* out) const {
    for (int c = 0; c < 3; ++c)
      for (int k = 0; k < 3; ++k)
        out[3 * c + k] = (double(vertices[3 * faces[3 * face + c] + k]) - box.centre[k]) * box.scale;
  }

  // The same for signs: a face that does not count is a point.
  void signing_corners(int64_t face, double* out) const {
    corners(face, out);
    if (skip && skip[face])
      for (int c = 3; c < 9; ++c) out[c] = out[c - 3];
  }
};

template <class T>
struct Tree {
  std::vector<Node<T>> nodes;  // a heap: the children of i are 2 i + 1 and 2 i + 2; unused ones have count 0
  std::vector<Leaf<T>> leaves;
  std::vector<Triangle<T>> triangles;  // in the order of the leaves
  std::vector<int32_t> face;           // of each

  bool leaf(int64_t node) const { return nodes[node].count == 1; }
  int32_t size(int64_t leaf) const { return std::min<int64_t>(kLeaf, int64_t(face.size()) - leaf * kLeaf); }
};

struct Place {
  float middle[3];
  int32_t face;
};

// Sorts the places of [node.first, node.first + node.count) leaves so that the children take a half each.
template <class T>
void split(const Node<T>& node, std::vector<Place>& places, Node<T>* children) {
  const auto begin = places.begin() + int64_t(node.first) * kLeaf;
  const auto end = places.begin() + std::min<int64_t>(int64_t(places.size()), int64_t(node.first + node.count) * kLeaf);
  float low[3], high[3];
  for (int k = 0; k < 3; ++k) low[k] = high[k] = begin->middle[k];
  for (auto p = begin; p != end; ++p)
    for (int k = 0; k < 3; ++k) {
      low[k] = std::min(low[k], p->middle[k]);
      high[k] = std::max(high[k], p->middle[k]);
    }
  int axis = 0;
  for (int k = 1; k < 3; ++k)
    if (high[k] - low[k] > high[axis] - low[axis]) axis = k;
  const int32_t half = node.count / 2;
  std::nth_element(begin, begin + int64_t(half) * kLeaf, end, [axis](const Place& a, const Place& b) {
    return a.middle[axis] < b.middle[axis] || (a.middle[axis] == b.middle[axis] && a.face < b.face);
  });
  children[0].first = node.first;
  children[0].count = half;
  children[1].first = node.first + half;
  children[1].count = node.count - half;
}

template <class T>
void fill_leaf(Tree<T>& tree, const Mesh<T>& mesh, Node<T>& node) {
  constexpr T infinite = std::numeric_limits<T>::infinity();
  Leaf<T>& leaf = tree.leaves[node.first];
  for (int k = 0; k < 3; ++k) {
    std::fill_n(leaf.low[k], kLeaf, infinite);
    std::fill_n(leaf.high[k], kLeaf, -infinite);
    node.low[k] = infinite;
    node.high[k] = -infinite;
  }
  const int32_t size = tree.size(node.first);
  for (int32_t l = 0; l < size; ++l) {
    const int64_t place = int64_t(node.first) * kLeaf + l;
    double corners[9];
    mesh.corners(tree.face[place], corners);
    tree.triangles[place] = make_triangle<T>(corners);
    for (int k = 0; k < 3; ++k) {
      leaf.low[k][l] = T(std::min({corners[k], corners[3 + k], corners[6 + k]}));
      leaf.high[k][l] = T(std::max({corners[k], corners[3 + k], corners[6 + k]}));
      node.low[k] = std::min(node.low[k], leaf.low[k][l]);
      node.high[k] = std::max(node.high[k], leaf.high[k][l]);
      if (l == size / 2) node.sample[k] = T((corners[k] + corners[3 + k] + corners[6 + k]) / 3);
    }
  }
}

// P: parallel_for(begin, end, grain, f(begin, end)). A mesh of at least one face.
template <class T, class P>
Tree<T> plant(const Mesh<T>& mesh, const P& parallel) {
  Tree<T> tree;
  const int64_t n_leaves = (mesh.f + kLeaf - 1) / kLeaf;
  std::vector<Place> places(mesh.f);
  parallel(0, mesh.f, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t f = begin; f < end; ++f) {
      double corners[9];
      mesh.corners(f, corners);
      for (int k = 0; k < 3; ++k) places[f].middle[k] = float((corners[k] + corners[3 + k] + corners[6 + k]) / 3);
      places[f].face = int32_t(f);
    }
  });
  int depth = 0;
  while ((int64_t(1) << depth) < n_leaves) ++depth;
  tree.nodes.assign((int64_t(2) << depth) - 1, Node<T>{});
  tree.nodes[0].count = int32_t(n_leaves);
  for (int level = 0; level < depth; ++level) {
    const int64_t first = (int64_t(1) << level) - 1;
    parallel(first, 2 * first + 1, level < 8 ? 1 : 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (tree.nodes[i].count > 1) split(tree.nodes[i], places, &tree.nodes[2 * i + 1]);
    });
  }
  tree.leaves.resize(n_leaves);
  tree.triangles.resize(mesh.f);
  tree.face.resize(mesh.f);
  for (int64_t i = 0; i < mesh.f; ++i) tree.face[i] = places[i].face;
  parallel(0, int64_t(tree.nodes.size()), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      if (tree.leaf(i)) fill_leaf(tree, mesh, tree.nodes[i]);
  });
  for (int64_t i = int64_t(tree.nodes.size()) - 1; i >= 0; --i) {
    Node<T>& node = tree.nodes[i];
    if (node.count <= 1) continue;
    const Node<T>&a = tree.nodes[2 * i + 1], &b = tree.nodes[2 * i + 2];
    for (int k = 0; k < 3; ++k) {
      node.low[k] = std::min(a.low[k], b.low[k]);
      node.high[k] = std::max(a.high[k], b.high[k]);
      node.sample[k] = a.sample[k];
    }
  }
  return tree;
}

}  // namespace geospec::mesh_sdf
