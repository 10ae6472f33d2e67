// Two levels of balls over points that lie near a surface: cells of the points nearest to a landmark, leaves in them.
//
// In a spectral embedding distances tell near points from far ones only up to about a wavelength of the highest
// mode; beyond, all points are equally far. Halving the whole set by planes therefore yields scattered pieces
// with large balls. Cells of the points nearest to each landmark are patches of the surface as soon as there are
// more of them than modes, and patches halve well. A surface is one in a few coordinates too, and best in those of
// the lowest modes: cells are made, and ruled out, in the leading ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "spectral_nearest/instruction_sets.h"

namespace geospec::nearest {

constexpr int64_t kLeaf = 48;           // most points in a leaf
constexpr int64_t kLandmarkShare = 16;  // points per landmark from which the landmarks are centred
constexpr int64_t kCellsPerMode = 1;    // cells for each dimension
constexpr int64_t kGuides = 24;         // coordinates, the leading ones, that cells are made in
constexpr int64_t kAxisSample = 16;     // points from which the direction of a split is found

template <class T>
struct Balls {
  std::vector<T> centers;     // (n, d)
  std::vector<T> half_norms;  // |center|^2 / 2
  std::vector<T> radii;       // the ball holds all points of its node
  int64_t count = 0;

  void resize(int64_t n, int64_t d) {
    count = n;
    centers.resize(n * d);
    half_norms.resize(n);
    radii.resize(n);
  }
};

template <class T>
struct Tree {
  std::vector<int64_t> order;  // the point at each place; the points of a cell, and of a leaf, are neighbours
  int64_t guides;              // coordinates of the cells; those of the leaves are all
  Balls<T> cells, leaves;
  std::vector<int64_t> cell_leaves;  // (cells + 1): the leaves of each cell
  std::vector<int64_t> leaf_begin;   // (leaves + 1): the places of each leaf
  std::vector<T> bisectors;          // (cells, cells): 1 / (2 |c_i - c_j|), or 0 where centres coincide
};

// More cells than modes, for patches; of the order of sqrt(p), so that neither level is long; none without points.
inline int64_t cell_count(int64_t p, int64_t d) {
  return std::clamp<int64_t>(p / kLeaf, 1, std::max(kCellsPerMode * d, int64_t(std::sqrt(double(p) / 8))));
}

// The first d coordinates of kLanes rows, given by number (-1: none, zeros), laid across the lanes.
template <class S, class T = typename S::Scalar>
void across_lanes(const T* rows, int64_t stride, const int64_t* numbers, int64_t d, T* out) {
  for (int l = 0; l < S::kLanes; ++l) {
    const T* row = rows + numbers[l] * stride;
    for (int64_t k = 0; k < d; ++k) out[k * S::kLanes + l] = numbers[l] < 0 ? T(0) : row[k];
  }
}

// The nearest of `count` landmarks to each of kLanes rows, up to rounding.
template <class S, class T = typename S::Scalar>
void nearest_landmark(const T* rows, int64_t stride, const int64_t* numbers, int64_t d, const T* landmarks,
                      const T* half_norms, int64_t count, T* block, int64_t* nearest) {
  across_lanes<S>(rows, stride, numbers, d, block);
  S::nearest_row(landmarks, half_norms, count, d, block, nearest);
}

// For each row 0, step, 2 step ... (n of them) the nearest of the centres of the balls.
template <class S, class P, class T = typename S::Scalar>
void assign(const T* rows, int64_t stride, int64_t n, int64_t step, int64_t d, const Balls<T>& balls, const P& parallel,
            std::vector<int64_t>& nearest) {
  nearest.resize(n);
  parallel(0, (n + S::kLanes - 1) / S::kLanes, grain(balls.count * d), [&](int64_t begin, int64_t end) {
    std::vector<T> block(d * S::kLanes);
    int64_t numbers[S::kLanes], best[S::kLanes];
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * S::kLanes, used = std::min<int64_t>(S::kLanes, n - first);
      for (int l = 0; l < S::kLanes; ++l) numbers[l] = l < used ? (first + l) * step : -1;
      nearest_landmark<S>(rows, stride, numbers, d, balls.centers.data(), balls.half_norms.data(), balls.count,
                          block.data(), best);
      std::copy(best, best + used, nearest.begin() + first);
    }
  });
}

