// Signs by generalised winding numbers, after Barill, Dickson, Schmidt, Levin and Jacobson 2018: far nodes of the tree
// count by their moments, near triangles by their solid angles. Along a row the number changes by the crossings and
// otherwise only near the border of the surface, so that away from it one number serves a row of a block.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "mesh_sdf/blocks.h"

namespace geospec::mesh_sdf {

constexpr double kClear = 0.25;  // a number so far from 1/2 leaves no doubt about its neighbours
constexpr double kBorder = 3;    // cells from the border within which every cell gets its own number

template <class L, class T>
class Winder {
 public:
  Winder(const Box& box, const Tree<T>& tree, const Moments<T>& moments, T truncation, T* values)
      : box_(box), tree_(tree), moments_(moments), truncation_(truncation), values_(values) {
    around_.moments = moments.nodes.data();
    around_.corners = moments.corners.data();
    around_.size = int64_t(tree.face.size());
  }

  void visit(const int64_t (&first)[3]) { descend(first, kLargestBlock); }

 private:
  // Squared distance from a region to the boxes of leaves, or to those with an open side; what exceeds the limit is not
  // told from it.
  T clearance(const Region<T>& region, bool border, T limit) const {
    int32_t stack[64], depth = 0;
    stack[depth++] = 0;
    while (depth > 0) {
      const int32_t i = stack[--depth];
      if (border && !moments_.border[i]) continue;
      const T gap = region.gap(tree_.nodes[i]);
      if (gap >= limit) continue;
      if (tree_.leaf(i)) {
        limit = gap;
      } else {
        stack[depth++] = 2 * i + 2;
        stack[depth++] = 2 * i + 1;
      }
    }
    return limit;
  }

  void place(int point, int64_t i, int64_t j, int64_t k) {
    const int64_t at[3] = {i, j, k};
    T* xyz[3] = {around_.x, around_.y, around_.z};
    for (int a = 0; a < 3; ++a) xyz[a][point] = T(box_.at(a, std::min(at[a], box_.n[a] - 1)));
  }

  // Winding numbers of the points of around_.
  void wind() {
    T low[3], high[3];
    const T* xyz[3] = {around_.x, around_.y, around_.z};
    for (int k = 0; k < 3; ++k) {
      low[k] = *std::min_element(xyz[k], xyz[k] + kPoints);
      high[k] = *std::max_element(xyz[k], xyz[k] + kPoints);
    }
    far_.clear();
    near_.clear();
    int32_t stack[64], depth = 0;
    stack[depth++] = 0;
    while (depth > 0) {
      const int32_t i = stack[--depth];
      const Moment<T>& m = moments_.nodes[i];
      T sum = 0;
      for (int k = 0; k < 3; ++k) {
        const T out = std::max({m.centre[k] - high[k], low[k] - m.centre[k], T(0)});
        sum += out * out;
      }
      if (sum > T(kFar * kFar) * m.radius * m.radius) {
        far_.push_back(i);
      } else if (tree_.leaf(i)) {
        near_.push_back(tree_.nodes[i].first);
      } else {
        stack[depth++] = 2 * i + 2;
        stack[depth++] = 2 * i + 1;
      }
    }
    around_.far = far_.data();
    around_.n_far = int64_t(far_.size());
    around_.near = near_.data();
    around_.n_near = int64_t(near_.size());
    L::wind(around_);
    for (int p = 0; p < kPoints; ++p)
      around_.winding[p] += around_.turns[p] + std::atan2(around_.imaginary[p], around_.real[p]) / T(2 * M_PI);
  }

  T& value(int64_t i, int64_t j, int64_t k) { return values_[(k * box_.n[1] + j) * box_.n[0] + i]; }
  T signed_by(T winding) const { return std::abs(winding) > T(0.5) ? -truncation_ : truncation_; }
  static bool clear(T winding) { return std::abs(std::abs(winding) - T(0.5)) > T(kClear); }

