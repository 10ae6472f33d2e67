// Distance from a point to a triangle without divisions or branches, and where a line along x crosses one.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"

namespace geospec::mesh_sdf {

// A box of cells; values stand at their centres. Coordinates in the kernel are counted from the box's centre, times
// `scale`, a power of two that makes the longest half side 1 to 2: so squares stay in the range of floats.
struct Box {
  int64_t n[3];       // cells along x, y, z
  double centre[3];   // of the box, in its own units
  double scale;       // 1 / scale is the kernel's unit
  double spacing[3];  // sides of a cell, scaled

  GEOSPEC_HOST_DEVICE double at(int axis, int64_t i) const {
    return (double(i) + 0.5 - 0.5 * double(n[axis])) * spacing[axis];
  }
  GEOSPEC_HOST_DEVICE int64_t cells() const { return n[0] * n[1] * n[2]; }
  // The centre (x, y, z) of a cell by its place in memory, x fastest.
  GEOSPEC_HOST_DEVICE void cell(int64_t c, double* out) const {
    out[0] = at(0, c % n[0]);
    out[1] = at(1, c / n[0] % n[1]);
    out[2] = at(2, c / (n[0] * n[1]));
  }
  // How many of the n places along an axis a step from -1/2 stand before x, up to rounding.
  GEOSPEC_HOST_DEVICE int64_t before(int axis, double x) const {
    const double place = ceil(x / spacing[axis] + 0.5 * double(n[axis]) - 0.5);
    return place <= 0 ? 0 : place >= double(n[axis]) ? n[axis] : int64_t(place);
  }
};

// A side of a triangle in the triangle's plane: the place along it, `direction . (u, v)`, ends at `low` and `high`;
// the height above it, positive towards the third corner, is `normal . (u, v) - offset`.
template <class T>
struct Side {
  T normal[2], offset, low, high;  // the direction is (normal[1], -normal[0])
};

// A triangle in a frame of its own: u runs along its longest side, v towards the third corner, w off the plane. The
// origin is the foot of the box's centre, so that far corners of a large triangle do not cost digits near the box.
template <class T>
struct Triangle {
  T axes[3][3];          // rows u, v, w
  T offset_v, offset_w;  // v and w of the longest side
  T low, high, height;   // the corners span [low, high] in u and [0, height] in v
  Side<T> sides[2];      // the two shorter sides
};

GEOSPEC_HOST_DEVICE double dot(const double* a, const double* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

GEOSPEC_HOST_DEVICE void cross(const double* a, const double* b, double* out) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

// Any unit vector at a right angle to a unit vector.
inline void perpendicular(const double* a, double* out) {
  const int least = std::abs(a[0]) <= std::abs(a[1]) ? (std::abs(a[0]) <= std::abs(a[2]) ? 0 : 2)
                                                     : (std::abs(a[1]) <= std::abs(a[2]) ? 1 : 2);
  double axis[3] = {};
  axis[least] = 1;
  cross(a, axis, out);
  const double length = std::sqrt(dot(out, out));
  for (int k = 0; k < 3; ++k) out[k] /= length;
}

// The side from p to q, seen so that its third corner lies above.
template <class T>
Side<T> make_side(double pu, double pv, double qu, double qv) {
  const double x = qu - pu, y = qv - pv, length = std::sqrt(x * x + y * y);
  const double nu = length > 0 ? -y / length : 1, nv = length > 0 ? x / length : 0;
  const double low = nv * pu - nu * pv;
  return {{T(nu), T(nv)}, T(nu * pu + nv * pv), T(low), T(low + length)};
}

// corners: (3, 3). Triangles without area are lines or points and keep their distance.
template <class T>
Triangle<T> make_triangle(const double* corners) {
  double lengths[3];
  for (int s = 0; s < 3; ++s) {
    const double *p = corners + 3 * s, *q = corners + 3 * ((s + 1) % 3);
    const double d[3] = {q[0] - p[0], q[1] - p[1], q[2] - p[2]};
    lengths[s] = std::sqrt(dot(d, d));
  }
  const int first = lengths[0] >= lengths[1] ? (lengths[0] >= lengths[2] ? 0 : 2) : (lengths[1] >= lengths[2] ? 1 : 2);
  const double *a = corners + 3 * first, *b = corners + 3 * ((first + 1) % 3), *c = corners + 3 * ((first + 2) % 3);
  double u[3] = {1, 0, 0}, v[3], w[3];
  if (lengths[first] > 0)
    for (int k = 0; k < 3; ++k) u[k] = (b[k] - a[k]) / lengths[first];
  const double to_c[3] = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
  const double along = dot(to_c, u);
  for (int k = 0; k < 3; ++k) v[k] = to_c[k] - along * u[k];
  const double height = std::sqrt(dot(v, v));
  if (height > 1e-14 * lengths[first]) {
    const double tilt = dot(v, u) / height;  // a thin triangle's height holds few digits of its direction
    for (int k = 0; k < 3; ++k) v[k] = v[k] / height - tilt * u[k];
    const double length = std::sqrt(dot(v, v));
    for (int k = 0; k < 3; ++k) v[k] /= length;
  } else {
    perpendicular(u, v);
  }
  cross(u, v, w);
  const double ua = dot(u, a), ub = ua + lengths[first], uc = ua + along;
  Triangle<T> out;
  for (int k = 0; k < 3; ++k) {
    out.axes[0][k] = T(u[k]);
    out.axes[1][k] = T(v[k]);
    out.axes[2][k] = T(w[k]);
  }
  out.offset_v = T(dot(v, a));
  out.offset_w = T(dot(w, a));
  out.low = T(ua);
  out.high = T(ub);
  out.height = T(height);
  out.sides[0] = make_side<T>(ub, 0, uc, height);
  out.sides[1] = make_side<T>(uc, height, ua, 0);
  return out;
}

// What is left of a value outside [low, high]. V is a number or a register of them.
template <class V>
GEOSPEC_HOST_DEVICE V beyond(V x, V low, V high) {
  const V up = x < high ? x : high;
  return x - (up > low ? up : low);
}

// Squared distance of a point to a triangle, or something that is not below the limit where that is not.
template <class T>
GEOSPEC_HOST_DEVICE T squared_distance(const Triangle<T>& t, const T* p, T limit) {
  const T u = t.axes[0][0] * p[0] + t.axes[0][1] * p[1] + t.axes[0][2] * p[2];
  const T v = t.axes[1][0] * p[0] + t.axes[1][1] * p[1] + t.axes[1][2] * p[2] - t.offset_v;
  const T w = t.axes[2][0] * p[0] + t.axes[2][1] * p[1] + t.axes[2][2] * p[2] - t.offset_w;
  const T du = beyond(u, t.low, t.high), dv = beyond(v, T(0), t.height), box = du * du + dv * dv, off = w * w;
  if (!(box + off < limit)) return box + off;
  T plane = du * du + v * v, inside = v;
  for (const Side<T>& side : t.sides) {
    const T above = side.normal[0] * u + side.normal[1] * v - side.offset;
    const T along = beyond(side.normal[1] * u - side.normal[0] * v, side.low, side.high);
    plane = fmin(plane, above * above + along * along);
    inside = fmin(inside, above);
  }
  return (inside > 0 ? box : plane) + off;
}

// Weights of the corners (3, 3) at the point of their triangle nearest to p.
GEOSPEC_HOST_DEVICE void closest_weights(const double* p, const double* corners, double* weights) {
  double least = INFINITY;
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3;
    double along = 0, length = 0, squared = 0;
    for (int k = 0; k < 3; ++k) {
      const double side = corners[3 * j + k] - corners[3 * i + k];
      along += (p[k] - corners[3 * i + k]) * side;
      length += side * side;
    }
    const double t = length > 0 ? fmin(fmax(along / length, 0.0), 1.0) : 0;
    for (int k = 0; k < 3; ++k) {
      const double out = p[k] - corners[3 * i + k] - t * (corners[3 * j + k] - corners[3 * i + k]);
      squared += out * out;
    }
    if (!(squared < least)) continue;
    least = squared;
    weights[i] = 1 - t;
    weights[j] = t;
    weights[3 - i - j] = 0;
  }
  double side[2][3], normal[3], inner[3];
  for (int k = 0; k < 3; ++k) {
    side[0][k] = corners[3 + k] - corners[k];
    side[1][k] = corners[6 + k] - corners[k];
  }
  cross(side[0], side[1], normal);
  const double area = dot(normal, normal);
  if (!(area > 0)) return;
  for (int i = 0; i < 3; ++i) {  // the part of the area that the side across from corner i spans with p
    double edge[3], to[3], part[3];
    for (int k = 0; k < 3; ++k) {
      edge[k] = corners[3 * ((i + 2) % 3) + k] - corners[3 * ((i + 1) % 3) + k];
      to[k] = p[k] - corners[3 * ((i + 1) % 3) + k];
    }
    cross(edge, to, part);
    inner[i] = dot(part, normal) / area;
    if (inner[i] < 0) return;
  }
  for (int i = 0; i < 3; ++i) weights[i] = inner[i];
}

// What a cell's gradient, times the sign of its distance, adds to the corners (3, 3) of its nearest face: a corner
// moves the distance by its weight at the nearest point, against the way from there to the cell.
GEOSPEC_HOST_DEVICE void corner_gradients(const double* p, const double* corners, double grad, double* out) {
  double weights[3], away[3];
  closest_weights(p, corners, weights);
  for (int k = 0; k < 3; ++k)
    away[k] = p[k] - weights[0] * corners[k] - weights[1] * corners[3 + k] - weights[2] * corners[6 + k];
  const double length = sqrt(dot(away, away)), scale = length > 0 ? -grad / length : 0;
  for (int c = 0; c < 9; ++c) out[c] = scale * weights[c / 3] * away[c % 3];
}

// --- where a line along x crosses a triangle ---

// Sign of the exact (b - a) x (p - a), products of y and z: by expansions, where rounding leaves it open.
GEOSPEC_HOST_DEVICE int exact_side(double ay, double az, double by, double bz, double py, double pz) {
  const double factors[6][2] = {{by, pz}, {-by, az}, {-ay, pz}, {-bz, py}, {bz, ay}, {az, py}};
  double parts[12];
  int count = 0;
  const auto add = [&](double x) {  // grows the expansion, least part first
    int kept = 0;
    for (int i = 0; i < count; ++i) {
      const double sum = x + parts[i], round = sum - x;
      const double error = (x - (sum - round)) + (parts[i] - round);
      if (error != 0) parts[kept++] = error;
      x = sum;
    }
    parts[kept++] = x;
    count = kept;
  };
  for (const auto& f : factors) {
    const volatile double product = f[0] * f[1];  // not to be drawn into a fused sum
    add(fma(f[0], f[1], -product));
    add(product);
  }
  for (int i = count - 1; i >= 0; --i)
    if (parts[i] != 0) return parts[i] > 0 ? 1 : -1;
  return 0;
}

// Whether (y, z) lies before the line from the lower end `a` to the upper end `b`, a[2] < b[2], as y grows. Exact, and
// points of the line do not lie before it: so of two triangles that share the side one alone has the point.
GEOSPEC_HOST_DEVICE bool before_side(const double* a, const double* b, double y, double z) {
  const double left = (b[1] - a[1]) * (z - a[2]), right = (b[2] - a[2]) * (y - a[1]), side = left - right;
  const double doubt = 4e-16 * (fabs(left) + fabs(right));
  if (side > doubt) return true;
  if (side < -doubt) return false;
  return exact_side(a[1], a[2], b[1], b[2], y, z) > 0;
}

// The first of the rows y_0 < y_1 < ... at height z that does not lie before the line.
GEOSPEC_HOST_DEVICE int64_t rows_before(const Box& box, const double* a, const double* b, double z) {
  const double y = a[1] + (z - a[2]) * ((b[1] - a[1]) / (b[2] - a[2]));
  int64_t j = box.before(1, y);
  while (j > 0 && !before_side(a, b, box.at(1, j - 1), z)) --j;
  while (j < box.n[1] && before_side(a, b, box.at(1, j), z)) ++j;
  return j;
}

// Calls visit(j, i, turn) for the rows j at height z that cross the triangle before the cell i: turn is 1 where the
// line enters a surface whose faces are counter-clockwise from outside, -1 where it leaves. A side counts from its
// lower end up to and without its upper one, so that every row crosses a closed surface as often in as out, whatever it
// touches.
template <class F>
GEOSPEC_HOST_DEVICE void cross_rows(const Box& box, const double* corners, double z, const F& visit) {
  int64_t up = 0, down = 0;
  for (int s = 0; s < 3; ++s) {
    const double *a = corners + 3 * s, *b = corners + 3 * ((s + 1) % 3);
    if (a[2] <= z && z < b[2]) up = rows_before(box, a, b, z);
    if (b[2] <= z && z < a[2]) down = rows_before(box, b, a, z);
  }
  if (up == down) return;
  const double *a = corners, *b = corners + 3, *c = corners + 6;
  const double ab[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]}, ac[3] = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
  double normal[3];
  cross(ab, ac, normal);
  const double least = fmin(a[0], fmin(b[0], c[0])), most = fmax(a[0], fmax(b[0], c[0]));
  for (int64_t j = up < down ? up : down; j < (up < down ? down : up); ++j) {
    const double slope = normal[1] * (box.at(1, j) - a[1]) + normal[2] * (z - a[2]);
    double x = normal[0] != 0 ? a[0] - slope / normal[0] : least;
    x = x < least ? least : x > most ? most : x;
    const int64_t i = box.before(0, x);
    if (i < box.n[0]) visit(j, i, up > down ? -1 : 1);
  }
}

}  // namespace geospec::mesh_sdf
