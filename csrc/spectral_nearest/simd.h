// The loops that want wide registers. Included once for every instruction set (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_BYTES   bytes of one register,
//   GEOSPEC_SIMD_ROWS    points held against one block of queries in registers,
//   GEOSPEC_SIMD_DOT4    where there is one, the instruction that adds four products of bytes to each lane.
// Queries lie across the lanes: a block is an array [d][kLanes], so each query keeps its own running best
// without a reduction, and points are read as they lie in memory, one coordinate at a time.
// Only loops over plain memory stand here: a function of the standard library instantiated under a wider
// target could be picked by the linker for a machine that lacks it.

namespace geospec::nearest::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

template <class T>
struct Simd {
  using Scalar = T;
  typedef T V __attribute__((vector_size(GEOSPEC_SIMD_BYTES)));
  typedef T U __attribute__((vector_size(GEOSPEC_SIMD_BYTES), aligned(alignof(T)), may_alias));
  static constexpr int kWidth = GEOSPEC_SIMD_BYTES / sizeof(T);
  static constexpr int kLanes = 2 * kWidth;
  static constexpr int kRows = GEOSPEC_SIMD_ROWS;

  GEOSPEC_INLINE V load(const T* p) { return *reinterpret_cast<const U*>(p); }
  GEOSPEC_INLINE void store(T* p, V v) { *reinterpret_cast<U*>(p) = v; }
  // Minus zero because x + 0 is an addition to a compiler that heeds -0; x - 0 is x, broadcast as it is loaded.
  GEOSPEC_INLINE V all(T x) { return x - V{}; }
  GEOSPEC_INLINE V max(V a, V b) { return a > b ? a : b; }
  GEOSPEC_INLINE V min(V a, V b) { return a < b ? a : b; }
  // By halves, each a vector of its own size: a loop over sizes would go through memory.
  template <int N>
  GEOSPEC_INLINE T sum_of(const T* part) {
    if constexpr (N * sizeof(T) <= 16) {
      T total = part[0];
      for (int l = 1; l < N; ++l) total += part[l];
      return total;
    } else {
      typedef T Half __attribute__((vector_size(N / 2 * sizeof(T)), aligned(alignof(T)), may_alias));
      const Half both = *reinterpret_cast<const Half*>(part) + *reinterpret_cast<const Half*>(part + N / 2);
      return sum_of<N / 2>(reinterpret_cast<const T*>(&both));
    }
  }
  GEOSPEC_INLINE T sum(V v) { return sum_of<kWidth>(reinterpret_cast<const T*>(&v)); }

