// Arithmetic of one entry of a sparse matrix times a dense block, and the step of Chebyshev's recurrence around it.
//
// The block is row-major, (m, b) with b columns next to each other: one row of the matrix is read once for all of
// them, and what it gathers from the block are whole runs of memory. Rows are gathered, never scattered to, so there
// are no atomics and every run sums in the same order, in double.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace geospec {

// Row i holds values[e] in column col[e], e = crow[i] .. crow[i + 1] - 1; I is int32_t or int64_t.
template <class T, class I>
struct CsrView {
  const I* crow;
  const I* col;
  const T* values;
  int64_t n, m;  // rows, columns
};

// y = alpha A x + beta x + gamma z: a product alone is (1, 0, 0).
struct Step {
  double alpha, beta, gamma;
};

// What a product becomes in a step; x and z are read only where their weight is not zero.
template <class T>
GEOSPEC_HOST_DEVICE T finish(const Step& s, double product, const T* x, const T* z, int64_t at) {
  double sum = s.alpha * product;
  if (s.beta != 0) sum += s.beta * double(x[at]);
  if (s.gamma != 0) sum += s.gamma * double(z[at]);
  return T(sum);
}

// <row i of left, row col[e] of right>: the derivative of A x in the entry e of row i.
template <class T>
GEOSPEC_HOST_DEVICE T sampled_product(const T* left, const T* right, int64_t b) {
  double sum = 0;
  for (int64_t c = 0; c < b; ++c) sum += double(left[c]) * double(right[c]);
  return T(sum);
}

// T_degree(((upper + lower) / 2 - A) / ((upper - lower) / 2)) x by its three-term recurrence, degree >= 1. `apply`
// takes (step, x, z, y) and may be given z == y. Two buffers serve; returns the one that holds the result.
template <class T, class F>
T* chebyshev_recurrence(const T* x, T* first, T* second, int64_t degree, double lower, double upper, const F& apply) {
  const double center = (upper + lower) / 2, half = (upper - lower) / 2;
  apply(Step{-1 / half, center / half, 0}, x, static_cast<const T*>(nullptr), first);
  const T* before = x;
  for (int64_t j = 1; j < degree; ++j) {
    apply(Step{-2 / half, 2 * center / half, -1}, first, before, second);
    T* const done = second;
    second = first;
    before = second;
    first = done;
  }
  return first;
}

}  // namespace geospec
