// The loops that want wide registers. Included once for every instruction set (so no include guard), with
//   GEOSPEC_LANES        name of the namespace,
//   GEOSPEC_LANES_TARGET the attribute that lets the compiler use it,
//   GEOSPEC_LANES_BYTES  bytes of one register.
// The points of a leaf lie across the lanes. Only loops over plain memory stand here: a function of the standard
// library instantiated under a wider target could be picked by the linker for a machine that lacks it.

namespace geospec::neighbours::GEOSPEC_LANES {

#define GEOSPEC_INLINE GEOSPEC_LANES_TARGET __attribute__((always_inline)) static inline

template <class T, int D>
struct Lanes {
  using Scalar = T;
  static constexpr int kDimensions = D;
  static constexpr int kWidth = GEOSPEC_LANES_BYTES / sizeof(T);
  static_assert(kLeaf % kWidth == 0 && kWidth <= kPadding);
  typedef T V __attribute__((vector_size(GEOSPEC_LANES_BYTES)));
  typedef T U __attribute__((vector_size(GEOSPEC_LANES_BYTES), aligned(alignof(T)), may_alias));

  GEOSPEC_INLINE V load(const T* p) { return *reinterpret_cast<const U*>(p); }
  GEOSPEC_INLINE void store(T* p, V v) { *reinterpret_cast<U*>(p) = v; }

  // Writes every |q - p|^2 of a leaf that is at most the cut, and its number; returns how many.
  GEOSPEC_INLINE int64_t scan_leaf(const Hunt<T>& hunt, const T* block, int32_t first, V cut, T* values, int32_t* ids) {
    const int64_t d = D > 0 ? D : hunt.d;
    int64_t count = 0;
#pragma GCC unroll 4
    for (int h = 0; h < kLeaf; h += kWidth) {
      V sum = {};
#pragma GCC unroll 4
      for (int64_t k = 0; k < d; ++k) {
        const V x = load(block + k * kLeaf + h) - hunt.query[k];
        sum += x * x;
      }
      const uint32_t bits = at_most<T>(sum, cut);
      if (bits) count += append<T>(sum, bits, first + h, values + count, ids + count);
    }
    return count;
  }

