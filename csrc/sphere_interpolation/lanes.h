// Sums over the nodes around a point, channels side by side. Included once for every instruction set (so no include
// guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_BYTES   bytes in a register,
//   GEOSPEC_SIMD_REGISTERS  how many there are.
// Only loops over plain memory stand here, as in spherical_harmonics/lanes.h.

namespace geospec::sphere::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

template <class T>
struct BumpLanes {
  typedef T V __attribute__((vector_size(GEOSPEC_SIMD_BYTES), may_alias));
  typedef T Loose __attribute__((vector_size(GEOSPEC_SIMD_BYTES), may_alias, aligned(sizeof(T))));
  typedef double D __attribute__((vector_size(GEOSPEC_SIMD_BYTES), may_alias));
  static constexpr int kLanes = GEOSPEC_SIMD_BYTES / sizeof(T), kNodes = kWidth<T>;
  static constexpr int kRegisters = (kNodes + kLanes - 1) / kLanes, kPadded = kRegisters * kLanes;
  static constexpr int kStrip = 4;
  // Registers of channels whose sums for a row of nodes stay in registers.
  static constexpr int kSpread = kNodes * 4 < GEOSPEC_SIMD_REGISTERS ? 4 : kNodes * 2 < GEOSPEC_SIMD_REGISTERS ? 2 : 1;

  // Angles of (x, y), of 0 to pi with y >= 0, for as many lanes as D has.
  GEOSPEC_INLINE D angle(D x, D y) {
    const D zero = x * 0, ax = x < 0 ? -x : x, ay = y < 0 ? -y : y;
    const D low = ax < ay ? ax : ay, high = ax < ay ? ay : ax;
    // Beyond tan(pi / 8) from the diagonal, where the tangent of the rest is at most that again.
    const auto steep = low > 0.41421356237309503 * high;
    const D above = steep ? low - high : low, below = steep ? low + high : high;
    const D t = above / (below > 0 ? below : zero + 1), square = t * t;
    D series = zero + 1.0 / 43;
#pragma GCC unroll 21
    for (int k = 41; k > 0; k -= 2) series = 1.0 / k - square * series;
    D a = t * series + (steep ? zero + kPi / 4 : zero);
    a = ay > ax ? kPi / 2 - a : a;
    a = x < 0 ? kPi - a : a;
    return y < 0 ? -a : a;
  }

  // out[i] = angle of (x[i], y[i]), for a multiple of the lanes of D.
  GEOSPEC_SIMD_TARGET static void angles(const double* x, const double* y, int64_t count, double* out) {
    for (int64_t i = 0; i < count; i += GEOSPEC_SIMD_BYTES / 8)
      *(D*)(out + i) = angle(*(const D*)(x + i), *(const D*)(y + i));
  }

  // The bump at the nodes of one axis.
  GEOSPEC_INLINE void bump(const V* pieces, int64_t terms, T within, V* out) {
    for (int r = 0; r < kRegisters; ++r) out[r] = pieces[r];
    for (int64_t i = 1; i < terms; ++i)
      for (int r = 0; r < kRegisters; ++r) out[r] = out[r] * within + pieces[i * kRegisters + r];
  }

  // Products of the bump on either axis, rows of kPadded.
  GEOSPEC_SIMD_TARGET static void weights(const V* pieces, int64_t terms, const T* within, V* out) {
    V rows[kRegisters], columns[kRegisters];
    bump(pieces, terms, within[0], rows);
    bump(pieces, terms, within[1], columns);
#pragma GCC unroll 14
    for (int a = 0; a < kNodes; ++a)
      for (int r = 0; r < kRegisters; ++r) out[a * kRegisters + r] = rows[a / kLanes][a % kLanes] * columns[r];
  }

