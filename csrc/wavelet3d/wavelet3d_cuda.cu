// The same three matrices, one axis after the other: a thread for each element of what an axis makes, and rows in the
// order of the CPU's sums. What lies between the axes is stored.
#include <torch/csrc/stable/library.h>

#include <array>
#include <tuple>
#include <type_traits>
#include <vector>

#include "common/cuda.h"
#include "wavelet3d/checks.h"

namespace geospec {
namespace {

using wavelet::Matrix;
using wavelet::Side;

template <class T>
struct DeviceRows {
  const int64_t* begin;
  const int32_t* index;
  const T* weight;
};

template <int axis, class T>
__global__ void axis_kernel(Side<const T> in, Side<T> out, DeviceRows<T> rows, int64_t count) {
  const int64_t last = out.bands * out.size[2], middle = out.bands * out.size[1], first = out.bands * out.size[0];
  GEOSPEC_GRID_STRIDE(e, count) {
    const int64_t at[3] = {e / (last * middle) % first, e / last % middle, e % last};
    const int64_t batch = e / (last * middle * first);
    T sum = 0;
    for (int64_t t = rows.begin[at[axis]]; t < rows.begin[at[axis] + 1]; ++t) {
      int64_t from[3] = {at[0], at[1], at[2]};
      from[axis] = rows.index[t];
      sum += rows.weight[t] * in.row(batch, from[0], from[1], from[2] / in.size[2])[from[2] % in.size[2]];
    }
    out.row(batch, at[0], at[1], at[2] / out.size[2])[at[2] % out.size[2]] = sum;
  }
}

template <int axis, class T>
void filter_axis(const Matrix& matrix, const Side<const T>& in, const Side<T>& out, int64_t batch, const Tensor& like) {
  const int64_t count = batch * out.bands * out.bands * out.bands * out.cells();
  if (count == 0) return;
  const std::vector<T> rounded(matrix.weight.begin(), matrix.weight.end());
  const Tensor begin = on_device(matrix.begin, like, ScalarType::Long);
  const Tensor index = on_device(matrix.index, like, ScalarType::Int);
  const Tensor weight = on_device(rounded, like, like.scalar_type());
  axis_kernel<axis, T><<<blocks_for(count), kThreads, 0, current_stream(like)>>>(
      in, out, {data<int64_t>(begin), data<int32_t>(index), data<T>(weight)}, count);
  STD_CUDA_KERNEL_LAUNCH_CHECK();
}

// Bands of an axis that is done or yet to be done stand one after the other along it.
template <class T>
void filter(const std::array<Matrix, 3>& matrices, const Side<const T>& in, const Side<T>& out, int64_t batch,
            const Tensor& like) {
  const int64_t sizes[2][3] = {{matrices[0].rows, matrices[1].columns, matrices[2].columns},
                               {matrices[0].rows, matrices[1].rows, matrices[2].columns}};
  Tensor between[2] = {torch::stable::new_empty(like, {batch, sizes[0][0], sizes[0][1], sizes[0][2]}),
                       torch::stable::new_empty(like, {batch, sizes[1][0], sizes[1][1], sizes[1][2]})};
  const auto side = [&](int i) {
    return Side<T>{1, {sizes[i][0], sizes[i][1], sizes[i][2]}, data<T>(between[i]), nullptr};
  };
  const auto read = [](const Side<T>& s) {
    return Side<const T>{1, {s.size[0], s.size[1], s.size[2]}, s.first, nullptr};
  };
  filter_axis<0, T>(matrices[0], in, side(0), batch, like);
  filter_axis<1, T>(matrices[1], read(side(0)), side(1), batch, like);
  filter_axis<2, T>(matrices[2], read(side(1)), out, batch, like);
}

std::tuple<Tensor, Tensor> analyze(const Tensor& grid, const Tensor& taps, std::string mode, bool adjoint) {
  const WaveletLevel level = check_grid_level(grid, taps, mode, adjoint);
  torch::stable::accelerator::DeviceGuard guard(grid.get_device_index());
  const Tensor given = torch::stable::contiguous(grid);
  Tensor coarse = torch::stable::new_empty(given, level.coarse_shape());
  Tensor details = torch::stable::new_empty(given, level.details_shape());
  dispatch_float(given, "grid", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    filter<T>(level.to_bands(), level.samples(data<T>(given)), level.coefficients(data<T>(coarse), data<T>(details)),
              level.batch, given);
  });
  return {coarse, details};
}

Tensor synthesize(const Tensor& coarse, const Tensor& details, std::vector<int64_t> shape, const Tensor& taps,
                  std::string mode, bool adjoint) {
  const WaveletLevel level = check_band_level(coarse, details, shape, taps, mode, adjoint);
  torch::stable::accelerator::DeviceGuard guard(coarse.get_device_index());
  const Tensor first = torch::stable::contiguous(coarse), others = torch::stable::contiguous(details);
  Tensor grid = torch::stable::new_empty(first, level.grid_shape());
  dispatch_float(first, "coarse", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    filter<T>(level.to_samples(), level.coefficients(data<T>(first), data<T>(others)), level.samples(data<T>(grid)),
              level.batch, first);
  });
  return grid;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("wavelet3d_analyze", TORCH_BOX(&analyze));
  m.impl("wavelet3d_synthesize", TORCH_BOX(&synthesize));
}

}  // namespace geospec
