// One level along one axis: how a signal goes on beyond its ends, and the sparse matrix that filters it.
//
// A level of a 3D transform is the product of three such matrices, and its adjoint that of their transposes: whatever
// the mode does at the border is in their rows, so one loop serves analysis, synthesis and both adjoints.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "common/host_device.h"

namespace geospec::wavelet {

enum class Mode { constant, zero, symmetric, antisymmetric, reflect, antireflect, periodic, smooth, periodization };

// The mode of a name; false where there is none.
inline bool mode_of(const std::string& name, Mode& mode) {
  static const char* const names[] = {"constant",    "zero",     "symmetric", "antisymmetric", "reflect",
                                      "antireflect", "periodic", "smooth",    "periodization"};
  for (int i = 0; i < 9; ++i)
    if (name == names[i]) return mode = Mode(i), true;
  return false;
}

inline int64_t modulo(int64_t a, int64_t b) { return (a % b + b) % b; }

// Calls f(sample, weight) for what stands at place p of a signal of n samples; for nothing where it is zero.
template <class F>
void at_place(int64_t p, int64_t n, Mode mode, double weight, const F& f) {
  if (p >= 0 && p < n) return f(p, weight);
  const int64_t end = p < 0 ? 0 : n - 1, beyond = p < 0 ? -p : p - end;
  const int64_t twice = modulo(p, 2 * n), mirrored = twice < n ? twice : 2 * n - 1 - twice;
  switch (mode) {
    case Mode::zero:
      return;
    case Mode::constant:
      return f(end, weight);
    case Mode::symmetric:
      return f(mirrored, weight);
    case Mode::antisymmetric:
      return f(mirrored, twice < n ? weight : -weight);
    case Mode::periodic:
      return f(modulo(p, n), weight);
    case Mode::periodization:  // an odd signal has its last sample twice
      return f(std::min(modulo(p, n + n % 2), n - 1), weight);
    default:
      break;
  }
  if (n == 1) return f(0, weight);  // there is no other sample to go by
  const int64_t inner = p < 0 ? 1 : n - 2;
  if (mode == Mode::smooth) {
    f(end, weight * double(1 + beyond));
    return f(inner, -weight * double(beyond));
  }
  if (mode == Mode::antireflect) f(end, 2 * weight), weight = -weight;
  at_place(2 * end - p, n, mode, weight, f);
}

// Samples, which have one band, or coefficients, whose bands but the first stand in a second tensor.
template <class T>
struct Side {
  int64_t bands, size[3];  // bands along an axis
  T *first, *others;

  GEOSPEC_HOST_DEVICE int64_t cells() const { return size[0] * size[1] * size[2]; }

  GEOSPEC_HOST_DEVICE T* band(int64_t batch, int64_t b) const {
    return b == 0 ? first + batch * cells() : others + (batch * (bands == 2 ? 7 : 0) + b - 1) * cells();
  }

  // A row of the third axis: `i` counts along the first axis through its bands, `j` along the second.
  GEOSPEC_HOST_DEVICE T* row(int64_t batch, int64_t i, int64_t j, int64_t third_band) const {
    return band(batch, i / size[0] + 2 * (j / size[1]) + 4 * third_band) +
           (i % size[0] * size[1] + j % size[1]) * size[2];
  }
};

// How many coefficients n samples have under filters of even length.
GEOSPEC_HOST_DEVICE int64_t coefficients(int64_t n, int64_t length, bool periodization) {
  return periodization ? (n + 1) / 2 : (n + length - 1) / 2;
}

// Rows of index and weight, as CSR.
struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<int64_t> begin;
  std::vector<int32_t> index;
  std::vector<double> weight;
};

struct Entry {
  int64_t row, column;
  double weight;
};

// Sums entries of one place in the order in which they come.
inline Matrix matrix_of(std::vector<Entry> entries, int64_t rows, int64_t columns) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.row != b.row ? a.row < b.row : a.column < b.column; });
  Matrix matrix{rows, columns, std::vector<int64_t>(rows + 1, 0), {}, {}};
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& e = entries[i];
    if (i > 0 && entries[i - 1].row == e.row && entries[i - 1].column == e.column) {
      matrix.weight.back() += e.weight;
      continue;
    }
    ++matrix.begin[e.row + 1];
    matrix.index.push_back(int32_t(e.column));
    matrix.weight.push_back(e.weight);
  }
  for (int64_t r = 0; r < rows; ++r) matrix.begin[r + 1] += matrix.begin[r];
  return matrix;
}

struct Filters {
  std::vector<double> taps;  // (bands, length): low pass, then high pass where there are two bands
  int64_t bands, length;
  Mode mode;
  bool adjoint;  // analysis filters, used the other way about
};

// Calls f(band * m + k, sample, weight) for all that joins coefficient k of a band to a sample: of analysis, where
// coefficient k is sum_j taps[j] x(2 k + 1 - j), or of synthesis, where it adds taps[j] at place 2 k + j - (length -
// 2). Periodization has both shifted by half the length.
template <class F>
void for_entries(const Filters& filters, bool analysis, int64_t n, const F& f) {
  const bool periodization = filters.mode == Mode::periodization;
  const int64_t length = filters.length, m = coefficients(n, length, periodization);
  const int64_t shift = length / 2 - 1;
  for (int64_t band = 0; band < filters.bands; ++band)
    for (int64_t k = 0; k < m; ++k)
      for (int64_t j = 0; j < length; ++j) {
        const double tap = filters.taps[band * length + j];
        const int64_t row = band * m + k;
        if (tap == 0) continue;
        if (analysis) {
          const int64_t place = 2 * k + 1 - j + (periodization ? shift : 0);
          at_place(place, n, filters.mode, tap, [&](int64_t i, double weight) { f(row, i, weight); });
        } else {
          const int64_t place = 2 * k + j - (periodization ? shift : 2 * shift);
          const int64_t i = periodization ? modulo(place, n + n % 2) : place;
          if (i >= 0 && i < n) f(row, i, tap);
        }
      }
}

// From n samples to the coefficients of all bands, one band after the other: analysis, or the adjoint of synthesis.
inline Matrix to_bands(const Filters& filters, int64_t n) {
  std::vector<Entry> entries;
  for_entries(filters, !filters.adjoint, n,
              [&](int64_t row, int64_t i, double weight) { entries.push_back({row, i, weight}); });
  return matrix_of(std::move(entries),
                   filters.bands * coefficients(n, filters.length, filters.mode == Mode::periodization), n);
}

// From the coefficients of all bands to n samples: synthesis, or the adjoint of analysis.
inline Matrix to_samples(const Filters& filters, int64_t n) {
  std::vector<Entry> entries;
  for_entries(filters, filters.adjoint, n,
              [&](int64_t row, int64_t i, double weight) { entries.push_back({i, row, weight}); });
  return matrix_of(std::move(entries), n,
                   filters.bands * coefficients(n, filters.length, filters.mode == Mode::periodization));
}

}  // namespace geospec::wavelet
