// Arithmetic of one point among its neighbours: tangent plane, and the star of the point in their planar Delaunay
// triangulation.
//
// Inversion x -> x / |x|^2 about the centre turns circles through it into lines, so its star is the convex hull of the
// inverted neighbours, as far as that turns around the centre. Hence no triangulation is needed: neighbours are sorted
// by angle and scanned once, as Graham does, with the inversion multiplied out of the determinant.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cotangent/cotangent.h"

namespace geospec {

// Four corners count as on one circle where their determinant is at most this part of (twice their area)^2 times
// shortest side / longest diagonal, which is the same seen from each of them. Then the diagonal at the smallest index
// is taken, so that all four stars choose alike: they disagree on sampled grids otherwise, for each has a plane of its
// own.

constexpr double kCocircular = 5e-3;
constexpr double kSmallestSine = 1e-6;  // of the angle of a triangle at its centre: those below have no area

struct PlanePoint {
  double x, y;
  double square;  // of the distance from the centre
  int64_t index;
};

GEOSPEC_HOST_DEVICE double cross2(const PlanePoint& a, const PlanePoint& b) { return a.x * b.y - a.y * b.x; }

// A number that grows with the angle of (x, y) around the origin, from 0 to 4 (counter-clockwise from the x axis).
GEOSPEC_HOST_DEVICE double turn_of(double x, double y) {
  const double sum = std::fabs(x) + std::fabs(y);
  if (!(sum > 0)) return 0;
  const double part = x / sum;
  return y >= 0 ? 1 - part : 3 + part;
}

// Rotates the symmetric matrix m by Jacobi's method until it is diagonal; axes[i] are its eigenvectors.
GEOSPEC_HOST_DEVICE void diagonalise(double (&m)[3][3], Vec3 (&axes)[3]) {
  axes[0] = {1, 0, 0};
  axes[1] = {0, 1, 0};
  axes[2] = {0, 0, 1};
  for (int sweep = 0; sweep < 16; ++sweep) {
    const double off = std::fabs(m[0][1]) + std::fabs(m[0][2]) + std::fabs(m[1][2]);
    if (!(off > 1e-13 * (m[0][0] + m[1][1] + m[2][2]))) return;
    for (int p = 0; p < 2; ++p)
      for (int q = p + 1; q < 3; ++q) {
        if (m[p][q] == 0) continue;
        const int r = 3 - p - q;
        const double theta = (m[q][q] - m[p][p]) / (2 * m[p][q]);
        const double t = (theta < 0 ? -1 : 1) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        m[p][p] -= t * m[p][q];
        m[q][q] += t * m[p][q];
        m[p][q] = m[q][p] = 0;
        const double rp = m[r][p], rq = m[r][q];
        m[r][p] = m[p][r] = c * rp - s * rq;
        m[r][q] = m[q][r] = s * rp + c * rq;
        const Vec3 a = axes[p], b = axes[q];
        axes[p] = c * a - s * b;
        axes[q] = s * a + c * b;
      }
  }
}

// Axes of the plane that the neighbours and the centre (the origin) lie in best: the normal is left out.
GEOSPEC_HOST_DEVICE void tangent_axes(const Vec3* offsets, int64_t k, Vec3& first, Vec3& second) {
  Vec3 sum = {0, 0, 0}, square = {0, 0, 0}, mixed = {0, 0, 0};
  for (int64_t j = 0; j < k; ++j) {
    const Vec3 d = offsets[j];
    sum = sum + d;
    square = square + Vec3{d.x * d.x, d.y * d.y, d.z * d.z};
    mixed = mixed + Vec3{d.y * d.z, d.z * d.x, d.x * d.y};
  }
  const double part = 1.0 / double(k + 1);
  const double xy = mixed.z - part * sum.x * sum.y, yz = mixed.x - part * sum.y * sum.z;
  const double zx = mixed.y - part * sum.z * sum.x;
  double m[3][3] = {{square.x - part * sum.x * sum.x, xy, zx},
                    {xy, square.y - part * sum.y * sum.y, yz},
                    {zx, yz, square.z - part * sum.z * sum.z}};
  Vec3 axes[3];
  diagonalise(m, axes);
  const int normal = m[0][0] < m[1][1] ? (m[0][0] < m[2][2] ? 0 : 2) : (m[1][1] < m[2][2] ? 1 : 2);
  first = axes[(normal + 1) % 3];
  second = axes[(normal + 2) % 3];
}

// Turns the plane over where needed, so that the nearest neighbour and the nearest one off its line go
// counter-clockwise: the scan then takes the same way whichever side the normal was on.
GEOSPEC_HOST_DEVICE void turn_over(PlanePoint* points, int64_t k) {
  int64_t nearest = 0, second = -1;
  for (int64_t j = 1; j < k; ++j) nearest = points[j].square < points[nearest].square ? j : nearest;
  const PlanePoint a = points[nearest];
  for (int64_t j = 0; j < k; ++j) {
    const double sine = cross2(a, points[j]);
    if (sine * sine > 1e-6 * a.square * points[j].square && (second < 0 || points[j].square < points[second].square))
      second = j;
  }
  if (second < 0 || cross2(a, points[second]) > 0) return;
  for (int64_t j = 0; j < k; ++j) points[j].y = -points[j].y;
}

GEOSPEC_HOST_DEVICE double square_between(const PlanePoint& a, const PlanePoint& b) {
  return (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y);
}

// Whether b stays a corner of the star between a and c: whether it lies inside the circle through the centre, a and c.
GEOSPEC_HOST_DEVICE bool stays(const PlanePoint& a, const PlanePoint& b, const PlanePoint& c, int64_t centre) {
  const double inside = cross2(a, b) * c.square + cross2(b, c) * a.square + cross2(c, a) * b.square;
  const double diagonals = b.x * (c.y - a.y) - b.y * (c.x - a.x);  // twice the area of the four corners
  const double bound = kCocircular * diagonals * diagonals;
  if (!(std::fabs(inside) <= bound)) return inside > 0;
  const double shortest = std::min(std::min(a.square, c.square), std::min(square_between(a, b), square_between(b, c)));
  const double longest = std::max(b.square, square_between(a, c));
  if (inside * inside * longest > bound * bound * shortest) return inside > 0;
  return std::min(centre, b.index) < std::min(a.index, c.index);
}

// Whether b lies to the left of a by an angle of some size, less than half a turn.
GEOSPEC_HOST_DEVICE bool is_left(const PlanePoint& a, const PlanePoint& b) {
  const double sine = cross2(a, b);
  return sine > 0 && sine * sine > kSmallestSine * kSmallestSine * a.square * b.square;
}

GEOSPEC_HOST_DEVICE bool same_direction(const PlanePoint& a, const PlanePoint& b) {
  return a.x * b.x + a.y * b.y > 0 && !is_left(a, b) && !is_left(b, a);
}

// Reduces the neighbours, sorted by angle, to the star of the centre, in place; returns how many remain. None may lie
// at the centre itself. Neighbours in no more than half the plane leave the star open.
GEOSPEC_HOST_DEVICE int64_t delaunay_star(PlanePoint* points, int64_t k, int64_t centre, bool* closed) {
  *closed = false;
  if (k < 2) return k;
  int64_t distinct = 1;  // of neighbours in one direction only the nearest can be in the star
  for (int64_t j = 1; j < k; ++j) {
    PlanePoint& last = points[distinct - 1];
    if (!same_direction(last, points[j]))
      points[distinct++] = points[j];
    else if (points[j].square < last.square)
      last = points[j];
  }
  if (distinct > 1 && same_direction(points[distinct - 1], points[0])) {
    if (points[distinct - 1].square < points[0].square) points[0] = points[distinct - 1];
    --distinct;
  }
  k = distinct;
  // Start after a gap of half a turn if there is one, else at the nearest neighbour, which is always in the star.
  int64_t start = 0;
  bool open = false;
  for (int64_t j = 0; j < k; ++j) {
    const PlanePoint &a = points[j], &b = points[j + 1 < k ? j + 1 : 0];
    if (!is_left(a, b)) {
      open = true;
      start = j + 1 < k ? j + 1 : 0;
      break;
    }
    if (a.square < points[start].square) start = j;
  }
  std::rotate(points, points + start, points + k);
  const PlanePoint first = points[0];
  int64_t kept = 1;
  for (int64_t j = 1; j < k + (open ? 0 : 1); ++j) {
    const PlanePoint next = j < k ? points[j] : first;
    while (kept > 1 && !stays(points[kept - 2], points[kept - 1], next, centre)) --kept;
    if (j < k) points[kept++] = next;
  }
  *closed = !open;
  return kept;
}

}  // namespace geospec
