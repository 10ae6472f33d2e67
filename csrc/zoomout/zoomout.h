// Arithmetic of one entry: of a carried point, and of a map divided by a Cholesky factor.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace geospec {

// Coordinate i of the point that a map C (k_t, k_s) makes of a row of the source: scale (C row)_i.
template <class T>
GEOSPEC_HOST_DEVICE T carried(const T* map, const T* row, int64_t i, int64_t k_s, double scale) {
  double sum = 0;
  for (int64_t j = 0; j < k_s; ++j) sum += double(map[i * k_s + j]) * double(row[j]);
  return T(scale * sum);
}

// Solves F F^T x = b in place, for the leading (k, k) block of a lower factor F with rows `of` apart and a column b
// with entries `stride` apart.
GEOSPEC_HOST_DEVICE void divide_column(const double* factor, int64_t of, int64_t k, double* column, int64_t stride) {
  for (int64_t r = 0; r < k; ++r) {
    double x = column[r * stride];
    for (int64_t c = 0; c < r; ++c) x -= factor[r * of + c] * column[c * stride];
    column[r * stride] = x / factor[r * of + r];
  }
  for (int64_t r = k - 1; r >= 0; --r) {
    double x = column[r * stride];
    for (int64_t c = r + 1; c < k; ++c) x -= factor[c * of + r] * column[c * stride];
    column[r * stride] = x / factor[r * of + r];
  }
}

}  // namespace geospec
