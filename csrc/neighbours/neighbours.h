// Arithmetic of one pair: its squared distance, and which of two candidates comes first.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace geospec::neighbours {

// Keeps the compiler from fusing what stands on either side into one operation with one rounding, so that every
// machine, and the twin in Python, finds the same distance to the last bit: ties are decided by the index alone.
template <class V>
GEOSPEC_HOST_DEVICE V rounded(V v) {
#if defined(__CUDA_ARCH__) || !defined(__GNUC__)
#elif defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#else
  asm("" : "+m"(v));
#endif
  return v;
}

GEOSPEC_HOST_DEVICE double add_square(double sum, double x) {
#ifdef __CUDA_ARCH__
  return __dadd_rn(sum, __dmul_rn(x, x));
#else
  return sum + rounded(x * x);
#endif
}

// |a - b|^2: differences, squares and their sum in the order of the coordinates, each rounded to double.
template <class T>
GEOSPEC_HOST_DEVICE double squared_distance(const T* a, const T* b, int64_t d) {
  double sum = 0;
  for (int64_t k = 0; k < d; ++k) sum = add_square(sum, double(a[k]) - double(b[k]));
  return sum;
}

// The nearer comes first, and of two equally near the smaller index.
GEOSPEC_HOST_DEVICE bool before(double squared, int64_t index, double other, int64_t other_index) {
  return squared < other || (squared == other && index < other_index);
}

}  // namespace geospec::neighbours
