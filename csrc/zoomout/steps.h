// ZoomOut of a batch of maps between two embeddings: search, project, grow.
//
// A search compares blocks of queries with groups of carried points, both near each other in space, by the filters of
// spectral_nearest (bytes, then T, then double). From one step to the next it keeps two things: the image of each
// query, whose new distance is the bound to begin with, and for each query and group a lower bound on their distances.
// The latter falls by as much as the points of the group have moved, as in Elkan 2003 and Ding et al. 2015 (Yinyang),
// and new coordinates only add to a distance; a group beyond the bounds of all queries of a block is left out.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "spectral_nearest/spectral_nearest.h"
#include "zoomout/instruction_sets.h"

namespace geospec::zoom {

using nearest::grain;
using nearest::Hit;

constexpr int64_t kTile = 12;         // rows of a group are a multiple of this, which every kRows divides
constexpr int64_t kGroup = 24;        // rows of a group with bounds, at least,
constexpr int64_t kMostGroups = 256;  // as long as there are no more groups than this
constexpr int64_t kBoundFrom = 400;   // points from which bounds pay
constexpr int64_t kCoarseFrom = 16;   // coordinates from which bytes pay
constexpr int64_t kWaiting = 1024;    // hits kept before they are measured
constexpr int64_t kSorted = 8;        // leading coordinates that tell where a point lies

template <class T>
struct Problem {
  const T* maps;         // (b, sizes of the first step)
  const T* source;       // (n_s, k_s)
  const T* target;       // (n_t, k_t)
  const T* measure;      // (n_t,) or null: ones
  const double* factor;  // (k_t, k_t) or null: lower Cholesky factor of what divides the projection
  double scale;          // of the carried points
  int64_t b, n_s, n_t, k_s, k_t;
  std::vector<int64_t> source_sizes, target_sizes;
  T* out;           // (b, k_t, k_s)
  int64_t* images;  // (b, n_t)
};

inline int64_t padded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// An order of rows (n, k) in which runs of `leaf` lie near each other: halved again and again along the leading
// coordinate that varies most.
template <class T>
std::vector<int64_t> spatial_order(const T* rows, int64_t n, int64_t k, int64_t leaf) {
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), int64_t(0));
  std::vector<std::pair<int64_t, int64_t>> open = {{0, n}};
  while (!open.empty()) {
    const auto [begin, end] = open.back();
    open.pop_back();
    if (end - begin <= leaf) continue;
    int64_t widest = 0;
    double most = -1;
    for (int64_t c = 0; c < std::min(kSorted, k); ++c) {
      double sum = 0, squares = 0;
      for (int64_t i = begin; i < end; ++i) {
        const double x = double(rows[order[i] * k + c]);
        sum += x;
        squares += x * x;
      }
      const double spread = squares - sum * sum / double(end - begin);
      if (spread > most) most = spread, widest = c;
    }
    const int64_t middle = begin + padded((end - begin) / 2, leaf);
    std::nth_element(order.begin() + begin, order.begin() + middle, order.begin() + end, [&](int64_t a, int64_t b) {
      const T x = rows[a * k + widest], y = rows[b * k + widest];
      return x < y || (x == y && a < b);
    });
    open.push_back({begin, middle});
    open.push_back({middle, end});
  }
  return order;
}

// What all maps share: the queries as rows and across lanes, in T and in bytes; weights of the projection; the modes
// of the source. Both in spatial order, the source padded to whole groups with copies of its last row.
template <class L>
struct Shapes {
  using T = typename L::Scalar;
  static constexpr int kLanes = L::kLanes, kWidth = L::kWidth;

