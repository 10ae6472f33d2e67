#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <functional>
#include <type_traits>
#include <vector>

#include "wavelet_tree/checks.h"

namespace geospec {
namespace {

using tree::Fan;
using tree::Span;

constexpr int64_t kTask = 1 << 14;  // values worth waking a thread for
constexpr int64_t kBlock = 64;      // trees that go through a band together

int64_t grain(int64_t values) { return std::max<int64_t>(1, kTask / (values + 1)); }

// Rows that ascend are distinct: no two trees share a child, and threads never write to the same place.
void check_ascending(const int64_t* rows, int64_t count, int64_t cells) {
  for (int64_t i = 0; i < count; ++i) {
    STD_TORCH_CHECK(rows[i] >= 0 && rows[i] < cells, "rows: wanted cells in [0, ", cells, "), got ", rows[i]);
    STD_TORCH_CHECK(i == 0 || rows[i] > rows[i - 1], "rows: wanted cells that ascend, got ", rows[i], " after ",
                    rows[i - 1]);
  }
}

// Calls run(place, channel, count) for each run of existing children of a cell: `count` neighbouring details from
// `place`, the channels of a band from `channel`.
template <class F>
void child_runs(const Fan& f, int64_t cell, const F& run) {
  const int64_t c2 = cell % f.axis[2].cells, c1 = cell / f.axis[2].cells % f.axis[1].cells;
  const int64_t c0 = cell / f.axis[2].cells / f.axis[1].cells;
  const Span s0 = existing(f, 0, c0), s1 = existing(f, 1, c1), s2 = existing(f, 2, c2);
  if (s2.begin >= s2.end) return;
  for (int64_t i = s0.begin; i < s0.end; ++i)
    for (int64_t j = s1.begin; j < s1.end; ++j)
      run((f.child(c0, i) * f.axis[1].size + f.child(c1, j)) * f.axis[2].size + f.child(c2, s2.begin),
          (i * f.fan + j) * f.fan + s2.begin, s2.end - s2.begin);
}

// Calls run(place, channel, count) for each run of every band of every given cell, counted from the first detail and
// the first value of all. Trees are shared out among threads, and go through a band a block at a time: bands lie far
// apart, neighbours do not.
template <class F>
void tree_runs(const Fan& f, const Tensor& rows, int64_t shapes, int64_t bands, const F& run) {
  struct Run {
    int64_t place, channel, count;
  };
  const int64_t* row = data<int64_t>(rows);
  const int64_t count = rows.size(0), width = bands * f.children();
  check_ascending(row, count, shapes * f.cells());
  torch::stable::parallel_for(0, count, grain(width), [&](int64_t begin, int64_t end) {
    std::vector<Run> runs;
    for (int64_t block = begin; block < end; block += kBlock) {
      runs.clear();
      for (int64_t i = block; i < std::min(end, block + kBlock); ++i) {
        const int64_t first = row[i] / f.cells() * bands * f.details();
        child_runs(f, row[i] % f.cells(), [&](int64_t place, int64_t channel, int64_t n) {
          runs.push_back({first + place, i * width + channel, n});
        });
      }
      for (int64_t band = 0; band < bands; ++band)
        for (const Run& r : runs) run(r.place + band * f.details(), r.channel + band * f.children(), r.count);
    }
  });
}

Tensor tree_gather(const Tensor& detail_, const Tensor& rows_, std::vector<int64_t> cells, int64_t fan, int64_t shift) {
  const Fan f = tree::fan_of(detail_, cells, fan, shift);
  tree::check_rows(rows_, "detail", detail_);
  const Tensor detail = torch::stable::contiguous(detail_), rows = torch::stable::contiguous(rows_);
  const int64_t bands = detail.size(1);
  Tensor values = torch::stable::new_zeros(detail, {rows.size(0), bands * f.children()});
  dispatch_float(detail, "detail", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* from = data<T>(detail);
    T* to = data<T>(values);
    tree_runs(f, rows, detail.size(0), bands, [=](int64_t place, int64_t channel, int64_t n) {
      for (int64_t k = 0; k < n; ++k) to[channel + k] = from[place + k];
    });
  });
  return values;
}

Tensor tree_scatter(const Tensor& values_, const Tensor& rows_, std::vector<int64_t> shape, std::vector<int64_t> cells,
                    int64_t fan, int64_t shift) {
  const Fan f = tree::check_scatter(values_, rows_, shape, cells, fan, shift);
  const Tensor values = torch::stable::contiguous(values_), rows = torch::stable::contiguous(rows_);
  Tensor detail = torch::stable::new_zeros(values, shape);
  dispatch_float(values, "values", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* from = data<T>(values);
    T* to = data<T>(detail);
    tree_runs(f, rows, shape[0], shape[1], [=](int64_t place, int64_t channel, int64_t n) {
      for (int64_t k = 0; k < n; ++k) to[place + k] = from[channel + k];
    });
  });
  return detail;
}

