#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <type_traits>

#include "common/wide.h"
#include "csr_matmul/csr_matmul.h"
#include "csr_matmul/csr_matmul_checks.h"
#include "csr_matmul/structure_cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define GEOSPEC_WIDE_CPU 1
#endif

namespace geospec {
namespace {

constexpr int64_t kAhead = 24;      // entries between a prefetch and its use: some 200 ns
constexpr int64_t kTask = 1 << 16;  // multiplications worth waking a thread for

int64_t grain(int64_t multiplications_per_row) { return std::max<int64_t>(1, kTask / (multiplications_per_row + 1)); }

// Eight doubles; each instruction set splits them as it needs. Only pointers to them are handed on.
constexpr int64_t kWidth = 8;
typedef double V __attribute__((vector_size(kWidth * sizeof(double))));
template <class T>
using Lanes __attribute__((vector_size(kWidth * sizeof(T)), aligned(alignof(T)), may_alias)) = T;

#define GEOSPEC_INLINE __attribute__((always_inline)) inline

// `kLanes` registers of columns, from column c on, of row i. The sum runs over the row's entries in order and each
// column has its own lane: no result depends on the width, up to the rounding that a fused multiply-add saves.
template <int kLanes, class T, class I>
GEOSPEC_INLINE void row_lanes(const CsrView<T, I>& a, const Step& s, const T* x, const T* z, T* y, int64_t b, int64_t i,
                              int64_t c, int64_t last) {
  V sum[kLanes] = {};
  const int64_t stop = a.crow[i + 1];
  for (int64_t e = a.crow[i]; e < stop; ++e) {
    const T* ahead = x + int64_t(a.col[std::min(e + kAhead, last)]) * b + c;
    const T* row = x + int64_t(a.col[e]) * b + c;
    const double value = double(a.values[e]);
#pragma GCC unroll 4
    for (int r = 0; r < kLanes; ++r) {
      prefetch(ahead + r * kWidth);
      sum[r] += value * __builtin_convertvector(*reinterpret_cast<const Lanes<T>*>(row + r * kWidth), V);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kLanes; ++r) {
    const int64_t at = i * b + c + r * kWidth;
    V out = s.alpha * sum[r];
    if (s.beta != 0) out += s.beta * __builtin_convertvector(*reinterpret_cast<const Lanes<T>*>(x + at), V);
    if (s.gamma != 0) out += s.gamma * __builtin_convertvector(*reinterpret_cast<const Lanes<T>*>(z + at), V);
    *reinterpret_cast<Lanes<T>*>(y + at) = __builtin_convertvector(out, Lanes<T>);
  }
}

template <class T, class I>
GEOSPEC_INLINE void rows_any(const CsrView<T, I>& a, const Step& s, const T* x, const T* z, T* y, int64_t b,
                             int64_t begin, int64_t end) {
  const int64_t last = int64_t(a.crow[a.n]) - 1;
  for (int64_t i = begin; i < end; ++i) {
    int64_t c = 0;
    for (; c + 4 * kWidth <= b; c += 4 * kWidth) row_lanes<4>(a, s, x, z, y, b, i, c, last);
    if (c + 2 * kWidth <= b) row_lanes<2>(a, s, x, z, y, b, i, c, last), c += 2 * kWidth;
    if (c + kWidth <= b) row_lanes<1>(a, s, x, z, y, b, i, c, last), c += kWidth;
    for (; c < b; ++c) {
      double sum = 0;
      for (int64_t e = a.crow[i]; e < a.crow[i + 1]; ++e)
        sum += double(a.values[e]) * double(x[int64_t(a.col[e]) * b + c]);
      y[i * b + c] = finish(s, sum, x, z, i * b + c);
    }
  }
}

template <class T, class I>
void rows_portable(const CsrView<T, I>& a, const Step& s, const T* x, const T* z, T* y, int64_t b, int64_t begin,
                   int64_t end) {
  rows_any(a, s, x, z, y, b, begin, end);
}

#ifdef GEOSPEC_WIDE_CPU
template <class T, class I>
__attribute__((target("avx2,fma"))) void rows_avx2(const CsrView<T, I>& a, const Step& s, const T* x, const T* z, T* y,
                                                   int64_t b, int64_t begin, int64_t end) {
  rows_any(a, s, x, z, y, b, begin, end);
}
template <class T, class I>
__attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512"))) void rows_avx512(
    const CsrView<T, I>& a, const Step& s, const T* x, const T* z, T* y, int64_t b, int64_t begin, int64_t end) {
  rows_any(a, s, x, z, y, b, begin, end);
}
#endif

// The widest form of the loop that this machine runs.
template <class T, class I>
auto rows_for_this_machine() {
#ifdef GEOSPEC_WIDE_CPU
  if (wide::widest() == wide::Registers::avx512) return &rows_avx512<T, I>;
  if (wide::widest() == wide::Registers::avx2) return &rows_avx2<T, I>;
#endif
  return &rows_portable<T, I>;
}

template <class T, class I>
void apply_step(const CsrView<T, I>& a, const Step& s, const T* x, const T* z, T* y, int64_t b) {
  if (a.n == 0 || b == 0) return;
  const auto rows = rows_for_this_machine<T, I>();
  const int64_t work = (int64_t(a.crow[a.n]) / a.n + 2) * b;
  torch::stable::parallel_for(0, a.n, grain(work),
                              [&](int64_t begin, int64_t end) { rows(a, s, x, z, y, b, begin, end); });
}

template <class T, class I>
CsrView<T, I> view_of(const CsrInputs& in) {
  check_structure<I>(in.crow, in.col, in.x.size(0));
  return {data<I>(in.crow), data<I>(in.col), data<T>(in.values), in.crow.size(0) - 1, in.x.size(0)};
}

Tensor csr_matmul(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x) {
  const CsrInputs in = check_product(crow, col, values, x);
  const int64_t b = in.x.size(1);
  Tensor y = torch::stable::new_empty(in.x, {in.crow.size(0) - 1, b});
  dispatch_csr(in.x, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    apply_step<T, I>(view_of<T, I>(in), Step{1, 0, 0}, data<T>(in.x), nullptr, data<T>(y), b);
  });
  return y;
}

Tensor chebyshev_filter(const Tensor& crow, const Tensor& col, const Tensor& values, const Tensor& x, int64_t degree,
                        double lower, double upper) {
  const CsrInputs in = check_filter(crow, col, values, x, degree, lower, upper);
  if (degree == 0) return torch::stable::clone(in.x);
  Tensor first = torch::stable::empty_like(in.x), second = torch::stable::empty_like(in.x);
  bool swapped = false;
  dispatch_csr(in.x, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    const CsrView<T, I> view = view_of<T, I>(in);
    const T* result = chebyshev_recurrence<T>(
        data<T>(in.x), data<T>(first), data<T>(second), degree, lower, upper,
        [&](const Step& s, const T* now, const T* before, T* y) { apply_step(view, s, now, before, y, in.x.size(1)); });
    swapped = result != data<T>(first);
  });
  return swapped ? second : first;
}

