// The loops that want wide registers. Included once for every instruction set (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_BYTES   bytes of one register,
//   GEOSPEC_SIMD_ROWS    points held against one block of queries in registers.
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
  GEOSPEC_INLINE V max(V a, V b) { return a > b ? a : b; }
  GEOSPEC_INLINE V min(V a, V b) { return a < b ? a : b; }
  GEOSPEC_INLINE T sum(V v) {
    T total = 0;
    for (int l = 0; l < kWidth; ++l) total += v[l];
    return total;
  }

  // acc[r] = init[r] - <row r, query of the lane>.
  template <int R>
  GEOSPEC_INLINE void tile(const T* rows, int64_t d, const T* block, const T* init, V (&acc)[R][2]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = V{} + init[r];
    for (int64_t k = 0; k < d; ++k) {
      const V q0 = load(block + k * kLanes), q1 = load(block + k * kLanes + kWidth);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const V x = V{} + rows[r * d + k];
        acc[r][0] -= q0 * x;
        acc[r][1] -= q1 * x;
      }
    }
  }

  template <int R>
  GEOSPEC_SIMD_TARGET static int64_t scan_rows(const T* rows, const T* half_norms, int64_t first, int64_t d,
                                               const T* block, T* threshold, const T* slack, Hit<T>* hits) {
    V acc[R][2];
    tile<R>(rows + first * d, d, block, half_norms + first, acc);
    V low0 = acc[0][0], low1 = acc[0][1];
#pragma GCC unroll 16
    for (int r = 1; r < R; ++r) low0 = min(low0, acc[r][0]), low1 = min(low1, acc[r][1]);
    const V t0 = load(threshold), t1 = load(threshold + kWidth);
    if (!(any_below<T>(low0, t0) | any_below<T>(low1, t1))) return 0;
    T values[R * kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      store(values + r * kLanes, acc[r][0]);
      store(values + r * kLanes + kWidth, acc[r][1]);
    }
    int64_t n = 0;
    for (int r = 0; r < R; ++r)
      for (int l = 0; l < kLanes; ++l) {
        const T value = values[r * kLanes + l];
        if (value > threshold[l]) continue;
        hits[n++] = {value, l, first + r};
        // A later row must come within both errors of this one to be the nearest.
        const T lower = value + slack[l];
        if (lower < threshold[l]) threshold[l] = lower;
      }
    return n;
  }

  // Compares n rows with the block: value = |p|^2 / 2 - p.q. Writes each (row, lane) whose value is at most
  // threshold[lane], which falls as lower values appear, and returns how many; room for n * kLanes is needed.
  GEOSPEC_SIMD_TARGET static int64_t scan(const T* rows, const T* half_norms, int64_t n, int64_t d, const T* block,
                                          T* threshold, const T* slack, Hit<T>* hits) {
    int64_t count = 0, r = 0;
    for (; r + kRows <= n; r += kRows)
      count += scan_rows<kRows>(rows, half_norms, r, d, block, threshold, slack, hits + count);
    for (; r < n; ++r) count += scan_rows<1>(rows, half_norms, r, d, block, threshold, slack, hits + count);
    return count;
  }

  // Lower bounds (2, kLanes) on the squared distance of each query of the block to two sibling nodes.
  GEOSPEC_SIMD_TARGET static void bounds(const T* rows, const NodeBounds<T>* nodes, int64_t d, const T* block,
                                         const T* norms, const T* error, const T* axis_error, T* out) {
    constexpr int kNodeRows = 1 + kAxes;
    const T zeros[2 * kNodeRows] = {};
    V acc[2 * kNodeRows][2];
    tile<2 * kNodeRows>(rows, d, block, zeros, acc);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const NodeBounds<T>& node = nodes[i];
        const V zero = V{}, e = load(axis_error + h * kWidth);
        V off = load(norms + h * kWidth) + node.center_norm + T(2) * acc[i * kNodeRows][h] - load(error + h * kWidth);
        V outside = V{};
#pragma GCC unroll 8
        for (int a = 0; a < kAxes; ++a) {
          const V t = -acc[i * kNodeRows + 1 + a][h] - node.center_on_axis[a];
          off -= t * t;
          const V gap = max(max(node.low[a] - t, t - node.high[a]) - e, zero);
          outside += gap * gap;
        }
        const V away = max(root<T>(max(off, zero)) - node.radius, zero);
        store(out + i * kLanes + h * kWidth, outside + away * away);
      }
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

  // Coordinates of x - center on the axes; returns |x - center|^2.
  GEOSPEC_SIMD_TARGET static T project(const T* x, const T* center, const T* axes, int64_t d, T* on_axis) {
    V square = V{}, t[kAxes] = {};
    int64_t k = 0;
    for (; k + kWidth <= d; k += kWidth) {
      const V y = load(x + k) - load(center + k);
      square += y * y;
#pragma GCC unroll 8
      for (int a = 0; a < kAxes; ++a) t[a] += y * load(axes + a * d + k);
    }
    T total = sum(square);
    for (int a = 0; a < kAxes; ++a) on_axis[a] = sum(t[a]);
    for (; k < d; ++k) {
      const T y = x[k] - center[k];
      total += y * y;
      for (int a = 0; a < kAxes; ++a) on_axis[a] += y * axes[a * d + k];
    }
    return total;
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
