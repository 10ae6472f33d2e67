// The tree is made on the host, whose copy of the mesh also tells whether it is closed; a thread takes a cell.
#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "common/cuda.h"
#include "mesh_sdf/checks.h"
#include "mesh_sdf/closed.h"
#include "mesh_sdf/moments.h"

namespace geospec {
namespace {

using namespace mesh_sdf;

struct Parallel {
  template <class F>
  void operator()(int64_t begin, int64_t end, int64_t grain, const F& f) const {
    torch::stable::parallel_for(begin, end, grain, f);
  }
};

// The tree where threads can read it; moments and corners are null where no winding numbers are asked.
template <class T>
struct View {
  const Node<T>* nodes;
  const Triangle<T>* triangles;
  const int32_t* face;
  int64_t f;
  const Moment<T>* moments;
  const T* corners;
};

template <class T>
__device__ T gap(const Node<T>& node, const T* p) {
  T sum = 0;
  for (int k = 0; k < 3; ++k) {
    const T out = beyond(p[k], node.low[k], node.high[k]);
    sum += out * out;
  }
  return sum;
}

// Depth first, the nearer child first; the farther waits with all that are no nearer than the best so far.
template <class T>
__global__ void distance_kernel(Box box, View<T> tree, T truncation, T* values, int32_t* nearest) {
  GEOSPEC_GRID_STRIDE(c, box.cells()) {
    double place[3];
    box.cell(c, place);
    const T p[3] = {T(place[0]), T(place[1]), T(place[2])};
    T best = T(double(truncation) * box.scale);
    best *= best;
    int32_t found = -1, stack[64], depth = 0;
    stack[depth++] = 0;
    while (depth > 0) {
      const int32_t i = stack[--depth];
      const Node<T>& node = tree.nodes[i];
      if (!(gap(node, p) < best)) continue;
      if (node.count > 1) {
        const bool left = gap(tree.nodes[2 * i + 1], p) < gap(tree.nodes[2 * i + 2], p);
        stack[depth++] = 2 * i + (left ? 2 : 1);
        stack[depth++] = 2 * i + (left ? 1 : 2);
        continue;
      }
      const int64_t first = int64_t(node.first) * kLeaf, last = first + kLeaf < tree.f ? first + kLeaf : tree.f;
      for (int64_t t = first; t < last; ++t) {
        const T squared = squared_distance(tree.triangles[t], p, best);
        if (!(squared < best)) continue;
        best = squared;
        found = int32_t(t);
      }
    }
    if (found >= 0) values[c] = T(copysign(sqrt(double(best)) / box.scale, double(values[c])));
    if (nearest) nearest[c] = found < 0 ? -1 : tree.face[found];
  }
}

template <class T>
__device__ void read_corners(const Box& box, const T* vertices, const int64_t* face, double* out) {
  for (int c = 0; c < 9; ++c) out[c] = (double(vertices[3 * face[c / 3] + c % 3]) - box.centre[c % 3]) * box.scale;
}

template <class T>
struct AddTurn {
  T* slice;
  int64_t width;

