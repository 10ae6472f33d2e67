// The loops of the transform in wide registers. Included once for every instruction set (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it,
//   GEOSPEC_SIMD_BYTES   bytes of a register.
// Only loops over plain memory stand here: a function of the standard library instantiated under a wider
// target could be picked by the linker for a machine that lacks it.

namespace geospec::wavelet::GEOSPEC_SIMD {

#define GEOSPEC_INLINE GEOSPEC_SIMD_TARGET __attribute__((always_inline)) static inline

template <class T>
struct Lanes {
  static constexpr int kLanes = GEOSPEC_SIMD_BYTES / sizeof(T);
  static constexpr int kBlock = 8 * kLanes;  // values of a row that are summed side by side
  static constexpr int kRun = 8;             // rows of a run
  typedef T V __attribute__((vector_size(GEOSPEC_SIMD_BYTES), may_alias));
  typedef T U __attribute__((vector_size(GEOSPEC_SIMD_BYTES), aligned(sizeof(T)), may_alias));  // anywhere in memory

  template <int wide>
  GEOSPEC_INLINE void combine(const int32_t* index, const T* weight, int32_t taps, const T* window, int64_t stride,
                              T* out) {
    V sum[wide] = {};
    for (int32_t t = 0; t < taps; ++t) {
      const U* row = reinterpret_cast<const U*>(window + index[t] * stride);
      const T w = weight[t];
#pragma GCC unroll 8
      for (int v = 0; v < wide; ++v) sum[v] += w * row[v];
    }
#pragma GCC unroll 8
    for (int v = 0; v < wide; ++v) reinterpret_cast<U*>(out)[v] = sum[v];
  }

  // For each run of one row: out[row * out_stride + x] = sum_t weight_t window[index_t * stride + x], x up to a
  // multiple of registers that holds `width`.
  GEOSPEC_SIMD_TARGET static void combine(const Run* runs, int64_t count, const int32_t* index, const T* weight,
                                          const T* window, int64_t stride, int64_t width, T* out, int64_t out_stride) {
    int64_t x = 0;
    for (int64_t left; (left = (width - x + kLanes - 1) / kLanes) > 0;) {
      const int wide = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
      for (int64_t r = 0; r < count; ++r) {
        const int32_t* i = index + runs[r].begin;
        const T* w = weight + runs[r].begin;
        T* place = out + r * out_stride + x;
        if (wide == 8) combine<8>(i, w, runs[r].taps, window + x, stride, place);
        if (wide == 4) combine<4>(i, w, runs[r].taps, window + x, stride, place);
        if (wide == 2) combine<2>(i, w, runs[r].taps, window + x, stride, place);
        if (wide == 1) combine<1>(i, w, runs[r].taps, window + x, stride, place);
      }
      x += wide * kLanes;
    }
  }

  // window[s * kBlock + x] = sources[s][x].
  GEOSPEC_SIMD_TARGET static void gather(const T* const* sources, int64_t count, int64_t width, T* window) {
    for (int64_t s = 0; s < count; ++s) {
      V* place = reinterpret_cast<V*>(window + s * kBlock);
      if (width == kBlock) {
        const U* source = reinterpret_cast<const U*>(sources[s]);
#pragma GCC unroll 8
        for (int v = 0; v < 8; ++v) place[v] = source[v];
#pragma GCC unroll 8
        for (int v = 0; v < 8; ++v) __builtin_prefetch(source + 8 + v);
        continue;
      }
      for (int64_t x = 0; x < width; ++x) window[s * kBlock + x] = sources[s][x];
    }
  }

  // columns[x] holds place x of kLanes rows, one in each lane; `width` is a multiple of kLanes.
  GEOSPEC_SIMD_TARGET static void to_columns(const T* rows, int64_t stride, int64_t width, T* columns) {
    for (int64_t x = 0; x < width; x += kLanes) {
      V block[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) block[r] = *reinterpret_cast<const U*>(rows + r * stride + x);
      transpose(block);
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) reinterpret_cast<V*>(columns)[x + r] = block[r];
    }
  }

  // rows[r][0..width) for the first `count` rows, from columns.
  GEOSPEC_SIMD_TARGET static void to_rows(const T* columns, int64_t width, T* const* rows, int count) {
    for (int64_t x = 0; x < width; x += kLanes) {
      V block[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) block[r] = reinterpret_cast<const V*>(columns)[x + r];
      transpose(block);
      const int64_t here = width - x < kLanes ? width - x : kLanes;
      if (here == kLanes && count == kLanes) {
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) *reinterpret_cast<U*>(rows[r] + x) = block[r];
        continue;
      }
      for (int r = 0; r < count; ++r)
        for (int64_t l = 0; l < here; ++l) rows[r][x + l] = reinterpret_cast<const T*>(block + r)[l];
    }
  }

  // out[run] = sum_t weight_t columns[index_t], of all lanes.
  GEOSPEC_SIMD_TARGET static void products(const Run* runs, int64_t count, const int32_t* index, const T* weight,
                                           const T* columns, T* out) {
    for (int64_t r = 0; r < count; ++r) {
      const Run& run = runs[r];
      if (run.count == kRun)
        product<kRun>(run, index + run.begin, weight + run.begin, columns, out);
      else
        product<1>(run, index + run.begin, weight + run.begin, columns, out);
    }
  }

 private:
  template <int rows>
  GEOSPEC_INLINE void product(const Run& run, const int32_t* index, const T* weight, const T* columns, T* out) {
    V sum[rows] = {};
    for (int32_t t = 0; t < run.taps; ++t) {
      const V* column = reinterpret_cast<const V*>(columns) + index[t];
      const T w = weight[t];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sum[r] += w * column[r * run.shift];
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) reinterpret_cast<V*>(out)[run.out + r * run.out_step] = sum[r];
  }

  // Swaps the off-diagonal blocks of size `step` of two rows that lie `step` apart.
  template <int step, int64_t... lane>
  GEOSPEC_INLINE void exchange(V& a, V& b, std::integer_sequence<int64_t, lane...>) {
    const V low = __builtin_shufflevector(a, b, (lane & step ? kLanes + lane - step : lane)...);
    b = __builtin_shufflevector(a, b, (lane & step ? kLanes + lane : lane + step)...);
    a = low;
  }

  template <int step = kLanes / 2>
  GEOSPEC_INLINE void transpose(V (&block)[kLanes]) {
    if constexpr (step > 0) {
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r)
        if (!(r & step)) exchange<step>(block[r], block[r + step], std::make_integer_sequence<int64_t, kLanes>());
      transpose<step / 2>(block);
    }
  }
};

#undef GEOSPEC_INLINE

}  // namespace geospec::wavelet::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_BYTES
