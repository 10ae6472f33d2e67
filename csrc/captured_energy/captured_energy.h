// The energy of one row of coefficients.
//
// The coefficients Q^T F are a dense product, which no loop of ours makes faster than the BLAS that torch brings. They
// are (k, m), a small part of F, and the gradients need them again: to keep them costs less than to make them twice.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace geospec {

constexpr int kLanes = 8;  // partial sums that do not wait for each other, of columns c, c + kLanes, ...

// Sum of squares of row[begin], row[begin + step], ... below m, in double.
template <class T>
GEOSPEC_HOST_DEVICE double strided_energy(const T* row, int64_t begin, int64_t step, int64_t m) {
  double sum = 0;
  for (int64_t c = begin; c < m; c += step) sum += double(row[c]) * double(row[c]);
  return sum;
}

}  // namespace geospec
