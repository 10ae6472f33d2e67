// Nearest neighbours of many queries at once. Queries come in the order of a tree of their own, a leaf at a time:
// the leaves of points that any of them may need are found once, and each query then looks at that short list.
// A cheap distance in T, with a margin for its rounding, says who may be among the nearest; who is, is settled by
// distances in double, so the answer is that of double arithmetic whatever the tree, the type and the threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "neighbours/forest.h"
#include "neighbours/instruction_sets.h"
#include "neighbours/neighbours.h"

namespace geospec::neighbours {

template <class T>
using Tree = Forest<T, kLeaf>;

template <class T>
struct Problem {
  Rows<T> queries, points;
  bool same;          // the queries are the points
  bool exclude_self;  // and none of them is its own neighbour
  int64_t k;          // at most so many; 0 stands for all
  double limit;       // and none beyond this squared distance
  T scale;            // a power of two that keeps squares in range
};

template <class L>
class Search {
  using T = typename L::Scalar;

 public:
  Search(const Problem<T>& problem, const Tree<T>& tree, const Tree<T>& order)
      : problem_(problem), tree_(tree), order_(order), d_(problem.points.d) {
    keep_ = problem.k > 0 ? problem.k + problem.exclude_self : 0;
    hunt_.d = d_;
    hunt_.k = keep_;
    hunt_.blocks = tree.blocks.data();
    hunt_.slack = T(1) + T(4 * d_ + 32) * std::numeric_limits<T>::epsilon();
    hunt_.least = T(4 * d_ + 8) * std::numeric_limits<T>::min();
    const double scaled = problem.limit * double(problem.scale) * double(problem.scale);
    limit_ = scaled < double(kMost) / 2 ? T(scaled) * hunt_.slack + hunt_.least : kMost;
    queries_.resize(kLeaf * d_);
    bounds_.resize(kLeaf);
    low_.resize(d_);
    high_.resize(d_);
  }

  // Calls found(row, n, squared distances, indices), nearest first, for each query of one leaf of their tree.
  template <class F>
  void leaf(int64_t leaf, int64_t batch, const F& found) {
    const int64_t end = std::min((leaf + 1) * kLeaf, order_.end_slot(batch));
    root_ = {tree_.leaf_offsets[batch], tree_.leaf_offsets[batch + 1]};
    end_slot_ = tree_.end_slot(batch);
    if (root_.a == root_.b) {
      for (int64_t slot = leaf * kLeaf; slot < end; ++slot) found(order_.rows[slot], 0, nullptr, nullptr);
      return;
    }
    group(leaf * kLeaf, end, found);
  }

 private:
  static constexpr T kMost = std::numeric_limits<T>::max();
  static constexpr int64_t kLongest = 400;  // leaves that a group of queries may share; else it is halved
  static constexpr int64_t kRanked = 96;    // candidates that are sorted by counting

  template <class F>
  void group(int64_t begin, int64_t end, const F& found) {
    const int64_t n = end - begin;
    load(begin, end);
    T reach = limit_;
    if (keep_ > 0 && n > 1) {  // one query is answered for a bound on all
      const T* center = queries_.data() + n / 2 * d_;
      const T cut = std::min(limit_, alone(center));
      reach = 0;
      for (int64_t i = 0; i < n; ++i) {
        bounds_[i] = std::min(limit_, around(cut, center, queries_.data() + i * d_));
        reach = std::max(reach, bounds_[i]);
      }
    } else if (keep_ > 0) {
      bounds_[0] = reach = std::min(limit_, seed(queries_.data()));
    } else {
      std::fill(bounds_.begin(), bounds_.begin() + n, limit_);
    }
    const int64_t longest = n > 1 ? kLongest + 4 * keep_ / kLeaf : std::numeric_limits<int64_t>::max();
    if (!collect(low_.data(), high_.data(), reach, longest)) {
      group(begin, begin + n / 2, found);
      group(begin + n / 2, end, found);
      return;
    }
    lay_out();
    T cut = kMost;
    for (int64_t i = 0; i < n; ++i) {
      const T* query = queries_.data() + i * d_;
      const T bound = bounds_[i];
      cut = keep_ > 0 && i > 0 ? std::min(bound, around(cut, query - d_, query)) : bound;
      hunt_.query = query;
      const int64_t count = L::hunt_leaves(hunt_, cut);
      settle(order_.rows[begin + i], count, found);
    }
  }

