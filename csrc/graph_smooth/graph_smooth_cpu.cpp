// All steps in one call, which pays three times. Vertices are renumbered breadth first, so that the rows that a row
// gathers from lie near each other and stay in the first cache. Blocks are cut into tiles of columns, so that two of a
// tile stay in the second. And work is done in double, so that the inner loop is a load and a multiply-add: to convert
// what is gathered takes as long as to multiply it.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "common/aligned.h"
#include "common/wide.h"
#include "csr_matmul/csr_matmul_checks.h"
#include "csr_matmul/structure_cpu.h"
#include "graph_smooth/graph_smooth.h"

namespace geospec {
namespace {

constexpr int64_t kWidth = 8;             // columns of a register, and of the narrowest tile
constexpr int64_t kTask = 1 << 16;        // multiplications worth waking a thread for
constexpr int64_t kWorthRenumbering = 4;  // steps

typedef double V __attribute__((vector_size(kWidth * sizeof(double))));
typedef double Half __attribute__((vector_size(kWidth / 2 * sizeof(double))));
typedef double Quarter __attribute__((vector_size(kWidth / 4 * sizeof(double))));

#define GEOSPEC_INLINE __attribute__((always_inline)) inline

// The matrix renumbered: row i is row order[i] of the one given, its entries in the order given.
struct Graph {
  std::vector<int64_t> order, crow;
  std::vector<int32_t> col;
  std::vector<double> values;
  int64_t n() const { return int64_t(order.size()); }
};

// Breadth first from vertex 0, then from the first one not reached, and so on.
template <class I>
std::vector<int64_t> breadth_first(const I* crow, const I* col, int64_t n) {
  std::vector<int64_t> order;
  order.reserve(n);
  std::vector<char> seen(n, 0);
  for (int64_t start = 0; start < n; ++start) {
    if (seen[start]) continue;
    seen[start] = 1;
    int64_t next = int64_t(order.size());
    order.push_back(start);
    for (; next < int64_t(order.size()); ++next)
      for (int64_t e = crow[order[next]]; e < crow[order[next] + 1]; ++e)
        if (!seen[col[e]]) seen[col[e]] = 1, order.push_back(col[e]);
  }
  return order;
}

template <class T, class I>
Graph renumbered(const CsrInputs& in, int64_t steps) {
  check_structure<I>(in.crow, in.col, in.x.size(0));
  const I *crow = data<I>(in.crow), *col = data<I>(in.col);
  const T* values = data<T>(in.values);
  const int64_t n = in.crow.size(0) - 1;
  STD_TORCH_CHECK(n <= std::numeric_limits<int32_t>::max(), "x: wanted fewer than 2^31 rows, got ", n);
  Graph g;
  if (steps >= kWorthRenumbering) {
    g.order = breadth_first(crow, col, n);
  } else {
    g.order.resize(n);
    for (int64_t i = 0; i < n; ++i) g.order[i] = i;
  }
  std::vector<int32_t> place(n);
  for (int64_t i = 0; i < n; ++i) place[g.order[i]] = int32_t(i);
  g.crow.reserve(n + 1);
  g.crow.push_back(0);
  g.col.reserve(in.col.size(0));
  g.values.reserve(in.col.size(0));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t e = crow[g.order[i]]; e < crow[g.order[i] + 1]; ++e) {
      g.col.push_back(place[col[e]]);
      g.values.push_back(double(values[e]));
    }
    g.crow.push_back(int64_t(g.col.size()));
  }
  return g;
}

// What the loops below read of a graph: plain pointers, as they compile for several instruction sets.
struct View {
  const int64_t* crow;
  const int32_t* col;
  const double* values;
};

// Rows begin to end of y = S x, 8 K columns wide.
template <int K>
GEOSPEC_INLINE void product_rows(const View& s, const double* x, double* y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    V sum[K] = {};
    for (int64_t e = s.crow[i]; e < s.crow[i + 1]; ++e) {
      const V* row = reinterpret_cast<const V*>(x + int64_t(s.col[e]) * (K * kWidth));
      const double value = s.values[e];
#pragma GCC unroll 4
      for (int k = 0; k < K; ++k) sum[k] += value * row[k];
    }
    V* out = reinterpret_cast<V*>(y + i * (K * kWidth));
#pragma GCC unroll 4
    for (int k = 0; k < K; ++k) out[k] = sum[k];
  }
}

