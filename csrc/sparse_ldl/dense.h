// Products of small dense blocks, row-major, in double: the inner loops of the factorisation and of its solves.
// Included once for every instruction set (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_ROWS_k  rows of a tile that is k vectors of eight doubles wide: what the registers hold.
// Only loops over plain memory stand here: a function of the standard library instantiated under a wider
// target could be picked by the linker for a machine that lacks it.

namespace geospec::ldl::GEOSPEC_SIMD {

struct Dense {
  typedef double V __attribute__((vector_size(64)));
  typedef double U __attribute__((vector_size(64), aligned(8), may_alias));

  GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline V load(const double* p) {
    return *reinterpret_cast<const U*>(p);
  }
  GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline void store(double* p, V v) {
    *reinterpret_cast<U*>(p) = v;
  }
  static constexpr int rows_of_tile(int vectors) {
    return vectors == 1 ? GEOSPEC_SIMD_ROWS_1 : vectors == 2 ? GEOSPEC_SIMD_ROWS_2 : GEOSPEC_SIMD_ROWS_4;
  }

  // Rows r of C, at c + row(r) ldc, lose A B: A (R, k) with leading dimension lda, B (k, 8 N) with ldb.
  template <int R, int N>
  GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline void tile(double* c, int64_t ldc,
                                                                             const int64_t* rows, int64_t first,
                                                                             const double* a, int64_t lda,
                                                                             const double* b, int64_t ldb, int64_t k) {
    double* place[R];
    V sum[R][N];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      place[r] = c + (rows ? rows[first + r] : first + r) * ldc;
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] = load(place[r] + 8 * v);
    }
    for (int64_t i = 0; i < k; ++i) {
      V x[N];
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) x[v] = load(b + i * ldb + 8 * v);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const V s = V{} + a[r * lda + i];
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) sum[r][v] -= s * x[v];
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(place[r] + 8 * v, sum[r][v]);
  }

  // C -= A B for m rows, all of them or those in `rows`.
  template <int N>
  GEOSPEC_SIMD_TARGET static void subtract(double* c, int64_t ldc, const int64_t* rows, int64_t m, const double* a,
                                           int64_t lda, const double* b, int64_t ldb, int64_t k) {
    constexpr int R = rows_of_tile(N);
    int64_t r = 0;
    for (; r + R <= m; r += R) tile<R, N>(c, ldc, rows, r, a + r * lda, lda, b, ldb, k);
    for (; r + 2 <= m; r += 2) tile<2, N>(c, ldc, rows, r, a + r * lda, lda, b, ldb, k);
    if (r < m) tile<1, N>(c, ldc, rows, r, a + r * lda, lda, b, ldb, k);
  }

  // C (R, 8 N) -= A^T B with A (k, R): the rows of B are those in `rows`, or all.
  template <int R, int N>
  GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline void tile_transposed(double* c, int64_t ldc,
                                                                                        const double* a, int64_t lda,
                                                                                        const double* b, int64_t ldb,
                                                                                        const int64_t* rows,
                                                                                        int64_t k) {
    V sum[R][N];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] = load(c + r * ldc + 8 * v);
    for (int64_t i = 0; i < k; ++i) {
      const double* row = b + (rows ? rows[i] : i) * ldb;
      V x[N];
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) x[v] = load(row + 8 * v);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const V s = V{} + a[i * lda + r];
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) sum[r][v] -= s * x[v];
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(c + r * ldc + 8 * v, sum[r][v]);
  }

  template <int N>
  GEOSPEC_SIMD_TARGET static void subtract_transposed(double* c, int64_t ldc, int64_t m, const double* a, int64_t lda,
                                                      const double* b, int64_t ldb, const int64_t* rows, int64_t k) {
    constexpr int R = rows_of_tile(N);
    int64_t r = 0;
    for (; r + R <= m; r += R) tile_transposed<R, N>(c + r * ldc, ldc, a + r, lda, b, ldb, rows, k);
    for (; r + 2 <= m; r += 2) tile_transposed<2, N>(c + r * ldc, ldc, a + r, lda, b, ldb, rows, k);
    if (r < m) tile_transposed<1, N>(c + r * ldc, ldc, a + r, lda, b, ldb, rows, k);
  }

  // A (n, n) holds a symmetric matrix below and on its diagonal. With the largest diagonal entry left as the next
  // pivot, P A P^T = L D L^T with unit L. A becomes I - inv(L), zero on the diagonal and above; D goes to `pivots`, and
  // place i of the block takes row from[i]. `column` has room for n. A zero pivot gives infinities.
  GEOSPEC_SIMD_TARGET static void factor_block(double* a, int64_t lda, int64_t n, double* pivots, int64_t* from,
                                               double* column) {
    for (int64_t k = 0; k < n; ++k) from[k] = k;
    for (int64_t k = 0; k < n; ++k) {
      int64_t largest = k;
      for (int64_t i = k + 1; i < n; ++i)
        if (std::fabs(a[i * lda + i]) > std::fabs(a[largest * lda + largest])) largest = i;
      if (largest != k) swap_symmetric(a, lda, n, k, largest, from);
      const double pivot = a[k * lda + k];
      pivots[k] = pivot;
      for (int64_t i = k + 1; i < n; ++i) column[i] = a[i * lda + k];
      for (int64_t i = k + 1; i < n; ++i) {
        const double l = column[i] / pivot;
        double* row = a + i * lda;
        for (int64_t j = k + 1; j <= i; ++j) row[j] -= l * column[j];
        row[k] = l;
      }
    }
    for (int64_t i = 0; i < n; ++i) {  // row i: L[i, i-1] inv[i-1] + ... + L[i, 0] inv[0]
      double* row = a + i * lda;
      for (int64_t j = 0; j < i; ++j) column[j] = 0;
      for (int64_t k = 0; k < i; ++k) {
        const double l = row[k];
        const double* before = a + k * lda;
        for (int64_t j = 0; j < k; ++j) column[j] -= l * before[j];
        column[k] += l;
      }
      for (int64_t j = 0; j < i; ++j) row[j] = column[j];
      for (int64_t j = i; j < n; ++j) row[j] = 0;
    }
  }

  // Exchanges rows and columns k < l of a symmetric matrix of which the lower half is stored, and rows of L before k.
  GEOSPEC_SIMD_TARGET static void swap_symmetric(double* a, int64_t lda, int64_t n, int64_t k, int64_t l,
                                                 int64_t* from) {
    const auto swap = [](double& x, double& y) {
      const double z = x;
      x = y;
      y = z;
    };
    for (int64_t j = 0; j < k; ++j) swap(a[k * lda + j], a[l * lda + j]);
    for (int64_t j = k + 1; j < l; ++j) swap(a[j * lda + k], a[l * lda + j]);
    for (int64_t i = l + 1; i < n; ++i) swap(a[i * lda + k], a[i * lda + l]);
    swap(a[k * lda + k], a[l * lda + l]);
    const int64_t row = from[k];
    from[k] = from[l];
    from[l] = row;
  }

  // x (n, 8 N) becomes inv(L) P x with the block that factor_block left; `copy` has room for x.
  template <int N>
  GEOSPEC_SIMD_TARGET static void apply_inverse(double* x, int64_t ldx, const double* block, int64_t lda, int64_t n,
                                                const int64_t* from, double* copy) {
    constexpr int R = rows_of_tile(N);
    for (int64_t i = 0; i < n; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(copy + (i * N + v) * 8, load(x + from[i] * ldx + 8 * v));
    for (int64_t i = 0; i < n; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(x + i * ldx + 8 * v, load(copy + (i * N + v) * 8));
    int64_t r = 0;
    for (; r + R <= n; r += R) tile<R, N>(x, ldx, nullptr, r, block + r * lda, lda, copy, 8 * N, r + R - 1);
    for (; r < n; ++r) tile<1, N>(x, ldx, nullptr, r, block + r * lda, lda, copy, 8 * N, r);
  }

  // x becomes P^T inv(L)^T x.
  template <int N>
  GEOSPEC_SIMD_TARGET static void apply_inverse_transposed(double* x, int64_t ldx, const double* block, int64_t lda,
                                                           int64_t n, const int64_t* from, double* copy) {
    constexpr int R = rows_of_tile(N);
    for (int64_t i = 0; i < n; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(copy + (i * N + v) * 8, load(x + i * ldx + 8 * v));
    int64_t r = 0;
    for (; r + R <= n; r += R)
      tile_transposed<R, N>(x + r * ldx, ldx, block + (r + 1) * lda + r, lda, copy + (r + 1) * 8 * N, 8 * N, nullptr,
                            n - r - 1);
    for (; r < n; ++r)
      tile_transposed<1, N>(x + r * ldx, ldx, block + (r + 1) * lda + r, lda, copy + (r + 1) * 8 * N, 8 * N, nullptr,
                            n - r - 1);
    for (int64_t i = 0; i < n; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(copy + (i * N + v) * 8, load(x + i * ldx + 8 * v));
    for (int64_t i = 0; i < n; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(x + from[i] * ldx + 8 * v, load(copy + (i * N + v) * 8));
  }

  // out (n, 8 ceil(n / 8)) = -P^T inv(L)^T inv(D), row-major: what turns a row of A into a row of -L. Zero beyond n.
  GEOSPEC_SIMD_TARGET static void scaled_inverse(const double* block, int64_t lda, int64_t n, const double* pivots,
                                                 const int64_t* from, double* out) {
    const int64_t width = (n + 7) / 8 * 8;
    for (int64_t k = 0; k < n; ++k) {
      double* row = out + from[k] * width;
      for (int64_t j = 0; j < k; ++j) row[j] = 0;
      row[k] = -1 / pivots[k];
      for (int64_t j = k + 1; j < n; ++j) row[j] = block[j * lda + k] / pivots[j];
      for (int64_t j = n; j < width; ++j) row[j] = 0;
    }
  }
};

}  // namespace geospec::ldl::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_ROWS_1
#undef GEOSPEC_SIMD_ROWS_2
#undef GEOSPEC_SIMD_ROWS_4
