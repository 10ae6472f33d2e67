// simd.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include <cmath>
#include <cstdint>

#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
#define GEOSPEC_X86 1
#include <immintrin.h>
#endif

#include "common/wide.h"
#include "spectral_nearest/spectral_nearest.h"

namespace geospec::nearest {

// Items that make up a task for a thread: to wake one costs more than small loops take.
inline int64_t grain(int64_t operations_per_item) {
  constexpr int64_t kTask = int64_t(1) << 23;
  return operations_per_item < kTask ? kTask / operations_per_item : 1;
}

template <class T>
struct Hit {
  T value;
  int32_t lane;
  int64_t row;
};

// A bit for each lane where a <= b, and the square root of each: the two steps that C's operators do not give.
namespace portable {
template <class T, class V>
inline uint32_t below(V a, V b) {
  uint32_t bits = 0;
  for (unsigned l = 0; l < sizeof(V) / sizeof(T); ++l) bits |= uint32_t(a[l] <= b[l]) << l;
  return bits;
}
template <class T, class V>
inline V root(V a) {
  for (unsigned l = 0; l < sizeof(V) / sizeof(T); ++l) a[l] = std::sqrt(a[l]);
  return a;
}
}  // namespace portable

#ifdef GEOSPEC_X86
#define GEOSPEC_WIDE(target_, type, vector, below_, root_)                                           \
  template <class T>                                                                                 \
  __attribute__((target(target_), always_inline)) static inline uint32_t below(vector a, vector b) { \
    return uint32_t(below_);                                                                         \
  }                                                                                                  \
  template <class T>                                                                                 \
  __attribute__((target(target_), always_inline)) static inline vector root(vector a) {              \
    return root_(a);                                                                                 \
  }
#define GEOSPEC_AVX2 "avx2,fma"
#define GEOSPEC_AVX512 "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"
namespace avx2 {
GEOSPEC_WIDE(GEOSPEC_AVX2, float, __m256, _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)), _mm256_sqrt_ps)
GEOSPEC_WIDE(GEOSPEC_AVX2, double, __m256d, _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LE_OQ)), _mm256_sqrt_pd)
}  // namespace avx2
namespace avx512 {
// Zero-masked because _mm512_sqrt_ps of GCC 12 warns of its own undefined operand.
#define GEOSPEC_ROOT16(a) _mm512_maskz_sqrt_ps(0xffff, a)
#define GEOSPEC_ROOT8(a) _mm512_maskz_sqrt_pd(0xff, a)
GEOSPEC_WIDE(GEOSPEC_AVX512, float, __m512, _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), GEOSPEC_ROOT16)
GEOSPEC_WIDE(GEOSPEC_AVX512, double, __m512d, _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), GEOSPEC_ROOT8)
}  // namespace avx512
#define GEOSPEC_VNNI "avx512vnni," GEOSPEC_AVX512
namespace vnni {
GEOSPEC_WIDE(GEOSPEC_VNNI, float, __m512, _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), GEOSPEC_ROOT16)
GEOSPEC_WIDE(GEOSPEC_VNNI, double, __m512d, _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), GEOSPEC_ROOT8)
}  // namespace vnni
#undef GEOSPEC_WIDE
#endif

}  // namespace geospec::nearest

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_BYTES 16
#define GEOSPEC_SIMD_ROWS 6
#include "spectral_nearest/simd.h"

#ifdef GEOSPEC_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET __attribute__((target(GEOSPEC_AVX2)))
#define GEOSPEC_SIMD_BYTES 32
#define GEOSPEC_SIMD_ROWS 6
#include "spectral_nearest/simd.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET __attribute__((target(GEOSPEC_AVX512)))
#define GEOSPEC_SIMD_BYTES 64
#define GEOSPEC_SIMD_ROWS 12
#include "spectral_nearest/simd.h"

#define GEOSPEC_SIMD vnni
#define GEOSPEC_SIMD_TARGET __attribute__((target(GEOSPEC_VNNI)))
#define GEOSPEC_SIMD_BYTES 64
#define GEOSPEC_SIMD_ROWS 12
#define GEOSPEC_SIMD_DOT4(sum, points, queries) \
  (I) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(points), (__m512i)(queries))
#include "spectral_nearest/simd.h"
#endif

namespace geospec::nearest {

// Calls f with a null pointer of the widest Simd<T> this machine runs.
template <class T, class F>
auto dispatch_simd(const F& f) {
#ifdef GEOSPEC_X86
  if (wide::widest() == wide::Registers::avx512) {
    if (__builtin_cpu_supports("avx512vnni")) return f(static_cast<vnni::Simd<T>*>(nullptr));
    return f(static_cast<avx512::Simd<T>*>(nullptr));
  }
  if (wide::widest() == wide::Registers::avx2) return f(static_cast<avx2::Simd<T>*>(nullptr));
#endif
  return f(static_cast<portable::Simd<T>*>(nullptr));
}

}  // namespace geospec::nearest
