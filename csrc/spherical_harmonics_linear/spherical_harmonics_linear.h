// Order of features in a fused layer: by order m, then degree, Y_{l,m} before Y_{l,-m}, so that a column of the
// recurrence makes neighbours. Y_{l,-0} is a row of zeros.
#pragma once

#include "spherical_harmonics/spherical_harmonics.h"

namespace geospec::harmonics {

GEOSPEC_HOST_DEVICE int64_t packed_features(int64_t degree) { return (degree + 1) * (degree + 2); }

// Where the features of order m begin.
GEOSPEC_HOST_DEVICE int64_t first_packed(int64_t degree, int64_t m) { return 2 * first_row(degree, m); }

}  // namespace geospec::harmonics
