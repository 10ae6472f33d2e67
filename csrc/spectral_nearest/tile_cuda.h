// A block of threads that brings a tile of queries up to date with a run of points: what every brute-force search
// shares.
#pragma once

#include <cmath>
#include <cstdint>

#include "spectral_nearest/spectral_nearest.h"

namespace geospec {
namespace {

constexpr int kTile = 64;             // queries, and points, that a block of threads holds at once
constexpr int kEach = 4;              // of each, per thread
constexpr int kSide = kTile / kEach;  // threads along either side: 16 x 16
constexpr int kChunk = 16;            // coordinates in shared memory at once
constexpr int64_t kNone = INT64_MAX;  // the index before any point has won

// Copies coordinates [first, first + kChunk) of R rows, which lie `stride` apart, transposed; zeros beyond the ends.
template <int R, class T>
__device__ void load_tile(const T* rows, int64_t begin, int64_t end, int64_t stride, int64_t d, int64_t first,
                          T (*tile)[R + 1]) {
  for (int i = threadIdx.x; i < R * kChunk; i += blockDim.x) {
    const int r = i / kChunk, k = i % kChunk;
    const bool inside = begin + r < end && first + k < d;
    tile[k][r] = inside ? rows[(begin + r) * stride + first + k] : T(0);
  }
}

// The running argmin of the kEach queries that a thread answers for, q0 + row + kSide i, and the sums of squared
// differences in T up to which a point is measured again in double.
template <class T>
struct Winners {
  double best[kEach];
  int64_t index[kEach];
  T bar[kEach];

  __device__ void begin(int i, double squared, int64_t point, T slack) {
    best[i] = squared;
    index[i] = point;
    bar[i] = T(squared) * slack;
  }
};

// Offers points [begin, end) to the queries of a block, which are rows of [0, q) from q0 on, `stride` apart. Sums in T,
// free of cancellation, decide which points are measured in double, so the winner is that of the CPU kernel.
template <class T>
__device__ void offer(const T* queries, int64_t q0, int64_t q, int64_t stride, const T* points, int64_t begin,
                      int64_t end, int64_t d, T slack, T (*query_tile)[kTile + 1], T (*point_tile)[kTile + 1],
                      Winners<T>& winners) {
  const int row = threadIdx.x / kSide, column = threadIdx.x % kSide;
  for (int64_t p0 = begin; p0 < end; p0 += kTile) {
    T sum[kEach][kEach] = {};
    for (int64_t first = 0; first < d; first += kChunk) {
      __syncthreads();
      load_tile<kTile>(queries, q0, q, stride, d, first, query_tile);
      load_tile<kTile>(points, p0, end, d, d, first, point_tile);
      __syncthreads();
#pragma unroll
      for (int k = 0; k < kChunk; ++k) {
        T x[kEach], y[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
          x[i] = query_tile[k][row + kSide * i];
          y[i] = point_tile[k][column + kSide * i];
        }
#pragma unroll
        for (int i = 0; i < kEach; ++i)
#pragma unroll
          for (int j = 0; j < kEach; ++j) sum[i][j] += (x[i] - y[j]) * (x[i] - y[j]);
      }
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int64_t query = q0 + row + kSide * i;
      if (query >= q) continue;
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const int64_t point = p0 + column + kSide * j;
        if (point >= end || !(sum[i][j] <= winners.bar[i])) continue;
        const double squared = squared_distance(queries + query * stride, points + point * d, d, 1.0);
        if (wins(squared, point, winners.best[i], winners.index[i])) winners.begin(i, squared, point, slack);
      }
    }
  }
}

// Gives every thread the winner of its row of threads, which are neighbours in a warp and answer for the same queries.
template <class T>
__device__ void agree(Winners<T>& winners) {
#pragma unroll
  for (int i = 0; i < kEach; ++i)
    for (int offset = kSide / 2; offset > 0; offset /= 2) {
      const double other = __shfl_xor_sync(0xffffffffu, winners.best[i], offset, kSide);
      const int64_t other_index = __shfl_xor_sync(0xffffffffu, static_cast<long long>(winners.index[i]), offset, kSide);
      if (wins(other, other_index, winners.best[i], winners.index[i])) {
        winners.best[i] = other;
        winners.index[i] = other_index;
      }
    }
}

}  // namespace
}  // namespace geospec
