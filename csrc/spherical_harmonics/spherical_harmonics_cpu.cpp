// Blocks of directions go side by side through the recurrences. What they give is kept feature by feature, one register
// after another, and turned into rows in the caches, so memory sees one long write.
#include <torch/csrc/stable/library.h>

#include <cstring>
#include <type_traits>

#include "common/pages.h"
#include "spherical_harmonics/blocks_cpu.h"

namespace geospec {
namespace {

using harmonics::Direction;
using harmonics::Directions;
using harmonics::kJet;
using harmonics::Registers;

// Rows of features made by `fill(directions, first, columns, planes)`, block by block.
template <class T, class L, class Fill>
void write_rows(const HarmonicInputs& in, bool normalize, FirstUnusable& unusable, T* out, const Fill& fill) {
  prefer_large_pages(out, in.n * in.k * sizeof(T));
  harmonics::for_blocks<L>(in, in.k, [&] {
    return [&, directions = Directions<L, T>(in, normalize, unusable),
            columns = Registers<L>(2 * (in.degree + 1) * L::kPack), planes = Registers<L>(in.k * L::kPack),
            rows = Registers<L>(in.k * L::kPack)](int64_t first) mutable {
      directions.load(first);
      T* place = out + first * in.k;
      prefetch_rows<true>(place, place + directions.count * in.k);
      fill(directions, first, columns.get(), planes.get());
      T* made = reinterpret_cast<T*>(rows.get());
      const bool whole = directions.count == L::kPoints;
      L::to_rows(planes.get(), in.k, whole ? place : made);
      if (!whole) std::memcpy(place, made, directions.count * in.k * sizeof(T));
    };
  });
}

// Jets of sum_k grad_k Y_k at every direction, each handed to `take(direction, point, jet)`.
template <bool second, class T, class L, class Take>
void reduce_rows(const HarmonicInputs& in, bool normalize, FirstUnusable& unusable, const T* grad, const Take& take) {
  harmonics::for_blocks<L>(in, in.k, [&] {
    return [&, directions = Directions<L, T>(in, normalize, unusable),
            columns = Registers<L>(3 * (in.degree + 1) * L::kPack), planes = Registers<L>(in.k * L::kPack),
            rows = Registers<L>(in.k * L::kPack + 1), jets = Registers<L>(kJet * L::kPack)](int64_t first) mutable {
      directions.load(first);
      const T* from = grad + first * in.k;
      if (first + L::kPoints >= in.n) {  // registers read on beyond the last row
        std::memset(rows.get(), 0, (in.k * L::kPack + 1) * sizeof(typename L::V));
        std::memcpy(rows.get(), from, directions.count * in.k * sizeof(T));
        from = reinterpret_cast<const T*>(rows.get());
      }
      L::to_planes(from, in.k, planes.get());
      const int64_t next = std::min(first + L::kPoints, in.n), last = std::min(next + L::kPoints, in.n);
      prefetch_rows<false>(grad + next * in.k, grad + last * in.k);
      L::template reduce<second>(directions.block, planes.get(), columns.get(), jets.get());
      harmonics::for_jets<L, T>(directions, jets.get(),
                                [&](const Direction& u, int p, const T* jet) { take(u, first + p, jet); });
    };
  });
}

Tensor spherical_harmonics(const Tensor& xyz, const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, in.k});
  FirstUnusable unusable;
  harmonics::dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    write_rows<T, L>(in, normalize, unusable, data<T>(out), [](auto& directions, int64_t, auto* columns, auto* planes) {
      L::values(directions.block, columns, planes);
    });
    unusable.raise(data<T>(in.xyz), normalize);
  });
  return out;
}

Tensor spherical_harmonics_jvp(const Tensor& xyz, const Tensor& tangent, const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor along = check_beside(tangent, "tangent", in, 3);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, in.k});
  FirstUnusable unusable;
  harmonics::dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    using V = typename L::V;
    write_rows<T, L>(in, normalize, unusable, data<T>(out),
                     [&](auto& directions, int64_t first, V* columns, V* planes) {
                       V motion[3][L::kPack] = {};
                       for (int p = 0; p < directions.count; ++p) {
                         double own[3];
                         harmonics::across(directions.at[p], data<T>(along) + 3 * (first + p), own);
                         for (int i = 0; i < 3; ++i) reinterpret_cast<T*>(motion[i])[p] = T(own[i]);
                       }
                       L::jvp(directions.block, motion[0], motion[1], motion[2], columns, planes);
                     });
    unusable.raise(data<T>(in.xyz), normalize);
  });
  return out;
}

Tensor spherical_harmonics_backward(const Tensor& grad, const Tensor& xyz, const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor given = check_beside(grad, "grad", in, in.k);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, 3});
  FirstUnusable unusable;
  harmonics::dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const auto take = [&](const Direction& u, int64_t point, const T* jet) {
      harmonics::gradient_on_rays(u, jet, data<T>(out) + 3 * point);
    };
    reduce_rows<false, T, L>(in, normalize, unusable, data<T>(given), take);
    unusable.raise(data<T>(in.xyz), normalize);
  });
  return out;
}

Tensor spherical_harmonics_hvp(const Tensor& grad, const Tensor& xyz, const Tensor& tangent, const Tensor& table,
                               bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor given = check_beside(grad, "grad", in, in.k), along = check_beside(tangent, "tangent", in, 3);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, 3});
  FirstUnusable unusable;
  harmonics::dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const auto take = [&](const Direction& u, int64_t point, const T* jet) {
      harmonics::hessian_on_rays(u, jet, data<T>(along) + 3 * point, data<T>(out) + 3 * point);
    };
    reduce_rows<true, T, L>(in, normalize, unusable, data<T>(given), take);
    unusable.raise(data<T>(in.xyz), normalize);
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("spherical_harmonics", TORCH_BOX(&spherical_harmonics));
  m.impl("spherical_harmonics_jvp", TORCH_BOX(&spherical_harmonics_jvp));
  m.impl("spherical_harmonics_backward", TORCH_BOX(&spherical_harmonics_backward));
  m.impl("spherical_harmonics_hvp", TORCH_BOX(&spherical_harmonics_hvp));
}

}  // namespace geospec
