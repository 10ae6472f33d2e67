// The loops that want wide registers: a packet of neighbouring cells across the lanes against one triangle after the
// other. Included once for every instruction set (so no include guard), with
//   GEOSPEC_LANES        name of the namespace,
//   GEOSPEC_LANES_TARGET the attribute that lets the compiler use it,
//   GEOSPEC_LANES_BYTES  bytes of one register.
// Only loops over plain memory stand here: a function of the standard library instantiated under a wider target could
// be picked by the linker for a machine that lacks it.

namespace geospec::mesh_sdf::GEOSPEC_LANES {

#define GEOSPEC_INLINE GEOSPEC_LANES_TARGET __attribute__((always_inline)) static inline

template <class T>
struct Lanes {
  static constexpr int kWidth = GEOSPEC_LANES_BYTES / sizeof(T);
  static_assert(kLeaf % kWidth == 0 && (kBlock * kBlock * kBlock) % kWidth == 0);
  typedef T V __attribute__((vector_size(GEOSPEC_LANES_BYTES)));
  typedef T U __attribute__((vector_size(GEOSPEC_LANES_BYTES), aligned(alignof(T)), may_alias));

  struct Packet {
    V x, y, z, squared;
    T low[3], high[3], most;  // what its cells span, and the largest squared distance among them
    int32_t nearest[kWidth];
  };

  GEOSPEC_INLINE V load(const T* p) { return *reinterpret_cast<const U*>(p); }
  GEOSPEC_INLINE void store(T* p, V v) { *reinterpret_cast<U*>(p) = v; }
  GEOSPEC_INLINE V lesser(V a, V b) { return a < b ? a : b; }
  GEOSPEC_INLINE V greater(V a, V b) { return a > b ? a : b; }
  GEOSPEC_INLINE V outside(V x, T low, T high) { return x - greater(lesser(x, V{} + high), V{} + low); }

  GEOSPEC_INLINE T greatest(V v) {
    T most = v[0];
    for (int l = 1; l < kWidth; ++l) most = v[l] > most ? v[l] : most;
    return most;
  }

  GEOSPEC_INLINE T least(V v) { return -greatest(-v); }

  // Takes the triangle where it is nearer than what the packet has. First the box around it in its own frame, which
  // lies flat on the surface and is missed by all cells but those before it; then its sides.
  GEOSPEC_INLINE void measure(Packet& p, const Triangle<T>& t, int32_t place) {
    const V u = t.axes[0][0] * p.x + t.axes[0][1] * p.y + t.axes[0][2] * p.z;
    const V v = t.axes[1][0] * p.x + t.axes[1][1] * p.y + (t.axes[1][2] * p.z - t.offset_v);
    const V w = t.axes[2][0] * p.x + t.axes[2][1] * p.y + (t.axes[2][2] * p.z - t.offset_w);
    const V du = outside(u, t.low, t.high), dv = outside(v, T(0), t.height);
    const V box = du * du + dv * dv;
    const V off = w * w;
    if (!below(box + off, p.squared)) return;
    V plane = du * du + v * v, inside = v;
#pragma GCC unroll 2
    for (int s = 0; s < 2; ++s) {
      const Side<T>& side = t.sides[s];
      const V above = side.normal[0] * u + (side.normal[1] * v - side.offset);
      const V along = outside(side.normal[1] * u - side.normal[0] * v, side.low, side.high);
      plane = lesser(plane, above * above + along * along);
      inside = lesser(inside, above);
    }
    // A thin triangle may seem to hold what lies beyond its ends: the box knows better.
    const V squared = (inside > V{} ? box : plane) + off;
    uint32_t bits = below(squared, p.squared);
    if (!bits) return;
    p.squared = lesser(squared, p.squared);
    for (; bits; bits &= bits - 1) p.nearest[__builtin_ctz(bits)] = place;
  }

  // The triangles of a leaf whose boxes are nearer to the packet's box than its farthest cell is to the surface.
  GEOSPEC_INLINE uint32_t candidates(const Packet& p, const Leaf<T>& leaf) {
    uint32_t bits = 0;
#pragma GCC unroll 8
    for (int h = 0; h < kLeaf; h += kWidth) {
      V sum = {};
#pragma GCC unroll 3
      for (int k = 0; k < 3; ++k) {
        const V out = greater(greater(load(leaf.low[k] + h) - p.high[k], p.low[k] - load(leaf.high[k] + h)), V{});
        sum += out * out;
      }
      bits |= below(sum, V{} + p.most) << h;
    }
    return bits;
  }