  explicit Shapes(const Problem<T>& problem)
      : blocks((problem.n_t + kLanes - 1) / kLanes),
        bounded(problem.n_s >= kBoundFrom && problem.source_sizes.size() > 2),
        group(bounded ? std::max(kGroup, padded((problem.n_s + kMostGroups - 1) / kMostGroups, kTile)) : kTile),
        groups((problem.n_s + group - 1) / group),
        target_order(spatial_order(problem.target, problem.n_t, problem.k_t, kLanes)),
        source_order(spatial_order(problem.source, problem.n_s, problem.k_s, group)) {
    const int64_t n_t = problem.n_t, k_s = problem.k_s, k_t = problem.k_t;
    source_order.resize(groups * group, source_order.back());
    source_stride = padded(k_s, kWidth);
    source.assign(groups * group * source_stride + kWidth, T(0));
    for (int64_t r = 0; r < groups * group; ++r)
      std::copy_n(problem.source + source_order[r] * k_s, k_s, source.data() + r * source_stride);
    const T greatest = L::largest(problem.target, n_t * k_t);
    if (greatest > 0)
      scale = T(std::ldexp(1.0, -std::clamp(std::ilogb(double(greatest)) + 1, -kMostExponent, kMostExponent)));
    query_stride = padded(k_t, kWidth);
    queries.assign(n_t * query_stride, T(0));
    lanes.assign(blocks * k_t * kLanes, T(0));
    weighted_stride = padded(k_t, L::kGathered);
    weighted.assign(n_t * weighted_stride, T(0));
    for (int64_t p = 0; p < n_t; ++p) {
      const T* x = problem.target + target_order[p] * k_t;
      const T weight = problem.measure ? problem.measure[target_order[p]] : T(1);
      for (int64_t k = 0; k < k_t; ++k) {
        queries[p * query_stride + k] = lanes[(p / kLanes * k_t + k) * kLanes + p % kLanes] = x[k] * scale;
        weighted[p * weighted_stride + k] = weight * x[k];
      }
    }
    units.assign(blocks * kLanes, T(0));
    if constexpr (L::kCoarse) coarsen(n_t, k_t);
  }

  // Each query in a unit that serves all of its coordinates.
  void coarsen(int64_t n_t, int64_t k_t) {
    if constexpr (L::kCoarse) {
      bytes = padded(k_t, 4);
      query_bytes.assign(blocks * bytes * kLanes, 0);
      std::vector<int8_t> row(bytes + kWidth);
      for (int64_t p = 0; p < n_t; ++p) {
        const T* x = queries.data() + p * query_stride;
        const T greatest = L::largest(x, k_t);
        units[p] = greatest > 0 ? greatest / 127 : T(1);
        L::coarsen(x, units[p], k_t, row.data());
        for (int64_t k = 0; k < bytes; ++k) query_bytes[place(p, k)] = row[k];
      }
    }
  }

  int64_t place(int64_t p, int64_t k) const { return ((p / kLanes * bytes + k) / 4 * kLanes + p % kLanes) * 4 + k % 4; }

  static constexpr int kMostExponent = sizeof(T) == 4 ? 120 : 1000;

  int64_t blocks;
  bool bounded;
  int64_t group, groups;
  std::vector<int64_t> target_order, source_order;  // (n_t), (groups * group)
  T scale = 1;                                      // a power of two that keeps squares in range
  std::vector<T> lanes;                             // the queries, scaled: (blocks, k_t, kLanes)
  std::vector<T> queries, weighted, source;         // rows padded to the strides
  int64_t query_stride = 0, weighted_stride = 0, source_stride = 0, bytes = 0;
  std::vector<int8_t> query_bytes;  // (blocks, bytes / 4, kLanes, 4)
  std::vector<T> units;             // (blocks, kLanes)
};

// One map from step to step.
template <class L, class P>
class Run {
  using T = typename L::Scalar;
  static constexpr int kLanes = L::kLanes, kWidth = L::kWidth;

 public:
  Run(const Problem<T>& problem, const Shapes<L>& shapes, const P& parallel)
      : problem_(problem), shapes_(shapes), parallel_(parallel) {}

