// What the transforms accept, the same on both devices.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "common/checks.h"
#include "wavelet3d/wavelet3d.h"

namespace geospec {

// One level of a batch of grids: their samples and their coefficients, in either direction.
struct WaveletLevel {
  wavelet::Filters filters;
  std::vector<int64_t> leading;
  int64_t batch, n[3], m[3];

  int64_t cells() const { return m[0] * m[1] * m[2]; }
  int64_t details() const { return filters.bands == 2 ? 7 : 0; }

  template <class T>
  wavelet::Side<T> samples(T* grid) const {
    return {1, {n[0], n[1], n[2]}, grid, nullptr};
  }

  template <class T>
  wavelet::Side<T> coefficients(T* coarse, T* details) const {
    return {filters.bands, {m[0], m[1], m[2]}, coarse, details};
  }

  // The matrix of each axis.
  std::array<wavelet::Matrix, 3> to_bands() const { return each(wavelet::to_bands); }
  std::array<wavelet::Matrix, 3> to_samples() const { return each(wavelet::to_samples); }

  std::vector<int64_t> grid_shape() const { return with({n[0], n[1], n[2]}); }
  std::vector<int64_t> coarse_shape() const { return with({m[0], m[1], m[2]}); }
  std::vector<int64_t> details_shape() const { return with({details(), m[0], m[1], m[2]}); }

 private:
  // Axes of one length have one matrix, which is made once.
  template <class F>
  std::array<wavelet::Matrix, 3> each(const F& make) const {
    std::array<wavelet::Matrix, 3> matrices;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t same = std::find(n, n + axis, n[axis]) - n;
      matrices[axis] = same < axis ? matrices[same] : make(filters, n[axis]);
    }
    return matrices;
  }

  std::vector<int64_t> with(std::initializer_list<int64_t> last) const {
    std::vector<int64_t> shape = leading;
    shape.insert(shape.end(), last);
    return shape;
  }
};

// `shaped` has the leading dimensions of the batch before its last three.
inline WaveletLevel check_level(const Tensor& shaped, const char* name, const std::vector<int64_t>& n,
                                const Tensor& taps, const std::string& mode, bool adjoint) {
  check_float(shaped, name);
  STD_TORCH_CHECK(shaped.dim() >= 3, name, ": wanted shape (..., n0, n1, n2), got ", describe(shaped));
  STD_TORCH_CHECK(
      taps.dim() == 2 && (taps.size(0) == 1 || taps.size(0) == 2) && taps.size(1) >= 2 && taps.size(1) % 2 == 0,
      "taps: wanted shape (1 or 2, length) of an even length, got ", describe(taps));
  STD_TORCH_CHECK(taps.scalar_type() == ScalarType::Double, "taps: wanted float64, got another type");
  WaveletLevel level{};
  const torch::stable::Device cpu(torch::headeronly::DeviceType::CPU);
  const Tensor given = torch::stable::contiguous(torch::stable::to(taps, cpu));
  level.filters = {{data<double>(given), data<double>(given) + given.numel()},
                   taps.size(0),
                   taps.size(1),
                   wavelet::Mode::zero,
                   adjoint};
  STD_TORCH_CHECK(wavelet::mode_of(mode, level.filters.mode), "mode: wanted one of constant, zero, symmetric, ",
                  "antisymmetric, reflect, antireflect, periodic, smooth, periodization, got ", mode);
  STD_TORCH_CHECK(
      n.size() == 3 && n[0] > 0 && n[1] > 0 && n[2] > 0 && n[0] < (1 << 28) && n[1] < (1 << 28) && n[2] < (1 << 28),
      "shape: wanted three sizes of at least 1 and below 2^28");
  level.batch = 1;
  for (int64_t d = 0; d < shaped.dim() - 3; ++d) {
    level.leading.push_back(shaped.size(d));
    level.batch *= shaped.size(d);
  }
  for (int axis = 0; axis < 3; ++axis) {
    level.n[axis] = n[axis];
    level.m[axis] =
        wavelet::coefficients(n[axis], level.filters.length, level.filters.mode == wavelet::Mode::periodization);
  }
  return level;
}

inline WaveletLevel check_grid_level(const Tensor& grid, const Tensor& taps, const std::string& mode, bool adjoint) {
  STD_TORCH_CHECK(grid.dim() >= 3, "grid: wanted shape (..., n0, n1, n2), got ", describe(grid));
  const int64_t d = grid.dim();
  for (int64_t axis = d - 3; axis < d; ++axis)
    STD_TORCH_CHECK(grid.size(axis) > 0, "grid: wanted at least one sample along each axis, got ", describe(grid));
  return check_level(grid, "grid", {grid.size(d - 3), grid.size(d - 2), grid.size(d - 1)}, taps, mode, adjoint);
}

inline WaveletLevel check_band_level(const Tensor& coarse, const Tensor& details, const std::vector<int64_t>& shape,
                                     const Tensor& taps, const std::string& mode, bool adjoint) {
  const WaveletLevel level = check_level(coarse, "coarse", shape, taps, mode, adjoint);
  check_same_dtype(coarse, "coarse", details, "details");
  check_same_device(coarse, "coarse", details, "details");
  const auto is = [](const Tensor& t, const std::vector<int64_t>& wanted) {
    bool same = t.dim() == int64_t(wanted.size());
    for (int64_t d = 0; same && d < t.dim(); ++d) same = t.size(d) == wanted[d];
    return same;
  };
  STD_TORCH_CHECK(is(coarse, level.coarse_shape()), "coarse: wanted (..., ", level.m[0], ", ", level.m[1], ", ",
                  level.m[2], "), got ", describe(coarse));
  STD_TORCH_CHECK(is(details, level.details_shape()), "details: wanted the dimensions of coarse with ", level.details(),
                  " bands before the last three, got ", describe(details));
  return level;
}

}  // namespace geospec
