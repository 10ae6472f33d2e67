// Which instruction sets this compiler can emit beyond its default, and which of them this machine runs.
// A header of loops is included once for each (see neighbours/lanes.h); the choice is made at run time.
#pragma once

#include <cmath>
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

// Calls f with a null pointer of the widest of three types that this machine runs; where the compiler can emit no wide
// instructions, the wider two are the first.
template <class Portable, class Avx2, class Avx512, class F>
void dispatch(const F& f) {
  if (widest() == Registers::avx512) return f(static_cast<Avx512*>(nullptr));
  if (widest() == Registers::avx2) return f(static_cast<Avx2*>(nullptr));
  f(static_cast<Portable*>(nullptr));
}

// Roots of lanes where no instruction takes them all.
template <class V>
inline V portable_root(V a) {
  for (unsigned l = 0; l < sizeof(V) / sizeof(double); ++l) a[l] = std::sqrt(a[l]);
  return a;
}

}  // namespace geospec::wide

// The type Name of each namespace that a header of loops was included for, to wide::dispatch.
#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_WIDE_TYPES(Name) portable::Name, avx2::Name, avx512::Name
// Zero-masked because _mm512_sqrt_pd of GCC 12 warns of its own undefined operand.
#define GEOSPEC_WIDE_ROOT_AVX2(a) (V) _mm256_sqrt_pd((__m256d)(a))
#define GEOSPEC_WIDE_ROOT_AVX512(a) (V) _mm512_maskz_sqrt_pd(0xff, (__m512d)(a))
#else
#define GEOSPEC_WIDE_TYPES(Name) portable::Name, portable::Name, portable::Name
#endif
