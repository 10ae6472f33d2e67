// ZoomOut of a batch of maps between two embeddings: search, project, grow.
//
// What belongs to the target (queries, their norms, their bytes) is prepared once for all maps and only grows from
// step to step. A search begins at each query's last image, which is mostly still the nearest or close to it: few
// rows then pass the filters of spectral_nearest/search.h, and none is stored.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "spectral_nearest/spectral_nearest.h"
#include "zoomout/instruction_sets.h"

namespace geospec::zoom {

using nearest::grain;
using nearest::Hit;

constexpr int64_t kChunk = 48;       // rows compared before what passed is looked at
constexpr int64_t kCoarseFrom = 16;  // coordinates from which bytes pay

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

// The carried points of one map at one step.
template <class T>
struct Points {
  std::vector<T> rows, half_norms;  // (n_s, d), (n_s)
  std::vector<uint8_t> bytes;       // (n_s, d padded to four), each 128 too large
  std::vector<T> map;               // (k_s, d padded): the transpose of the map, times the scale
  std::vector<double> sums;         // (k_t padded, k_s padded): the projection
  T reach = 0, unit = 0, off = 0;   // the greatest norm; the value of a byte; the greatest norm of what bytes round off
};

template <class L, class P>
class Steps {
  using T = typename L::Scalar;
  static constexpr int kLanes = L::kLanes, kWidth = L::kWidth;

 public:
  Steps(const Problem<T>& problem, const P& parallel)
      : problem_(problem), parallel_(parallel), blocks_((problem.n_t + kLanes - 1) / kLanes) {
    prepare();
  }

  // False where carried points were not finite.
  bool run() {
    const int64_t steps = int64_t(problem_.source_sizes.size()) - 1;
    std::vector<std::vector<T>> maps(problem_.b);
    std::vector<char> finite(problem_.b, 1);
    for (int64_t step = 0; step < steps; ++step) {
      grow(problem_.target_sizes[step]);
      each_map([&](int64_t i, const auto& parallel, Points<T>& points) {
        const int64_t k_s = problem_.source_sizes[step];
        const T* map = step == 0 ? problem_.maps + i * d_ * k_s : maps[i].data();
        if (finite[i] && carry(map, k_s, points, parallel))
          search(points, step > 0, problem_.images + i * problem_.n_t, parallel);
        else
          finite[i] = 0;
        if (finite[i]) project(points, step + 1, step + 1 == steps, i, maps[i], parallel);
      });
    }
    return std::all_of(finite.begin(), finite.end(), [](char f) { return f != 0; });
  }

 private:
  struct Serial {
    template <class F>
    void operator()(int64_t begin, int64_t end, int64_t, const F& f) const {
      if (begin < end) f(begin, end);
    }
  };

  // Threads take maps where there are enough of them, and share each map where not; either way the bits are the same.
  template <class F>
  void each_map(const F& f) {
    if (problem_.b < parallel_.threads()) {
      for (int64_t i = 0; i < problem_.b; ++i) f(i, parallel_, shared_);
    } else {
      parallel_(0, problem_.b, grain(problem_.n_s * problem_.n_t * d_ / 4), [&](int64_t begin, int64_t end) {
        Points<T> points;
        for (int64_t i = begin; i < end; ++i) f(i, Serial{}, points);
      });
    }
  }

  void prepare() {
    const int64_t n_s = problem_.n_s, n_t = problem_.n_t, k_s = problem_.k_s, k_t = problem_.k_t;
    double greatest = 0;
    for (int64_t i = 0; i < n_t * k_t; ++i) greatest = std::max(greatest, std::abs(double(problem_.target[i])));
    if (greatest > 0) scale_ = T(std::ldexp(1.0, -std::clamp(std::ilogb(greatest) + 1, -kMostExponent, kMostExponent)));
    queries_.resize(n_t * k_t);
    for (int64_t i = 0; i < n_t * k_t; ++i) queries_[i] = problem_.target[i] * scale_;
    lanes_.assign(blocks_ * k_t * kLanes, T(0));
    weighted_stride_ = padded(k_t, L::kGathered);
    weighted_.assign(n_t * weighted_stride_, T(0));
    for (int64_t p = 0; p < n_t; ++p)
      for (int64_t k = 0; k < k_t; ++k) {
        lanes_[(p / kLanes * k_t + k) * kLanes + p % kLanes] = queries_[p * k_t + k];
        weighted_[p * weighted_stride_ + k] =
            problem_.measure ? problem_.measure[p] * problem_.target[p * k_t + k] : problem_.target[p * k_t + k];
      }
    source_stride_ = padded(k_s, kWidth);
    source_.assign(n_s * source_stride_ + kWidth, T(0));
    for (int64_t q = 0; q < n_s; ++q) std::copy_n(problem_.source + q * k_s, k_s, source_.data() + q * source_stride_);
    norms_.assign(blocks_ * kLanes, 0.0);
    if constexpr (L::kCoarse) prepare_bytes();
  }

