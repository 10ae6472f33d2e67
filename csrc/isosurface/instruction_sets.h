// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/wide.h"
#include "isosurface/isosurface.h"

namespace geospec::isosurface {

// Which of 64 samples are below a level; `unordered` is set where one of them is NaN.
namespace portable {
template <class T>
inline uint64_t below_level(const T* x, T level, uint64_t& unordered) {
  uint64_t bits = 0;
  for (int i = 0; i < 64; ++i) {
    bits |= uint64_t(x[i] < level) << i;
    unordered |= x[i] != x[i];
  }
  return bits;
}
}  // namespace portable

#ifdef GEOSPEC_WIDE_X86
namespace avx2 {
GEOSPEC_WIDE_AVX2 static inline uint64_t below_level(const float* x, float level, uint64_t& unordered) {
  const __m256 bar = _mm256_set1_ps(level);
  __m256 odd = _mm256_setzero_ps();
  uint64_t bits = 0;
  for (int i = 0; i < 64; i += 16) {
    const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
    bits |= uint64_t(uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(a, bar, _CMP_LT_OQ)))) << i;
    bits |= uint64_t(uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(b, bar, _CMP_LT_OQ)))) << (i + 8);
    odd = _mm256_or_ps(odd, _mm256_cmp_ps(a, b, _CMP_UNORD_Q));
  }
  unordered |= uint32_t(_mm256_movemask_ps(odd));
  return bits;
}
GEOSPEC_WIDE_AVX2 static inline uint64_t below_level(const double* x, double level, uint64_t& unordered) {
  const __m256d bar = _mm256_set1_pd(level);
  __m256d odd = _mm256_setzero_pd();
  uint64_t bits = 0;
  for (int i = 0; i < 64; i += 8) {
    const __m256d a = _mm256_loadu_pd(x + i), b = _mm256_loadu_pd(x + i + 4);
    bits |= uint64_t(uint32_t(_mm256_movemask_pd(_mm256_cmp_pd(a, bar, _CMP_LT_OQ)))) << i;
    bits |= uint64_t(uint32_t(_mm256_movemask_pd(_mm256_cmp_pd(b, bar, _CMP_LT_OQ)))) << (i + 4);
    odd = _mm256_or_pd(odd, _mm256_cmp_pd(a, b, _CMP_UNORD_Q));
  }
  unordered |= uint32_t(_mm256_movemask_pd(odd));
  return bits;
}
}  // namespace avx2

namespace avx512 {
GEOSPEC_WIDE_AVX512 static inline uint64_t below_level(const float* x, float level, uint64_t& unordered) {
  const __m512 bar = _mm512_set1_ps(level);
  uint64_t bits = 0;
  for (int i = 0; i < 64; i += 32) {
    const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + 16);
    bits |= uint64_t(_mm512_cmp_ps_mask(a, bar, _CMP_LT_OQ)) << i;
    bits |= uint64_t(_mm512_cmp_ps_mask(b, bar, _CMP_LT_OQ)) << (i + 16);
    unordered |= _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
  }
  return bits;
}
GEOSPEC_WIDE_AVX512 static inline uint64_t below_level(const double* x, double level, uint64_t& unordered) {
  const __m512d bar = _mm512_set1_pd(level);
  uint64_t bits = 0;
  for (int i = 0; i < 64; i += 16) {
    const __m512d a = _mm512_loadu_pd(x + i), b = _mm512_loadu_pd(x + i + 8);
    bits |= uint64_t(_mm512_cmp_pd_mask(a, bar, _CMP_LT_OQ)) << i;
    bits |= uint64_t(_mm512_cmp_pd_mask(b, bar, _CMP_LT_OQ)) << (i + 8);
    unordered |= _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q);
  }
  return bits;
}
}  // namespace avx512
#endif

}  // namespace geospec::isosurface

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#include "isosurface/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX2
#include "isosurface/lanes.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX512
#include "isosurface/lanes.h"
#endif

namespace geospec::isosurface {

// Calls f with a null pointer of the widest Lanes<T> this machine runs.
template <class T, class F>
void dispatch_lanes(const F& f) {
  wide::dispatch<GEOSPEC_WIDE_TYPES(Lanes<T>)>(f);
}

}  // namespace geospec::isosurface
