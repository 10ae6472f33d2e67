// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/wide.h"
#include "noisy_magnitudes/noisy_magnitudes.h"

namespace geospec::noise {
template <class V>
inline V portable_root(V a) {
  for (unsigned l = 0; l < sizeof(V) / sizeof(double); ++l) a[l] = std::sqrt(a[l]);
  return a;
}
}  // namespace geospec::noise

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_LANES 2
#define GEOSPEC_SIMD_ROOT(a) portable_root(a)
#include "noisy_magnitudes/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_SIMD_LANES 4
#define GEOSPEC_SIMD_ROOT(a) (V) _mm256_sqrt_pd((__m256d)(a))
#include "noisy_magnitudes/lanes.h"

// Zero-masked because _mm512_sqrt_pd of GCC 12 warns of its own undefined operand.
#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_SIMD_LANES 8
#define GEOSPEC_SIMD_ROOT(a) (V) _mm512_maskz_sqrt_pd(0xff, (__m512d)(a))
#include "noisy_magnitudes/lanes.h"
#endif

namespace geospec::noise {

// Calls f with a null pointer of the widest Lanes this machine runs.
template <class F>
void dispatch_lanes(const F& f) {
#ifdef GEOSPEC_WIDE_X86
  if (wide::widest() == wide::Registers::avx512) return f(static_cast<avx512::Lanes*>(nullptr));
  if (wide::widest() == wide::Registers::avx2) return f(static_cast<avx2::Lanes*>(nullptr));
#endif
  f(static_cast<portable::Lanes*>(nullptr));
}

}  // namespace geospec::noise
