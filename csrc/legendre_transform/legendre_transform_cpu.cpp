// Rings that mirror one another at the equator share their Legendre functions, which differ in sign alone. Threads
// share out the orders; an order's sums are added in one sequence, so results repeat whatever the number of threads.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "common/aligned.h"
#include "legendre_transform/checks.h"
#include "legendre_transform/instruction_sets.h"

namespace geospec {
namespace {

using legendre::first_row;
using legendre::kCoefficients;
using legendre::kNode;

constexpr int64_t kTask = 1 << 14;  // products worth waking a thread for

// A colatitude of the northern half, and the rings at it and at its mirror image: -1 where there is none.
struct Pair {
  double sine, w;
  int64_t north = -1, south = -1;
};

std::vector<Pair> pairs_of(const double* nodes, int64_t rings) {
  std::vector<int64_t> order(rings);
  for (int64_t i = 0; i < rings; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return std::abs(nodes[a * kNode]) < std::abs(nodes[b * kNode]); });
  std::vector<Pair> pairs;
  double last = -1;
  for (const int64_t i : order) {
    const double z = nodes[i * kNode], sine = nodes[i * kNode + 1];
    const bool north = z >= 0, mirrored = !pairs.empty() && std::abs(std::abs(z) - last) < 4e-16;
    if (mirrored && (north ? pairs.back().north : pairs.back().south) < 0) {
      (north ? pairs.back().north : pairs.back().south) = i;
      continue;
    }
    last = std::abs(z);
    pairs.push_back({sine, sine * sine / (1 + last), north ? i : -1, north ? -1 : i});
  }
  return pairs;
}

// Pairs in groups that fill the registers of L, from the equator to the poles.
template <class L>
struct Groups {
  std::vector<Pair> pairs;
  int64_t count;
  Aligned w;

  explicit Groups(const RingInputs& in)
      : pairs(pairs_of(data<double>(in.nodes), in.rings)),
        count((int64_t(pairs.size()) + L::kRings - 1) / L::kRings),
        w(count * L::kRings) {
    pairs.resize(count * L::kRings, Pair{0, 1});  // the pole, of rings that there are none of
    for (size_t i = 0; i < pairs.size(); ++i) w.get()[i] = pairs[i].w;
  }

  // Groups that matter for an order: beyond them harmonics are below rounding.
  int64_t that_matter(int64_t m, int64_t degree) const {
    int64_t g = count;
    while (g > 0 && legendre::vanishes(pairs[(g - 1) * L::kRings].sine, m, degree)) --g;
    return g;
  }

