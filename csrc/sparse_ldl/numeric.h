// The multifrontal factorisation P A P^T = L D L^T: positive definite matrices, and indefinite ones whose pivots stay
// away from zero. Pivots are chosen among the columns of a block, so the layout does not depend on the numbers. Each
// supernode adds up its entries of A and what its children left, eliminates its columns, and leaves the rest to its
// parent. A front is summed in the same order on any number of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "sparse_ldl/instruction_sets.h"
#include "sparse_ldl/symbolic.h"

namespace geospec::ldl {

constexpr int64_t kColumns = 16;        // columns of an update that are packed together
constexpr int64_t kStrip = 64;          // rows that are scaled at once
constexpr int64_t kTreesPerThread = 8;  // subtrees a thread, so that unequal ones even out
constexpr double kWake = 4e6;           // multiplications that repay waking the threads

// S: Dense of some instruction set. P: parallel_for(begin, end, grain, f(begin, end)).
template <class S, class P>
class Factorization {
 public:
  Factorization(const Pattern& pattern, const double* values, const Structure& structure, double* panels,
                double* pivots, int64_t* from, const P& parallel, int64_t threads)
      : a_(pattern),
        values_(values),
        s_(structure),
        panels_(panels),
        pivots_(pivots),
        from_(from),
        parallel_(parallel),
        threads_(threads),
        inverse_(pattern.n),
        updates_(structure.supernodes),
        child_(structure.supernodes, -1),
        sibling_(structure.supernodes, -1) {
    for (int64_t j = 0; j < a_.n; ++j) inverse_[s_.order[j]] = j;
    for (int64_t s = s_.supernodes - 1; s >= 0; --s)  // children in ascending order
      if (s_.parent[s] != -1) {
        sibling_[s] = child_[s_.parent[s]];
        child_[s_.parent[s]] = s;
      }
  }

  // Disjoint subtrees side by side, then what is above them with the threads inside each front.
  void run() {
    const std::vector<int64_t> trees = subtrees();
    std::vector<char> done(s_.supernodes, 0);
    for (int64_t root : trees)
      for (int64_t s = leaf_[root]; s <= root; ++s) done[s] = 1;
    const int64_t count = trees.size();
    std::atomic<int64_t> next{0};
    if (count)
      parallel_(0, std::min(count, threads_), 1, [&](int64_t, int64_t) {
        Room room(a_.n);
        for (int64_t i = next++; i < count; i = next++)
          for (int64_t s = leaf_[trees[i]]; s <= trees[i]; ++s) eliminate(s, room, false);
      });
    Room room(a_.n);
    for (int64_t s = 0; s < s_.supernodes; ++s)
      if (!done[s]) eliminate(s, room, true);
  }

 private:
  struct Room {  // of one thread
    std::vector<int64_t> place;
    std::vector<double> column, inverse, packed, strip;
    explicit Room(int64_t n) : place(n), column(kBlock), inverse(kBlock * kBlock), strip(2 * kStrip * kBlock + 8) {}
  };

  double work(int64_t s) const {
    const double width = s_.width(s), height = width + s_.below(s);
    return width * height * height + 50 * height;
  }