  // False where carried points were not finite.
  bool operator()(int64_t number) {
    const size_t steps = problem_.source_sizes.size() - 1, size = problem_.source_sizes[0] * problem_.target_sizes[0];
    map_.assign(problem_.maps + number * size, problem_.maps + (number + 1) * size);
    d_ = bytes_ = 0;
    started_ = false;
    images_.resize(problem_.n_t);
    for (auto* of_queries : {&norms_, &roots_, &offs_}) of_queries->assign(shapes_.blocks * kLanes, T(0));
    for (auto* of_queries : {&squares_, &off_squares_}) of_queries->assign(shapes_.blocks * kLanes, 0.0);
    starts_.assign(shapes_.blocks * kLanes, 0);
    for (size_t step = 0; step < steps; ++step) {
      if (!carry(problem_.source_sizes[step], problem_.target_sizes[step])) return false;
      search();
      project(problem_.source_sizes[step + 1], problem_.target_sizes[step + 1]);
    }
    std::copy(map_.begin(), map_.end(), problem_.out + number * problem_.k_t * problem_.k_s);
    int64_t* images = problem_.images + number * problem_.n_t;
    for (int64_t p = 0; p < problem_.n_t; ++p) images[shapes_.target_order[p]] = shapes_.source_order[images_[p]];
    return true;
  }

 private:
  int64_t n_rows() const { return shapes_.groups * shapes_.group; }

  // Brings what is known of the queries from d_ coordinates to d.
  void grow(int64_t d) {
    const int64_t bytes = padded(d, 4), stride = shapes_.query_stride;
    coarse_ = L::kCoarse && d >= kCoarseFrom;
    double greatest = 0;
    for (int64_t p = 0; p < problem_.n_t; ++p) {
      const T* x = shapes_.queries.data() + p * stride;
      for (int64_t k = d_; k < d; ++k) squares_[p] += double(x[k]) * double(x[k]);
      greatest = std::max(greatest, squares_[p]);
      norms_[p] = T(squares_[p]);
      roots_[p] = std::sqrt(norms_[p]);
      if constexpr (L::kCoarse) {
        for (int64_t k = d_; k < d; ++k) {
          const double off = double(x[k]) - double(shapes_.units[p]) * shapes_.query_bytes[shapes_.place(p, k)];
          off_squares_[p] += off * off;
        }
        for (int64_t k = bytes_; k < bytes; ++k) starts_[p] -= 128 * shapes_.query_bytes[shapes_.place(p, k)];
      }
    }
    greatest_root_ = T(std::sqrt(greatest));
    d_ = d;
    bytes_ = bytes;
    if (coarse_)
      for (int64_t p = 0; p < problem_.n_t; ++p) offs_[p] = root_above(T(off_squares_[p]), roots_[p]);
  }

  // Phi_s C^T in the frame of the queries, its norms and bytes, and how far each group moved. False where not finite.
  bool carry(int64_t k_s, int64_t k_t) {
    const int64_t previous = d_, last_stride = stride_, n = n_rows();
    grow(k_t);
    stride_ = padded(d_, kWidth);
    transposed_.assign(k_s * stride_, T(0));
    const T scale = T(problem_.scale * double(shapes_.scale));
    for (int64_t i = 0; i < d_; ++i)
      for (int64_t j = 0; j < k_s; ++j) transposed_[j * stride_ + i] = map_[i * k_s + j] * scale;
    rows_.swap(last_rows_);
    rows_.resize(n * stride_);
    half_norms_.resize(n);
    moved_.assign(shapes_.groups, T(0));
    parallel_(0, shapes_.groups, grain(d_ * (k_s + 2) * shapes_.group), [&](int64_t begin, int64_t end) {
      const int64_t first = begin * shapes_.group, last = end * shapes_.group;
      L::product(shapes_.source.data() + first * shapes_.source_stride, shapes_.source_stride, last - first,
                 transposed_.data(), stride_, k_s, rows_.data() + first * stride_);
      L::half_norms(rows_.data() + first * stride_, last - first, stride_, half_norms_.data() + first);
      if (!started_ || !shapes_.bounded) return;
      for (int64_t r = first; r < last; ++r) {
        T& moved = moved_[r / shapes_.group];
        moved = std::max(
            moved, L::square_difference(rows_.data() + r * stride_, last_rows_.data() + r * last_stride, previous));
      }
    });
    const T half = L::largest(half_norms_.data(), n), limit = std::numeric_limits<T>::infinity();
    if (!(half < limit) || !std::all_of(half_norms_.begin(), half_norms_.end(), [&](T h) { return h < limit; }))
      return false;
    reach_ = std::sqrt(2 * half);
    for (T& moved : moved_)  // rounded up: the sum of squares, and the bounds that it is taken from
      moved = std::sqrt(moved) * (1 + rounding_error(d_, T(1))) + rounding_error(0, T(1)) * (reach_ + greatest_root_);
    if (coarse_) coarsen();
    return true;
  }