  void load(int64_t begin, int64_t end) {
    std::fill(low_.begin(), low_.end(), std::numeric_limits<T>::infinity());
    std::fill(high_.begin(), high_.end(), -std::numeric_limits<T>::infinity());
    for (int64_t i = 0; i < end - begin; ++i) {
      const T* row = problem_.queries.data + order_.rows[begin + i] * d_;
      for (int64_t k = 0; k < d_; ++k) {
        const T x = row[k] * problem_.scale;
        queries_[i * d_ + k] = x;
        low_[k] = std::min(low_[k], x);
        high_[k] = std::max(high_[k], x);
      }
    }
  }

  // What the k-th nearest to a neighbour, at most `cut` away from it, says about the k-th nearest to the query.
  T around(T cut, const T* neighbour, const T* query) const {
    T sum = 0;
    for (int64_t k = 0; k < d_; ++k) sum += (neighbour[k] - query[k]) * (neighbour[k] - query[k]);
    const T root = std::sqrt(cut) + std::sqrt(sum);
    return root * root * hunt_.slack + hunt_.least;
  }

  // A bound from a nearby node that holds enough candidates: all within its farthest corner.
  T seed(const T* query) {
    Range range = root_;
    while (range.b - range.a > 1) {
      const int64_t m = middle(range.a, range.b);
      const bool left = gap(tree_.box(range.a, m), query, query) <= gap(tree_.box(m, range.b), query, query);
      const Range next = left ? Range{range.a, m} : Range{m, range.b};
      if (std::min(next.b * kLeaf, end_slot_) - next.a * kLeaf < keep_) break;
      range = next;
    }
    const T* box = tree_.box(range.a, range.b);
    T sum = 0;
    for (int64_t k = 0; k < d_; ++k) {
      const T far = std::max(query[k] - box[k], box[d_ + k] - query[k]);
      sum += far * far;
    }
    T cut = std::min(kMost, sum * hunt_.slack + hunt_.least);
    list_.clear();
    for (int64_t leaf = range.a; leaf < range.b; ++leaf) list_.push_back(leaf);
    lay_out();
    hunt_.query = query;
    L::hunt_leaves(hunt_, cut);
    return cut;
  }

  T alone(const T* query) {
    T cut = seed(query);
    collect(query, query, cut, std::numeric_limits<int64_t>::max());
    lay_out();
    hunt_.query = query;
    L::hunt_leaves(hunt_, cut);
    return cut;
  }

  // Squared distance between a box of the tree and the box [low, high].
  T gap(const T* box, const T* low, const T* high) const {
    const int64_t d = L::kDimensions > 0 ? L::kDimensions : d_;
    T sum = 0;
    for (int64_t k = 0; k < d; ++k) {
      const T above = box[k] - high[k], below = low[k] - box[d + k];
      const T out = above > below ? above : below, x = out > T(0) ? out : T(0);
      sum += x * x;
    }
    return sum;
  }

  // Lists the leaves within reach of the box, near ones first; false where they are more than `longest`.
  bool collect(const T* low, const T* high, T reach, int64_t longest) {
    list_.clear();
    Range stack[128];
    int depth = 0;
    stack[depth++] = root_;
    while (depth > 0) {
      const Range range = stack[--depth];
      if (range.b - range.a <= kPadding) {
        int64_t found[kPadding];
        const int64_t n =
            L::list_leaves(tree_.sides.data(), tree_.sides_stride(), d_, low, high, reach, range.a, range.b, found);
        if (int64_t(list_.size()) + n > longest) return false;
        list_.insert(list_.end(), found, found + n);
        continue;
      }
      const int64_t m = middle(range.a, range.b);
      const T left = gap(tree_.box(range.a, m), low, high), right = gap(tree_.box(m, range.b), low, high);
      const bool swap = right < left;
      const Range near = swap ? Range{m, range.b} : Range{range.a, m},
                  far = swap ? Range{range.a, m} : Range{m, range.b};
      if (std::max(left, right) <= reach) stack[depth++] = far;
      if (std::min(left, right) <= reach) stack[depth++] = near;
    }
    return true;
  }

  // Copies the boxes of the list side by side and makes room for all that they hold.
  void lay_out() {
    const int64_t n = int64_t(list_.size()), stride = (n + kPadding - 1) / kPadding * kPadding;
    if (int64_t(reach_.size()) < stride) {
      reach_.resize(stride);
      boxes_.resize(2 * d_ * stride);
      values_.resize(stride * kLeaf + 2 * kPadding);
      ids_.resize(stride * kLeaf + 2 * kPadding);
    }
    for (int64_t k = 0; k < 2 * d_; ++k) {
      const int64_t from = k % 2 * d_ + k / 2;
      for (int64_t j = 0; j < n; ++j) boxes_[k * stride + j] = tree_.leaf_boxes[list_[j] * 2 * d_ + from];
      for (int64_t j = n; j < stride; ++j) boxes_[k * stride + j] = 0;
    }
    hunt_.list = list_.data();
    hunt_.leaves = n;
    hunt_.stride = stride;
    hunt_.boxes = boxes_.data();
    hunt_.reach = reach_.data();
    hunt_.values = values_.data();
    hunt_.ids = ids_.data();
  }

