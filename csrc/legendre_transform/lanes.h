// Rings side by side, one in each lane. Included once for every instruction set (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_LANES   doubles in a register.

namespace geospec::legendre::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

struct Lanes {
  static constexpr int kLanes = GEOSPEC_SIMD_LANES, kPack = 2, kRings = kPack * kLanes;
  typedef double V __attribute__((vector_size(kLanes * sizeof(double)), may_alias));

  // P of the next degree; `row` moves on.
  GEOSPEC_INLINE void next(V (&value)[kPack], V (&difference)[kPack], const V* w, const double*& row) {
    row += kCoefficients;
    for (int j = 0; j < kPack; ++j) advance(value[j], difference[j], w[j], row[0], row[1], row[2]);
  }

  GEOSPEC_INLINE void begin(V (&value)[kPack], V (&difference)[kPack], const V* starts, const double* row) {
    for (int j = 0; j < kPack; ++j) value[j] = starts[j] * row[2], difference[j] = value[j] * 0;
  }

  // sums[i * columns + c] += sum over rings of P_{m + i} times `even` (where i is even) or `odd`, each (columns,
  // kPack). `starts` is sin^m, `w` 1 - |z|; `count` degrees.
  template <int columns>
  GEOSPEC_SIMD_TARGET static void analyze(const double* row, int64_t count, const V* starts, const V* w, const V* even,
                                          const V* odd, V* sums) {
    V value[kPack], difference[kPack];
    begin(value, difference, starts, row);
    for (int64_t i = 0; i < count; ++i) {
      const V* part = i & 1 ? odd : even;
#pragma GCC unroll 8
      for (int c = 0; c < columns; ++c)
#pragma GCC unroll 2
        for (int j = 0; j < kPack; ++j) sums[i * columns + c] += value[j] * part[c * kPack + j];
      if (i + 1 < count) next(value, difference, w, row);
    }
  }

  // even, odd (columns, kPack): sums over even and odd i of P_{m + i} coefficients[i * columns + c].
  template <int columns>
  GEOSPEC_SIMD_TARGET static void synthesize(const double* row, int64_t count, const V* starts, const V* w,
                                             const double* coefficients, V* even, V* odd) {
    V value[kPack], difference[kPack], sum[2][columns][kPack];
    begin(value, difference, starts, row);
    for (int parity = 0; parity < 2; ++parity)
      for (int c = 0; c < columns; ++c)
        for (int j = 0; j < kPack; ++j) sum[parity][c][j] = starts[j] * 0;
    for (int64_t i = 0; i < count; i += 2) {
#pragma GCC unroll 2
      for (int parity = 0; parity < 2; ++parity) {
        if (i + parity == count) break;
#pragma GCC unroll 8
        for (int c = 0; c < columns; ++c)
#pragma GCC unroll 2
          for (int j = 0; j < kPack; ++j) sum[parity][c][j] += value[j] * coefficients[(i + parity) * columns + c];
        if (i + parity + 1 < count) next(value, difference, w, row);
      }
    }
    for (int c = 0; c < columns; ++c)
      for (int j = 0; j < kPack; ++j) even[c * kPack + j] = sum[0][c][j], odd[c * kPack + j] = sum[1][c][j];
  }
};

#undef GEOSPEC_INLINE

}  // namespace geospec::legendre::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_LANES
