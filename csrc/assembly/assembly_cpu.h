// Assembly on the CPU, for other ops to end with.
#pragma once

#include <tuple>

#include "common/checks.h"

namespace geospec {

std::tuple<Tensor, Tensor, Tensor, Tensor> mesh_adjacency(const Tensor& faces, int64_t n_vertices);
std::tuple<Tensor, Tensor> assemble_stiffness(const Tensor& cotangents, const Tensor& areas, const Tensor& faces,
                                              const Tensor& offsets, const Tensor& corners, const Tensor& crow,
                                              const Tensor& col);

}  // namespace geospec
