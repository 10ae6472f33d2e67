#include <torch/csrc/stable/library.h>

#include <cmath>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "common/checks.h"
#include "local_triangles/local_triangles.h"

namespace geospec {
namespace {

constexpr int64_t kBlock = 512;       // points a task: about 1 ms
constexpr double kCoincident = 1e-7;  // nearer than this part of the neighbourhood counts as the same place
constexpr double kSpread = 1e-6;      // and is moved by this part of it
constexpr int64_t kSmall = 64;        // neighbours up to which ranks are counted
constexpr int64_t kLanes = 8;         // numbers compared at once
constexpr uint64_t kNone = UINT64_MAX;

// A direction that depends on the index alone, so that coincident points part alike in all neighbourhoods.
Vec3 direction_of(uint64_t index) {
  const auto mixed = [](uint64_t z) {  // the finaliser of splitmix64
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return double((z ^ (z >> 31)) >> 11) * 0x1p-53;
  };
  const double z = 2 * mixed(2 * index + 1) - 1, angle = 6.283185307179586 * mixed(2 * index + 2);
  const double ring = std::sqrt(1 - z * z);
  return {ring * std::cos(angle), ring * std::sin(angle), z};
}

// Positions in double, those moved that have a neighbour at their own place.
template <class T>
std::unique_ptr<Vec3[]> spread(const T* points, const int64_t* neighbours, int64_t n, int64_t k) {
  auto places = std::make_unique_for_overwrite<Vec3[]>(n);
  torch::stable::parallel_for(0, n, kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Vec3 here = load3(points + 3 * i);
      double nearest = INFINITY, farthest = 0;
      for (int64_t j = 0; j < k; ++j) {
        const int64_t other = neighbours[i * k + j];
        if (other == i) continue;
        const Vec3 offset = load3(points + 3 * other) - here;
        nearest = std::min(nearest, dot(offset, offset));
        farthest = std::max(farthest, dot(offset, offset));
      }
      const bool shared = nearest <= kCoincident * kCoincident * farthest;
      places[i] = shared ? here + (kSpread * std::sqrt(farthest)) * direction_of(uint64_t(i)) : here;
    }
  });
  return places;
}

// Appends the triangles of the star of point i: each as its two higher corners in 64 bits, under its lowest corner.
struct Found {
  uint32_t lowest;
  uint64_t others;
};

struct Scratch {
  std::vector<Vec3> offsets;
  std::vector<int64_t> index;
  std::vector<PlanePoint> plane, sorted;

  explicit Scratch(int64_t k) : offsets(k), index(k), plane(k), sorted(k) {}
};

// Sorts plane into sorted by angle: each goes to its rank, the number of smaller ones, for a sort whose branches are
// guessed wrong costs more than all comparisons do. Angles are taken to 2.4e-7, nearer ones count as one direction.
void sort_by_angle(Scratch& s, int64_t size) {
  const auto angle = [&](int64_t j) { return int32_t(turn_of(s.plane[j].x, s.plane[j].y) * 0x1p22); };
  if (size > kSmall) {
    std::vector<std::pair<int32_t, int64_t>> order(size);
    for (int64_t j = 0; j < size; ++j) order[j] = {angle(j), j};
    std::sort(order.begin(), order.end());
    for (int64_t j = 0; j < size; ++j) s.sorted[j] = s.plane[order[j].second];
    return;
  }
  int32_t keys[kSmall];
  const int64_t lanes = (size + kLanes - 1) / kLanes * kLanes;
  for (int64_t j = 0; j < size; ++j) keys[j] = angle(j) * int32_t(kSmall) + int32_t(j);  // all different
  std::fill(keys + size, keys + lanes, INT32_MAX);
  for (int64_t j = 0; j < size; ++j) {
    int32_t rank = 0;
    for (int64_t block = 0; block < lanes; block += kLanes)
      for (int64_t e = 0; e < kLanes; ++e) rank += keys[block + e] < keys[j];
    s.sorted[rank] = s.plane[j];
  }
}

void append_star(const Vec3* places, const int64_t* neighbours, int64_t i, int64_t k, Scratch& s,
                 std::vector<Found>& found) {
  int64_t others = 0;
  for (int64_t j = 0; j < k; ++j) {
    s.index[others] = neighbours[j];
    s.offsets[others] = places[neighbours[j]] - places[i];
    others += neighbours[j] != i;
  }
  Vec3 first, second;
  tangent_axes(s.offsets.data(), others, first, second);
  int64_t size = 0;
  for (int64_t j = 0; j < others; ++j) {
    const double x = dot(first, s.offsets[j]), y = dot(second, s.offsets[j]), square = x * x + y * y;
    s.plane[size] = {x, y, square, s.index[j]};
    size += square > 0;
  }
  turn_over(s.plane.data(), size);
  sort_by_angle(s, size);
  bool closed = false;
  size = delaunay_star(s.sorted.data(), size, i, &closed);
  for (int64_t j = 0; j + 1 < size + closed; ++j) {
    const PlanePoint &a = s.sorted[j], &b = s.sorted[j + 1 < size ? j + 1 : 0];
    if (!is_left(a, b)) continue;
    const int64_t low = std::min({i, a.index, b.index}), high = std::max({i, a.index, b.index});
    const int64_t middle = i + a.index + b.index - low - high;
    found.push_back({uint32_t(low), uint64_t(middle) << 32 | uint64_t(high)});
  }
}

