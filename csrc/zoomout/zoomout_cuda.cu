#include <torch/csrc/stable/library.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "common/cuda.h"
#include "spectral_nearest/spectral_nearest.h"
#include "spectral_nearest/tile_cuda.h"
#include "zoomout/checks.h"
#include "zoomout/zoomout.h"

namespace geospec {
namespace {

constexpr int64_t kMostGrid = 65535;  // blocks along the slow sides of a grid

// points (b, n_s, k_t): what each map makes of each row of the source, whose rows lie `stride` apart.
template <class T>
__global__ void carry_kernel(const T* maps, const T* source, int64_t b, int64_t n_s, int64_t k_s, int64_t k_t,
                             int64_t stride, double scale, T* points) {
  GEOSPEC_GRID_STRIDE(i, b * n_s * k_t) {
    const int64_t row = i / k_t % n_s, map = i / k_t / n_s;
    points[i] = carried(maps + map * k_t * k_s, source + row * stride, i % k_t, k_s, scale);
  }
}

// Running argmin of a tile of queries over the points of a map (blockIdx.y). It begins at the images of the step
// before, if there was one, so that few points are measured in double.
template <class T>
__global__ void __launch_bounds__(kSide* kSide)
    images_kernel(const T* queries, const T* all_points, int64_t b, int64_t n_t, int64_t n_s, int64_t d, int64_t stride,
                  bool started, int64_t* all_images) {
  __shared__ T query_tile[kChunk][kTile + 1], point_tile[kChunk][kTile + 1];
  const int row = threadIdx.x / kSide, column = threadIdx.x % kSide;
  const int64_t q0 = int64_t(blockIdx.x) * kTile;
  const T slack = T(1) + T(4) * rounding_error(d, T(1));
  for (int64_t map = blockIdx.y; map < b; map += gridDim.y) {
    const T* points = all_points + map * n_s * d;
    int64_t* images = all_images + map * n_t;
    Winners<T> winners;
    for (int i = 0; i < kEach; ++i) {
      const int64_t query = q0 + row + kSide * i;
      const bool known = started && query < n_t;
      const int64_t image = known ? images[query] : kNone;
      const double squared = known ? squared_distance(queries + query * stride, points + image * d, d, 1.0) : INFINITY;
      winners.begin(i, squared, image, slack);
    }
    offer(queries, q0, n_t, stride, points, int64_t(0), n_s, d, slack, query_tile, point_tile, winners);
    __syncthreads();  // every thread of a row has read the images that its first is about to write
    agree(winners);
    for (int i = 0; i < kEach; ++i) {
      const int64_t query = q0 + row + kSide * i;
      const int64_t winner = winners.index[i];
      if (column == 0 && query < n_t) images[query] = winner == kNone ? 0 : winner;  // none: not comparable
    }
    __syncthreads();
  }
}

// sums (b, k_t, k_s): a thread an entry, its terms in order, so that results repeat. Tiles of both sides are shared.
template <class T>
__global__ void __launch_bounds__(kSide* kSide)
    project_kernel(const T* target, const T* measure, const T* source, const int64_t* all_images, int64_t b,
                   int64_t n_t, int64_t k_t, int64_t k_s, int64_t target_stride, int64_t source_stride, double* sums) {
  __shared__ T left[kSide][kSide + 1], right[kSide][kSide + 1];
  const int y = threadIdx.x / kSide, x = threadIdx.x % kSide;
  const int64_t i = int64_t(blockIdx.x) * kSide, j = int64_t(blockIdx.y) * kSide;
  for (int64_t map = blockIdx.z; map < b; map += gridDim.z) {
    const int64_t* images = all_images + map * n_t;
    double sum = 0;
    for (int64_t p0 = 0; p0 < n_t; p0 += kSide) {
      const int64_t p = p0 + y;
      const bool inside = p < n_t;
      const T weight = inside && measure ? measure[p] : T(1);
      __syncthreads();
      left[y][x] = inside && i + x < k_t ? weight * target[p * target_stride + i + x] : T(0);
      right[y][x] = inside && j + x < k_s ? source[images[p] * source_stride + j + x] : T(0);
      __syncthreads();
#pragma unroll
      for (int t = 0; t < kSide; ++t) sum += double(left[t][y]) * double(right[t][x]);
    }
    if (i + y < k_t && j + x < k_s) sums[(map * k_t + i + y) * k_s + j + x] = sum;
  }
}

// Each thread divides a column of a map.
__global__ void divide_kernel(const double* factor, int64_t of, int64_t b, int64_t k_t, int64_t k_s, double* sums) {
  GEOSPEC_GRID_STRIDE(i, b * k_s) divide_column(factor, of, k_t, sums + i / k_s * k_t * k_s + i % k_s, k_s);
}

template <class T>
__global__ void round_kernel(const double* sums, int64_t n, T* maps) {
  GEOSPEC_GRID_STRIDE(i, n) maps[i] = T(sums[i]);
}

std::tuple<Tensor, Tensor> zoomout(const Tensor& maps_in, const Tensor& source_in, const Tensor& target_in,
                                   std::vector<int64_t> source_sizes, std::vector<int64_t> target_sizes,
                                   std::optional<Tensor> measure_in, std::optional<Tensor> factor_in, double scale) {
  check_zoomout(maps_in, source_in, target_in, source_sizes, target_sizes, measure_in, factor_in);
  torch::stable::accelerator::DeviceGuard guard(maps_in.get_device_index());
  const Tensor first = torch::stable::contiguous(maps_in), source = torch::stable::contiguous(source_in),
               target = torch::stable::contiguous(target_in);
  std::optional<Tensor> measure, factor;
  if (measure_in) measure = torch::stable::contiguous(*measure_in);
  if (factor_in) factor = torch::stable::contiguous(*factor_in);
  const int64_t b = first.size(0), n_s = source.size(0), n_t = target.size(0), most_s = source.size(1),
                most_t = target.size(1);
  Tensor out = torch::stable::new_empty(first, {b, most_t, most_s});
  Tensor images = torch::stable::new_empty(first, {b, n_t}, ScalarType::Long);
  if (b == 0) return {out, images};
  const int64_t tiles = (n_t + kTile - 1) / kTile, strips = (most_s + kSide - 1) / kSide;
  STD_TORCH_CHECK(tiles <= INT32_MAX, "target: wanted at most 2^37 rows, got ", n_t);
  STD_TORCH_CHECK(strips <= kMostGrid, "source: wanted at most 2^20 columns, got ", most_s);
  Tensor points = torch::stable::new_empty(first, {b, n_s, most_t});
  Tensor maps = torch::stable::new_empty(first, {b, most_t, most_s});
  Tensor sums = torch::stable::new_empty(first, {b, most_t, most_s}, ScalarType::Double);
  const cudaStream_t stream = current_stream(first);
  const unsigned many = static_cast<unsigned>(std::min(b, kMostGrid));
  dispatch_float(first, "maps", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* current = data<T>(first);
    const size_t steps = source_sizes.size() - 1;
    for (size_t step = 0; step < steps; ++step) {
      const int64_t k_s = source_sizes[step], k_t = target_sizes[step], next_s = source_sizes[step + 1],
                    next_t = target_sizes[step + 1];
      carry_kernel<T><<<blocks_for(b * n_s * k_t), kThreads, 0, stream>>>(current, data<T>(source), b, n_s, k_s, k_t,
                                                                          most_s, scale, data<T>(points));
      STD_CUDA_KERNEL_LAUNCH_CHECK();
      if (n_t > 0) {
        images_kernel<T><<<dim3(static_cast<unsigned>(tiles), many), kSide * kSide, 0, stream>>>(
            data<T>(target), data<T>(points), b, n_t, n_s, k_t, most_t, step > 0, data<int64_t>(images));
        STD_CUDA_KERNEL_LAUNCH_CHECK();
      }
      const dim3 grid(static_cast<unsigned>((next_t + kSide - 1) / kSide),
                      static_cast<unsigned>((next_s + kSide - 1) / kSide), many);
      project_kernel<T><<<grid, kSide * kSide, 0, stream>>>(
          data<T>(target), measure ? data<T>(std::as_const(*measure)) : nullptr, data<T>(source), data<int64_t>(images),
          b, n_t, next_t, next_s, most_t, most_s, data<double>(sums));
      STD_CUDA_KERNEL_LAUNCH_CHECK();
      if (factor) {
        divide_kernel<<<blocks_for(b * next_s), kThreads, 0, stream>>>(data<double>(std::as_const(*factor)), most_t, b,
                                                                       next_t, next_s, data<double>(sums));
        STD_CUDA_KERNEL_LAUNCH_CHECK();
      }
      T* grown = step + 1 == steps ? data<T>(out) : data<T>(maps);
      round_kernel<T>
          <<<blocks_for(b * next_t * next_s), kThreads, 0, stream>>>(data<double>(sums), b * next_t * next_s, grown);
      STD_CUDA_KERNEL_LAUNCH_CHECK();
      current = grown;
    }
  });
  return {out, images};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) { m.impl("zoomout", TORCH_BOX(&zoomout)); }

}  // namespace geospec
