// Distances within the truncation: blocks of cells take from their parents the nodes of the tree that may hold a
// nearest triangle, so that what a block costs depends on the surface near it alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "mesh_sdf/blocks.h"

namespace geospec::mesh_sdf {

// Where results go; nearest is null where nobody asks.
template <class T>
struct Field {
  T* values;  // in: the truncation with the sign wanted, in the box's own units; out: distances in them
  int32_t* nearest;
};

template <class L, class T>
class Band {
 public:
  Band(const Box& box, const Tree<T>& tree, T truncation, const Field<T>& field)
      : box_(box), tree_(tree), truncation_(T(double(truncation) * box.scale)), unit_(T(1 / box.scale)), field_(field) {
    cells_.triangles = tree.triangles.data();
    cells_.leaves = tree.leaves.data();
  }

  void visit(const int64_t (&first)[3]) {
    nodes_.assign(1, 0);
    descend(first, kLargestBlock, 0);
  }

 private:
  // Rounding may not shut out what is just within reach.
  static T square(T reach) { return reach * reach * (1 + 32 * std::numeric_limits<T>::epsilon()); }

  // Puts at the end of the list what is left for a block of the nodes from `begin`: those within reach, taken apart
  // where they are larger than the block.
  void select(const Region<T>& region, bool last, int64_t begin) {
    const int64_t end = nodes_.size();
    const T reach = square(truncation_);
    T nearest = std::numeric_limits<T>::infinity();
    for (int64_t n = begin; n < end; ++n) {
      int32_t stack[64], depth = 0;
      stack[depth++] = nodes_[n];
      while (depth > 0) {
        const int32_t i = stack[--depth];
        const Node<T>& node = tree_.nodes[i];
        if (region.gap(node) > reach) continue;
        const T size = std::max({node.high[0] - node.low[0], node.high[1] - node.low[1], node.high[2] - node.low[2]});
        if (!tree_.leaf(i) && (last || size > region.extent)) {
          stack[depth++] = 2 * i + 2;
          stack[depth++] = 2 * i + 1;
          continue;
        }
        nodes_.push_back(i);
        const T squared = region.to_sample(node);
        if (squared < nearest) {
          nearest = squared;
          std::swap(nodes_[end], nodes_.back());
        }
      }
    }
    // No cell is farther from the surface than the centre is from a sample, and the radius.
    const T bound = std::min(reach, square(std::sqrt(nearest) + region.radius));
    int64_t kept = end;
    for (int64_t n = end; n < int64_t(nodes_.size()); ++n)
      if (region.gap(tree_.nodes[nodes_[n]]) <= bound) nodes_[kept++] = nodes_[n];
    nodes_.resize(kept);
  }

  void descend(const int64_t (&first)[3], int size, int64_t begin) {
    const int64_t end = nodes_.size();
    select(Region<T>(box_, first, size), size == kBlock, begin);
    if (int64_t(nodes_.size()) > end) {
      if (size == kBlock) {
        measure(first, end);
      } else {
        parts_of(box_, first, size, [&](const int64_t (&part)[3]) { descend(part, size / 2, end); });
      }
    }
    nodes_.resize(end);
  }

  void measure(const int64_t (&first)[3], int64_t begin) {
    list_.clear();
    for (int64_t n = begin; n < int64_t(nodes_.size()); ++n) list_.push_back(tree_.nodes[nodes_[n]].first);
    cells_.list = list_.data();
    cells_.n = list_.size();
    const T most = truncation_ * truncation_;
    for (int c = 0; c < kBlock * kBlock * kBlock; ++c) {  // cells beyond the grid repeat its last ones
      const int64_t at[3] = {c % kBlock, c / kBlock % kBlock, c / (kBlock * kBlock)};
      T* xyz[3] = {cells_.x, cells_.y, cells_.z};
      for (int k = 0; k < 3; ++k) xyz[k][c] = T(box_.at(k, std::min(first[k] + at[k], box_.n[k] - 1)));
      cells_.squared[c] = most;
    }
    L::nearest(cells_);
    const int64_t last[3] = {std::min<int64_t>(kBlock, box_.n[0] - first[0]),
                             std::min<int64_t>(kBlock, box_.n[1] - first[1]),
                             std::min<int64_t>(kBlock, box_.n[2] - first[2])};
    for (int64_t k = 0; k < last[2]; ++k)
      for (int64_t j = 0; j < last[1]; ++j) {
        const int64_t row = ((first[2] + k) * box_.n[1] + first[1] + j) * box_.n[0] + first[0];
        for (int64_t i = 0; i < last[0]; ++i) {
          const int64_t c = (k * kBlock + j) * kBlock + i;
          if (cells_.nearest[c] < 0) continue;
          field_.values[row + i] = std::copysign(std::sqrt(cells_.squared[c]) * unit_, field_.values[row + i]);
          if (field_.nearest) field_.nearest[row + i] = tree_.face[cells_.nearest[c]];
        }
      }
  }

  const Box& box_;
  const Tree<T>& tree_;
  const T truncation_, unit_;  // the truncation is scaled
  const Field<T> field_;
  std::vector<int32_t> nodes_, list_;
  Cells<T> cells_;
};

template <class L, class T, class P>
void measure_band(const Box& box, const Tree<T>& tree, T truncation, const Field<T>& field, const P& parallel) {
  every_block<Band<L, T>>(box, parallel, box, tree, truncation, field);
}

}  // namespace geospec::mesh_sdf
