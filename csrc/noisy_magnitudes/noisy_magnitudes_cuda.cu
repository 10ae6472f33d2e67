// A thread makes the two normals of a pair; for sums it goes through all draws, so that each is added up in one order.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/cuda.h"
#include "noisy_magnitudes/noisy_magnitudes_checks.h"

namespace geospec {
namespace {

using noise::Form;
using noise::kBlock;
using noise::kPairs;

__device__ inline void normals(uint64_t seed, uint64_t draw, uint64_t pair, double (&z)[2]) {
  double square, cosine, sine;
  noise::polar(seed, draw, pair, square, cosine, sine);
  z[0] = sqrt(square) * cosine;
  z[1] = sqrt(square) * sine;
}

// The first of the two elements of a pair; the other is kPairs further.
__device__ inline int64_t element(int64_t pair) { return pair / kPairs * kBlock + pair % kPairs; }

template <Form form, class T>
__global__ void draw_kernel(uint64_t seed, uint64_t first, const T* clean, int64_t size, const double* sigma,
                            int64_t draws, int64_t pairs, T* out) {
  GEOSPEC_GRID_STRIDE(i, draws * pairs) {
    const int64_t d = i / pairs, e = element(i % pairs);
    double z[2];
    normals(seed, first + d, i % pairs, z);
    for (int half = 0; half < 2; ++half)
      if (const int64_t own = e + half * kPairs; own < size)
        out[d * size + own] = T(noise::noisy<form>(noise::magnitude(double(clean[own])), sigma[d], z[half]));
  }
}

template <Form form, class T>
__global__ void sums_kernel(uint64_t seed, uint64_t first, const T* clean, int64_t size, const double* sigma,
                            int64_t draws, int64_t pairs, const T* denoised, double* residual, double* level,
                            double* ratio) {
  GEOSPEC_GRID_STRIDE(i, pairs) {
    const int64_t e = element(i);
    noise::Sums sums[2] = {};
    double base[2] = {};
    for (int half = 0; half < 2; ++half)
      if (e + half * kPairs < size) base[half] = noise::magnitude(double(clean[e + half * kPairs]));
    for (int64_t d = 0; d < draws; ++d) {
      double z[2];
      normals(seed, first + d, i, z);
      for (int half = 0; half < 2; ++half)
        if (const int64_t own = e + half * kPairs; own < size)
          noise::add<T>(sums[half], noise::noisy<form>(base[half], sigma[d], z[half]), denoised[d * size + own]);
    }
    for (int half = 0; half < 2; ++half)
      if (const int64_t own = e + half * kPairs; own < size) {
        residual[own] = sums[half].residual;
        level[own] = sums[half].level;
        ratio[own] = sums[half].ratio;
      }
  }
}

int64_t pairs_of(int64_t size) { return (size + kBlock - 1) / kBlock * kPairs; }

Tensor noisy_magnitudes(const Tensor& clean, const Tensor& sigma, int64_t seed, int64_t first, std::string form) {
  const NoiseInputs in = check_noise(clean, sigma, seed, first);
  torch::stable::accelerator::DeviceGuard guard(clean.get_device_index());
  Tensor drawn = torch::stable::new_empty(in.clean, in.drawn);
  const int64_t pairs = pairs_of(in.size);
  dispatch_float(in.clean, "clean", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    dispatch_form(form, [&](auto chosen) {
      if (in.draws * in.size == 0) return;
      draw_kernel<decltype(chosen)::value, T><<<blocks_for(in.draws * pairs), kThreads, 0, current_stream(clean)>>>(
          seed, first, data<T>(in.clean), in.size, data<double>(in.sigma), in.draws, pairs, data<T>(drawn));
      STD_CUDA_KERNEL_LAUNCH_CHECK();
    });
  });
  return drawn;
}

std::tuple<Tensor, Tensor, Tensor> mask_sums(const Tensor& clean, const Tensor& denoised, const Tensor& sigma,
                                             int64_t seed, int64_t first, std::string form) {
  const NoiseInputs in = check_noise(clean, sigma, seed, first);
  const Tensor given = check_denoised(denoised, in);
  torch::stable::accelerator::DeviceGuard guard(clean.get_device_index());
  const std::vector<int64_t> shape(in.drawn.begin() + 1, in.drawn.end());
  Tensor residual = torch::stable::new_empty(in.clean, shape, ScalarType::Double);
  Tensor level = torch::stable::empty_like(residual), ratio = torch::stable::empty_like(residual);
  const int64_t pairs = pairs_of(in.size);
  dispatch_float(in.clean, "clean", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    dispatch_form(form, [&](auto chosen) {
      if (in.size == 0) return;
      sums_kernel<decltype(chosen)::value, T><<<blocks_for(pairs), kThreads, 0, current_stream(clean)>>>(
          seed, first, data<T>(in.clean), in.size, data<double>(in.sigma), in.draws, pairs, data<T>(given),
          data<double>(residual), data<double>(level), data<double>(ratio));
      STD_CUDA_KERNEL_LAUNCH_CHECK();
    });
  });
  return {residual, level, ratio};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("noisy_magnitudes", TORCH_BOX(&noisy_magnitudes));
  m.impl("mask_sums", TORCH_BOX(&mask_sums));
}

}  // namespace geospec