  __device__ void operator()(int64_t j, int64_t i, int turn) const { atomicAdd(slice + j * width + i, T(turn)); }
};

// A thread takes a face in a slice. Whole numbers are added, so the order is no matter.
template <class T>
__global__ void crossing_kernel(Box box, const T* vertices, const int64_t* faces, int64_t f, const uint8_t* skip,
                                T* counts) {
  GEOSPEC_GRID_STRIDE(item, f * box.n[2]) {
    const int64_t face = item % f, k = item / f;
    if (skip && skip[face]) continue;
    const double z = box.at(2, k);
    double corners[9];
    read_corners(box, vertices, faces + 3 * face, corners);
    if (z < fmin(corners[2], fmin(corners[5], corners[8])) || z > fmax(corners[2], fmax(corners[5], corners[8])))
      continue;
    cross_rows(box, corners, z, AddTurn<T>{counts + k * box.n[1] * box.n[0], box.n[0]});
  }
}

template <class T>
__global__ void row_kernel(Box box, bool parity, T truncation, T* values) {
  GEOSPEC_GRID_STRIDE(row, box.n[1] * box.n[2]) {
    T count = 0;
    for (int64_t i = row * box.n[0]; i < (row + 1) * box.n[0]; ++i) {
      count += values[i];
      const bool inside = parity ? int64_t(count) % 2 != 0 : count != 0;
      values[i] = inside ? -truncation : truncation;
    }
  }
}

template <class T>
__device__ T far_part(const Moment<T>& m, const T* r) {
  const T inverse = 1 / (r[0] * r[0] + r[1] * r[1] + r[2] * r[2]), cubed = inverse * sqrt(inverse);
  T bent = 0, straight = m.quadrupole[0] + m.quadrupole[4] + m.quadrupole[8];
  for (int k = 0; k < 3; ++k) {
    straight += m.dipole[k] * r[k];
    for (int l = 0; l < 3; ++l) bent += m.quadrupole[3 * k + l] * r[k] * r[l];
  }
  return cubed * (straight - 3 * inverse * bent);
}

// Half the solid angle of a triangle.
template <class T>
__device__ T half_angle(const T* corners, const T* q) {
  T p[3][3], length[3];
  for (int c = 0; c < 3; ++c) {
    for (int k = 0; k < 3; ++k) p[c][k] = corners[3 * c + k] - q[k];
    length[c] = sqrt(p[c][0] * p[c][0] + p[c][1] * p[c][1] + p[c][2] * p[c][2]);
  }
  const T above = p[0][0] * (p[1][1] * p[2][2] - p[1][2] * p[2][1]) +
                  p[0][1] * (p[1][2] * p[2][0] - p[1][0] * p[2][2]) + p[0][2] * (p[1][0] * p[2][1] - p[1][1] * p[2][0]);
  T below = length[0] * length[1] * length[2];
  for (int c = 0; c < 3; ++c) {
    const int a = (c + 1) % 3, b = (c + 2) % 3;
    below += (p[a][0] * p[b][0] + p[a][1] * p[b][1] + p[a][2] * p[b][2]) * length[c];
  }
  return atan2(above, below);
}

template <class T>
__global__ void winding_kernel(Box box, View<T> tree, T truncation, T* values) {
  GEOSPEC_GRID_STRIDE(c, box.cells()) {
    double place[3];
    box.cell(c, place);
    const T p[3] = {T(place[0]), T(place[1]), T(place[2])};
    T far = 0, near = 0;
    int32_t stack[64], depth = 0;
    stack[depth++] = 0;
    while (depth > 0) {
      const int32_t i = stack[--depth];
      const Moment<T>& m = tree.moments[i];
      const T r[3] = {m.centre[0] - p[0], m.centre[1] - p[1], m.centre[2] - p[2]};
      if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] > T(kFar * kFar) * m.radius * m.radius) {
        far += far_part(m, r);
      } else if (tree.nodes[i].count > 1) {
        stack[depth++] = 2 * i + 2;
        stack[depth++] = 2 * i + 1;
      } else {
        const int64_t first = int64_t(tree.nodes[i].first) * kLeaf;
        for (int64_t t = first; t < first + kLeaf && t < tree.f; ++t) near += half_angle(tree.corners + 9 * t, p);
      }
    }
    const T winding = far / T(4 * M_PI) + near / T(2 * M_PI);
    values[c] = fabs(winding) > T(0.5) ? -truncation : truncation;
  }
}

template <class T>
__global__ void fill_kernel(T value, int64_t n, T* out) {
  GEOSPEC_GRID_STRIDE(i, n) out[i] = value;
}

// Host arrays on the device of `like`, for as long as this lives.
class Uploads {
 public:
  Uploads(const Tensor& like, cudaStream_t stream) : like_(like), stream_(stream) {}

  template <class T>
  const T* put(const std::vector<T>& from) {
    const int64_t bytes = int64_t(from.size() * sizeof(T));
    held_.push_back(torch::stable::new_empty(like_, {bytes}, ScalarType::Byte));
    STD_CUDA_CHECK(cudaMemcpyAsync(held_.back().data_ptr(), from.data(), bytes, cudaMemcpyHostToDevice, stream_));
    return static_cast<const T*>(held_.back().data_ptr());
  }

 private:
  const Tensor& like_;
  cudaStream_t stream_;
  std::vector<Tensor> held_;
};

template <class T>
std::vector<T> read(const Tensor& t, cudaStream_t stream) {
  std::vector<T> out(t.size(0) * 3);
  STD_CUDA_CHECK(cudaMemcpyAsync(out.data(), t.data_ptr(), out.size() * sizeof(T), cudaMemcpyDeviceToHost, stream));
  STD_CUDA_CHECK(cudaStreamSynchronize(stream));
  return out;
}

template <class T>
void measure(const Box& box, const Tensor& vertices, const Tensor& faces, Sign sign, T truncation, T* values,
             int32_t* nearest) {
  const cudaStream_t stream = current_stream(vertices);
  const int64_t n = vertices.size(0), f = faces.size(0);
  const std::vector<T> host_vertices = read<T>(vertices, stream);
  const std::vector<int64_t> host_faces = read<int64_t>(faces, stream);
  check_faces(host_vertices.data(), n, host_faces.data(), f);
  const auto fill = [&](T value) {
    fill_kernel<<<blocks_for(box.cells()), kThreads, 0, stream>>>(value, box.cells(), values);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  };
  if (f == 0) {
    fill(truncation);
    if (nearest) STD_CUDA_CHECK(cudaMemsetAsync(nearest, 0xff, box.cells() * sizeof(int32_t), stream));
    return;
  }
  Mesh<T> mesh = {host_vertices.data(), host_faces.data(), f, box};
  const Tree<T> tree = plant(mesh, Parallel());
  Uploads uploads(vertices, stream);
  View<T> view = {uploads.put(tree.nodes), uploads.put(tree.triangles), uploads.put(tree.face), f, nullptr, nullptr};
  const Verdict verdict = decide(mesh, n, sign);
  if (sign == Sign::winding) {
    const Moments<T> moments(mesh, tree, verdict.closed.open);
    view.moments = uploads.put(moments.nodes);
    view.corners = uploads.put(moments.corners);
    winding_kernel<<<blocks_for(box.cells()), kThreads, 0, stream>>>(box, view, truncation, values);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  } else {
    fill(sign == Sign::unsigned_ ? truncation : T(0));
  }
  if (sign == Sign::nonzero || sign == Sign::parity) {
    const uint8_t* skip = mesh.skip ? uploads.put(verdict.skip) : nullptr;
    crossing_kernel<<<blocks_for(f * box.n[2]), kThreads, 0, stream>>>(box, data<T>(vertices), data<int64_t>(faces), f,
                                                                       skip, values);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    row_kernel<<<blocks_for(box.n[1] * box.n[2]), kThreads, 0, stream>>>(box, sign == Sign::parity, truncation, values);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }
  distance_kernel<<<blocks_for(box.cells()), kThreads, 0, stream>>>(box, view, truncation, values, nearest);
  STD_CUDA_KERNEL_LAUNCH_CHECK();
  STD_CUDA_CHECK(cudaStreamSynchronize(stream));  // the host's arrays are read until here
}

