// What the transforms on rings accept, the same on both devices.
#pragma once

#include "legendre_transform/legendre_transform.h"
#include "spherical_harmonics/checks.h"

namespace geospec {

struct RingInputs {
  Tensor given, nodes, table;  // contiguous
  int64_t rings, degree, k, channels;
};

// `given` is waves (rings, degree + 1, channels, 2) or coefficients (k, channels).
inline RingInputs check_rings(const Tensor& given, const char* name, const Tensor& nodes, const Tensor& table) {
  check_float(given, name);
  check_matrix(nodes, "nodes", legendre::kNode);
  check_matrix(table, "table", harmonics::kCoefficients);
  for (const auto& [what, t] : {std::pair{"nodes", &nodes}, std::pair{"table", &table}}) {
    STD_TORCH_CHECK(t->scalar_type() == ScalarType::Double, what, ": wanted float64, got another type");
    check_same_device(given, name, *t, what);
  }
  const int64_t degree = degree_of_table(table), k = harmonics::features(degree), rings = nodes.size(0);
  const bool waves = given.dim() == 4;
  if (waves)
    STD_TORCH_CHECK(given.size(0) == rings && given.size(1) == degree + 1 && given.size(3) == 2, name,
                    ": wanted shape (", rings, ", ", degree + 1, ", c, 2), got ", describe(given));
  return {torch::stable::contiguous(given),
          torch::stable::contiguous(nodes),
          torch::stable::contiguous(table),
          rings,
          degree,
          k,
          waves ? given.size(2) : 0};
}

inline RingInputs check_waves(const Tensor& waves, const Tensor& nodes, const Tensor& table) {
  STD_TORCH_CHECK(waves.dim() == 4, "waves: wanted shape (rings, degree + 1, c, 2), got ", describe(waves));
  return check_rings(waves, "waves", nodes, table);
}

inline RingInputs check_coefficients(const Tensor& coefficients, const Tensor& nodes, const Tensor& table) {
  STD_TORCH_CHECK(coefficients.dim() == 2, "coefficients: wanted shape (k, c), got ", describe(coefficients));
  RingInputs in = check_rings(coefficients, "coefficients", nodes, table);
  STD_TORCH_CHECK(coefficients.size(0) == in.k, "coefficients: wanted ", in.k, " rows, got ", coefficients.size(0));
  in.channels = coefficients.size(1);
  return in;
}

}  // namespace geospec
