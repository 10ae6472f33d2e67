// One thread a value where values are moved; one block a row where the largest are chosen: the bar digit by digit, then
// the places in order.
#include <torch/csrc/stable/library.h>

#include <type_traits>
#include <vector>

#include "common/cuda.h"
#include "wavelet_tree/checks.h"

namespace geospec {
namespace {

using tree::Fan;
using tree::Key;

// Flat place of a value of a tree among the details, or -1: value `channel` of the tree at `row`, whose shape is one of
// `shapes`.
__device__ int64_t place_of(const Fan& f, int64_t row, int64_t channel, int64_t shapes, int64_t bands) {
  if (row < 0 || row >= shapes * f.cells()) return -1;
  const int64_t place = child_place(f, row % f.cells(), channel % f.children());
  return place < 0 ? -1 : (row / f.cells() * bands + channel / f.children()) * f.details() + place;
}

template <bool gathers, class T>
__global__ void trees_kernel(Fan f, const int64_t* rows, int64_t count, int64_t shapes, int64_t bands, const T* from,
                             T* to) {
  const int64_t width = bands * f.children();
  GEOSPEC_GRID_STRIDE(i, count * width) {
    const int64_t place = place_of(f, rows[i / width], i % width, shapes, bands);
    if (gathers)
      to[i] = place < 0 ? T(0) : from[place];
    else if (place >= 0)
      to[place] = from[i];
  }
}

// The same for the trees of all cells, as channels.
template <bool packs, class T>
__global__ void channels_kernel(Fan f, int64_t planes, const T* from, T* to) {
  GEOSPEC_GRID_STRIDE(i, planes * f.children() * f.cells()) {
    const int64_t cell = i % f.cells(), plane = i / f.cells();
    const int64_t place = child_place(f, cell, plane % f.children());
    const int64_t there = plane / f.children() * f.details() + place;
    if (packs)
      to[i] = place < 0 ? T(0) : from[there];
    else if (place >= 0)
      to[there] = from[i];
  }
}

Tensor tree_gather(const Tensor& detail_, const Tensor& rows_, std::vector<int64_t> cells, int64_t fan, int64_t shift) {
  const Fan f = tree::fan_of(detail_, cells, fan, shift);
  tree::check_rows(rows_, "detail", detail_);
  torch::stable::accelerator::DeviceGuard guard(detail_.get_device_index());
  const Tensor detail = torch::stable::contiguous(detail_), rows = torch::stable::contiguous(rows_);
  const int64_t bands = detail.size(1);
  Tensor values = torch::stable::new_empty(detail, {rows.size(0), bands * f.children()});
  dispatch_float(detail, "detail", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    trees_kernel<true><<<blocks_for(values.numel()), kThreads, 0, current_stream(detail)>>>(
        f, data<int64_t>(rows), rows.size(0), detail.size(0), bands, data<T>(detail), data<T>(values));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return values;
}

Tensor tree_scatter(const Tensor& values_, const Tensor& rows_, std::vector<int64_t> shape, std::vector<int64_t> cells,
                    int64_t fan, int64_t shift) {
  const Fan f = tree::check_scatter(values_, rows_, shape, cells, fan, shift);
  torch::stable::accelerator::DeviceGuard guard(values_.get_device_index());
  const Tensor values = torch::stable::contiguous(values_), rows = torch::stable::contiguous(rows_);
  Tensor detail = torch::stable::new_zeros(values, shape);
  dispatch_float(values, "values", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    trees_kernel<false><<<blocks_for(values.numel()), kThreads, 0, current_stream(values)>>>(
        f, data<int64_t>(rows), rows.size(0), shape[0], shape[1], data<T>(values), data<T>(detail));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return detail;
}

Tensor tree_pack(const Tensor& detail_, std::vector<int64_t> cells, int64_t fan, int64_t shift) {
  const Fan f = tree::fan_of(detail_, cells, fan, shift);
  torch::stable::accelerator::DeviceGuard guard(detail_.get_device_index());
  const Tensor detail = torch::stable::contiguous(detail_);
  const int64_t b = detail.size(0), bands = detail.size(1);
  Tensor channels = torch::stable::new_empty(detail, {b, bands * f.children(), cells[0], cells[1], cells[2]});
  dispatch_float(detail, "detail", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    channels_kernel<true><<<blocks_for(channels.numel()), kThreads, 0, current_stream(detail)>>>(
        f, b * bands, data<T>(detail), data<T>(channels));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return channels;
}

Tensor tree_unpack(const Tensor& channels_, std::vector<int64_t> shape, int64_t fan, int64_t shift) {
  const Fan f = tree::check_channels(channels_, shape, fan, shift);
  torch::stable::accelerator::DeviceGuard guard(channels_.get_device_index());
  const Tensor channels = torch::stable::contiguous(channels_);
  const int64_t b = channels.size(0), bands = channels.size(1) / f.children();
  Tensor detail = torch::stable::new_empty(channels, {b, bands, shape[0], shape[1], shape[2]});
  dispatch_float(channels, "channels", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    channels_kernel<false><<<blocks_for(channels.numel()), kThreads, 0, current_stream(channels)>>>(
        f, b * bands, data<T>(channels), data<T>(detail));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return detail;
}

constexpr int kDigits = kThreads;  // values of a digit of eight bits: a thread for each

// Sum of the values of the threads before this one; `total` is that of all.
__device__ int64_t sum_before(int64_t value, int64_t* sums, int64_t& total) {
  sums[threadIdx.x] = value;
  __syncthreads();
  for (unsigned step = 1; step < kThreads; step *= 2) {
    const int64_t other = threadIdx.x >= step ? sums[threadIdx.x - step] : 0;
    __syncthreads();
    sums[threadIdx.x] += other;
    __syncthreads();
  }
  total = sums[kThreads - 1];
  const int64_t before = sums[threadIdx.x] - value;
  __syncthreads();
  return before;
}

// The key that the count falls on, and how many of those equal to it are wanted: eight bits at a time, of the keys that
// agree with what is known, from the largest digit down.
template <class T>
__device__ Key<T> find_bar(const T* values, int64_t m, int64_t& wanted) {
  __shared__ unsigned long long held[kDigits];
  __shared__ long long left;
  __shared__ Key<T> found;
  constexpr int kBits = 8 * sizeof(T);
  if (threadIdx.x == 0) {
    found = 0;
    left = wanted;
  }
  for (int low = kBits - 8; low >= 0; low -= 8) {
    held[threadIdx.x] = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < m; i += kThreads) {
      const Key<T> key = tree::key_of(values[i]);
      if (low == kBits - 8 || key >> (low + 8) == found >> (low + 8)) atomicAdd(&held[(key >> low) & 255], 1ull);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int digit = 255;
      for (; digit > 0 && left > static_cast<long long>(held[digit]); --digit) left -= held[digit];
      found |= Key<T>(digit) << low;
    }
    __syncthreads();
  }
  wanted = left;
  const Key<T> bar = found;
  __syncthreads();
  return bar;
}

// A block for each row of values; row s has its places in out[begins[s]..begins[s + 1]).
template <class T>
__global__ void __launch_bounds__(kThreads)
    largest_kernel(const T* all, int64_t m, const int64_t* begins, int64_t* out) {
  __shared__ int64_t sums[kThreads];
  const T* values = all + blockIdx.x * m;
  int64_t ties = begins[blockIdx.x + 1] - begins[blockIdx.x];
  if (ties == 0) return;
  out += begins[blockIdx.x];
  const Key<T> bar = find_bar(values, m, ties);
  int64_t equal = 0, taken = 0;  // before this strip
  for (int64_t first = 0; first < m; first += kThreads) {
    const int64_t i = first + threadIdx.x;
    const Key<T> key = i < m ? tree::key_of(values[i]) : Key<T>(0);
    const bool is_tie = i < m && key == bar;
    int64_t more = 0;
    const int64_t rank = equal + sum_before(is_tie, sums, more);
    equal += more;
    const bool take = i < m && (key > bar || (is_tie && rank < ties));
    const int64_t place = taken + sum_before(take, sums, more);
    taken += more;
    if (take) out[place] = i;
  }
}

Tensor tree_largest(const Tensor& values_, std::vector<int64_t> counts) {
  const int64_t total = tree::check_counts(values_, counts);
  torch::stable::accelerator::DeviceGuard guard(values_.get_device_index());
  const Tensor values = torch::stable::contiguous(values_);
  Tensor cells = new_index(values, total);
  if (total == 0) return cells;
  std::vector<int64_t> begins(1, 0);
  for (const int64_t count : counts) begins.push_back(begins.back() + count);
  const Tensor starts = on_device(begins, values, ScalarType::Long);
  dispatch_float(values, "values", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    largest_kernel<<<unsigned(counts.size()), kThreads, 0, current_stream(values)>>>(
        data<T>(values), values.size(1), data<int64_t>(starts), data<int64_t>(cells));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return cells;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("tree_gather", TORCH_BOX(&tree_gather));
  m.impl("tree_scatter", TORCH_BOX(&tree_scatter));
  m.impl("tree_pack", TORCH_BOX(&tree_pack));
  m.impl("tree_unpack", TORCH_BOX(&tree_unpack));
  m.impl("tree_largest", TORCH_BOX(&tree_largest));
}

}  // namespace geospec
