// The passes of the CPU: masks by ballot, then a thread a row that counts and, after the sums, writes. A row's work is
// that of isosurface.h, so the order of the result is that of the CPU.
#include <torch/csrc/stable/library.h>

#include <array>
#include <tuple>
#include <type_traits>

#include "common/cuda.h"
#include "isosurface/isosurface_checks.h"

namespace geospec {
namespace {

using namespace isosurface;

constexpr long long kNone = 1ll << 62;  // a power of two, which fill_ takes as a double

__device__ const Cases kDeviceCases = kCases;

// A warp for each word of the masks. `unordered` becomes the first sample that is NaN.
template <class T>
__global__ void classify_kernel(Size size, const T* grid, double level, uint64_t* bits, long long* unordered) {
  const int64_t words = size.words(), total = 32 * size.rows() * words;
  const int lane = threadIdx.x % 32;
  GEOSPEC_GRID_STRIDE(i, total) {  // whole warps: total and the step are multiples of 32
    const int64_t word = i / 32, row = word / words;
    uint32_t half[2];
    for (int h = 0; h < 2; ++h) {
      const int64_t x = 64 * (word % words) + 32 * h + lane, sample = row * size.nx + x;
      const bool in_row = x < size.nx;
      const double value = in_row ? double(grid[sample]) : level;
      if (value != value) atomicMin(unordered, static_cast<long long>(sample));
      half[h] = __ballot_sync(0xffffffffu, in_row && value < level);
    }
    if (lane == 0) bits[word] = uint64_t(half[1]) << 32 | half[0];
  }
}

__global__ void kinds_kernel(Size size, const uint64_t* bits, uint8_t* kinds) {
  GEOSPEC_GRID_STRIDE(row, size.rows()) {
    uint64_t any = 0, missing = 0;
    for (int64_t w = 0; w < size.words(); ++w) {
      const uint64_t word = bits[row * size.words() + w];
      any |= word, missing |= ~word & below(size.nx, w);
    }
    kinds[row] = uint8_t((any ? kInside : 0) | (missing ? kOutside : 0));
  }
}

// Numbers of a row stand one place on, so that sums over them begin with 0.
__global__ void count_kernel(Masks masks, int64_t* vertices, int64_t* faces) {
  GEOSPEC_GRID_STRIDE(row, masks.size.rows())
  count_row(masks, kDeviceCases, row, vertices + 3 * row + 1, faces[row + 1]);
}

template <class T>
__global__ void write_kernel(Masks masks, const T* grid, double level, Output<T> out) {
  GEOSPEC_GRID_STRIDE(row, masks.size.rows()) {
    write_row_vertices(masks, grid, level, out, row);
    write_row_faces(masks, kDeviceCases, out, row);
  }
}

// `wrong` becomes the first edge that is none of the grid's, or that belongs to an earlier row than the one before.
__global__ void check_edges_kernel(Size size, const int64_t* edges, int64_t n, long long* wrong) {
  GEOSPEC_GRID_STRIDE(v, n) {
    const bool falls = v > 0 && edges[v] / 3 / size.nx < edges[v - 1] / 3 / size.nx;
    if (falls || !is_edge(size, edges[v])) atomicMin(wrong, static_cast<long long>(v));
  }
}

__global__ void first_of_rows_kernel(Size size, const int64_t* edges, int64_t n, int64_t* first) {
  GEOSPEC_GRID_STRIDE(row, size.rows() + 1) {
    int64_t low = 0, high = n;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (edges[middle] < 3 * row * size.nx)
        low = middle + 1;
      else
        high = middle;
    }
    first[row] = low;
  }
}

template <class T>
__global__ void gather_kernel(Size size, const T* grid, double level, const T* grad, const int64_t* edges,
                              const int64_t* first, T* out) {
  GEOSPEC_GRID_STRIDE(row, size.rows()) gather_row(size, grid, level, grad, edges, first, row, out);
}

int64_t read(const int64_t* from, cudaStream_t stream) {
  int64_t value = 0;
  STD_CUDA_CHECK(cudaMemcpyAsync(&value, from, sizeof(value), cudaMemcpyDeviceToHost, stream));
  STD_CUDA_CHECK(cudaStreamSynchronize(stream));
  return value;
}

Tensor running_sums(const Tensor& counts) {
  std::array<StableIValue, 3> stack{torch::stable::detail::from(counts), torch::stable::detail::from(int64_t(0)),
                                    torch::stable::detail::from(std::optional<ScalarType>())};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::cumsum", "", stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

Tensor new_first(const Tensor& like) {
  Tensor first = new_index(like, 1);
  return torch::stable::fill_(first, double(kNone));
}

std::tuple<Tensor, Tensor, Tensor> extract(const Tensor& grid_in, double level) {
  const IsosurfaceInputs in = check_isosurface(grid_in, level);
  torch::stable::accelerator::DeviceGuard guard(in.grid.get_device_index());
  const Size size = in.size;
  const cudaStream_t stream = current_stream(in.grid);
  Tensor vertices = torch::stable::new_empty(in.grid, {0, 3}), edges = new_index(in.grid, 0);
  Tensor faces = torch::stable::new_empty(in.grid, {0, 3}, ScalarType::Long);
  if (in.grid.numel() == 0) return {vertices, faces, edges};
  Tensor bits = new_index(in.grid, size.rows() * size.words()), unordered = new_first(in.grid);
  Tensor kinds = torch::stable::new_empty(in.grid, {size.rows()}, ScalarType::Byte);
  dispatch_float(in.grid, "grid", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* grid = data<T>(in.grid);
    uint64_t* words = data<uint64_t>(bits);
    classify_kernel<<<blocks_for(32 * bits.numel()), kThreads, 0, stream>>>(size, grid, level, words,
                                                                            data<long long>(unordered));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    const int64_t bad = read(data<int64_t>(unordered), stream);
    if (bad != kNone) refuse_nan(size, bad);
    if (!in.has_cells) return;
    const unsigned blocks = blocks_for(size.rows());
    kinds_kernel<<<blocks, kThreads, 0, stream>>>(size, words, data<uint8_t>(kinds));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    const Masks masks{size, words, data<uint8_t>(kinds)};
    Tensor vertex_counts = torch::stable::new_zeros(in.grid, {3 * size.rows() + 1}, ScalarType::Long);
    Tensor face_counts = torch::stable::new_zeros(in.grid, {size.rows() + 1}, ScalarType::Long);
    count_kernel<<<blocks, kThreads, 0, stream>>>(masks, data<int64_t>(vertex_counts), data<int64_t>(face_counts));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    const Tensor first_vertex = running_sums(vertex_counts), first_face = running_sums(face_counts);
    const int64_t n_vertices = read(data<int64_t>(first_vertex) + 3 * size.rows(), stream);
    const int64_t n_faces = read(data<int64_t>(first_face) + size.rows(), stream);
    vertices = torch::stable::new_empty(in.grid, {n_vertices, 3});
    edges = new_index(in.grid, n_vertices);
    faces = torch::stable::new_empty(in.grid, {n_faces, 3}, ScalarType::Long);
    const Output<T> out{data<T>(vertices), data<int64_t>(edges), data<int64_t>(faces), data<int64_t>(first_vertex),
                        data<int64_t>(first_face)};
    write_kernel<<<blocks, kThreads, 0, stream>>>(masks, grid, level, out);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {vertices, faces, edges};
}

Tensor extract_backward(const Tensor& grad_in, const Tensor& grid_in, const Tensor& edges_in, double level) {
  const GradientInputs in = check_isosurface_backward(grad_in, grid_in, edges_in, level);
  torch::stable::accelerator::DeviceGuard guard(in.surface.grid.get_device_index());
  const Size size = in.surface.size;
  const int64_t n = in.edges.size(0);
  const int64_t* edges = data<int64_t>(in.edges);
  const cudaStream_t stream = current_stream(in.surface.grid);
  Tensor grad_grid = torch::stable::empty_like(in.surface.grid);
  grad_grid = torch::stable::fill_(grad_grid, 0.0);
  if (n == 0) return grad_grid;
  STD_TORCH_CHECK(in.surface.has_cells, "edges: wanted none of a grid without cells, got ", n);
  Tensor wrong = new_first(in.edges), first = new_index(in.edges, size.rows() + 1);
  check_edges_kernel<<<blocks_for(n), kThreads, 0, stream>>>(size, edges, n, data<long long>(wrong));
  STD_CUDA_KERNEL_LAUNCH_CHECK();
  const int64_t bad = read(data<int64_t>(wrong), stream);
  if (bad != kNone) refuse_edge(size, read(edges + bad, stream), bad);
  first_of_rows_kernel<<<blocks_for(size.rows() + 1), kThreads, 0, stream>>>(size, edges, n, data<int64_t>(first));
  STD_CUDA_KERNEL_LAUNCH_CHECK();
  dispatch_float(in.surface.grid, "grid", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    gather_kernel<<<blocks_for(size.rows()), kThreads, 0, stream>>>(
        size, data<T>(in.surface.grid), level, data<T>(in.grad), edges, data<int64_t>(first), data<T>(grad_grid));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return grad_grid;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("isosurface", TORCH_BOX(&extract));
  m.impl("isosurface_backward", TORCH_BOX(&extract_backward));
}

}  // namespace geospec
