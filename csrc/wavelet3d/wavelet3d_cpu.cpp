// A tile is some planes of the result by some of its rows, and threads share the tiles out. The first axis is filtered
// into a buffer that stays in cache, as far as the tile's rows look; then each plane's second axis and, with rows
// turned into lanes, its third, straight into the result. What lies between the axes is never stored whole, and a tile
// owes nothing to another: results repeat whatever the number of threads.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/aligned.h"
#include "common/pages.h"
#include "wavelet3d/checks.h"
#include "wavelet3d/instruction_sets.h"

namespace geospec {
namespace {

using wavelet::Matrix;
using wavelet::Rows;
using wavelet::Side;

constexpr int64_t kPlanes = 16;       // of a tile
constexpr int64_t kBuffer = 1 << 20;  // bytes between the first axis and the second

int64_t rounded(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// The rows of a matrix in tiles of `length` places, all bands of a place in the same tile.
template <class T>
std::vector<Rows<T>> tiles_of(const Matrix& matrix, int64_t bands, int64_t length) {
  std::vector<Rows<T>> tiles;
  const int64_t size = matrix.rows / bands;
  for (int64_t begin = 0; begin < size; begin += length) {
    std::vector<int32_t> outputs;
    for (int64_t band = 0; band < bands; ++band)
      for (int64_t k = begin; k < std::min(begin + length, size); ++k) outputs.push_back(int32_t(band * size + k));
    tiles.push_back(wavelet::some_rows<T>(matrix, std::move(outputs)));
  }
  return tiles;
}

// How many places of the second axis a tile takes so that its buffer holds at most kBuffer bytes, unless its rows would
// then look mostly at what other tiles look at too.
int64_t tile_length(const Matrix& matrix, int64_t bands, int64_t slot_bytes, int64_t multiple) {
  int64_t taps = 0;
  for (int64_t r = 0; r < matrix.rows; ++r) taps = std::max(taps, matrix.begin[r + 1] - matrix.begin[r]);
  const double slots_a_place = double(matrix.columns) / double(matrix.rows / bands);
  const int64_t slots = std::max(kBuffer / slot_bytes - taps, 2 * taps);
  const int64_t size = matrix.rows / bands, most = std::max<int64_t>(1, int64_t(double(slots) / slots_a_place));
  const int64_t tiles = (size + most - 1) / most;
  return rounded((size + tiles - 1) / tiles, multiple);
}

template <class L, class T>
class Level {
 public:
  Level(const Matrix (&matrices)[3], const Side<const T>& in, const Side<T>& out, bool to_samples)
      : in_(in),
        out_(out),
        depth_(tiles_of<T>(matrices[0], out.bands, std::max<int64_t>(1, kPlanes / out.bands))),
        in_width_(rounded(in.size[2], L::kLanes)),
        out_width_(rounded(out.size[2], L::kLanes)) {
    int64_t planes = 1;
    for (const Rows<T>& rows : depth_) planes = std::max(planes, int64_t(rows.outputs.size()));
    const int64_t slot_bytes = planes * in.bands * in.size[2] * int64_t(sizeof(T));
    height_ = tiles_of<T>(matrices[1], out.bands,
                          tile_length(matrices[1], out.bands, slot_bytes, std::max<int64_t>(1, L::kLanes / out.bands)));
    width_ =
        wavelet::all_rows<T>(matrices[2], to_samples ? 2 : 1, L::kRun, in.size[2], in_width_, out.size[2], out_width_);
  }

  void run(int64_t batch) const {
    const int64_t tasks = batch * int64_t(depth_.size() * height_.size());
    torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
      Room room(*this);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t h = task % int64_t(height_.size()), rest = task / int64_t(height_.size());
        const int64_t d = rest % int64_t(depth_.size()), b = rest / int64_t(depth_.size());
        filter_depth(room, depth_[d], height_[h], b);
        for (int64_t p = 0; p < int64_t(depth_[d].outputs.size()); ++p)
          filter_plane(room, p, depth_[d].outputs[p], height_[h], b);
      }
    });
  }

 private:
  // What a thread works in.
  struct Room {
    int64_t band_stride, row_stride;  // of the buffer's planes and bands; of rows on their way into lanes
    std::vector<const T*> sources;
    Aligned window, buffer, rows, columns, products;

    explicit Room(const Level& level)
        : band_stride(level.band_stride()),
          row_stride(level.in_.bands * level.in_width_ + L::kLanes),
          sources(most(level.depth_, &Rows<T>::sources)),
          window(doubles(int64_t(sources.size()) * L::kBlock)),
          buffer(doubles(most(level.depth_, &Rows<T>::outputs) * level.in_.bands * band_stride + L::kBlock)),
          rows(doubles(L::kLanes * row_stride)),
          columns(doubles(L::kLanes * level.in_.bands * level.in_width_)),
          products(doubles(L::kLanes * level.out_.bands * level.out_width_)) {}

    static int64_t doubles(int64_t count) { return (count * int64_t(sizeof(T)) + 7) / 8; }
  };

  static T* of(const Aligned& memory) { return reinterpret_cast<T*>(memory.get()); }

  static int64_t most(const std::vector<Rows<T>>& tiles, std::vector<int32_t> Rows<T>::* member) {
    size_t count = 1;
    for (const Rows<T>& rows : tiles) count = std::max(count, (rows.*member).size());
    return int64_t(count);
  }

  // Of a power of two all planes would fall on the same lines of a cache.
  int64_t band_stride() const {
    return rounded(most(height_, &Rows<T>::sources) * in_.size[2] + L::kLanes, 512) + L::kLanes;
  }

