// A block of directions made ready for the lanes, and the memory of one thread.
#pragma once

#include <algorithm>

#include "common/aligned.h"
#include "spherical_harmonics/checks.h"
#include "spherical_harmonics/instruction_sets.h"

namespace geospec::harmonics {

// Room for `registers` registers of L.
template <class L>
class Registers {
 public:
  explicit Registers(int64_t registers) : memory_(registers * int64_t(sizeof(typename L::V) / sizeof(double))) {}
  typename L::V* get() const { return reinterpret_cast<typename L::V*>(memory_.get()); }

 private:
  Aligned memory_;
};

// Directions `first` to `first + count`; lanes beyond them look north.
template <class L, class T>
class Directions {
 public:
  Directions(const HarmonicInputs& in, bool normalize, FirstUnusable& unusable)
      : in_(in), normalize_(normalize), unusable_(unusable), powers_(2 * (in.degree + 1) * L::kPack) {
    block.table = data<T>(in.table);
    block.degree = in.degree;
    block.c = powers_.get();
    block.s = block.c + (in.degree + 1) * L::kPack;
  }

  void load(int64_t first) {
    const T north[3] = {0, 0, 1};
    count = std::min<int64_t>(L::kPoints, in_.n - first);
    T *x = reinterpret_cast<T*>(block.x), *y = reinterpret_cast<T*>(block.y), *z = reinterpret_cast<T*>(block.z);
    for (int p = 0; p < L::kPoints; ++p) {
      bool fit;
      const Direction u = direction(p < count ? data<T>(in_.xyz) + 3 * (first + p) : north, normalize_, fit);
      if (!fit) unusable_.note(first + p);
      at[p] = u;
      x[p] = T(u.x), y[p] = T(u.y), z[p] = T(u.z);
    }
  }

  typename L::Block block;
  Direction at[L::kPoints];
  int64_t count = 0;

 private:
  const HarmonicInputs& in_;
  bool normalize_;
  FirstUnusable& unusable_;
  Registers<L> powers_;
};

// Calls f(first) for the first point of every block, threads sharing them out by `work` for a point; `make()` gives
// each thread its f.
template <class L, class F>
void for_blocks(const HarmonicInputs& in, int64_t work, const F& make) {
  const int64_t blocks = (in.n + L::kPoints - 1) / L::kPoints;
  const int64_t grain = std::max<int64_t>(1, (1 << 16) / (work * L::kPoints + 1));
  torch::stable::parallel_for(0, blocks, grain, [&](int64_t begin, int64_t end) {
    auto f = make();
    for (int64_t b = begin; b < end; ++b) f(b * L::kPoints);
  });
}

// Calls take(direction, point in the block, jet) for each point of a block.
template <class L, class T, class F>
void for_jets(const Directions<L, T>& directions, const typename L::V* jets, const F& take) {
  for (int p = 0; p < directions.count; ++p) {
    T jet[kJet];
    for (int e = 0; e < kJet; ++e) jet[e] = reinterpret_cast<const T*>(jets)[e * L::kPoints + p];
    take(directions.at[p], p, jet);
  }
}

// Calls f with types that stand for the element and the instruction set.
template <class F>
void dispatch(const HarmonicInputs& in, const F& f) {
  dispatch_float(in.xyz, "xyz", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    dispatch_lanes<T>([&](auto* lanes) { f(type, lanes); });
  });
}

}  // namespace geospec::harmonics