  // The queries in bytes, each in a unit that serves all of its coordinates.
  void prepare_bytes() {
    if constexpr (L::kCoarse) {
      const int64_t k_t = problem_.k_t;
      bytes_ = padded(k_t, 4);
      query_bytes_.assign(blocks_ * bytes_ * kLanes, 0);
      units_.assign(blocks_ * kLanes, T(0));
      offs_.assign(blocks_ * kLanes, 0.0);
      starts_.assign(blocks_ * kLanes, 0);
      std::vector<int8_t> row(bytes_ + kWidth);
      for (int64_t p = 0; p < problem_.n_t; ++p) {
        const T* x = queries_.data() + p * k_t;
        const T greatest = L::greatest(x, k_t), unit = greatest > 0 ? greatest / 127 : T(1);
        L::coarsen(x, unit, k_t, row.data());
        for (int64_t k = 0; k < bytes_; ++k)
          query_bytes_[((p / kLanes * bytes_ + k) / 4 * kLanes + p % kLanes) * 4 + k % 4] = row[k];
        units_[p] = unit;
      }
    }
  }

  int8_t query_byte(int64_t p, int64_t k) const {
    return query_bytes_[((p / kLanes * bytes_ + k) / 4 * kLanes + p % kLanes) * 4 + k % 4];
  }

