// Arithmetic of one triangle: corner cotangents, area, and their gradients in the corners.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"

namespace geospec {

struct Vec3 {
  double x, y, z;
};

GEOSPEC_HOST_DEVICE Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
GEOSPEC_HOST_DEVICE Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
GEOSPEC_HOST_DEVICE Vec3 operator*(double s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
GEOSPEC_HOST_DEVICE double dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
GEOSPEC_HOST_DEVICE Vec3 cross(Vec3 a, Vec3 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

// Float vertices are widened here: differences and products of one triangle are taken in double.
template <class T>
GEOSPEC_HOST_DEVICE Vec3 load3(const T* p) {
  return {double(p[0]), double(p[1]), double(p[2])};
}

struct Triangle {
  Vec3 edge[3];        // edge[c] runs from corner c to corner c + 1
  double double_area;  // |edge[0] x edge[1]|
  Vec3 normal;         // edge[0] x edge[1], not normalised
};

template <class T>
GEOSPEC_HOST_DEVICE Triangle load_triangle(const T* vertices, const int64_t* face) {
  const Vec3 p0 = load3(vertices + 3 * face[0]), p1 = load3(vertices + 3 * face[1]), p2 = load3(vertices + 3 * face[2]);
  Triangle t;
  t.edge[0] = p1 - p0;
  t.edge[1] = p2 - p1;
  t.edge[2] = p0 - p2;
  t.normal = cross(t.edge[0], t.edge[1]);
  t.double_area = std::sqrt(dot(t.normal, t.normal));
  return t;
}

// cot of the angle at corner c: the edges that leave it are edge[c] and -edge[c + 2].
GEOSPEC_HOST_DEVICE double corner_cotangent(const Triangle& t, int c) {
  return -dot(t.edge[c], t.edge[(c + 2) % 3]) / t.double_area;
}

template <class T>
GEOSPEC_HOST_DEVICE void face_cotangents(const T* vertices, const int64_t* face, T* cotangents, T* area) {
  const Triangle t = load_triangle(vertices, face);
  for (int c = 0; c < 3; ++c) cotangents[c] = T(corner_cotangent(t, c));
  *area = T(0.5 * t.double_area);
}

// With u, v the edges that leave a corner, A = |u x v| and n = (u x v) / A:
//   d cot = (v . du + u . dv) / A - cot / A dA,   dA = (v x n) . du + (n x u) . dv.
template <class T>
GEOSPEC_HOST_DEVICE void face_cotangents_backward(const T* vertices, const int64_t* face, const T* grad_cotangents,
                                                  T grad_area, T* grad_corners) {
  const Triangle t = load_triangle(vertices, face);
  const Vec3 n = (1.0 / t.double_area) * t.normal;
  Vec3 grad[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
  double grad_double_area = 0.5 * double(grad_area);
  for (int c = 0; c < 3; ++c) {
    const double g = double(grad_cotangents[c]) / t.double_area;
    const Vec3 u = t.edge[c], v = -1.0 * t.edge[(c + 2) % 3];
    grad[(c + 1) % 3] = grad[(c + 1) % 3] + g * v;
    grad[(c + 2) % 3] = grad[(c + 2) % 3] + g * u;
    grad[c] = grad[c] - g * (u + v);
    grad_double_area -= g * corner_cotangent(t, c);
  }
  for (int c = 0; c < 3; ++c) {  // dA in each corner: the opposite edge turned by a right angle
    grad[c] = grad[c] + grad_double_area * cross(n, t.edge[(c + 1) % 3]);
    grad_corners[3 * c] = T(grad[c].x);
    grad_corners[3 * c + 1] = T(grad[c].y);
    grad_corners[3 * c + 2] = T(grad[c].z);
  }
}

}  // namespace geospec
