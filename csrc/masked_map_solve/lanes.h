// Cholesky systems of one size side by side, one in each lane of a register: every operation is then a wide one.
// Included once for every instruction set (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_LANES   doubles in a register,
//   GEOSPEC_SIMD_TILE    rows and columns of a tile: its square, and an operand for each row, fit the registers,
//   GEOSPEC_SIMD_ROOT    square roots of a register.
// Only loops over plain memory stand here: a function of the standard library instantiated under a wider
// target could be picked by the linker for a machine that lacks it.

namespace geospec::map_solve::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

struct Lanes {
  static constexpr int kLanes = GEOSPEC_SIMD_LANES, kTile = GEOSPEC_SIMD_TILE;
  typedef double V __attribute__((vector_size(kLanes * sizeof(double)), may_alias));
  typedef long long Bits __attribute__((vector_size(kLanes * sizeof(double)), may_alias));

  // The factor L is kept in panels of kTile rows, a panel column by column up to its diagonal tile: panel p begins
  // after `panel(p)` registers. On the diagonal stands 1 / L_jj.
  static constexpr int64_t panel(int64_t p) { return kTile * kTile * (p * (p + 1) / 2); }

  // tile -= rows columns^T over the first `count` columns of both panels; `rows` has R rows.
  template <int R>
  GEOSPEC_INLINE void subtract_products(V (&tile)[R][kTile], const V* rows, const V* columns, int64_t count) {
    for (int64_t m = 0; m < count; ++m) {
      V x[kTile];
#pragma GCC unroll 8
      for (int c = 0; c < kTile; ++c) x[c] = columns[m * kTile + c];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const V a = rows[m * R + r];
#pragma GCC unroll 8
        for (int c = 0; c < kTile; ++c) tile[r][c] -= a * x[c];
      }
    }
  }

  // tile <- tile inv(D)^T with D the factor of a diagonal tile.
  template <int R>
  GEOSPEC_INLINE void divide(V (&tile)[R][kTile], const V* d) {
#pragma GCC unroll 8
    for (int c = 0; c < kTile; ++c) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int m = 0; m < c; ++m) tile[r][c] -= tile[r][m] * d[m * kTile + c];
        tile[r][c] *= d[c * kTile + c];
      }
    }
  }

  // The factor of a diagonal tile, in place; `usable` keeps the lanes whose pivots are positive and finite.
  GEOSPEC_INLINE void factor_tile(V (&tile)[kTile][kTile], Bits& usable) {
#pragma GCC unroll 8
    for (int c = 0; c < kTile; ++c) {
#pragma GCC unroll 8
      for (int r = c; r < kTile; ++r)
#pragma GCC unroll 8
        for (int m = 0; m < c; ++m) tile[r][c] -= tile[r][m] * tile[c][m];
      const V inverse = 1 / GEOSPEC_SIMD_ROOT(tile[c][c]);
      usable &= (inverse > 0) & (inverse < 1e300);
#pragma GCC unroll 8
      for (int r = c + 1; r < kTile; ++r) tile[r][c] *= inverse;
      tile[c][c] = inverse;
    }
  }

  template <int R>
  GEOSPEC_INLINE void store(const V (&tile)[R][kTile], V* place) {
#pragma GCC unroll 8
    for (int c = 0; c < kTile; ++c)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) place[c * R + r] = tile[r][c];
  }

  // Solves (G + diag(p)) x = r in every lane. `gram` (n, n) is symmetric and shared, n a multiple of kTile; `penalty`
  // and `right` hold n registers, and `right` becomes x; `factor` has room for panel(n / kTile). Lanes of `usable`
  // become zero where a system is not positive definite.
  GEOSPEC_SIMD_TARGET static void solve(const double* gram, int64_t n, const double* penalty_, double* right,
                                        double* factor_, long long* usable_) {
    const V* penalty = reinterpret_cast<const V*>(penalty_);
    V *x = reinterpret_cast<V*>(right), *factor = reinterpret_cast<V*>(factor_);
    Bits usable = ~Bits{};
    for (int64_t i = 0; i < n / kTile; ++i) {
      V* rows = factor + panel(i);
      for (int64_t j = 0; j <= i; ++j) {
        const V* columns = factor + panel(j);
        V tile[kTile][kTile];
#pragma GCC unroll 8
        for (int r = 0; r < kTile; ++r)
#pragma GCC unroll 8
          for (int c = 0; c < kTile; ++c) tile[r][c] = V{} + gram[(i * kTile + r) * n + j * kTile + c];
        if (j < i) {
          subtract_products<kTile>(tile, rows, columns, j * kTile);
          divide<kTile>(tile, columns + j * kTile * kTile);
        } else {
#pragma GCC unroll 8
          for (int r = 0; r < kTile; ++r) tile[r][r] += penalty[i * kTile + r];
          subtract_products<kTile>(tile, rows, columns, j * kTile);
          factor_tile(tile, usable);
        }
        store<kTile>(tile, rows + j * kTile * kTile);
      }
      // inv(L) r: the right-hand side is one more row of the matrix.
      V tile[1][kTile];
#pragma GCC unroll 8
      for (int c = 0; c < kTile; ++c) tile[0][c] = x[i * kTile + c];
      subtract_products<1>(tile, x, rows, i * kTile);
      divide<1>(tile, rows + i * kTile * kTile);
      store<1>(tile, x + i * kTile);
    }
    for (int64_t i = n / kTile - 1; i >= 0; --i) {
      const V *rows = factor + panel(i), *d = rows + i * kTile * kTile;
      V* own = x + i * kTile;
#pragma GCC unroll 8
      for (int c = kTile - 1; c >= 0; --c) {
#pragma GCC unroll 8
        for (int r = c + 1; r < kTile; ++r) own[c] -= own[r] * d[c * kTile + r];
        own[c] *= d[c * kTile + c];
      }
      for (int64_t c = 0; c < i * kTile; ++c)
#pragma GCC unroll 8
        for (int r = 0; r < kTile; ++r) x[c] -= own[r] * rows[c * kTile + r];
    }
    for (int l = 0; l < kLanes; ++l) usable_[l] = usable[l];
  }
};

#undef GEOSPEC_INLINE

}  // namespace geospec::map_solve::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_LANES
#undef GEOSPEC_SIMD_TILE
#undef GEOSPEC_SIMD_ROOT
