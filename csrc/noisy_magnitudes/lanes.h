// A block of normals, its pairs side by side. Included once for every instruction set (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_LANES   doubles in a register,
//   GEOSPEC_SIMD_ROOT    square roots of a register.

namespace geospec::noise::GEOSPEC_SIMD {

struct Lanes {
  static constexpr int kLanes = GEOSPEC_SIMD_LANES;
  typedef double V __attribute__((vector_size(kLanes * sizeof(double)), may_alias));

  GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline void normals(uint64_t seed, uint64_t draw,
                                                                                uint64_t block, double* out) {
    alignas(64) double square[kPairs], cosine[kPairs], sine[kPairs];
    for (int l = 0; l < kPairs; ++l) polar(seed, draw, block * kPairs + l, square[l], cosine[l], sine[l]);
    for (int l = 0; l < kPairs; l += kLanes) {
      V& place = *reinterpret_cast<V*>(square + l);
      place = GEOSPEC_SIMD_ROOT(place);
    }
    for (int l = 0; l < kPairs; ++l) out[l] = square[l] * cosine[l];
    for (int l = 0; l < kPairs; ++l) out[kPairs + l] = square[l] * sine[l];
  }

  // Elements of a block, at most kBlock, of one draw.
  template <Form form, class T>
  GEOSPEC_SIMD_TARGET static void draw(uint64_t seed, uint64_t draw, uint64_t block, const T* clean, int count,
                                       double sigma, T* out) {
    alignas(64) double z[kBlock];
    normals(seed, draw, block, z);
    if (count == kBlock)
      for (int e = 0; e < kBlock; ++e) out[e] = T(noisy<form>(magnitude(double(clean[e])), sigma, z[e]));
    else
      for (int e = 0; e < count; ++e) out[e] = T(noisy<form>(magnitude(double(clean[e])), sigma, z[e]));
  }

  // Sums over `draws` draws, from number `first` on, of the elements of a block; those of `denoised` of one draw lie
  // `stride` after those of the draw before.
  template <Form form, class T>
  GEOSPEC_SIMD_TARGET static void sums(uint64_t seed, uint64_t first, int64_t draws, uint64_t block, const T* clean,
                                       int count, const double* sigma, const T* denoised, int64_t stride,
                                       double* residual, double* level, double* ratio) {
    alignas(64) double z[kBlock], base[kBlock], sums[3][kBlock] = {};
    for (int e = 0; e < kBlock; ++e) base[e] = e < count ? magnitude(double(clean[e])) : 1;
    for (int64_t d = 0; d < draws; ++d) {
      alignas(64) T given[kBlock];
      for (int e = 0; e < kBlock; ++e) given[e] = e < count ? denoised[d * stride + e] : T(0);
      normals(seed, first + d, block, z);
      for (int e = 0; e < kBlock; ++e) {
        Sums own{sums[0][e], sums[1][e], sums[2][e]};
        add<T>(own, noisy<form>(base[e], sigma[d], z[e]), given[e]);
        sums[0][e] = own.residual, sums[1][e] = own.level, sums[2][e] = own.ratio;
      }
    }
    for (int e = 0; e < count; ++e) residual[e] = sums[0][e], level[e] = sums[1][e], ratio[e] = sums[2][e];
  }
};

}  // namespace geospec::noise::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_LANES
#undef GEOSPEC_SIMD_ROOT
