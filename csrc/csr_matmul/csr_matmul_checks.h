// What the products of a sparse matrix with a dense block accept, said once for both devices.
#pragma once

#include "common/checks.h"

namespace geospec {

struct CsrInputs {
  Tensor crow, col, values, x;
};

inline void check_csr(const Tensor& crow, const Tensor& col) {
  check_vector(crow, "crow", -1);
  check_vector(col, "col", -1);
  STD_TORCH_CHECK(crow.size(0) >= 1, "crow: wanted shape (n + 1,), got (0,)");
  STD_TORCH_CHECK(crow.scalar_type() == ScalarType::Long || crow.scalar_type() == ScalarType::Int,
                  "crow: wanted int32 or int64 indices, got another type");
  check_same_dtype(crow, "crow", col, "col");
  check_same_device(crow, "crow", col, "col");
}

inline CsrInputs check_product(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x) {
  check_csr(crow, col);
  check_matrix(x, "x", -1);
  check_float(x, "x");
  check_vector(values, "values", col.size(0));
  check_same_dtype(x, "x", values, "values");
  check_same_device(x, "x", values, "values");
  check_same_device(x, "x", crow, "crow");
  using torch::stable::contiguous;
  return {contiguous(crow), contiguous(col), contiguous(values), contiguous(x)};
}

inline CsrInputs check_filter(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x,
                              int64_t degree, double lower, double upper) {
  CsrInputs in = check_product(crow, col, values, x);
  STD_TORCH_CHECK(x.size(0) == crow.size(0) - 1, "x: wanted one row for each row of the matrix, ", crow.size(0) - 1,
                  ", got ", x.size(0));
  STD_TORCH_CHECK(degree >= 0, "degree: wanted 0 or more, got ", degree);
  STD_TORCH_CHECK(upper > lower, "upper: wanted more than lower, ", lower, ", got ", upper);
  return in;
}

inline CsrInputs check_smooth(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x,
                              int64_t steps) {
  CsrInputs in = check_product(crow, col, values, x);
  STD_TORCH_CHECK(x.size(0) == crow.size(0) - 1, "x: wanted one row for each row of the matrix, ", crow.size(0) - 1,
                  ", got ", x.size(0));
  STD_TORCH_CHECK(steps >= 0, "steps: wanted 0 or more, got ", steps);
  return in;
}

inline Tensor check_smooth_grad(const Tensor& grad, const Tensor& x) {
  check_matrix(grad, "grad", x.size(1));
  STD_TORCH_CHECK(grad.size(0) == x.size(0), "grad: wanted the shape of x, ", describe(x), ", got ", describe(grad));
  check_same_dtype(x, "x", grad, "grad");
  check_same_device(x, "x", grad, "grad");
  return torch::stable::contiguous(grad);
}

struct SampledInputs {
  Tensor crow, col, left, right;
};

inline SampledInputs check_sampled(const Tensor& crow, const Tensor& col, const Tensor& left, const Tensor& right) {
  check_csr(crow, col);
  check_matrix(left, "left", -1);
  check_float(left, "left");
  STD_TORCH_CHECK(left.size(0) == crow.size(0) - 1, "left: wanted one row for each row of the matrix, ",
                  crow.size(0) - 1, ", got ", left.size(0));
  check_matrix(right, "right", left.size(1));
  check_same_dtype(left, "left", right, "right");
  check_same_device(left, "left", right, "right");
  check_same_device(left, "left", crow, "crow");
  using torch::stable::contiguous;
  return {contiguous(crow), contiguous(col), contiguous(left), contiguous(right)};
}

// Calls f with null pointers of the element type and of the index type.
template <class F>
void dispatch_csr(const Tensor& floats, const Tensor& indices, const F& f) {
  dispatch_float(floats, "x", [&](auto* type) {
    if (indices.scalar_type() == ScalarType::Long)
      f(type, static_cast<int64_t*>(nullptr));
    else
      f(type, static_cast<int32_t*>(nullptr));
  });
}

}  // namespace geospec