// Calls row(place, channel, o) for every row of existing children along the last axis: `o` their offset, `place` where
// the row of details begins and `channel` where the row of cells does. Slabs of cells are shared out among threads.
template <class F>
void child_rows(const Fan& f, int64_t planes, const F& row) {
  const int64_t m0 = f.axis[0].cells, m1 = f.axis[1].cells, m2 = f.axis[2].cells;
  torch::stable::parallel_for(0, planes * m0, grain(m1 * m2 * f.children()), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t plane = task / m0, c0 = task % m0;
      for (int64_t i = 0; i < f.fan; ++i)
        for (int64_t c1 = 0; c1 < m1; ++c1)
          for (int64_t j = 0; j < f.fan; ++j) {
            const int64_t d0 = f.child(c0, i), d1 = f.child(c1, j);
            const bool there = f.exists(0, d0) && f.exists(1, d1);
            const int64_t place = there ? ((plane * f.axis[0].size + d0) * f.axis[1].size + d1) * f.axis[2].size : -1;
            for (int64_t o = 0; o < f.fan; ++o) {
              const int64_t band = plane * f.children() + (i * f.fan + j) * f.fan + o;
              row(place, ((band * m0 + c0) * m1 + c1) * m2, o);
            }
          }
    }
  });
}

// The cells [begin, end) of the last axis whose child of offset o exists.
Span cells_with(const Fan& f, int64_t o) {
  const int64_t missing = f.shift - o, last = f.axis[2].size - 1 + f.shift - o;
  const int64_t begin = missing > 0 ? (missing + f.fan - 1) / f.fan : 0, end = last < 0 ? 0 : last / f.fan + 1;
  return {std::min(begin, f.axis[2].cells), std::min(end, f.axis[2].cells)};
}

Tensor tree_pack(const Tensor& detail_, std::vector<int64_t> cells, int64_t fan, int64_t shift) {
  const Fan f = tree::fan_of(detail_, cells, fan, shift);
  const Tensor detail = torch::stable::contiguous(detail_);
  const int64_t b = detail.size(0), bands = detail.size(1);
  Tensor channels = torch::stable::new_empty(detail, {b, bands * f.children(), cells[0], cells[1], cells[2]});
  dispatch_float(detail, "detail", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* from = data<T>(detail);
    T* to = data<T>(channels);
    child_rows(f, b * bands, [=](int64_t place, int64_t channel, int64_t o) {
      const Span there = place < 0 ? Span{0, 0} : cells_with(f, o);
      T* row = to + channel;
      for (int64_t c = 0; c < there.begin; ++c) row[c] = 0;
      for (int64_t c = there.begin; c < there.end; ++c) row[c] = from[place + f.fan * c + o - f.shift];
      for (int64_t c = std::max(there.begin, there.end); c < f.axis[2].cells; ++c) row[c] = 0;
    });
  });
  return channels;
}

Tensor tree_unpack(const Tensor& channels_, std::vector<int64_t> shape, int64_t fan, int64_t shift) {
  const Fan f = tree::check_channels(channels_, shape, fan, shift);
  const Tensor channels = torch::stable::contiguous(channels_);
  const int64_t b = channels.size(0), bands = channels.size(1) / f.children();
  Tensor detail = torch::stable::new_empty(channels, {b, bands, shape[0], shape[1], shape[2]});
  dispatch_float(channels, "channels", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* from = data<T>(channels);
    T* to = data<T>(detail);
    child_rows(f, b * bands, [=](int64_t place, int64_t channel, int64_t o) {
      if (place < 0) return;
      const Span there = cells_with(f, o);
      for (int64_t c = there.begin; c < there.end; ++c) to[place + f.fan * c + o - f.shift] = from[channel + c];
    });
  });
  return detail;
}

// The `count` largest of m values, ascending by place: all above the value that the count falls on, and of those equal
// to it the first.
template <class T>
void largest(const T* values, int64_t m, int64_t count, int64_t* out) {
  if (count == 0) return;
  std::vector<tree::Key<T>> keys(m);
  std::transform(values, values + m, keys.begin(), tree::key_of<T>);
  std::vector<tree::Key<T>> order = keys;
  std::nth_element(order.begin(), order.begin() + (count - 1), order.end(), std::greater<>());
  const tree::Key<T> bar = order[count - 1];
  int64_t ties = count - std::count_if(order.begin(), order.begin() + count, [=](auto key) { return key > bar; });
  for (int64_t i = 0; i < m; ++i)
    if (keys[i] > bar || (keys[i] == bar && ties-- > 0)) *out++ = i;
}

Tensor tree_largest(const Tensor& values_, std::vector<int64_t> counts) {
  const int64_t total = tree::check_counts(values_, counts);
  const Tensor values = torch::stable::contiguous(values_);
  Tensor cells = new_index(values, total);
  std::vector<int64_t> begins(counts.size());
  for (size_t s = 1; s < counts.size(); ++s) begins[s] = begins[s - 1] + counts[s - 1];
  dispatch_float(values, "values", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* all = data<T>(values);
    int64_t* out = data<int64_t>(cells);
    const int64_t m = values.size(1);
    torch::stable::parallel_for(0, values.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) largest(all + s * m, m, counts[s], out + begins[s]);
    });
  });
  return cells;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CPU, m) {
  m.impl("tree_gather", TORCH_BOX(&tree_gather));
  m.impl("tree_scatter", TORCH_BOX(&tree_scatter));
  m.impl("tree_pack", TORCH_BOX(&tree_pack));
  m.impl("tree_unpack", TORCH_BOX(&tree_unpack));
  m.impl("tree_largest", TORCH_BOX(&tree_largest));
}

}  // namespace geospec
