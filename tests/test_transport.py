"""The vector heat method against the plane, the sphere and potpourri3d."""

import math

import pytest
import torch

from geospec import ArgumentError, ConvergenceError, Mesh, ShapeError, VectorHeat, geodesic_distances
from geospec.testing import bumpy_sphere, disjoint_union, grid, icosphere, permuted


def jittered_sphere(level):
    mesh = icosphere(level)
    noise = torch.randn(mesh.n_points, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Mesh(torch.nn.functional.normalize(mesh.vertices + 0.25 * 2.0**-level * noise, dim=1), mesh.faces)


def around_the_sphere(mesh, source):
    """Angle ``(n,)`` from the source, unit tangents ``(n, 3)`` at the source towards each vertex."""
    p, start = mesh.vertices, mesh.vertices[source]
    toward = p - (p @ start)[:, None] * start
    return (p @ start).clamp(-1, 1).acos(), torch.nn.functional.normalize(toward, dim=1)


def carried(mesh, source, vector):
    """Exact parallel transport of a tangent vector along great circles: the rotation that takes the source to each vertex."""
    angle, toward = around_the_sphere(mesh, source)
    along = toward @ vector
    arrived = angle.cos()[:, None] * toward - angle.sin()[:, None] * mesh.vertices[source]
    return vector - along[:, None] * toward + along[:, None] * arrived


def test_vectors_on_the_plane_stay_as_they_are():
    mesh = grid(17)
    vector = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(VectorHeat(mesh).transport(100, vector), vector.expand(mesh.n_points, 3), rtol=0, atol=1e-11)


def test_vectors_on_the_sphere_follow_great_circles():
    errors = []
    for level in (2, 3, 4):
        mesh, source = icosphere(level), 7
        solver = VectorHeat(mesh)
        vector = torch.tensor([0.3, 0.8], dtype=torch.float64) @ solver.frames[source, :2]
        near = around_the_sphere(mesh, source)[0] < 2.8  # across from the source no direction is right
        errors.append((solver.transport(source, vector) - carried(mesh, source, vector)).norm(dim=1)[near].mean().item())
    assert errors[0] < 0.02
    assert errors[2] < 0.6 * errors[1] < 0.4 * errors[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_transport_keeps_length(dtype):
    mesh = bumpy_sphere(3).to(dtype=dtype)
    solver = VectorHeat(mesh)
    found = solver.transport([5], [[3.0, -4.0]])
    assert (found.shape, found.dtype) == ((mesh.n_points, 2), dtype)
    torch.testing.assert_close(found.norm(dim=1), torch.full((mesh.n_points,), 5, dtype=dtype), rtol=1e-5, atol=0)
    torch.testing.assert_close(found[5], torch.tensor([3.0, -4.0], dtype=dtype), rtol=1e-4, atol=1e-4)
    in_space = solver.transport(5, torch.tensor([3.0, -4.0], dtype=dtype) @ solver.frames[5, :2])
    torch.testing.assert_close(in_space, (found[:, :, None] * solver.frames[:, :2]).sum(dim=1), rtol=1e-3, atol=1e-4)
    assert (in_space * solver.frames[:, 2]).sum(dim=1).abs().max() < 1e-4


def test_vectors_and_vertices_that_require_gradients():
    mesh = bumpy_sphere(1)
    solver = VectorHeat(Mesh(mesh.vertices.clone().requires_grad_(), mesh.faces))
    vector = torch.tensor([1.0, 0.0], requires_grad=True)
    for found in (solver.transport(3, vector), solver.extend_scalar(3, vector[:1]), solver.log_map(3), solver.frames):
        assert not found.requires_grad
    torch.testing.assert_close(solver.transport(3, vector), VectorHeat(mesh).transport(3, [1.0, 0.0]))


def test_the_normal_part_of_a_vector_does_not_travel():
    solver = VectorHeat(bumpy_sphere(2))
    vector = solver.frames[3, 0]
    torch.testing.assert_close(solver.transport(3, vector + 7 * solver.frames[3, 2]), solver.transport(3, vector))


def test_there_and_back_on_a_rough_surface():
    """Transport along one path and back along the same path is the identity."""
    solver = VectorHeat(bumpy_sphere(3))
    vector = torch.tensor([1.0, 0.5], dtype=torch.float64)
    for other in (40, 90):
        there = solver.transport(7, vector)[other]
        torch.testing.assert_close(solver.transport(other, there)[7], vector, rtol=1e-9, atol=1e-9)


def test_several_sources_send_to_what_is_nearest():
    mesh = grid(33)
    solver = VectorHeat(mesh)
    corners = [0, 33 * 33 - 1]
    vectors = torch.tensor([[1.0, 0, 0], [0, 2, 0]], dtype=torch.float64)
    found, values = solver.transport(corners, vectors), solver.extend_scalar(corners, [-1.0, 5.0])
    apart = mesh.vertices[:, 0] + mesh.vertices[:, 1] - 1
    for side, vector, value in ((apart < -0.3, vectors[0], -1.0), (apart > 0.3, vectors[1], 5.0)):
        assert (found[side] - vector).norm(dim=1).max() < 0.02
        assert (values[side] - value).abs().max() < 0.05
    assert values.min() >= -1 - 1e-12
    assert values.max() <= 5 + 1e-12
    torch.testing.assert_close(solver.extend_scalar([3, 500], [2.0, 2.0]), torch.full((33 * 33,), 2.0, dtype=torch.float64))


def test_opposite_vectors_cancel():
    assert (VectorHeat(grid(5)).transport([12, 12], [[1.0, 0], [-1.0, 0]])).abs().max() < 1e-12


@pytest.mark.parametrize("source", [0, 8, 144], ids=["corner", "side", "middle"])
def test_log_map_of_the_plane_is_its_coordinates(source):
    mesh = grid(17)
    x, y, _ = mesh.vertices.unbind(1)
    uneven = Mesh(torch.stack([x + 0.2 * x * y, y + 0.1 * torch.sin(3 * x), 0 * x], dim=1), mesh.faces)
    solver = VectorHeat(uneven)
    found = solver.log_map(source) @ solver.frames[source, :2, :2]
    torch.testing.assert_close(found, (uneven.vertices - uneven.vertices[source])[:, :2], rtol=0, atol=1e-8)
    assert (found[source] == 0).all()


@pytest.mark.parametrize("make", [icosphere, jittered_sphere], ids=["even", "jittered"])
def test_log_map_of_the_sphere(make):
    errors = []
    for level in (2, 3, 4):
        mesh, source = make(level), 7
        solver = VectorHeat(mesh)
        angle, toward = around_the_sphere(mesh, source)
        wrong = (solver.log_map(source) - angle[:, None] * (toward @ solver.frames[source, :2].T)).norm(dim=1)
        assert wrong[angle < 0.5].max() < 0.01
        errors.append(wrong[angle < 2.8].mean().item())
    assert errors[2] < 0.01
    assert errors[2] < 0.75 * errors[1] < 0.5 * errors[0]


def test_log_map_keeps_distances_of_a_rough_surface():
    """Against exact geodesics: nearer than each of potpourri3d's three ways, and than 3 %."""
    pytest.importorskip("igl")
    potpourri3d = pytest.importorskip("potpourri3d")
    mesh, source = bumpy_sphere(3), 3
    exact = geodesic_distances(mesh, source, method="exact")[0]

    def error(log):
        return ((log.norm(dim=1) - exact).abs().mean() / exact.mean()).item()

    theirs = potpourri3d.MeshVectorHeatSolver(mesh.vertices.numpy(), mesh.faces.numpy())
    ours = error(VectorHeat(mesh).log_map(source))
    assert ours < 0.03
    for strategy in ("VectorHeat", "AffineLocal", "AffineAdaptive"):
        assert ours < 0.7 * error(torch.from_numpy(theirs.compute_log_map(source, strategy)))


@pytest.mark.parametrize("mesh", [jittered_sphere(3), bumpy_sphere(3)], ids=["sphere", "bumpy"])
def test_potpourri3d_agrees(mesh):
    """To rounding for transport and extension, compared in space; to the two methods' errors for the logarithmic map."""
    potpourri3d = pytest.importorskip("potpourri3d")
    ours, theirs = VectorHeat(mesh), potpourri3d.MeshVectorHeatSolver(mesh.vertices.numpy(), mesh.faces.numpy())
    x, y, normal = (torch.from_numpy(axis) for axis in theirs.get_tangent_frames())
    torch.testing.assert_close(ours.frames[:, 2], normal, rtol=0, atol=1e-9)
    found = ours.transport([3, 200], torch.stack([x[3], 2 * y[200]]))
    expected = torch.from_numpy(theirs.transport_tangent_vectors([3, 200], [[1.0, 0.0], [0.0, 2.0]]))
    torch.testing.assert_close(found, expected[:, :1] * x + expected[:, 1:] * y, rtol=0, atol=1e-7)
    expected = torch.from_numpy(theirs.extend_scalar([3, 200], [1.0, -4.0]))
    torch.testing.assert_close(ours.extend_scalar([3, 200], [1.0, -4.0]), expected, rtol=0, atol=1e-9)
    log = torch.from_numpy(theirs.compute_log_map(3, "AffineLocal"))
    log = log[:, :1] * x[3] + log[:, 1:] * y[3]
    found = ours.log_map(3)
    near = (found.norm(dim=1) < 0.4) & (found.norm(dim=1) > 0)  # at the source theirs is not zero
    assert (found @ ours.frames[3, :2] - log).norm(dim=1)[near].max() < 0.02


def test_vectors_do_not_see_the_order_of_vertices():
    mesh = bumpy_sphere(2)
    other, order = permuted(mesh)
    vector = torch.tensor([0.4, 0.1, -1.0], dtype=torch.float64)
    one, two = VectorHeat(mesh), VectorHeat(other)
    torch.testing.assert_close(two.transport(7, vector), one.transport(order[7], vector)[order], rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(two.log_map(7).norm(dim=1), one.log_map(order[7]).norm(dim=1)[order], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units(scale):
    mesh = bumpy_sphere(2)
    here, there = VectorHeat(mesh), VectorHeat(Mesh(scale * mesh.vertices, mesh.faces))
    torch.testing.assert_close(there.transport(3, [1.0, 2.0]), here.transport(3, [1.0, 2.0]), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(there.log_map(3) / scale, here.log_map(3), rtol=1e-6, atol=1e-8)


def test_nothing_reaches_other_pieces():
    pieces = disjoint_union(icosphere(2), Mesh(icosphere(1).vertices + 5, icosphere(1).faces))
    solver = VectorHeat(pieces)
    for found in (solver.transport(3, [1.0, 0.0]), solver.extend_scalar(3, 4.0)[:, None], solver.log_map(3)):
        assert torch.isfinite(found[:162]).all()
        assert torch.isnan(found[162:]).all()
    assert torch.isfinite(solver.transport([3, 170], [[1.0, 0.0], [0.0, 1.0]])).all()


def test_no_heat_is_an_error():
    """A strip so long that what arrives at its end is no number any more."""
    strip = grid(600, 2, width=600.0)
    solver = VectorHeat(strip, time_scale=0.01)
    with pytest.raises(ConvergenceError, match="raise time_scale"):
        solver.extend_scalar(0, 1.0)
    assert torch.isfinite(VectorHeat(strip).extend_scalar(0, 1.0)).all()


def test_refusals():
    mesh = icosphere(1)
    solver = VectorHeat(mesh)
    with pytest.raises(ArgumentError, match="time_scale"):
        VectorHeat(mesh, time_scale=0)
    with pytest.raises(ShapeError, match="oriented manifold"):
        VectorHeat(Mesh(mesh.vertices, torch.cat([mesh.faces, mesh.faces[:1].flip(1)])))
    for sources in (42, -1, [0, 42], torch.tensor([0.5]), []):
        with pytest.raises(ArgumentError, match="sources"):
            solver.transport(sources, [[1.0, 0.0]])
    for vectors in ([1.0], [[1.0, 0.0]], [[1.0, 0, 0, 0]] * 2, [[math.nan, 0.0]] * 2):
        with pytest.raises(ArgumentError, match=r"vectors: wanted finite numbers \(2, 2\) or \(2, 3\)"):
            solver.transport([0, 1], vectors)
    for values in ([1.0], [[1.0, 2.0], [1.0, 2.0]], [math.inf, 0.0]):
        with pytest.raises(ArgumentError, match="values: wanted 2 finite numbers"):
            solver.extend_scalar([0, 1], values)
    with pytest.raises(ArgumentError, match="source: wanted one vertex, got 2"):
        solver.log_map([0, 1])
