#include <torch/csrc/stable/library.h>

#include <string>
#include <tuple>

#include "spectral_nearest/checks.h"
#include "spectral_nearest/search.h"

namespace geospec {
namespace {

using nearest::Frame;
using nearest::Method;
using nearest::Problem;

struct Parallel {
  template <class F>
  void operator()(int64_t begin, int64_t end, int64_t grain, const F& f) const {
    torch::stable::parallel_for(begin, end, grain, f);
  }
};

Method method_named(const std::string& name) {
  if (name == "auto") return Method::automatic;
  if (name == "tree") return Method::tree;
  STD_TORCH_CHECK(name == "brute", "method: wanted one of 'auto', 'tree', 'brute', got '", name, "'");
  return Method::brute;
}

// Greatest squared distance of a row from the centre; refuses what is not finite, or overflows when squared.
template <class T>
double greatest_norm(const T* x, int64_t n, int64_t d, const T* center, const char* name) {
  std::vector<double> norms(n);
  torch::stable::parallel_for(0, n, nearest::grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) norms[i] = squared_distance(x + i * d, center, d, 1.0);
  });
  double greatest = 0;
  for (int64_t i = 0; i < n; ++i) {
    STD_TORCH_CHECK(norms[i] < std::numeric_limits<double>::infinity(), name,
                    ": wanted finite values (below 1e150), got another in row ", i);
    greatest = std::max(greatest, norms[i]);
  }
  return greatest;
}

// Any centre is valid; the mean of some points takes off a common offset. The scale brings all within 1.
template <class T>
Frame<T> common_frame(const Problem<T>& problem) {
  const int64_t d = problem.d, step = std::max<int64_t>(1, problem.p / 1024);
  std::vector<double> sum(d, 0.0);
  int64_t count = 0;
  for (int64_t i = 0; i < problem.p; i += step, ++count)
    for (int64_t k = 0; k < d; ++k) sum[k] += double(problem.points[i * d + k]);
  Frame<T> frame{std::vector<T>(d), T(1)};
  for (int64_t k = 0; k < d; ++k) {
    const T mean = T(sum[k] / double(count));
    frame.center[k] = std::isfinite(mean) ? mean : T(0);  // the row that spoils it is found below
  }
  const double points_norm = greatest_norm(problem.points, problem.p, d, frame.center.data(), "points");
  const double norm =
      std::max(points_norm, greatest_norm(problem.queries, problem.q, d, frame.center.data(), "queries"));
  constexpr int kLeast = std::numeric_limits<T>::min_exponent + 2;
  if (norm > 0) frame.scale = T(std::ldexp(1.0, -std::max(kLeast, std::ilogb(std::sqrt(norm)) + 1)));
  return frame;
}

// The k nearest of each query: distances and indices of `shape`, the former squared on request.
std::tuple<Tensor, Tensor> search(const Tensor& queries_in, const Tensor& points_in, int64_t k,
                                  const std::string& method, bool squared, std::vector<int64_t> shape) {
  const Method chosen = method_named(method);
  const Tensor queries = torch::stable::contiguous(queries_in), points = torch::stable::contiguous(points_in);
  const int64_t q = queries.size(0);
  Tensor indices = torch::stable::new_empty(queries, shape, ScalarType::Long);
  Tensor distances = torch::stable::new_empty(queries, shape);
  dispatch_float(queries, "queries", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Problem<T> problem = {data<T>(queries),       data<T>(points),    q,      points.size(0), queries.size(1), k,
                                data<int64_t>(indices), data<T>(distances), squared};
    const Frame<T> frame = common_frame(problem);
    const Parallel parallel;
    if (q > 0)
      nearest::dispatch_simd<T>([&](auto* simd) {
        nearest::Search<std::remove_pointer_t<decltype(simd)>, Parallel>(problem, frame, parallel).run(chosen);
      });
  });
  return {distances, indices};
}

std::tuple<Tensor, Tensor> spectral_nearest(const Tensor& queries, const Tensor& points, std::string method) {
  check_search(queries, points, 1);
  return search(queries, points, 1, method, false, {queries.size(0)});
}

std::tuple<Tensor, Tensor> spectral_knn(const Tensor& queries, const Tensor& points, int64_t k, std::string method) {
  check_search(queries, points, k);
  return search(queries, points, k, method, true, {queries.size(0), k});
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("spectral_nearest", TORCH_BOX(&spectral_nearest));
  m.impl("spectral_knn", TORCH_BOX(&spectral_knn));
}

}  // namespace geospec
