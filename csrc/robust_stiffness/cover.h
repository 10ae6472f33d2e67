// From faces to glued half-edges: one sheet where the faces form an oriented surface, the tufted cover where they do
// not.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "cotangent/cotangent.h"
#include "robust_stiffness/robust_stiffness.h"

namespace geospec {

constexpr int64_t kBlock = 2048;  // items whose sums are taken together: fixed, so that threads do not change a bit

inline int64_t count_blocks(int64_t n) { return (n + kBlock - 1) / kBlock; }

// Calls work(block, begin, end) for each block of kBlock items, in parallel.
template <class F>
void parallel_blocks(int64_t n, const F& work) {
  torch::stable::parallel_for(0, count_blocks(n), 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) work(block, block * kBlock, std::min(n, (block + 1) * kBlock));
  });
}

// Arrays of a surface's half-edges, three a triangle.
struct Surface {
  int64_t n_faces = 0;
  std::unique_ptr<uint32_t[]> origin, twin;
  std::unique_ptr<double[]> length, cotangent;

  explicit Surface(int64_t faces)
      : n_faces(faces),
        origin(std::make_unique_for_overwrite<uint32_t[]>(3 * faces)),
        twin(std::make_unique_for_overwrite<uint32_t[]>(3 * faces)),
        length(std::make_unique_for_overwrite<double[]>(3 * faces)),
        cotangent(std::make_unique_for_overwrite<double[]>(3 * faces)) {}

  IntrinsicView view() { return {origin.get(), twin.get(), length.get(), cotangent.get()}; }
};

// The half-edges of all faces, those of one edge side by side.
struct Edges {
  std::vector<uint32_t> start;        // of each bucket: one a layer and lower end
  std::unique_ptr<uint64_t[]> entry;  // higher end, half-edge: 32 bits each, ascending within a bucket

  static uint32_t half_edge(uint64_t entry) { return uint32_t(entry); }
  static uint32_t higher_end(uint64_t entry) { return uint32_t(entry >> 32); }

  // Calls visit(entries, how many) for each edge of the buckets [begin, end).
  template <class F>
  void visit(int64_t begin, int64_t end, const F& visit_edge) const {
    for (uint32_t e = start[begin]; e < start[end];) {
      uint32_t stop = e + 1;
      const uint32_t high = higher_end(entry[e]);
      // Buckets follow each other, so an edge ends where its higher end or its bucket does.
      while (begin < end && start[begin + 1] <= e) ++begin;
      while (stop < start[begin + 1] && higher_end(entry[stop]) == high) ++stop;
      visit_edge(entry.get() + e, stop - e);
      e = stop;
    }
  }
};

// A face of multiplicity m lies in the first m layers; layers[l] faces lie in layer l, in the order of the faces.
struct Layers {
  std::vector<int64_t> start{0};  // of each layer among the expanded faces

  int64_t n_faces() const { return start.back(); }
};

// Counting sort of the half-edges by layer and lower end, then each bucket by higher end and half-edge.
inline Edges sort_edges(const Surface& sheet, const Layers& layers, int64_t n) {
  constexpr int64_t kAhead = 24;
  const uint32_t* origin = sheet.origin.get();
  const int64_t n_layers = int64_t(layers.start.size()) - 1, n_buckets = n_layers * n;
  Edges edges{std::vector<uint32_t>(n_buckets + 1, 0), std::make_unique_for_overwrite<uint64_t[]>(3 * sheet.n_faces)};
  for (int64_t l = 0; l < n_layers; ++l)
    for (int64_t t = layers.start[l]; t < layers.start[l + 1]; ++t)
      for (int64_t c = 0; c < 3; ++c) {
        const uint32_t a = origin[3 * t + c], b = origin[3 * t + (c + 1) % 3];
        ++edges.start[l * n + std::min(a, b) + 1];
      }
  for (int64_t i = 0; i < n_buckets; ++i) edges.start[i + 1] += edges.start[i];
  std::vector<uint32_t> next(edges.start.begin(), edges.start.end() - 1);
  for (int64_t l = 0; l < n_layers; ++l)
    for (int64_t t = layers.start[l]; t < layers.start[l + 1]; ++t) {
      if (t + kAhead < layers.start[l + 1])
        for (int64_t c = 0; c < 3; ++c) prefetch(&next[l * n + origin[3 * (t + kAhead) + c]]);
      for (int64_t c = 0; c < 3; ++c) {
        const uint32_t a = origin[3 * t + c], b = origin[3 * t + (c + 1) % 3];
        edges.entry[next[l * n + std::min(a, b)]++] = uint64_t(std::max(a, b)) << 32 | uint64_t(3 * t + c);
      }
    }
  parallel_blocks(n_buckets, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::sort(edges.entry.get() + edges.start[i], edges.entry.get() + edges.start[i + 1]);
  });
  return edges;
}

struct EdgeCensus {
  double mean_length = 0;
  bool oriented = true;  // at most two faces an edge, which run along it in opposite directions
};

