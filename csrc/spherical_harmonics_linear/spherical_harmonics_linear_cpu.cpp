// Harmonics of a block of directions are made a few orders at a time and multiplied while the caches hold them. The
// gradient in the weights is shared out by orders, so that no thread adds to what another adds to, and by slices of the
// points that depend on their number alone: results repeat whatever the number of threads.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <vector>

#include "common/pages.h"
#include "spherical_harmonics/blocks_cpu.h"
#include "spherical_harmonics_linear/checks.h"
#include "spherical_harmonics_linear/instruction_sets.h"

namespace geospec {
namespace {

using harmonics::Directions;
using harmonics::first_packed;
using harmonics::kJet;
using harmonics::packed_features;
using harmonics::Registers;

// Points whose sums are added up in the type of the features before they go to double, and points worth a slice.
constexpr int64_t kFlush = 1 << 9, kSliceLeast = 1 << 12;
constexpr int64_t kTasks = 16, kGroups = 8, kRoom = 1 << 23;  // kRoom: doubles that the sums of all tasks may hold

template <class L>
constexpr int64_t registers_for(int64_t h) {
  return (h + L::kLanes - 1) / L::kLanes;
}

// Place of each packed feature among the columns of a weight, -1 for the zeros of m = 0.
std::vector<int64_t> columns_of(int64_t degree) {
  std::vector<int64_t> columns;
  for (int64_t m = 0; m <= degree; ++m)
    for (int64_t l = m; l <= degree; ++l) {
      columns.push_back(l * l + l + m);
      columns.push_back(m ? l * l + l - m : -1);
    }
  return columns;
}

// weight (h, k) as (packed features, width) registers, zero beyond h.
template <class L, class T>
Registers<L> packed(const T* weight, int64_t h, const HarmonicInputs& in) {
  const int64_t width = registers_for<L>(h), padded = width * L::kLanes;
  Registers<L> made(packed_features(in.degree) * width);
  T* out = reinterpret_cast<T*>(made.get());
  for (const int64_t column : columns_of(in.degree))
    for (int64_t j = 0; j < padded; ++j) *out++ = column >= 0 && j < h ? weight[j * in.k + column] : T(0);
  return made;
}

// Rows of grad (n, h) from `first`, as (kPoints, width) registers, zero beyond h and beyond the last.
template <class L, class T>
void load_rows(const T* grad, int64_t first, int64_t count, int64_t h, T* out) {
  const int64_t padded = registers_for<L>(h) * L::kLanes;
  for (int64_t p = 0; p < L::kPoints; ++p)
    for (int64_t j = 0; j < padded; ++j) out[p * padded + j] = p < count && j < h ? grad[(first + p) * h + j] : T(0);
}

// Calls f with types that stand for the element and the instruction set.
template <class F>
void dispatch(const HarmonicInputs& in, const F& f) {
  dispatch_float(in.xyz, "xyz", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    harmonics::dispatch_linear_lanes<T>([&](auto* lanes) { f(type, lanes); });
  });
}

Tensor spherical_harmonics_linear(const Tensor& xyz, const Tensor& weight, std::optional<Tensor> bias,
                                  const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor given = check_weight(weight, in);
  const int64_t h = given.size(0);
  const Tensor shift = bias ? check_bias(*bias, given) : torch::stable::new_zeros(in.xyz, {h});
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, h});
  FirstUnusable unusable;
  dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const int64_t width = registers_for<L>(h), padded = width * L::kLanes;
    const Registers<L> weights = packed<L>(data<T>(given), h, in);
    harmonics::for_blocks<L>(in, in.k * h, [&] {
      return
          [&, directions = Directions<L, T>(in, normalize, unusable), column = Registers<L>((in.degree + 1) * L::kPack),
           chunk = Registers<L>((L::kChunk + 4 * (in.degree + 1)) * L::kPack),
           sums = Registers<L>(L::kPoints * width)](int64_t first) mutable {
            directions.load(first);
            T* sum = reinterpret_cast<T*>(sums.get());
            for (int64_t p = 0; p < L::kPoints; ++p)
              for (int64_t j = 0; j < padded; ++j) sum[p * padded + j] = j < h ? data<T>(shift)[j] : T(0);
            L::forward(directions.block, weights.get(), width, column.get(), chunk.get(), sums.get());
            for (int64_t p = 0; p < directions.count; ++p)
              std::copy_n(sum + p * padded, h, data<T>(out) + (first + p) * h);
          };
    });
    unusable.raise(data<T>(in.xyz), normalize);
  });
  return out;
}

Tensor spherical_harmonics_linear_xyz(const Tensor& grad, const Tensor& xyz, const Tensor& weight, const Tensor& table,
                                      bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor given = check_weight(weight, in), above = check_beside(grad, "grad", in, weight.size(0));
  const int64_t h = given.size(0);
  Tensor out = torch::stable::new_empty(in.xyz, {in.n, 3});
  FirstUnusable unusable;
  dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const int64_t padded = registers_for<L>(h) * L::kLanes;
    const Registers<L> weights = packed<L>(data<T>(given), h, in);
    harmonics::for_blocks<L>(in, in.k * h, [&] {
      return
          [&, directions = Directions<L, T>(in, normalize, unusable),
           columns = Registers<L>(3 * (in.degree + 1) * L::kPack), chunk = Registers<L>(2 * (in.degree + 1) * L::kPack),
           across = Registers<L>(h * L::kPack), jets = Registers<L>(kJet * L::kPack)](int64_t first) mutable {
            directions.load(first);
            T* turned = reinterpret_cast<T*>(across.get());
            for (int64_t j = 0; j < h; ++j)
              for (int64_t p = 0; p < L::kPoints; ++p)
                turned[j * L::kPoints + p] = p < directions.count ? data<T>(above)[(first + p) * h + j] : T(0);
            L::by_xyz(directions.block, reinterpret_cast<const T*>(weights.get()), padded, h, across.get(),
                      columns.get(), chunk.get(), jets.get());
            harmonics::for_jets<L, T>(directions, jets.get(), [&](const harmonics::Direction& u, int p, const T* jet) {
              harmonics::gradient_on_rays(u, jet, data<T>(out) + 3 * (first + p));
            });
          };
    });
    unusable.raise(data<T>(in.xyz), normalize);
  });
  return out;
}

