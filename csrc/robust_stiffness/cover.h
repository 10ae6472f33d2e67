// The tufted cover of a mesh, and the surface that flips make of it.
//
// The cover is never written down. A triangle of it is a copy of a face, one of its two sides in one of its layers;
// what it is glued to follows from the ring of faces around each edge. Only triangles that a flip touches are made, so
// memory and time are those of the faces plus those of the flips.
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

template <class T>
using Array = std::unique_ptr<T[]>;

// Faces as they were given, their metric, and the faces around each edge.
struct Faces {
  int64_t n_vertices = 0, n_faces = 0, n_copies = 0;
  Array<uint32_t> corner;            // (f, 3)
  Array<double> length;              // (f, 3): of the edge from corner c to corner c + 1
  Array<double> cotangent;           // (f, 3): of the angle opposite to it
  Array<uint32_t> ring_of;           // (f, 3): where the ring of that edge begins
  std::vector<uint32_t> first_copy;  // (f + 1): copies of a face, one a layer, are numbered one after another
  std::vector<uint32_t> face_of;     // (copies): empty where each face has one

  // Half-edges 3 t + c by the lower end of their edges, then by the higher end: those of one edge side by side, in the
  // order of their angles around it. 32 bits each: higher end, half-edge.
  std::vector<uint32_t> bucket;  // (n + 1)
  Array<uint64_t> ring;          // (3 f)

  static uint32_t half_edge(uint64_t entry) { return uint32_t(entry); }
  static uint32_t higher_end(uint64_t entry) { return uint32_t(entry >> 32); }
  uint32_t tip(uint32_t h) const { return corner[h % 3 == 2 ? h - 2 : h + 1]; }
  bool rises(uint32_t h) const { return corner[h] <= tip(h); }
  uint32_t multiplicity(uint32_t t) const { return first_copy[t + 1] - first_copy[t]; }
  uint32_t face_of_copy(uint32_t copy) const { return face_of.empty() ? copy : face_of[copy]; }

  // Calls visit(begin, end) for the ring of each edge in the buckets [low, high).
  template <class F>
  void visit_rings(int64_t low, int64_t high, const F& visit) const {
    for (int64_t i = low; i < high; ++i)
      for (uint32_t e = bucket[i], stop; e < bucket[i + 1]; e = stop) {
        for (stop = e + 1; stop < bucket[i + 1] && higher_end(ring[stop]) == higher_end(ring[e]);) ++stop;
        visit(e, stop);
      }
  }
};

struct EdgeCensus {
  double mean_length = 0;
  bool oriented = true;  // at most two faces an edge and layer, which run along it in opposite directions
  bool closed = true;    // no edge of one face
};

// Counting sort of the half-edges by lower end, then each bucket by higher end and half-edge.
inline void sort_rings(Faces& m) {
  constexpr int64_t kAhead = 8;
  const auto low = [&](int64_t t, int c) { return std::min(m.corner[3 * t + c], m.corner[3 * t + (c + 1) % 3]); };
  m.bucket.assign(m.n_vertices + 1, 0);
  m.ring = std::make_unique_for_overwrite<uint64_t[]>(3 * m.n_faces);
  for (int64_t t = 0; t < m.n_faces; ++t)
    for (int c = 0; c < 3; ++c) ++m.bucket[low(t, c) + 1];
  for (int64_t i = 0; i < m.n_vertices; ++i) m.bucket[i + 1] += m.bucket[i];
  std::vector<uint32_t> next(m.bucket.begin(), m.bucket.end() - 1);
  for (int64_t t = 0; t < m.n_faces; ++t) {
    if (t + kAhead < m.n_faces)
      for (int c = 0; c < 3; ++c) prefetch(&m.ring[next[low(t + kAhead, c)]]);
    for (int c = 0; c < 3; ++c) {
      const uint32_t high = std::max(m.corner[3 * t + c], m.corner[3 * t + (c + 1) % 3]);
      m.ring[next[low(t, c)]++] = uint64_t(high) << 32 | uint64_t(3 * t + c);
    }
  }
}

// Insertion sort: buckets hold a few entries, but for the hubs of fans.
inline void sort_bucket(uint64_t* begin, uint64_t* end) {
  if (end - begin > 32) return std::sort(begin, end);
  for (uint64_t* i = begin; i < end; ++i) {
    const uint64_t entry = *i;
    uint64_t* j = i;
    for (; j > begin && entry < j[-1]; --j) *j = j[-1];
    *j = entry;
  }
}

