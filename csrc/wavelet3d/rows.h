// Rows of a sparse matrix laid out for the loops over them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "wavelet3d/wavelet3d.h"

namespace geospec::wavelet {

// `count` rows of the same weights: the first makes output `out` from sources index[0..taps), the next make outputs
// `out_step` further on from sources `shift` further on.
struct Run {
  int32_t out, out_step, count, shift, begin, taps;
};

// Some rows of a matrix, and the sources that they look at, ascending; index counts among these.
template <class T>
struct Rows {
  std::vector<int32_t> outputs, sources, index;
  std::vector<Run> runs;
  std::vector<T> weight;
};

// Each of the given rows by itself.
template <class T>
Rows<T> some_rows(const Matrix& matrix, std::vector<int32_t> outputs) {
  Rows<T> rows;
  rows.outputs = std::move(outputs);
  for (const int32_t r : rows.outputs) {
    rows.runs.push_back({int32_t(rows.runs.size()), 0, 1, 0, int32_t(rows.index.size()),
                         int32_t(matrix.begin[r + 1] - matrix.begin[r])});
    for (int64_t i = matrix.begin[r]; i < matrix.begin[r + 1]; ++i) {
      rows.index.push_back(matrix.index[i]);
      rows.weight.push_back(T(matrix.weight[i]));
    }
  }
  rows.sources = rows.index;
  std::sort(rows.sources.begin(), rows.sources.end());
  rows.sources.erase(std::unique(rows.sources.begin(), rows.sources.end()), rows.sources.end());
  for (int32_t& i : rows.index)
    i = int32_t(std::lower_bound(rows.sources.begin(), rows.sources.end(), i) - rows.sources.begin());
  return rows;
}

// All rows, those that repeat each other `step` rows on gathered in runs of `most`. Bands of sources and of outputs
// begin at multiples of the given strides.
template <class T>
Rows<T> all_rows(const Matrix& matrix, int64_t step, int32_t most, int64_t source_band, int64_t source_stride,
                 int64_t output_band, int64_t output_stride) {
  const auto source = [&](int64_t i) { return int32_t(i / source_band * source_stride + i % source_band); };
  const auto output = [&](int64_t r) { return int32_t(r / output_band * output_stride + r % output_band); };
  const auto repeats = [&](int64_t a, int64_t b) {
    const int64_t begin = matrix.begin[a], taps = matrix.begin[a + 1] - begin, other = matrix.begin[b];
    if (taps == 0 || matrix.begin[b + 1] - other != taps) return false;
    for (int64_t t = 0; t < taps; ++t)
      if (matrix.weight[begin + t] != matrix.weight[other + t] ||
          source(matrix.index[other + t]) - source(matrix.index[begin + t]) !=
              source(matrix.index[other]) - source(matrix.index[begin]))
        return false;
    return true;
  };
  Rows<T> rows;
  std::vector<bool> taken(matrix.rows, false);
  for (int64_t r = 0; r < matrix.rows; ++r) {
    if (taken[r]) continue;
    int32_t count = 1, shift = 0;
    const int64_t first = matrix.begin[r], taps = matrix.begin[r + 1] - first;
    for (int64_t next = r + step; count < most && next < matrix.rows; next += step, ++count) {
      if (next / output_band != r / output_band || taken[next] || !repeats(next - step, next)) break;
      const int32_t moved = source(matrix.index[matrix.begin[next]]) - source(matrix.index[matrix.begin[next - step]]);
      if (count > 1 && moved != shift) break;
      shift = moved;
    }
    if (count < most) count = 1;
    for (int32_t i = 0; i < count; ++i) taken[r + i * step] = true;
    rows.runs.push_back({output(r), int32_t(step), count, shift, int32_t(rows.index.size()), int32_t(taps)});
    for (int64_t t = first; t < first + taps; ++t) {
      rows.index.push_back(source(matrix.index[t]));
      rows.weight.push_back(T(matrix.weight[t]));
    }
  }
  return rows;
}

}  // namespace geospec::wavelet