  // Brings what is known of the queries from d_ coordinates to d.
  void grow(int64_t d) {
    const int64_t bytes = padded(d, 4);
    coarse_ = L::kCoarse && d >= kCoarseFrom;
    parallel_(0, problem_.n_t, grain(d - d_ + 8), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const T* x = queries_.data() + p * problem_.k_t;
        for (int64_t k = d_; k < d; ++k) norms_[p] += double(x[k]) * double(x[k]);
        if constexpr (L::kCoarse) {
          for (int64_t k = d_; k < d; ++k) {
            const double off = double(x[k]) - double(units_[p]) * query_byte(p, k);
            offs_[p] += off * off;
          }
          for (int64_t k = grown_bytes_; k < bytes; ++k) starts_[p] -= 128 * query_byte(p, k);
        }
      }
    });
    d_ = d;
    grown_bytes_ = bytes;
  }

  // Phi_s C^T in the frame of the queries, its norms and bytes. False where it is not finite.
  template <class Q>
  bool carry(const T* map, int64_t k_s, Points<T>& points, const Q& parallel) const {
    const int64_t n_s = problem_.n_s, d = d_, stride = padded(d, kWidth);
    points.map.assign(k_s * stride, T(0));
    const T scale = T(problem_.scale * double(scale_));
    for (int64_t i = 0; i < d; ++i)
      for (int64_t j = 0; j < k_s; ++j) points.map[j * stride + i] = map[i * k_s + j] * scale;
    points.rows.resize(n_s * d);
    points.half_norms.resize(n_s);
    parallel(0, n_s, grain(d * k_s), [&](int64_t begin, int64_t end) {
      L::product(source_.data() + begin * source_stride_, source_stride_, end - begin, points.map.data(), stride, k_s,
                 points.rows.data() + begin * d, d);
      for (int64_t q = begin; q < end; ++q) {
        const T* row = points.rows.data() + q * d;
        points.half_norms[q] = T(0.5) * L::dot(row, row, d);
      }
    });
    T half = 0;
    for (T h : points.half_norms) {
      if (!(h < std::numeric_limits<T>::infinity())) return false;
      half = std::max(half, h);
    }
    points.reach = std::sqrt(2 * half);
    if (coarse_) coarsen(points, parallel);
    return true;
  }

  template <class Q>
  void coarsen(Points<T>& points, const Q& parallel) const {
    if constexpr (L::kCoarse) {
      const int64_t n_s = problem_.n_s, d = d_, bytes = grown_bytes_;
      const T greatest = L::greatest(points.rows.data(), n_s * d);
      points.unit = greatest > 0 ? greatest / 127 : T(1);
      points.bytes.resize(n_s * bytes);
      std::vector<T> squares(n_s);
      parallel(0, n_s, grain(2 * d), [&](int64_t begin, int64_t end) {
        std::vector<int8_t> row(bytes + kWidth);
        for (int64_t q = begin; q < end; ++q) {
          squares[q] = L::coarsen(points.rows.data() + q * d, points.unit, d, row.data());
          for (int64_t k = 0; k < bytes; ++k) points.bytes[q * bytes + k] = uint8_t(row[k] + 128);
        }
      });
      points.off = root_above(double(*std::max_element(squares.begin(), squares.end())), points.reach);
    }
  }

  // An upper bound on the norm of rounded off coordinates, whose square was summed in T.
  T root_above(double square, T reach) const {
    return T(std::sqrt(square) * 1.0001 + double(rounding_error(d_, T(1))) * double(reach));
  }

  template <class Q>
  void search(const Points<T>& points, bool started, int64_t* images, const Q& parallel) const {
    parallel(0, blocks_, grain(problem_.n_s * d_ * kLanes / (coarse_ ? 4 : 1)), [&](int64_t begin, int64_t end) {
      std::vector<Hit<T>> hits(kChunk * kLanes);
      for (int64_t block = begin; block < end; ++block) search_block(points, block, started, images, hits.data());
    });
  }

  // The nearest points of kLanes queries: as in spectral_nearest, from the last image on.
  void search_block(const Points<T>& points, int64_t block, bool started, int64_t* images, Hit<T>* hits) const {
    const int64_t n_s = problem_.n_s, d = d_, first_query = block * kLanes;
    const T* x = lanes_.data() + block * problem_.k_t * kLanes;
    double best[kLanes];
    int64_t index[kLanes];
    T error[kLanes], margin[kLanes], threshold[kLanes], slack[kLanes], unit[kLanes];
    const auto tighten = [&](int l) {
      threshold[l] = T(0.5 * (best[l] - norms_[first_query + l]) + 0.5 * double(error[l])) + margin[l];
    };
    const auto measure = [&](int l, int64_t row) {
      const double squared =
          L::exact(queries_.data() + (first_query + l) * problem_.k_t, points.rows.data() + row * d, d, 1.0);
      if (!wins(squared, row, best[l], index[l])) return;
      best[l] = squared;
      index[l] = row;
      tighten(l);
    };
    for (int l = 0; l < kLanes; ++l) {
      const int64_t p = first_query + l;
      const bool used = p < problem_.n_t;
      const T norm = T(std::sqrt(norms_[p]));
      best[l] = used ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
      index[l] = std::numeric_limits<int64_t>::max();
      error[l] = rounding_error(d, points.reach + norm);
      margin[l] = unit[l] = T(0);
      if constexpr (L::kCoarse)
        if (coarse_) {
          margin[l] = points.off * norm + (points.reach + points.off) * root_above(offs_[p], norm) + error[l];
          unit[l] = units_[p] * points.unit;
        }
      slack[l] = error[l] + 2 * margin[l];
      tighten(l);
      if (used && started) measure(l, images[p]);
    }
    for (int64_t first = 0; first < n_s; first += kChunk) {
      const int64_t n = std::min(kChunk, n_s - first);
      int64_t count = 0;
      if constexpr (L::kCoarse)
        if (coarse_)
          count = L::scan_coarse(points.bytes.data() + first * grown_bytes_, points.half_norms.data() + first, n,
                                 grown_bytes_, query_bytes_.data() + block * bytes_ * kLanes,
                                 starts_.data() + first_query, unit, threshold, slack, hits);
      if (!coarse_)
        count =
            L::scan(points.rows.data() + first * d, points.half_norms.data() + first, n, d, x, threshold, slack, hits);
      for (int64_t i = 0; i < count; ++i) {
        const int l = hits[i].lane;
        const int64_t row = first + hits[i].row;
        if (hits[i].value > threshold[l]) continue;  // it has fallen since
        if (coarse_) {
          const T product = L::dot(queries_.data() + (first_query + l) * problem_.k_t, points.rows.data() + row * d, d);
          if (points.half_norms[row] - product > threshold[l] - margin[l] + error[l]) continue;
        }
        measure(l, row);
      }
    }
    for (int l = 0; l < kLanes && first_query + l < problem_.n_t; ++l) images[first_query + l] = index[l];
  }

  // Phi_t^T M Phi_s[images] of the next size, divided by the factor.
  template <class Q>
  void project(Points<T>& points, int64_t step, bool last, int64_t i, std::vector<T>& map, const Q& parallel) const {
    const int64_t k_s = problem_.source_sizes[step], k_t = problem_.target_sizes[step], stride = padded(k_s, kWidth);
    const int64_t strips = (k_t + L::kGathered - 1) / L::kGathered;
    points.sums.assign(strips * L::kGathered * stride, 0.0);
    const int64_t* images = problem_.images + i * problem_.n_t;
    parallel(0, strips, grain(problem_.n_t * L::kGathered * k_s), [&](int64_t begin, int64_t end) {
      for (int64_t strip = begin; strip < end; ++strip)
        L::gathered(weighted_.data() + strip * L::kGathered, weighted_stride_, source_.data(), source_stride_, images,
                    problem_.n_t, k_s, points.sums.data() + strip * L::kGathered * stride, stride);
    });
    if (problem_.factor) divide(points.sums.data(), stride, k_t);
    T* out = last ? problem_.out + i * k_t * k_s : (map.resize(k_t * k_s), map.data());
    for (int64_t r = 0; r < k_t; ++r)
      for (int64_t c = 0; c < k_s; ++c) out[r * k_s + c] = T(points.sums[r * stride + c]);
  }

  // The rows of the sums become those of (L L^T)^-1 sums, with the leading block of the factor L.
  void divide(double* rows, int64_t stride, int64_t k_t) const {
    const double* factor = problem_.factor;
    const int64_t of = problem_.k_t;
    for (int64_t r = 0; r < k_t; ++r) {
      for (int64_t c = 0; c < r; ++c) L::Wide::axpy(-factor[r * of + c], rows + c * stride, rows + r * stride, stride);
      for (int64_t c = 0; c < stride; ++c) rows[r * stride + c] /= factor[r * of + r];
    }
    for (int64_t r = k_t - 1; r >= 0; --r) {
      for (int64_t c = r + 1; c < k_t; ++c)
        L::Wide::axpy(-factor[c * of + r], rows + c * stride, rows + r * stride, stride);
      for (int64_t c = 0; c < stride; ++c) rows[r * stride + c] /= factor[r * of + r];
    }
  }

  static constexpr int kMostExponent = sizeof(T) == 4 ? 120 : 1000;

  const Problem<T>& problem_;
  const P& parallel_;
  const int64_t blocks_;
  int64_t d_ = 0, grown_bytes_ = 0;  // coordinates of the step, and padded to four
  bool coarse_ = false;
  T scale_ = 1;             // a power of two that keeps squares in range
  std::vector<T> queries_;  // (n_t, k_t), scaled
  std::vector<T> lanes_;    // (blocks, k_t, kLanes): the same across the lanes
  std::vector<T> weighted_, source_;
  int64_t weighted_stride_ = 0, source_stride_ = 0, bytes_ = 0;
  std::vector<double> norms_, offs_;  // squares of the queries, and of what their bytes round off, in d_ coordinates
  std::vector<int8_t> query_bytes_;   // (blocks, k_t / 4, kLanes, 4)
  std::vector<T> units_;
  std::vector<int32_t> starts_;
  Points<T> shared_;
};

}  // namespace geospec::zoom
