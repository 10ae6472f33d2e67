// What the ops of this folder ask of their arguments on the CPU, and the problem that these pose.
#pragma once

#include <torch/csrc/stable/library.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "common/checks.h"
#include "neighbours/forest.h"

namespace geospec::neighbours {

struct Parallel {
  template <class F>
  void operator()(int64_t begin, int64_t end, int64_t grain, const F& f) const {
    torch::stable::parallel_for(begin, end, grain, f);
  }
};

inline void check_points(const Tensor& t, const char* name, int64_t columns) {
  check_matrix(t, name, columns);
  check_float(t, name);
  STD_TORCH_CHECK(t.size(1) > 0, name, ": wanted at least one column, got none");
  STD_TORCH_CHECK(t.size(0) <= std::numeric_limits<int32_t>::max(), name, ": wanted fewer than 2^31 rows, got ",
                  t.size(0));
}

// The greatest magnitude; refuses what is not finite or overflows when squared.
template <class T>
double greatest(const T* x, int64_t n, int64_t d, const char* name) {
  constexpr int64_t kBlock = 1 << 14;
  const int64_t rows = std::max<int64_t>(1, kBlock / d), blocks = (n + rows - 1) / rows;
  std::vector<double> each(blocks);
  torch::stable::parallel_for(0, blocks, 8, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      T most[8] = {};
      const int64_t first = b * rows * d, last = std::min(n, (b + 1) * rows) * d;
      int64_t i = first;
      for (; i + 8 <= last; i += 8)
        for (int l = 0; l < 8; ++l) {
          const T a = std::abs(x[i + l]);
          most[l] = most[l] >= a ? most[l] : a;  // a NaN is taken, and stays unless a number follows
          if (a != a) most[l] = std::numeric_limits<T>::infinity();
        }
      for (; i < last; ++i) {
        const T a = std::abs(x[i]);
        most[0] = a != a ? std::numeric_limits<T>::infinity() : std::max(most[0], a);
      }
      each[b] = double(*std::max_element(most, most + 8));
    }
  });
  double all = 0;
  for (double one : each) all = std::max(all, one);
  if (all < 1e150) return all;
  for (int64_t i = 0; i < n * d; ++i)
    STD_TORCH_CHECK(std::abs(double(x[i])) < 1e150, name, ": wanted finite values (below 1e150), got another in row ",
                    i / d);
  return all;
}

// Squares of coordinates up to `most` and of their smallest differences should neither overflow nor vanish.
template <class T>
T scale_for(double most) {
  const double low = sizeof(T) == 4 ? 1e-6 : 1e-60, high = sizeof(T) == 4 ? 1e12 : 1e120;
  if (most == 0 || (most >= low && most <= high)) return T(1);
  constexpr int kLeast = std::numeric_limits<T>::min_exponent + 2;
  return T(std::ldexp(1.0, -std::max(kLeast, std::ilogb(most) + 1)));
}

// Offsets of the batches, from 0 to n without a step back; one batch where none are given.
inline std::vector<int64_t> batches(const std::optional<Tensor>& given, const char* name, int64_t n) {
  if (!given) return {0, n};
  const Tensor& t = *given;
  check_index(t, name);
  STD_TORCH_CHECK(t.dim() == 1 && t.size(0) >= 1, name, ": wanted shape (b + 1,), got ", describe(t));
  const Tensor flat = torch::stable::contiguous(t);
  const int64_t* begin = data<int64_t>(flat);
  std::vector<int64_t> offsets(begin, begin + flat.size(0));
  STD_TORCH_CHECK(offsets.front() == 0 && offsets.back() == n, name, ": wanted offsets from 0 to the ", n,
                  " rows, got from ", offsets.front(), " to ", offsets.back());
  for (size_t i = 1; i < offsets.size(); ++i)
    STD_TORCH_CHECK(offsets[i] >= offsets[i - 1], name, ": wanted offsets that never fall, got ", offsets[i - 1],
                    " before ", offsets[i]);
  return offsets;
}

struct Batches {
  std::vector<int64_t> queries, points;

  int64_t count() const { return int64_t(points.size()) - 1; }
};

inline Batches check_search(const Tensor& queries, const Tensor& points, bool exclude_self,
                            const std::optional<Tensor>& query_offsets, const std::optional<Tensor>& point_offsets) {
  check_points(queries, "queries", -1);
  check_points(points, "points", queries.size(1));
  check_same_dtype(queries, "queries", points, "points");
  check_same_device(queries, "queries", points, "points");
  STD_TORCH_CHECK(query_offsets.has_value() == point_offsets.has_value(),
                  "query_offsets: wanted them together with point_offsets, got one of the two");
  Batches both = {batches(query_offsets, "query_offsets", queries.size(0)),
                  batches(point_offsets, "point_offsets", points.size(0))};
  STD_TORCH_CHECK(both.queries.size() == both.points.size(), "query_offsets: wanted as many as point_offsets, ",
                  both.points.size(), ", got ", both.queries.size());
  STD_TORCH_CHECK(!exclude_self || both.queries == both.points,
                  "exclude_self: wanted queries that are the points, got another number of rows");
  return both;
}

inline void check_enough(const Batches& both, int64_t k, bool exclude_self) {
  STD_TORCH_CHECK(k >= 1, "k: wanted at least 1, got ", k);
  for (int64_t b = 0; b < both.count(); ++b) {
    const int64_t n = both.points[b + 1] - both.points[b] - exclude_self;
    STD_TORCH_CHECK(both.queries[b + 1] == both.queries[b] || k <= n, "k: wanted at most the ", std::max<int64_t>(n, 0),
                    exclude_self ? " other points" : " points", " of batch ", b, ", got ", k);
  }
}

}  // namespace geospec::neighbours
