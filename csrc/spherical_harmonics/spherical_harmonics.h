// Real spherical harmonics of one direction, one order at a time: host and device, numbers or registers of them.
//
// At u = (x, y, z), order m > 0, degree l: Y_{l,m} = Q_{l,m}(z) c_m, Y_{l,-m} = Q_{l,m}(z) s_m, with
// c_m + i s_m = (x + i y)^m. A table holds for each (m, l), orders first, the coefficients p, q, g of the recurrence of
// Q in l and d, with dQ_{l,m}/dz = d Q_{l,m+1}; factors of conventions and of normalisation are in it.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"

namespace geospec::harmonics {

constexpr int64_t kCoefficients = 4;

GEOSPEC_HOST_DEVICE int64_t features(int64_t degree) { return (degree + 1) * (degree + 1); }

// Row of the table where order m begins: its degrees m to `degree` follow.
GEOSPEC_HOST_DEVICE int64_t first_row(int64_t degree, int64_t m) { return m * (degree + 1) - m * (m - 1) / 2; }

// A unit vector, and the inverse of the length it had.
struct Direction {
  double x, y, z, inverse_length;
};

// How far the square of a length may be from 1 in a vector that is taken for a unit vector.
template <class T>
constexpr double kTolerance = sizeof(T) == 4 ? 2e-4 : 2e-6;

// Of a vector of any length, or of length about 1. `usable` becomes whether it may be taken for a direction.
template <class T>
GEOSPEC_HOST_DEVICE Direction direction(const T* xyz, bool normalize, bool& usable) {
  const double a = xyz[0], b = xyz[1], c = xyz[2], square = a * a + b * b + c * c, off = square - 1;
  // The series is right to the last digit of T within the tolerance.
  const double inverse = normalize ? 1 / sqrt(square) : 1 - off * (0.5 - 0.375 * off);
  usable = normalize ? square > 0 && square < 1e300 : fabs(off) <= kTolerance<T>;
  return {a * inverse, b * inverse, c * inverse, inverse};
}

// Q and its difference E from degree l - 1 to l, at |z|. Differences keep what a recurrence in z loses near the poles.
template <class V, class T>
GEOSPEC_HOST_DEVICE void advance(V& value, V& difference, const V& w, const T p, const T q, const T g) {
  difference = p * difference - (q * w) * value;
  value = g * value + difference;
}

// c + i s times x + i y.
template <class V>
GEOSPEC_HOST_DEVICE void turn(V& c, V& s, const V& x, const V& y) {
  const V cosine = x * c - y * s;
  s = x * s + y * c;
  c = cosine;
}

// First and second derivatives of a function near the sphere, in this order; hyy = -hxx, as parts in x and y are
// harmonic.
enum Jet { gx, gy, gz, hxx, hxy, hxz, hyz, hzz, kJet };

// Adds those of A(z) c_m + B(z) s_m, from sums a[i], b[i] of the i-th derivatives of A and B. `c`, `s` are of order m,
// c1, s1 of m - 1, c2, s2 of m - 2, anything where there is none.
template <bool second, class V, class T>
GEOSPEC_HOST_DEVICE void add_order(V* jet, const T m, const V* a, const V* b, const V& c, const V& s, const V& c1,
                                   const V& s1, const V& c2, const V& s2) {
  jet[gx] += m * (a[0] * c1 + b[0] * s1);
  jet[gy] += m * (b[0] * c1 - a[0] * s1);
  jet[gz] += a[1] * c + b[1] * s;
  if constexpr (second) {
    const T mm = m * (m - 1);
    jet[hxx] += mm * (a[0] * c2 + b[0] * s2);
    jet[hxy] += mm * (b[0] * c2 - a[0] * s2);
    jet[hxz] += m * (a[1] * c1 + b[1] * s1);
    jet[hyz] += m * (b[1] * c1 - a[1] * s1);
    jet[hzz] += a[2] * c + b[2] * s;
  }
}

// Gradient of f(x / |x|) from that of f at u = x / |x|.
template <class T>
GEOSPEC_HOST_DEVICE void gradient_on_rays(const Direction& u, const T* f, T* out) {
  const double along = f[gx] * u.x + f[gy] * u.y + f[gz] * u.z;
  out[0] = T((f[gx] - along * u.x) * u.inverse_length);
  out[1] = T((f[gy] - along * u.y) * u.inverse_length);
  out[2] = T((f[gz] - along * u.z) * u.inverse_length);
}

// The part of a vector across u, over the length: how u moves as x moves along v.
template <class T>
GEOSPEC_HOST_DEVICE void across(const Direction& u, const T* v, double* out) {
  const double along = v[0] * u.x + v[1] * u.y + v[2] * u.z;
  out[0] = (v[0] - along * u.x) * u.inverse_length;
  out[1] = (v[1] - along * u.y) * u.inverse_length;
  out[2] = (v[2] - along * u.z) * u.inverse_length;
}

// Hessian of f(x / |x|) times v: with P the projection across u,
// r^2 F'' v = P H P v - (g . P v) u - (g . u) P v - (u . v) P g.
template <class T>
GEOSPEC_HOST_DEVICE void hessian_on_rays(const Direction& u, const T* f, const T* v, T* out) {
  const double n[3] = {u.x, u.y, u.z}, g[3] = {double(f[gx]), double(f[gy]), double(f[gz])};
  const double along = v[0] * n[0] + v[1] * n[1] + v[2] * n[2], steep = g[0] * n[0] + g[1] * n[1] + g[2] * n[2];
  const double t[3] = {v[0] - along * n[0], v[1] - along * n[1], v[2] - along * n[2]};
  const double h[3] = {f[hxx] * t[0] + f[hxy] * t[1] + f[hxz] * t[2], f[hxy] * t[0] - f[hxx] * t[1] + f[hyz] * t[2],
                       f[hxz] * t[0] + f[hyz] * t[1] + f[hzz] * t[2]};
  const double rise = g[0] * t[0] + g[1] * t[1] + g[2] * t[2], bend = h[0] * n[0] + h[1] * n[1] + h[2] * n[2];
  for (int i = 0; i < 3; ++i) {
    const double own = h[i] - bend * n[i] - rise * n[i] - steep * t[i] - along * (g[i] - steep * n[i]);
    out[i] = T(own * u.inverse_length * u.inverse_length);
  }
}

}  // namespace geospec::harmonics
