// Where the entries of a sparse factor will stand: elimination tree, supernodes, rows of each.
//
// A supernode is a run of columns that share their rows below. Its panel is a dense row-major matrix: the rows of
// its own columns first, then the rows below. Everything is counted in places, that is in the elimination order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace geospec::ldl {

constexpr int64_t kBlock = 32;  // columns that are eliminated at once within a panel

// Distance between rows of a panel that is `width` columns wide: tiles of eight columns must not meet the next row.
inline int64_t panel_stride(int64_t width) { return width <= kBlock ? width : (width + 7) / 8 * 8; }

struct Pattern {  // of a symmetric matrix, both halves
  int64_t n;
  const int64_t* crow;
  const int64_t* col;
};

// What the factor and its solves read; the arrays live in tensors.
struct Structure {
  int64_t n, supernodes;
  const int64_t* order;        // (n): the matrix row at each place
  const int64_t* first;        // (supernodes + 1): places of each supernode's columns
  const int64_t* row_begin;    // (supernodes + 1)
  const int64_t* rows;         // places of the rows below each supernode's columns, ascending
  const int64_t* panel_begin;  // (supernodes + 1): where each panel begins
  const int64_t* parent;       // (supernodes): the supernode that takes up what this one leaves, -1 for none

  int64_t width(int64_t s) const { return first[s + 1] - first[s]; }
  int64_t below(int64_t s) const { return row_begin[s + 1] - row_begin[s]; }
  int64_t stride(int64_t s) const { return panel_stride(width(s)); }
};

class Analysis {
 public:
  std::vector<int64_t> order, first, row_begin, rows, panel_begin, parent;

  Analysis(const Pattern& pattern, const int64_t* given_order)
      : order(given_order, given_order + pattern.n), pattern_(pattern), inverse_(pattern.n) {
    invert();
    elimination_tree();
    postorder();
    count_columns();
    find_supernodes();
    merge_supernodes();
    find_rows();
  }

 private:
  void invert() {
    for (int64_t j = 0; j < pattern_.n; ++j) inverse_[order[j]] = j;
  }

  // Calls visit with the place of every neighbour of the row at place j.
  template <class F>
  void neighbours(int64_t j, const F& visit) const {
    for (int64_t e = pattern_.crow[order[j]]; e < pattern_.crow[order[j] + 1]; ++e) visit(inverse_[pattern_.col[e]]);
  }

  // Liu 1990: the parent of a column is the first row below its diagonal in the factor.
  void elimination_tree() {
    std::vector<int64_t> ancestor(pattern_.n, -1);
    tree_.assign(pattern_.n, -1);
    for (int64_t j = 0; j < pattern_.n; ++j)
      neighbours(j, [&](int64_t i) {
        while (i < j && i != -1) {
          const int64_t next = ancestor[i];
          ancestor[i] = j;
          if (next == -1) tree_[i] = j;
          i = next == j ? -1 : next;
        }
      });
  }

  // Renumbers so that the columns below any node of the tree are a run that ends in it.
  void postorder() {
    const int64_t n = pattern_.n;
    std::vector<int64_t> child(n, -1), sibling(n, -1), stack, place(n), old_order = order, old_tree = tree_;
    for (int64_t j = n - 1; j >= 0; --j)
      if (tree_[j] != -1) {
        sibling[j] = child[tree_[j]];
        child[tree_[j]] = j;
      }
    int64_t next = 0;
    for (int64_t root = 0; root < n; ++root) {
      if (tree_[root] != -1) continue;
      stack.push_back(root);
      while (!stack.empty()) {
        const int64_t j = stack.back();
        if (child[j] != -1) {
          stack.push_back(child[j]);
          child[j] = sibling[child[j]];
        } else {
          place[j] = next++;
          stack.pop_back();
        }
      }
    }
    for (int64_t j = 0; j < n; ++j) {
      order[place[j]] = old_order[j];
      tree_[place[j]] = old_tree[j] == -1 ? -1 : place[old_tree[j]];
    }
    invert();
  }

