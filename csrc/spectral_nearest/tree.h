// A tree over points that lie near a surface: each node keeps its centre, the three principal axes of its
// points, their range on each axis and their greatest distance from the span. The distance of a query far
// off the surface then still tells near patches from far ones, which boxes and balls do not.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "spectral_nearest/instruction_sets.h"

namespace geospec::nearest {

constexpr int64_t kLeaf = 48;        // points in a leaf: a multiple of the rows of every register tile
constexpr int64_t kAxisSample = 64;  // points from which a node's axes are found

// Coordinates relative to a common centre, times a power of two.
template <class T>
struct Frame {
  std::vector<T> center;
  T scale;
};

struct Node {
  int64_t begin, end;  // its points, in the order of the tree
  int64_t child;       // the first of two neighbouring children; 0 at a leaf
  double split;        // on the first axis: below lies the first child
};

template <class T>
struct Tree {
  std::vector<Node> nodes;
  std::vector<NodeBounds<T>> bounds;
  std::vector<T> rows;         // per node: centre, then the axes (1 + kAxes, d)
  std::vector<int64_t> order;  // the point at each place of the tree
  int64_t leaves = 0;

  const T* center(int64_t node, int64_t d) const { return rows.data() + node * (1 + kAxes) * d; }
};

// Orthonormalises the axes in place; one that vanishes becomes zero, which leaves every bound valid.
template <class S, class T = typename S::Scalar>
void orthonormalize(T* axes, int64_t d) {
  for (int a = 0; a < kAxes; ++a) {
    T* axis = axes + a * d;
    const T before = S::dot(axis, axis, d);
    for (int pass = 0; pass < 2; ++pass)  // twice is enough
      for (int b = 0; b < a; ++b) S::axpy(-S::dot(axis, axes + b * d, d), axes + b * d, axis, d);
    const T square = S::dot(axis, axis, d);
    const T factor = square > T(1e-8) * before && square > 0 ? T(1) / std::sqrt(square) : T(0);
    for (int64_t k = 0; k < d; ++k) axis[k] *= factor;
  }
}

// Principal axes of a few of the node's points by subspace iteration.
template <class S, class T = typename S::Scalar>
void principal_axes(const T* points, const int64_t* order, int64_t n, int64_t d, const T* center, T* axes) {
  const int64_t samples = std::min(n, kAxisSample);
  std::vector<T> next(kAxes * d);
  for (int a = 0; a < kAxes; ++a) {  // start from three of the points, spread over the node
    const T* x = points + order[(n * (2 * a + 1)) / (2 * kAxes)] * d;
    for (int64_t k = 0; k < d; ++k) axes[a * d + k] = x[k] - center[k];
  }
  orthonormalize<S>(axes, d);
  std::vector<T> y(d);
  for (int iteration = 0; iteration < 3; ++iteration) {
    std::fill(next.begin(), next.end(), T(0));
    for (int64_t i = 0; i < samples; ++i) {
      const T* x = points + order[i * n / samples] * d;
      T on_axis[kAxes];
      S::project(x, center, axes, d, on_axis);
      std::copy(x, x + d, y.begin());
      S::axpy(T(-1), center, y.data(), d);
      for (int a = 0; a < kAxes; ++a) S::axpy(on_axis[a], y.data(), next.data() + a * d, d);
    }
    std::copy(next.begin(), next.end(), axes);
    orthonormalize<S>(axes, d);
  }
}

// Describes one node and orders its points along its first axis, the lower half first.
template <class S, class T = typename S::Scalar>
void fit_node(const T* points, int64_t d, Tree<T>& tree, int64_t index) {
  Node& node = tree.nodes[index];
  const int64_t n = node.end - node.begin;
  int64_t* order = tree.order.data() + node.begin;
  T* center = tree.rows.data() + index * (1 + kAxes) * d;
  T* axes = center + d;
  std::fill(center, center + d, T(0));
  for (int64_t i = 0; i < n; ++i) S::axpy(T(1), points + order[i] * d, center, d);
  for (int64_t k = 0; k < d; ++k) center[k] /= T(n);
  principal_axes<S>(points, order, n, d, center, axes);

  NodeBounds<T>& bounds = tree.bounds[index];
  T radius = 0, reach = 0;
  std::vector<std::pair<T, int64_t>> along(n);
  for (int64_t i = 0; i < n; ++i) {
    T t[kAxes];
    const T square = S::project(points + order[i] * d, center, axes, d, t);
    T off = square;
    for (int a = 0; a < kAxes; ++a) {
      off -= t[a] * t[a];
      bounds.low[a] = i == 0 ? t[a] : std::min(bounds.low[a], t[a]);
      bounds.high[a] = i == 0 ? t[a] : std::max(bounds.high[a], t[a]);
    }
    reach = std::max(reach, square);
    radius = std::max(radius, off);
    along[i] = {t[0], order[i]};
  }
  reach = std::sqrt(reach);
  const T error = rounding_error<T>(d, T(1)) * reach;
  bounds.radius = std::sqrt(radius + rounding_error<T>(d, reach));
  bounds.center_norm = S::dot(center, center, d);
  for (int a = 0; a < kAxes; ++a) {
    bounds.center_on_axis[a] = S::dot(axes + a * d, center, d);
    bounds.low[a] -= error;
    bounds.high[a] += error;
  }
  if (node.child == 0) return;
  const int64_t half = tree.nodes[node.child].end - node.begin;
  std::nth_element(along.begin(), along.begin() + half, along.end());
  for (int64_t i = 0; i < n; ++i) order[i] = along[i].second;
  node.split = double(along[half].first) + double(bounds.center_on_axis[0]);
}

// `points` (n, d) in the common frame. Ends of the nodes depend on n alone, so the levels are laid out first
// and the nodes of one level are then fitted side by side.
template <class S, class P, class T = typename S::Scalar>
Tree<T> build_tree(const T* points, int64_t n, int64_t d, const P& parallel) {
  Tree<T> tree;
  tree.nodes.push_back({0, n, 0, 0});
  std::vector<int64_t> level_begin = {0};
  for (int64_t i = 0; i < int64_t(tree.nodes.size()); ++i) {
    const Node node = tree.nodes[i];
    const int64_t leaves = (node.end - node.begin + kLeaf - 1) / kLeaf;
    if (leaves <= 1) {
      ++tree.leaves;
      continue;
    }
    const int64_t middle = node.begin + (leaves / 2) * kLeaf, child = tree.nodes.size();
    tree.nodes[i].child = child;
    if (i >= level_begin.back()) level_begin.push_back(child);
    tree.nodes.push_back({node.begin, middle, 0, 0});
    tree.nodes.push_back({middle, node.end, 0, 0});
  }
  const int64_t count = tree.nodes.size();
  level_begin.push_back(count);
  tree.bounds.resize(count);
  tree.rows.resize(count * (1 + kAxes) * d);
  tree.order.resize(n);
  for (int64_t i = 0; i < n; ++i) tree.order[i] = i;
  for (size_t level = 0; level + 1 < level_begin.size(); ++level)
    parallel(level_begin[level], level_begin[level + 1], 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) fit_node<S>(points, d, tree, i);
    });
  return tree;
}

}  // namespace geospec::nearest
