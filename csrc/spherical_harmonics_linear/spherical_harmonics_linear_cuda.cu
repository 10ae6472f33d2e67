// A block takes 64 directions and 64 outputs. Its threads make the harmonics of four orders, a few degrees at a time,
// in shared memory, and multiply them there: one thread for a direction and an order, then one for 4 x 4 of a product.
#include <torch/csrc/stable/library.h>

#include <optional>
#include <type_traits>

#include "spherical_harmonics/columns_cuda.h"
#include "spherical_harmonics_linear/checks.h"

namespace geospec {
namespace {

using harmonics::Column;
using harmonics::kJet;
using harmonics::Ray;

constexpr int kTile = 64, kOrders = kThreads / kTile;
constexpr int64_t kSliceLeast = 4096, kSlicesMost = 16, kRoom = 1 << 23;  // doubles that partial sums may hold

// Degrees made at once: twice as many features for each of the orders.
template <class T>
constexpr int kDepth = 32 / sizeof(T);
template <class T>
constexpr int kFeatures = 2 * kOrders * kDepth<T>;

// Harmonics of one direction and order, a few degrees at a time: feature 2 (order kDepth + i) is Y_{l,m} at l = m +
// begun + i, the next one Y_{l,-m}; zero beyond the degree.
template <class T>
struct Maker {
  int64_t degree, m;
  int64_t done = 0;
  T c, s;
  Column<T> column;

  __device__ Maker(const Ray<T>& ray, const T* table, int64_t degree_, int64_t m_)
      : degree(degree_), m(m_), column(table, degree_, m_ <= degree_ ? m_ : degree_) {
    ray.power(m, c, s);
  }

  __device__ void skip(const Ray<T>& ray, int64_t degrees) {
    T unused;
    for (; done < degrees && m + done <= degree; ++done) column.next(ray, unused);
    done = degrees;
  }