Tensor csr_sampled_products(const Tensor& crow, const Tensor& col, const Tensor& left, const Tensor& right) {
  const SampledInputs in = check_sampled(crow, col, left, right);
  const int64_t b = in.left.size(1), n = in.crow.size(0) - 1;
  Tensor values = torch::stable::new_empty(in.left, {in.col.size(0)});
  dispatch_csr(in.left, in.crow, [&](auto* type, auto* index) {
    using T = std::remove_pointer_t<decltype(type)>;
    using I = std::remove_pointer_t<decltype(index)>;
    check_structure<I>(in.crow, in.col, in.right.size(0));
    const I *crow_at = data<I>(in.crow), *col_at = data<I>(in.col);
    const T *l = data<T>(in.left), *r = data<T>(in.right);
    T* out = data<T>(values);
    const int64_t entries = in.col.size(0);
    torch::stable::parallel_for(0, n, grain(n ? (entries / n + 1) * b : 1), [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t e = crow_at[i]; e < crow_at[i + 1]; ++e) {
          if (e + kAhead < entries) prefetch(r + int64_t(col_at[e + kAhead]) * b);
          out[e] = sampled_product(l + i * b, r + int64_t(col_at[e]) * b, b);
        }
    });
  });
  return values;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("csr_matmul", TORCH_BOX(&csr_matmul));
  m.impl("csr_sampled_products", TORCH_BOX(&csr_sampled_products));
  m.impl("chebyshev_filter", TORCH_BOX(&chebyshev_filter));
}

}  // namespace geospec
