#include <tuple>

#include "neighbours/inputs.h"
#include "neighbours/search.h"

namespace geospec {
namespace {

using namespace neighbours;

// What one leaf of queries found, in the order in which they were asked.
template <class T>
struct Found {
  std::vector<std::pair<int64_t, int64_t>> counts;  // row, number of neighbours
  std::vector<T> squared;
  std::vector<int64_t> indices;
};

std::tuple<Tensor, Tensor, Tensor> radius_search(const Tensor& queries_in, const Tensor& points_in, double radius,
                                                 std::optional<int64_t> most, bool exclude_self,
                                                 std::optional<Tensor> query_offsets,
                                                 std::optional<Tensor> point_offsets) {
  const Batches both = check_search(queries_in, points_in, exclude_self, query_offsets, point_offsets);
  STD_TORCH_CHECK(radius >= 0 && radius < 1e150, "radius: wanted a finite number, at least 0, got ", radius);
  STD_TORCH_CHECK(!most || *most >= 1, "most: wanted at least 1, got ", most.value_or(0));
  const Tensor queries = torch::stable::contiguous(queries_in), points = torch::stable::contiguous(points_in);
  const int64_t q = queries.size(0), p = points.size(0), d = queries.size(1);
  Tensor crow = new_index(queries, q + 1), indices = new_index(queries, 0);
  Tensor squared = torch::stable::new_empty(queries, {0});
  int64_t* start = data<int64_t>(crow);
  std::fill(start, start + q + 1, 0);
  dispatch_float(queries, "queries", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *x = data<T>(queries), *y = data<T>(points);
    const double greatest_value = std::max(greatest(x, q, d, "queries"), x == y ? 0.0 : greatest(y, p, d, "points"));
    const Problem<T> problem = {{x, q, d, both.queries.data(), both.count()},
                                {y, p, d, both.points.data(), both.count()},
                                both.queries == both.points && (x == y || exclude_self),
                                exclude_self,
                                std::min(most.value_or(0), p),
                                radius * radius,
                                scale_for<T>(greatest_value)};
    if (q == 0 || p == 0) return;
    std::vector<Found<T>> each(both.points.size() + size_t(q) / kLeaf + both.queries.size());
    dispatch_lanes<T>(d, [&](auto* lanes) {
      search<std::remove_pointer_t<decltype(lanes)>>(
          problem, Parallel(),
          [&](int64_t leaf, int64_t row, int64_t n, const double* distances, const int64_t* found) {
            Found<T>& mine = each[leaf];
            mine.counts.emplace_back(row, n);
            mine.indices.insert(mine.indices.end(), found, found + n);
            for (int64_t j = 0; j < n; ++j) mine.squared.push_back(T(distances[j]));
            start[row + 1] = n;
          });
    });
    for (int64_t i = 0; i < q; ++i) start[i + 1] += start[i];
    indices = new_index(queries, start[q]);
    squared = torch::stable::new_empty(queries, {start[q]});
    T* squared_out = data<T>(squared);
    int64_t* indices_out = data<int64_t>(indices);
    torch::stable::parallel_for(0, int64_t(each.size()), 64, [&](int64_t begin, int64_t end) {
      for (int64_t leaf = begin; leaf < end; ++leaf) {
        int64_t from = 0;
        for (const auto& [row, n] : each[leaf].counts) {
          std::copy_n(each[leaf].squared.begin() + from, n, squared_out + start[row]);
          std::copy_n(each[leaf].indices.begin() + from, n, indices_out + start[row]);
          from += n;
        }
        each[leaf] = Found<T>();
      }
    });
  });
  return {squared, crow, indices};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("radius_search", TORCH_BOX(&radius_search)); }

}  // namespace geospec
