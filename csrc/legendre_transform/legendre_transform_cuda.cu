// Synthesis: a thread for a ring, an order and a channel. Analysis: a block for an order and a channel, its threads the
// rings, summed over for each degree; always in the same order.
#include <torch/csrc/stable/library.h>

#include <type_traits>

#include "common/cuda.h"
#include "legendre_transform/checks.h"

namespace geospec {
namespace {

using legendre::first_row;
using legendre::kCoefficients;
using legendre::kNode;

constexpr int kWarp = 32;

// P_{l,m} of a ring times its factor, for l = m, m + 1, ...
struct Meridian {
  const double* row;
  double value, difference = 0, w, mirror, sign = 1;

  __device__ Meridian(const double* node, const double* table, int64_t degree, int64_t m)
      : row(table + first_row(degree, m) * kCoefficients),
        value(node[2] * legendre::power(node[1], m) * row[2]),
        w(node[1] * node[1] / (1 + fabs(node[0]))),
        mirror(node[0] < 0 ? -1 : 1) {}

  __device__ double now() const { return value * sign; }

  __device__ void next() {
    row += kCoefficients;
    harmonics::advance(value, difference, w, row[0], row[1], row[2]);
    sign *= mirror;
  }
};

template <class T>
__global__ void synthesis_kernel(const T* coefficients, int64_t channels, const double* nodes, int64_t rings,
                                 const double* table, int64_t degree, double factor, T* out) {
  GEOSPEC_GRID_STRIDE(i, rings * (degree + 1) * channels) {
    const int64_t c = i % channels, m = i / channels % (degree + 1), ring = i / channels / (degree + 1);
    double real = 0, imaginary = 0;
    if (!legendre::vanishes(nodes[ring * kNode + 1], m, degree)) {
      Meridian p(nodes + ring * kNode, table, degree, m);
      for (int64_t l = m; l <= degree; ++l) {
        real += p.now() * coefficients[(l * l + l + m) * channels + c];
        if (m) imaginary -= p.now() * coefficients[(l * l + l - m) * channels + c];
        if (l < degree) p.next();
      }
    }
    const double scale = m ? factor : 1;
    out[2 * i] = T(scale * real), out[2 * i + 1] = T(scale * imaginary);
  }
}

template <class T>
__global__ void analysis_kernel(const T* waves, int64_t channels, const double* nodes, int64_t rings,
                                const double* table, int64_t degree, double factor, T* out) {
  __shared__ double sums[2][kThreads / kWarp];
  extern __shared__ double total[];  // (degree + 1, 2)
  const int64_t m = blockIdx.x, c = blockIdx.y, degrees = degree + 1 - m;
  for (int64_t i = threadIdx.x; i < 2 * degrees; i += kThreads) total[i] = 0;
  for (int64_t first = 0; first < rings; first += kThreads) {
    const int64_t ring = min(first + int64_t(threadIdx.x), rings - 1);
    const T* wave = waves + ((ring * (degree + 1) + m) * channels + c) * 2;
    const bool counts = first + threadIdx.x < rings;
    const double real = counts ? double(wave[0]) : 0, imaginary = counts ? double(wave[1]) : 0;
    Meridian p(nodes + ring * kNode, table, degree, m);
    for (int64_t i = 0; i < degrees; ++i) {
      double cosine = p.now() * real, sine = p.now() * imaginary;
      for (int step = kWarp / 2; step > 0; step /= 2) {
        cosine += __shfl_xor_sync(~0u, cosine, step);
        sine += __shfl_xor_sync(~0u, sine, step);
      }
      if (threadIdx.x % kWarp == 0) sums[0][threadIdx.x / kWarp] = cosine, sums[1][threadIdx.x / kWarp] = sine;
      __syncthreads();
      if (threadIdx.x < 2)
        for (int s = 0; s < kThreads / kWarp; ++s) total[2 * i + threadIdx.x] += sums[threadIdx.x][s];
      __syncthreads();
      if (i + 1 < degrees) p.next();
    }
  }
  __syncthreads();
  const double scale = m ? factor : 1;
  for (int64_t i = threadIdx.x; i < degrees; i += kThreads) {
    const int64_t l = m + i;
    out[(l * l + l + m) * channels + c] = T(scale * total[2 * i]);
    if (m) out[(l * l + l - m) * channels + c] = T(-scale * total[2 * i + 1]);
  }
}

Tensor legendre_analysis(const Tensor& waves, const Tensor& nodes, const Tensor& table, double factor) {
  const RingInputs in = check_waves(waves, nodes, table);
  STD_TORCH_CHECK(in.channels <= 65535, "waves: wanted at most 65535 channels, got ", in.channels);
  torch::stable::accelerator::DeviceGuard guard(waves.get_device_index());
  Tensor out = torch::stable::new_empty(in.given, {in.k, in.channels});
  dispatch_float(in.given, "waves", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (in.channels == 0) return;
    const dim3 grid(unsigned(in.degree + 1), unsigned(in.channels));
    analysis_kernel<T><<<grid, kThreads, 2 * (in.degree + 1) * sizeof(double), current_stream(waves)>>>(
        data<T>(in.given), in.channels, data<double>(in.nodes), in.rings, data<double>(in.table), in.degree, factor,
        data<T>(out));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

Tensor legendre_synthesis(const Tensor& coefficients, const Tensor& nodes, const Tensor& table, double factor) {
  const RingInputs in = check_coefficients(coefficients, nodes, table);
  torch::stable::accelerator::DeviceGuard guard(coefficients.get_device_index());
  Tensor out = torch::stable::new_empty(in.given, {in.rings, in.degree + 1, in.channels, 2});
  dispatch_float(in.given, "coefficients", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const int64_t count = in.rings * (in.degree + 1) * in.channels;
    if (count == 0) return;
    synthesis_kernel<T><<<blocks_for(count), kThreads, 0, current_stream(coefficients)>>>(
        data<T>(in.given), in.channels, data<double>(in.nodes), in.rings, data<double>(in.table), in.degree, factor,
        data<T>(out));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("legendre_analysis", TORCH_BOX(&legendre_analysis));
  m.impl("legendre_synthesis", TORCH_BOX(&legendre_synthesis));
}

}  // namespace geospec