  void coarsen() {
    if constexpr (L::kCoarse) {
      const int64_t n = n_rows();
      const T greatest = L::largest(rows_.data(), n * stride_);
      unit_ = greatest > 0 ? greatest / 127 : T(1);
      byte_rows_.resize(n * bytes_);
      row_offs_.resize(n);
      parallel_(0, n, grain(2 * d_), [&](int64_t begin, int64_t end) {
        std::vector<int8_t> row(bytes_ + kWidth);
        for (int64_t r = begin; r < end; ++r) {
          row_offs_[r] = L::coarsen(rows_.data() + r * stride_, unit_, d_, row.data());
          for (int64_t k = 0; k < bytes_; ++k) byte_rows_[r * bytes_ + k] = uint8_t(row[k] + 128);
        }
      });
      off_ = root_above(L::largest(row_offs_.data(), n), reach_);
    }
  }

  // An upper bound on the norm of what bytes round off, from its square summed in T.
  T root_above(T square, T reach) const { return std::sqrt(square) * T(1.0001) + rounding_error(d_, T(1)) * reach; }

  void search() {
    if (shapes_.bounded) bounds_.resize(shapes_.blocks * shapes_.groups * kLanes);
    parallel_(0, shapes_.blocks, grain(n_rows() * d_ * kLanes / 8), [&](int64_t begin, int64_t end) {
      std::vector<Hit<T>> hits(kWaiting + shapes_.group * kLanes);
      for (int64_t number = begin; number < end; ++number) Block(*this, number, hits.data()).search();
    });
    started_ = true;
  }

  // The search of kLanes queries. What passes the filter in T waits at the front of the hits: most of it has fallen
  // behind when it comes to be measured in double.
  struct Block {
    Run& run;
    const int64_t number, first_query, used;
    Hit<T>* hits;
    int64_t waiting = 0;
    double best[kLanes];     // squared distances of the nearest so far
    int64_t winner[kLanes];  // and their rows
    // Bounds on the errors: error of twice a value in T, margin of a value in bytes; slack: by which a row may be above
    // the lowest and still be the nearest. threshold: what a value must reach; limit: what a bound must.
    T error[kLanes], margin[kLanes], slack[kLanes], unit[kLanes], off[kLanes], threshold[kLanes], limit[kLanes],
        lowest[kLanes];

    Block(Run& run, int64_t number, Hit<T>* hits)
        : run(run),
          number(number),
          first_query(number * kLanes),
          used(std::min<int64_t>(kLanes, run.problem_.n_t - number * kLanes)),
          hits(hits) {
      const T *root = run.roots_.data() + first_query, *offs = run.offs_.data() + first_query,
              *units = run.shapes_.units.data() + first_query;
      const T reach = run.reach_, off_rows = run.off_, relative = rounding_error(run.d_, T(1));
      for (int l = 0; l < kLanes; ++l) {
        error[l] = relative * (reach + root[l]) * (reach + root[l]);
        margin[l] = run.coarse_ ? off_rows * root[l] + (reach + off_rows) * offs[l] + error[l] : T(0);
        unit[l] = run.coarse_ ? units[l] * run.unit_ : T(0);
        slack[l] = error[l] + 2 * margin[l];
        off[l] = error[l] + margin[l];
        threshold[l] = l < used ? std::numeric_limits<T>::infinity() : -std::numeric_limits<T>::infinity();
        best[l] = std::numeric_limits<double>::infinity();
        winner[l] = -1;
      }
    }