  // acc[r] = init[r] - <row r, query of the lane>, for rows of d coordinates that begin `stride` apart.
  template <int R>
  GEOSPEC_INLINE void tile(const T* rows, int64_t stride, int64_t d, const T* block, const T* init, V (&acc)[R][2]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = all(init[r]);
    for (int64_t k = 0; k < d; ++k) {
      const V q0 = load(block + k * kLanes), q1 = load(block + k * kLanes + kWidth);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const V x = all(rows[r * stride + k]);
        acc[r][0] -= q0 * x;
        acc[r][1] -= q1 * x;
      }
    }
  }

  // The lowest of each lane of a tile of values.
  template <int R>
  GEOSPEC_INLINE void lowest(const V (&acc)[R][2], V (&low)[2]) {
    low[0] = acc[0][0], low[1] = acc[0][1];
#pragma GCC unroll 16
    for (int r = 1; r < R; ++r) low[0] = min(low[0], acc[r][0]), low[1] = min(low[1], acc[r][1]);
  }

  // Writes each (row, lane) of a tile of values that is at most threshold[lane], which falls to the lowest + slack.
  template <int R>
  GEOSPEC_INLINE int64_t extract(const V (&acc)[R][2], const V (&low)[2], int64_t first, T* threshold, const T* slack,
                                 Hit<T>* hits) {
    V t0 = load(threshold), t1 = load(threshold + kWidth);
    if (!(below<T>(low[0], t0) | below<T>(low[1], t1))) return 0;
    t0 = min(t0, low[0] + load(slack)), t1 = min(t1, low[1] + load(slack + kWidth));
    store(threshold, t0);
    store(threshold + kWidth, t1);
    T values[R * kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      store(values + r * kLanes, acc[r][0]);
      store(values + r * kLanes + kWidth, acc[r][1]);
    }
    int64_t n = 0;
    for (int r = 0; r < R; ++r) {
      const T* value = values + r * kLanes;
      uint64_t lanes = below<T>(load(value), t0) | uint64_t(below<T>(load(value + kWidth), t1)) << kWidth;
      for (; lanes; lanes &= lanes - 1) {
        const int l = __builtin_ctzll(lanes);
        hits[n++] = {value[l], l, first + r};
      }
    }
    return n;
  }

  template <int R>
  GEOSPEC_SIMD_TARGET static int64_t scan_rows(const T* rows, const T* half_norms, int64_t first, int64_t d,
                                               const T* block, T* threshold, const T* slack, Hit<T>* hits) {
    V acc[R][2], low[2];
    tile<R>(rows + first * d, d, d, block, half_norms + first, acc);
    lowest<R>(acc, low);
    return extract<R>(acc, low, first, threshold, slack, hits);  // the nearest is within both errors of the lowest
  }

  // Compares n rows with the block: value = |p|^2 / 2 - p.q. Writes each (row, lane) whose value is at most
  // threshold[lane], which falls as lower values appear, and returns how many; room for n * kLanes is needed.
  GEOSPEC_SIMD_TARGET static int64_t scan(const T* rows, const T* half_norms, int64_t n, int64_t d, const T* block,
                                          T* threshold, const T* slack, Hit<T>* hits) {
    int64_t count = 0, r = 0;
    if (n < kRows)
      for (; r < n; ++r) count += scan_rows<1>(rows, half_norms, r, d, block, threshold, slack, hits + count);
    for (; r < n; r += kRows)  // the last tile overlaps the one before: to see a row twice does no harm
      count +=
          scan_rows<kRows>(rows, half_norms, r + kRows < n ? r : n - kRows, d, block, threshold, slack, hits + count);
    return count;
  }

#ifdef GEOSPEC_SIMD_DOT4
  static constexpr bool kCoarse = sizeof(T) == 4;
  typedef int32_t I __attribute__((vector_size(GEOSPEC_SIMD_BYTES)));
  typedef int8_t B __attribute__((vector_size(GEOSPEC_SIMD_BYTES / 4), aligned(1), may_alias));

  // The size of the largest coordinate.
  GEOSPEC_SIMD_TARGET static T greatest(const T* x, int64_t d) {
    T most = 0;
    for (int64_t k = 0; k < d; ++k) {
      const T size = x[k] < 0 ? -x[k] : x[k];
      most = size > most ? size : most;
    }
    return most;
  }

  // Rounds x / unit (at most 127 in size) to bytes, zeros up to the next multiple of four; the squared error.
  GEOSPEC_SIMD_TARGET static T coarsen(const T* x, T unit, int64_t d, int8_t* out) {
    V squares = V{};
    for (int64_t k = 0; k < d; k += kWidth) {
      const int64_t n = d - k < kWidth ? d - k : kWidth, bytes = (n + 3) / 4 * 4;
      T padded[kWidth] = {};
      __builtin_memcpy(padded, x + k, n * sizeof(T));
      const V v = load(padded), scaled = v / unit;
      const I rounded = __builtin_convertvector(scaled + (scaled < V{} ? all(T(-0.5)) : all(T(0.5))), I);
      const V off = v - __builtin_convertvector(rounded, V) * unit;
      squares += off * off;
      const B small = __builtin_convertvector(rounded, B);
      __builtin_memcpy(out + k, &small, bytes);
    }
    return sum(squares);
  }

  typedef int32_t J __attribute__((vector_size(GEOSPEC_SIMD_BYTES), aligned(1), may_alias));
  GEOSPEC_INLINE I four(const void* p) { return *static_cast<const J*>(p); }

  // As tile, with coordinates in bytes: those of the points 128 too large, which `start` takes off.
  template <int R>
  GEOSPEC_INLINE void tile_bytes(const uint8_t* rows, int64_t bytes, const int8_t* block, const int32_t* start,
                                 const T* unit, const T* init, V (&acc)[R][2]) {
    I sums[R][2];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) sums[r][0] = four(start), sums[r][1] = four(start + kWidth);
    for (int64_t k = 0; k < bytes; k += 4) {
      const I q0 = four(block + k * kLanes), q1 = four(block + k * kLanes + 4 * kWidth);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        int32_t point;
        __builtin_memcpy(&point, rows + r * bytes + k, 4);
        const I x = I{} + point;
        sums[r][0] = GEOSPEC_SIMD_DOT4(sums[r][0], x, q0);
        sums[r][1] = GEOSPEC_SIMD_DOT4(sums[r][1], x, q1);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h)
        acc[r][h] = all(init[r]) - __builtin_convertvector(sums[r][h], V) * load(unit + h * kWidth);
  }

  template <int R>
  GEOSPEC_SIMD_TARGET static int64_t scan_bytes(const uint8_t* rows, const T* half_norms, int64_t first, int64_t bytes,
                                                const int8_t* block, const int32_t* start, const T* unit, T* threshold,
                                                const T* slack, Hit<T>* hits) {
    V acc[R][2], low[2];
    tile_bytes<R>(rows + first * bytes, bytes, block, start, unit, half_norms + first, acc);
    lowest<R>(acc, low);
    return extract<R>(acc, low, first, threshold, slack, hits);
  }

  GEOSPEC_SIMD_TARGET static int64_t scan_coarse(const uint8_t* rows, const T* half_norms, int64_t n, int64_t bytes,
                                                 const int8_t* block, const int32_t* start, const T* unit, T* threshold,
                                                 const T* slack, Hit<T>* hits) {
    int64_t count = 0;
    const int64_t whole = n < kRows ? 0 : n;
    for (int64_t r = 0; r < whole; r += kRows)
      count += scan_bytes<kRows>(rows, half_norms, r + kRows < n ? r : n - kRows, bytes, block, start, unit, threshold,
                                 slack, hits + count);
    for (int64_t r = whole; r < n; ++r)
      count += scan_bytes<1>(rows, half_norms, r, bytes, block, start, unit, threshold, slack, hits + count);
    return count;
  }
