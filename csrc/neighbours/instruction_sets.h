// lanes.h for each instruction set this compiler can emit, and the choice among them for this machine.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/wide.h"

namespace geospec::neighbours {

constexpr int kLeaf = 32;     // points of a leaf, a multiple of every register's lanes
constexpr int kPadding = 16;  // what wide stores may write beyond the end

// One query among a list of leaves.
template <class T>
struct Hunt {
  int64_t d, k;         // k nearest are wanted; 0 stands for all within the cut
  const T* query;       // (d)
  const T* blocks;      // of all leaves: (d, kLeaf) each
  const int64_t* list;  // (leaves) numbers of the leaves listed
  const T* boxes;       // their boxes: (d, 2, stride), low and high
  int64_t leaves, stride;
  T slack, least;  // a candidate may be among the k nearest up to slack * (k-th value) + least
  T* reach;        // (stride) scratch: squared distance to each box
  T* values;       // candidates found: value, and place in the list * kLeaf + lane
  int32_t* ids;
};

// The steps that C's operators do not give: which lanes of a are <= b, and writing those lanes side by side.
namespace portable {
template <class T, class V>
inline uint32_t at_most(V a, V b) {
  uint32_t bits = 0;
  for (unsigned l = 0; l < sizeof(V) / sizeof(T); ++l) bits |= uint32_t(a[l] <= b[l]) << l;
  return bits;
}
#define GEOSPEC_APPEND(target_)                                                                                \
  template <class T, class V>                                                                                  \
  target_ static inline int64_t append_ids(V v, const int32_t* from, uint32_t bits, T* values, int32_t* ids) { \
    int64_t n = 0;                                                                                             \
    for (; bits; bits &= bits - 1, ++n) {                                                                      \
      const int l = __builtin_ctz(bits);                                                                       \
      values[n] = v[l];                                                                                        \
      ids[n] = from[l];                                                                                        \
    }                                                                                                          \
    return n;                                                                                                  \
  }                                                                                                            \
  template <class T, class V>                                                                                  \
  target_ static inline int64_t append(V v, uint32_t bits, int32_t first, T* values, int32_t* ids) {           \
    int64_t n = 0;                                                                                             \
    for (; bits; bits &= bits - 1, ++n) {                                                                      \
      const int l = __builtin_ctz(bits);                                                                       \
      values[n] = v[l];                                                                                        \
      ids[n] = first + l;                                                                                      \
    }                                                                                                          \
    return n;                                                                                                  \
  }
GEOSPEC_APPEND()
}  // namespace portable

#ifdef GEOSPEC_WIDE_X86
namespace avx2 {
template <class T>
GEOSPEC_WIDE_AVX2 static inline uint32_t at_most(__m256 a, __m256 b) {
  return uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)));
}
template <class T>
GEOSPEC_WIDE_AVX2 static inline uint32_t at_most(__m256d a, __m256d b) {
  return uint32_t(_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LE_OQ)));
}
GEOSPEC_APPEND(GEOSPEC_WIDE_AVX2)
}  // namespace avx2

namespace avx512 {
template <class T>
GEOSPEC_WIDE_AVX512 static inline uint32_t at_most(__m512 a, __m512 b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
template <class T>
GEOSPEC_WIDE_AVX512 static inline uint32_t at_most(__m512d a, __m512d b) {
  return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ);
}
GEOSPEC_WIDE_AVX512 static inline int64_t write(__m512 v, __m512i n, uint32_t bits, float* values, int32_t* ids) {
  _mm512_storeu_ps(values, _mm512_maskz_compress_ps(__mmask16(bits), v));
  _mm512_storeu_si512(ids, _mm512_maskz_compress_epi32(__mmask16(bits), n));
  return __builtin_popcount(bits);
}
GEOSPEC_WIDE_AVX512 static inline int64_t write(__m512d v, __m256i n, uint32_t bits, double* values, int32_t* ids) {
  _mm512_storeu_pd(values, _mm512_maskz_compress_pd(__mmask8(bits), v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(ids), _mm256_maskz_compress_epi32(__mmask8(bits), n));
  return __builtin_popcount(bits);
}
template <class T>
GEOSPEC_WIDE_AVX512 static inline int64_t append_ids(__m512 v, const int32_t* from, uint32_t bits, float* values,
                                                     int32_t* ids) {
  return write(v, _mm512_loadu_si512(from), bits, values, ids);
}
template <class T>
GEOSPEC_WIDE_AVX512 static inline int64_t append_ids(__m512d v, const int32_t* from, uint32_t bits, double* values,
                                                     int32_t* ids) {
  return write(v, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), bits, values, ids);
}
template <class T>
GEOSPEC_WIDE_AVX512 static inline int64_t append(__m512 v, uint32_t bits, int32_t first, float* values, int32_t* ids) {
  const __m512i count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return write(v, _mm512_add_epi32(count, _mm512_set1_epi32(first)), bits, values, ids);
}
template <class T>
GEOSPEC_WIDE_AVX512 static inline int64_t append(__m512d v, uint32_t bits, int32_t first, double* values,
                                                 int32_t* ids) {
  const __m256i count = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return write(v, _mm256_add_epi32(count, _mm256_set1_epi32(first)), bits, values, ids);
}
}  // namespace avx512
#endif
#undef GEOSPEC_APPEND

}  // namespace geospec::neighbours

#define GEOSPEC_LANES portable
#define GEOSPEC_LANES_TARGET
#define GEOSPEC_LANES_BYTES 16
#include "neighbours/lanes.h"

#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_LANES avx2
#define GEOSPEC_LANES_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_LANES_BYTES 32
#include "neighbours/lanes.h"

#define GEOSPEC_LANES avx512
#define GEOSPEC_LANES_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_LANES_BYTES 64
#include "neighbours/lanes.h"
#endif

namespace geospec::neighbours {

// Calls f with a null pointer of the widest Lanes<T, D> this machine runs; D is 0 where d is no constant of its own.
template <class T, int D, class F>
auto dispatch_width(const F& f) {
#ifdef GEOSPEC_WIDE_X86
  const wide::Registers widest = wide::widest();
  if (widest == wide::Registers::avx512) return f(static_cast<avx512::Lanes<T, D>*>(nullptr));
  if (widest == wide::Registers::avx2) return f(static_cast<avx2::Lanes<T, D>*>(nullptr));
#endif
  return f(static_cast<portable::Lanes<T, D>*>(nullptr));
}

template <class T, class F>
auto dispatch_lanes(int64_t d, const F& f) {
  if (d == 2) return dispatch_width<T, 2>(f);
  if (d == 3) return dispatch_width<T, 3>(f);
  return dispatch_width<T, 0>(f);
}

}  // namespace geospec::neighbours
