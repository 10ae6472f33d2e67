// Where the children of a coarse cell stand among finer details, and the order of floats as integers.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "common/host_device.h"

namespace geospec::tree {

// Cell p of an axis has the children fan p + o - shift, o in [0, fan), of which those in [0, size) exist.
struct Axis {
  int64_t cells, size;
};

struct Fan {
  Axis axis[3];
  int64_t fan, shift;

  GEOSPEC_HOST_DEVICE int64_t cells() const { return axis[0].cells * axis[1].cells * axis[2].cells; }
  GEOSPEC_HOST_DEVICE int64_t details() const { return axis[0].size * axis[1].size * axis[2].size; }
  GEOSPEC_HOST_DEVICE int64_t children() const { return fan * fan * fan; }
  GEOSPEC_HOST_DEVICE int64_t child(int64_t cell, int64_t offset) const { return fan * cell + offset - shift; }
  GEOSPEC_HOST_DEVICE bool exists(int d, int64_t child) const { return child >= 0 && child < axis[d].size; }
};

// The offsets [begin, end) of the children of a cell that exist along axis d.
struct Span {
  int64_t begin, end;
};

GEOSPEC_HOST_DEVICE Span existing(const Fan& f, int d, int64_t cell) {
  const int64_t first = f.child(cell, 0), left = f.axis[d].size - first;
  return {first < 0 ? (-first < f.fan ? -first : f.fan) : 0, left < 0 ? 0 : (left < f.fan ? left : f.fan)};
}

// Flat place of child number `o` (o0 fan^2 + o1 fan + o2) of a flat cell, or -1 where it does not exist.
GEOSPEC_HOST_DEVICE int64_t child_place(const Fan& f, int64_t cell, int64_t o) {
  const int64_t c2 = cell % f.axis[2].cells, c1 = cell / f.axis[2].cells % f.axis[1].cells;
  const int64_t c0 = cell / f.axis[2].cells / f.axis[1].cells;
  const int64_t i = f.child(c0, o / (f.fan * f.fan)), j = f.child(c1, o / f.fan % f.fan), k = f.child(c2, o % f.fan);
  if (!f.exists(0, i) || !f.exists(1, j) || !f.exists(2, k)) return -1;
  return (i * f.axis[1].size + j) * f.axis[2].size + k;
}

template <class T>
using Key = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// An integer that grows as the value does. Both zeros are one; a NaN of positive sign stands above infinity.
template <class T>
GEOSPEC_HOST_DEVICE Key<T> key_of(T value) {
  constexpr Key<T> sign = Key<T>(1) << (8 * sizeof(T) - 1);
  const T plain = value == T(0) ? T(0) : value;
  Key<T> bits;
  memcpy(&bits, &plain, sizeof(T));
  return bits & sign ? ~bits : bits | sign;
}

}  // namespace geospec::tree
