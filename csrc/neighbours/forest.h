// Points of each batch in a balanced tree of boxes: halved along the widest side until a leaf holds them.
// All leaves but the last of a batch are full, so that the place of every node follows from its range of leaves
// [a, b): it is split at `middle(a, b)`, which also is its number, and leaf l holds slots [Leaf l, Leaf (l + 1)).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace geospec::neighbours {

template <class T>
struct Rows {
  const T* data;  // (n, d)
  int64_t n, d;
  const int64_t* offsets;  // (batches + 1)
  int64_t batches;
};

struct Range {
  int64_t a, b;
};

inline int64_t middle(int64_t a, int64_t b) { return a + (b - a + 1) / 2; }

template <class T, int D>
struct Item {
  T x[D];
  int32_t row;
};
template <class T>
struct Item<T, 0> {  // in any dimension, the one coordinate that is being split
  T x[1];
  int32_t row;
};

// Moves the items whose coordinate is below the pivot (or equals it, with `Equal`) to the front; returns their number.
// Every item is moved alike, so there is no branch to mispredict.
template <bool Equal, class I, class T>
int64_t part(I* items, int64_t n, int axis, T pivot) {
  int64_t front = 0;
  for (int64_t i = 0; i < n; ++i) {
    const I item = items[i];
    const bool goes = Equal ? item.x[axis] <= pivot : item.x[axis] < pivot;
    items[i] = items[front];
    items[front] = item;
    front += goes;
  }
  return front;
}

// Brings the `target` items of least coordinate to the front. Two pivots from a sample leave a thin slice between
// them (Floyd and Rivest 1975); what is equal to a pivot is passed over at once, so equal items cost nothing more.
template <class I>
void select(I* items, int64_t n, int64_t target, int axis) {
  using T = std::decay_t<decltype(items->x[0])>;
  constexpr int64_t kSample = 512;
  T sample[kSample];
  while (n > 128 && target > 0 && target < n) {
    const int64_t s = std::clamp<int64_t>(n / 32, 5, kSample), step = n / s;
    for (int64_t i = 0; i < s; ++i) sample[i] = items[i * step + (i * 7919) % step].x[axis];
    std::sort(sample, sample + s);
    const double rank = double(target) / double(n) * double(s), margin = n > 1024 ? std::sqrt(double(s)) : 0;
    const T high = sample[std::clamp<int64_t>(int64_t(rank + margin), 0, s - 1)];
    const T low = sample[std::clamp<int64_t>(int64_t(rank - margin), 0, s - 1)];
    const int64_t upper = part<true>(items, n, axis, high);
    if (target >= upper) {
      items += upper, n -= upper, target -= upper;
      continue;
    }
    const int64_t lower = part<false>(items, upper, axis, low);
    if (target <= lower) {
      n = lower;
      continue;
    }
    if (low == high) return;
    if (upper - lower == n) break;  // few distinct values: the sample cannot divide them further
    items += lower, n = upper - lower, target -= lower;
  }
  if (target > 0 && target < n)
    std::nth_element(items, items + target, items + n,
                     [axis](const I& a, const I& b) { return a.x[axis] < b.x[axis]; });
}

template <class T, int Leaf>
class Forest {
 public:
  int64_t d = 0;
  std::vector<int64_t> leaf_offsets;  // (batches + 1) leaves of each batch
  std::vector<int32_t> rows;          // (leaves * Leaf) row of each slot, -1 beyond the end of a batch
  std::vector<T> blocks;              // (leaves, d, Leaf) scaled coordinates, NaN where there is no candidate
  std::vector<T> leaf_boxes;          // (leaves, 2, d) low and high, of the candidates
  std::vector<T> sides;  // (d, 2, sides_stride()) the same, each side of all leaves together; nothing beyond them
  std::vector<T> boxes;  // (leaves, 2, d) of the inner node of that number

  int64_t leaves() const { return leaf_offsets.back(); }
  int64_t sides_stride() const { return leaves() + kSidesPadding; }
  int64_t end_slot(int64_t batch) const { return leaf_offsets[batch] * Leaf + counts_[batch]; }
  const T* box(int64_t a, int64_t b) const {
    return (b - a == 1 ? leaf_boxes.data() + 2 * d * a : boxes.data() + 2 * d * middle(a, b));
  }

