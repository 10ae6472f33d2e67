// Farthest points over a tree of buckets (Han et al. 2023): each node remembers the point of it that is farthest
// from those chosen so far, and a new choice visits only the nodes whose box is nearer to it than that.
#include <torch/csrc/stable/library.h>

#include "common/wide.h"
#include "neighbours/inputs.h"
#include "neighbours/neighbours.h"

namespace geospec::farthest {
constexpr int kBucket = 128;
}

#define GEOSPEC_UPDATE portable
#define GEOSPEC_UPDATE_TARGET
#define GEOSPEC_UPDATE_LANES 2
#include "farthest_points/update.h"
#ifdef GEOSPEC_WIDE_X86
#define GEOSPEC_UPDATE avx2
#define GEOSPEC_UPDATE_TARGET GEOSPEC_WIDE_AVX2
#define GEOSPEC_UPDATE_LANES 4
#include "farthest_points/update.h"
#define GEOSPEC_UPDATE avx512
#define GEOSPEC_UPDATE_TARGET GEOSPEC_WIDE_AVX512
#define GEOSPEC_UPDATE_LANES 8
#include "farthest_points/update.h"
#endif

namespace geospec {
namespace farthest {

using neighbours::Range;

// A point by its slot in the tree, and how far it is from the chosen ones.
struct Far {
  double squared;
  int64_t row, slot;
};

inline Far farther(const Far& a, const Far& b) {
  return b.squared > a.squared || (b.squared == a.squared && b.row < a.row) ? b : a;
}

template <class T, class U>
class Sampler {
 public:
  Sampler(const neighbours::Rows<T>& points, const neighbours::Parallel& parallel) : points_(points), d_(points.d) {
    tree_.template build<U::kDimensions>(points, T(1), points.n, parallel);
    root_ = {0, tree_.leaves()};
    nearest_.assign(tree_.leaves() * kBucket, -1.0);  // slots without a point stay there, and are never chosen
    for (size_t i = 0; i < nearest_.size(); ++i)
      if (tree_.rows[i] >= 0) nearest_[i] = std::numeric_limits<double>::infinity();
    far_.assign(tree_.leaves(), {std::numeric_limits<double>::infinity(), 0, 0});
    far_leaf_ = far_;
    chosen_.resize(d_);
  }

  void run(int64_t m, int64_t start, int64_t* out) {
    Far next = {0, start, std::find(tree_.rows.begin(), tree_.rows.end(), start) - tree_.rows.begin()};
    for (int64_t i = 0; i < m; ++i) {
      out[i] = next.row;
      for (int64_t k = 0; k < d_; ++k) chosen_[k] = double(points_.data[next.row * d_ + k]);
      nearest_[next.slot] = -1;  // never again, even where all that is left lies on chosen points
      slot_ = next.slot;
      next = visit(root_);
    }
  }

 private:
  // Rounding is monotone, so a box no nearer than the farthest of its points holds no point that would change.
  bool untouched(Range range, const Far& far) const {
    if (slot_ >= range.a * kBucket && slot_ < range.b * kBucket) return false;
    const T* box = tree_.box(range.a, range.b);
    double sum = 0;
    for (int64_t k = 0; k < d_; ++k)
      sum = neighbours::add_square(sum, std::max({double(box[k]) - chosen_[k], chosen_[k] - double(box[d_ + k]), 0.0}));
    return sum >= far.squared;
  }

  Far visit(Range range) {
    const auto [a, b] = range;
    const int64_t m = neighbours::middle(a, b);
    Far& far = b - a == 1 ? far_leaf_[a] : far_[m];
    if (untouched(range, far)) return far;
    if (b - a > 1) return far = farther(visit({a, m}), visit({m, b}));
    double* nearest = nearest_.data() + a * kBucket;
    far = {U::bucket(tree_.blocks.data() + a * d_ * kBucket, d_, chosen_.data(), nearest),
           std::numeric_limits<int64_t>::max(), 0};
    for (int64_t l = 0; l < kBucket; ++l)
      if (nearest[l] == far.squared && tree_.rows[a * kBucket + l] < far.row)
        far.row = tree_.rows[a * kBucket + l], far.slot = a * kBucket + l;
    return far;
  }

  neighbours::Rows<T> points_;
  int64_t d_, slot_ = 0;
  neighbours::Forest<T, kBucket> tree_;
  Range root_{};
  std::vector<double> nearest_, chosen_;
  std::vector<Far> far_, far_leaf_;
};

template <class T, int D>
void sample(const neighbours::Rows<T>& points, int64_t m, int64_t start, int64_t* out) {
  const neighbours::Parallel parallel;
#ifdef GEOSPEC_WIDE_X86
  const wide::Registers widest = wide::widest();
  if (widest == wide::Registers::avx512) return Sampler<T, avx512::Update<T, D>>(points, parallel).run(m, start, out);
  if (widest == wide::Registers::avx2) return Sampler<T, avx2::Update<T, D>>(points, parallel).run(m, start, out);
#endif
  Sampler<T, portable::Update<T, D>>(points, parallel).run(m, start, out);
}

}  // namespace farthest

namespace {

Tensor farthest_points(const Tensor& points_in, int64_t m, int64_t start) {
  neighbours::check_points(points_in, "points", -1);
  const int64_t n = points_in.size(0), d = points_in.size(1);
  STD_TORCH_CHECK(m >= 0 && m <= n, "m: wanted between 0 and the ", n, " points, got ", m);
  STD_TORCH_CHECK(m == 0 || (start >= 0 && start < n), "start: wanted an index in [0, ", n, "), got ", start);
  const Tensor points = torch::stable::contiguous(points_in);
  Tensor chosen = new_index(points, m);
  dispatch_float(points, "points", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    neighbours::greatest(data<T>(points), n, d, "points");
    const int64_t offsets[] = {0, n};
    const neighbours::Rows<T> rows = {data<T>(points), n, d, offsets, 1};
    if (m == 0) return;
    if (d == 3)
      farthest::sample<T, 3>(rows, m, start, data<int64_t>(chosen));
    else
      farthest::sample<T, 0>(rows, m, start, data<int64_t>(chosen));
  });
  return chosen;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) { m.impl("farthest_points", TORCH_BOX(&farthest_points)); }

}  // namespace geospec
