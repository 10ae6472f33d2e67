// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/wide.h"
#include "mesh_sdf/moments.h"

namespace geospec::mesh_sdf {

constexpr int kBlock = 4;  // cells along each axis of the smallest blocks

// A block of cells, the triangles that may be nearest to one of them, and what is found.
template <class T>
struct Cells {
  const Triangle<T>* triangles;
  const Leaf<T>* leaves;
  const int32_t* list;  // (n) leaves that may hold a nearest triangle, the most likely first
  int64_t n;
  T x[kBlock * kBlock * kBlock], y[kBlock * kBlock * kBlock], z[kBlock * kBlock * kBlock];  // centres, x runs fastest
  T squared[kBlock * kBlock * kBlock];        // in: squares of the truncation; out: squared distances, at most that
  int32_t nearest[kBlock * kBlock * kBlock];  // places in the triangles, -1 where none is within the truncation
};

constexpr int kPoints = 16;  // winding numbers are taken for so many points together

// Points and what is around them.
template <class T>
struct Around {
  const Moment<T>* moments;
  const T* corners;  // (size, 3, 3)
  int64_t size;
  const int32_t *far, *near;  // moments that count as such, and leaves whose triangles count one by one
  int64_t n_far, n_near;
  T x[kPoints], y[kPoints], z[kPoints];
  // The winding number is winding + turns + arg(real + i imaginary) / (2 pi).
  T winding[kPoints], turns[kPoints], real[kPoints], imaginary[kPoints];
};

// The steps that C's operators do not give: which lanes of a are < b, and roots.
namespace portable {
template <class V>
inline V root(V a) {
  for (unsigned l = 0; l < sizeof(V) / sizeof(a[0]); ++l) a[l] = std::sqrt(a[l]);
  return a;
}
template <class V>
inline uint32_t below(V a, V b) {
  uint32_t bits = 0;
  for (unsigned l = 0; l < sizeof(V) / sizeof(a[0]); ++l) bits |= uint32_t(a[l] < b[l]) << l;
  return bits;
}
}  // namespace portable

#ifdef GEOSPEC_WIDE_X86
namespace avx2 {
GEOSPEC_WIDE_AVX2 static inline __m256 root(__m256 a) { return _mm256_sqrt_ps(a); }
GEOSPEC_WIDE_AVX2 static inline __m256d root(__m256d a) { return _mm256_sqrt_pd(a); }
GEOSPEC_WIDE_AVX2 static inline uint32_t below(__m256 a, __m256 b) {
  return uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)));
}
GEOSPEC_WIDE_AVX2 static inline uint32_t below(__m256d a, __m256d b) {
  return uint32_t(_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LT_OQ)));
}
}  // namespace avx2

namespace avx512 {
// Zero-masked because the plain ones of GCC 12 warn of their own undefined operand.
GEOSPEC_WIDE_AVX512 static inline __m512 root(__m512 a) { return _mm512_maskz_sqrt_ps(0xffff, a); }
GEOSPEC_WIDE_AVX512 static inline __m512d root(__m512d a) { return _mm512_maskz_sqrt_pd(0xff, a); }
GEOSPEC_WIDE_AVX512 static inline uint32_t below(__m512 a, __m512 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
GEOSPEC_WIDE_AVX512 static inline uint32_t below(__m512d a, __m512d b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
}  // namespace avx512
#endif

}  // namespace geospec::mesh_sdf

#define GEOSPEC_LANES portable
#define GEOSPEC_LANES_TARGET
#define GEOSPEC_LANES_BYTES 16
#include "mesh_sdf/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_LANES avx2
#define GEOSPEC_LANES_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_LANES_BYTES 32
#include "mesh_sdf/lanes.h"

#define GEOSPEC_LANES avx512
#define GEOSPEC_LANES_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_LANES_BYTES 64
#include "mesh_sdf/lanes.h"
#endif

namespace geospec::mesh_sdf {

// Calls f with a null pointer of the widest Lanes<T> this machine runs.
template <class T, class F>
void dispatch_lanes(const F& f) {
#ifdef GEOSPEC_WIDE_X86
  wide::dispatch<portable::Lanes<T>, avx2::Lanes<T>, avx512::Lanes<T>>(f);
#else
  f(static_cast<portable::Lanes<T>*>(nullptr));
#endif
}

}  // namespace geospec::mesh_sdf