// grad[e] += <row i of g, row j of x> for the entries e = (i, j) of rows begin to end.
template <int K>
GEOSPEC_INLINE void sampled_rows(const View& s, const double* g, const double* x, double* grad, int64_t begin,
                                 int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const V* left = reinterpret_cast<const V*>(g + i * (K * kWidth));
    for (int64_t e = s.crow[i]; e < s.crow[i + 1]; ++e) {
      const V* right = reinterpret_cast<const V*>(x + int64_t(s.col[e]) * (K * kWidth));
      V sum = left[0] * right[0];
#pragma GCC unroll 4
      for (int k = 1; k < K; ++k) sum += left[k] * right[k];
      const Half* halves = reinterpret_cast<const Half*>(&sum);
      const Half half = halves[0] + halves[1];
      const Quarter* quarters = reinterpret_cast<const Quarter*>(&half);
      const Quarter quarter = quarters[0] + quarters[1];
      grad[e] += quarter[0] + quarter[1];
    }
  }
}

#define GEOSPEC_LOOPS(name, target)                                                                        \
  template <int K>                                                                                         \
  target void product_##name(const View& s, const double* x, double* y, int64_t begin, int64_t end) {      \
    product_rows<K>(s, x, y, begin, end);                                                                  \
  }                                                                                                        \
  template <int K>                                                                                         \
  target void sampled_##name(const View& s, const double* g, const double* x, double* grad, int64_t begin, \
                             int64_t end) {                                                                \
    sampled_rows<K>(s, g, x, grad, begin, end);                                                            \
  }
GEOSPEC_LOOPS(portable, )
#ifdef GEOSPEC_WIDE_X86
GEOSPEC_LOOPS(avx2, GEOSPEC_WIDE_AVX2)
GEOSPEC_LOOPS(avx512, GEOSPEC_WIDE_AVX512)
#endif
#undef GEOSPEC_LOOPS

// The widest form of the loops that this machine runs.
template <int K>
struct Loops {
  void (*product)(const View&, const double*, double*, int64_t, int64_t) = &product_portable<K>;
  void (*sampled)(const View&, const double*, const double*, double*, int64_t, int64_t) = &sampled_portable<K>;
  Loops() {
#ifdef GEOSPEC_WIDE_X86
    if (wide::widest() == wide::Registers::avx2) product = &product_avx2<K>, sampled = &sampled_avx2<K>;
    if (wide::widest() == wide::Registers::avx512) product = &product_avx512<K>, sampled = &sampled_avx512<K>;
#endif
  }
};

// Columns c to c + width of a block (n, b) into a tile, rows renumbered, columns beyond the last one zero.
template <class T>
void gather_tile(const Graph& g, const T* x, int64_t b, int64_t c, int64_t width, double* tile) {
  const int64_t columns = std::min(width, b - c);
  for (int64_t i = 0; i < g.n(); ++i) {
    const T* row = x + g.order[i] * b + c;
    for (int64_t k = 0; k < width; ++k) tile[i * width + k] = k < columns ? double(row[k]) : 0;
  }
}

template <class T>
void scatter_tile(const Graph& g, const double* tile, int64_t b, int64_t c, int64_t width, T* y) {
  const int64_t columns = std::min(width, b - c);
  for (int64_t i = 0; i < g.n(); ++i) {
    T* row = y + g.order[i] * b + c;
    for (int64_t k = 0; k < columns; ++k) row[k] = T(tile[i * width + k]);
  }
}

// Calls f with the number of registers in a row of a tile: no wider than b asks for, and as many tiles as threads where
// that can be had. No sum depends on it.
template <class F>
void with_tiles(int64_t b, const F& f) {
  const int64_t threads = torch::stable::get_num_threads();
  const auto fits = [&](int64_t width) { return width < b + kWidth && (b + width - 1) / width >= threads; };
  if (fits(4 * kWidth) || (b > 2 * kWidth && threads == 1)) return f(std::integral_constant<int, 4>());
  if (fits(2 * kWidth)) return f(std::integral_constant<int, 2>());
  f(std::integral_constant<int, 1>());
}

