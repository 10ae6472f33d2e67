// Rows on the CPU: their masks, and the work of isosurface.h, which counts bits and so gains from the instruction for
// it. Included once for every instruction set (so no include guard), with
//   GEOSPEC_SIMD         name of the namespace,
//   GEOSPEC_SIMD_TARGET  the attribute that lets the compiler use it.

#ifdef __GNUC__
#define GEOSPEC_SIMD_ROWS GEOSPEC_SIMD_TARGET __attribute__((flatten))  // all that is called is compiled for the target
#else
#define GEOSPEC_SIMD_ROWS
#endif

namespace geospec::isosurface::GEOSPEC_SIMD {

template <class T>
struct Lanes {
  // Masks of rows [begin, end); whether any of their samples is NaN.
  GEOSPEC_SIMD_ROWS static bool classify(const T* grid, T level, const Size& size, int64_t begin, int64_t end,
                                         uint64_t* bits, uint8_t* kinds) {
    uint64_t unordered = 0;
    const int64_t words = size.words(), whole = size.nx / 64;
    for (int64_t row = begin; row < end; ++row) {
      const T* x = grid + row * size.nx;
      uint64_t any = 0, missing = 0, *out = bits + row * words;
      for (int64_t w = 0; w < whole; ++w) {
        out[w] = below_level(x + 64 * w, level, unordered);
        any |= out[w], missing |= ~out[w];
      }
      if (whole < words) {
        T last[64];
        for (int i = 0; i < 64; ++i) last[i] = 64 * whole + i < size.nx ? x[64 * whole + i] : level;
        out[whole] = below_level(last, level, unordered);
        any |= out[whole], missing |= ~out[whole] & below(size.nx, whole);
      }
      kinds[row] = uint8_t((any ? kInside : 0) | (missing ? kOutside : 0));
    }
    return unordered != 0;
  }

  // Writes the numbers of vertices by axis and of faces one place on, where sums over those before will begin.
  GEOSPEC_SIMD_ROWS static void count(const Masks& masks, int64_t begin, int64_t end, int64_t* vertices,
                                      int64_t* faces) {
    for (int64_t row = begin; row < end; ++row) count_row(masks, kCases, row, vertices + 3 * row + 1, faces[row + 1]);
  }

  // Upper ends of the row's edges along z lie a plane away, where nothing has been read since the masks were made.
  static void ask_ahead(const Masks& masks, const T* grid, const Output<T>& out, int64_t row) {
    if (out.first_vertex[3 * row + 2] == out.first_vertex[3 * row + 3]) return;
    const Size& size = masks.size;
    const RowMask here = row_mask(masks, row), there = row_mask(masks, row + size.ny);
    const T* upper = grid + (row + size.ny) * size.nx;
    for (int64_t w = 0; w < here.words; ++w)
      if (here.at(w) != there.at(w)) prefetch_rows<false>(upper + 64 * w, upper + std::min(size.nx, 64 * (w + 1)));
  }

  GEOSPEC_SIMD_ROWS static void write(const Masks& masks, const T* grid, double level, const Output<T>& out,
                                      int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      if (row + 1 < end) ask_ahead(masks, grid, out, row + 1);
      write_row_vertices(masks, grid, level, out, row);
      write_row_faces(masks, kCases, out, row);
    }
  }
};

}  // namespace geospec::isosurface::GEOSPEC_SIMD
#undef GEOSPEC_SIMD
#undef GEOSPEC_SIMD_TARGET
#undef GEOSPEC_SIMD_ROWS
