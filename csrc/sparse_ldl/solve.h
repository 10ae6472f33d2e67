// Solves L D L^T x = b for many columns at once: each entry of the factor is read once for all of a chunk of columns.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "common/host_device.h"
#include "sparse_ldl/instruction_sets.h"
#include "sparse_ldl/symbolic.h"

namespace geospec::ldl {

// Asks for the rows of x that a supernode will touch: they lie anywhere, and waiting for them would cost more than the
// arithmetic.
template <int N>
inline void prefetch_rows(const Structure& s, int64_t node, const double* x, int64_t stride) {
  if (node < 0 || node >= s.supernodes) return;
  for (int64_t e = s.row_begin[node]; e < s.row_begin[node + 1]; ++e)
    for (int v = 0; v < N; ++v) prefetch(x + s.rows[e] * stride + 8 * v);
}

// x (n, 8 N) with distance `stride` between rows, in the elimination order.
template <class S, int N>
void solve_columns(const Structure& s, const double* panels, const double* pivots, const int64_t* from, double* x,
                   int64_t stride) {
  std::vector<double> copy(kBlock * 8 * N);
  for (int64_t node = 0; node < s.supernodes; ++node) {
    const int64_t width = s.width(node), lda = s.stride(node);
    const double* panel = panels + s.panel_begin[node];
    double* own = x + s.first[node] * stride;
    prefetch_rows<N>(s, node + 1, x, stride);
    for (int64_t k = 0; k < width; k += kBlock) {
      const int64_t n = std::min(kBlock, width - k), after = k + n;
      S::template apply_inverse<N>(own + k * stride, stride, panel + k * lda + k, lda, n, from + s.first[node] + k,
                                   copy.data());
      S::template subtract<N>(own + after * stride, stride, nullptr, width - after, panel + after * lda + k, lda,
                              own + k * stride, stride, n);
    }
    S::template subtract<N>(x, stride, s.rows + s.row_begin[node], s.below(node), panel + width * lda, lda, own, stride,
                            width);
  }
  for (int64_t node = s.supernodes - 1; node >= 0; --node) {
    const int64_t width = s.width(node), lda = s.stride(node);
    const double* panel = panels + s.panel_begin[node];
    double* own = x + s.first[node] * stride;
    prefetch_rows<N>(s, node - 1, x, stride);
    for (int64_t i = 0; i < width; ++i)
      for (int64_t c = 0; c < 8 * N; ++c) own[i * stride + c] /= pivots[s.first[node] + i];
    S::template subtract_transposed<N>(own, stride, width, panel + width * lda, lda, x, stride,
                                       s.rows + s.row_begin[node], s.below(node));
    for (int64_t k = (width - 1) / kBlock * kBlock; k >= 0; k -= kBlock) {
      const int64_t n = std::min(kBlock, width - k), after = k + n;
      S::template subtract_transposed<N>(own + k * stride, stride, n, panel + after * lda + k, lda,
                                         own + after * stride, stride, nullptr, width - after);
      S::template apply_inverse_transposed<N>(own + k * stride, stride, panel + k * lda + k, lda, n,
                                              from + s.first[node] + k, copy.data());
    }
  }
}

// b, x in the order of the matrix, column c of row i at [i row_step + c column_step]. Threads share the columns.
template <class S, class P>
void solve(const Structure& s, const double* panels, const double* pivots, const int64_t* from_rows, const double* b,
           double* x, int64_t columns, int64_t row_step, int64_t column_step, const P& parallel, int64_t threads) {
  const int64_t share = (columns + threads - 1) / threads, chunk = share > 16 ? 32 : share > 8 ? 16 : 8;
  parallel(0, (columns + chunk - 1) / chunk, 1, [&](int64_t begin, int64_t end) {
    const auto room = std::make_unique_for_overwrite<double[]>(s.n * chunk);
    for (int64_t c = begin; c < end; ++c) {
      const int64_t from = c * chunk, count = std::min(chunk, columns - from);
      for (int64_t i = 0; i < s.n; ++i) {
        const double* row = b + s.order[i] * row_step + from * column_step;
        double* place = room.get() + i * chunk;
        for (int64_t j = 0; j < count; ++j) place[j] = row[j * column_step];
        for (int64_t j = count; j < chunk; ++j) place[j] = 0;
      }
      if (chunk == 32)
        solve_columns<S, 4>(s, panels, pivots, from_rows, room.get(), chunk);
      else if (chunk == 16)
        solve_columns<S, 2>(s, panels, pivots, from_rows, room.get(), chunk);
      else
        solve_columns<S, 1>(s, panels, pivots, from_rows, room.get(), chunk);
      for (int64_t i = 0; i < s.n; ++i) {
        double* row = x + s.order[i] * row_step + from * column_step;
        for (int64_t j = 0; j < count; ++j) row[j * column_step] = room[i * chunk + j];
      }
    }
  });
}

}  // namespace geospec::ldl
