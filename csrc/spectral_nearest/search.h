// Exact k nearest neighbours of many queries at once, by tree or by comparing all with all.
//
// Both ways hold blocks of queries in registers against rows of points (simd.h) and differ only in which rows
// they visit. The comparison itself, |p|^2 / 2 - p.q in T, is a filter: whatever comes within its rounding
// error of the best so far is measured again by squared_distance, so cancellation never elects a wrong winner.
// Where all are compared with all, a coarser filter in bytes comes before it if the processor has the instruction.
#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <numeric>

#include "spectral_nearest/tree.h"

namespace geospec::nearest {

enum class Method { automatic, tree, brute };

constexpr int64_t kSmall = 512;           // fewer points than this are never worth a tree
constexpr int64_t kPayback = 4;           // queries for each cell that repay building a tree
constexpr int64_t kTrials = 8;            // most blocks of queries that "auto" tries on the tree,
constexpr int64_t kTrialShare = 40;       // of as many blocks one
constexpr double kTreeShare = 0.8;        // of the work of brute force: a tree that needs more is left
constexpr double kCoarseSpeed = 2;        // of brute force in bytes, against floats, with what passes the filter
constexpr int64_t kCoarseHits = 64;       // one pair in so many may pass the filter in bytes; beyond, it does not pay
constexpr int64_t kCoarseStart = 8192;    // pairs a query may spend on finding a bound
constexpr int64_t kCoarseMost = 1 << 14;  // coordinates whose products in bytes add up within 32 bits
constexpr int64_t kPanelBytes = 1 << 18;  // of points, and of queries: both stay in the second-level cache

// Coordinates relative to a common centre, times a power of two.
template <class T>
struct Frame {
  std::vector<T> center;
  T scale;
};

template <class T>
struct Problem {
  const T* queries;    // (q, d)
  const T* points;     // (p, d)
  int64_t q, p, d, k;  // 1 <= k <= p
  int64_t* indices;    // (q, k), the nearest first
  T* distances;        // (q, k), squared if `squared`
  bool squared;
};

struct Neighbour {
  double squared;  // distance in the common frame
  int64_t index;
};

// The points in bytes: about unit * (byte - 128), off by at most `error` in Euclidean norm.
template <class T>
struct CoarsePoints {
  std::unique_ptr<uint8_t[]> rows;  // (p, bytes)
  int64_t bytes = 0;
  T unit = 0, error = 0;
};

template <class S>
struct Block {
  using T = typename S::Scalar;
  static constexpr int kLanes = S::kLanes;
  std::vector<T> x;  // (d, kLanes), in the common frame
  std::vector<Hit<T>> hits;
  std::vector<Neighbour> nearest;  // (kLanes, k), in order
  int64_t query[kLanes] = {};      // -1: an empty lane, whose best of -infinity nothing beats
  double best[kLanes] = {};        // squared distance of the last of the k nearest so far
  std::vector<int8_t> bytes;       // (d / 4, kLanes, 4): the queries in units of their own
  int32_t start[kLanes] = {};      // what makes up for the 128 that the bytes of points are too large
  T unit[kLanes] = {};             // of the products of bytes
  bool coarse = false;             // compares bytes
  int64_t passed = 0;              // the filter, so far
  // margin: bound on the error of bytes; slack: by which a row may be above the lowest and still be the nearest.
  T margin[kLanes] = {}, slack[kLanes] = {};
  T norm[kLanes] = {}, guide_norm[kLanes] = {}, error[kLanes] = {}, reach[kLanes] = {}, threshold[kLanes] = {},
    limit[kLanes] = {};
  int64_t work = 0;  // rows compared, of points and of nodes

  Block(int64_t d, int64_t k) : x(d * kLanes), hits(kLeaf * kLanes), nearest(k * kLanes) {}

