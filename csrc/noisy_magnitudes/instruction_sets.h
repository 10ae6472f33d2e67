// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/wide.h"
#include "noisy_magnitudes/noisy_magnitudes.h"

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_LANES 2
#define GEOSPEC_SIMD_ROOT(a) wide::portable_root(a)
#include "noisy_magnitudes/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_SIMD_LANES 4
#define GEOSPEC_SIMD_ROOT(a) GEOSPEC_WIDE_ROOT_AVX2(a)
#include "noisy_magnitudes/lanes.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_SIMD_LANES 8
#define GEOSPEC_SIMD_ROOT(a) GEOSPEC_WIDE_ROOT_AVX512(a)
#include "noisy_magnitudes/lanes.h"
#endif

namespace geospec::noise {

// Calls f with a null pointer of the widest Lanes this machine runs.
template <class F>
void dispatch_lanes(const F& f) {
  wide::dispatch<GEOSPEC_WIDE_TYPES(Lanes)>(f);
}

}  // namespace geospec::noise
