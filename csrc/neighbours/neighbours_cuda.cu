// Every query against every point of its batch: a block of queries reads the points through shared memory, and each
// thread keeps the neighbours of its query sorted in device memory. Quick sums in T decide what is measured in double.
#include <torch/csrc/stable/library.h>

#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "common/cuda.h"
#include "neighbours/neighbours.h"

namespace geospec {
namespace {

using neighbours::before;
using neighbours::squared_distance;

constexpr int kTile = 128;                                    // queries of a block, and points in shared memory
constexpr double kMost = std::numeric_limits<double>::max();  // beyond it, what is not finite
constexpr int kColumns = 16;  // coordinates in shared memory; the others are read where they are

template <class T>
struct Sets {
  const T *queries, *points;
  int64_t q, p, d;
  const int64_t *query_offsets, *point_offsets;  // null for one batch
  int64_t batches;
  bool exclude_self;
};

// The points that a query may see.
template <class T>
__device__ void batch_of(const Sets<T>& sets, int64_t query, int64_t& begin, int64_t& end) {
  begin = 0;
  end = sets.p;
  if (!sets.query_offsets) return;
  int64_t low = 0, high = sets.batches - 1;  // the last batch that begins at or before the query
  while (low < high) {
    const int64_t m = (low + high + 1) / 2;
    if (sets.query_offsets[m] <= query)
      low = m;
    else
      high = m - 1;
  }
  begin = sets.point_offsets[low];
  end = sets.point_offsets[low + 1];
}

// Calls visit(query, point) for the points of the query whose quick distance is at most visit.bar(): one thread a
// query.
template <class T, class Visit>
__device__ void every_point(const Sets<T>& sets, Visit& visit) {
  __shared__ T tile[kColumns][kTile];
  __shared__ long long first, last;
  const int64_t query = int64_t(blockIdx.x) * kTile + threadIdx.x;
  const int columns = sets.d < kColumns ? int(sets.d) : kColumns;
  int64_t begin = 0, end = 0;
  if (query < sets.q) batch_of(sets, query, begin, end);
  if (threadIdx.x == 0) {
    first = INT64_MAX;
    last = 0;
  }
  __syncthreads();
  if (begin < end) {
    atomicMin(&first, static_cast<long long>(begin));
    atomicMax(&last, static_cast<long long>(end));
  }
  __syncthreads();
  T mine[kColumns];
#pragma unroll
  for (int k = 0; k < kColumns; ++k) mine[k] = k < columns && query < sets.q ? sets.queries[query * sets.d + k] : T(0);
  for (int64_t p0 = first; p0 < last; p0 += kTile) {
    __syncthreads();
    if (p0 + threadIdx.x < last)
      for (int k = 0; k < columns; ++k) tile[k][threadIdx.x] = sets.points[(p0 + threadIdx.x) * sets.d + k];
    __syncthreads();
    const int64_t from = begin > p0 ? begin : p0, to = end < p0 + kTile ? end : p0 + kTile;
    for (int64_t point = from; point < to; ++point) {
      T sum = 0;
#pragma unroll
      for (int k = 0; k < kColumns; ++k)
        if (k < columns) {
          const T x = mine[k] - tile[k][point - p0];
          sum += x * x;
        }
      for (int64_t k = columns; k < sets.d; ++k) {
        const T x = sets.queries[query * sets.d + k] - sets.points[point * sets.d + k];
        sum += x * x;
      }
      if (!(sum <= visit.bar) || (sets.exclude_self && point == query)) continue;
      visit(point, squared_distance(sets.queries + query * sets.d, sets.points + point * sets.d, sets.d));
    }
  }
}

// A quick sum up to this much above a distance in double may belong to a point that is no farther.
template <class T>
__device__ T bar_of(double squared, int64_t d) {
  const T unit = sizeof(T) == 4 ? T(1.1920929e-7) : T(2.220446049250313e-16);
  const T least = sizeof(T) == 4 ? T(1.1754944e-38) : T(2.2250738585072014e-308);
  return T(squared) * (T(1) + T(4 * d + 32) * unit) + T(4 * d + 8) * least;
}

// The nearest so far, sorted; column `query` of (capacity, stride) arrays, or a row where the stride is 1.
template <class T>
struct Nearest {
  double* squared;
  int64_t* indices;
  int64_t stride, capacity, count, d;
  double limit;
  T bar;