  void filter_depth(Room& room, const Rows<T>& depth, const Rows<T>& height, int64_t batch) const {
    const int64_t slots = int64_t(height.sources.size()), count = int64_t(depth.sources.size());
    for (int64_t begin = 0, end; begin < slots; begin = end) {
      const int64_t j = height.sources[begin];
      for (end = begin + 1; end < slots && height.sources[end] == j + end - begin; ++end)
        if (height.sources[end] % in_.size[1] == 0) break;  // another band
      for (int64_t band = 0; band < in_.bands; ++band) {
        for (int64_t s = 0; s < count; ++s) room.sources[s] = in_.row(batch, depth.sources[s], j, band);
        T* out = of(room.buffer) + band * room.band_stride + begin * in_.size[2];
        const int64_t width = (end - begin) * in_.size[2];
        for (int64_t x = 0; x < width; x += L::kBlock, out += L::kBlock) {
          const int64_t here = std::min<int64_t>(L::kBlock, width - x);
          L::gather(room.sources.data(), count, here, of(room.window));
          for (int64_t s = 0; s < count; ++s) room.sources[s] += here;
          L::combine(depth.runs.data(), int64_t(depth.runs.size()), depth.index.data(), depth.weight.data(),
                     of(room.window), L::kBlock, here, out, in_.bands * room.band_stride);
        }
      }
    }
  }

  void filter_plane(Room& room, int64_t plane, int64_t i, const Rows<T>& height, int64_t batch) const {
    T *rows = of(room.rows), *columns = of(room.columns), *products = of(room.products);
    for (int64_t first = 0; first < int64_t(height.outputs.size()); first += L::kLanes) {
      const int count = int(std::min<int64_t>(L::kLanes, int64_t(height.outputs.size()) - first));
      for (int64_t band = 0; band < in_.bands; ++band)
        L::combine(height.runs.data() + first, count, height.index.data(), height.weight.data(),
                   of(room.buffer) + (plane * in_.bands + band) * room.band_stride, in_.size[2], in_.size[2],
                   rows + band * in_width_, room.row_stride);
      T* place[2][L::kLanes];
      for (int64_t band = 0; band < out_.bands; ++band)
        for (int r = 0; r < count; ++r) {
          place[band][r] = out_.row(batch, i, height.outputs[first + r], band);
          prefetch_rows<true>(place[band][r], place[band][r] + out_.size[2]);
        }
      L::to_columns(rows, room.row_stride, in_.bands * in_width_, columns);
      L::products(width_.runs.data(), int64_t(width_.runs.size()), width_.index.data(), width_.weight.data(), columns,
                  products);
      for (int64_t band = 0; band < out_.bands; ++band)
        L::to_rows(products + band * out_width_ * L::kLanes, out_.size[2], place[band], count);
    }
  }

  Side<const T> in_;
  Side<T> out_;
  std::vector<Rows<T>> depth_, height_;
  Rows<T> width_;
  int64_t in_width_, out_width_;
};

template <class T>
void filter(const Matrix (&matrices)[3], const Side<const T>& in, const Side<T>& out, bool to_samples, int64_t batch) {
  if (batch == 0) return;
  wavelet::dispatch_lanes<T>(
      [&](auto* lanes) { Level<std::remove_pointer_t<decltype(lanes)>, T>(matrices, in, out, to_samples).run(batch); });
}

std::tuple<Tensor, Tensor> analyze(const Tensor& grid, const Tensor& taps, std::string mode, bool adjoint) {
  const WaveletLevel level = check_grid_level(grid, taps, mode, adjoint);
  const Tensor given = torch::stable::contiguous(grid);
  Tensor coarse = torch::stable::new_empty(given, level.coarse_shape());
  Tensor details = torch::stable::new_empty(given, level.details_shape());
  const Matrix matrices[3] = {to_bands(level.filters, level.n[0]), to_bands(level.filters, level.n[1]),
                              to_bands(level.filters, level.n[2])};
  dispatch_float(given, "grid", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    prefer_large_pages(coarse.mutable_data_ptr(), coarse.numel() * sizeof(T));
    prefer_large_pages(details.mutable_data_ptr(), details.numel() * sizeof(T));
    filter<T>(matrices, level.samples(data<T>(given)), level.coefficients(data<T>(coarse), data<T>(details)), false,
              level.batch);
  });
  return {coarse, details};
}

Tensor synthesize(const Tensor& coarse, const Tensor& details, std::vector<int64_t> shape, const Tensor& taps,
                  std::string mode, bool adjoint) {
  const WaveletLevel level = check_band_level(coarse, details, shape, taps, mode, adjoint);
  const Tensor first = torch::stable::contiguous(coarse), others = torch::stable::contiguous(details);
  Tensor grid = torch::stable::new_empty(first, level.grid_shape());
  const Matrix matrices[3] = {to_samples(level.filters, level.n[0]), to_samples(level.filters, level.n[1]),
                              to_samples(level.filters, level.n[2])};
  dispatch_float(first, "coarse", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    prefer_large_pages(grid.mutable_data_ptr(), grid.numel() * sizeof(T));
    filter<T>(matrices, level.coefficients(data<T>(first), data<T>(others)), level.samples(data<T>(grid)), true,
              level.batch);
  });
  return grid;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("wavelet3d_analyze", TORCH_BOX(&analyze));
  m.impl("wavelet3d_synthesize", TORCH_BOX(&synthesize));
}

}  // namespace geospec