template <class T>
void smooth(const Graph& g, const T* x, T* y, int64_t b, int64_t steps) {
  const int64_t n = g.n();
  const View view{g.crow.data(), g.col.data(), g.values.data()};
  with_tiles(b, [&](auto registers) {
    constexpr int K = registers();
    constexpr int64_t width = K * kWidth;
    const Loops<K> loops;
    const int64_t tiles = (b + width - 1) / width, grain = kTask / (width * (g.crow[n] / n + 1)) + 1;
    // A parallel loop inside another runs on the thread that calls it: few tiles share out their rows instead.
    const bool by_tile = tiles >= int64_t(torch::stable::get_num_threads());
    const auto run = [&](int64_t begin, int64_t end) {
      const Aligned one(n * width), two(n * width);
      for (int64_t tile = begin; tile < end; ++tile) {
        double *now = one.get(), *next = two.get();
        gather_tile(g, x, b, tile * width, width, now);
        for (int64_t t = 0; t < steps; ++t, std::swap(now, next))
          torch::stable::parallel_for(0, n, by_tile ? n : grain,
                                      [&](int64_t from, int64_t to) { loops.product(view, now, next, from, to); });
        scatter_tile(g, now, b, tile * width, width, y);
      }
    };
    if (by_tile)
      torch::stable::parallel_for(0, tiles, 1, run);
    else
      run(0, tiles);
  });
}

Tensor graph_smooth(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x, int64_t steps) {
  const CsrInputs in = check_smooth(crow, col, values, x, steps);
  if (steps == 0) return torch::stable::clone(in.x);
  Tensor y = torch::stable::empty_like(in.x);
  dispatch_csr(in.x, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    const Graph graph = renumbered<T, I>(in, steps);
    if (in.x.numel() > 0) smooth<T>(graph, data<T>(in.x), data<T>(y), in.x.size(1), steps);
  });
  return y;
}

// Tiles follow one another and share out their rows: every entry is summed by one thread, in one order.
template <class T>
std::vector<double> values_gradient(const Graph& g, const T* grad, const T* x, int64_t b, int64_t steps) {
  constexpr int K = 4;
  constexpr int64_t width = K * kWidth;
  const int64_t n = g.n(), size = n * width, blocks = blocks_of_adjoint(steps);
  const View view{g.crow.data(), g.col.data(), g.values.data()};
  const Loops<K> loops;
  std::vector<double> sums(g.col.size(), 0);
  const Aligned work(blocks * size);
  const int64_t grain = n ? kTask / (width * (g.crow[n] / n + 1)) + 1 : 1;
  for (int64_t c = 0; c < b; c += width) {
    gather_tile(g, x, b, c, width, work.get());
    gather_tile(g, grad, b, c, width, work.get() + (blocks - 1) * size);
    adjoint_of_values(
        work.get(), size, steps,
        [&](const double* from, double* to) {
          torch::stable::parallel_for(0, n, grain,
                                      [&](int64_t begin, int64_t end) { loops.product(view, from, to, begin, end); });
        },
        [&](const double* left, const double* right) {
          torch::stable::parallel_for(0, n, grain, [&](int64_t begin, int64_t end) {
            loops.sampled(view, left, right, sums.data(), begin, end);
          });
        });
  }
  return sums;
}

Tensor graph_smooth_values_backward(const Tensor& grad, const Tensor& crow, const Tensor& col, const Tensor& values,
                                    const Tensor& x, int64_t steps) {
  const CsrInputs in = check_smooth(crow, col, values, x, steps);
  const Tensor given = check_smooth_grad(grad, in.x);
  if (steps == 0) return torch::stable::new_zeros(in.values, {in.col.size(0)});
  Tensor out = torch::stable::empty_like(in.values);
  dispatch_csr(in.x, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    const Graph g = renumbered<T, I>(in, steps);
    const auto sums = values_gradient<T>(g, data<T>(given), data<T>(in.x), in.x.size(1), steps);
    const I* begin = data<I>(in.crow);
    for (int64_t i = 0; i < g.n(); ++i) {
      T* row = data<T>(out) + begin[g.order[i]];
      for (int64_t e = g.crow[i]; e < g.crow[i + 1]; ++e) row[e - g.crow[i]] = T(sums[e]);
    }
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("graph_smooth", TORCH_BOX(&graph_smooth));
  m.impl("graph_smooth_values_backward", TORCH_BOX(&graph_smooth_values_backward));
}

}  // namespace geospec
