// dense.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/wide.h"

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_ROWS_1 2
#define GEOSPEC_SIMD_ROWS_2 2
#define GEOSPEC_SIMD_ROWS_4 2
#include "sparse_ldl/dense.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_SIMD_ROWS_1 4
#define GEOSPEC_SIMD_ROWS_2 3
#define GEOSPEC_SIMD_ROWS_4 2
#include "sparse_ldl/dense.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_SIMD_ROWS_1 8
#define GEOSPEC_SIMD_ROWS_2 8
#define GEOSPEC_SIMD_ROWS_4 6
#include "sparse_ldl/dense.h"
#endif

namespace geospec::ldl {

// Calls f with a null pointer of the widest Dense this machine runs.
template <class F>
void dispatch_dense(const F& f) {
  wide::dispatch<GEOSPEC_WIDE_TYPES(Dense)>(f);
}

}  // namespace geospec::ldl
