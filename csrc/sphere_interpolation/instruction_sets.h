// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include "common/wide.h"
#include "sphere_interpolation/sphere_interpolation.h"

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_BYTES 16
#define GEOSPEC_SIMD_REGISTERS 16
#include "sphere_interpolation/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_SIMD_BYTES 32
#define GEOSPEC_SIMD_REGISTERS 16
#include "sphere_interpolation/lanes.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_SIMD_BYTES 64
#define GEOSPEC_SIMD_REGISTERS 32
#include "sphere_interpolation/lanes.h"
#endif

namespace geospec::sphere {

// Calls f with a null pointer of the widest BumpLanes<T> this machine runs.
template <class T, class F>
void dispatch_bump_lanes(const F& f) {
  wide::dispatch<GEOSPEC_WIDE_TYPES(BumpLanes<T>)>(f);
}

}  // namespace geospec::sphere
