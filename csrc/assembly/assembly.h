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

// Position of column j in row i, whose columns ascend and hold j.
GEOSPEC_HOST_DEVICE int64_t find_entry(const int64_t* crow, const int64_t* col, int64_t i, int64_t j) {
  int64_t low = crow[i], length = crow[i + 1] - low;
  while (length > 1) {  // no branch but the loop's own: the halves are chosen by arithmetic
    const int64_t half = length / 2;
    low += (col[low + half] <= j) * half;
    length -= half;
  }
  return low;
}

// Row i: S_ij = -(sum of the cotangents opposite to edge ij) / 2, S_ii = -sum_j S_ij; mass_i = a third of the
// faces around i. Entries (i, j) and (j, i) add the same faces in the same order, so they agree bit for bit.
template <class T>
GEOSPEC_HOST_DEVICE void assemble_row(const MeshView& m, const T* cotangents, const T* areas, const int64_t* crow,
                                      const int64_t* col, int64_t i, T* values, T* mass) {
  for (int64_t e = crow[i]; e < crow[i + 1]; ++e) values[e] = T(0);
  double area = 0;
  for (int64_t s = m.offsets[i]; s < m.offsets[i + 1]; ++s) {
    const int64_t face = m.corners[s] / 3, c = m.corners[s] - 3 * face;
    const int64_t next = 3 * face + (c == 2 ? 0 : c + 1), previous = 3 * face + (c == 0 ? 2 : c - 1);
    values[find_entry(crow, col, i, m.faces[next])] -= T(0.5) * cotangents[previous];
    values[find_entry(crow, col, i, m.faces[previous])] -= T(0.5) * cotangents[next];
    area += double(areas[face]);
  }
  // The diagonal last, in double and from the entries as they are stored, so that the stored row sums to zero.
  const int64_t slot = find_entry(crow, col, i, i);
  double others = 0;
  for (int64_t e = crow[i]; e < crow[i + 1]; ++e) others += e == slot ? 0.0 : double(values[e]);
  values[slot] = T(-others);
  mass[i] = T(area / 3);
}

// A corner's cotangent enters the four entries of its opposite edge: +1/2 on the diagonal, -1/2 off it.
template <class T>
GEOSPEC_HOST_DEVICE void assemble_backward_face(const int64_t* face, const int64_t* crow, const int64_t* col,
                                                const T* grad_values, const T* grad_mass, T* grad_cotangents,
                                                T* grad_area) {
  double area = 0;
  for (int c = 0; c < 3; ++c) {
    const int64_t i = face[(c + 1) % 3], j = face[(c + 2) % 3];
    const double on =
        double(grad_values[find_entry(crow, col, i, i)]) + double(grad_values[find_entry(crow, col, j, j)]);
    const double off =
        double(grad_values[find_entry(crow, col, i, j)]) + double(grad_values[find_entry(crow, col, j, i)]);
    grad_cotangents[c] = T(i == j ? 0.0 : 0.5 * (on - off));
    area += double(grad_mass[face[c]]);
  }
  *grad_area = T(area / 3);
}

}  // namespace geospec
