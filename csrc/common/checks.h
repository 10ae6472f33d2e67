// Refusals at the border of every op: the argument's name, what was wanted, what came.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <string>

namespace geospec {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline std::string describe(const Tensor& t) {
  std::string text = "(";
  for (int64_t i = 0; i < t.dim(); ++i) text += (i ? ", " : "") + std::to_string(t.size(i));
  return text + (t.dim() == 1 ? ",)" : ")");
}

// Width of the last of two dimensions; -1 leaves it free.
inline void check_matrix(const Tensor& t, const char* name, int64_t columns) {
  STD_TORCH_CHECK(t.dim() == 2 && (columns < 0 || t.size(1) == columns), name, ": wanted shape (n, ",
                  columns < 0 ? std::string("d") : std::to_string(columns), "), got ", describe(t));
}

inline void check_vector(const Tensor& t, const char* name, int64_t length) {
  STD_TORCH_CHECK(t.dim() == 1 && (length < 0 || t.size(0) == length), name, ": wanted shape (",
                  length < 0 ? std::string("n") : std::to_string(length), ",), got ", describe(t));
}

inline void check_float(const Tensor& t, const char* name) {
  STD_TORCH_CHECK(t.scalar_type() == ScalarType::Float || t.scalar_type() == ScalarType::Double, name,
                  ": wanted float32 or float64, got another type");
}

inline void check_index(const Tensor& t, const char* name) {
  STD_TORCH_CHECK(t.scalar_type() == ScalarType::Long, name, ": wanted int64 indices, got another type");
}

inline void check_same_dtype(const Tensor& a, const char* name_a, const Tensor& b, const char* name_b) {
  STD_TORCH_CHECK(a.scalar_type() == b.scalar_type(), name_b, ": wanted the type of ", name_a, ", got another");
}

// A kernel that is handed memory of another device reads what is not there.
inline void check_same_device(const Tensor& a, const char* name_a, const Tensor& b, const char* name_b) {
  STD_TORCH_CHECK(a.is_cuda() == b.is_cuda() && (!a.is_cuda() || a.get_device_index() == b.get_device_index()), name_b,
                  ": wanted the device of ", name_a, ", got another");
}

// Calls f with a null pointer of the tensor's element type: the type is what is handed on.
template <class F>
auto dispatch_float(const Tensor& t, const char* name, const F& f) {
  check_float(t, name);
  if (t.scalar_type() == ScalarType::Double) return f(static_cast<double*>(nullptr));
  return f(static_cast<float*>(nullptr));
}

template <class T>
T* data(Tensor& t) {
  return static_cast<T*>(t.data_ptr());
}

template <class T>
const T* data(const Tensor& t) {
  return static_cast<const T*>(t.data_ptr());
}

// An int64 tensor of the given length on the device of `like`.
inline Tensor new_index(const Tensor& like, int64_t length) {
  return torch::stable::new_empty(like, {length}, ScalarType::Long);
}

}  // namespace geospec