  // Of equal points no more than `keep` can be among anyone's nearest, those of least index: in a node of equal
  // points the others stay in `rows` but are no candidates.
  template <int D, class Parallel>
  void build(const Rows<T>& source, T scale, int64_t keep, const Parallel& parallel) {
    d = source.d;
    source_ = source;
    scale_ = scale;
    keep_ = keep;
    leaf_offsets.assign(1, 0);
    counts_.clear();
    for (int64_t i = 0; i < source.batches; ++i) {
      counts_.push_back(source.offsets[i + 1] - source.offsets[i]);
      leaf_offsets.push_back(leaf_offsets.back() + (counts_.back() + Leaf - 1) / Leaf);
    }
    rows.assign(leaves() * Leaf, -1);
    blocks.resize(leaves() * Leaf * d);
    leaf_boxes.resize(leaves() * 2 * d);
    boxes.resize(leaves() * 2 * d);
    sides.resize(sides_stride() * 2 * d);
    for (int64_t k = 0; k < 2 * d; ++k)
      std::fill_n(sides.begin() + k * sides_stride() + leaves(), kSidesPadding,
                  k % 2 ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity());
    std::vector<Item<T, D>> items(leaves() * Leaf);
    std::vector<Work> front, next, divided;
    for (int64_t i = 0; i < source.batches; ++i)
      if (counts_[i] > 0) front.push_back({{leaf_offsets[i], leaf_offsets[i + 1]}, end_slot(i), i});
    parallel(0, int64_t(front.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) load<D>(items.data(), front[i]);
    });
    // Level by level until there is work for every thread, then each subtree on its own.
    constexpr int64_t kTasks = 64, kLarge = (1 << 14) / Leaf;
    for (;;) {
      std::vector<Work> large;
      for (const Work& work : front) (work.range.b - work.range.a > kLarge ? large : next).push_back(work);
      if (large.empty() || int64_t(large.size()) >= kTasks) {
        next.insert(next.end(), large.begin(), large.end());
        front.swap(next);
        break;
      }
      std::vector<char> flat(large.size());
      parallel(0, int64_t(large.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) flat[i] = !divide<D>(items.data(), large[i]);
      });
      for (size_t i = 0; i < large.size(); ++i) {
        const Work& work = large[i];
        if (flat[i]) {
          settle<D>(items.data(), work.range, work.end);
          continue;
        }
        divided.push_back(work);
        const int64_t m = middle(work.range.a, work.range.b);
        next.push_back({{work.range.a, m}, m * Leaf, work.batch});
        next.push_back({{m, work.range.b}, work.end, work.batch});
      }
      front.swap(next);
      next.clear();
    }
    parallel(0, int64_t(front.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) grow<D>(items.data(), front[i]);
    });
    for (auto work = divided.rbegin(); work != divided.rend(); ++work) unite(work->range);
  }

 private:
  static constexpr int64_t kSidesPadding = 16;
  struct Work {
    Range range;
    int64_t end;  // slot after its last point
    int64_t batch;
  };

  template <int D>
  void load(Item<T, D>* items, const Work& work) const {
    const int64_t first = work.range.a * Leaf, row = source_.offsets[work.batch];
    for (int64_t i = 0; i < work.end - first; ++i) {
      Item<T, D>& item = items[first + i];
      item.row = int32_t(row + i);
      for (int k = 0; k < D; ++k) item.x[k] = source_.data[(row + i) * d + k];
    }
  }

  // Puts half of the node's points on either side of its widest direction; false where all of them are equal.
  template <int D>
  bool divide(Item<T, D>* items, const Work& work) const {
    const int64_t first = work.range.a * Leaf, n = work.end - first;
    Item<T, D>* mine = items + first;
    int64_t axis = 0;
    T widest = 0;
    if constexpr (D > 0) {
      T low[D], high[D];
      for (int k = 0; k < D; ++k) low[k] = high[k] = mine[0].x[k];
      for (int64_t i = 1; i < n; ++i)
        for (int k = 0; k < D; ++k) {
          low[k] = std::min(low[k], mine[i].x[k]);
          high[k] = std::max(high[k], mine[i].x[k]);
        }
      for (int k = 0; k < D; ++k)
        if (high[k] * scale_ - low[k] * scale_ > widest) widest = high[k] * scale_ - low[k] * scale_, axis = k;
      // Scaling may round what is tiny beside the rest, but equal means equal.
      for (int k = 0; k < D && widest == 0; ++k)
        if (high[k] > low[k]) widest = 1, axis = k;
    } else {
      std::vector<T> low(source_.data + mine[0].row * d, source_.data + (mine[0].row + 1) * d), high = low;
      for (int64_t i = 1; i < n; ++i) {
        const T* x = source_.data + mine[i].row * d;
        for (int64_t k = 0; k < d; ++k) {
          low[k] = std::min(low[k], x[k]);
          high[k] = std::max(high[k], x[k]);
        }
      }
      for (int64_t k = 0; k < d; ++k)
        if (high[k] * scale_ - low[k] * scale_ > widest) widest = high[k] * scale_ - low[k] * scale_, axis = k;
      for (int64_t k = 0; k < d && widest == 0; ++k)
        if (high[k] > low[k]) widest = 1, axis = k;
      for (int64_t i = 0; i < n; ++i) mine[i].x[0] = source_.data[mine[i].row * d + axis];
      axis = 0;
    }
    if (widest == 0) return false;
    select(mine, n, (middle(work.range.a, work.range.b) - work.range.a) * Leaf, int(axis));
    return true;
  }

  template <int D>
  void grow(Item<T, D>* items, const Work& work) {
    const auto [a, b] = work.range;
    if (b - a == 1) return fill<D>(items, a, work.end);
    if (!divide<D>(items, work)) return settle<D>(items, work.range, work.end);
    const int64_t m = middle(a, b);
    grow<D>(items, {{a, m}, m * Leaf, work.batch});
    grow<D>(items, {{m, b}, work.end, work.batch});
    unite(work.range);
  }

  // A node of equal points: its candidates are those of least index.
  template <int D>
  void settle(Item<T, D>* items, Range range, int64_t end) {
    const int64_t first = range.a * Leaf, kept = std::min(keep_, end - first);
    const auto earlier = [](const Item<T, D>& a, const Item<T, D>& b) { return a.row < b.row; };
    if (kept < end - first) std::nth_element(items + first, items + first + kept, items + end, earlier);
    settle_range<D>(items, range, end, first + kept);
  }

  template <int D>
  void settle_range(const Item<T, D>* items, Range range, int64_t end, int64_t candidates_end) {
    if (range.b - range.a == 1) return fill<D>(items, range.a, end, candidates_end);
    const int64_t m = middle(range.a, range.b);
    settle_range<D>(items, {range.a, m}, std::min(end, m * Leaf), candidates_end);
    settle_range<D>(items, {m, range.b}, end, candidates_end);
    unite(range);
  }

  template <int D>
  void fill(const Item<T, D>* items, int64_t leaf, int64_t end) {
    fill<D>(items, leaf, end, end);
  }

  template <int D>
  void fill(const Item<T, D>* items, int64_t leaf, int64_t end, int64_t candidates_end) {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    const int64_t first = leaf * Leaf;
    T *block = blocks.data() + first * d, *low = leaf_boxes.data() + 2 * d * leaf, *high = low + d;
    for (int64_t i = first; i < std::min(end, first + Leaf); ++i) rows[i] = items[i].row;
    std::fill(low, low + d, kInfinity);
    std::fill(high, high + d, -kInfinity);
    for (int64_t l = 0; l < Leaf; ++l) {
      const bool candidate = first + l < candidates_end;
      for (int64_t k = 0; k < d; ++k) {
        T x = std::numeric_limits<T>::quiet_NaN();
        if (candidate) {
          if constexpr (D > 0)
            x = items[first + l].x[k] * scale_;
          else
            x = source_.data[items[first + l].row * d + k] * scale_;
          low[k] = std::min(low[k], x);
          high[k] = std::max(high[k], x);
        }
        block[k * Leaf + l] = x;
      }
    }
    for (int64_t k = 0; k < d; ++k) {
      sides[2 * k * sides_stride() + leaf] = low[k];
      sides[(2 * k + 1) * sides_stride() + leaf] = high[k];
    }
  }

  void unite(Range range) {
    const int64_t m = middle(range.a, range.b);
    const T *left = box(range.a, m), *right = box(m, range.b);
    T* mine = boxes.data() + 2 * d * m;
    for (int64_t k = 0; k < d; ++k) {
      mine[k] = std::min(left[k], right[k]);
      mine[d + k] = std::max(left[d + k], right[d + k]);
    }
  }

  Rows<T> source_{};
  T scale_ = 1;
  int64_t keep_ = 0;
  std::vector<int64_t> counts_;
};

}  // namespace geospec::neighbours
