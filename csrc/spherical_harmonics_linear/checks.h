// What the fused layer accepts, the same on both devices.
#pragma once

#include "spherical_harmonics/checks.h"

namespace geospec {

// weight (h, k) of as many columns as there are harmonics: contiguous.
inline Tensor check_weight(const Tensor& weight, const HarmonicInputs& in) {
  STD_TORCH_CHECK(weight.dim() == 2 && weight.size(1) == in.k, "weight: wanted shape (h, ", in.k, "), got ",
                  describe(weight));
  check_same_dtype(in.xyz, "xyz", weight, "weight");
  check_same_device(in.xyz, "xyz", weight, "weight");
  return torch::stable::contiguous(weight);
}

// (h,) beside a weight (h, k): contiguous.
inline Tensor check_bias(const Tensor& bias, const Tensor& weight) {
  check_vector(bias, "bias", weight.size(0));
  check_same_dtype(weight, "weight", bias, "bias");
  check_same_device(weight, "weight", bias, "bias");
  return torch::stable::contiguous(bias);
}

// One row for each point, beside xyz: contiguous.
inline Tensor check_rows(const Tensor& grad, const HarmonicInputs& in) {
  STD_TORCH_CHECK(grad.dim() == 2, "grad: wanted shape (", in.n, ", h), got ", describe(grad));
  return check_beside(grad, "grad", in, grad.size(1));
}

}  // namespace geospec
