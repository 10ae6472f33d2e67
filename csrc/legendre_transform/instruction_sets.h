// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include "common/wide.h"
#include "legendre_transform/legendre_transform.h"

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_LANES 2
#include "legendre_transform/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_SIMD_LANES 4
#include "legendre_transform/lanes.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_SIMD_LANES 8
#include "legendre_transform/lanes.h"
#endif

namespace geospec::legendre {

// Calls f with a null pointer of the widest Lanes this machine runs.
template <class F>
void dispatch_lanes(const F& f) {
  wide::dispatch<GEOSPEC_WIDE_TYPES(Lanes)>(f);
}

}  // namespace geospec::legendre
