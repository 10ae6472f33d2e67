// The Legendre half of a transform on rings of latitude: for each order m, sums over rings or over degrees of
// P_{l,m}(theta) = Q_{l,m}(cos theta) sin^m theta. Always in double.
#pragma once

#include "spherical_harmonics/spherical_harmonics.h"

namespace geospec::legendre {

using harmonics::advance;
using harmonics::first_row;
using harmonics::kCoefficients;

constexpr int64_t kNode = 3;  // of a ring: cosine and sine of its colatitude, and a factor of all its harmonics

// sin^m, 0 where it underflows: the harmonic is then below 1e-99.
GEOSPEC_HOST_DEVICE double power(double sine, int64_t m) {
  double result = 1;
  for (; m > 0; m >>= 1, sine *= sine)
    if (m & 1) result *= sine;
  return result;
}

// Whether all P_{l,m} of a ring up to the degree are below rounding (Reinecke 2011).
GEOSPEC_HOST_DEVICE bool vanishes(double sine, int64_t m, int64_t degree) {
  return m - degree * sine > (degree > 10000 ? 0.01 * degree : 100);
}

}  // namespace geospec::legendre
