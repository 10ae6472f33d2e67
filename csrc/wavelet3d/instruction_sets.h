// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include "common/wide.h"
#include "wavelet3d/rows.h"

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_BYTES 16
#include "wavelet3d/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_SIMD_BYTES 32
#include "wavelet3d/lanes.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_SIMD_BYTES 64
#include "wavelet3d/lanes.h"
#endif

namespace geospec::wavelet {

// Calls f with a null pointer of the widest Lanes<T> this machine runs.
template <class T, class F>
void dispatch_lanes(const F& f) {
  wide::dispatch<GEOSPEC_WIDE_TYPES(Lanes<T>)>(f);
}

}  // namespace geospec::wavelet
