// A warp takes a direction, each of its lanes an order: lanes read and write neighbouring features of one degree.
#include <torch/csrc/stable/library.h>

#include <type_traits>

#include "spherical_harmonics/checks.h"
#include "spherical_harmonics/columns_cuda.h"

namespace geospec {
namespace {

using harmonics::Column;
using harmonics::Direction;
using harmonics::kJet;
using harmonics::Ray;

constexpr int kWarp = 32, kWarps = kThreads / kWarp;

// Visits each direction by one warp.
#define GEOSPEC_WARP_STRIDE(p, n) \
  for (int64_t p = int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp; p < (n); p += int64_t(gridDim.x) * kWarps)

unsigned blocks_of_warps(int64_t n) { return unsigned(std::clamp<int64_t>((n + kWarps - 1) / kWarps, 1, 1 << 20)); }

template <class T>
__global__ void values_kernel(const T* xyz, int64_t n, const T* table, int64_t degree, bool normalize, T* out) {
  const int64_t k = harmonics::features(degree);
  GEOSPEC_WARP_STRIDE(p, n) {
    const Ray<T> ray(xyz + 3 * p, normalize);
    for (int64_t m = threadIdx.x % kWarp; m <= degree; m += kWarp) {
      T c, s, d;
      ray.power(m, c, s);
      Column<T> column(table, degree, m);
      T* row = out + p * k;
      for (int64_t l = m; l <= degree; ++l) {
        const T q = column.next(ray, d);
        row[l * l + l + m] = q * c;
        if (m) row[l * l + l - m] = q * s;
      }
    }
  }
}

template <class T>
__global__ void jvp_kernel(const T* xyz, const T* tangent, int64_t n, const T* table, int64_t degree, bool normalize,
                           T* out) {
  const int64_t k = harmonics::features(degree);
  GEOSPEC_WARP_STRIDE(p, n) {
    const Ray<T> ray(xyz + 3 * p, normalize);
    double motion[3];
    harmonics::across(ray.u, tangent + 3 * p, motion);
    const T dx = T(motion[0]), dy = T(motion[1]), dz = T(motion[2]);
    for (int64_t m = threadIdx.x % kWarp; m <= degree; m += kWarp) {
      T c, s, c1, s1, d, unused;
      ray.power(m, c, s);
      ray.power(m - 1, c1, s1);
      const T dc = T(m) * (c1 * dx - s1 * dy), ds = T(m) * (s1 * dx + c1 * dy);
      Column<T> own(table, degree, m), above(table, degree, min(m + 1, degree));
      T* row = out + p * k;
      for (int64_t l = m; l <= degree; ++l) {
        const T q = own.next(ray, d), dq = l > m ? d * above.next(ray, unused) * dz : T(0);
        row[l * l + l + m] = q * dc + dq * c;
        if (m) row[l * l + l - m] = q * ds + dq * s;
      }
    }
  }
}

// Jets of sum_k grad_k Y_k; the first lane of a direction's warp hands its own to `take(point, direction, jet)`.
template <bool second, class T, class Take>
__global__ void reduce_kernel(const T* grad, const T* xyz, int64_t n, const T* table, int64_t degree, bool normalize,
                              Take take) {
  const int64_t k = harmonics::features(degree);
  GEOSPEC_WARP_STRIDE(p, n) {
    const Ray<T> ray(xyz + 3 * p, normalize);
    T jet[kJet] = {};
    for (int64_t m = threadIdx.x % kWarp; m <= degree; m += kWarp) {
      T c[3], s[3], d, e, unused, a[3] = {}, b[3] = {};
      for (int i = 0; i < 3; ++i) ray.power(m - i, c[i], s[i]);
      Column<T> own(table, degree, m), above(table, degree, min(m + 1, degree));
      Column<T> two_above(table, degree, min(m + 2, degree));
      const T* row = grad + p * k;
      for (int64_t l = m; l <= degree; ++l) {
        const T plus = row[l * l + l + m], minus = m ? row[l * l + l - m] : T(0);
        const T q = own.next(ray, d);
        a[0] += q * plus, b[0] += q * minus;
        if (l < m + 1) continue;
        const T dq = d * above.next(ray, e);
        a[1] += dq * plus, b[1] += dq * minus;
        if (!second || l < m + 2) continue;
        const T ddq = d * e * two_above.next(ray, unused);
        a[2] += ddq * plus, b[2] += ddq * minus;
      }
      harmonics::add_order<second>(jet, T(m), a, b, c[0], s[0], c[1], s[1], c[2], s[2]);
    }
    for (int i = 0; i < kJet; ++i)
      for (int step = kWarp / 2; step > 0; step /= 2) jet[i] += __shfl_xor_sync(~0u, jet[i], step);
    if (threadIdx.x % kWarp == 0) take(p, ray.u, jet);
  }
}

template <class T>
struct WriteGradient {
  T* out;
  __device__ void operator()(int64_t p, const Direction& u, const T* jet) const {
    harmonics::gradient_on_rays(u, jet, out + 3 * p);
  }
};

template <class T>
struct WriteHessian {
  const T* tangent;
  T* out;
  __device__ void operator()(int64_t p, const Direction& u, const T* jet) const {
    harmonics::hessian_on_rays(u, jet, tangent + 3 * p, out + 3 * p);
  }
};

// Calls f with a null pointer of the element type, on the device of the directions, unless there is nothing to do.
template <class F>
void on_device(const HarmonicInputs& in, const F& f) {
  torch::stable::accelerator::DeviceGuard guard(in.xyz.get_device_index());
  dispatch_float(in.xyz, "xyz", [&](auto* type) {
    if (in.n == 0) return;
    f(type);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

Tensor spherical_harmonics(const Tensor& xyz, const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, in.k});
  on_device(in, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    values_kernel<T><<<blocks_of_warps(in.n), kThreads, 0, current_stream(xyz)>>>(
        data<T>(in.xyz), in.n, data<T>(in.table), in.degree, normalize, data<T>(out));
  });
  return out;
}

Tensor spherical_harmonics_jvp(const Tensor& xyz, const Tensor& tangent, const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor along = check_beside(tangent, "tangent", in, 3);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, in.k});
  on_device(in, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    jvp_kernel<T><<<blocks_of_warps(in.n), kThreads, 0, current_stream(xyz)>>>(
        data<T>(in.xyz), data<T>(along), in.n, data<T>(in.table), in.degree, normalize, data<T>(out));
  });
  return out;
}

