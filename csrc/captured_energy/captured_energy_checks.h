// What captured_energy accepts, and its dense product, the same on both devices.
#pragma once

#include "common/checks.h"

namespace geospec {

// Q^T F, (k, m).
inline Tensor coefficients_of(const Tensor& q, const Tensor& f) {
  check_matrix(q, "q", -1);
  check_float(q, "q");
  check_matrix(f, "f", -1);
  STD_TORCH_CHECK(f.size(0) == q.size(0), "f: wanted one row for each row of q, ", q.size(0), ", got ", f.size(0));
  check_same_dtype(q, "q", f, "f");
  check_same_device(q, "q", f, "f");
  return torch::stable::contiguous(torch::stable::matmul(torch::stable::transpose(q, 0, 1), f));
}

}  // namespace geospec