  GEOSPEC_INLINE int64_t count_at_most(const T* values, int64_t n, T most) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i += kWidth) count += __builtin_popcount(at_most<T>(load(values + i), V{} + most));
    return count;
  }

  // Lowers the cut to a value that k candidates reach, and drops the rest. Any such value will do, so a few
  // guesses that assume an even spread take the place of a selection.
  GEOSPEC_INLINE int64_t tighten(const Hunt<T>& hunt, int64_t n, T& cut) {
    T* values = hunt.values;
    store(values + n, V{} + T(INFINITY));
    T low = 0, high = cut;
    int64_t below = 0, reached = n;
    const int64_t enough = hunt.k + hunt.k / 8 + 1;
    for (int round = 0; round < 12 && reached > enough; ++round) {
      const T share = (T(hunt.k - below) + T(hunt.k) / 16 + T(0.5)) / T(reached - below);
      const T guess = low + (high - low) * (share < T(0.95) ? share : T(0.5));
      if (!(guess > low && guess < high)) break;
      const int64_t count = count_at_most(values, n, guess);
      if (count >= hunt.k) {
        high = guess;
        reached = count;
      } else {
        low = guess;
        below = count;
      }
    }
    const T lower = high * hunt.slack + hunt.least;
    if (!(lower < cut)) return n;
    cut = lower;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i += kWidth) {
      const V v = load(values + i);
      const uint32_t bits = at_most<T>(v, V{} + cut);
      int32_t ids[kWidth];
      for (int l = 0; l < kWidth; ++l) ids[l] = hunt.ids[i + l];
      if (bits) kept += append_ids<T>(v, ids, bits, values + kept, hunt.ids + kept);
    }
    return kept;
  }

  // Writes which of the leaves [a, b), at most kPadding of them, are within reach of the box; returns how many.
  GEOSPEC_LANES_TARGET static int64_t list_leaves(const T* sides, int64_t stride, int64_t d_in, const T* low,
                                                  const T* high, T reach, int64_t a, int64_t b, int64_t* list) {
    const int64_t d = D > 0 ? D : d_in;
    int64_t n = 0;
    for (int64_t j = a; j < b; j += kWidth) {
      V sum = {};
#pragma GCC unroll 4
      for (int64_t k = 0; k < d; ++k) {
        const V above = load(sides + 2 * k * stride + j) - high[k];
        const V below = low[k] - load(sides + (2 * k + 1) * stride + j);
        const V out = above > below ? above : below;
        const V x = out > V{} ? out : V{};
        sum += x * x;
      }
      uint32_t bits = at_most<T>(sum, V{} + reach);
      if (b - j < kWidth) bits &= (uint32_t(1) << (b - j)) - 1;
      for (; bits; bits &= bits - 1) list[n++] = j + __builtin_ctz(bits);
    }
    return n;
  }

  // Every candidate of the listed leaves that may be among the k nearest (all within the cut where k is 0).
  // Returns how many; the cut comes back as low as they allow.
  GEOSPEC_LANES_TARGET static int64_t hunt_leaves(const Hunt<T>& hunt, T& cut) {
    const int64_t d = D > 0 ? D : hunt.d, stride = hunt.stride;
    for (int64_t j = 0; j < hunt.leaves; j += kWidth) {
      V sum = {};
#pragma GCC unroll 4
      for (int64_t k = 0; k < d; ++k) {
        const V low = load(hunt.boxes + 2 * k * stride + j) - hunt.query[k];
        const V high = hunt.query[k] - load(hunt.boxes + (2 * k + 1) * stride + j);
        const V out = low > high ? low : high;
        const V x = out > V{} ? out : V{};
        sum += x * x;
      }
      store(hunt.reach + j, sum);
    }
    int64_t n = 0, next = 3 * hunt.k / 2 + 24;
    for (int64_t j = 0; j < hunt.leaves; j += kWidth) {
      uint32_t bits = at_most<T>(load(hunt.reach + j), V{} + cut);
      for (; bits; bits &= bits - 1) {
        const int64_t leaf = j + __builtin_ctz(bits);
        if (leaf >= hunt.leaves || !(hunt.reach[leaf] <= cut)) continue;
        const T* block = hunt.blocks + hunt.list[leaf] * d * kLeaf;
        n += scan_leaf(hunt, block, int32_t(leaf * kLeaf), V{} + cut, hunt.values + n, hunt.ids + n);
        if (hunt.k > 0 && n >= next) {
          n = tighten(hunt, n, cut);
          next = n + hunt.k / 2 + 24;
        }
      }
    }
    return hunt.k > 0 && n > hunt.k ? tighten(hunt, n, cut) : n;
  }

  // Places of n distances in ascending order; false where two are equal, which the caller must settle.
  GEOSPEC_LANES_TARGET static bool rank(const double* squared, int64_t n, int32_t* place) {
    constexpr int kDoubles = GEOSPEC_LANES_BYTES / sizeof(double);
    typedef double W __attribute__((vector_size(GEOSPEC_LANES_BYTES), aligned(alignof(double)), may_alias));
    typedef double X __attribute__((vector_size(GEOSPEC_LANES_BYTES)));
    int64_t reached = 0;
    for (int64_t i = 0; i < n; ++i) {
      const X mine = X{} + squared[i];
      int count = 0;
      for (int64_t j = 0; j < n; j += kDoubles)
        count += __builtin_popcount(at_most<double>(X(*reinterpret_cast<const W*>(squared + j)), mine));
      place[i] = count - 1;
      reached += count;
    }
    return reached == n * (n + 1) / 2;  // equal ones count each other, and the sum comes out greater
  }
};

#undef GEOSPEC_INLINE
}  // namespace geospec::neighbours::GEOSPEC_LANES
#undef GEOSPEC_LANES
#undef GEOSPEC_LANES_TARGET
#undef GEOSPEC_LANES_BYTES
