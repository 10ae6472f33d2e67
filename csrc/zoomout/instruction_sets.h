// lanes.h for each instruction set this compiler can emit; the choice is that of spectral_nearest.
#pragma once

#include "spectral_nearest/instruction_sets.h"

#define GEOSPEC_SIMD portable
#define GEOSPEC_SIMD_TARGET
#include "zoomout/lanes.h"

#ifdef GEOSPEC_X86
#define GEOSPEC_SIMD avx2
#define GEOSPEC_SIMD_TARGET __attribute__((target(GEOSPEC_AVX2)))
#include "zoomout/lanes.h"

#define GEOSPEC_SIMD avx512
#define GEOSPEC_SIMD_TARGET __attribute__((target(GEOSPEC_AVX512)))
#include "zoomout/lanes.h"

#define GEOSPEC_SIMD vnni
#define GEOSPEC_SIMD_TARGET __attribute__((target(GEOSPEC_VNNI)))
#include "zoomout/lanes.h"
#endif

namespace geospec::zoom {

template <class T>
portable::Lanes<T>* lanes_of(nearest::portable::Simd<T>*) {
  return nullptr;
}
#ifdef GEOSPEC_X86
template <class T>
avx2::Lanes<T>* lanes_of(nearest::avx2::Simd<T>*) {
  return nullptr;
}
template <class T>
avx512::Lanes<T>* lanes_of(nearest::avx512::Simd<T>*) {
  return nullptr;
}
template <class T>
vnni::Lanes<T>* lanes_of(nearest::vnni::Simd<T>*) {
  return nullptr;
}
#endif

// Calls f with a null pointer of the widest Lanes<T> this machine runs.
template <class T, class F>
void dispatch_lanes(const F& f) {
  nearest::dispatch_simd<T>([&](auto* simd) { f(lanes_of(simd)); });
}

}  // namespace geospec::zoom
