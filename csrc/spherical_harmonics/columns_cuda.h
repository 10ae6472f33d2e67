// One order of the recurrence in a thread, degree by degree.
#pragma once

#include "common/cuda.h"
#include "spherical_harmonics/spherical_harmonics.h"

namespace geospec::harmonics {

// A direction in the type that is computed in. A vector that is none makes every result NaN.
template <class T>
struct Ray {
  Direction u;
  T x, y, w, mirror;

  __device__ Ray(const T* xyz, bool normalize) {
    bool usable;
    u = direction(xyz, normalize, usable);
    if (!usable) u = {NAN, NAN, NAN, NAN};
    x = T(u.x), y = T(u.y);
    w = T((u.x * u.x + u.y * u.y) / (1 + fabs(u.z)));
    mirror = u.z < 0 ? T(-1) : T(1);
  }

  // (x + iy)^m by squaring; anything where m < 0.
  __device__ void power(int64_t m, T& c, T& s) const {
    c = 1 + 0 * x, s = 0 * x;  // NaN stays NaN
    T a = x, b = y;
    for (; m > 0; m >>= 1) {
      if (m & 1) turn(c, s, a, b);
      const T square = a * a - b * b;
      b = 2 * a * b;
      a = square;
    }
  }
};

// Q_{l,m}(z) for l = m, m + 1, ...
template <class T>
struct Column {
  const T* row;
  T value = 0, difference = 0, sign = 1;
  bool begun = false;

  __device__ Column(const T* table, int64_t degree, int64_t m) : row(table + first_row(degree, m) * kCoefficients) {}

  // The next degree; `d` of its row is the factor of its derivative.
  __device__ T next(const Ray<T>& ray, T& d) {
    if (begun) {
      advance(value, difference, ray.w, row[0], row[1], row[2]);
      sign *= ray.mirror;
    } else {
      value = row[2];
      begun = true;
    }
    d = row[3];
    row += kCoefficients;
    return value * sign;
  }
};

}  // namespace geospec::harmonics
