#include <torch/csrc/stable/library.h>

#include <optional>
#include <tuple>
#include <vector>

#include "zoomout/checks.h"
#include "zoomout/steps.h"

namespace geospec {
namespace {

struct Parallel {
  template <class F>
  void operator()(int64_t begin, int64_t end, int64_t grain, const F& f) const {
    torch::stable::parallel_for(begin, end, grain, f);
  }
};

template <class T>
void check_finite(const Tensor& t, const char* name) {
  const T* x = data<T>(t);
  for (int64_t i = 0; i < t.numel(); ++i)
    STD_TORCH_CHECK(std::isfinite(x[i]), name, ": wanted finite values, got another in row ", i / t.size(t.dim() - 1));
}

std::tuple<Tensor, Tensor> zoomout(const Tensor& maps_in, const Tensor& source_in, const Tensor& target_in,
                                   std::vector<int64_t> source_sizes, std::vector<int64_t> target_sizes,
                                   std::optional<Tensor> measure_in, std::optional<Tensor> factor_in, double scale) {
  check_zoomout(maps_in, source_in, target_in, source_sizes, target_sizes, measure_in, factor_in);
  const Tensor maps = torch::stable::contiguous(maps_in), source = torch::stable::contiguous(source_in),
               target = torch::stable::contiguous(target_in);
  std::optional<Tensor> measure, factor;
  if (measure_in) measure = torch::stable::contiguous(*measure_in);
  if (factor_in) factor = torch::stable::contiguous(*factor_in);
  const int64_t b = maps.size(0), n_s = source.size(0), n_t = target.size(0), k_s = source.size(1),
                k_t = target.size(1);
  Tensor out = torch::stable::new_empty(maps, {b, k_t, k_s});
  Tensor images = torch::stable::new_empty(maps, {b, n_t}, ScalarType::Long);
  dispatch_float(maps, "maps", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    check_finite<T>(source, "source");
    check_finite<T>(target, "target");
    if (measure) check_finite<T>(*measure, "measure");
    const zoom::Problem<T> problem = {data<T>(maps),
                                      data<T>(source),
                                      data<T>(target),
                                      measure ? data<T>(std::as_const(*measure)) : nullptr,
                                      factor ? data<double>(std::as_const(*factor)) : nullptr,
                                      scale,
                                      b,
                                      n_s,
                                      n_t,
                                      k_s,
                                      k_t,
                                      source_sizes,
                                      target_sizes,
                                      data<T>(out),
                                      data<int64_t>(images)};
    zoom::dispatch_lanes<T>([&](auto* lanes) {
      using Lanes = std::remove_pointer_t<decltype(lanes)>;
      STD_TORCH_CHECK((zoom::zoomout<Lanes>(problem, Parallel{}, torch::stable::get_num_threads())),
                      "maps: wanted finite values whose images can be squared, got others");
    });
  });
  return {out, images};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("zoomout", TORCH_BOX(&zoomout)); }

}  // namespace geospec