// How the gradient in the weights is shared out: slices of the points, and groups of orders.
struct Shares {
  int64_t slices, slice;
  std::vector<std::vector<int64_t>> groups;

  // Sizes alone decide, so that sums are added in the same order on any machine.
  Shares(const HarmonicInputs& in, int64_t padded) {
    const int64_t most = std::clamp<int64_t>(kRoom / (packed_features(in.degree) * padded + 1), 1, kTasks);
    slices = std::clamp<int64_t>((in.n + kSliceLeast - 1) / kSliceLeast, 1, most);
    slice = ((in.n + slices - 1) / slices + kFlush - 1) / kFlush * kFlush;
    groups.resize(std::clamp<int64_t>(kGroups / slices, 1, in.degree / 2 + 1));
    // To and fro, so that long orders and short ones meet.
    const int64_t count = int64_t(groups.size());
    for (int64_t m = 0; m <= in.degree; ++m) {
      const int64_t turn = m % (2 * count);
      groups[turn < count ? turn : 2 * count - 1 - turn].push_back(m);
    }
  }
};

// Sums over points `begin` to `end` for the orders of a group, in double.
template <class L, class T>
std::vector<double> sums_of_orders(Directions<L, T>& directions, const T* grad, int64_t h, int64_t begin, int64_t end,
                                   const std::vector<int64_t>& orders) {
  const int64_t width = registers_for<L>(h), degree = directions.block.degree;
  int64_t features = 0;
  for (const int64_t m : orders) features += 2 * (degree + 1 - m);
  const Registers<L> column((degree + 1) * L::kPack), chunk(2 * (degree + 1) * L::kPack), rows(L::kPoints * width);
  const Registers<L> part(features * width);
  const int64_t count = features * width * L::kLanes;
  T* sums = reinterpret_cast<T*>(part.get());
  std::vector<double> total(count, 0.0);
  for (int64_t start = begin; start < end; start += kFlush) {
    std::fill_n(sums, count, T(0));
    for (int64_t point = start; point < std::min(start + kFlush, end); point += L::kPoints) {
      directions.load(point);
      load_rows<L>(grad, point, directions.count, h, reinterpret_cast<T*>(rows.get()));
      L::by_weight(directions.block, orders.data(), int64_t(orders.size()), rows.get(), width, column.get(),
                   chunk.get(), part.get());
    }
    for (int64_t i = 0; i < count; ++i) total[i] += sums[i];
  }
  return total;
}

Tensor spherical_harmonics_linear_weight(const Tensor& grad, const Tensor& xyz, const Tensor& table, bool normalize) {
  const HarmonicInputs in = check_harmonics(xyz, table);
  const Tensor above = check_rows(grad, in);
  const int64_t h = above.size(1);
  Tensor out = torch::stable::new_empty(in.xyz, {h, in.k});
  FirstUnusable unusable;
  dispatch(in, [&](auto* type, auto* lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    using L = std::remove_pointer_t<decltype(lanes)>;
    const int64_t padded = registers_for<L>(h) * L::kLanes;
    const Shares shares(in, padded);
    const int64_t groups = int64_t(shares.groups.size());
    std::vector<std::vector<double>> parts(shares.slices * groups);
    torch::stable::parallel_for(0, shares.slices * groups, 1, [&](int64_t begin, int64_t end) {
      Directions<L, T> directions(in, normalize, unusable);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t from = std::min(task / groups * shares.slice, in.n), to = std::min(from + shares.slice, in.n);
        parts[task] = sums_of_orders<L>(directions, data<T>(above), h, from, to, shares.groups[task % groups]);
      }
    });
    unusable.raise(data<T>(in.xyz), normalize);
    const std::vector<int64_t> columns = columns_of(in.degree);
    for (int64_t g = 0; g < groups; ++g) {
      std::vector<double>& total = parts[g];
      for (int64_t s = 1; s < shares.slices; ++s)
        for (size_t i = 0; i < total.size(); ++i) total[i] += parts[s * groups + g][i];
      const double* sum = total.data();
      for (const int64_t m : shares.groups[g])
        for (int64_t q = first_packed(in.degree, m); q < first_packed(in.degree, m + 1); ++q, sum += padded)
          for (int64_t j = 0; j < h && columns[q] >= 0; ++j) data<T>(out)[j * in.k + columns[q]] = T(sum[j]);
    }
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("spherical_harmonics_linear", TORCH_BOX(&spherical_harmonics_linear));
  m.impl("spherical_harmonics_linear_xyz", TORCH_BOX(&spherical_harmonics_linear_xyz));
  m.impl("spherical_harmonics_linear_weight", TORCH_BOX(&spherical_harmonics_linear_weight));
}

}  // namespace geospec
