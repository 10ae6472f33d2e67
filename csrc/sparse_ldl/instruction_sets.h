// dense.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include <cmath>
#include <cstdint>

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#define GEOSPEC_SIMD_ROWS_1 2
#define GEOSPEC_SIMD_ROWS_2 2
#define GEOSPEC_SIMD_ROWS_4 2
#include "sparse_ldl/dense.h"

#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET __attribute__((target("avx2,fma")))
#define GEOSPEC_SIMD_ROWS_1 4
#define GEOSPEC_SIMD_ROWS_2 3
#define GEOSPEC_SIMD_ROWS_4 2
#include "sparse_ldl/dense.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")))
#define GEOSPEC_SIMD_ROWS_1 8
#define GEOSPEC_SIMD_ROWS_2 8
#define GEOSPEC_SIMD_ROWS_4 6
#include "sparse_ldl/dense.h"
#endif

namespace geospec::ldl {

// Calls f with a null pointer of the widest Dense this machine runs.
template <class F>
void dispatch_dense(const F& f) {
#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw"))
    return f(static_cast<avx512::Dense*>(nullptr));
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return f(static_cast<avx2::Dense*>(nullptr));
#endif
  f(static_cast<portable::Dense*>(nullptr));
}

}  // namespace geospec::ldl
