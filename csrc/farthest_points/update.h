// The loop over one bucket of points, that wants wide registers. Included once for every instruction set (so no
// include guard), with GEOSPEC_UPDATE (namespace), GEOSPEC_UPDATE_TARGET (attribute) and GEOSPEC_UPDATE_LANES (doubles
// of one register).

namespace geospec::farthest::GEOSPEC_UPDATE {

// Lowers the squared distance of each point of a bucket to its nearest chosen one; returns the greatest of them.
// `block` is (d, kBucket); NaN coordinates change nothing. Distances are those of neighbours::squared_distance.
template <class T, int D>
struct Update {
  static constexpr int kDimensions = D;
  GEOSPEC_UPDATE_TARGET static double bucket(const T* block, int64_t d_in, const double* chosen, double* nearest) {
    constexpr int kLanes = GEOSPEC_UPDATE_LANES;
    typedef T V __attribute__((vector_size(kLanes * sizeof(T)), aligned(alignof(T)), may_alias));
    typedef double W __attribute__((vector_size(kLanes * sizeof(double))));
    typedef double U __attribute__((vector_size(kLanes * sizeof(double)), aligned(alignof(double)), may_alias));
    const int64_t d = D > 0 ? D : d_in;
    W most = W{} - 1.0;
    for (int h = 0; h < kBucket; h += kLanes) {
      W sum = {};
#pragma GCC unroll 4
      for (int64_t k = 0; k < d; ++k) {
        const W x = __builtin_convertvector(*reinterpret_cast<const V*>(block + k * kBucket + h), W) - chosen[k];
        W square = x * x;
#ifdef GEOSPEC_WIDE_X86
        asm("" : "+v"(square));  // see neighbours::rounded
#else
        for (int l = 0; l < kLanes; ++l) square[l] = neighbours::rounded(double(square[l]));
#endif
        sum += square;
      }
      const W before = *reinterpret_cast<const U*>(nearest + h);
      const W after = sum < before ? sum : before;
      *reinterpret_cast<U*>(nearest + h) = after;
      most = after > most ? after : most;
    }
    double greatest = most[0];
    for (int l = 1; l < kLanes; ++l) greatest = most[l] > greatest ? most[l] : greatest;
    return greatest;
  }
};

}  // namespace geospec::farthest::GEOSPEC_UPDATE
#undef GEOSPEC_UPDATE
#undef GEOSPEC_UPDATE_TARGET
#undef GEOSPEC_UPDATE_LANES
