// The products of ZoomOut in wide registers. Included once for every instruction set (so no include guard), with
// GEOSPEC_SIMD and GEOSPEC_SIMD_TARGET as for spectral_nearest/simd.h, whose searches it adds to.

namespace geospec::zoom::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

template <class T>
struct Lanes : nearest::GEOSPEC_SIMD::Simd<T> {
  using Base = nearest::GEOSPEC_SIMD::Simd<T>;
  using Wide = nearest::GEOSPEC_SIMD::Simd<double>;
  using V = typename Base::V;
  using Base::all;
  using Base::kWidth;
  using Base::load;
  using Base::store;

  // out (R, columns) = rows (R, k) times right (k, C registers wide); both strides are of the full matrices.
  template <int R, int C>
  GEOSPEC_INLINE void product_tile(const T* rows, int64_t row_stride, const T* right, int64_t right_stride, int64_t k,
                                   T* out, int64_t out_stride, int64_t columns) {
    V acc[R][C] = {};
    for (int64_t j = 0; j < k; ++j) {
      V x[C];
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) x[c] = load(right + j * right_stride + c * kWidth);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const V y = all(rows[r * row_stride + j]);
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) acc[r][c] += y * x[c];
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      T values[C * kWidth];
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) store(values + c * kWidth, acc[r][c]);
      __builtin_memcpy(out + r * out_stride, values, size_t(columns) * sizeof(T));
    }
  }

  template <int R>
  GEOSPEC_INLINE void product_rows(const T* rows, int64_t row_stride, const T* right, int64_t right_stride, int64_t k,
                                   T* out, int64_t out_stride, int64_t columns) {
    int64_t c = 0;
    for (; columns - c > kWidth; c += 2 * kWidth)
      product_tile<R, 2>(rows, row_stride, right + c, right_stride, k, out + c, out_stride,
                         columns - c < 2 * kWidth ? columns - c : 2 * kWidth);
    if (c < columns) product_tile<R, 1>(rows, row_stride, right + c, right_stride, k, out + c, out_stride, columns - c);
  }

  // out (n, columns) = rows (n, k) times right (k, columns), the latter padded to whole registers.
  GEOSPEC_SIMD_TARGET static void product(const T* rows, int64_t row_stride, int64_t n, const T* right,
                                          int64_t right_stride, int64_t k, T* out, int64_t columns) {
    int64_t r = 0;
    for (; r + 6 <= n; r += 6)
      product_rows<6>(rows + r * row_stride, row_stride, right, right_stride, k, out + r * columns, columns, columns);
    for (; r < n; ++r)
      product_rows<1>(rows + r * row_stride, row_stride, right, right_stride, k, out + r * columns, columns, columns);
  }

  static constexpr int kGathered = 6;     // rows of the product below that are summed together
  static constexpr int64_t kShort = 256;  // terms that are summed in T before they go into a sum in double

  template <int C>
  GEOSPEC_INLINE void gathered_tile(const T* left, int64_t left_stride, const T* rows, int64_t row_stride,
                                    const int64_t* index, int64_t n, double* out, int64_t out_stride) {
    for (int64_t begin = 0; begin < n; begin += kShort) {
      const int64_t end = begin + kShort < n ? begin + kShort : n;
      V acc[kGathered][C] = {};
      for (int64_t p = begin; p < end; ++p) {
        const T *row = rows + index[p] * row_stride, *weights = left + p * left_stride;
        V x[C];
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) x[c] = load(row + c * kWidth);
#pragma GCC unroll 6
        for (int r = 0; r < kGathered; ++r) {
          const V y = all(weights[r]);
#pragma GCC unroll 2
          for (int c = 0; c < C; ++c) acc[r][c] += y * x[c];
        }
      }
#pragma GCC unroll 6
      for (int r = 0; r < kGathered; ++r) {
        T values[C * kWidth];
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) store(values + c * kWidth, acc[r][c]);
        for (int l = 0; l < C * kWidth; ++l) out[r * out_stride + l] += double(values[l]);
      }
    }
  }

  // out (kGathered, columns) += left^T (n, kGathered) times the rows (n, columns) named by `index`; both inputs and
  // the output are padded to whole registers.
  GEOSPEC_SIMD_TARGET static void gathered(const T* left, int64_t left_stride, const T* rows, int64_t row_stride,
                                           const int64_t* index, int64_t n, int64_t columns, double* out,
                                           int64_t out_stride) {
    int64_t c = 0;
    for (; columns - c > kWidth; c += 2 * kWidth)
      gathered_tile<2>(left, left_stride, rows + c, row_stride, index, n, out + c, out_stride);
    if (c < columns) gathered_tile<1>(left, left_stride, rows + c, row_stride, index, n, out + c, out_stride);
  }
};

#undef GEOSPEC_INLINE
}  // namespace geospec::zoom::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