// Landmarks at even steps through the points, each moved once to the mean of those of a sample that chose it.
template <class S, class P, class T = typename S::Scalar>
void place_landmarks(const T* points, int64_t stride, int64_t p, int64_t d, int64_t count, const P& parallel,
                     Balls<T>& cells) {
  cells.resize(count, d);
  T* centers = cells.centers.data();
  for (int64_t i = 0; i < count; ++i) {
    const T* row = points + (i * p / count) * stride;
    std::copy(row, row + d, centers + i * d);
    cells.half_norms[i] = S::dot(row, row, d) / 2;
  }
  const int64_t samples = std::min(p, kLandmarkShare * count), step = p / samples;
  std::vector<int64_t> chosen, size(count, 1);
  assign<S>(points, stride, samples, step, d, cells, parallel, chosen);
  for (int64_t i = 0; i < samples; ++i) {
    S::axpy(T(1), points + i * step * stride, centers + chosen[i] * d, d);
    ++size[chosen[i]];
  }
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < d; ++k) centers[i * d + k] /= T(size[i]);
    cells.half_norms[i] = S::dot(centers + i * d, centers + i * d, d) / 2;
  }
}

// Moves the centre of a leaf to the mean of its points.
template <class S, class T = typename S::Scalar>
void center_on(const T* points, const int64_t* order, int64_t n, int64_t d, T* center) {
  std::fill(center, center + d, T(0));
  for (int64_t i = 0; i < n; ++i) S::axpy(T(1) / T(n), points + order[i] * d, center, d);
}

// The norm of a centre, and the radius of the ball about it that holds the points.
template <class S, class T = typename S::Scalar>
void fit_ball(const T* points, int64_t stride, const int64_t* order, int64_t n, int64_t d, Balls<T>& balls,
              int64_t ball) {
  const T* center = balls.centers.data() + ball * d;
  T square = 0;
  for (int64_t i = 0; i < n; ++i)
    square = std::max(square, S::square_difference(points + order[i] * stride, center, d));
  balls.half_norms[ball] = S::dot(center, center, d) / 2;
  balls.radii[ball] = std::sqrt(square) * (1 + rounding_error<T>(d, T(1)));
}

// The principal direction of a few of the points, by two steps of the power method from the outermost of them.
template <class S, class T = typename S::Scalar>
void principal_direction(const T* points, const int64_t* order, int64_t n, int64_t d, T* axis) {
  const int64_t samples = std::min(n, kAxisSample);
  const auto sample = [&](int64_t i) { return points + order[i * n / samples] * d; };
  std::vector<T> center(d, T(0)), previous(d);
  for (int64_t i = 0; i < samples; ++i) S::axpy(T(1) / T(samples), sample(i), center.data(), d);
  const T* outermost = sample(0);
  T greatest = -1;
  for (int64_t i = 0; i < samples; ++i) {
    const T square = S::square_difference(sample(i), center.data(), d);
    if (square > greatest) greatest = square, outermost = sample(i);
  }
  for (int64_t k = 0; k < d; ++k) axis[k] = outermost[k] - center[k];
  for (int step = 0; step < 2; ++step) {
    previous.assign(axis, axis + d);
    std::fill(axis, axis + d, T(0));
    const T shift = S::dot(center.data(), previous.data(), d);
    T total = 0;
    for (int64_t i = 0; i < samples; ++i) {
      const T weight = S::dot(sample(i), previous.data(), d) - shift;
      S::axpy(weight, sample(i), axis, d);
      total += weight;
    }
    S::axpy(-total, center.data(), axis, d);
    const T norm = std::sqrt(S::dot(axis, axis, d));
    if (!(norm > 0)) return;  // all samples equal: any split will do
    for (int64_t k = 0; k < d; ++k) axis[k] /= norm;
  }
}