std::tuple<Tensor, Tensor> signed_distances(const Tensor& vertices_in, const Tensor& faces_in,
                                            std::vector<int64_t> shape, double truncation, std::vector<double> lower,
                                            std::vector<double> upper, std::string sign_name, bool nearest) {
  check_mesh(vertices_in, faces_in, truncation);
  const Box box = read_box(shape, lower, upper);
  const Sign sign = read_sign(sign_name);
  const torch::stable::accelerator::DeviceGuard guard(vertices_in.get_device_index());
  const Tensor vertices = torch::stable::contiguous(vertices_in), faces = torch::stable::contiguous(faces_in);
  const std::vector<int64_t> sizes = {box.n[2], box.n[1], box.n[0]}, none = {0, 0, 0};
  Tensor values = torch::stable::new_empty(vertices, sizes);
  Tensor face = torch::stable::new_empty(vertices, nearest ? sizes : none, ScalarType::Int);
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    measure<T>(box, vertices, faces, sign, T(truncation), data<T>(values), nearest ? data<int32_t>(face) : nullptr);
  });
  return {values, face};
}

template <class T>
__global__ void backward_kernel(Box box, const T* grad, const T* vertices, const int64_t* faces, int64_t f,
                                const T* values, const int32_t* nearest, double* sums) {
  GEOSPEC_GRID_STRIDE(c, box.cells()) {
    const int64_t face = nearest[c];
    if (face < 0 || face >= f) continue;
    double p[3], corners[9], each[9];
    box.cell(c, p);
    read_corners(box, vertices, faces + 3 * face, corners);
    corner_gradients(p, corners, copysign(1.0, double(values[c])) * double(grad[c]), each);
    for (int k = 0; k < 9; ++k) atomicAdd(sums + 3 * faces[3 * face + k / 3] + k % 3, each[k]);
  }
}

template <class T>
__global__ void narrow_kernel(const double* from, int64_t n, T* to) {
  GEOSPEC_GRID_STRIDE(i, n) to[i] = T(from[i]);
}

Tensor signed_distances_backward(const Tensor& grad_in, const Tensor& vertices_in, const Tensor& faces_in,
                                 const Tensor& values_in, const Tensor& nearest_in, std::vector<double> lower,
                                 std::vector<double> upper) {
  check_backward(grad_in, vertices_in, faces_in, values_in, nearest_in);
  const Box box = read_box({values_in.size(0), values_in.size(1), values_in.size(2)}, lower, upper);
  const torch::stable::accelerator::DeviceGuard guard(vertices_in.get_device_index());
  const Tensor grad = torch::stable::contiguous(grad_in), vertices = torch::stable::contiguous(vertices_in),
               faces = torch::stable::contiguous(faces_in), values = torch::stable::contiguous(values_in),
               nearest = torch::stable::contiguous(nearest_in);
  const int64_t n = 3 * vertices.size(0);
  Tensor out = torch::stable::new_empty(vertices, {vertices.size(0), 3});
  const Tensor sums = torch::stable::new_zeros(vertices, {n}, ScalarType::Double);
  const cudaStream_t stream = current_stream(vertices);
  dispatch_float(vertices, "vertices", [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    double* total = static_cast<double*>(sums.data_ptr());
    backward_kernel<<<blocks_for(box.cells()), kThreads, 0, stream>>>(box, data<T>(grad), data<T>(vertices),
                                                                      data<int64_t>(faces), faces.size(0),
                                                                      data<T>(values), data<int32_t>(nearest), total);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    narrow_kernel<<<blocks_for(n), kThreads, 0, stream>>>(total, n, data<T>(out));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(geospec, CUDA, m) {
  m.impl("mesh_sdf", TORCH_BOX(&signed_distances));
  m.impl("mesh_sdf_backward", TORCH_BOX(&signed_distances_backward));
}

}  // namespace geospec