  // What the comparison in T must reach: value <= threshold for a point, bound <= limit for a node.
  void tighten(int l) {
    threshold[l] = T(0.5 * (best[l] - double(norm[l])) + 0.5 * double(error[l])) + margin[l];
    limit[l] = T(std::sqrt(std::max(best[l], 0.0))) + rounding_error(0, T(1)) * reach[l];
    if (query[l] < 0) limit[l] = -std::numeric_limits<T>::infinity();
  }

  // Sets the error of the filter in bytes, none for floats. Of several wanted rows the lowest says nothing.
  void widen(int l, T error_of_bytes) {
    margin[l] = error_of_bytes;
    slack[l] = nearest.size() > kLanes ? std::numeric_limits<T>::infinity() : error[l] + 2 * error_of_bytes;
    tighten(l);
  }
};

template <class S, class P>
class Search {
  using T = typename S::Scalar;
  static constexpr int kLanes = S::kLanes;

 public:
  Search(const Problem<T>& problem, const Frame<T>& frame, const P& parallel)
      : problem_(problem), frame_(frame), parallel_(parallel), d_(problem.d), k_(problem.k) {}

  void run(Method method) {
    const int64_t blocks = (problem_.q + kLanes - 1) / kLanes;
    with_tree_ = method == Method::tree || (method == Method::automatic && problem_.p >= kSmall &&
                                            problem_.q >= kPayback * cell_count(problem_.p, d_));
    prepare();
    sort_queries();
    std::vector<int64_t> all(blocks), trial, rest;
    std::iota(all.begin(), all.end(), int64_t(0));
    if (!with_tree_) return by_brute_force(all);
    if (method == Method::tree) return void(by_tree(all));
    const int64_t trials = std::clamp<int64_t>(blocks / kTrialShare, 2, kTrials);
    const int64_t step = std::max<int64_t>(1, blocks / trials);
    for (int64_t b : all) (b % step == step / 2 ? trial : rest).push_back(b);
    const double share = double(by_tree(trial)) / (double(trial.size()) * double(problem_.p));
    if (share < (S::kCoarse ? kTreeShare / kCoarseSpeed : kTreeShare))
      by_tree(rest);
    else
      by_brute_force(rest);
  }

 private:
  // Moves the queries into the common frame, and the points, which a tree then puts into its order.
  void prepare() {
    const int64_t p = problem_.p, q = problem_.q;
    rows_ = room(p * d_);
    queries_ = room((with_tree_ ? std::max(p, q) : q) * d_);
    to_frame(problem_.points, p, rows_.get());
    if (with_tree_) {
      tree_ = build_tree<S>(rows_.get(), p, d_, parallel_, queries_.get());
      rows_.swap(queries_);
      if (q > p) queries_ = room(q * d_);
    }
    to_frame(problem_.queries, q, queries_.get());
    half_norms_.resize(p);
    parallel_(0, p, grain(d_), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        half_norms_[i] = T(0.5) * S::dot(rows_.get() + i * d_, rows_.get() + i * d_, d_);
    });
    for (T half : half_norms_) reach_ = std::max(reach_, std::sqrt(2 * half));
  }

  static std::unique_ptr<T[]> room(int64_t n) { return std::make_unique_for_overwrite<T[]>(n); }

