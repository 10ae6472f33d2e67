// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include "common/wide.h"
#include "spherical_harmonics/instruction_sets.h"
#include "spherical_harmonics_linear/spherical_harmonics_linear.h"

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_ROWS 4
#include "spherical_harmonics_linear/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_SIMD_ROWS 4
#include "spherical_harmonics_linear/lanes.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_SIMD_ROWS 8
#include "spherical_harmonics_linear/lanes.h"
#endif

namespace geospec::harmonics {

// Calls f with a null pointer of the widest LinearLanes<T> this machine runs.
template <class T, class F>
void dispatch_linear_lanes(const F& f) {
  wide::dispatch<GEOSPEC_WIDE_TYPES(LinearLanes<T>)>(f);
}

}  // namespace geospec::harmonics
