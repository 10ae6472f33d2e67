// What the ops of this folder accept, the same on both devices.
#pragma once

#include <vector>

#include "common/checks.h"
#include "wavelet_tree/wavelet_tree.h"

namespace geospec::tree {

// The fan of `cells` over details of size (q0, q1, q2). Every detail must have its parent: what has none would be lost.
inline Fan check_fan(const std::vector<int64_t>& cells, const int64_t* size, int64_t fan, int64_t shift) {
  STD_TORCH_CHECK(cells.size() == 3, "cells: wanted three sizes, got ", cells.size());
  STD_TORCH_CHECK(fan >= 1, "fan: wanted 1 or more, got ", fan);
  Fan f = {{}, fan, shift};
  for (int d = 0; d < 3; ++d) {
    STD_TORCH_CHECK(size[d] == 0 || (shift >= 0 && fan * cells[d] - shift >= size[d]), "cells: wanted ", fan,
                    " x cells, less a shift of 0 or more, to cover the ", size[d], " details of axis ", d, ", got ",
                    cells[d], " cells and a shift of ", shift);
    f.axis[d] = {cells[d], size[d]};
  }
  return f;
}

inline void check_detail(const Tensor& t) {
  STD_TORCH_CHECK(t.dim() == 5, "detail: wanted shape (b, bands, q0, q1, q2), got ", describe(t));
  check_float(t, "detail");
}

inline Fan fan_of(const Tensor& detail, const std::vector<int64_t>& cells, int64_t fan, int64_t shift) {
  check_detail(detail);
  const int64_t size[] = {detail.size(2), detail.size(3), detail.size(4)};
  return check_fan(cells, size, fan, shift);
}

inline void check_rows(const Tensor& rows, const char* like_name, const Tensor& like) {
  check_vector(rows, "rows", -1);
  check_index(rows, "rows");
  check_same_device(like, like_name, rows, "rows");
}

// Of values (K, bands fan^3) and the shape (b, bands, q0, q1, q2) of what they are scattered into.
inline Fan check_scatter(const Tensor& values, const Tensor& rows, const std::vector<int64_t>& shape,
                         const std::vector<int64_t>& cells, int64_t fan, int64_t shift) {
  check_matrix(values, "values", -1);
  check_float(values, "values");
  check_rows(rows, "values", values);
  STD_TORCH_CHECK(shape.size() == 5, "shape: wanted (b, bands, q0, q1, q2), got ", shape.size(), " sizes");
  const Fan f = check_fan(cells, shape.data() + 2, fan, shift);
  STD_TORCH_CHECK(values.size(1) == shape[1] * f.children(), "values: wanted ", shape[1] * f.children(),
                  " columns, one a child of each band, got ", values.size(1));
  STD_TORCH_CHECK(values.size(0) == rows.size(0), "values: wanted a row for each of rows, ", rows.size(0), ", got ",
                  values.size(0));
  return f;
}

// Of channels (b, bands fan^3, m0, m1, m2) and the shape (q0, q1, q2) of the details that they become.
inline Fan check_channels(const Tensor& channels, const std::vector<int64_t>& shape, int64_t fan, int64_t shift) {
  STD_TORCH_CHECK(channels.dim() == 5, "channels: wanted shape (b, c, m0, m1, m2), got ", describe(channels));
  check_float(channels, "channels");
  STD_TORCH_CHECK(shape.size() == 3, "shape: wanted three sizes, got ", shape.size());
  const Fan f = check_fan({channels.size(2), channels.size(3), channels.size(4)}, shape.data(), fan, shift);
  STD_TORCH_CHECK(channels.size(1) % f.children() == 0, "channels: wanted a multiple of ", f.children(),
                  " of them, one a child, got ", channels.size(1));
  return f;
}

// Totals of the counts, each between 0 and the number of values of its row of (b, m).
inline int64_t check_counts(const Tensor& values, const std::vector<int64_t>& counts) {
  check_matrix(values, "values", -1);
  check_float(values, "values");
  STD_TORCH_CHECK(int64_t(counts.size()) == values.size(0), "counts: wanted one for each row of values, ",
                  values.size(0), ", got ", counts.size());
  int64_t total = 0;
  for (int64_t count : counts) {
    STD_TORCH_CHECK(count >= 0 && count <= values.size(1), "counts: wanted between 0 and the ", values.size(1),
                    " values of a row, got ", count);
    total += count;
  }
  return total;
}

}  // namespace geospec::tree
