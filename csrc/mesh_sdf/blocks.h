// The grid as blocks of cells, each in eight, and what boxes of the tree are to them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "mesh_sdf/instruction_sets.h"

namespace geospec::mesh_sdf {

constexpr int kLargestBlock = 16;

// What the centres of a block's cells span.
template <class T>
struct Region {
  T low[3], high[3], extent, radius;

  Region(const Box& box, const int64_t* first, int size) {
    double squared = 0, most = 0;
    for (int k = 0; k < 3; ++k) {
      const double a = box.at(k, first[k]), b = box.at(k, std::min(first[k] + size, box.n[k]) - 1);
      low[k] = T(a);
      high[k] = T(b);
      squared += (b - a) * (b - a);
      most = std::max(most, b - a);
    }
    extent = T(most);
    radius = T(std::sqrt(squared) / 2);
  }

  // Squared distance between the two boxes.
  T gap(const Node<T>& node) const {
    T sum = 0;
    for (int k = 0; k < 3; ++k) {
      const T out = std::max({node.low[k] - high[k], low[k] - node.high[k], T(0)});
      sum += out * out;
    }
    return sum;
  }

  // Squared distance from the middle to a point of the node's surface.
  T to_sample(const Node<T>& node) const {
    T sum = 0;
    for (int k = 0; k < 3; ++k) {
      const T out = node.sample[k] - (low[k] + high[k]) / 2;
      sum += out * out;
    }
    return sum;
  }
};

// The eighths of a block that have cells.
template <class F>
void parts_of(const Box& box, const int64_t (&first)[3], int size, const F& visit) {
  for (int p = 0; p < 8; ++p) {
    const int half = size / 2;
    const int64_t part[3] = {first[0] + (p & 1) * half, first[1] + (p >> 1 & 1) * half, first[2] + (p >> 2) * half};
    if (part[0] < box.n[0] && part[1] < box.n[1] && part[2] < box.n[2]) visit(part);
  }
}

// Calls visit(first) of a Visitor, made of the arguments in every thread, for each of the largest blocks.
template <class Visitor, class P, class... Arguments>
void every_block(const Box& box, const P& parallel, const Arguments&... arguments) {
  int64_t n[3];
  for (int k = 0; k < 3; ++k) n[k] = (box.n[k] + kLargestBlock - 1) / kLargestBlock;
  parallel(0, n[0] * n[1] * n[2], 1, [&](int64_t begin, int64_t end) {
    Visitor visitor(arguments...);
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first[3] = {b % n[0] * kLargestBlock, b / n[0] % n[1] * kLargestBlock,
                                b / (n[0] * n[1]) * kLargestBlock};
      visitor.visit(first);
    }
  });
}

}  // namespace geospec::mesh_sdf
