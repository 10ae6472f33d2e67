// The products of ZoomOut in wide registers. Included once for every instruction set (so no include guard), with
// GEOSPEC_SIMD and GEOSPEC_SIMD_TARGET as for spectral_nearest/simd.h, whose searches it adds to.

namespace geospec::zoom::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

using nearest::Hit;

template <class T>
struct Lanes : nearest::GEOSPEC_SIMD::Simd<T> {
  using Base = nearest::GEOSPEC_SIMD::Simd<T>;
  using Wide = nearest::GEOSPEC_SIMD::Simd<double>;
  using V = typename Base::V;
  using Base::all;
  using Base::kLanes;
  using Base::kRows;
  using Base::kWidth;
  using Base::load;
  using Base::store;

  // out (R, C registers) = rows (R, k) times right (k, C registers).
  template <int R, int C>
  GEOSPEC_INLINE void product_tile(const T* rows, int64_t row_stride, const T* right, int64_t stride, int64_t k,
                                   T* out) {
    V acc[R][C] = {};
    for (int64_t j = 0; j < k; ++j) {
      V x[C];
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) x[c] = load(right + j * stride + c * kWidth);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const V y = all(rows[r * row_stride + j]);
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) acc[r][c] += y * x[c];
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) store(out + r * stride + c * kWidth, acc[r][c]);
  }

  template <int R>
  GEOSPEC_INLINE void product_rows(const T* rows, int64_t row_stride, const T* right, int64_t stride, int64_t k,
                                   T* out) {
    int64_t c = 0;
    for (; c + kWidth < stride; c += 2 * kWidth) product_tile<R, 2>(rows, row_stride, right + c, stride, k, out + c);
    if (c < stride) product_tile<R, 1>(rows, row_stride, right + c, stride, k, out + c);
  }

  // out (n, stride) = rows (n, k) times right (k, stride), whole registers wide.
  GEOSPEC_SIMD_TARGET static void product(const T* rows, int64_t row_stride, int64_t n, const T* right, int64_t stride,
                                          int64_t k, T* out) {
    int64_t r = 0;
    for (; r + 6 <= n; r += 6) product_rows<6>(rows + r * row_stride, row_stride, right, stride, k, out + r * stride);
    for (; r < n; ++r) product_rows<1>(rows + r * row_stride, row_stride, right, stride, k, out + r * stride);
  }

  // The inner product of rows whole registers wide.
  GEOSPEC_INLINE T inner(const T* a, const T* b, int64_t stride) {
    V s = V{};
    for (int64_t k = 0; k < stride; k += kWidth) s += load(a + k) * load(b + k);
    return Base::sum(s);
  }

  // Halves of the squared norms of n rows whole registers wide.
  GEOSPEC_SIMD_TARGET static void half_norms(const T* rows, int64_t n, int64_t stride, T* out) {
    for (int64_t r = 0; r < n; ++r) out[r] = T(0.5) * inner(rows + r * stride, rows + r * stride, stride);
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

  // Compares n rows, a multiple of kRows, with the block: hits as from scan, and the lowest value of each lane.
  GEOSPEC_SIMD_TARGET static int64_t scan_group(const T* rows, int64_t stride, const T* half_norms, int64_t n,
                                                int64_t d, const T* block, T* threshold, const T* slack, Hit<T>* hits,
                                                T* lowest_out) {
    V lows[2] = {all(INFINITY), all(INFINITY)};
    int64_t count = 0;
    for (int64_t r = 0; r < n; r += kRows) {
      V acc[kRows][2], low[2];
      Base::template tile<kRows>(rows + r * stride, stride, d, block, half_norms + r, acc);
      Base::template lowest<kRows>(acc, low);
      lows[0] = Base::min(lows[0], low[0]), lows[1] = Base::min(lows[1], low[1]);
      count += Base::template extract<kRows>(acc, low, r, threshold, slack, hits + count);
    }
    store(lowest_out, lows[0]);
    store(lowest_out + kWidth, lows[1]);
    return count;
  }

  // The same in bytes.
  GEOSPEC_SIMD_TARGET static int64_t scan_group(const uint8_t* rows, const T* half_norms, int64_t n, int64_t bytes,
                                                const int8_t* block, const int32_t* start, const T* unit, T* threshold,
                                                const T* slack, Hit<T>* hits, T* lowest_out) {
    V lows[2] = {all(INFINITY), all(INFINITY)};
    int64_t count = 0;
    if constexpr (Base::kCoarse)
      for (int64_t r = 0; r < n; r += kRows) {
        V acc[kRows][2], low[2];
        Base::template tile_bytes<kRows>(rows + r * bytes, bytes, block, start, unit, half_norms + r, acc);
        Base::template lowest<kRows>(acc, low);
        lows[0] = Base::min(lows[0], low[0]), lows[1] = Base::min(lows[1], low[1]);
        count += Base::template extract<kRows>(acc, low, r, threshold, slack, hits + count);
      }
    store(lowest_out, lows[0]);
    store(lowest_out + kWidth, lows[1]);
    return count;
  }

  // Of hits among rows from `first` on, moves to the front those that are still within the filter, and within that in T
  // if they come from bytes; a value in T lowers the threshold. How many are left; their rows count from zero.
  GEOSPEC_SIMD_TARGET static int64_t settle(Hit<T>* hits, int64_t count, int64_t first, bool coarse, const T* rows,
                                            const T* half_norms, int64_t stride, const T* queries, int64_t query_stride,
                                            const T* margin, const T* error, T* threshold) {
    int64_t left = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int32_t l = hits[i].lane;
      const int64_t row = first + hits[i].row;
      T value = hits[i].value;
      if (value > threshold[l]) continue;  // it has fallen since
      if (coarse) {
        value = half_norms[row] - inner(queries + l * query_stride, rows + row * stride, stride);
        if (value > threshold[l] - margin[l] + error[l]) continue;
      }
      const T reached = value + error[l] + margin[l];
      threshold[l] = reached < threshold[l] ? reached : threshold[l];
      hits[left++] = {value, l, row};
    }
    return left;
  }

  // The values of one row for each lane.
  GEOSPEC_SIMD_TARGET static void values(const int64_t* row, int64_t n, const T* rows, const T* half_norms,
                                         int64_t stride, const T* queries, int64_t query_stride, T* out) {
    for (int64_t l = 0; l < n; ++l)
      out[l] = half_norms[row[l]] - inner(queries + l * query_stride, rows + row[l] * stride, stride);
  }

  // From the lowest values of a group, none off by more than margin, lower bounds on its distances.
  GEOSPEC_SIMD_TARGET static void bound_group(const T* lowest, const T* margin, const T* norms, T* out) {
#pragma GCC unroll 2
    for (int h = 0; h < kLanes; h += kWidth) {
      const V square = load(norms + h) + T(2) * (load(lowest + h) - load(margin + h));
      store(out + h, nearest::GEOSPEC_SIMD::root<T>(Base::max(square, V{})));
    }
  }

  // Lowers the bounds of a group by as much as its rows have moved; whether any is within its limit.
  GEOSPEC_SIMD_TARGET static bool lower(T* bounds, T moved, const T* limit) {
    const V b0 = load(bounds) - moved, b1 = load(bounds + kWidth) - moved;
    store(bounds, b0);
    store(bounds + kWidth, b1);
    return nearest::GEOSPEC_SIMD::below<T>(b0, load(limit)) | nearest::GEOSPEC_SIMD::below<T>(b1, load(limit + kWidth));
  }

  // The size of the largest of n numbers.
  GEOSPEC_SIMD_TARGET static T largest(const T* x, int64_t n) {
    V most = V{};
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) most = Base::max(most, Base::max(load(x + i), -load(x + i)));
    T values[kWidth];
    store(values, most);
    T result = 0;
    for (int l = 0; l < kWidth; ++l) result = values[l] > result ? values[l] : result;
    for (; i < n; ++i) {
      const T size = x[i] < 0 ? -x[i] : x[i];
      result = size > result ? size : result;
    }
    return result;
  }
};

#undef GEOSPEC_INLINE
}  // namespace geospec::zoom::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