  __device__ void operator()(int64_t point, double distance) {
    if (!(distance <= limit)) return;
    if (count == capacity) {
      if (capacity == 0) return;
      const int64_t worst = (count - 1) * stride;
      if (!before(distance, point, squared[worst], indices[worst])) return;
    } else {
      ++count;
    }
    int64_t place = count - 1;
    for (; place > 0; --place) {
      const int64_t above = (place - 1) * stride;
      if (!before(distance, point, squared[above], indices[above])) break;
      squared[place * stride] = squared[above];
      indices[place * stride] = indices[above];
    }
    squared[place * stride] = distance;
    indices[place * stride] = point;
    if (count == capacity) {
      const T lower = bar_of<T>(squared[(count - 1) * stride], d);
      if (lower < bar) bar = lower;
    }
  }
};

template <class T>
struct Count {
  int64_t count, most;
  double limit;
  T bar;

  __device__ void operator()(int64_t, double distance) {
    if (distance <= limit && count < most) ++count;
  }
};

template <class T>
__global__ void __launch_bounds__(kTile)
    knn_kernel(Sets<T> sets, int64_t k, double* squared, int64_t* indices, T* squared_out, int64_t* indices_out) {
  const int64_t query = int64_t(blockIdx.x) * kTile + threadIdx.x;
  Nearest<T> nearest = {squared + query, indices + query, sets.q, k, 0, sets.d, kMost, T(INFINITY)};
  every_point(sets, nearest);
  if (query >= sets.q) return;
  for (int64_t j = 0; j < k; ++j) {  // what met no comparable point gets index 0, NaN
    squared_out[query * k + j] = j < nearest.count ? T(squared[j * sets.q + query]) : T(NAN);
    indices_out[query * k + j] = j < nearest.count ? indices[j * sets.q + query] : 0;
  }
}

template <class T>
__global__ void __launch_bounds__(kTile) count_kernel(Sets<T> sets, double limit, int64_t most, int64_t* counts) {
  const int64_t query = int64_t(blockIdx.x) * kTile + threadIdx.x;
  Count<T> count = {0, most, limit, bar_of<T>(limit, sets.d)};
  every_point(sets, count);
  if (query < sets.q) counts[query] = count.count;
}

template <class T>
__global__ void __launch_bounds__(kTile)
    fill_kernel(Sets<T> sets, double limit, const int64_t* crow, double* squared, int64_t* indices) {
  const int64_t query = int64_t(blockIdx.x) * kTile + threadIdx.x, row = query < sets.q ? query : sets.q;
  const int64_t begin = crow[row], capacity = query < sets.q ? crow[row + 1] - begin : 0;
  Nearest<T> nearest = {squared + begin, indices + begin, 1, capacity, 0, sets.d, limit, bar_of<T>(limit, sets.d)};
  every_point(sets, nearest);
}

// crow[i + 1] = sum of counts[0..i]; one block, a strip at a time.
__global__ void scan_kernel(const int64_t* counts, int64_t n, int64_t* crow) {
  __shared__ int64_t strip[kThreads];
  int64_t before_strip = 0;
  if (threadIdx.x == 0) crow[0] = 0;
  for (int64_t first = 0; first < n; first += kThreads) {
    const int64_t i = first + threadIdx.x;
    strip[threadIdx.x] = i < n ? counts[i] : 0;
    __syncthreads();
    for (int reach = 1; reach < kThreads; reach *= 2) {
      const int64_t left = int(threadIdx.x) >= reach ? strip[threadIdx.x - reach] : 0;
      __syncthreads();
      strip[threadIdx.x] += left;
      __syncthreads();
    }
    if (i < n) crow[i + 1] = before_strip + strip[threadIdx.x];
    before_strip += strip[kThreads - 1];
    __syncthreads();
  }
}

template <class T>
__global__ void narrow_kernel(const double* from, int64_t n, T* to) {
  GEOSPEC_GRID_STRIDE(i, n) to[i] = T(from[i]);
}

// Offsets are few: they are read back once, so that the same errors are raised as on the CPU.
std::vector<int64_t> read(const std::optional<Tensor>& given, const char* name, int64_t n, cudaStream_t stream) {
  if (!given) return {0, n};
  check_index(*given, name);
  STD_TORCH_CHECK(given->dim() == 1 && given->size(0) >= 1, name, ": wanted shape (b + 1,), got ", describe(*given));
  std::vector<int64_t> offsets(given->size(0));
  STD_CUDA_CHECK(cudaMemcpyAsync(offsets.data(), data<int64_t>(*given), offsets.size() * sizeof(int64_t),
                                 cudaMemcpyDeviceToHost, stream));
  STD_CUDA_CHECK(cudaStreamSynchronize(stream));
  STD_TORCH_CHECK(offsets.front() == 0 && offsets.back() == n, name, ": wanted offsets from 0 to the ", n,
                  " rows, got from ", offsets.front(), " to ", offsets.back());
  for (size_t i = 1; i < offsets.size(); ++i)
    STD_TORCH_CHECK(offsets[i] >= offsets[i - 1], name, ": wanted offsets that never fall, got ", offsets[i - 1],
                    " before ", offsets[i]);
  return offsets;
}

// Checked and contiguous arguments, and the device they are on for as long as this lives.
struct Inputs {
  torch::stable::accelerator::DeviceGuard guard;
  Tensor queries, points;
  std::optional<Tensor> query_offsets, point_offsets;
  cudaStream_t stream;
  std::vector<int64_t> query_bounds, point_bounds;
  bool exclude_self;