// Orders the faces of an edge by their angles around it, right-handed from its lower to its higher end; coplanar ones
// stay in the order of their numbers.
template <class T>
void sort_around(const T* vertices, const Faces& m, uint64_t* begin, uint64_t* end,
                 std::vector<std::pair<double, uint64_t>>& scratch) {
  const uint32_t first = Faces::half_edge(*begin), a = m.corner[first], b = m.tip(first);
  const Vec3 tail = load3(vertices + 3 * int64_t(std::min(a, b)));
  const Vec3 axis = load3(vertices + 3 * int64_t(std::max(a, b))) - tail;
  const double x = std::fabs(axis.x), y = std::fabs(axis.y), z = std::fabs(axis.z), norm = std::sqrt(dot(axis, axis));
  const Vec3 least = x <= y && x <= z ? Vec3{1, 0, 0} : (y <= z ? Vec3{0, 1, 0} : Vec3{0, 0, 1});
  const Vec3 right = cross(axis, least), up = norm > 0 ? (1 / norm) * cross(axis, right) : Vec3{0, 0, 0};
  scratch.clear();
  for (const uint64_t* e = begin; e < end; ++e) {
    const uint32_t h = Faces::half_edge(*e), opposite = m.corner[h % 3 == 0 ? h + 2 : h - 1];
    const Vec3 out = load3(vertices + 3 * int64_t(opposite)) - tail;
    scratch.emplace_back(std::atan2(dot(up, out), dot(right, out)), *e);
  }
  std::sort(scratch.begin(), scratch.end());
  for (const auto& [angle, entry] : scratch) *begin++ = entry;
}

// Rings in their order, lengths of all edges, and what kind of mesh it is.
template <class T>
EdgeCensus measure_edges(const T* vertices, Faces& m) {
  const int64_t n_blocks = count_blocks(m.n_vertices);
  std::vector<double> sums(n_blocks, 0.0);
  std::vector<int64_t> counts(n_blocks, 0);
  std::vector<char> oriented(n_blocks, 1), closed(n_blocks, 1);
  m.length = std::make_unique_for_overwrite<double[]>(3 * m.n_faces);
  m.ring_of = std::make_unique_for_overwrite<uint32_t[]>(3 * m.n_faces);
  parallel_blocks(m.n_vertices, [&](int64_t block, int64_t begin, int64_t end) {
    std::vector<std::pair<double, uint64_t>> scratch;
    for (int64_t i = begin; i < end; ++i) sort_bucket(m.ring.get() + m.bucket[i], m.ring.get() + m.bucket[i + 1]);
    double sum = 0;
    int64_t count = 0;
    bool all_oriented = true, all_closed = true;
    m.visit_rings(begin, end, [&](uint32_t e, uint32_t stop) {
      const uint32_t h = Faces::half_edge(m.ring[e]), tip = m.tip(h), degree = stop - e;
      const Vec3 along = load3(vertices + 3 * int64_t(tip)) - load3(vertices + 3 * int64_t(m.corner[h]));
      const double length = std::sqrt(dot(along, along));
      uint32_t layers = 0;
      for (uint32_t i = e; i < stop; ++i) {
        const uint32_t here = Faces::half_edge(m.ring[i]);
        m.length[here] = length;
        m.ring_of[here] = e;
        layers = std::max(layers, m.multiplicity(here / 3));
      }
      sum += layers * length;
      count += layers;
      const uint32_t last = Faces::half_edge(m.ring[stop - 1]);
      all_oriented = all_oriented && degree <= 2 && m.corner[h] != (degree == 1 ? tip : m.corner[last]);
      all_closed = all_closed && degree == 2 && m.multiplicity(h / 3) == m.multiplicity(last / 3);
      if (degree > 2) sort_around(vertices, m, m.ring.get() + e, m.ring.get() + stop, scratch);
    });
    sums[block] = sum;
    counts[block] = count;
    oriented[block] = all_oriented;
    closed[block] = all_closed;
  });
  EdgeCensus census;
  double sum = 0;
  int64_t count = 0;
  for (int64_t b = 0; b < n_blocks; ++b) {
    sum += sums[b];
    count += counts[b];
    census.oriented = census.oriented && oriented[b];
    census.closed = census.closed && closed[b];
  }
  census.mean_length = count ? sum / double(count) : 0.0;
  return census;
}

// Copies of the faces glued to a manifold: both sides of each, or the fronts alone where they form an oriented surface.
// Triangle sides * copy + side; the back of a face has its corners in the order 0, 2, 1, so edge c is its edge 2 - c.
class Surface {
 public:
  Surface(const Faces& faces, uint32_t sides)
      : faces_(&faces), sides_(sides), made_(std::make_unique<uint32_t[]>(sides * faces.n_copies)) {}