// Counting sort by lowest corner, then each bucket by the others: equal triangles end side by side.
std::tuple<Tensor, Tensor> merge(const std::vector<std::vector<Found>>& parts, const Tensor& like, int64_t n) {
  std::vector<uint64_t> start(n + 1, 0);
  for (const auto& part : parts)
    for (const Found& t : part) ++start[t.lowest + 1];
  for (int64_t i = 0; i < n; ++i) start[i + 1] += start[i];
  const auto sorted = std::make_unique_for_overwrite<uint64_t[]>(start[n]);
  std::vector<uint64_t> next(start.begin(), start.end() - 1);
  for (const auto& part : parts)
    for (const Found& t : part) sorted[next[t.lowest]++] = t.others;
  std::vector<int64_t> distinct(n + 1, 0);
  torch::stable::parallel_for(0, n, kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::sort(sorted.get() + start[i], sorted.get() + start[i + 1]);
      uint64_t previous = kNone;
      for (uint64_t e = start[i]; e < start[i + 1]; previous = sorted[e++]) distinct[i + 1] += sorted[e] != previous;
    }
  });
  for (int64_t i = 0; i < n; ++i) distinct[i + 1] += distinct[i];
  Tensor triangles = torch::stable::new_empty(like, {distinct[n], 3}), multiplicity = new_index(like, distinct[n]);
  int64_t *corner = data<int64_t>(triangles), *count = data<int64_t>(multiplicity);
  torch::stable::parallel_for(0, n, kBlock, [&, corner, count](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t t = distinct[i] - 1;
      uint64_t previous = kNone;
      for (uint64_t e = start[i]; e < start[i + 1]; previous = sorted[e++]) {
        if (sorted[e] == previous) {
          ++count[t];
          continue;
        }
        count[++t] = 1;
        corner[3 * t] = i;
        corner[3 * t + 1] = int64_t(sorted[e] >> 32);
        corner[3 * t + 2] = int64_t(uint32_t(sorted[e]));
      }
    }
  });
  return {triangles, multiplicity};
}

std::tuple<Tensor, Tensor> local_triangles(const Tensor& points_in, const Tensor& neighbours_in) {
  check_matrix(points_in, "points", 3);
  check_matrix(neighbours_in, "neighbours", -1);
  check_index(neighbours_in, "neighbours");
  const int64_t n = points_in.size(0), k = neighbours_in.size(1);
  STD_TORCH_CHECK(neighbours_in.size(0) == n, "neighbours: wanted one row per point, ", n, ", got ",
                  neighbours_in.size(0));
  STD_TORCH_CHECK(n < int64_t(UINT32_MAX), "points: wanted fewer than ", UINT32_MAX, ", got ", n);
  const Tensor points = torch::stable::contiguous(points_in), neighbours = torch::stable::contiguous(neighbours_in);
  const int64_t* index = data<int64_t>(neighbours);
  for (int64_t i = 0; i < n * k; ++i)
    STD_TORCH_CHECK(index[i] >= 0 && index[i] < n, "neighbours: wanted indices in [0, ", n, "), got ", index[i],
                    " of point ", i / k);
  const auto places = dispatch_float(points, "points", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* p = data<T>(points);
    for (int64_t i = 0; i < 3 * n; ++i)
      STD_TORCH_CHECK(std::isfinite(p[i]), "points: wanted finite coordinates, got ", double(p[i]), " in point ",
                      i / 3);
    return spread<T>(p, index, n, k);
  });
  std::vector<std::vector<Found>> parts((n + kBlock - 1) / kBlock);
  torch::stable::parallel_for(0, int64_t(parts.size()), 1, [&](int64_t begin, int64_t end) {
    Scratch scratch(k);
    for (int64_t block = begin; block < end; ++block) {
      parts[block].reserve(8 * kBlock);
      for (int64_t i = block * kBlock; i < std::min(n, (block + 1) * kBlock); ++i)
        append_star(places.get(), index + i * k, i, k, scratch, parts[block]);
    }
  });
  return merge(parts, neighbours, n);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("local_triangles", TORCH_BOX(&local_triangles)); }

}  // namespace geospec