  GEOSPEC_LANES_TARGET static void nearest(Cells<T>& cells) {
    for (int first = 0; first < kBlock * kBlock * kBlock; first += kWidth) {
      Packet p = {load(cells.x + first),
                  load(cells.y + first),
                  load(cells.z + first),
                  load(cells.squared + first),
                  {},
                  {},
                  {},
                  {}};
      const V* xyz[3] = {&p.x, &p.y, &p.z};
      for (int k = 0; k < 3; ++k) {
        p.low[k] = least(*xyz[k]);
        p.high[k] = greatest(*xyz[k]);
      }
      p.most = greatest(p.squared);
      for (int l = 0; l < kWidth; ++l) p.nearest[l] = -1;
      for (int64_t i = 0; i < cells.n; ++i) {
        const int32_t leaf = cells.list[i];
        uint32_t bits = candidates(p, cells.leaves[leaf]);
        if (!bits) continue;
        for (; bits; bits &= bits - 1) {
          const int32_t place = leaf * kLeaf + __builtin_ctz(bits);
          measure(p, cells.triangles[place], place);
        }
        p.most = greatest(p.squared);
      }
      store(cells.squared + first, p.squared);
      for (int l = 0; l < kWidth; ++l) cells.nearest[first + l] = p.nearest[l];
    }
  }

  struct Sum {
    V winding, turns, real, imaginary;
  };

  // n . (x - q) / |x - q|^3 over a far part, by its expansion to first order about the centre.
  GEOSPEC_INLINE V far_part(const Moment<T>& m, V x, V y, V z) {
    const V r[3] = {m.centre[0] - x, m.centre[1] - y, m.centre[2] - z};
    const V inverse = T(1) / (r[0] * r[0] + r[1] * r[1] + r[2] * r[2]), cubed = inverse * root(inverse);
    V bent = {};
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k)
      bent += r[k] * (m.quadrupole[3 * k] * r[0] + m.quadrupole[3 * k + 1] * r[1] + m.quadrupole[3 * k + 2] * r[2]);
    const V straight = m.dipole[0] * r[0] + m.dipole[1] * r[1] + m.dipole[2] * r[2] +
                       (m.quadrupole[0] + m.quadrupole[4] + m.quadrupole[8]);
    return cubed * (straight - 3 * inverse * bent);
  }

  // Half the solid angle of a triangle is the argument of a number; these are multiplied and whole turns counted, so
  // that one arctangent serves all triangles.
  GEOSPEC_INLINE void turn(Sum& s, const T* corners, V x, V y, V z) {
    V p[3][3], length[3];
#pragma GCC unroll 3
    for (int c = 0; c < 3; ++c) {
      p[c][0] = corners[3 * c] - x;
      p[c][1] = corners[3 * c + 1] - y;
      p[c][2] = corners[3 * c + 2] - z;
      length[c] = root(p[c][0] * p[c][0] + p[c][1] * p[c][1] + p[c][2] * p[c][2]);
    }
    const V im = p[0][0] * (p[1][1] * p[2][2] - p[1][2] * p[2][1]) + p[0][1] * (p[1][2] * p[2][0] - p[1][0] * p[2][2]) +
                 p[0][2] * (p[1][0] * p[2][1] - p[1][1] * p[2][0]);
    V re = length[0] * length[1] * length[2];
#pragma GCC unroll 3
    for (int c = 0; c < 3; ++c) {
      const int a = (c + 1) % 3, b = (c + 2) % 3;
      re += (p[a][0] * p[b][0] + p[a][1] * p[b][1] + p[a][2] * p[b][2]) * length[c];
    }
    const V real = s.real * re - s.imaginary * im, imaginary = s.real * im + s.imaginary * re;
    const V none = {}, one = none + T(1);
    s.turns += (s.imaginary >= none) & (im >= none) & (imaginary < none) ? one : none;
    s.turns -= (s.imaginary < none) & (im < none) & (imaginary >= none) ? one : none;
    const V size = greater(real, -real) + greater(imaginary, -imaginary);
    const V scale = size > none ? one / size : none;  // a corner of the triangle: it sees no angle
    s.real = size > none ? real * scale : s.real;
    s.imaginary = size > none ? imaginary * scale : s.imaginary;
  }

  GEOSPEC_LANES_TARGET static void wind(Around<T>& a) {
    for (int first = 0; first < kPoints; first += kWidth) {
      const V x = load(a.x + first), y = load(a.y + first), z = load(a.z + first);
      Sum s = {{}, {}, V{} + T(1), {}};
      for (int64_t i = 0; i < a.n_far; ++i) s.winding += far_part(a.moments[a.far[i]], x, y, z);
      for (int64_t i = 0; i < a.n_near; ++i) {
        const int64_t begin = int64_t(a.near[i]) * kLeaf, end = begin + kLeaf < a.size ? begin + kLeaf : a.size;
        for (int64_t t = begin; t < end; ++t) turn(s, a.corners + 9 * t, x, y, z);
      }
      store(a.winding + first, s.winding * T(0.25 / M_PI));
      store(a.turns + first, s.turns);
      store(a.real + first, s.real);
      store(a.imaginary + first, s.imaginary);
    }
  }
};

#undef GEOSPEC_INLINE
}  // namespace geospec::mesh_sdf::GEOSPEC_LANES
#undef GEOSPEC_LANES
#undef GEOSPEC_LANES_TARGET
#undef GEOSPEC_LANES_BYTES
