#include <tuple>

#include "neighbours/inputs.h"
#include "neighbours/search.h"

namespace geospec {
namespace {

using namespace neighbours;

std::tuple<Tensor, Tensor> knn(const Tensor& queries_in, const Tensor& points_in, int64_t k, bool exclude_self,
                               std::optional<Tensor> query_offsets, std::optional<Tensor> point_offsets) {
  const Batches both = check_search(queries_in, points_in, exclude_self, query_offsets, point_offsets);
  check_enough(both, k, exclude_self);
  const Tensor queries = torch::stable::contiguous(queries_in), points = torch::stable::contiguous(points_in);
  const int64_t q = queries.size(0), p = points.size(0), d = queries.size(1);
  Tensor squared = torch::stable::new_empty(queries, {q, k});
  Tensor indices = torch::stable::new_empty(queries, {q, k}, ScalarType::Long);
  dispatch_float(queries, "queries", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *x = data<T>(queries), *y = data<T>(points);
    const bool same = both.queries == both.points && (x == y || exclude_self);
    const double most = std::max(greatest(x, q, d, "queries"), x == y ? 0.0 : greatest(y, p, d, "points"));
    const Problem<T> problem = {{x, q, d, both.queries.data(), both.count()},
                                {y, p, d, both.points.data(), both.count()},
                                same,
                                exclude_self,
                                k,
                                std::numeric_limits<double>::infinity(),
                                scale_for<T>(most)};
    T* squared_out = data<T>(squared);
    int64_t* indices_out = data<int64_t>(indices);
    if (q > 0)
      dispatch_lanes<T>(d, [&](auto* lanes) {
        search<std::remove_pointer_t<decltype(lanes)>>(
            problem, Parallel(), [=](int64_t, int64_t row, int64_t, const double* distances, const int64_t* found) {
              for (int64_t j = 0; j < k; ++j) {
                squared_out[row * k + j] = T(distances[j]);
                indices_out[row * k + j] = found[j];
              }
            });
      });
  });
  return {squared, indices};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("knn", TORCH_BOX(&knn)); }

}  // namespace geospec
