// Which instruction sets this compiler can emit beyond its default, and which of them this machine runs.
// A header of loops is included once for each (see neighbours/lanes.h); the choice is made at run time.
#pragma once

#include <cstdint>

#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
#define GEOSPEC_WIDE_X86 1
#define GEOSPEC_WIDE_AVX2 __attribute__((target("avx2,fma,bmi,popcnt")))
#define GEOSPEC_WIDE_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma,bmi,popcnt")))
#include <immintrin.h>
#endif

namespace geospec::wide {

enum class Registers { portable, avx2, avx512 };

inline Registers widest() {
#ifdef GEOSPEC_WIDE_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw"))
    return Registers::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Registers::avx2;
#endif
  return Registers::portable;
}

}  // namespace geospec::wide