  void to_frame(const T* x, int64_t n, T* out) const {
    parallel_(0, n, grain(d_), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        S::to_frame(x + i * d_, frame_.center.data(), frame_.scale, out + i * d_, d_);
    });
  }

  // Orders the queries by the leaf they fall into, so that a block asks for few leaves.
  void sort_queries() {
    const int64_t q = problem_.q;
    sequence_.resize(q);
    if (!with_tree_) return std::iota(sequence_.begin(), sequence_.end(), int64_t(0));
    assign<S>(queries_.get(), d_, q, 1, tree_.guides, tree_.cells, parallel_, home_cell_);
    const std::vector<int64_t> cell_begin = sort_by(home_cell_, tree_.cells.count);
    home_.resize(q);
    parallel_(0, tree_.cells.count, grain(4 * d_ * (q / tree_.cells.count + 1)), [&](int64_t begin, int64_t end) {
      std::vector<T> block(d_ * kLanes);
      int64_t numbers[kLanes], nearest[kLanes];
      for (int64_t cell = begin; cell < end; ++cell) {
        const int64_t leaf = tree_.cell_leaves[cell], count = tree_.cell_leaves[cell + 1] - leaf;
        if (count == 1) {
          for (int64_t i = cell_begin[cell]; i < cell_begin[cell + 1]; ++i) home_[sequence_[i]] = leaf;
          continue;
        }
        for (int64_t first = cell_begin[cell]; first < cell_begin[cell + 1]; first += kLanes) {
          const int64_t used = std::min<int64_t>(kLanes, cell_begin[cell + 1] - first);
          for (int l = 0; l < kLanes; ++l) numbers[l] = l < used ? sequence_[first + l] : -1;
          nearest_landmark<S>(queries_.get(), d_, numbers, d_, tree_.leaves.centers.data() + leaf * d_,
                              tree_.leaves.half_norms.data() + leaf, count, block.data(), nearest);
          for (int l = 0; l < used; ++l) home_[numbers[l]] = leaf + nearest[l];
        }
      }
    });
    sort_by(home_, tree_.leaves.count);
  }

  // Orders the queries by the node each falls into; where those of each node begin.
  std::vector<int64_t> sort_by(const std::vector<int64_t>& node, int64_t count) {
    std::vector<int64_t> start(count + 1, 0), next;
    for (int64_t i : node) ++start[i + 1];
    std::partial_sum(start.begin(), start.end(), start.begin());
    next = start;
    for (size_t i = 0; i < node.size(); ++i) sequence_[next[node[i]]++] = int64_t(i);
    return start;
  }

  void load(Block<S>& block, int64_t number) const {
    for (int l = 0; l < kLanes; ++l) {
      const int64_t place = number * kLanes + l;
      const bool used = place < problem_.q;
      block.query[l] = used ? sequence_[place] : -1;
      block.best[l] = used ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
      block.norm[l] = block.guide_norm[l] = block.error[l] = block.reach[l] = 0;
      if (used) {
        const T* x = queries_.get() + block.query[l] * d_;
        S::prefetch(problem_.queries + block.query[l] * d_, d_);
        block.norm[l] = S::dot(x, x, d_);
        block.guide_norm[l] = with_tree_ && tree_.guides < d_ ? S::dot(x, x, tree_.guides) : block.norm[l];
        block.reach[l] = reach_ + std::sqrt(block.norm[l]);
        block.error[l] = rounding_error(d_, block.reach[l]);
      }
      block.widen(l, T(0));
    }
    std::fill(block.nearest.begin(), block.nearest.end(),
              Neighbour{std::numeric_limits<double>::infinity(), std::numeric_limits<int64_t>::max()});
    block.coarse = false;
    block.passed = 0;
    across_lanes<S>(queries_.get(), d_, block.query, d_, block.x.data());
  }

  void write(const Block<S>& block) const {
    for (int l = 0; l < kLanes; ++l) {
      if (block.query[l] < 0) continue;
      const double scale = double(frame_.scale);
      for (int64_t j = 0; j < k_; ++j) {
        const Neighbour& neighbour = block.nearest[l * k_ + j];
        const int64_t place = block.query[l] * k_ + j;
        problem_.indices[place] = neighbour.index;
        problem_.distances[place] =
            T(problem_.squared ? neighbour.squared / scale / scale : std::sqrt(neighbour.squared) / scale);
      }
    }
  }

  // The filter in floats for what passed the one in bytes.
  bool passes(const Block<S>& block, int l, int64_t row) const {
    const T product = S::dot(queries_.get() + block.query[l] * d_, rows_.get() + row * d_, d_);
    return half_norms_[row] - product <= block.threshold[l] - block.margin[l] + block.error[l];
  }

  int64_t index_of(int64_t row) const { return with_tree_ ? tree_.order[row] : row; }

  void measure(Block<S>& block, int l, int64_t index) const {
    const double squared =
        S::exact(problem_.queries + block.query[l] * d_, problem_.points + index * d_, d_, double(frame_.scale));
    Neighbour* nearest = block.nearest.data() + l * k_;
    int64_t place = k_;
    while (place > 0 && wins(squared, index, nearest[place - 1].squared, nearest[place - 1].index)) --place;
    if (place == k_ || (place > 0 && nearest[place - 1].index == index)) return;  // too far, or met before
    std::copy_backward(nearest + place, nearest + k_ - 1, nearest + k_);
    nearest[place] = {squared, index};
    block.best[l] = nearest[k_ - 1].squared;
    block.tighten(l);
  }

  void scan(Block<S>& block, int64_t begin, int64_t end) const {
    for (int64_t first = begin; first < end; first += kLeaf) {
      const int64_t n = std::min(kLeaf, end - first);
      const int64_t count = compare(block, first, n);
      int64_t left = 0;
      for (int64_t i = 0; i < count; ++i) {
        if (block.hits[i].value > block.threshold[block.hits[i].lane]) continue;  // it has fallen since
        block.hits[left++] = block.hits[i];
        S::prefetch(problem_.points + index_of(first + block.hits[i].row) * d_, d_);
      }
      for (int64_t i = 0; i < left; ++i) {
        const int64_t row = first + block.hits[i].row;
        if (block.hits[i].value > block.threshold[block.hits[i].lane]) continue;
        if (!block.coarse || passes(block, block.hits[i].lane, row)) measure(block, block.hits[i].lane, index_of(row));
      }
      block.work += n;
      block.passed += count;
    }
  }

  int64_t compare(Block<S>& block, int64_t first, int64_t n) const {
    if constexpr (S::kCoarse)
      if (block.coarse)
        return S::scan_coarse(coarse_.rows.get() + first * coarse_.bytes, half_norms_.data() + first, n, coarse_.bytes,
                              block.bytes.data(), block.start, block.unit, block.threshold, block.slack,
                              block.hits.data());
    return S::scan(rows_.get() + first * d_, half_norms_.data() + first, n, d_, block.x.data(), block.threshold,
                   block.slack, block.hits.data());
  }

  // A quarter of the reading and multiplying finds nearly all points that are too far: coordinates rounded to
  // bytes. By Cauchy-Schwarz p.q is off by no more than |p - p'| |q| + |p'| |q - q'|, which widens the threshold.
  void coarsen_points() {
    if constexpr (S::kCoarse) {
      if (d_ > kCoarseMost) return;
      const int64_t p = problem_.p;
      std::vector<T> squares(p);  // at first the greatest coordinate of each
      parallel_(0, p, grain(d_), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) squares[i] = S::greatest(rows_.get() + i * d_, d_);
      });
      const T greatest = *std::max_element(squares.begin(), squares.end());
      coarse_.bytes = (d_ + 3) / 4 * 4;
      coarse_.unit = greatest > 0 ? greatest / 127 : T(1);
      coarse_.rows = std::make_unique_for_overwrite<uint8_t[]>(p * coarse_.bytes);
      parallel_(0, p, grain(d_), [&](int64_t begin, int64_t end) {
        std::vector<int8_t> bytes(coarse_.bytes);
        for (int64_t i = begin; i < end; ++i) {
          squares[i] = S::coarsen(rows_.get() + i * d_, coarse_.unit, d_, bytes.data());
          for (int64_t k = 0; k < coarse_.bytes; ++k) coarse_.rows[i * coarse_.bytes + k] = uint8_t(bytes[k] + 128);
        }
      });
      coarse_.error = root_above(*std::max_element(squares.begin(), squares.end()));
    }
  }

  // An upper bound on the norm whose square was summed in T from differences of coordinates within 1.
  T root_above(T square) const {
    return (std::sqrt(square) + rounding_error(d_, T(1))) * (1 + rounding_error(d_, T(1)));
  }

  void coarsen_queries(Block<S>& block) const {
    if constexpr (S::kCoarse) {
      if (!coarse_.rows) return;
      block.coarse = true;
      block.bytes.assign(coarse_.bytes * kLanes, 0);
      std::vector<int8_t> bytes(coarse_.bytes);
      for (int l = 0; l < kLanes && block.query[l] >= 0; ++l) {
        const T* x = queries_.get() + block.query[l] * d_;
        const T greatest = S::greatest(x, d_), unit = greatest > 0 ? greatest / 127 : T(1);
        const T off = root_above(S::coarsen(x, unit, d_, bytes.data()));
        int32_t sum = 0;
        for (int64_t k = 0; k < coarse_.bytes; ++k) {
          block.bytes[(k / 4 * kLanes + l) * 4 + k % 4] = bytes[k];
          sum += bytes[k];
        }
        block.start[l] = -128 * sum;
        block.unit[l] = unit * coarse_.unit;
        block.widen(l, coarse_.error * std::sqrt(block.norm[l]) + (reach_ + coarse_.error) * off + block.error[l]);
      }
    }
  }

  // Back to floats, where too many pairs pass the filter in bytes.
  static void refine(Block<S>& block) {
    block.coarse = false;
    for (int l = 0; l < kLanes && block.query[l] >= 0; ++l) block.widen(l, T(0));
  }

  struct Candidate {
    int64_t node;
    T nearness;  // sum over the queries of the bounds on their distances
  };

  // Room for the bounds of one block on nodes of one level.
  struct Bounds {
    std::vector<T> values, nearness;  // (nodes, kLanes), (nodes)
    std::vector<Candidate> candidates;
  };

  // Scans the leaves that the queries fall into, which gives them a near point to begin with.
  std::vector<int64_t> start_at_home(Block<S>& block) const {
    std::vector<int64_t> seen;
    for (int l = 0; l < kLanes && block.query[l] >= 0; ++l) {
      const int64_t leaf = home_[block.query[l]];
      if (!seen.empty() && seen.back() == leaf) continue;  // queries come sorted by leaf
      seen.push_back(leaf);
      scan(block, tree_.leaf_begin[leaf], tree_.leaf_begin[leaf + 1]);
    }
    return seen;
  }

  // Leaves first where the queries fall; then the cells and their leaves, the nearer first.
  void descend(Block<S>& block, Bounds& cells, Bounds& leaves) const {
    const std::vector<int64_t> seen = start_at_home(block);
    bound(block, tree_.cells, tree_.guides, block.guide_norm, 0, tree_.cells.count, cells);
    bound_by_bisectors(block, cells);
    for (const Candidate& cell : cells.candidates) {
      if (!wanted(block, cells.values.data() + cell.node * kLanes)) continue;
      const int64_t first = tree_.cell_leaves[cell.node];
      bound(block, tree_.leaves, d_, block.norm, first, tree_.cell_leaves[cell.node + 1], leaves);
      for (const Candidate& leaf : leaves.candidates)
        if (wanted(block, leaves.values.data() + (leaf.node - first) * kLanes) &&
            std::find(seen.begin(), seen.end(), leaf.node) == seen.end())
          scan(block, tree_.leaf_begin[leaf.node], tree_.leaf_begin[leaf.node + 1]);
    }
  }

  static bool wanted(const Block<S>& block, const T* bound) { return S::any_within(bound, block.limit); }

  // Of the balls [first, last) those that may hold a nearer point, the nearest first.
  void bound(Block<S>& block, const Balls<T>& balls, int64_t d, const T* norms, int64_t first, int64_t last,
             Bounds& out) const {
    out.values.resize(std::max<size_t>(out.values.size(), (last - first) * kLanes));
    out.candidates.clear();
    S::bounds(balls.centers.data() + first * d, balls.half_norms.data() + first, balls.radii.data() + first,
              last - first, d, block.x.data(), norms, block.error, out.values.data());
    block.work += last - first;
    out.nearness.resize(std::max<size_t>(out.nearness.size(), last - first));
    S::nearness(out.values.data(), last - first, block.limit, out.nearness.data());
    for (int64_t node = first; node < last; ++node)
      if (out.nearness[node - first] < std::numeric_limits<T>::infinity())
        out.candidates.push_back({node, out.nearness[node - first]});
    std::sort(out.candidates.begin(), out.candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.nearness < b.nearness; });
  }

  // A point of cell j is no nearer to another centre i than to its own, so it lies beyond the plane between them,
  // at (|q - c_j|^2 - |q - c_i|^2) / (2 |c_j - c_i|) from the query. This tells where balls overlap: for a query
  // on top of a point it leaves hardly more than the query's own cell.
  void bound_by_bisectors(const Block<S>& block, Bounds& cells) const {
    T own[kLanes], planes[kLanes];
    const T* from[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      const int64_t i = block.query[l] < 0 ? 0 : home_cell_[block.query[l]];
      const T distance = cells.values[i * kLanes + l] + tree_.cells.radii[i];
      own[l] = distance * distance + 16 * block.error[l];  // of both distances, and of the choice of the cell
      from[l] = tree_.bisectors.data() + i * tree_.cells.count;
    }
    for (const Candidate& cell : cells.candidates) {
      for (int l = 0; l < kLanes; ++l) planes[l] = from[l][cell.node];
      S::raise(cells.values.data() + cell.node * kLanes, tree_.cells.radii[cell.node], own, planes);
    }
  }

  // In both ways the next free thread takes the next blocks: blocks differ in cost, and a query's answer
  // depends on no other query, so results do not depend on the schedule.
  int64_t by_tree(const std::vector<int64_t>& numbers) const {
    const int64_t count = numbers.size();
    std::atomic<int64_t> next{0}, work{0};
    parallel_(0, count, grain(d_ * problem_.p), [&](int64_t, int64_t) {
      Block<S> block(d_, k_);
      Bounds cells, leaves;
      for (int64_t i = next++; i < count; i = next++) {
        load(block, numbers[i]);
        descend(block, cells, leaves);
        write(block);
      }
      work += block.work;
    });
    return work;
  }

  void by_brute_force(const std::vector<int64_t>& numbers) {
    coarsen_points();
    const int64_t count = numbers.size(), row_bytes = d_ * int64_t(sizeof(T));
    const int64_t group = std::clamp<int64_t>(kPanelBytes / (kLanes * row_bytes), 1, 16);
    const int64_t panel = std::max(kLeaf, kPanelBytes / row_bytes / kLeaf * kLeaf);
    std::atomic<int64_t> next{0};
    parallel_(0, count, std::max(group, grain(d_ * problem_.p)), [&](int64_t, int64_t) {
      std::vector<Block<S>> blocks(group, Block<S>(d_, k_));
      for (int64_t begin = group * next++; begin < count; begin = group * next++) {
        const int64_t n = std::min(group, count - begin);
        for (int64_t i = 0; i < n; ++i) {
          load(blocks[i], numbers[begin + i]);
          if (with_tree_) start_at_home(blocks[i]);
          coarsen_queries(blocks[i]);
        }
        for (int64_t first = 0; first < problem_.p; first += panel)
          for (int64_t i = 0; i < n; ++i) {
            scan(blocks[i], first, std::min(problem_.p, first + panel));
            if (blocks[i].coarse && blocks[i].passed * kCoarseHits > (first + panel + kCoarseStart * k_) * kLanes)
              refine(blocks[i]);
          }
        for (int64_t i = 0; i < n; ++i) write(blocks[i]);
      }
    });
  }

  const Problem<T>& problem_;
  const Frame<T>& frame_;
  const P& parallel_;
  const int64_t d_, k_;
  bool with_tree_ = false;
  Tree<T> tree_;
  std::unique_ptr<T[]> rows_, queries_;  // in the common frame; the points in the order of the tree
  CoarsePoints<T> coarse_;
  std::vector<T> half_norms_;
  T reach_ = 0;
  std::vector<int64_t> home_, home_cell_;  // the leaf, and the cell, that each query falls into
  std::vector<int64_t> sequence_;          // the queries in the order of their leaves
};

}  // namespace geospec::nearest
