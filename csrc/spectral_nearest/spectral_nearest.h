// Arithmetic of one pair: its squared distance, and which of two candidates wins.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace geospec {

// |scale (a - b)|^2 with differences, squares and sums in double: for float coordinates this is the true
// distance to about 1e-15, whatever their offset. `scale` is a power of two that keeps squares in range.
template <class T>
GEOSPEC_HOST_DEVICE double squared_distance(const T* a, const T* b, int64_t d, double scale) {
  double part[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  const int64_t whole = d - d % 8;
  for (int64_t k = 0; k < whole; k += 8)
    for (int j = 0; j < 8; ++j) {
      const double x = scale * (double(a[k + j]) - double(b[k + j]));
      part[j] += x * x;
    }
  for (int64_t k = whole; k < d; ++k) {
    const double x = scale * (double(a[k]) - double(b[k]));
    part[k - whole] += x * x;
  }
  return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

// The nearer wins, and of two equally near the smaller index.
GEOSPEC_HOST_DEVICE bool wins(double squared, int64_t index, double best, int64_t best_index) {
  return squared < best || (squared == best && index < best_index);
}

// Bound on the error of |a|^2 + |b|^2 - 2 a.b taken in T, for |a| + |b| <= reach: d + 2 rounded operations,
// and some thirty units more for the centring of both points and the arithmetic around the sum.
template <class T>
GEOSPEC_HOST_DEVICE T rounding_error(int64_t d, T reach) {
  const T unit = sizeof(T) == 4 ? T(5.9604645e-8) : T(1.1102230246251565e-16);
  return T(d + 32) * unit * reach * reach;
}

}  // namespace geospec