  void starts(int64_t g, int64_t m, double* out) const {
    for (int j = 0; j < L::kRings; ++j) out[j] = legendre::power(pairs[g * L::kRings + j].sine, m);
  }
};

// Calls f(m, first channel) for every order and every group of channels, long orders and short ones in turn.
template <class F>
void for_orders(const RingInputs& in, int64_t channels_at_once, const F& f) {
  const int64_t parts = (in.channels + channels_at_once - 1) / channels_at_once;
  const int64_t work = (in.degree + 1) * in.rings * channels_at_once + 1;
  torch::stable::parallel_for(0, (in.degree + 1) * parts, std::max<int64_t>(1, kTask / work),
                              [&](int64_t begin, int64_t end) {
                                for (int64_t task = begin; task < end; ++task) {
                                  const int64_t t = task / parts, m = t % 2 ? in.degree - t / 2 : t / 2;
                                  f(m, task % parts * channels_at_once);
                                }
                              });
}

// The sums over rings. Columns are the two parts of each of some channels.
template <class L, int columns, class T>
void analyze(const RingInputs& in, double factor, T* out) {
  using V = typename L::V;
  const Groups<L> groups(in);
  const double *table = data<double>(in.table), *nodes = data<double>(in.nodes);
  const T* waves = data<T>(in.given);
  for_orders(in, columns / 2, [&](int64_t m, int64_t channel) {
    const int64_t degrees = in.degree + 1 - m, here = std::min<int64_t>(columns / 2, in.channels - channel);
    const Aligned sums(degrees * columns * L::kLanes), even(columns * L::kRings), odd(columns * L::kRings),
        starts(L::kRings);
    std::fill_n(sums.get(), degrees * columns * L::kLanes, 0.0);
    for (int64_t g = 0; g < groups.that_matter(m, in.degree); ++g) {
      groups.starts(g, m, starts.get());
      for (int j = 0; j < L::kRings; ++j) {
        const Pair& pair = groups.pairs[g * L::kRings + j];
        for (int64_t c = 0; c < columns; ++c) {
          const auto part = [&](int64_t ring) {
            if (ring < 0 || c / 2 >= here) return 0.0;
            return nodes[ring * kNode + 2] * waves[((ring * (in.degree + 1) + m) * in.channels + channel) * 2 + c];
          };
          const double north = part(pair.north), south = part(pair.south);
          even.get()[c * L::kRings + j] = north + south, odd.get()[c * L::kRings + j] = north - south;
        }
      }
      L::template analyze<columns>(
          table + first_row(in.degree, m) * kCoefficients, degrees, reinterpret_cast<const V*>(starts.get()),
          reinterpret_cast<const V*>(groups.w.get() + g * L::kRings), reinterpret_cast<const V*>(even.get()),
          reinterpret_cast<const V*>(odd.get()), reinterpret_cast<V*>(sums.get()));
    }
    const double scale = m ? factor : 1;
    for (int64_t i = 0; i < degrees; ++i)
      for (int64_t c = 0; c < here; ++c) {
        const int64_t l = m + i;
        const double* sum = sums.get() + (i * columns + 2 * c) * L::kLanes;
        double cosine = 0, sine = 0;
        for (int j = 0; j < L::kLanes; ++j) cosine += sum[j], sine += sum[L::kLanes + j];
        out[(l * l + l + m) * in.channels + channel + c] = T(scale * cosine);
        if (m) out[(l * l + l - m) * in.channels + channel + c] = T(-scale * sine);
      }
  });
}

// The sums over degrees.
template <class L, int columns, class T>
void synthesize(const RingInputs& in, double factor, T* out) {
  using V = typename L::V;
  const Groups<L> groups(in);
  const double *table = data<double>(in.table), *nodes = data<double>(in.nodes);
  const T* coefficients = data<T>(in.given);
  for_orders(in, columns / 2, [&](int64_t m, int64_t channel) {
    const int64_t degrees = in.degree + 1 - m, here = std::min<int64_t>(columns / 2, in.channels - channel);
    const Aligned even(columns * L::kRings), odd(columns * L::kRings), starts(L::kRings);
    std::vector<double> own(degrees * columns, 0.0);
    const double scale = m ? factor : 1;
    for (int64_t i = 0; i < degrees; ++i)
      for (int64_t c = 0; c < here; ++c) {
        const int64_t l = m + i;
        own[i * columns + 2 * c] = scale * coefficients[(l * l + l + m) * in.channels + channel + c];
        if (m) own[i * columns + 2 * c + 1] = -scale * coefficients[(l * l + l - m) * in.channels + channel + c];
      }
    const int64_t near = groups.that_matter(m, in.degree);
    for (int64_t g = 0; g < groups.count; ++g) {
      std::fill_n(even.get(), columns * L::kRings, 0.0);
      std::fill_n(odd.get(), columns * L::kRings, 0.0);
      if (g < near) {
        groups.starts(g, m, starts.get());
        L::template synthesize<columns>(table + first_row(in.degree, m) * kCoefficients, degrees,
                                        reinterpret_cast<const V*>(starts.get()),
                                        reinterpret_cast<const V*>(groups.w.get() + g * L::kRings), own.data(),
                                        reinterpret_cast<V*>(even.get()), reinterpret_cast<V*>(odd.get()));
      }
      for (int j = 0; j < L::kRings; ++j) {
        const Pair& pair = groups.pairs[g * L::kRings + j];
        const auto store = [&](int64_t ring, double sign) {
          if (ring < 0) return;
          T* place = out + ((ring * (in.degree + 1) + m) * in.channels + channel) * 2;
          for (int64_t c = 0; c < 2 * here; ++c)
            place[c] =
                T(nodes[ring * kNode + 2] * (even.get()[c * L::kRings + j] + sign * odd.get()[c * L::kRings + j]));
        };
        store(pair.north, 1);
        store(pair.south, -1);
      }
    }
  });
}

// Calls f with types that stand for the element, the instruction set and the number of columns.
template <class F>
void dispatch(const RingInputs& in, const F& f) {
  dispatch_float(in.given, "given", [&](auto* type) {
    legendre::dispatch_lanes([&](auto* lanes) {
      if (in.channels == 1) return f(type, lanes, std::integral_constant<int, 2>());
      f(type, lanes, std::integral_constant<int, 8>());
    });
  });
}

Tensor legendre_analysis(const Tensor& waves, const Tensor& nodes, const Tensor& table, double factor) {
  const RingInputs in = check_waves(waves, nodes, table);
  Tensor out = torch::stable::new_empty(in.given, {in.k, in.channels});
  dispatch(in, [&](auto* type, auto* lanes, auto columns) {
    using T = std::remove_pointer_t<decltype(type)>;
    analyze<std::remove_pointer_t<decltype(lanes)>, columns, T>(in, factor, data<T>(out));
  });
  return out;
}

Tensor legendre_synthesis(const Tensor& coefficients, const Tensor& nodes, const Tensor& table, double factor) {
  const RingInputs in = check_coefficients(coefficients, nodes, table);
  Tensor out = torch::stable::new_empty(in.given, {in.rings, in.degree + 1, in.channels, 2});
  dispatch(in, [&](auto* type, auto* lanes, auto columns) {
    using T = std::remove_pointer_t<decltype(type)>;
    synthesize<std::remove_pointer_t<decltype(lanes)>, columns, T>(in, factor, data<T>(out));
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("legendre_analysis", TORCH_BOX(&legendre_analysis));
  m.impl("legendre_synthesis", TORCH_BOX(&legendre_synthesis));
}

}  // namespace geospec
