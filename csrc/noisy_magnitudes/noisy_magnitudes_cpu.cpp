#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>

#include "noisy_magnitudes/instruction_sets.h"
#include "noisy_magnitudes/noisy_magnitudes_checks.h"

namespace geospec {
namespace {

using noise::kBlock;

constexpr int64_t kTask = 512;  // blocks worth waking a thread for

// Calls f with types that stand for the element, the instruction set and the form.
template <class F>
void dispatch(const NoiseInputs& in, const std::string& form, const F& f) {
  dispatch_float(in.clean, "clean", [&](auto* type) {
    dispatch_form(form, [&](auto chosen) { noise::dispatch_lanes([&](auto* lanes) { f(type, chosen, lanes); }); });
  });
}

Tensor noisy_magnitudes(const Tensor& clean, const Tensor& sigma, int64_t seed, int64_t first, std::string form) {
  const NoiseInputs in = check_noise(clean, sigma, seed, first);
  Tensor drawn = torch::stable::new_empty(in.clean, in.drawn);
  dispatch(in, form, [&](auto* type, auto chosen, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const int64_t blocks = (in.size + kBlock - 1) / kBlock;
    const T* from = data<T>(in.clean);
    const double* levels = data<double>(in.sigma);
    T* out = data<T>(drawn);
    torch::stable::parallel_for(0, in.draws * blocks, kTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t d = i / blocks, start = i % blocks * kBlock;
        const int count = int(std::min<int64_t>(kBlock, in.size - start));
        L::template draw<decltype(chosen)::value>(seed, first + d, i % blocks, from + start, count, levels[d],
                                                  out + d * in.size + start);
      }
    });
  });
  return drawn;
}

std::tuple<Tensor, Tensor, Tensor> mask_sums(const Tensor& clean, const Tensor& denoised, const Tensor& sigma,
                                             int64_t seed, int64_t first, std::string form) {
  const NoiseInputs in = check_noise(clean, sigma, seed, first);
  const Tensor given = check_denoised(denoised, in);
  const std::vector<int64_t> shape(in.drawn.begin() + 1, in.drawn.end());
  Tensor residual = torch::stable::new_empty(in.clean, shape, ScalarType::Double);
  Tensor level = torch::stable::empty_like(residual), ratio = torch::stable::empty_like(residual);
  dispatch(in, form, [&](auto* type, auto chosen, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const int64_t grain = std::max<int64_t>(1, kTask / (in.draws + 1));
    torch::stable::parallel_for(0, (in.size + kBlock - 1) / kBlock, grain, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t start = b * kBlock;
        L::template sums<decltype(chosen)::value>(
            seed, first, in.draws, b, data<T>(in.clean) + start, int(std::min<int64_t>(kBlock, in.size - start)),
            data<double>(in.sigma), data<T>(given) + start, in.size, data<double>(residual) + start,
            data<double>(level) + start, data<double>(ratio) + start);
      }
    });
  });
  return {residual, level, ratio};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("noisy_magnitudes", TORCH_BOX(&noisy_magnitudes));
  m.impl("mask_sums", TORCH_BOX(&mask_sums));
}

}  // namespace geospec
