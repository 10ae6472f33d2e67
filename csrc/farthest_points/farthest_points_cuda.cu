// The plain greedy loop: each step lowers every point's distance to the chosen ones and takes the farthest, by blocks
// first and then among the blocks. All steps are queued at once; none waits for the host.
#include <torch/csrc/stable/library.h>

#include "common/cuda.h"
#include "neighbours/neighbours.h"

namespace geospec {
namespace {

constexpr int64_t kMostBlocks = 1024;

struct Far {
  double squared;
  int64_t row;
};

__device__ Far farther(const Far& a, const Far& b) {
  return b.squared > a.squared || (b.squared == a.squared && b.row < a.row) ? b : a;
}

// The farthest of a block, in thread 0.
__device__ Far farthest_of_block(Far mine) {
  __shared__ Far all[kThreads];
  all[threadIdx.x] = mine;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.x) < half) all[threadIdx.x] = farther(all[threadIdx.x], all[threadIdx.x + half]);
  }
  return all[0];
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    lower_kernel(const T* points, int64_t n, int64_t d, const int64_t* last, double* nearest, Far* of_block) {
  const int64_t chosen = *last;
  Far mine = {-2.0, INT64_MAX};
  GEOSPEC_GRID_STRIDE(i, n) {
    const double squared = neighbours::squared_distance(points + i * d, points + chosen * d, d);
    if (i == chosen)
      nearest[i] = -1;  // never again
    else if (squared < nearest[i])
      nearest[i] = squared;
    mine = farther(mine, {nearest[i], i});
  }
  mine = farthest_of_block(mine);
  if (threadIdx.x == 0) of_block[blockIdx.x] = mine;
}

__global__ void __launch_bounds__(kThreads) choose_kernel(const Far* of_block, int64_t blocks, int64_t* next) {
  Far mine = {-2.0, INT64_MAX};
  for (int64_t i = threadIdx.x; i < blocks; i += kThreads) mine = farther(mine, of_block[i]);
  mine = farthest_of_block(mine);
  if (threadIdx.x == 0) *next = mine.row;
}

__global__ void start_kernel(double* nearest, int64_t n, int64_t* chosen, int64_t start) {
  GEOSPEC_GRID_STRIDE(i, n) nearest[i] = INFINITY;
  if (blockIdx.x == 0 && threadIdx.x == 0) *chosen = start;
}

Tensor farthest_points(const Tensor& points_in, int64_t m, int64_t start) {
  check_matrix(points_in, "points", -1);
  const int64_t n = points_in.size(0), d = points_in.size(1);
  STD_TORCH_CHECK(d > 0, "points: wanted at least one column, got none");
  STD_TORCH_CHECK(m >= 0 && m <= n, "m: wanted between 0 and the ", n, " points, got ", m);
  STD_TORCH_CHECK(m == 0 || (start >= 0 && start < n), "start: wanted an index in [0, ", n, "), got ", start);
  torch::stable::accelerator::DeviceGuard guard(points_in.get_device_index());
  const Tensor points = torch::stable::contiguous(points_in);
  Tensor chosen = new_index(points, m);
  check_float(points, "points");
  if (m == 0) return chosen;
  const unsigned blocks = static_cast<unsigned>(std::min<int64_t>(blocks_for(n), kMostBlocks));
  Tensor nearest = torch::stable::new_empty(points, {n}, ScalarType::Double);
  Tensor far = torch::stable::new_empty(points, {int64_t(blocks) * int64_t(sizeof(Far) / 8)}, ScalarType::Long);
  const cudaStream_t stream = current_stream(points);
  Far* of_block = reinterpret_cast<Far*>(far.data_ptr());
  dispatch_float(points, "points", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    int64_t* out = data<int64_t>(chosen);
    start_kernel<<<blocks, kThreads, 0, stream>>>(data<double>(nearest), n, out, start);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    for (int64_t i = 1; i < m; ++i) {
      lower_kernel<T>
          <<<blocks, kThreads, 0, stream>>>(data<T>(points), n, d, out + i - 1, data<double>(nearest), of_block);
      choose_kernel<<<1, kThreads, 0, stream>>>(of_block, blocks, out + i);
      STD_CUDA_KERNEL_LAUNCH_CHECK();
    }
  });
  return chosen;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) { m.impl("farthest_points", TORCH_BOX(&farthest_points)); }

}  // namespace geospec
