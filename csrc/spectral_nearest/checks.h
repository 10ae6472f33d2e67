// What a search asks of its arguments, on either device.
#pragma once

#include "common/checks.h"

namespace geospec {

inline void check_search(const Tensor& queries, const Tensor& points, int64_t k) {
  check_matrix(queries, "queries", -1);
  check_matrix(points, "points", queries.size(1));
  check_same_dtype(queries, "queries", points, "points");
  check_same_device(queries, "queries", points, "points");
  STD_TORCH_CHECK(queries.size(1) > 0, "queries: wanted at least one column, got none");
  STD_TORCH_CHECK(points.size(0) > 0, "points: wanted at least one row, got none");
  STD_TORCH_CHECK(k >= 1 && k <= points.size(0), "k: wanted 1 to the number of points, ", points.size(0), ", got ", k);
}

}  // namespace geospec
