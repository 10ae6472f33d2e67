// Arithmetic of one triangle known by its edge lengths alone, and of one flip in a mesh of such triangles.
//
// Half-edge c of triangle t is the number 3 t + c; it runs from corner c to corner c + 1. Two half-edges that are
// glued are each other's twins.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"

namespace geospec {

constexpr uint32_t kNoTwin = UINT32_MAX;  // of a half-edge on the boundary

struct IntrinsicTriangle {
  uint32_t origin[3];   // vertex that each half-edge leaves
  uint32_t twin[3];     // half-edge that it is glued to
  double length[3];     // of its edge
  double cotangent[3];  // of the angle opposite to it
};

// By how much the longest way must grow for the triangle inequality to hold with slack delta, were all edges to grow
// alike: c - a - b + delta for the longest edge c.
GEOSPEC_HOST_DEVICE double missing_slack(double a, double b, double c, double delta) {
  const double longest = a > b ? (a > c ? a : c) : (b > c ? b : c);
  return 2 * longest - (a + b + c) + delta;
}

// Heron's formula as Kahan orders it, so that slivers keep their digits; zero where the triangle inequality fails.
GEOSPEC_HOST_DEVICE double area_of_lengths(double a, double b, double c) {
  const double low = a < b ? a : b, high = a < b ? b : a;
  const double longest = high > c ? high : c, shortest = low < c ? low : c;
  const double rest = high < c ? high : c, middle = low > rest ? low : rest;
  const double product = (longest + (middle + shortest)) * (shortest - (longest - middle)) *
                         (shortest + (longest - middle)) * (longest + (middle - shortest));
  return product > 0 ? 0.25 * std::sqrt(product) : 0.0;
}

// Cotangents opposite to the three half-edges of a triangle; returns its area.
GEOSPEC_HOST_DEVICE double cotangents_of_lengths(const double* length, double* cotangent) {
  const double a = length[0] * length[0], b = length[1] * length[1], c = length[2] * length[2];
  const double area = area_of_lengths(length[0], length[1], length[2]), scale = 0.25 / area;
  cotangent[0] = (b + c - a) * scale;
  cotangent[1] = (c + a - b) * scale;
  cotangent[2] = (a + b - c) * scale;
  return area;
}

// An edge is kept where the mean of its two cotangents is at least -kDelaunaySlack: rounding in slivers must not flip
// for ever, and robust_laplacian, whose numbers these are, draws the line here too.
constexpr double kDelaunaySlack = 1e-6;

GEOSPEC_HOST_DEVICE bool is_delaunay(double cotangent, double twin_cotangent) {
  return !(0.5 * (cotangent + twin_cotangent) < -kDelaunaySlack);
}

// Length of the other diagonal of two triangles at their edge c and d, unfolded into the plane.
GEOSPEC_HOST_DEVICE double other_diagonal(const IntrinsicTriangle& a, int c, const IntrinsicTriangle& b, int d) {
  const double e = a.length[c], right = a.length[(c + 1) % 3], left = a.length[(c + 2) % 3];
  const double below = b.length[(d + 1) % 3], beside = b.length[(d + 2) % 3];
  // From the corner that edge c leaves: along the edge and across it.
  const double along = (left * left - right * right - below * below + beside * beside) / (2 * e);
  const double across = 2 * (area_of_lengths(e, right, left) + area_of_lengths(e, below, beside)) / e;
  return std::sqrt(along * along + across * across);
}

// Replaces the diagonal of triangles a (half-edge h = 3 * number + c) and b (half-edge g) by the other one. It takes
// the slots after h and g, whose edges move to g and h. Returns whether it did: not where rounding leaves the new
// diagonal no better than the old. The twins of the two edges that moved are left to the caller, unless they lie in a
// or b.
GEOSPEC_HOST_DEVICE bool flip(IntrinsicTriangle& a, uint32_t h, IntrinsicTriangle& b, uint32_t g) {
  const uint32_t c = h % 3, c1 = (c + 1) % 3, c2 = (c + 2) % 3, d = g % 3, d1 = (d + 1) % 3, d2 = (d + 2) % 3;
  const double diagonal = other_diagonal(a, int(c), b, int(d));
  const double first[3] = {b.length[d1], diagonal, a.length[c2]}, second[3] = {a.length[c1], diagonal, b.length[d2]};
  double first_cotangent[3], second_cotangent[3];
  cotangents_of_lengths(first, first_cotangent);
  cotangents_of_lengths(second, second_cotangent);
  if (!(0.5 * (first_cotangent[1] + second_cotangent[1]) >= -kDelaunaySlack)) return false;

  const uint32_t h1 = h - c + c1, g1 = g - d + d1;
  const uint32_t from_a = a.twin[c1] == g1 ? h : a.twin[c1], from_b = b.twin[d1] == h1 ? g : b.twin[d1];
  a.twin[c] = from_b;
  b.twin[d] = from_a;
  a.twin[c1] = g1;
  b.twin[d1] = h1;
  a.origin[c1] = b.origin[d2];
  b.origin[d1] = a.origin[c2];
  const uint32_t slot_a[3] = {c, c1, c2}, slot_b[3] = {d, d1, d2};
  for (int i = 0; i < 3; ++i) {
    a.length[slot_a[i]] = first[i];
    a.cotangent[slot_a[i]] = first_cotangent[i];
    b.length[slot_b[i]] = second[i];
    b.cotangent[slot_b[i]] = second_cotangent[i];
  }
  return true;
}

}  // namespace geospec
