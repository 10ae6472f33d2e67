// Points are taken in the order of the cells of the grid, so that nodes come from the nearest caches: a chunk at a time
// where points are written to, a slice at a time where nodes are. Nodes are shared out by bands of rows; every other
// band goes first, so that no two threads add to a row, and sums come in the same order whatever the number of threads.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include "common/aligned.h"
#include "common/pages.h"
#include "sphere_interpolation/checks.h"
#include "sphere_interpolation/instruction_sets.h"

namespace geospec {
namespace {

constexpr int64_t kChunk = 1 << 16, kSlice = 1 << 22, kBlock = 64;
constexpr int64_t kAhead = 4;    // points between the one that is summed and the one whose row is asked for
constexpr int64_t kGroup = 128;  // points of a cell whose sums are added up in their own type

// A point, and the first node around it.
template <class T>
struct Place {
  int32_t cell, point;  // row times columns plus column; from the first point of the chunk
  T within[2];
};

// Places of points `first` to `first + count`.
template <class L, class T>
void find_places(const SphereInputs& in, int64_t first, int64_t count, bool normalize, FirstUnusable& unusable,
                 Place<T>* out) {
  alignas(64) double x[kBlock], y[kBlock], z[kBlock], across[kBlock], south[kBlock], east[kBlock];
  const double steps = double(in.half) / sphere::kPi;
  const T* xyz = data<T>(in.xyz) + 3 * first;
  for (int64_t start = 0; start < count; start += kBlock) {
    const int64_t block = std::min(kBlock, count - start);
    for (int64_t i = 0; i < kBlock; ++i) {
      const T north[3] = {0, 0, 1};
      bool usable;
      const harmonics::Direction u = harmonics::direction(i < block ? xyz + 3 * (start + i) : north, normalize, usable);
      if (!usable) unusable.note(first + start + i);
      across[i] = sphere::from_axis(u.x, u.y);
      x[i] = across[i] > 0 ? u.x : 0, y[i] = across[i] > 0 ? u.y : 0, z[i] = u.z;
      if (!usable) x[i] = y[i] = across[i] = 0, z[i] = 1;
    }
    L::angles(z, across, kBlock, south);
    L::angles(x, y, kBlock, east);
    for (int64_t i = 0; i < block; ++i) {
      double within[2];
      const int64_t row = sphere::first_node(south[i] * steps, in.half, within[0]);
      const int64_t column = sphere::first_node((east[i] + sphere::kPi) * steps, 2 * in.half, within[1]);
      out[start + i] = {int32_t(row * in.columns + column), int32_t(start + i), {T(within[0]), T(within[1])}};
    }
  }
}

// Places by cell, those of a cell in the order of the points, and where each cell's begin.
template <class T>
struct Sorted {
  std::unique_ptr<Place<T>[]> places;
  std::vector<int64_t> begin;

  Sorted(const SphereInputs& in, const Place<T>* found, int64_t count)
      : places(new Place<T>[count]), begin((in.half + 1) * in.columns + 1) {
    for (int64_t i = 0; i < count; ++i) ++begin[found[i].cell + 1];
    for (size_t c = 1; c < begin.size(); ++c) begin[c] += begin[c - 1];
    std::vector<int64_t> next(begin.begin(), begin.end() - 1);
    for (int64_t i = 0; i < count; ++i) places[next[found[i].cell]++] = found[i];
  }
};

// The pieces (width, terms) as the lanes want them: the nodes of a term side by side.
template <class L, class T>
Aligned laid_out(const SphereInputs& in) {
  Aligned made(in.terms * L::kPadded);
  T* out = reinterpret_cast<T*>(made.get());
  for (int64_t i = 0; i < in.terms; ++i)
    for (int64_t a = 0; a < L::kPadded; ++a) *out++ = a < L::kNodes ? data<T>(in.pieces)[a * in.terms + i] : T(0);
  return made;
}

// Calls f with types that stand for the element and the instruction set.
template <class F>
void dispatch(const SphereInputs& in, const F& f) {
  dispatch_float(in.xyz, "xyz", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    sphere::dispatch_bump_lanes<T>([&](auto* lanes) { f(type, lanes); });
  });
}

// Calls take(point, sums (channels)) for every point with what the grid is there, `out(point)` being room for it.
template <class L, class T, class Room, class Ask, class Take>
void interpolate(const SphereInputs& in, const Tensor& grid, bool normalize, const Room& room, const Ask& ask,
                 const Take& take) {
  const int64_t channels = grid.size(2), row = in.columns * channels;
  const Aligned pieces = laid_out<L, T>(in);
  const T* nodes = data<T>(grid);
  FirstUnusable unusable;
  torch::stable::parallel_for(0, (in.n + kChunk - 1) / kChunk, 1, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<Place<T>[]> found(new Place<T>[std::min(kChunk, in.n)]);
    const Aligned weights(L::kNodes * L::kPadded);
    auto made = room();
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * kChunk, count = std::min(kChunk, in.n - first);
      find_places<L>(in, first, count, normalize, unusable, found.get());
      const Sorted<T> sorted(in, found.get(), count);
      for (int64_t i = 0; i < count; ++i) {
        const Place<T>& place = sorted.places[i];
        ask(first + sorted.places[std::min(i + kAhead, count - 1)].point);
        L::weights(reinterpret_cast<const typename L::V*>(pieces.get()), in.terms, place.within,
                   reinterpret_cast<typename L::V*>(weights.get()));
        T* out = made(first + place.point);
        L::interpolate(nodes + place.cell * channels, row, channels, reinterpret_cast<const T*>(weights.get()), out);
        take(first + place.point, out);
      }
    }
  });
  unusable.raise(data<T>(in.xyz), normalize);
}

