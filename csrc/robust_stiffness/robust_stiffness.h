// Arithmetic of one triangle known by its edge lengths alone, and of one flip in a mesh of such triangles.
//
// Half-edge c of triangle t is the number h = 3 t + c; it runs from corner c to corner c + 1. Two half-edges that are
// glued are each other's twins. The other two of a triangle follow from h, so nothing else is stored.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"

namespace geospec {

constexpr uint32_t kNoTwin = UINT32_MAX;  // of a half-edge on the boundary

struct IntrinsicView {
  uint32_t* origin;   // vertex that a half-edge leaves
  uint32_t* twin;     // half-edge that it is glued to
  double* length;     // of its edge; twins hold the same
  double* cotangent;  // of the angle opposite to it
};

GEOSPEC_HOST_DEVICE uint32_t next_in_face(uint32_t h) { return h % 3 == 2 ? h - 2 : h + 1; }

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

// Edge h and its twin are kept where the mean of their cotangents is at least -kDelaunaySlack: rounding in slivers must
// not flip for ever, and robust_laplacian, whose numbers these are, draws the line here too.
constexpr double kDelaunaySlack = 1e-6;

GEOSPEC_HOST_DEVICE bool wants_flip(const IntrinsicView& m, uint32_t h) {
  const uint32_t twin = m.twin[h];
  if (twin == kNoTwin || twin / 3 == h / 3) return false;  // a triangle glued to itself has nothing to flip into
  return 0.5 * (m.cotangent[h] + m.cotangent[twin]) < -kDelaunaySlack;
}

// Length of the other diagonal of the two triangles at h, unfolded into the plane.
GEOSPEC_HOST_DEVICE double other_diagonal(const IntrinsicView& m, uint32_t h) {
  const uint32_t g = m.twin[h], h1 = next_in_face(h), h2 = next_in_face(h1), g1 = next_in_face(g),
                 g2 = next_in_face(g1);
  const double e = m.length[h], right = m.length[h1], left = m.length[h2], below = m.length[g1], beside = m.length[g2];
  // From the corner that h leaves: along h and across it.
  const double along = (left * left - right * right - below * below + beside * beside) / (2 * e);
  const double across = 2 * (area_of_lengths(e, right, left) + area_of_lengths(e, below, beside)) / e;
  return std::sqrt(along * along + across * across);
}

// Replaces the diagonal h of its two triangles by the other one. Returns whether it did: not where rounding leaves the
// new one no better than the old.
GEOSPEC_HOST_DEVICE bool flip(const IntrinsicView& m, uint32_t h) {
  const uint32_t g = m.twin[h], h1 = next_in_face(h), h2 = next_in_face(h1), g1 = next_in_face(g),
                 g2 = next_in_face(g1);
  const double diagonal = other_diagonal(m, h);
  // The triangles after the flip, edge by edge in the slots (h, h1, h2) and (g, g1, g2).
  const double first[3] = {m.length[g1], diagonal, m.length[h2]}, second[3] = {m.length[h1], diagonal, m.length[g2]};
  double first_cotangent[3], second_cotangent[3];
  cotangents_of_lengths(first, first_cotangent);
  cotangents_of_lengths(second, second_cotangent);
  if (!(first_cotangent[1] + second_cotangent[1] >= -2 * kDelaunaySlack)) return false;

  // The edges in slots h1 and g1 move to g and h, which leaves their own slots to the diagonal. Either may be glued to
  // the other.
  const uint32_t twin_h1 = m.twin[h1], twin_g1 = m.twin[g1];
  m.twin[g] = twin_h1 == g1 ? h : twin_h1;
  m.twin[h] = twin_g1 == h1 ? g : twin_g1;
  if (twin_h1 != g1 && twin_h1 != kNoTwin) m.twin[twin_h1] = g;
  if (twin_g1 != h1 && twin_g1 != kNoTwin) m.twin[twin_g1] = h;
  m.twin[h1] = g1;
  m.twin[g1] = h1;
  const uint32_t apex = m.origin[h2], foot = m.origin[g2];
  m.origin[h1] = foot;
  m.origin[g1] = apex;
  const uint32_t slot[2][3] = {{h, h1, h2}, {g, g1, g2}};
  for (int c = 0; c < 3; ++c) {
    m.length[slot[0][c]] = first[c];
    m.length[slot[1][c]] = second[c];
    m.cotangent[slot[0][c]] = first_cotangent[c];
    m.cotangent[slot[1][c]] = second_cotangent[c];
  }
  return true;
}

}  // namespace geospec
