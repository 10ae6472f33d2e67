// Parts of the surface seen from afar, for the winding numbers of Barill, Dickson, Schmidt, Levin and Jacobson 2018.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "mesh_sdf/tree.h"

namespace geospec::mesh_sdf {

constexpr double kFar = 2.5;  // nodes count by their moments from so many radii on

// A part of the surface seen from afar: the integrals of its normal n and of n (x - centre)^T.
template <class T>
struct Moment {
  T centre[3], radius, dipole[3], quadrupole[9], area;

  void set(const double* c, const double* d, const double* q, double r, double a) {
    for (int k = 0; k < 3; ++k) centre[k] = T(c[k]);
    for (int k = 0; k < 3; ++k) dipole[k] = T(d[k]);
    for (int k = 0; k < 9; ++k) quadrupole[k] = T(q[k]);
    radius = T(r);
    area = T(a);
  }
};

template <class T>
struct Moments {
  std::vector<Moment<T>> nodes;
  std::vector<uint8_t> border;  // (nodes) whether a triangle has an open side
  std::vector<T> corners;       // (f, 3, 3) in the order of the leaves

  Moments(const Mesh<T>& mesh, const Tree<T>& tree, const std::vector<uint8_t>& open)
      : nodes(tree.nodes.size()), border(tree.nodes.size()), corners(9 * mesh.f) {
    for (int64_t i = int64_t(nodes.size()) - 1; i >= 0; --i) {
      if (tree.nodes[i].count == 0) continue;
      if (tree.leaf(i))
        gather_leaf(mesh, tree, open, i);
      else
        join(i);
    }
  }

 private:
  void gather_leaf(const Mesh<T>& mesh, const Tree<T>& tree, const std::vector<uint8_t>& open, int64_t i) {
    const int64_t first = int64_t(tree.nodes[i].first) * kLeaf, size = tree.size(tree.nodes[i].first);
    double points[kLeaf][9], normals[kLeaf][3], area = 0, centre[3] = {}, dipole[3] = {};
    for (int64_t l = 0; l < size; ++l) {
      double* p = points[l];
      mesh.signing_corners(tree.face[first + l], p);
      for (int c = 0; c < 9; ++c) corners[9 * (first + l) + c] = T(p[c]);
      border[i] |= open[tree.face[first + l]];
      const double ab[3] = {p[3] - p[0], p[4] - p[1], p[5] - p[2]}, ac[3] = {p[6] - p[0], p[7] - p[1], p[8] - p[2]};
      cross(ab, ac, normals[l]);
      const double a = std::sqrt(dot(normals[l], normals[l])) / 2 + double(std::numeric_limits<T>::min());
      area += a;
      for (int k = 0; k < 3; ++k) {
        dipole[k] += normals[l][k] /= 2;
        centre[k] += a * (p[k] + p[3 + k] + p[6 + k]) / 3;
      }
    }
    Moment<T>& m = nodes[i];
    double radius = 0, quadrupole[9] = {};
    for (int k = 0; k < 3; ++k) centre[k] /= area;
    for (int64_t l = 0; l < size; ++l)
      for (int c = 0; c < 3; ++c) {
        double d[3];
        for (int k = 0; k < 3; ++k) d[k] = points[l][3 * c + k] - centre[k];
        radius = std::max(radius, dot(d, d));
        for (int a = 0; a < 9; ++a) quadrupole[a] += normals[l][a / 3] * d[a % 3] / 3;
      }
    m.set(centre, dipole, quadrupole, std::sqrt(radius), area);
  }

  void join(int64_t i) {
    const Moment<T>* parts[2] = {&nodes[2 * i + 1], &nodes[2 * i + 2]};
    double area = 0, centre[3] = {}, dipole[3] = {}, quadrupole[9] = {}, radius = 0;
    for (const Moment<T>* part : parts) {
      area += part->area;
      for (int k = 0; k < 3; ++k) {
        centre[k] += double(part->area) * part->centre[k];
        dipole[k] += part->dipole[k];
      }
    }
    for (int k = 0; k < 3; ++k) centre[k] /= area;
    for (const Moment<T>* part : parts) {
      double d[3];
      for (int k = 0; k < 3; ++k) d[k] = part->centre[k] - centre[k];
      radius = std::max(radius, double(part->radius) + std::sqrt(dot(d, d)));
      for (int a = 0; a < 9; ++a) quadrupole[a] += part->quadrupole[a] + part->dipole[a / 3] * d[a % 3];
    }
    nodes[i].set(centre, dipole, quadrupole, radius, area);
    border[i] = border[2 * i + 1] | border[2 * i + 2];
  }
};

}  // namespace geospec::mesh_sdf
