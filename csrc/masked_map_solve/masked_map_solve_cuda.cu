// One block of threads a row. The triangle of the system, the right-hand side as its last row, lies column by column in
// shared memory, or in a slice of a global workspace where it does not fit; the threads of a block stand on the entries
// of a column. Every entry is summed by one thread in one order.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>

#include "common/cuda.h"
#include "masked_map_solve/masked_map_solve.h"
#include "masked_map_solve/masked_map_solve_checks.h"

namespace geospec {
namespace {

constexpr int kMostThreads = 256;
constexpr int64_t kWorkspaceBlocks = 1024;  // at once, where triangles lie in global memory

// Doubles of a triangle of k columns with the right-hand side below.
GEOSPEC_HOST_DEVICE int64_t triangle(int64_t k) { return k * (k + 1) / 2 + k; }

// Place of entry (i, j), i >= j, of rows 0..k.
GEOSPEC_HOST_DEVICE int64_t place(int64_t k, int64_t i, int64_t j) { return j * (k + 1) - j * (j - 1) / 2 + i - j; }

template <class T>
__global__ void solve_kernel(const T* grams, const T* rights, const T* penalties, int64_t rows, int64_t k_t, int64_t k,
                             double* workspace, T* solution, bool* indefinite) {
  extern __shared__ double shared[];
  double* factor = workspace ? workspace + blockIdx.x * triangle(k) : shared;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* gram = grams + row / k_t * k * k;
    const T* penalty = penalties + row * k;
    const T* right = rights + row * k;
    T* out = solution + row * k;
    bool usable = true;
    // Column j: entries of the system less products of the columns before. The pivot stays on the diagonal, which no
    // later column reads, so that each thread can take its root without waiting for another.
    for (int64_t j = 0; j < k && usable; ++j) {
      for (int64_t i = j + threadIdx.x; i <= k; i += blockDim.x) {
        double sum = i == k ? double(right[j]) : map_solve::symmetric_entry(gram, k, i, j);
        if (i == j) sum += double(penalty[j]);
        for (int64_t m = 0; m < j; ++m) sum -= factor[place(k, i, m)] * factor[place(k, j, m)];
        factor[place(k, i, j)] = sum;
      }
      __syncthreads();
      const double inverse = 1 / sqrt(factor[place(k, j, j)]);
      usable = map_solve::usable(inverse);  // the same for all threads
      for (int64_t i = j + 1 + threadIdx.x; i <= k; i += blockDim.x) factor[place(k, i, j)] *= inverse;
      __syncthreads();
    }
    // Row k now holds inv(L) r. Entry i of the solution is final once those after it are subtracted.
    for (int64_t i = k - 1; i >= 0 && usable; --i) {
      const double x = factor[place(k, k, i)] / sqrt(factor[place(k, i, i)]);
      if (threadIdx.x == 0) out[i] = T(x);
      for (int64_t j = threadIdx.x; j < i; j += blockDim.x) factor[place(k, k, j)] -= factor[place(k, i, j)] * x;
      __syncthreads();
    }
    if (threadIdx.x == 0) indefinite[row] = !usable;
    if (!usable)
      for (int64_t j = threadIdx.x; j < k; j += blockDim.x) out[j] = T(nan(""));
    __syncthreads();
  }
}

// Bytes of shared memory that a block may ask for on the current device.
int64_t most_shared() {
  int device = 0, bytes = 0;
  STD_CUDA_CHECK(cudaGetDevice(&device));
  STD_CUDA_CHECK(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return bytes;
}

std::tuple<Tensor, Tensor> masked_map_solve(const Tensor& gram, const Tensor& right, const Tensor& penalty) {
  const MapSystems in = check_map_systems(gram, right, penalty);
  torch::stable::accelerator::DeviceGuard guard(right.get_device_index());
  Tensor solution = torch::stable::empty_like(in.right);
  Tensor indefinite = torch::stable::new_zeros(in.right, in.rows, ScalarType::Bool);
  if (in.right.numel() == 0) return {solution, indefinite};
  const int64_t k = in.k_s, rows = in.batch * in.k_t, bytes = triangle(k) * int64_t(sizeof(double));
  const bool fits = bytes <= most_shared();
  const int64_t blocks = std::min<int64_t>(rows, fits ? int64_t(1) << 20 : kWorkspaceBlocks);
  const unsigned threads = unsigned(std::clamp<int64_t>((k + 32) / 32 * 32, 32, kMostThreads));
  Tensor workspace = torch::stable::new_empty(in.right, {fits ? 0 : blocks * triangle(k)}, ScalarType::Double);
  const cudaStream_t stream = current_stream(right);
  dispatch_float(in.right, "right", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (fits)
      STD_CUDA_CHECK(
          cudaFuncSetAttribute(solve_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
    solve_kernel<T><<<unsigned(blocks), threads, fits ? size_t(bytes) : 0, stream>>>(
        data<T>(in.gram), data<T>(in.right), data<T>(in.penalty), rows, in.k_t, k,
        fits ? nullptr : data<double>(workspace), data<T>(solution), data<bool>(indefinite));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {solution, indefinite};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) { m.impl("masked_map_solve", TORCH_BOX(&masked_map_solve)); }

}  // namespace geospec
