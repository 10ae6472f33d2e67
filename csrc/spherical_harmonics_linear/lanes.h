// Products of harmonics with a matrix, the harmonics made a few orders at a time. Included once for every instruction
// set after spherical_harmonics/lanes.h (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_ROWS    rows of a tile: with two registers each, and two more, they fit the registers.

namespace geospec::harmonics::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

template <class T>
struct LinearLanes : Lanes<T> {
  using Base = Lanes<T>;
  using Base::kLanes;
  using Base::kPack;
  using Base::kPoints;
  using typename Base::Block;
  using typename Base::V;
  static constexpr int kRows = GEOSPEC_SIMD_ROWS;
  static constexpr int64_t kChunk =
      64;  // features that are multiplied at once; they and their weights stay in the caches

  // c[r][j] += sum_q a[r * row + q * step] b[q][j] for R rows and J registers; b and c advance by `width` registers.
  template <int R, int J>
  GEOSPEC_INLINE void tile(const T* a, int64_t row, int64_t step, int64_t count, const V* b, V* c, int64_t width) {
    const V zero = {};
    V sum[R][J];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int j = 0; j < J; ++j) sum[r][j] = zero;
    for (int64_t q = 0; q < count; ++q, b += width, a += step) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int j = 0; j < J; ++j) sum[r][j] += a[r * row] * b[j];
    }
    // Sums of sums: of many equal signs, each loses fewer digits than one long sum would.
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int j = 0; j < J; ++j) c[r * width + j] += sum[r][j];
  }

  template <int R>
  GEOSPEC_INLINE void tiles(const T* a, int64_t row, int64_t step, int64_t count, const V* b, V* c, int64_t width) {
    int64_t j = 0;
    for (; j + 2 <= width; j += 2) tile<R, 2>(a, row, step, count, b + j, c + j, width);
    if (j < width) tile<R, 1>(a, row, step, count, b + j, c + j, width);
  }

  // c (rows, width) += a (rows, count) b (count, width), with a[r][q] at a[r * row + q * step].
  GEOSPEC_SIMD_TARGET static void multiply(const T* a, int64_t row, int64_t step, int64_t rows, int64_t count,
                                           const V* b, V* c, int64_t width) {
    int64_t r = 0;
    for (; r + kRows <= rows; r += kRows) tiles<kRows>(a + r * row, row, step, count, b, c + r * width, width);
    for (; r + 2 <= rows; r += 2) tiles<2>(a + r * row, row, step, count, b, c + r * width, width);
  }

  // The features of one order, in packed order.
  GEOSPEC_INLINE void features(const Block& b, int64_t m, V* column, V* out) {
    Base::column(b, m, column);
    for (int64_t i = 0; i <= b.degree - m; ++i)
      for (int j = 0; j < kPack; ++j) {
        out[2 * i * kPack + j] = column[i * kPack + j] * b.c[m * kPack + j];
        out[(2 * i + 1) * kPack + j] = column[i * kPack + j] * b.s[m * kPack + j];
      }
  }

  // out (kPoints, width) += features times weights (packed features, width). `chunk` is room for kChunk features and
  // two orders.
  GEOSPEC_SIMD_TARGET static void forward(Block& b, const V* weights, int64_t width, V* column, V* chunk, V* out) {
    Base::prepare(b);
    int64_t made = 0;
    for (int64_t m = 0; m <= b.degree; ++m) {
      features(b, m, column, chunk + made * kPack);
      made += 2 * (b.degree + 1 - m);
      if (made < kChunk && m < b.degree) continue;
      const V* rows = weights + (first_packed(b.degree, m + 1) - made) * width;
      multiply(reinterpret_cast<const T*>(chunk), 1, kPoints, kPoints, made, rows, out, width);
      made = 0;
    }
  }

  // sums (features of the given orders one after another, width) += features^T grad, with grad (kPoints, width).
  GEOSPEC_SIMD_TARGET static void by_weight(Block& b, const int64_t* orders, int64_t count, const V* grad,
                                            int64_t width, V* column, V* chunk, V* sums) {
    Base::prepare(b);
    for (const int64_t* m = orders; m < orders + count; ++m) {
      const int64_t made = 2 * (b.degree + 1 - *m);
      features(b, *m, column, chunk);
      multiply(reinterpret_cast<const T*>(chunk), kPoints, 1, made, kPoints, grad, sums, width);
      sums += made * width;
    }
  }

  // Derivatives of sum_k (grad weight)_k Y_k at each direction, as Lanes::reduce gives them. `across` (h, kPack) holds
  // grad with one direction in each lane; `columns` is room for three orders, `chunk` for two.
  GEOSPEC_SIMD_TARGET static void by_xyz(Block& b, const T* weights, int64_t padded, int64_t h, const V* across,
                                         V* columns, V* chunk, V* out) {
    Base::prepare(b);
    const int64_t size = (b.degree + 1) * kPack;
    V jets[kPack][kJet];
    for (int j = 0; j < kPack; ++j)
      for (int e = 0; e < kJet; ++e) jets[j][e] = b.w[j] * 0;
    for (int64_t m = b.degree; m >= 0; --m) {
      V *own = columns + m % 2 * size, *above = columns + (m + 1) % 2 * size;
      Base::column(b, m, own);
      const int64_t count = 2 * (b.degree + 1 - m);
      for (int64_t i = 0; i < count * kPack; ++i) chunk[i] = b.w[0] * 0;
      multiply(weights + first_packed(b.degree, m) * padded, padded, 1, count, h, across, chunk, kPack);
      V a[kPack][3], o[kPack][3];
      Base::template sums<false>(b, m, own, above, above, chunk, true, a, o);
      Base::template add<false>(b, m, a, o, jets);
    }
    Base::store(jets, out);
  }
};

#undef GEOSPEC_INLINE

}  // namespace geospec::harmonics::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_ROWS