Tensor spherical_harmonics_backward(const Tensor& grad, const Tensor& xyz, const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor given = check_beside(grad, "grad", in, in.k);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, 3});
  on_device(in, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    reduce_kernel<false><<<blocks_of_warps(in.n), kThreads, 0, current_stream(xyz)>>>(
        data<T>(given), data<T>(in.xyz), in.n, data<T>(in.table), in.degree, normalize, WriteGradient<T>{data<T>(out)});
  });
  return out;
}

Tensor spherical_harmonics_hvp(const Tensor& grad, const Tensor& xyz, const Tensor& tangent, const Tensor& table,
                               bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor given = check_beside(grad, "grad", in, in.k), along = check_beside(tangent, "tangent", in, 3);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, 3});
  on_device(in, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    reduce_kernel<true><<<blocks_of_warps(in.n), kThreads, 0, current_stream(xyz)>>>(
        data<T>(given), data<T>(in.xyz), in.n, data<T>(in.table), in.degree, normalize,
        WriteHessian<T>{data<T>(along), data<T>(out)});
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("spherical_harmonics", TORCH_BOX(&spherical_harmonics));
  m.impl("spherical_harmonics_jvp", TORCH_BOX(&spherical_harmonics_jvp));
  m.impl("spherical_harmonics_backward", TORCH_BOX(&spherical_harmonics_backward));
  m.impl("spherical_harmonics_hvp", TORCH_BOX(&spherical_harmonics_hvp));
}

}  // namespace geospec