  // Half-edges that are not Delaunay, in the order of their edges; of two twins one.
  std::vector<uint32_t> find_flips() const {
    std::vector<std::vector<uint32_t>> found(count_blocks(faces_->n_vertices));
    parallel_blocks(faces_->n_vertices, [&](int64_t block, int64_t begin, int64_t end) {
      faces_->visit_rings(begin, end, [&](uint32_t e, uint32_t stop) {
        for (uint32_t i = e; i < stop; ++i) {  // most edges have no obtuse angle, so nothing to look at
          const uint32_t h = Faces::half_edge(faces_->ring[i]);
          if (faces_->cotangent[h] < 0) find_flips_of(h, found[block]);
        }
      });
    });
    std::vector<uint32_t> all;
    for (const auto& part : found) all.insert(all.end(), part.begin(), part.end());
    return all;
  }

  // Flips until every edge is Delaunay; returns the number of flips, or -1 after too many. The result does not depend
  // on the order, but where four corners lie on a circle.
  int64_t make_delaunay(std::vector<uint32_t> waiting, int64_t limit) {
    for (int64_t flips = 0;;) {
      if (waiting.empty()) return flips;
      const uint32_t h = waiting.back();
      waiting.pop_back();
      const uint32_t g = twin_of(h);
      if (!wants_flip(h, g)) continue;
      make(h / 3);
      IntrinsicTriangle &b = make(g / 3), &a = made(h / 3);  // in this order: making one moves the others
      if (!flip(a, h, b, g)) continue;
      if (++flips > limit) return -1;
      const uint32_t twin_h = a.twin[h % 3], twin_g = b.twin[g % 3];
      relink(twin_h, h);
      relink(twin_g, g);
      for (const uint32_t outer : {h, g, before(h), before(g)})
        if (wants_flip(outer, twin_of(outer))) waiting.push_back(outer);
    }
  }

  // Half-edges on the boundary of one sheet that want a flip once its back is glued to it there, as numbers of the
  // double.
  std::vector<uint32_t> find_boundary_flips() const {
    std::vector<uint32_t> found;
    const auto look = [&](uint32_t h) {
      if (twin_of(h) == kNoTwin && !is_delaunay(cotangent_of(h), cotangent_of(h))) found.push_back(front(h));
    };
    faces_->visit_rings(0, faces_->n_vertices, [&](uint32_t e, uint32_t stop) {
      for (uint32_t i = e; i < stop; ++i) {
        const uint32_t h = Faces::half_edge(faces_->ring[i]);
        if (faces_->cotangent[h] >= 0) continue;
        for (uint32_t layer = 0; layer < faces_->multiplicity(h / 3); ++layer)
          if (const uint32_t here = seen(h, layer, false); !made_[here / 3]) look(here);
      }
    });
    for (const uint32_t triangle : numbers_)
      for (uint32_t c = 0; c < 3; ++c) look(3 * triangle + c);
    return found;
  }

  // The cover of one oriented sheet as flips have left it: backs glued as fronts are, and to them along the boundary.
  Surface doubled() const {
    Surface both(*faces_, 2);
    for (size_t i = 0; i < numbers_.size(); ++i) {
      const IntrinsicTriangle& t = triangles_[i];
      IntrinsicTriangle sides[2] = {t, t};
      for (uint32_t c = 0; c < 3; ++c) {
        const uint32_t h = 3 * numbers_[i] + c, twin = t.twin[c];
        sides[0].twin[c] = twin == kNoTwin ? back(h) : front(twin);
        sides[1].twin[2 - c] = twin == kNoTwin ? front(h) : back(twin);
        sides[1].length[2 - c] = t.length[c];
        sides[1].cotangent[2 - c] = t.cotangent[c];
        sides[1].origin[c] = t.origin[(3 - c) % 3];
      }
      for (uint32_t side = 0; side < 2; ++side) both.put(2 * numbers_[i] + side, sides[side]);
    }
    return both;
  }

  uint32_t sides() const { return sides_; }
  bool is_made(int64_t triangle) const { return made_[triangle] != 0; }
  const std::vector<IntrinsicTriangle>& touched() const { return triangles_; }

 private:
  static uint32_t front(uint32_t h) { return 6 * (h / 3) + h % 3; }
  static uint32_t back(uint32_t h) { return 6 * (h / 3) + 5 - h % 3; }
  static uint32_t before(uint32_t h) { return h % 3 == 0 ? h + 2 : h - 1; }

