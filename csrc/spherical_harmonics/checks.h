// What the ops of spherical harmonics accept, the same on both devices.
#pragma once

#include <atomic>
#include <limits>

#include "common/checks.h"
#include "spherical_harmonics/spherical_harmonics.h"

namespace geospec {

struct HarmonicInputs {
  Tensor xyz, table;  // contiguous
  int64_t n, degree, k;
};

// The degree of a table of (degree + 1)(degree + 2) / 2 rows.
inline int64_t degree_of_table(const Tensor& table) {
  int64_t degree = 0;
  while ((degree + 1) * (degree + 2) / 2 < table.size(0)) ++degree;
  STD_TORCH_CHECK((degree + 1) * (degree + 2) / 2 == table.size(0),
                  "table: wanted (degree + 1)(degree + 2) / 2 rows, got ", table.size(0));
  return degree;
}

inline HarmonicInputs check_harmonics(const Tensor& xyz, const Tensor& table) {
  check_matrix(xyz, "xyz", 3);
  check_float(xyz, "xyz");
  check_matrix(table, "table", harmonics::kCoefficients);
  check_same_dtype(xyz, "xyz", table, "table");
  check_same_device(xyz, "xyz", table, "table");
  const int64_t degree = degree_of_table(table);
  return {torch::stable::contiguous(xyz), torch::stable::contiguous(table), xyz.size(0), degree,
          harmonics::features(degree)};
}

// Something for each point, beside xyz: contiguous.
inline Tensor check_beside(const Tensor& t, const char* name, const HarmonicInputs& in, int64_t columns) {
  STD_TORCH_CHECK(t.dim() == 2 && t.size(0) == in.n && t.size(1) == columns, name, ": wanted shape (", in.n, ", ",
                  columns, "), got ", describe(t));
  check_same_dtype(in.xyz, "xyz", t, name);
  check_same_device(in.xyz, "xyz", t, name);
  return torch::stable::contiguous(t);
}

// The first point that is no direction, found by any thread.
class FirstUnusable {
 public:
  void note(int64_t point) {
    int64_t seen = first_.load(std::memory_order_relaxed);
    while (point < seen && !first_.compare_exchange_weak(seen, point)) {
    }
  }

  template <class T>
  void raise(const T* xyz, bool normalize) const {
    const int64_t i = first_.load();
    if (i == std::numeric_limits<int64_t>::max()) return;
    const T* v = xyz + 3 * i;
    STD_TORCH_CHECK(!normalize, "xyz: wanted finite vectors other than zero, got (", v[0], ", ", v[1], ", ", v[2],
                    ") in row ", i);
    const double length = std::sqrt(double(v[0]) * v[0] + double(v[1]) * v[1] + double(v[2]) * v[2]);
    STD_TORCH_CHECK(false, "xyz: wanted vectors of length 1, got length ", length, " in row ", i,
                    "; normalize=True takes vectors for their directions");
  }

 private:
  std::atomic<int64_t> first_{std::numeric_limits<int64_t>::max()};
};

}  // namespace geospec
