#include <torch/csrc/stable/library.h>

#include <string>
#include <tuple>

#include "common/checks.h"
#include "sparse_ldl/numeric.h"
#include "sparse_ldl/solve.h"

namespace geospec {
namespace {

using ldl::Pattern;
using ldl::Structure;

struct Parallel {
  template <class F>
  void operator()(int64_t begin, int64_t end, int64_t grain, const F& f) const {
    torch::stable::parallel_for(begin, end, grain, f);
  }
};

int64_t thread_count() { return std::max<int64_t>(1, torch::stable::get_num_threads()); }

Tensor from_vector(const Tensor& like, const std::vector<int64_t>& values) {
  Tensor out = new_index(like, values.size());
  std::copy(values.begin(), values.end(), data<int64_t>(out));
  return out;
}

void check_index_vector(const Tensor& t, const char* name, int64_t length) {
  check_vector(t, name, length);
  check_index(t, name);
}

void check_double(const Tensor& t, const char* name) {
  STD_TORCH_CHECK(t.scalar_type() == ScalarType::Double, name, ": wanted float64, got another type");
}

// The pattern is read through its indices, so each is looked at first.
Pattern check_pattern(const Tensor& crow, const Tensor& col) {
  check_index_vector(crow, "crow", -1);
  check_index_vector(col, "col", -1);
  STD_TORCH_CHECK(crow.size(0) >= 1, "crow: wanted shape (n + 1,), got (0,)");
  const Pattern pattern{crow.size(0) - 1, data<int64_t>(crow), data<int64_t>(col)};
  STD_TORCH_CHECK(pattern.crow[0] == 0 && pattern.crow[pattern.n] == col.size(0),
                  "crow: wanted offsets from 0 to the entries' number, ", col.size(0), ", got ", pattern.crow[0], "..",
                  pattern.crow[pattern.n]);
  for (int64_t i = 0; i < pattern.n; ++i)
    STD_TORCH_CHECK(pattern.crow[i] <= pattern.crow[i + 1], "crow: wanted offsets that do not fall, got ",
                    pattern.crow[i + 1], " after ", pattern.crow[i]);
  for (int64_t e = 0; e < col.size(0); ++e)
    STD_TORCH_CHECK(pattern.col[e] >= 0 && pattern.col[e] < pattern.n, "col: wanted indices in [0, ", pattern.n,
                    "), got ", pattern.col[e]);
  return pattern;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> ldl_analyze(const Tensor& crow_in, const Tensor& col_in,
                                                                       const Tensor& order_in) {
  const Tensor crow = torch::stable::contiguous(crow_in), col = torch::stable::contiguous(col_in);
  const Pattern pattern = check_pattern(crow, col);
  check_index_vector(order_in, "order", pattern.n);
  const Tensor order = torch::stable::contiguous(order_in);
  std::vector<char> met(pattern.n, 0);
  for (int64_t i = 0; i < pattern.n; ++i) {
    const int64_t row = data<int64_t>(order)[i];
    STD_TORCH_CHECK(row >= 0 && row < pattern.n && !met[row], "order: wanted a permutation of the ", pattern.n,
                    " rows, got ", row, " at ", i);
    met[row] = 1;
  }
  const ldl::Analysis found(pattern, data<int64_t>(order));
  return {from_vector(crow, found.order), from_vector(crow, found.first),       from_vector(crow, found.row_begin),
          from_vector(crow, found.rows),  from_vector(crow, found.panel_begin), from_vector(crow, found.parent)};
}

// The index tensors must come from ldl_analyze: sizes are checked here, contents are not.
struct StructureTensors {
  Tensor order, first, row_begin, rows, panel_begin, parent;

  StructureTensors(const Tensor& order_in, const Tensor& first_in, const Tensor& row_begin_in, const Tensor& rows_in,
                   const Tensor& panel_begin_in, const Tensor& parent_in)
      : order(torch::stable::contiguous(order_in)),
        first(torch::stable::contiguous(first_in)),
        row_begin(torch::stable::contiguous(row_begin_in)),
        rows(torch::stable::contiguous(rows_in)),
        panel_begin(torch::stable::contiguous(panel_begin_in)),
        parent(torch::stable::contiguous(parent_in)) {
    check_index_vector(order, "order", -1);
    check_index_vector(first, "first", parent.size(0) + 1);
    check_index_vector(row_begin, "row_begin", first.size(0));
    check_index_vector(panel_begin, "panel_begin", first.size(0));
    check_index_vector(parent, "parent", -1);
    check_index_vector(rows, "rows", data<int64_t>(row_begin)[parent.size(0)]);
    STD_TORCH_CHECK(data<int64_t>(first)[parent.size(0)] == order.size(0), "first: wanted offsets up to ",
                    order.size(0), ", got ", data<int64_t>(first)[parent.size(0)]);
  }

  Structure view() const {
    return {order.size(0),
            parent.size(0),
            data<int64_t>(order),
            data<int64_t>(first),
            data<int64_t>(row_begin),
            data<int64_t>(rows),
            data<int64_t>(panel_begin),
            data<int64_t>(parent)};
  }
};

std::tuple<Tensor, Tensor, Tensor> ldl_factor(const Tensor& values_in, const Tensor& crow_in, const Tensor& col_in,
                                              const Tensor& order, const Tensor& first, const Tensor& row_begin,
                                              const Tensor& rows, const Tensor& panel_begin, const Tensor& parent) {
  const Tensor crow = torch::stable::contiguous(crow_in), col = torch::stable::contiguous(col_in);
  const Pattern pattern = check_pattern(crow, col);
  check_vector(values_in, "values", col.size(0));
  check_double(values_in, "values");
  const StructureTensors structure(order, first, row_begin, rows, panel_begin, parent);
  check_vector(structure.order, "order", pattern.n);
  const Tensor values = torch::stable::contiguous(values_in);
  const Structure view = structure.view();
  Tensor panels = torch::stable::new_empty(values, {view.panel_begin[view.supernodes]});
  Tensor pivots = torch::stable::new_empty(values, {pattern.n}), from = new_index(crow, pattern.n);
  const Parallel parallel;
  ldl::dispatch_dense([&](auto* simd) {
    ldl::Factorization<std::remove_pointer_t<decltype(simd)>, Parallel>(pattern, data<double>(values), view,
                                                                        data<double>(panels), data<double>(pivots),
                                                                        data<int64_t>(from), parallel, thread_count())
        .run();
  });
  return {panels, pivots, from};
}

Tensor ldl_solve(const Tensor& panels_in, const Tensor& pivots_in, const Tensor& from_in, const Tensor& order,
                 const Tensor& first, const Tensor& row_begin, const Tensor& rows, const Tensor& panel_begin,
                 const Tensor& parent, const Tensor& right_in, bool rows_are_vectors) {
  const StructureTensors structure(order, first, row_begin, rows, panel_begin, parent);
  const Structure view = structure.view();
  check_vector(panels_in, "panels", view.panel_begin[view.supernodes]);
  check_double(panels_in, "panels");
  check_vector(pivots_in, "pivots", view.n);
  check_double(pivots_in, "pivots");
  check_index_vector(from_in, "swaps", view.n);
  const Tensor from = torch::stable::contiguous(from_in);
  for (int64_t s = 0; s < view.supernodes; ++s) {
    STD_TORCH_CHECK(view.first[s] >= 0 && view.first[s] < view.first[s + 1] && view.first[s + 1] <= view.n,
                    "first: wanted ascending offsets, got ", view.first[s + 1], " after ", view.first[s]);
    for (int64_t i = 0; i < view.width(s); ++i) {
      const int64_t row = data<int64_t>(from)[view.first[s] + i];
      const int64_t size = std::min(ldl::kBlock, view.width(s) - i / ldl::kBlock * ldl::kBlock);
      STD_TORCH_CHECK(row >= 0 && row < size, "swaps: wanted rows of a block of ", size, ", got ", row);
    }
  }
  check_matrix(right_in, "right", -1);
  check_double(right_in, "right");
  const int64_t length = right_in.size(rows_are_vectors ? 1 : 0), columns = right_in.size(rows_are_vectors ? 0 : 1);
  STD_TORCH_CHECK(length == view.n, "right: wanted vectors of ", view.n, ", got ", length);
  const Tensor panels = torch::stable::contiguous(panels_in), pivots = torch::stable::contiguous(pivots_in);
  const Tensor right = torch::stable::contiguous(right_in);
  Tensor x = torch::stable::new_empty(right, {right.size(0), right.size(1)});
  if (view.n == 0 || columns == 0) return x;
  const Parallel parallel;
  ldl::dispatch_dense([&](auto* simd) {
    ldl::solve<std::remove_pointer_t<decltype(simd)>>(
        view, data<double>(panels), data<double>(pivots), data<int64_t>(from), data<double>(right), data<double>(x),
        columns, rows_are_vectors ? 1 : columns, rows_are_vectors ? view.n : 1, parallel, thread_count());
  });
  return x;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("ldl_analyze", TORCH_BOX(&ldl_analyze));
  m.impl("ldl_factor", TORCH_BOX(&ldl_factor));
  m.impl("ldl_solve", TORCH_BOX(&ldl_solve));
}

}  // namespace geospec
