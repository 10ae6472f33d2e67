// What the op asks of its arguments on every device.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "common/checks.h"
#include "mesh_sdf/mesh_sdf.h"

namespace geospec::mesh_sdf {

enum class Sign { nonzero, parity, winding, unsigned_, automatic };

inline Sign read_sign(const std::string& name) {
  if (name == "auto") return Sign::automatic;
  if (name == "nonzero") return Sign::nonzero;
  if (name == "parity") return Sign::parity;
  if (name == "winding") return Sign::winding;
  STD_TORCH_CHECK(name == "unsigned", "sign: wanted auto, nonzero, parity, winding or unsigned, got ", name);
  return Sign::unsigned_;
}

// shape is (nz, ny, nx), corners are (x, y, z).
inline Box read_box(const std::vector<int64_t>& shape, const std::vector<double>& lower,
                    const std::vector<double>& upper) {
  STD_TORCH_CHECK(shape.size() == 3 && lower.size() == 3 && upper.size() == 3,
                  "shape: wanted three numbers, as of lower and upper, got another length");
  Box box;
  double longest = 0;
  for (int k = 0; k < 3; ++k) {
    box.n[k] = shape[2 - k];
    STD_TORCH_CHECK(box.n[k] >= 1, "shape: wanted positive numbers of cells, got ", box.n[k]);
    STD_TORCH_CHECK(std::isfinite(lower[k]) && std::isfinite(upper[k]) && lower[k] < upper[k],
                    "upper: wanted finite corners, each above lower, got ", lower[k], " and ", upper[k]);
    box.centre[k] = 0.5 * lower[k] + 0.5 * upper[k];
    longest = std::max(longest, 0.5 * upper[k] - 0.5 * lower[k]);
  }
  box.scale = std::ldexp(1.0, std::min(-std::ilogb(longest), 1023));
  for (int k = 0; k < 3; ++k) box.spacing[k] = 2 * ((0.5 * upper[k] - 0.5 * lower[k]) * box.scale) / double(box.n[k]);
  STD_TORCH_CHECK(box.n[0] <= (int64_t(1) << 60) / box.n[1] / box.n[2], "shape: wanted at most 2^60 cells, got more");
  return box;
}

inline void check_mesh(const Tensor& vertices, const Tensor& faces, double truncation) {
  check_matrix(vertices, "vertices", 3);
  check_float(vertices, "vertices");
  check_matrix(faces, "faces", 3);
  check_index(faces, "faces");
  check_same_device(vertices, "vertices", faces, "faces");
  STD_TORCH_CHECK(faces.size(0) <= INT32_MAX, "faces: wanted fewer than 2^31, got ", faces.size(0));
  STD_TORCH_CHECK(vertices.size(0) <= INT32_MAX, "vertices: wanted fewer than 2^31, got ", vertices.size(0));
  STD_TORCH_CHECK(truncation > 0 && std::isfinite(truncation), "truncation: wanted a positive distance, got ",
                  truncation);
}

inline void check_backward(const Tensor& grad, const Tensor& vertices, const Tensor& faces, const Tensor& values,
                           const Tensor& nearest) {
  check_mesh(vertices, faces, 1);
  check_same_dtype(vertices, "vertices", grad, "grad");
  check_same_dtype(vertices, "vertices", values, "values");
  check_same_device(vertices, "vertices", grad, "grad");
  check_same_device(vertices, "vertices", values, "values");
  check_same_device(vertices, "vertices", nearest, "nearest");
  STD_TORCH_CHECK(nearest.scalar_type() == ScalarType::Int, "nearest: wanted int32, got another type");
  STD_TORCH_CHECK(values.dim() == 3, "values: wanted shape (nz, ny, nx), got ", describe(values));
  for (const auto& [t, name] : {std::pair(&grad, "grad"), std::pair(&nearest, "nearest")})
    STD_TORCH_CHECK(describe(*t) == describe(values), name, ": wanted the shape of values, ", describe(values),
                    ", got ", describe(*t));
}

// On the host: every face names vertices that there are, and these are finite.
template <class T>
void check_faces(const T* vertices, int64_t n, const int64_t* faces, int64_t f) {
  for (int64_t i = 0; i < 3 * f; ++i)
    STD_TORCH_CHECK(0 <= faces[i] && faces[i] < n, "faces: wanted indices in [0, ", n, "), got ", faces[i], " in row ",
                    i / 3);
  for (int64_t i = 0; i < 3 * n; ++i)
    STD_TORCH_CHECK(std::isfinite(vertices[i]), "vertices: wanted finite values, got another in row ", i / 3);
}

}  // namespace geospec::mesh_sdf