    void search() {
      const Shapes<L>& shapes = run.shapes_;
      T* bounds = shapes.bounded ? run.bounds_.data() + number * shapes.groups * kLanes : nullptr;
      if (run.started_) start();
      const bool known = bounds && run.started_;
      limit_bounds();
      for (int64_t group = 0; group < shapes.groups; ++group) {
        T* bound = bounds + (bounds ? group * kLanes : 0);
        if (known && !L::lower(bound, run.moved_[group], limit)) continue;
        if (scan(group * shapes.group) && known) limit_bounds();
        if (bounds) L::bound_group(lowest, off, run.norms_.data() + first_query, bound);
      }
      measure();
      std::copy_n(winner, used, run.images_.data() + first_query);
    }

    // The last images come first.
    void start() {
      const int64_t* images = run.images_.data() + first_query;
      T values[kLanes];
      L::values(images, used, run.rows_.data(), run.half_norms_.data(), run.stride_, queries(),
                run.shapes_.query_stride, values);
      for (int l = 0; l < used; ++l) {
        threshold[l] = values[l] + off[l];
        hits[waiting++] = {values[l], l, images[l]};
      }
    }

    // A row whose value is within the threshold is nearer than this.
    void limit_bounds() {
      const T* norm = run.norms_.data() + first_query;
      const T rounding = rounding_error(0, T(1)) * (run.reach_ + run.greatest_root_);
      for (int l = 0; l < kLanes; ++l)
        limit[l] = std::sqrt(std::max(norm[l] + 2 * threshold[l] + error[l], T(0))) + rounding;
    }

    // Whether any threshold fell.
    bool scan(int64_t first) {
      const Shapes<L>& shapes = run.shapes_;
      Hit<T>* found = hits + waiting;
      const int64_t count =
          run.coarse_
              ? L::scan_group(run.byte_rows_.data() + first * run.bytes_, run.half_norms_.data() + first, shapes.group,
                              run.bytes_, shapes.query_bytes.data() + number * shapes.bytes * kLanes,
                              run.starts_.data() + first_query, unit, threshold, slack, found, lowest)
              : L::scan_group(run.rows_.data() + first * run.stride_, run.stride_, run.half_norms_.data() + first,
                              shapes.group, run.d_, shapes.lanes.data() + number * run.problem_.k_t * kLanes, threshold,
                              slack, found, lowest);
      if (count == 0) return false;
      waiting += L::settle(found, count, first, run.coarse_, run.rows_.data(), run.half_norms_.data(), run.stride_,
                           queries(), shapes.query_stride, margin, error, threshold);
      if (waiting > kWaiting) measure();
      return true;
    }

    const T* queries() const { return run.shapes_.queries.data() + first_query * run.shapes_.query_stride; }

    // In double, whatever is within the error of the best.
    void measure() {
      const auto name = [&](int64_t row) {
        return row < 0 ? std::numeric_limits<int64_t>::max() : run.shapes_.source_order[row];
      };
      for (const Hit<T>* hit = hits; hit < hits + waiting; ++hit) {
        const int l = hit->lane;
        if (hit->value > threshold[l] - margin[l] + error[l]) continue;
        const double squared =
            L::exact(queries() + l * run.shapes_.query_stride, run.rows_.data() + hit->row * run.stride_, run.d_, 1.0);
        if (!wins(squared, name(hit->row), best[l], name(winner[l]))) continue;
        best[l] = squared;
        winner[l] = hit->row;
      }
      waiting = 0;
    }
  };

