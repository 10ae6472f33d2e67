// What noisy_magnitudes and mask_sums accept, the same on both devices.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "common/checks.h"
#include "noisy_magnitudes/noisy_magnitudes.h"

namespace geospec {

struct NoiseInputs {
  Tensor clean, sigma;         // contiguous
  std::vector<int64_t> drawn;  // (n, ...): the shape of all draws
  int64_t draws, size;
};

inline NoiseInputs check_noise(const Tensor& clean, const Tensor& sigma, int64_t seed, int64_t first) {
  check_float(clean, "clean");
  STD_TORCH_CHECK(sigma.dim() == 1 && sigma.scalar_type() == ScalarType::Double,
                  "sigma: wanted float64 levels (n,), one a draw, got ", describe(sigma), " or another type");
  check_same_device(clean, "clean", sigma, "sigma");
  STD_TORCH_CHECK(seed >= 0, "seed: wanted 0 or more, got ", seed);
  STD_TORCH_CHECK(first >= 0, "first: wanted 0 or more, got ", first);
  std::vector<int64_t> drawn{sigma.size(0)};
  for (int64_t i = 0; i < clean.dim(); ++i) drawn.push_back(clean.size(i));
  return {torch::stable::contiguous(clean), torch::stable::contiguous(sigma), drawn, sigma.size(0), clean.numel()};
}

inline Tensor check_denoised(const Tensor& denoised, const NoiseInputs& in) {
  check_same_dtype(in.clean, "clean", denoised, "denoised");
  check_same_device(in.clean, "clean", denoised, "denoised");
  bool alike = denoised.dim() == int64_t(in.drawn.size());
  for (int64_t i = 0; alike && i < denoised.dim(); ++i) alike = denoised.size(i) == in.drawn[i];
  STD_TORCH_CHECK(alike, "denoised: wanted a map for each of the ", in.draws, " levels, each ", describe(in.clean),
                  ", got ", describe(denoised));
  return torch::stable::contiguous(denoised);
}

// Calls f with the form as a type.
template <class F>
void dispatch_form(const std::string& form, const F& f) {
  using noise::Form;
  if (form == "normal") return f(std::integral_constant<Form, Form::normal>());
  if (form == "half") return f(std::integral_constant<Form, Form::half>());
  STD_TORCH_CHECK(form == "reflected", "form: wanted one of 'normal', 'half', 'reflected', got '", form, "'");
  f(std::integral_constant<Form, Form::reflected>());
}

}  // namespace geospec