  // The roots of subtrees of about equal work, the heaviest first; none where one thread does it all.
  std::vector<int64_t> subtrees() {
    leaf_.resize(s_.supernodes);
    std::vector<double> total(s_.supernodes);
    std::vector<int64_t> roots;
    for (int64_t s = 0; s < s_.supernodes; ++s) {
      leaf_[s] = s;
      total[s] = work(s);
      for (int64_t c = child_[s]; c != -1; c = sibling_[c]) {
        leaf_[s] = std::min(leaf_[s], leaf_[c]);
        total[s] += total[c];
      }
      if (s_.parent[s] == -1) roots.push_back(s);
    }
    if (threads_ == 1) return {};
    double all = 0;
    for (int64_t root : roots) all += total[root];
    const auto lighter = [&](int64_t a, int64_t b) { return total[a] != total[b] ? total[a] < total[b] : a < b; };
    std::make_heap(roots.begin(), roots.end(), lighter);
    std::vector<int64_t> kept;
    while (!roots.empty()) {
      std::pop_heap(roots.begin(), roots.end(), lighter);
      const int64_t root = roots.back();
      roots.pop_back();
      if (total[root] * double(kTreesPerThread * threads_) < 2 * all || child_[root] == -1) {
        kept.push_back(root);
        continue;
      }
      for (int64_t c = child_[root]; c != -1; c = sibling_[c]) {
        roots.push_back(c);
        std::push_heap(roots.begin(), roots.end(), lighter);
      }
    }
    return kept;
  }

  void eliminate(int64_t s, Room& room, bool shared) {
    const int64_t width = s_.width(s), below = s_.below(s), stride = s_.stride(s), height = width + below;
    const int64_t update_stride = (below + 7) / 8 * 8;
    double* panel = panels_ + s_.panel_begin[s];
    std::memset(panel, 0, sizeof(double) * height * stride);
    if (below) {
      updates_[s] = std::make_unique_for_overwrite<double[]>(below * update_stride);
      std::memset(updates_[s].get(), 0, sizeof(double) * below * update_stride);
    }
    assemble(s, panel, updates_[s].get(), update_stride, room.place.data());
    double* pivots = pivots_ + s_.first[s];
    int64_t* from = from_ + s_.first[s];
    for (int64_t k = 0; k < width; k += kBlock) {
      const int64_t n = std::min(kBlock, width - k);
      double* block = panel + k * stride + k;
      S::factor_block(block, stride, n, pivots + k, from + k, room.column.data());
      scale(block + n * stride, stride, block, n, pivots + k, from + k, height - k - n, room, shared);
      // The columns right of the block, in the rows from their diagonal on.
      if (k + n < width)
        update(panel + (k + n) * stride + k, stride, n, pivots + k, width - k - n, height - k - n,
               panel + (k + n) * stride + k + n, stride, room, shared);
    }
    if (below)
      update(panel + width * stride, stride, width, pivots, below, below, updates_[s].get(), update_stride, room,
             shared);
  }

  // Adds the entries of A and the children's updates into the front of supernode s.
  void assemble(int64_t s, double* panel, double* update, int64_t update_stride, int64_t* place) {
    const int64_t begin = s_.first[s], width = s_.width(s), stride = s_.stride(s);
    const int64_t* rows = s_.rows + s_.row_begin[s];
    for (int64_t j = 0; j < width; ++j) place[begin + j] = j;
    for (int64_t i = 0; i < s_.below(s); ++i) place[rows[i]] = width + i;
    for (int64_t j = 0; j < width; ++j) {
      const int64_t row = s_.order[begin + j];
      for (int64_t e = a_.crow[row]; e < a_.crow[row + 1]; ++e) {
        const int64_t i = inverse_[a_.col[e]];
        if (i >= begin + j) panel[place[i] * stride + j] += values_[e];
      }
    }
    std::vector<int64_t> to;
    for (int64_t c = child_[s]; c != -1; c = sibling_[c]) {
      const int64_t n = s_.below(c), from_stride = (n + 7) / 8 * 8;
      const int64_t* child_rows = s_.rows + s_.row_begin[c];
      const double* from = updates_[c].get();
      to.resize(n);
      for (int64_t i = 0; i < n; ++i) to[i] = place[child_rows[i]];
      const int64_t inside = std::lower_bound(to.begin(), to.end(), width) - to.begin();
      for (int64_t i = 0; i < n; ++i) {
        const double* x = from + i * from_stride;
        double* into = panel + to[i] * stride;
        const int64_t split = std::min(inside, i + 1);
        for (int64_t j = 0; j < split; ++j) into[to[j]] += x[j];
        if (i < inside) continue;
        double* rest = update + (to[i] - width) * update_stride;
        for (int64_t j = inside; j <= i; ++j) rest[to[j] - width] += x[j];
      }
      updates_[c].reset();
    }
  }

