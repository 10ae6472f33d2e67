// Arithmetic of one row of the stiffness matrix, gathered from the corners around a vertex.
//
// Gathering by row needs no atomics, so every run and every device sums in the same order.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace geospec {

// A mesh as the kernels read it: corner c of face t is the number 3 t + c.
struct MeshView {
  const int64_t* faces;    // (f, 3)
  const int64_t* offsets;  // (n + 1): corners[offsets[i]:offsets[i + 1]] lie at vertex i
  const int64_t* corners;  // (3 f)
};

// Sum of the cotangents opposite to the edge between two vertices, over the faces that hold both.
// Read from the end with fewer corners (the smaller index where equal): a cone's apex of any valence
// costs its neighbours nothing, and entries (i, j) and (j, i) are the same sum, bit for bit.
template <class T>
GEOSPEC_HOST_DEVICE double opposite_cotangents(const MeshView& m, const T* cotangents, int64_t i, int64_t j) {
  const int64_t valence_i = m.offsets[i + 1] - m.offsets[i], valence_j = m.offsets[j + 1] - m.offsets[j];
  if (valence_j < valence_i || (valence_j == valence_i && j < i)) {
    const int64_t other = i;
    i = j;
    j = other;
  }
  double sum = 0;
  for (int64_t s = m.offsets[i]; s < m.offsets[i + 1]; ++s) {
    const int64_t face = m.corners[s] / 3, c = m.corners[s] % 3;
    const int64_t next = (c + 1) % 3, previous = (c + 2) % 3;
    if (m.faces[3 * face + next] == j) sum += double(cotangents[3 * face + previous]);
    if (m.faces[3 * face + previous] == j) sum += double(cotangents[3 * face + next]);
  }
  return sum;
}

// Row i: S_ij = -(sum of opposite cotangents) / 2, S_ii = -sum_j S_ij; mass_i = a third of the faces around.
template <class T>
GEOSPEC_HOST_DEVICE void assemble_row(const MeshView& m, const T* cotangents, const T* areas, const int64_t* crow,
                                      const int64_t* col, int64_t i, T* values, T* mass) {
  double diagonal = 0, area = 0;
  int64_t slot = -1;
  for (int64_t e = crow[i]; e < crow[i + 1]; ++e) {
    if (col[e] == i) {
      slot = e;
      continue;
    }
    const double weight = 0.5 * opposite_cotangents(m, cotangents, i, col[e]);
    values[e] = T(-weight);
    diagonal += double(values[e]);  // the rounded entry, so that the row sums to zero as it is stored
  }
  if (slot >= 0) values[slot] = T(-diagonal);
  for (int64_t s = m.offsets[i]; s < m.offsets[i + 1]; ++s) area += double(areas[m.corners[s] / 3]);
  mass[i] = T(area / 3);
}

// Position of column j in row i, whose columns ascend.
GEOSPEC_HOST_DEVICE int64_t find_entry(const int64_t* crow, const int64_t* col, int64_t i, int64_t j) {
  int64_t low = crow[i], high = crow[i + 1] - 1;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (col[middle] < j)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// A corner's cotangent enters the four entries of its opposite edge: +1/2 on the diagonal, -1/2 off it.
template <class T>
GEOSPEC_HOST_DEVICE void assemble_backward_face(const int64_t* face, const int64_t* crow, const int64_t* col,
                                                const T* grad_values, const T* grad_mass, T* grad_cotangents,
                                                T* grad_area) {
  double area = 0;
  for (int c = 0; c < 3; ++c) {
    const int64_t i = face[(c + 1) % 3], j = face[(c + 2) % 3];
    const double on = double(grad_values[find_entry(crow, col, i, i)]) + double(grad_values[find_entry(crow, col, j, j)]);
    const double off = double(grad_values[find_entry(crow, col, i, j)]) + double(grad_values[find_entry(crow, col, j, i)]);
    grad_cotangents[c] = T(i == j ? 0.0 : 0.5 * (on - off));
    area += double(grad_mass[face[c]]);
  }
  *grad_area = T(area / 3);
}

}  // namespace geospec
