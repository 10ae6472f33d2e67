// The systems (G + diag(p_i)) c_i = r_i: what one entry of one of them is, and which pivot is refused.
//
// All rows share G, but diag(p_i) - diag(p_j) has full rank, so no factor of one row helps another: exact arithmetic
// needs as many Cholesky factors as there are rows. What they share is the order of every operation. The CPU therefore
// takes rows side by side, one in each lane of a register, and CUDA a block of threads for each.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace geospec::map_solve {

// Entry (i, j) of the symmetric part of G (k, k).
template <class T>
GEOSPEC_HOST_DEVICE double symmetric_entry(const T* gram, int64_t k, int64_t i, int64_t j) {
  return 0.5 * (double(gram[i * k + j]) + double(gram[j * k + i]));
}

// Whether the inverse root of a pivot is that of a positive finite number; it is not for NaN.
GEOSPEC_HOST_DEVICE bool usable(double inverse_root) { return inverse_root > 0 && inverse_root < 1e300; }

}  // namespace geospec::map_solve