  template <class F>
  void every_cell(const int64_t (&first)[3], int size, const F& f) {
    for (int64_t k = first[2]; k < std::min(first[2] + size, box_.n[2]); ++k)
      for (int64_t j = first[1]; j < std::min(first[1] + size, box_.n[1]); ++j)
        for (int64_t i = first[0]; i < std::min(first[0] + size, box_.n[0]); ++i) f(i, j, k);
  }

  void descend(const int64_t (&first)[3], int size) {
    const Region<T> region(box_, first, size);
    const T side = region.extent + T(box_.spacing[0]);
    if (clearance(region, false, side * side) >= side * side && settle(first, size)) return;
    if (size > kBlock) return parts_of(box_, first, size, [&](const int64_t (&part)[3]) { descend(part, size / 2); });
    if (!by_rows(region, first)) every_number(first);
  }

  // A block with the surface at least its side away: its corners and the corners within decide, where all are clear.
  bool settle(const int64_t (&first)[3], int size) {
    for (int p = 0; p < kPoints; ++p) {
      const int64_t low = p < 8 ? 0 : size / 4, high = size - 1 - low;
      place(p, first[0] + (p & 1 ? high : low), first[1] + (p & 2 ? high : low), first[2] + (p & 4 ? high : low));
    }
    wind();
    const T value = signed_by(around_.winding[0]);
    for (int p = 0; p < kPoints; ++p)
      if (!clear(around_.winding[p]) || signed_by(around_.winding[p]) != value) return false;
    every_cell(first, size, [&](int64_t i, int64_t j, int64_t k) { this->value(i, j, k) = value; });
    return true;
  }

  // A smallest block away from the border: one number a row, the others by the crossings between.
  bool by_rows(const Region<T>& region, const int64_t (&first)[3]) {
    const T reach = T(kBorder * std::max({box_.spacing[0], box_.spacing[1], box_.spacing[2]}));
    if (clearance(region, true, reach * reach) < reach * reach) return false;
    const int64_t middle = std::min(first[0] + 1, box_.n[0] - 1);
    for (int p = 0; p < kPoints; ++p) place(p, middle, first[1] + p % kBlock, first[2] + p / kBlock);
    wind();
    T offset[kPoints];
    for (int p = 0; p < kPoints; ++p)
      offset[p] = around_.winding[p] - value(middle, std::min(first[1] + p % kBlock, box_.n[1] - 1),
                                             std::min(first[2] + p / kBlock, box_.n[2] - 1));
    const auto winding = [&](int64_t i, int64_t j, int64_t k) {
      return offset[(k - first[2]) * kBlock + j - first[1]] + value(i, j, k);
    };
    bool sure = true;
    every_cell(first, kBlock, [&](int64_t i, int64_t j, int64_t k) { sure &= clear(winding(i, j, k)); });
    if (sure)
      every_cell(first, kBlock, [&](int64_t i, int64_t j, int64_t k) { value(i, j, k) = signed_by(winding(i, j, k)); });
    return sure;
  }

  void every_number(const int64_t (&first)[3]) {
    for (int64_t k = first[2]; k < std::min(first[2] + kBlock, box_.n[2]); ++k) {
      for (int p = 0; p < kPoints; ++p) place(p, first[0] + p % kBlock, first[1] + p / kBlock, k);
      wind();
      for (int p = 0; p < kPoints; ++p) {
        const int64_t i = first[0] + p % kBlock, j = first[1] + p / kBlock;
        if (i < box_.n[0] && j < box_.n[1]) value(i, j, k) = signed_by(around_.winding[p]);
      }
    }
  }

  const Box& box_;
  const Tree<T>& tree_;
  const Moments<T>& moments_;
  const T truncation_;
  T* const values_;
  std::vector<int32_t> far_, near_;
  Around<T> around_;
};

// values: in, the counts of crossings; out, -truncation inside and truncation outside.
template <class L, class T, class P>
void sign_by_windings(const Box& box, const Tree<T>& tree, const Moments<T>& moments, T truncation, T* values,
                      const P& parallel) {
  every_block<Winder<L, T>>(box, parallel, box, tree, moments, truncation, values);
}

}  // namespace geospec::mesh_sdf