  // Turns m rows of A below a block of n columns into rows of L: L = A inv(L11)^T inv(D).
  void scale(double* rows, int64_t stride, const double* block, int64_t n, const double* pivots, const int64_t* from,
             int64_t m, Room& room, bool shared) {
    const int64_t padded = (n + 7) / 8 * 8;
    S::scaled_inverse(block, stride, n, pivots, from, room.inverse.data());
    const double* inverse = room.inverse.data();
    const auto strip = [&](double* out, int64_t begin, int64_t end) {
      const int64_t count = end - begin;
      std::memset(out, 0, sizeof(double) * count * padded);
      const double* a = rows + begin * stride;
      int64_t j = 0;
      for (; j + 16 <= padded; j += 16)
        S::template subtract<2>(out + j, padded, nullptr, count, a, stride, inverse + j, padded, n);
      if (j < padded) S::template subtract<1>(out + j, padded, nullptr, count, a, stride, inverse + j, padded, n);
      for (int64_t i = 0; i < count; ++i)
        std::memcpy(rows + (begin + i) * stride, out + i * padded, sizeof(double) * n);
    };
    const int64_t strips = (m + kStrip - 1) / kStrip;
    if (shared && double(m) * n * n > kWake)
      parallel_(0, strips, 1, [&](int64_t begin, int64_t end) {
        std::vector<double> out(kStrip * kBlock);
        for (int64_t i = begin; i < end; ++i) strip(out.data(), i * kStrip, std::min(m, (i + 1) * kStrip));
      });
    else
      for (int64_t i = 0; i < strips; ++i) strip(room.strip.data(), i * kStrip, std::min(m, (i + 1) * kStrip));
  }

  // C (m, n), on and below its diagonal, loses L D L^T: L (m, k) whose first n rows belong to the columns of C.
  void update(const double* l, int64_t stride, int64_t k, const double* pivots, int64_t n, int64_t m, double* c,
              int64_t c_stride, Room& room, bool shared) {
    const auto columns = [&](std::vector<double>& packed, int64_t j) {
      const int64_t count = std::min(kColumns, n - j), wide = count > 8 ? 16 : 8;
      packed.resize(std::max<size_t>(packed.size(), k * kColumns));
      for (int64_t x = 0; x < wide; ++x)
        for (int64_t i = 0; i < k; ++i) packed[i * wide + x] = x < count ? l[(j + x) * stride + i] * pivots[i] : 0.0;
      double* out = c + j * c_stride + j;
      if (wide == 16)
        S::template subtract<2>(out, c_stride, nullptr, m - j, l + j * stride, stride, packed.data(), wide, k);
      else
        S::template subtract<1>(out, c_stride, nullptr, m - j, l + j * stride, stride, packed.data(), wide, k);
    };
    const int64_t chunks = (n + kColumns - 1) / kColumns;
    if (shared && double(m) * n * k > kWake) {
      std::atomic<int64_t> next{0};
      parallel_(0, std::min(chunks, threads_), 1, [&](int64_t, int64_t) {
        std::vector<double> packed;
        for (int64_t i = next++; i < chunks; i = next++) columns(packed, i * kColumns);
      });
    } else {
      for (int64_t i = 0; i < chunks; ++i) columns(room.packed, i * kColumns);
    }
  }

  const Pattern a_;
  const double* values_;
  const Structure s_;
  double *panels_, *pivots_;
  int64_t* from_;
  const P& parallel_;
  const int64_t threads_;
  std::vector<int64_t> inverse_;
  std::vector<std::unique_ptr<double[]>> updates_;
  std::vector<int64_t> child_, sibling_, leaf_;
};

}  // namespace geospec::ldl
