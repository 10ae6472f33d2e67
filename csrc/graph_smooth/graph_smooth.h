// The order of work in the adjoint of S^steps x with respect to the values of S, the same on every device.
//
// d <g, S^steps x> / d S_ij = sum over t < steps of (S^(steps-1-t) g)_i (S^t x)_j where S is symmetric. The powers of g
// come in the order in which they are made, those of x in the reverse one. One state in every sqrt(steps) is kept and
// those between are made again: 2 sqrt(steps) blocks in place of steps, for one more product a step.
#pragma once

#include <cstdint>
#include <utility>

namespace geospec {

// Steps from a state that is kept to the next: the smallest s with s * s >= steps.
inline int64_t stride_of_states(int64_t steps) {
  int64_t s = 1;
  while (s * s < steps) ++s;
  return s;
}

// Blocks that `adjoint_of_values` works in: states kept, states between two of them, the power of g and the next.
inline int64_t blocks_of_adjoint(int64_t steps) {
  const int64_t s = stride_of_states(steps);
  return (steps + s - 1) / s + (s - 1) + 2;
}

// `work` holds blocks_of_adjoint(steps) blocks of `size` elements: x in the first, g in the last, steps >= 1.
// `product(from, to)` multiplies by S; `accumulate(g, x)` adds <row i of g, row j of x> to each entry (i, j).
template <class T, class Product, class Accumulate>
void adjoint_of_values(T* work, int64_t size, int64_t steps, const Product& product, const Accumulate& accumulate) {
  const int64_t s = stride_of_states(steps), kept = (steps + s - 1) / s;
  T* const between = work + (kept - 1) * size;  // state k s + r, 0 < r < s, of the segment k at hand
  const auto state = [&](int64_t k, int64_t r) { return r == 0 ? work + k * size : between + r * size; };
  T* power = work + (kept + s) * size;
  T* next = power - size;
  for (int64_t k = 0; k + 1 < kept; ++k)
    for (int64_t r = 0; r < s; ++r) product(state(k, r), r + 1 < s ? state(k, r + 1) : state(k + 1, 0));
  for (int64_t k = kept - 1; k >= 0; --k) {
    const int64_t last = (k + 1 < kept ? s : steps - k * s) - 1;
    // The states between are those of the segment done before: made again from the one that is kept.
    for (int64_t r = 0; r < last; ++r) product(state(k, r), state(k, r + 1));
    for (int64_t r = last; r >= 0; --r) {
      accumulate(power, state(k, r));
      if (k + r == 0) return;
      product(power, next);
      std::swap(power, next);
    }
  }
}

}  // namespace geospec