Tensor sphere_interpolate(const Tensor& xyz, const Tensor& grid, const Tensor& pieces, bool normalize) {
  const SphereInputs in = check_grid(xyz, pieces, grid, "grid");
  const Tensor given = torch::stable::contiguous(grid);
  const int64_t h = grid.size(2);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, h});
  dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    T* rows = data<T>(out);
    prefer_large_pages(rows, in.n * h * sizeof(T));
    const auto room = [&] { return [&](int64_t point) { return rows + point * h; }; };
    interpolate<L, T>(
        in, given, normalize, room,
        [&](int64_t point) { prefetch_rows<true>(rows + point * h, rows + (point + 1) * h); },
        [](int64_t, const T*) {});
  });
  return out;
}

Tensor sphere_interpolate_xyz(const Tensor& grad, const Tensor& xyz, const Tensor& slopes, const Tensor& pieces,
                              bool normalize) {
  const SphereInputs in = check_grid(xyz, pieces, slopes, "slopes");
  const Tensor given = torch::stable::contiguous(slopes);
  STD_TORCH_CHECK(slopes.size(2) % 2 == 0, "slopes: wanted channels of slopes south, then as many of slopes east, got ",
                  describe(slopes));
  const int64_t h = slopes.size(2) / 2;
  const Tensor above = check_point_rows(grad, in, h);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, 3});
  dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const T *grads = data<T>(above), *points = data<T>(in.xyz);
    T* moved = data<T>(out);
    const auto room = [&] { return [sums = std::vector<T>(2 * h)](int64_t) mutable { return sums.data(); }; };
    const auto ask = [&](int64_t point) { prefetch_rows<false>(grads + point * h, grads + (point + 1) * h); };
    interpolate<L, T>(in, given, normalize, room, ask, [&](int64_t point, const T* slope) {
      const T* g = grads + point * h;
      const double south = L::dot(g, slope, h), east = L::dot(g, slope + h, h);
      double motion[3];
      bool usable;
      const harmonics::Direction u = harmonics::direction(points + 3 * point, normalize, usable);
      sphere::from_slopes(u.x, u.y, u.z, sphere::from_axis(u.x, u.y), south, east, motion);
      for (int i = 0; i < 3; ++i) moved[3 * point + i] = T(motion[i] * u.inverse_length);
    });
  });
  return out;
}

// Adds rows of grad to the nodes (rows, columns, h) around the points of one band of rows.
template <class L, class T>
void spread_band(const SphereInputs& in, const Sorted<T>& sorted, const T* grad, int64_t h, const Aligned& pieces,
                 int64_t band, double* nodes) {
  const int64_t cells = int64_t(sorted.begin.size()) - 1, first = band * L::kNodes * in.columns;
  const int64_t last = std::min(first + L::kNodes * in.columns, cells);
  const Aligned weights(kGroup * L::kNodes * L::kPadded);
  const T* grads[kGroup];
  for (int64_t cell = first; cell < last; ++cell)
    for (int64_t from = sorted.begin[cell]; from < sorted.begin[cell + 1]; from += kGroup) {
      const int64_t count = std::min(kGroup, sorted.begin[cell + 1] - from);
      for (int64_t i = 0; i < count; ++i) {
        const Place<T>& place = sorted.places[from + i];
        grads[i] = grad + place.point * h;
        prefetch_rows<false>(grads[i], grads[i] + h);
        L::weights(reinterpret_cast<const typename L::V*>(pieces.get()), in.terms, place.within,
                   reinterpret_cast<typename L::V*>(weights.get()) + i * L::kNodes * L::kRegisters);
      }
      L::spread(grads, reinterpret_cast<const T*>(weights.get()), count, in.columns * h, h, nodes + cell * h);
    }
}

Tensor sphere_spread(const Tensor& grad, const Tensor& xyz, const Tensor& pieces, int64_t half, bool normalize) {
  const SphereInputs in = check_sphere(xyz, pieces, half);
  const Tensor above = check_point_rows(grad, in, -1);
  const int64_t h = above.size(1);
  Tensor out = torch::stable::new_zeros(in.xyz, {in.rows, in.columns, h}, ScalarType::Double);
  dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const Aligned pieces_ = laid_out<L, T>(in);
    FirstUnusable unusable;
    const std::unique_ptr<Place<T>[]> found(new Place<T>[std::min(kSlice, in.n)]);
    for (int64_t first = 0; first < in.n; first += kSlice) {
      const int64_t count = std::min(kSlice, in.n - first), bands = in.half / L::kNodes + 1;
      torch::stable::parallel_for(0, (count + kChunk - 1) / kChunk, 1, [&](int64_t begin, int64_t end) {
        for (int64_t from = begin * kChunk; from < std::min(end * kChunk, count); from += kChunk) {
          find_places<L>(in, first + from, std::min(kChunk, count - from), normalize, unusable, found.get() + from);
          for (int64_t i = from; i < std::min(from + kChunk, count); ++i) found[i].point += int32_t(from);
        }
      });
      unusable.raise(data<T>(in.xyz), normalize);
      const Sorted<T> sorted(in, found.get(), count);
      for (int64_t turn = 0; turn < 2; ++turn)
        torch::stable::parallel_for(0, (bands + 1 - turn) / 2, 1, [&](int64_t begin, int64_t end) {
          for (int64_t b = begin; b < end; ++b)
            spread_band<L>(in, sorted, data<T>(above) + first * h, h, pieces_, 2 * b + turn, data<double>(out));
        });
    }
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("sphere_interpolate", TORCH_BOX(&sphere_interpolate));
  m.impl("sphere_interpolate_xyz", TORCH_BOX(&sphere_interpolate_xyz));
  m.impl("sphere_spread", TORCH_BOX(&sphere_spread));
}

}  // namespace geospec