  // Entries of each column of the factor, the diagonal included, without forming it (Gilbert, Ng and Peyton 1994):
  // column j ends the paths of the rows for which it is a leaf of their row subtree.
  void count_columns() {
    const int64_t n = pattern_.n;
    std::vector<int64_t> first_descendant(n, -1), greatest(n, -1), previous(n, -1), root(n);
    count_.assign(n, 0);
    for (int64_t j = 0; j < n; ++j) {
      count_[j] = first_descendant[j] == -1 ? 1 : 0;
      for (int64_t i = j; i != -1 && first_descendant[i] == -1; i = tree_[i]) first_descendant[i] = j;
    }
    std::iota(root.begin(), root.end(), int64_t(0));
    for (int64_t j = 0; j < n; ++j) {
      if (tree_[j] != -1) --count_[tree_[j]];
      neighbours(j, [&](int64_t i) {
        if (i <= j || first_descendant[j] <= greatest[i]) return;
        greatest[i] = first_descendant[j];
        ++count_[j];
        int64_t last = previous[i];
        previous[i] = j;
        if (last == -1) return;
        int64_t top = last;
        while (top != root[top]) top = root[top];
        while (last != top) {
          const int64_t up = root[last];
          root[last] = top;
          last = up;
        }
        --count_[top];
      });
      if (tree_[j] != -1) root[j] = tree_[j];
    }
    for (int64_t j = 0; j < n; ++j)
      if (tree_[j] != -1) count_[tree_[j]] += count_[j];
  }

  void find_supernodes() {
    first.clear();
    for (int64_t j = 0; j < pattern_.n; ++j)
      if (j == 0 || tree_[j - 1] != j || count_[j - 1] != count_[j] + 1) first.push_back(j);
    first.push_back(pattern_.n);
  }

  // Joins a supernode with the child just before it while that costs few stored zeros: wide panels are quick.
  void merge_supernodes() {
    const int64_t supernodes = first.size() - 1;
    struct Run {
      int64_t begin, end, height;  // columns [begin, end); height: rows of its panel
      double zeros;
    };
    std::vector<Run> runs;
    for (int64_t s = 0; s < supernodes; ++s) {
      Run run{first[s], first[s + 1], count_[first[s]], 0};
      while (!runs.empty()) {
        const Run& child = runs.back();
        if (tree_[child.end - 1] == -1 || tree_[child.end - 1] >= run.end) break;  // not a child of this run
        const double wide = double(run.end - child.begin), width = double(child.end - child.begin);
        const double zeros = run.zeros + child.zeros + width * (width + double(run.height) - double(child.height));
        const double stored = wide * (width + double(run.height)) - wide * (wide - 1) / 2;
        const double share = wide <= 4 ? 1.0 : wide <= 16 ? 0.6 : wide <= 48 ? 0.15 : 0.05;
        if (zeros > share * stored) break;
        run = {child.begin, run.end, child.end - child.begin + run.height, zeros};
        runs.pop_back();
      }
      runs.push_back(run);
    }
    first.clear();
    for (const Run& run : runs) first.push_back(run.begin);
    first.push_back(pattern_.n);
  }

  void find_rows() {
    const int64_t n = pattern_.n, supernodes = first.size() - 1;
    std::vector<int64_t> seen(n, -1), owner(n), child(supernodes, -1), sibling(supernodes, -1);
    for (int64_t s = 0; s < supernodes; ++s) std::fill(owner.begin() + first[s], owner.begin() + first[s + 1], s);
    row_begin = {0};
    panel_begin = {0};
    parent.assign(supernodes, -1);
    for (int64_t s = 0; s < supernodes; ++s) {
      const int64_t end = first[s + 1], begin = rows.size();
      const auto take = [&](int64_t i) {
        if (i < end || seen[i] == s) return;
        seen[i] = s;
        rows.push_back(i);
      };
      for (int64_t j = first[s]; j < end; ++j) neighbours(j, take);
      for (int64_t c = child[s]; c != -1; c = sibling[c])
        for (int64_t e = row_begin[c]; e < row_begin[c + 1]; ++e) take(rows[e]);
      std::sort(rows.begin() + begin, rows.end());
      row_begin.push_back(rows.size());
      const int64_t width = end - first[s];
      panel_begin.push_back(panel_begin.back() + (width + int64_t(rows.size()) - begin) * panel_stride(width));
      if (int64_t(rows.size()) > begin) {
        parent[s] = owner[rows[begin]];
        sibling[s] = child[parent[s]];
        child[parent[s]] = s;
      }
    }
  }

  const Pattern& pattern_;
  std::vector<int64_t> inverse_, tree_, count_;
};

}  // namespace geospec::ldl
