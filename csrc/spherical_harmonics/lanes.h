// Harmonics of a block of directions, one in each lane of kPack registers. Included once for every instruction set (so
// no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_BYTES   bytes in a register.
// Only loops over plain memory stand here: a function of the standard library instantiated under a wider target could
// be picked by the linker for a machine that lacks it.

namespace geospec::harmonics::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

template <class T>
struct Lanes {
  static constexpr int kLanes = GEOSPEC_SIMD_BYTES / sizeof(T), kPack = 2, kPoints = kPack * kLanes;
  typedef T V __attribute__((vector_size(GEOSPEC_SIMD_BYTES), may_alias));
  typedef T Loose __attribute__((vector_size(GEOSPEC_SIMD_BYTES), may_alias, aligned(sizeof(T))));

  // A block of directions as the loops want them. w = 1 - |z|, of which no digit is lost near the poles; `mirror` is
  // the sign of z. Powers c_m, s_m: (degree + 1) kPack registers each.
  struct Block {
    const T* table;
    int64_t degree;
    V x[kPack], y[kPack], z[kPack], w[kPack], mirror[kPack];
    V *c, *s;
  };

  // What x, y, z decide of a block.
  GEOSPEC_INLINE void prepare(Block& b) {
    V c[kPack], s[kPack];
    for (int j = 0; j < kPack; ++j) {
      const V one = b.z[j] * 0 + 1, height = b.z[j] < 0 ? -b.z[j] : b.z[j];
      b.w[j] = (b.x[j] * b.x[j] + b.y[j] * b.y[j]) / (one + height);
      b.mirror[j] = b.z[j] < 0 ? -one : one;
      c[j] = one, s[j] = one - one;
    }
    for (int64_t m = 0; m <= b.degree; ++m)
      for (int j = 0; j < kPack; ++j) {
        b.c[m * kPack + j] = c[j], b.s[m * kPack + j] = s[j];
        turn(c[j], s[j], b.x[j], b.y[j]);
      }
  }

  // Q_{l,m}(z) of one order, l = m to degree: kPack registers each.
  GEOSPEC_INLINE void column(const Block& b, int64_t m, V* out) {
    const T* row = b.table + first_row(b.degree, m) * kCoefficients;
    V value[kPack], difference[kPack];
    for (int j = 0; j < kPack; ++j) {
      value[j] = b.w[j] * 0 + row[2], difference[j] = b.w[j] * 0;
      out[j] = value[j];
    }
    for (int64_t i = 1; i <= b.degree - m; ++i) {
      row += kCoefficients;
      for (int j = 0; j < kPack; ++j) {
        advance(value[j], difference[j], b.w[j], row[0], row[1], row[2]);
        out[i * kPack + j] = i & 1 ? value[j] * b.mirror[j] : value[j];
      }
    }
  }

  // Registers of feature k stand at planes[k * kPack]. `column` is room for one order.
  GEOSPEC_SIMD_TARGET static void values(Block& b, V* column_, V* planes) {
    prepare(b);
    for (int64_t m = 0; m <= b.degree; ++m) {
      column(b, m, column_);
      for (int64_t i = 0; i <= b.degree - m; ++i) {
        const int64_t l = m + i, k = l * l + l;
        for (int j = 0; j < kPack; ++j) {
          planes[(k - m) * kPack + j] = column_[i * kPack + j] * b.s[m * kPack + j];
          planes[(k + m) * kPack + j] = column_[i * kPack + j] * b.c[m * kPack + j];  // last: s_0 = 0
        }
      }
    }
  }