  // Half-edge h of the faces as seen in a copy and on a side.
  uint32_t seen(uint32_t h, uint32_t layer, bool back) const {
    const uint32_t t = h / 3, c = h % 3;
    return 3 * (sides_ * (faces_->first_copy[t] + layer) + back) + (back ? 2 - c : c);
  }

  // What a triangle that no flip has touched is glued to: around the edge, the side that looks towards the next face to
  // the side of that one which looks back (Sharp and Crane 2020, section 3.2).
  uint32_t glued(uint32_t h) const {
    const uint32_t triangle = h / 3, copy = triangle / sides_, t = faces_->face_of_copy(copy);
    const bool back = triangle % sides_;
    const uint32_t given = 3 * t + (back ? 2 - h % 3 : h % 3), layer = copy - faces_->first_copy[t];
    const uint32_t low = std::min(faces_->corner[given], faces_->tip(given)),
                   high = std::max(faces_->corner[given], faces_->tip(given));
    const uint32_t begin = faces_->ring_of[given];
    uint32_t end = begin, here = begin;
    for (; end < faces_->bucket[low + 1] && Faces::higher_end(faces_->ring[end]) == high; ++end)
      if (Faces::half_edge(faces_->ring[end]) == given) here = end;
    const bool rising = faces_->rises(given) != back;  // the rising side looks on, the falling one back
    uint32_t other = here, next;
    do {
      other = rising ? (other + 1 == end ? begin : other + 1) : (other == begin ? end - 1 : other - 1);
      next = Faces::half_edge(faces_->ring[other]);
    } while (faces_->multiplicity(next / 3) <= layer);
    if (sides_ == 1) return next == given ? kNoTwin : seen(next, layer, false);
    return seen(next, layer, faces_->rises(next) == rising);
  }

  uint32_t twin_of(uint32_t h) const {
    const uint32_t slot = made_[h / 3];
    return slot ? triangles_[slot - 1].twin[h % 3] : glued(h);
  }

  double cotangent_of(uint32_t h) const {
    const uint32_t triangle = h / 3, slot = made_[triangle];
    if (slot) return triangles_[slot - 1].cotangent[h % 3];
    return faces_
        ->cotangent[3 * int64_t(faces_->face_of_copy(triangle / sides_)) + (triangle % sides_ ? 2 - h % 3 : h % 3)];
  }

  bool wants_flip(uint32_t h, uint32_t g) const {
    if (g == kNoTwin || g / 3 == h / 3) return false;  // a triangle glued to itself has nothing to flip into
    return !is_delaunay(cotangent_of(h), cotangent_of(g));
  }

  void find_flips_of(uint32_t given, std::vector<uint32_t>& found) const {
    for (uint32_t layer = 0; layer < faces_->multiplicity(given / 3); ++layer)
      for (uint32_t back = 0; back < sides_; ++back) {
        const uint32_t h = seen(given, layer, back), g = glued(h);
        if (wants_flip(h, g) && (h < g || cotangent_of(g) >= 0)) found.push_back(h);
      }
  }

  void put(uint32_t triangle, const IntrinsicTriangle& made) {
    triangles_.push_back(made);
    numbers_.push_back(triangle);
    made_[triangle] = uint32_t(triangles_.size());
  }

  IntrinsicTriangle& made(uint32_t triangle) { return triangles_[made_[triangle] - 1]; }

  IntrinsicTriangle& make(uint32_t triangle) {
    if (made_[triangle]) return made(triangle);
    const int64_t t = faces_->face_of_copy(triangle / sides_);
    const bool back = triangle % sides_;
    IntrinsicTriangle one;
    for (uint32_t c = 0; c < 3; ++c) {
      const int64_t from = 3 * t + (back ? 2 - c : c);
      one.origin[c] = faces_->corner[3 * t + (back ? (3 - c) % 3 : c)];
      one.twin[c] = glued(3 * triangle + c);
      one.length[c] = faces_->length[from];
      one.cotangent[c] = faces_->cotangent[from];
    }
    put(triangle, one);
    return triangles_.back();
  }

  void relink(uint32_t h, uint32_t twin) {
    if (h != kNoTwin) make(h / 3).twin[h % 3] = twin;
  }

  const Faces* faces_;
  uint32_t sides_;
  std::unique_ptr<uint32_t[]> made_;  // of each triangle: its place among triangles_, counted from 1
  std::vector<IntrinsicTriangle> triangles_;
  std::vector<uint32_t> numbers_;  // of triangles_
};

}  // namespace geospec