// Lengths of all edges into the sheet, and its twins as far as the faces form an oriented surface.
template <class T>
EdgeCensus measure_edges(const T* vertices, const Edges& edges, Surface& sheet) {
  const int64_t n_buckets = int64_t(edges.start.size()) - 1, n_blocks = count_blocks(n_buckets);
  std::vector<double> sums(n_blocks, 0.0);
  std::vector<int64_t> counts(n_blocks, 0);
  std::vector<char> oriented(n_blocks, 1);
  const uint32_t* origin = sheet.origin.get();
  parallel_blocks(n_buckets, [&](int64_t block, int64_t begin, int64_t end) {
    edges.visit(begin, end, [&](const uint64_t* entry, uint32_t degree) {
      const uint32_t h = Edges::half_edge(entry[0]), tip = origin[next_in_face(h)];
      const Vec3 along = load3(vertices + 3 * int64_t(tip)) - load3(vertices + 3 * int64_t(origin[h]));
      const double length = std::sqrt(dot(along, along));
      sums[block] += length;
      ++counts[block];
      for (uint32_t i = 0; i < degree; ++i) sheet.length[Edges::half_edge(entry[i])] = length;
      if (degree == 1) {
        sheet.twin[h] = kNoTwin;
        oriented[block] &= origin[h] != tip;
      } else if (degree == 2) {
        const uint32_t g = Edges::half_edge(entry[1]);
        sheet.twin[h] = g;
        sheet.twin[g] = h;
        oriented[block] &= origin[h] != origin[g];
      } else {
        oriented[block] = 0;
      }
    });
  });
  EdgeCensus census;
  double sum = 0;
  int64_t count = 0;
  for (int64_t b = 0; b < n_blocks; ++b) {
    sum += sums[b];
    count += counts[b];
    census.oriented = census.oriented && oriented[b];
  }
  census.mean_length = count ? sum / double(count) : 0.0;
  return census;
}

// The back of triangle t is t + n_faces, with its corners in the order 0, 2, 1: half-edge c lies behind 2 - c.
inline uint32_t behind(uint32_t h, int64_t n_faces) {
  const uint32_t c = h % 3;
  return uint32_t(h - c + 3 * n_faces + 2 - c);
}

// Both sides of each triangle, not glued yet. Cotangents are copied, so they must be there.
inline Surface doubled(const Surface& sheet) {
  const int64_t f = sheet.n_faces;
  Surface cover(2 * f);
  torch::stable::parallel_for(0, f, kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t front = 3 * t + c, back = 3 * (t + f) + 2 - c;
        cover.origin[front] = sheet.origin[front];
        cover.origin[back] = sheet.origin[3 * t + (c + 1) % 3];
        cover.length[front] = cover.length[back] = sheet.length[front];
        cover.cotangent[front] = cover.cotangent[back] = sheet.cotangent[front];
      }
  });
  return cover;
}

// The double of an oriented sheet: backs glued as the fronts are, and to them along the boundary.
inline Surface double_of(const Surface& sheet) {
  const int64_t f = sheet.n_faces;
  Surface cover = doubled(sheet);
  torch::stable::parallel_for(0, 3 * f, kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) {
      const uint32_t twin = sheet.twin[h], back = behind(uint32_t(h), f);
      cover.twin[h] = twin == kNoTwin ? back : twin;
      cover.twin[back] = twin == kNoTwin ? uint32_t(h) : behind(twin, f);
    }
  });
  return cover;
}

// Angle of each face of an edge around it, seen along the edge from its lower end.
template <class T>
void sort_around(const T* vertices, const Surface& sheet, std::vector<std::pair<double, uint32_t>>& faces) {
  const uint32_t* origin = sheet.origin.get();
  const uint32_t first = faces[0].second, a = origin[first], b = origin[next_in_face(first)];
  const Vec3 tail = load3(vertices + 3 * int64_t(std::min(a, b)));
  const Vec3 axis = load3(vertices + 3 * int64_t(std::max(a, b))) - tail;
  const double x = std::fabs(axis.x), y = std::fabs(axis.y), z = std::fabs(axis.z);
  const Vec3 least = x <= y && x <= z ? Vec3{1, 0, 0} : (y <= z ? Vec3{0, 1, 0} : Vec3{0, 0, 1});
  Vec3 right = cross(axis, least);
  const double norm = std::sqrt(dot(axis, axis));
  const Vec3 up = norm > 0 ? (1 / norm) * cross(axis, right) : Vec3{0, 0, 0};
  for (auto& [angle, h] : faces) {
    const Vec3 out = load3(vertices + 3 * int64_t(origin[next_in_face(next_in_face(h))])) - tail;
    angle = std::atan2(dot(up, out), dot(right, out));
  }
  std::sort(faces.begin(), faces.end());  // coplanar faces in the order of their numbers
}

// The tufted cover: around each edge, the side of a face that looks towards the next one is glued to the side of that
// one which looks back (Sharp and Crane 2020, section 3.2).
template <class T>
Surface tufted_cover(const T* vertices, const Edges& edges, const Surface& sheet) {
  const int64_t f = sheet.n_faces;
  Surface cover = doubled(sheet);
  parallel_blocks(int64_t(edges.start.size()) - 1, [&](int64_t, int64_t begin, int64_t end) {
    std::vector<std::pair<double, uint32_t>> faces;
    edges.visit(begin, end, [&](const uint64_t* entry, uint32_t degree) {
      faces.clear();
      for (uint32_t i = 0; i < degree; ++i) faces.emplace_back(0.0, Edges::half_edge(entry[i]));
      if (degree > 2) sort_around(vertices, sheet, faces);
      const auto side = [&](uint32_t h, bool rising) {  // the side whose half-edge runs from the lower end up, or down
        const bool front_rises = sheet.origin[h] <= sheet.origin[next_in_face(h)];
        return front_rises == rising ? h : behind(h, f);
      };
      for (uint32_t i = 0; i < degree; ++i) {
        const uint32_t here = side(faces[i].second, true),
                       there = side(faces[i + 1 < degree ? i + 1 : 0].second, false);
        cover.twin[here] = there;
        cover.twin[there] = here;
      }
    });
  });
  return cover;
}

}  // namespace geospec