  // Phi_t^T M Phi_s[images] of the next size, divided by the factor.
  void project(int64_t k_s, int64_t k_t) {
    const int64_t stride = padded(k_s, kWidth), strips = (k_t + L::kGathered - 1) / L::kGathered;
    sums_.assign(strips * L::kGathered * stride, 0.0);
    parallel_(0, strips, grain(problem_.n_t * L::kGathered * k_s), [&](int64_t begin, int64_t end) {
      for (int64_t strip = begin; strip < end; ++strip)
        L::gathered(shapes_.weighted.data() + strip * L::kGathered, shapes_.weighted_stride, shapes_.source.data(),
                    shapes_.source_stride, images_.data(), problem_.n_t, k_s,
                    sums_.data() + strip * L::kGathered * stride, stride);
    });
    if (problem_.factor) divide(stride, k_t);
    map_.resize(k_t * k_s);
    for (int64_t r = 0; r < k_t; ++r)
      for (int64_t c = 0; c < k_s; ++c) map_[r * k_s + c] = T(sums_[r * stride + c]);
  }

  // The rows of the sums become those of (F F^T)^-1 sums, with the leading block of the factor F.
  void divide(int64_t stride, int64_t k_t) {
    const auto factor = [&](int64_t r, int64_t c) { return problem_.factor[r * problem_.k_t + c]; };
    const auto take = [&](double s, int64_t from, int64_t to) {
      L::Wide::axpy(-s, sums_.data() + from * stride, sums_.data() + to * stride, stride);
    };
    const auto over = [&](double s, int64_t r) {
      for (int64_t c = 0; c < stride; ++c) sums_[r * stride + c] /= s;
    };
    for (int64_t r = 0; r < k_t; ++r) {
      for (int64_t c = 0; c < r; ++c) take(factor(r, c), c, r);
      over(factor(r, r), r);
    }
    for (int64_t r = k_t - 1; r >= 0; --r) {
      for (int64_t c = r + 1; c < k_t; ++c) take(factor(c, r), c, r);
      over(factor(r, r), r);
    }
  }

  const Problem<T>& problem_;
  const Shapes<L>& shapes_;
  const P& parallel_;
  int64_t d_ = 0, bytes_ = 0, stride_ = 0;  // coordinates of the step, padded to four, to whole registers
  bool coarse_ = false, started_ = false;
  std::vector<T> map_, transposed_;  // the latter times the scale, rows padded
  std::vector<int64_t> images_;      // rows of the source in spatial order
  std::vector<double> sums_;
  // Of the queries: squared norms, norms, bounds on the norms of what bytes round off; what makes up for the 128.
  std::vector<double> squares_, off_squares_;
  std::vector<T> norms_, roots_, offs_;
  std::vector<int32_t> starts_;
  // Of the carried points: rows, those of the step before, bytes; how far each group moved, and the lower bounds on its
  // distances (blocks, groups, kLanes).
  std::vector<T> rows_, last_rows_, half_norms_, row_offs_, moved_, bounds_;
  std::vector<uint8_t> byte_rows_;
  T reach_ = 0, greatest_root_ = 0, unit_ = 0, off_ = 0;
};

struct Serial {
  template <class F>
  void operator()(int64_t begin, int64_t end, int64_t, const F& f) const {
    if (begin < end) f(begin, end);
  }
};

// Threads take maps where there are enough of them, and share each map where not; either way the bits are the same.
// False where carried points were not finite.
template <class L, class P, class T = typename L::Scalar>
bool zoomout(const Problem<T>& problem, const P& parallel, int64_t threads) {
  const Shapes<L> shapes(problem);
  std::vector<char> finite(problem.b, 0);
  if (problem.b < threads) {
    Run<L, P> run(problem, shapes, parallel);
    for (int64_t i = 0; i < problem.b; ++i) finite[i] = run(i);
  } else {
    const int64_t cost = problem.n_s * problem.n_t * problem.k_t * int64_t(problem.source_sizes.size()) / 8;
    parallel(0, problem.b, grain(cost), [&](int64_t begin, int64_t end) {
      const Serial serial;
      Run<L, Serial> run(problem, shapes, serial);
      for (int64_t i = begin; i < end; ++i) finite[i] = run(i);
    });
  }
  return std::all_of(finite.begin(), finite.end(), [](char f) { return f != 0; });
}

}  // namespace geospec::zoom
