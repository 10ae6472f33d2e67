#include <torch/csrc/stable/library.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>

#include "common/cuda.h"
#include "spectral_nearest/checks.h"
#include "spectral_nearest/spectral_nearest.h"
#include "spectral_nearest/tile_cuda.h"

namespace geospec {
namespace {

constexpr int64_t kWanted = 1024;  // blocks that fill a large device several times over

// Running argmin of each query over one share of the points (blockIdx.y).
template <class T>
__global__ void __launch_bounds__(kSide* kSide)
    nearest_kernel(const T* queries, const T* points, int64_t q, int64_t p, int64_t d, int64_t share, double* best_out,
                   int64_t* index_out) {
  __shared__ T query_tile[kChunk][kTile + 1], point_tile[kChunk][kTile + 1];
  const int64_t q0 = int64_t(blockIdx.x) * kTile, p_begin = int64_t(blockIdx.y) * share;
  const int64_t p_end = p_begin + share < p ? p_begin + share : p;
  const T slack = T(1) + T(4) * rounding_error(d, T(1));
  Winners<T> winners;
  for (int i = 0; i < kEach; ++i) winners.begin(i, INFINITY, kNone, slack);
  offer(queries, q0, q, d, points, p_begin, p_end, d, slack, query_tile, point_tile, winners);
  agree(winners);
  for (int i = 0; i < kEach; ++i) {
    const int64_t query = q0 + threadIdx.x / kSide + kSide * i;
    if (threadIdx.x % kSide == 0 && query < q) {
      best_out[blockIdx.y * q + query] = winners.best[i];
      index_out[blockIdx.y * q + query] = winners.index[i];
    }
  }
}

// A query that met no comparable point (NaN, which is not refused here: that would cost a wait) gets index 0, NaN.
template <class T>
__global__ void reduce_kernel(const double* best, const int64_t* index, int64_t shares, int64_t q, bool squared,
                              int64_t* indices, T* distances) {
  GEOSPEC_GRID_STRIDE(i, q) {
    double least = INFINITY;
    int64_t winner = kNone;
    for (int64_t s = 0; s < shares; ++s)
      if (wins(best[s * q + i], index[s * q + i], least, winner)) {
        least = best[s * q + i];
        winner = index[s * q + i];
      }
    indices[i] = winner == kNone ? 0 : winner;
    distances[i] = winner == kNone ? T(NAN) : T(squared ? least : sqrt(least));
  }
}

void check_method(const std::string& method) {
  STD_TORCH_CHECK(method == "auto" || method == "tree" || method == "brute",
                  "method: wanted one of 'auto', 'tree', 'brute', got '", method, "'");
}

std::tuple<Tensor, Tensor> spectral_nearest(const Tensor& queries_in, const Tensor& points_in, std::string method) {
  check_method(method);
  check_search(queries_in, points_in, 1);
  torch::stable::accelerator::DeviceGuard guard(queries_in.get_device_index());
  const Tensor queries = torch::stable::contiguous(queries_in), points = torch::stable::contiguous(points_in);
  const int64_t q = queries.size(0), p = points.size(0), d = queries.size(1);
  Tensor indices = new_index(queries, q), distances = torch::stable::new_empty(queries, {q});
  if (q == 0) return {distances, indices};
  const int64_t tiles = (q + kTile - 1) / kTile, point_tiles = (p + kTile - 1) / kTile;
  STD_TORCH_CHECK(tiles <= INT32_MAX, "queries: wanted at most 2^37 rows, got ", q);
  const int64_t wanted_shares = std::clamp<int64_t>(kWanted / tiles, 1, point_tiles);
  const int64_t share = (point_tiles + wanted_shares - 1) / wanted_shares * kTile, shares = (p + share - 1) / share;
  Tensor best = torch::stable::new_empty(queries, {shares, q}, ScalarType::Double);
  Tensor index = torch::stable::new_empty(queries, {shares, q}, ScalarType::Long);
  const cudaStream_t stream = current_stream(queries);
  dispatch_float(queries, "queries", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(shares));
    nearest_kernel<T><<<grid, kSide * kSide, 0, stream>>>(data<T>(queries), data<T>(points), q, p, d, share,
                                                          data<double>(best), data<int64_t>(index));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    reduce_kernel<T><<<blocks_for(q), kThreads, 0, stream>>>(data<double>(best), data<int64_t>(index), shares, q, false,
                                                             data<int64_t>(indices), data<T>(distances));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {distances, indices};
}

constexpr int kQueries = 128;  // a thread each
constexpr int kPoints = 16;    // that every thread compares at once

// The k nearest of the query of each thread, kept in order in global memory: (q, k) squared distances and indices.
// As above a sum of squared differences in T decides which points are measured in double.
template <class T>
__global__ void __launch_bounds__(kQueries) knn_kernel(const T* queries, const T* points, int64_t q, int64_t p,
                                                       int64_t d, int64_t k, double* best_out, int64_t* index_out) {
  __shared__ T query_tile[kChunk][kQueries + 1], point_tile[kChunk][kPoints + 1];
  const int64_t q0 = int64_t(blockIdx.x) * kQueries, query = q0 + threadIdx.x;
  const bool used = query < q;
  const T slack = T(1) + T(4) * rounding_error(d, T(1));
  double* best = best_out + query * k;
  int64_t* index = index_out + query * k;
  for (int64_t j = 0; used && j < k; ++j) {
    best[j] = INFINITY;
    index[j] = kNone;
  }
  T bar = INFINITY;
  for (int64_t p0 = 0; p0 < p; p0 += kPoints) {
    T sum[kPoints] = {};
    for (int64_t first = 0; first < d; first += kChunk) {
      __syncthreads();
      load_tile<kQueries>(queries, q0, q, d, d, first, query_tile);
      load_tile<kPoints>(points, p0, p, d, d, first, point_tile);
      __syncthreads();
#pragma unroll
      for (int c = 0; c < kChunk; ++c) {
        const T x = query_tile[c][threadIdx.x];
#pragma unroll
        for (int i = 0; i < kPoints; ++i) sum[i] += (x - point_tile[c][i]) * (x - point_tile[c][i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kPoints; ++i) {
      const int64_t point = p0 + i;
      if (!used || point >= p || !(sum[i] <= bar)) continue;
      const double squared = squared_distance(queries + query * d, points + point * d, d, 1.0);
      if (!wins(squared, point, best[k - 1], index[k - 1])) continue;
      int64_t place = k - 1;
      for (; place > 0 && wins(squared, point, best[place - 1], index[place - 1]); --place) {
        best[place] = best[place - 1];
        index[place] = index[place - 1];
      }
      best[place] = squared;
      index[place] = point;
      bar = T(best[k - 1]) * slack;
    }
  }
}

std::tuple<Tensor, Tensor> spectral_knn(const Tensor& queries_in, const Tensor& points_in, int64_t k,
                                        std::string method) {
  check_method(method);
  check_search(queries_in, points_in, k);
  torch::stable::accelerator::DeviceGuard guard(queries_in.get_device_index());
  const Tensor queries = torch::stable::contiguous(queries_in), points = torch::stable::contiguous(points_in);
  const int64_t q = queries.size(0), p = points.size(0), d = queries.size(1);
  Tensor indices = torch::stable::new_empty(queries, {q, k}, ScalarType::Long);
  Tensor distances = torch::stable::new_empty(queries, {q, k});
  if (q == 0) return {distances, indices};
  const int64_t tiles = (q + kQueries - 1) / kQueries;
  STD_TORCH_CHECK(tiles <= INT32_MAX, "queries: wanted at most 2^38 rows, got ", q);
  Tensor best = torch::stable::new_empty(queries, {q, k}, ScalarType::Double);
  Tensor index = torch::stable::new_empty(queries, {q, k}, ScalarType::Long);
  const cudaStream_t stream = current_stream(queries);
  dispatch_float(queries, "queries", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    knn_kernel<T><<<static_cast<unsigned>(tiles), kQueries, 0, stream>>>(data<T>(queries), data<T>(points), q, p, d, k,
                                                                         data<double>(best), data<int64_t>(index));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    reduce_kernel<T><<<blocks_for(q * k), kThreads, 0, stream>>>(data<double>(best), data<int64_t>(index), 1, q * k,
                                                                 true, data<int64_t>(indices), data<T>(distances));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {distances, indices};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("spectral_nearest", TORCH_BOX(&spectral_nearest));
  m.impl("spectral_knn", TORCH_BOX(&spectral_knn));
}

}  // namespace geospec
