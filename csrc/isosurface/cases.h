// The triangles of a cell for each of its 256 patterns of corners, derived at compile time from one rule.
//
// Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2) in (x, y, z); bit c of a case says that the value there is
// below the level ("inside"). Edges 0-3 run along x at y + 2 z, 4-7 along y at x + 2 z, 8-11 along z at x + 2 y.
//
// The rule. Going around a face of the cell, each run of inside corners is cut off by one segment, from the edge where
// the run is entered to the edge where it is left. Two cells see the same corners on the face they share, so they
// draw the same segments. Every edge with a crossing is entered on one of its two faces and left on the other:
// following the segments gives closed loops. A loop is cut into triangles by diagonals whose ends share no face of the
// cell, so that no neighbour can draw the same one. Hence every edge of the surface has two triangles, or one
// on the border of the grid.
#pragma once

#include <cstdint>

namespace geospec::isosurface {

constexpr int kMostTriangles = 5;

struct Cases {
  uint8_t triangles[256] = {};
  uint8_t edges[256][3 * kMostTriangles + 1] = {};  // three edges of the cell each, the rest zero
};

// Builds the table; what has no solution, or too many triangles, does not compile.
class CaseBuilder {
 public:
  constexpr CaseBuilder() {
    for (int axis = 0; axis < 3; ++axis)
      for (int side = 0; side < 2; ++side) {
        const int u = (axis + 1) % 3, v = (axis + 2) % 3, face = 2 * axis + side;
        for (int i = 0; i < 4; ++i) {  // around the face, counter-clockwise seen from outside the cell
          const int step = side ? i : 3 - i;
          corner_[face][i] = side << axis | int(step == 1 || step == 2) << u | int(step >= 2) << v;
        }
        for (int i = 0; i < 4; ++i) on_face_[edge(face, i)] |= 1 << face;
      }
  }

  constexpr Cases build() {
    for (int pattern = 0; pattern < 256; ++pattern) {
      int next[12] = {};
      connect(pattern, next);
      for (int first = 0; first < 12; ++first) {
        if (next[first] < 0) continue;
        length_ = 0;
        for (int e = first; next[e] >= 0;) {
          loop_[length_++] = e;
          const int following = next[e];
          next[e] = -1;
          e = following;
        }
        cut(pattern, 0, length_ - 1);
      }
    }
    return cases_;
  }

 private:
  // The edge from corner i of a face to the corner after it.
  constexpr int edge(int face, int i) const {
    const int a = corner_[face][i], b = corner_[face][(i + 1) % 4], low = a & b;
    const int axis = (a ^ b) >> 1, u = axis == 0, v = axis == 2 ? 1 : 2;
    return 4 * axis + (low >> u & 1) + 2 * (low >> v & 1);
  }

  // For each edge with a crossing the one after it on its loop; -1 for the others.
  constexpr void connect(int pattern, int* next) const {
    for (int e = 0; e < 12; ++e) next[e] = -1;
    for (int face = 0; face < 6; ++face)
      for (int i = 0; i < 4; ++i) {
        int j = (i + 1) % 4;
        if (inside(pattern, face, i) || !inside(pattern, face, j)) continue;
        while (inside(pattern, face, (j + 1) % 4)) j = (j + 1) % 4;
        next[edge(face, i)] = edge(face, j);
      }
  }

  constexpr bool inside(int pattern, int face, int i) const { return pattern >> corner_[face][i] & 1; }

  // Whether vertices i < j of the loop are neighbours, or may be joined by a diagonal.
  constexpr bool may_join(int i, int j) const {
    return j - i == 1 || j - i == length_ - 1 || !(on_face_[loop_[i]] & on_face_[loop_[j]]);
  }

  constexpr bool can_cut(int i, int j) const {
    if (j - i < 2) return true;
    for (int k = i + 1; k < j; ++k)
      if (may_join(i, k) && may_join(k, j) && can_cut(i, k) && can_cut(k, j)) return true;
    return false;
  }

  // Triangles between vertices i to j of the loop, each with the first apex that lets the rest be cut.
  constexpr void cut(int pattern, int i, int j) {
    if (j - i < 2) return;
    int k = i + 1;
    while (!(may_join(i, k) && may_join(k, j) && can_cut(i, k) && can_cut(k, j))) ++k;
    uint8_t* corners = cases_.edges[pattern] + 3 * cases_.triangles[pattern]++;
    corners[0] = uint8_t(loop_[i]), corners[1] = uint8_t(loop_[k]), corners[2] = uint8_t(loop_[j]);
    cut(pattern, i, k);
    cut(pattern, k, j);
  }

  Cases cases_;
  int corner_[6][4] = {}, on_face_[12] = {}, loop_[12] = {}, length_ = 0;
};

constexpr Cases kCases = CaseBuilder().build();

}  // namespace geospec::isosurface