  static std::optional<Tensor> packed(const std::optional<Tensor>& t) {
    return t ? std::optional<Tensor>(torch::stable::contiguous(*t)) : std::nullopt;
  }

  Inputs(const Tensor& queries_in, const Tensor& points_in, bool exclude, const std::optional<Tensor>& query_offsets_in,
         const std::optional<Tensor>& point_offsets_in)
      : guard(queries_in.get_device_index()),
        queries(torch::stable::contiguous(queries_in)),
        points(torch::stable::contiguous(points_in)),
        query_offsets(packed(query_offsets_in)),
        point_offsets(packed(point_offsets_in)),
        stream(current_stream(queries)),
        exclude_self(exclude) {
    check_matrix(queries, "queries", -1);
    check_matrix(points, "points", queries.size(1));
    check_same_dtype(queries, "queries", points, "points");
    check_same_device(queries, "queries", points, "points");
    STD_TORCH_CHECK(queries.size(1) > 0, "queries: wanted at least one column, got none");
    STD_TORCH_CHECK(query_offsets.has_value() == point_offsets.has_value(),
                    "query_offsets: wanted them together with point_offsets, got one of the two");
    if (query_offsets) {
      check_same_device(queries, "queries", *query_offsets, "query_offsets");
      check_same_device(queries, "queries", *point_offsets, "point_offsets");
    }
    query_bounds = read(query_offsets, "query_offsets", queries.size(0), stream);
    point_bounds = read(point_offsets, "point_offsets", points.size(0), stream);
    STD_TORCH_CHECK(query_bounds.size() == point_bounds.size(), "query_offsets: wanted as many as point_offsets, ",
                    point_bounds.size(), ", got ", query_bounds.size());
    STD_TORCH_CHECK(!exclude_self || query_bounds == point_bounds,
                    "exclude_self: wanted queries that are the points, got another number of rows");
  }

  template <class T>
  Sets<T> sets() const {
    return {data<T>(queries),
            data<T>(points),
            queries.size(0),
            points.size(0),
            queries.size(1),
            query_offsets ? data<int64_t>(*query_offsets) : nullptr,
            point_offsets ? data<int64_t>(*point_offsets) : nullptr,
            int64_t(query_bounds.size()) - 1,
            exclude_self};
  }