  template <class F>
  void settle(int64_t row, int64_t n, const F& found) {
    if (int64_t(squared_.size()) < n + kPadding) {
      squared_.resize(2 * n + kPadding);
      index_.resize(2 * n + kPadding);
      sorted_squared_.resize(2 * n + kPadding);
      sorted_index_.resize(2 * n + kPadding);
    }
    for (int64_t i = 0; i < n; ++i) {
      const int64_t leaf = list_[ids_[i] / kLeaf], lane = ids_[i] % kLeaf;
      index_[i] = tree_.rows[leaf * kLeaf + lane];
      squared_[i] = problem_.scale == T(1)
                        ? exact(hunt_.query, hunt_.blocks + leaf * d_ * kLeaf + lane)
                        : squared_distance(problem_.queries.data + row * d_, problem_.points.data + index_[i] * d_, d_);
    }
    int32_t place[kRanked];
    std::fill(squared_.begin() + n, squared_.begin() + n + kPadding, std::numeric_limits<double>::infinity());
    if (n <= kRanked && L::rank(squared_.data(), n, place)) {
      for (int64_t i = 0; i < n; ++i) {
        sorted_squared_[place[i]] = squared_[i];
        sorted_index_[place[i]] = index_[i];
      }
    } else {
      pairs_.clear();
      for (int64_t i = 0; i < n; ++i) pairs_.emplace_back(squared_[i], index_[i]);
      const int64_t wanted = keep_ > 0 ? std::min(keep_, n) : n;
      std::partial_sort(pairs_.begin(), pairs_.begin() + wanted, pairs_.end());
      n = wanted;
      for (int64_t i = 0; i < n; ++i) std::tie(sorted_squared_[i], sorted_index_[i]) = pairs_[i];
    }
    if (problem_.exclude_self) {
      int64_t i = 0;
      while (i < n && sorted_index_[i] != row) ++i;
      for (; i + 1 < n; ++i) {
        sorted_squared_[i] = sorted_squared_[i + 1];
        sorted_index_[i] = sorted_index_[i + 1];
      }
      if (i < n) --n;
    }
    if (problem_.k > 0) n = std::min(n, problem_.k);
    while (n > 0 && sorted_squared_[n - 1] > problem_.limit) --n;
    found(row, n, sorted_squared_.data(), sorted_index_.data());
  }

  double exact(const T* query, const T* lane) const {
    const int64_t d = L::kDimensions > 0 ? L::kDimensions : d_;
    double sum = 0;
    for (int64_t k = 0; k < d; ++k) sum = add_square(sum, double(query[k]) - double(lane[k * kLeaf]));
    return sum;
  }

  const Problem<T>& problem_;
  const Tree<T>&tree_, &order_;
  const int64_t d_;
  int64_t keep_ = 0, end_slot_ = 0;
  T limit_ = 0;
  Range root_{};
  Hunt<T> hunt_{};
  std::vector<T> queries_, bounds_, low_, high_, boxes_, reach_, values_;
  std::vector<int32_t> ids_;
  std::vector<int64_t> list_, index_, sorted_index_;
  std::vector<double> squared_, sorted_squared_;
  std::vector<std::pair<double, int64_t>> pairs_;
};

// Answers every query; found(leaf, row, n, squared, indices) is called once a query, from any thread.
template <class L, class Parallel, class F>
void search(const Problem<typename L::Scalar>& problem, const Parallel& parallel, const F& found) {
  using T = typename L::Scalar;
  constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
  Tree<T> tree, order;
  tree.template build<L::kDimensions>(problem.points, problem.scale,
                                      problem.k > 0 ? problem.k + problem.exclude_self : kAll, parallel);
  if (!problem.same) order.template build<L::kDimensions>(problem.queries, problem.scale, kAll, parallel);
  const Tree<T>& queries = problem.same ? tree : order;
  parallel(0, queries.leaves(), 16, [&](int64_t begin, int64_t end) {
    Search<L> one(problem, tree, queries);
    int64_t batch = 0;
    for (int64_t leaf = begin; leaf < end; ++leaf) {
      while (leaf >= queries.leaf_offsets[batch + 1]) ++batch;
      one.leaf(leaf, batch, [&](int64_t row, int64_t n, const double* squared, const int64_t* indices) {
        found(leaf, row, n, squared, indices);
      });
    }
  });
}

}  // namespace geospec::neighbours