  // Derivatives along the motion (dx, dy, dz) of each direction. `columns` is room for two orders.
  GEOSPEC_SIMD_TARGET static void jvp(Block& b, const V* dx, const V* dy, const V* dz, V* columns, V* planes) {
    prepare(b);
    const int64_t size = (b.degree + 1) * kPack;
    for (int64_t m = b.degree; m >= 0; --m) {
      V *own = columns + m % 2 * size, *above = columns + (m + 1) % 2 * size;
      column(b, m, own);
      const T* d = b.table + first_row(b.degree, m) * kCoefficients + 3;
      V dc[kPack], ds[kPack];
      for (int j = 0; j < kPack; ++j) {
        const V c = b.c[(m ? m - 1 : 0) * kPack + j], s = b.s[(m ? m - 1 : 0) * kPack + j];
        dc[j] = T(m) * (c * dx[j] - s * dy[j]);
        ds[j] = T(m) * (s * dx[j] + c * dy[j]);
      }
      for (int64_t i = 0; i <= b.degree - m; ++i) {
        const int64_t l = m + i, k = l * l + l;
        for (int j = 0; j < kPack; ++j) {
          const V q = own[i * kPack + j];
          const V dq = i ? d[i * kCoefficients] * above[(i - 1) * kPack + j] * dz[j] : q * 0;
          planes[(k - m) * kPack + j] = q * ds[j] + dq * b.s[m * kPack + j];
          planes[(k + m) * kPack + j] = q * dc[j] + dq * b.c[m * kPack + j];
        }
      }
    }
  }

  // Sums over one order of Q and of its derivatives times planes, into a for m, into o for -m. Planes of (l, +-m) stand
  // at l^2 + l +- m or, `packed`, at 2 (l - m) and one further.
  template <bool second>
  GEOSPEC_INLINE void sums(const Block& b, int64_t m, const V* own, const V* above, const V* two_above, const V* planes,
                           bool packed, V (&a)[kPack][3], V (&o)[kPack][3]) {
    const T* d = b.table + first_row(b.degree, m) * kCoefficients + 3;
    const T* e = m < b.degree ? b.table + first_row(b.degree, m + 1) * kCoefficients + 3 : d;
    for (int j = 0; j < kPack; ++j)
      for (int r = 0; r < 3; ++r) a[j][r] = o[j][r] = b.w[j] * 0;
    for (int64_t i = 0; i <= b.degree - m; ++i) {
      const int64_t l = m + i, k = l * l + l;
      const V* plus = planes + (packed ? 2 * i : k + m) * kPack;
      const V* minus = planes + (packed ? 2 * i + 1 : k - m) * kPack;
      for (int j = 0; j < kPack; ++j) {
        const V q = own[i * kPack + j];
        a[j][0] += q * plus[j], o[j][0] += q * minus[j];
        if (i < 1) continue;
        const V dq = d[i * kCoefficients] * above[(i - 1) * kPack + j];
        a[j][1] += dq * plus[j], o[j][1] += dq * minus[j];
        if (!second || i < 2) continue;
        const V ddq = d[i * kCoefficients] * e[(i - 1) * kCoefficients] * two_above[(i - 2) * kPack + j];
        a[j][2] += ddq * plus[j], o[j][2] += ddq * minus[j];
      }
    }
  }

  // Adds what one order gives to the derivatives of the sum of planes times harmonics.
  template <bool second>
  GEOSPEC_INLINE void add(const Block& b, int64_t m, const V (&a)[kPack][3], const V (&o)[kPack][3],
                          V (&jets)[kPack][kJet]) {
    const int64_t one = (m > 0 ? m - 1 : 0) * kPack, two = (m > 1 ? m - 2 : 0) * kPack;
    for (int j = 0; j < kPack; ++j)
      add_order<second>(jets[j], T(m), a[j], o[j], b.c[m * kPack + j], b.s[m * kPack + j], b.c[one + j], b.s[one + j],
                        b.c[two + j], b.s[two + j]);
  }

  // Entry e of the jet of direction p to out[e * kPoints + p].
  GEOSPEC_INLINE void store(const V (&jets)[kPack][kJet], V* out) {
    for (int e = 0; e < kJet; ++e)
      for (int j = 0; j < kPack; ++j) out[e * kPack + j] = jets[j][e];
  }