  template <int R>
  GEOSPEC_INLINE void gather(const T* corner, int64_t row, int64_t h, const T* weights, T* out) {
    V sum[2][R];
    for (int r = 0; r < R; ++r) sum[0][r] = sum[1][r] = V{};
    for (int a = 0; a < kNodes; ++a, corner += row, weights += kPadded)
#pragma GCC unroll 14
      for (int b = 0; b < kNodes; ++b)
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sum[b & 1][r] += weights[b] * *(const Loose*)(corner + b * h + r * kLanes);
    for (int r = 0; r < R; ++r) *(Loose*)(out + r * kLanes) = sum[0][r] + sum[1][r];
  }

  // out (h) = sum over the nodes from `corner` of weight times channels; `row` is the length of a row of the grid.
  GEOSPEC_SIMD_TARGET static void interpolate(const T* corner, int64_t row, int64_t h, const T* weights, T* out) {
    int64_t c = 0;
    for (; c + kStrip * kLanes <= h; c += kStrip * kLanes) gather<kStrip>(corner + c, row, h, weights, out + c);
    for (; c + kLanes <= h; c += kLanes) gather<1>(corner + c, row, h, weights, out + c);
    if (c < h && h >= kLanes) return gather<1>(corner + h - kLanes, row, h, weights, out + h - kLanes);
    for (; c < h; ++c) {
      T sum = 0;
      for (int a = 0; a < kNodes; ++a)
        for (int b = 0; b < kNodes; ++b) sum += weights[a * kPadded + b] * corner[a * row + b * h + c];
      out[c] = sum;
    }
  }

  // <a, b> of `count` numbers each.
  GEOSPEC_SIMD_TARGET static double dot(const T* a, const T* b, int64_t count) {
    V sum = V{};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) sum += *(const Loose*)(a + i) * *(const Loose*)(b + i);
    double total = 0;
    for (int l = 0; l < kLanes; ++l) total += double(sum[l]);
    for (; i < count; ++i) total += double(a[i]) * b[i];
    return total;
  }

  template <int R>
  GEOSPEC_INLINE void scatter(const T* const* grads, const T* weights, int64_t count, int64_t c, int64_t row, int64_t h,
                              double* corner) {
    for (int a = 0; a < kNodes; ++a, corner += row) {
      V sum[kNodes][R];
#pragma GCC unroll 14
      for (int b = 0; b < kNodes; ++b)
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sum[b][r] = V{};
      const T* weight = weights + a * kPadded;
      for (int64_t i = 0; i < count; ++i, weight += kNodes * kPadded) {
        V value[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) value[r] = *(const Loose*)(grads[i] + c + r * kLanes);
#pragma GCC unroll 14
        for (int b = 0; b < kNodes; ++b)
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r) sum[b][r] += weight[b] * value[r];
      }
      for (int b = 0; b < kNodes; ++b)
        for (int r = 0; r < R; ++r) {
          double* place = corner + b * h + c + r * kLanes;
#pragma GCC unroll 16
          for (int l = 0; l < kLanes; ++l) place[l] += double(sum[b][r][l]);
        }
    }
  }

  // Adds weight times channels of `count` points of one cell to the nodes from `corner`: among themselves in T, to the
  // nodes in double.
  GEOSPEC_SIMD_TARGET static void spread(const T* const* grads, const T* weights, int64_t count, int64_t row, int64_t h,
                                         double* corner) {
    int64_t c = 0;
    for (; c + kSpread * kLanes <= h; c += kSpread * kLanes) scatter<kSpread>(grads, weights, count, c, row, h, corner);
    for (; c + kLanes <= h; c += kLanes) scatter<1>(grads, weights, count, c, row, h, corner);
    for (; c < h; ++c)
      for (int64_t i = 0; i < count; ++i)
        for (int a = 0; a < kNodes; ++a)
          for (int b = 0; b < kNodes; ++b)
            corner[a * row + b * h + c] += double(weights[(i * kNodes + a) * kPadded + b]) * grads[i][c];
  }
};

#undef GEOSPEC_INLINE

}  // namespace geospec::sphere::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_BYTES
#undef GEOSPEC_SIMD_REGISTERS