  __device__ void make(const Ray<T>& ray, T (*features)[kTile], int order, int point) {
    for (int i = 0; i < kDepth<T>; ++i, ++done) {
      T unused;
      const T q = m + done <= degree ? column.next(ray, unused) : T(0);
      features[2 * (order * kDepth<T> + i)][point] = q * c;
      features[2 * (order * kDepth<T> + i) + 1][point] = m ? q * s : T(0);
    }
  }
};

// Column of a weight where feature f of a step stands, or -1. The step makes orders from `first` and degrees from
// m + `done`.
template <class T>
__device__ int64_t column_of(int f, int64_t first, int64_t done, int64_t degree) {
  const int64_t m = first + f / (2 * kDepth<T>), l = m + done + f / 2 % kDepth<T>;
  if (m > degree || l > degree || (f % 2 && m == 0)) return -1;
  return l * l + l + (f % 2 ? -m : m);
}

// sum[r][j] += sum_q left(q, r) b[q][columns + j], a 4 x 4 piece of a product.
template <class T, class Left>
__device__ void multiply(T (&sum)[4][4], const Left& left, const T (*b)[kTile], int count, int columns) {
  for (int q = 0; q < count; ++q) {
    T a[4], right[4];
    for (int i = 0; i < 4; ++i) a[i] = left(q, i), right[i] = b[q][columns + i];
    for (int r = 0; r < 4; ++r)
      for (int j = 0; j < 4; ++j) sum[r][j] += a[r] * right[j];
  }
}

// `weight` (k, h): one row for each harmonic.
template <class T>
__global__ void forward_kernel(const T* xyz, int64_t n, const T* weight, const T* bias, int64_t h, const T* table,
                               int64_t degree, bool normalize, T* out) {
  __shared__ T features[kFeatures<T>][kTile], weights[kFeatures<T>][kTile];
  const int point = threadIdx.x % kTile, order = threadIdx.x / kTile;
  const int rows = threadIdx.x / 16 * 4, columns = threadIdx.x % 16 * 4;
  const int64_t output = int64_t(blockIdx.y) * kTile;
  const T north[3] = {0, 0, 1};
  for (int64_t start = int64_t(blockIdx.x) * kTile; start < n; start += int64_t(gridDim.x) * kTile) {
    const Ray<T> ray(start + point < n ? xyz + 3 * (start + point) : north, normalize);
    T sum[4][4] = {};
    for (int64_t first = 0; first <= degree; first += kOrders) {
      Maker<T> maker(ray, table, degree, first + order);
      for (int64_t done = 0; first + done <= degree; done += kDepth<T>) {
        maker.make(ray, features, order, point);
        for (int i = threadIdx.x; i < kFeatures<T> * kTile; i += kThreads) {
          const int64_t column = column_of<T>(i / kTile, first, done, degree), j = output + i % kTile;
          weights[i / kTile][i % kTile] = column >= 0 && j < h ? weight[column * h + j] : T(0);
        }
        __syncthreads();
        multiply(sum, [&](int q, int r) { return features[q][rows + r]; }, weights, kFeatures<T>, columns);
        __syncthreads();
      }
    }
    for (int r = 0; r < 4; ++r)
      for (int j = 0; j < 4; ++j)
        if (start + rows + r < n && output + columns + j < h)
          out[(start + rows + r) * h + output + columns + j] = sum[r][j] + (bias ? bias[output + columns + j] : T(0));
  }
}

// The gradient in the directions: sum_k (grad weight)_k dY_k.
template <class T>
__global__ void xyz_kernel(const T* grad, const T* xyz, int64_t n, const T* weight, int64_t h, const T* table,
                           int64_t degree, bool normalize, T* out) {
  constexpr int kInner = 256 / sizeof(T);  // outputs summed over at once
  __shared__ T grads[kInner][kTile], weights[kInner][kTile], products[kFeatures<T>][kTile];
  static_assert(kFeatures<T> <= kTile);
  const int point = threadIdx.x % kTile, order = threadIdx.x / kTile;
  const int rows = threadIdx.x / 16 * 4, columns = threadIdx.x % 16 * 4;
  const T north[3] = {0, 0, 1};
  for (int64_t start = int64_t(blockIdx.x) * kTile; start < n; start += int64_t(gridDim.x) * kTile) {
    const Ray<T> ray(start + point < n ? xyz + 3 * (start + point) : north, normalize);
    T jet[kJet] = {};
    for (int64_t first = 0; first <= degree; first += kOrders) {
      const int64_t m = first + order;
      T c, s, c1, s1, d, unused, a[3] = {}, b[3] = {};
      ray.power(m, c, s);
      ray.power(m - 1, c1, s1);
      Column<T> own(table, degree, min(m, degree)), above(table, degree, min(m + 1, degree));
      for (int64_t done = 0; first + done <= degree; done += kDepth<T>) {
        T sum[4][4] = {};
        for (int64_t inner = 0; inner < h; inner += kInner) {
          for (int i = threadIdx.x; i < kInner * kTile; i += kThreads) {
            // Neighbouring threads read neighbouring outputs.
            const int q = i % kInner, other = i / kInner;
            const int64_t j = inner + q, p = start + other;
            grads[q][other] = p < n && j < h ? grad[p * h + j] : T(0);
            const int64_t column = other < kFeatures<T> ? column_of<T>(other, first, done, degree) : -1;
            weights[q][other] = column >= 0 && j < h ? weight[column * h + j] : T(0);
          }
          __syncthreads();
          multiply(sum, [&](int q, int r) { return weights[q][rows + r]; }, grads, kInner, columns);
          __syncthreads();
        }
        for (int r = 0; r < 4 && rows + r < kFeatures<T>; ++r)
          for (int j = 0; j < 4; ++j) products[rows + r][columns + j] = sum[r][j];
        __syncthreads();
        for (int i = 0; i < kDepth<T> && m + done + i <= degree; ++i) {
          const int f = 2 * (order * kDepth<T> + i);
          const T plus = products[f][point], minus = products[f + 1][point], q = own.next(ray, d);
          a[0] += q * plus, b[0] += q * minus;
          if (done + i == 0) continue;
          const T dq = d * above.next(ray, unused);
          a[1] += dq * plus, b[1] += dq * minus;
        }
        __syncthreads();
      }
      if (m <= degree) harmonics::add_order<false>(jet, T(m), a, b, c, s, c1, s1, c1, s1);
    }
    for (int i = 0; i < 3; ++i) products[order * 3 + i][point] = jet[i];
    __syncthreads();
    if (order == 0 && start + point < n) {
      for (int o = 1; o < kOrders; ++o)
        for (int i = 0; i < 3; ++i) jet[i] += products[o * 3 + i][point];
      harmonics::gradient_on_rays(ray.u, jet, out + 3 * (start + point));
    }
    __syncthreads();
  }
}

// The gradient in the weight, (slices, k, h) in double: blocks share out groups of orders and steps of degrees (x),
// outputs (y) and slices of the points (z).
template <class T>
__global__ void weight_kernel(const T* grad, const T* xyz, int64_t n, int64_t slice, int64_t h, const T* table,
                              int64_t degree, int64_t steps, bool normalize, double* out) {
  __shared__ T features[kFeatures<T>][kTile], grads[kTile][kTile];
  static_assert(kFeatures<T> <= kTile);
  const int point = threadIdx.x % kTile, order = threadIdx.x / kTile;
  const int rows = threadIdx.x / 16 * 4, columns = threadIdx.x % 16 * 4;
  const int64_t first = blockIdx.x / steps * kOrders, done = blockIdx.x % steps * kDepth<T>;
  const int64_t output = int64_t(blockIdx.y) * kTile, k = harmonics::features(degree);
  if (first + done > degree) return;
  const T north[3] = {0, 0, 1};
  double total[4][4] = {};
  const int64_t begin = blockIdx.z * slice, end = min(begin + slice, n);
  for (int64_t start = begin; start < end; start += kTile) {
    const bool inside = start + point < end;
    const Ray<T> ray(inside ? xyz + 3 * (start + point) : north, normalize);
    Maker<T> maker(ray, table, degree, first + order);
    maker.skip(ray, done);
    maker.make(ray, features, order, point);
    for (int i = threadIdx.x; i < kTile * kTile; i += kThreads) {
      const int64_t p = start + i / kTile, j = output + i % kTile;
      grads[i / kTile][i % kTile] = p < end && j < h ? grad[p * h + j] : T(0);
    }
    __syncthreads();
    T sum[4][4] = {};
    if (rows < kFeatures<T>) multiply(sum, [&](int q, int r) { return features[rows + r][q]; }, grads, kTile, columns);
    for (int r = 0; r < 4; ++r)
      for (int j = 0; j < 4; ++j) total[r][j] += sum[r][j];
    __syncthreads();
  }
  for (int r = 0; r < 4 && rows + r < kFeatures<T>; ++r) {
    const int64_t column = column_of<T>(rows + r, first, done, degree);
    for (int j = 0; j < 4; ++j)
      if (column >= 0 && output + columns + j < h)
        out[(blockIdx.z * k + column) * h + output + columns + j] = total[r][j];
  }
}

template <class T>
__global__ void add_slices_kernel(const double* parts, int64_t slices, int64_t k, int64_t h, T* out) {
  GEOSPEC_GRID_STRIDE(i, k * h) {
    double sum = 0;
    for (int64_t s = 0; s < slices; ++s) sum += parts[s * k * h + i];
    out[i % h * k + i / h] = T(sum);
  }
}

unsigned tiles(int64_t count, int64_t most) {
  return unsigned(std::clamp<int64_t>((count + kTile - 1) / kTile, 1, most));
}

constexpr int64_t kMostOutputs = int64_t(kTile) * 65535;

Tensor by_harmonic(const Tensor& weight) { return torch::stable::contiguous(torch::stable::transpose(weight, 0, 1)); }

Tensor spherical_harmonics_linear(const Tensor& xyz, const Tensor& weight, std::optional<Tensor> bias,
                                  const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor given = check_weight(weight, in);
  const int64_t h = given.size(0);
  STD_TORCH_CHECK(h <= kMostOutputs, "weight: wanted at most ", kMostOutputs, " rows, got ", h);
  std::optional<Tensor> shift;
  if (bias) shift = check_bias(*bias, given);
  torch::stable::accelerator::DeviceGuard guard(xyz.get_device_index());
  const Tensor turned = by_harmonic(given);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, h});
  dispatch_float(in.xyz, "xyz", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (in.n * h == 0) return;
    const dim3 grid(tiles(in.n, 1 << 20), tiles(h, 65535));
    forward_kernel<T><<<grid, kThreads, 0, current_stream(xyz)>>>(
        data<T>(in.xyz), in.n, data<T>(turned), shift ? data<T>(*shift) : nullptr, h, data<T>(in.table), in.degree,
        normalize, data<T>(out));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

Tensor spherical_harmonics_linear_xyz(const Tensor& grad, const Tensor& xyz, const Tensor& weight, const Tensor& table,
                                      bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor given = check_weight(weight, in), above = check_beside(grad, "grad", in, weight.size(0));
  torch::stable::accelerator::DeviceGuard guard(xyz.get_device_index());
  const Tensor turned = by_harmonic(given);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, 3});
  dispatch_float(in.xyz, "xyz", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (in.n == 0) return;
    xyz_kernel<T><<<tiles(in.n, 1 << 20), kThreads, 0, current_stream(xyz)>>>(
        data<T>(above), data<T>(in.xyz), in.n, data<T>(turned), given.size(0), data<T>(in.table), in.degree, normalize,
        data<T>(out));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

Tensor spherical_harmonics_linear_weight(const Tensor& grad, const Tensor& xyz, const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor above = check_rows(grad, in);
  const int64_t h = above.size(1);
  STD_TORCH_CHECK(h <= kMostOutputs, "grad: wanted at most ", kMostOutputs, " columns, got ", h);
  torch::stable::accelerator::DeviceGuard guard(xyz.get_device_index());
  const int64_t most = std::clamp<int64_t>(kRoom / (in.k * h + 1), 1, kSlicesMost);
  const int64_t slices = std::clamp<int64_t>((in.n + kSliceLeast - 1) / kSliceLeast, 1, most);
  const int64_t slice = ((in.n + slices - 1) / slices + kTile - 1) / kTile * kTile;
  Tensor parts = torch::stable::new_empty(in.xyz, {slices, in.k, h}, ScalarType::Double);
  Tensor out = torch::stable::new_empty(in.xyz, {h, in.k});
  dispatch_float(in.xyz, "xyz", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (h == 0) return;
    const int64_t steps = in.degree / kDepth<T> + 1, groups = in.degree / kOrders + 1;
    const dim3 grid(unsigned(groups * steps), tiles(h, 65535), unsigned(slices));
    weight_kernel<T><<<grid, kThreads, 0, current_stream(xyz)>>>(data<T>(above), data<T>(in.xyz), in.n, slice, h,
                                                                 data<T>(in.table), in.degree, steps, normalize,
                                                                 data<double>(parts));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    add_slices_kernel<T><<<blocks_for(in.k * h), kThreads, 0, current_stream(xyz)>>>(data<double>(parts), slices, in.k,
                                                                                     h, data<T>(out));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("spherical_harmonics_linear", TORCH_BOX(&spherical_harmonics_linear));
  m.impl("spherical_harmonics_linear_xyz", TORCH_BOX(&spherical_harmonics_linear_xyz));
  m.impl("spherical_harmonics_linear_weight", TORCH_BOX(&spherical_harmonics_linear_weight));
}

}  // namespace geospec