  // Derivatives of sum_k planes_k Y_k, stored as jets. `columns` is room for three
  // orders.
  template <bool second>
  GEOSPEC_SIMD_TARGET static void reduce(Block& b, const V* planes, V* columns, V* out) {
    prepare(b);
    const int64_t size = (b.degree + 1) * kPack;
    V jets[kPack][kJet];
    for (int j = 0; j < kPack; ++j)
      for (int e = 0; e < kJet; ++e) jets[j][e] = b.w[j] * 0;
    for (int64_t m = b.degree; m >= 0; --m) {
      V *own = columns + m % 3 * size, *above = columns + (m + 1) % 3 * size, *two = columns + (m + 2) % 3 * size;
      column(b, m, own);
      V a[kPack][3], o[kPack][3];
      sums<second>(b, m, own, above, two, planes, false, a, o);
      add<second>(b, m, a, o, jets);
    }
    store(jets, out);
  }

  // A square of registers, transposed in place.
  GEOSPEC_INLINE void transpose(V (&tile)[kLanes]) {
    transpose_step<1>(tile);
    if constexpr (kLanes > 2) transpose_step<2>(tile);
    if constexpr (kLanes > 4) transpose_step<4>(tile);
    if constexpr (kLanes > 8) transpose_step<8>(tile);
  }

  // Exchanges the off-diagonal h x h squares of every 2 h x 2 h square.
  template <int h>
  GEOSPEC_INLINE void transpose_step(V (&tile)[kLanes]) {
    transpose_step<h>(tile, std::make_integer_sequence<int, kLanes>());
  }
  template <int h, int... lane>
  GEOSPEC_INLINE void transpose_step(V (&tile)[kLanes], std::integer_sequence<int, lane...>) {
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) {
      if (r & h) continue;
      const V a = tile[r], b = tile[r + h];
      tile[r] = __builtin_shufflevector(a, b, (lane & h ? kLanes + lane - h : lane)...);
      tile[r + h] = __builtin_shufflevector(a, b, (lane & h ? kLanes + lane : lane + h)...);
    }
  }

  // rows (kPoints, k), one after another, from planes.
  GEOSPEC_SIMD_TARGET static void to_rows(const V* planes, int64_t k, T* rows) {
    // The rest of the columns first: what a row's last register writes into the next row is written over. Nothing is
    // written beyond the last row.
    const int64_t whole = k / kLanes * kLanes;
    if (whole < k)
      for (int j = 0; j < kPack; ++j) {
        V tile[kLanes];
        for (int r = 0; r < kLanes; ++r) tile[r] = planes[(whole + r < k ? whole + r : k - 1) * kPack + j];
        transpose(tile);
        T* row = rows + j * kLanes * k + whole;
        for (int r = 0; r < kLanes; ++r, row += k) {
          if (rows + kPoints * k - row >= kLanes)
            *(Loose*)row = tile[r];
          else  // the last row, and where rows are shorter than half a register some before it
            for (int64_t i = 0; i < k - whole; ++i) row[i] = tile[r][i];
        }
      }
    for (int64_t first = 0; first < whole; first += kLanes) {
      const V* from = planes + first * kPack;
      for (int j = 0; j < kPack; ++j) {
        V tile[kLanes];
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) tile[r] = from[r * kPack + j];
        transpose(tile);
        T* row = rows + j * kLanes * k + first;
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r, row += k) *(Loose*)row = tile[r];
      }
    }
  }

  // planes from rows (kPoints, k); a register is read beyond the last of them.
  GEOSPEC_SIMD_TARGET static void to_planes(const T* rows, int64_t k, V* planes) {
    for (int64_t first = 0; first < k; first += kLanes)
      for (int j = 0; j < kPack; ++j) {
        V tile[kLanes];
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) tile[r] = *(const Loose*)(rows + (j * kLanes + r) * k + first);
        transpose(tile);
        for (int r = 0; r < kLanes && first + r < k; ++r) planes[(first + r) * kPack + j] = tile[r];
      }
  }
};

#undef GEOSPEC_INLINE

}  // namespace geospec::harmonics::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_BYTES
