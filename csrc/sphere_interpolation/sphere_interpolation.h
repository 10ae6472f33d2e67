// Where a direction falls on the grid of the doubled sphere: host and device.
//
// Node (t, p) stands at colatitude (t - width / 2) step and longitude (p - width / 2) step - pi, with step = pi / half;
// there are half + width rows and 2 half + width columns. A direction has `width` nodes around it on either axis.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"

namespace geospec::sphere {

// Nodes around a direction on one axis. The bump that is `width` nodes wide is as exact as the type.
template <class T>
constexpr int kWidth = sizeof(T) == 4 ? 7 : 14;

constexpr double kPi = 3.14159265358979323846;

// The first of the nodes around an angle of 0 to limit steps; `within`, in [-1, 1], is where that node stands in the
// step that the bump begins with.
GEOSPEC_HOST_DEVICE int64_t first_node(double steps, int64_t limit, double& within) {
  const int64_t whole = int64_t(steps), up = whole + (steps > double(whole)), first = up < limit ? up : limit;
  within = 2 * (double(first) - steps) - 1;
  return first;
}

// South and east at a direction of which `across` is the distance from the axis: how far a motion by one step south,
// and one east, goes along x, y and z. At a pole east is y, as its longitude is 0.
GEOSPEC_HOST_DEVICE void from_slopes(double x, double y, double z, double across, double south, double east,
                                     double* out) {
  const double c = across > 0 ? x / across : 1, s = across > 0 ? y / across : 0;
  out[0] = south * z * c - east * s;
  out[1] = south * z * s + east * c;
  out[2] = -south * across;
}

// Distance from the axis; 0 where the square of it is too small for a longitude.
GEOSPEC_HOST_DEVICE double from_axis(double x, double y) {
  const double square = x * x + y * y;
  return square > 1e-280 ? sqrt(square) : 0;
}

}  // namespace geospec::sphere