#else
  static constexpr bool kCoarse = false;
#endif

  template <int R>
  GEOSPEC_SIMD_TARGET static void bound_rows(const T* rows, const T* half_norms, const T* radii, int64_t d,
                                             const T* block, const T* block_norms, const T* error, T* out) {
    V acc[R][2];
    tile<R>(rows, d, d, block, half_norms, acc);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const V square = load(block_norms + h * kWidth) + T(2) * acc[r][h] - load(error + h * kWidth);
        store(out + r * kLanes + h * kWidth, root<T>(max(square, V{})) - radii[r]);
      }
  }

  // Lower bounds (n, kLanes) on the distance of each query of the block to what n balls hold.
  GEOSPEC_SIMD_TARGET static void bounds(const T* rows, const T* half_norms, const T* radii, int64_t n, int64_t d,
                                         const T* block, const T* block_norms, const T* error, T* out) {
    if (n < 4) return bound_all<1>(rows, half_norms, radii, n, d, block, block_norms, error, out);
    if (n < 8 || kRows < 8) return bound_all<4>(rows, half_norms, radii, n, d, block, block_norms, error, out);
    bound_all<8>(rows, half_norms, radii, n, d, block, block_norms, error, out);
  }

  template <int R>
  GEOSPEC_SIMD_TARGET static void bound_all(const T* rows, const T* half_norms, const T* radii, int64_t n, int64_t d,
                                            const T* block, const T* block_norms, const T* error, T* out) {
    for (int64_t i = 0; i < n; i += R) {  // the last tile overlaps the one before, here and below
      const int64_t r = i + R < n ? i : n - R;
      bound_rows<R>(rows + r * d, half_norms + r, radii + r, d, block, block_norms, error, out + r * kLanes);
    }
  }

  // Whether any lane's bound is within its limit.
  GEOSPEC_SIMD_TARGET static bool any_within(const T* bound, const T* limit) {
    return below<T>(load(bound), load(limit)) | below<T>(load(bound + kWidth), load(limit + kWidth));
  }

  // For each of n nodes the sum of its bounds over the lanes, or infinity where none is within its limit.
  GEOSPEC_SIMD_TARGET static void nearness(const T* bounds, int64_t n, const T* limit, T* out) {
    const V limit0 = load(limit), limit1 = load(limit + kWidth);
    for (int64_t i = 0; i < n; ++i) {
      const V b0 = load(bounds + i * kLanes), b1 = load(bounds + i * kLanes + kWidth);
      out[i] = below<T>(b0, limit0) | below<T>(b1, limit1) ? sum(b0 + b1) : INFINITY;
    }
  }

  // Raises the bounds of a node to its distances beyond the planes (see bound_by_bisectors).
  GEOSPEC_SIMD_TARGET static void raise(T* bound, T radius, const T* own, const T* planes) {
#pragma GCC unroll 2
    for (int h = 0; h < kLanes; h += kWidth) {
      const V value = load(bound + h), distance = value + radius;
      store(bound + h, max(value, (distance * distance - load(own + h)) * load(planes + h)));
    }
  }

  template <int R>
  GEOSPEC_INLINE void nearest_rows(const T* rows, const T* half_norms, int64_t first, int64_t d, const T* block,
                                   V (&best)[2], V (&index)[2]) {
    V acc[R][2];
    tile<R>(rows + first * d, d, d, block, half_norms + first, acc);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const V number = all(T(first + r));
        index[h] = acc[r][h] < best[h] ? number : index[h];
        best[h] = min(acc[r][h], best[h]);
      }
  }

  template <int R>
  GEOSPEC_INLINE void nearest_all(const T* rows, const T* half_norms, int64_t n, int64_t d, const T* block,
                                  V (&best)[2], V (&index)[2]) {
    for (int64_t r = 0; r < n; r += R) nearest_rows<R>(rows, half_norms, r + R < n ? r : n - R, d, block, best, index);
  }

  // The nearest of n rows to each query of the block, up to rounding; n below 2^24, so that T can count it.
  GEOSPEC_SIMD_TARGET static void nearest_row(const T* rows, const T* half_norms, int64_t n, int64_t d, const T* block,
                                              int64_t* out) {
    V best[2] = {all(INFINITY), all(INFINITY)}, index[2] = {};
    if (n < 4)
      nearest_all<1>(rows, half_norms, n, d, block, best, index);
    else if (n < kRows)
      nearest_all<4>(rows, half_norms, n, d, block, best, index);
    else
      nearest_all<kRows>(rows, half_norms, n, d, block, best, index);
    T numbers[kLanes];
    store(numbers, index[0]);
    store(numbers + kWidth, index[1]);
    for (int l = 0; l < kLanes; ++l) out[l] = int64_t(numbers[l]);
  }

  GEOSPEC_SIMD_TARGET static T dot(const T* a, const T* b, int64_t d) {
    V s = V{};
    int64_t k = 0;
    for (; k + kWidth <= d; k += kWidth) s += load(a + k) * load(b + k);
    T total = sum(s);
    for (; k < d; ++k) total += a[k] * b[k];
    return total;
  }

  // y += s x
  GEOSPEC_SIMD_TARGET static void axpy(T s, const T* x, T* y, int64_t d) {
    for (int64_t k = 0; k < d; ++k) y[k] += s * x[k];
  }

  // out = (x - center) scale
  GEOSPEC_SIMD_TARGET static void to_frame(const T* x, const T* center, T scale, T* out, int64_t d) {
    for (int64_t k = 0; k < d; ++k) out[k] = (x[k] - center[k]) * scale;
  }

  // |a - b|^2
  GEOSPEC_SIMD_TARGET static T square_difference(const T* a, const T* b, int64_t d) {
    V s = V{};
    int64_t k = 0;
    for (; k + kWidth <= d; k += kWidth) {
      const V x = load(a + k) - load(b + k);
      s += x * x;
    }
    T total = sum(s);
    for (; k < d; ++k) total += (a[k] - b[k]) * (a[k] - b[k]);
    return total;
  }

  static void prefetch(const T* x, int64_t d) {
    for (int64_t k = 0; k < d; k += 64 / int64_t(sizeof(T))) __builtin_prefetch(x + k);
  }

  GEOSPEC_SIMD_TARGET static double exact(const T* a, const T* b, int64_t d, double scale) {
    return squared_distance(a, b, d, scale);
  }
};

#undef GEOSPEC_INLINE
}  // namespace geospec::nearest::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_BYTES
#undef GEOSPEC_SIMD_ROWS
#undef GEOSPEC_SIMD_DOT4