// Halves the places [begin, end) of a cell along their principal direction until `count` leaves from `leaf` on are
// made. `points` and `order` are those of the cell, whose places start at `offset`.
template <class S, class T = typename S::Scalar>
void split(const T* points, int64_t d, int64_t* order, int64_t offset, int64_t begin, int64_t end, int64_t leaf,
           int64_t count, Tree<T>& tree) {
  int64_t* own = order + begin;
  const int64_t n = end - begin;
  if (count == 1) {
    tree.leaf_begin[leaf] = offset + begin;
    center_on<S>(points, own, n, d, tree.leaves.centers.data() + leaf * d);
    return fit_ball<S>(points, d, own, n, d, tree.leaves, leaf);
  }
  const int64_t lower = count / 2, half = n * lower / count;
  std::vector<T> axis(d);
  principal_direction<S>(points, own, n, d, axis.data());
  std::vector<std::pair<T, int64_t>> along(n);
  for (int64_t i = 0; i < n; ++i) along[i] = {S::dot(points + own[i] * d, axis.data(), d), own[i]};
  std::nth_element(along.begin(), along.begin() + half, along.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (int64_t i = 0; i < n; ++i) own[i] = along[i].second;
  split<S>(points, d, order, offset, begin, begin + half, leaf, lower, tree);
  split<S>(points, d, order, offset, begin + half, end, leaf + lower, count - lower, tree);
}

// `points` (p, d) in the common frame, `rows` (p, d) for them in the order of the tree, which does not depend on the
// number of threads. Each cell is worked on in a copy that stays in the cache.
template <class S, class P, class T = typename S::Scalar>
Tree<T> build_tree(const T* points, int64_t p, int64_t d, const P& parallel, T* rows) {
  Tree<T> tree;
  Balls<T> landmarks;
  const int64_t g = tree.guides = std::min(d, kGuides);
  place_landmarks<S>(points, d, p, g, cell_count(p, d), parallel, landmarks);
  std::vector<int64_t> cell;
  assign<S>(points, d, p, 1, g, landmarks, parallel, cell);

  std::vector<int64_t> start(landmarks.count + 1, 0), cell_begin;
  for (int64_t i = 0; i < p; ++i) ++start[cell[i] + 1];
  tree.cell_leaves = {0};
  tree.cells.resize(landmarks.count, g);
  T* center = tree.cells.centers.data();
  for (int64_t i = 0; i < landmarks.count; ++i) {
    if (const int64_t size = start[i + 1]) {
      cell_begin.push_back(start[i]);
      tree.cell_leaves.push_back(tree.cell_leaves.back() + (size + kLeaf - 1) / kLeaf);
      center = std::copy_n(landmarks.centers.data() + i * g, g, center);
    }
    start[i + 1] += start[i];
  }
  cell_begin.push_back(p);
  tree.order.resize(p);
  for (int64_t i = 0; i < p; ++i) tree.order[start[cell[i]]++] = i;

  const int64_t cells = tree.cell_leaves.size() - 1;
  tree.cells.resize(cells, g);  // landmarks that nothing chose are dropped
  tree.bisectors.resize(cells * cells);
  tree.leaves.resize(tree.cell_leaves.back(), d);
  tree.leaf_begin.assign(tree.leaves.count + 1, p);
  parallel(0, cells, grain(4 * d * (cells + p / cells)), [&](int64_t first, int64_t last) {
    std::vector<T> own;
    std::vector<int64_t> order, numbers;
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = cell_begin[i], n = cell_begin[i + 1] - begin;
      numbers.assign(tree.order.data() + begin, tree.order.data() + begin + n);
      own.resize(n * d);
      for (int64_t j = 0; j < n; ++j) std::copy_n(points + numbers[j] * d, d, own.data() + j * d);
      order.resize(n);
      std::iota(order.begin(), order.end(), int64_t(0));
      fit_ball<S>(own.data(), d, order.data(), n, g, tree.cells, i);
      split<S>(own.data(), d, order.data(), begin, 0, n, tree.cell_leaves[i],
               tree.cell_leaves[i + 1] - tree.cell_leaves[i], tree);
      for (int64_t j = 0; j < n; ++j) {
        std::copy_n(own.data() + order[j] * d, d, rows + (begin + j) * d);
        tree.order[begin + j] = numbers[order[j]];
      }
      const T* centers = tree.cells.centers.data();
      for (int64_t j = 0; j < cells; ++j) {
        const T square = S::square_difference(centers + i * g, centers + j * g, g);
        tree.bisectors[i * cells + j] = square > 0 ? T(0.5) / std::sqrt(square) : T(0);
      }
    }
  });
  return tree;
}

}  // namespace geospec::nearest