  unsigned blocks() const {
    const int64_t wanted = (queries.size(0) + kTile - 1) / kTile;
    STD_TORCH_CHECK(wanted <= INT32_MAX, "queries: wanted at most 2^38 rows, got ", queries.size(0));
    return static_cast<unsigned>(wanted);
  }
};

std::tuple<Tensor, Tensor> knn(const Tensor& queries, const Tensor& points, int64_t k, bool exclude_self,
                               std::optional<Tensor> query_offsets, std::optional<Tensor> point_offsets) {
  const Inputs in(queries, points, exclude_self, query_offsets, point_offsets);
  STD_TORCH_CHECK(k >= 1, "k: wanted at least 1, got ", k);
  for (size_t b = 0; b + 1 < in.point_bounds.size(); ++b) {
    const int64_t n = in.point_bounds[b + 1] - in.point_bounds[b] - exclude_self;
    STD_TORCH_CHECK(in.query_bounds[b + 1] == in.query_bounds[b] || k <= n, "k: wanted at most the ",
                    std::max<int64_t>(n, 0), exclude_self ? " other points" : " points", " of batch ", b, ", got ", k);
  }
  const int64_t q = in.queries.size(0);
  Tensor squared = torch::stable::new_empty(in.queries, {q, k});
  Tensor indices = torch::stable::new_empty(in.queries, {q, k}, ScalarType::Long);
  if (q == 0) return {squared, indices};
  Tensor best = torch::stable::new_empty(in.queries, {k, q}, ScalarType::Double);
  Tensor best_index = torch::stable::new_empty(in.queries, {k, q}, ScalarType::Long);
  dispatch_float(in.queries, "queries", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    knn_kernel<T><<<in.blocks(), kTile, 0, in.stream>>>(in.sets<T>(), k, data<double>(best), data<int64_t>(best_index),
                                                        data<T>(squared), data<int64_t>(indices));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {squared, indices};
}

std::tuple<Tensor, Tensor, Tensor> radius_search(const Tensor& queries, const Tensor& points, double radius,
                                                 std::optional<int64_t> most, bool exclude_self,
                                                 std::optional<Tensor> query_offsets,
                                                 std::optional<Tensor> point_offsets) {
  const Inputs in(queries, points, exclude_self, query_offsets, point_offsets);
  STD_TORCH_CHECK(radius >= 0 && radius < 1e150, "radius: wanted a finite number, at least 0, got ", radius);
  STD_TORCH_CHECK(!most || *most >= 1, "most: wanted at least 1, got ", most.value_or(0));
  const int64_t q = in.queries.size(0);
  Tensor crow = torch::stable::new_zeros(in.queries, {q + 1}, ScalarType::Long);
  Tensor counts = new_index(in.queries, q), indices = new_index(in.queries, 0);
  Tensor squared = torch::stable::new_empty(in.queries, {0});
  if (q == 0) return {squared, crow, indices};
  const double limit = radius * radius;
  dispatch_float(in.queries, "queries", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    count_kernel<T>
        <<<in.blocks(), kTile, 0, in.stream>>>(in.sets<T>(), limit, most.value_or(INT64_MAX), data<int64_t>(counts));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    scan_kernel<<<1, kThreads, 0, in.stream>>>(data<int64_t>(counts), q, data<int64_t>(crow));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    int64_t total = 0;
    STD_CUDA_CHECK(cudaMemcpyAsync(&total, data<int64_t>(crow) + q, sizeof(total), cudaMemcpyDeviceToHost, in.stream));
    STD_CUDA_CHECK(cudaStreamSynchronize(in.stream));
    indices = new_index(in.queries, total);
    squared = torch::stable::new_empty(in.queries, {total});
    if (total == 0) return;
    Tensor wide = torch::stable::new_empty(in.queries, {total}, ScalarType::Double);
    fill_kernel<T><<<in.blocks(), kTile, 0, in.stream>>>(in.sets<T>(), limit, data<int64_t>(crow), data<double>(wide),
                                                         data<int64_t>(indices));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    narrow_kernel<T><<<blocks_for(total), kThreads, 0, in.stream>>>(data<double>(wide), total, data<T>(squared));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {squared, crow, indices};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("knn", TORCH_BOX(&knn));
  m.impl("radius_search", TORCH_BOX(&radius_search));
}

}  // namespace geospec
