"""Operators for learning by diffusion: gradients against closed forms and the published least squares, and the cache."""

import numpy as np
import pytest
import torch

from geospec import (
    ArgumentError,
    DiffusionOperators,
    FileFormatError,
    LaplaceBasis,
    Mesh,
    PointCloud,
    ShapeError,
    diffusion_operators,
    laplacian,
)
from geospec.bases import diffusion
from geospec.testing import bumpy_sphere, grid, icosphere, sphere_cloud

NAMES = ("mass", "stiffness", "eigenvalues", "modes", "gradient_x", "gradient_y", "frames")


def plain(operators, name):
    value = getattr(operators, name)
    return value.to_dense() if value.layout == torch.sparse_csr else value


def same(one, other):
    return all(torch.equal(plain(one, name), plain(other, name)) for name in NAMES)


def in_space(operators, signal):
    """Gradients ``(n, 3)`` of a function ``(n,)``."""
    slopes = torch.stack([operators.gradient_x @ signal, operators.gradient_y @ signal], dim=1)
    return (slopes[:, :, None] * operators.frames[:, :2]).sum(dim=1)


@pytest.fixture
def solves(monkeypatch):
    """The list of ``k`` that were really computed."""
    asked, compute = [], diffusion._computed
    monkeypatch.setattr(diffusion, "_computed", lambda shape, k, kind: asked.append(k) or compute(shape, k, kind))
    return asked


@pytest.mark.parametrize("flat", ["mesh", "cloud"])
def test_linear_functions_on_a_tilted_plane(flat):
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    mesh = grid(12)
    x, y, _ = mesh.vertices.unbind(1)
    points = torch.stack([x + 0.2 * x * y, y + 0.1 * torch.sin(3 * x), 0 * x], dim=1) @ rotation.T
    operators = diffusion_operators(Mesh(points, mesh.faces) if flat == "mesh" else PointCloud(points), 3)
    slope = rotation @ torch.tensor([0.7, -2.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(in_space(operators, points @ slope + 5), slope.expand(144, 3), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["mesh", "cloud"])
def test_gradients_of_coordinates_on_the_sphere(kind):
    """The tangent part of the axis, ever closer under refinement."""
    errors = []
    for level in (2, 3, 4):
        mesh = icosphere(level)
        shape = mesh if kind == "mesh" else sphere_cloud(mesh.n_points)
        p = shape.points
        wrong = in_space(diffusion_operators(shape, 1), p[:, 2]) - (torch.tensor([0.0, 0, 1]) - p[:, 2:] * p)
        errors.append(wrong.norm(dim=1).mean().item())
    assert errors[2] < 0.005
    assert errors[2] < 0.4 * errors[1] < 0.2 * errors[0]


@pytest.mark.parametrize("shape", [bumpy_sphere(2), sphere_cloud(150)], ids=["mesh", "cloud"])
def test_the_published_construction(shape):
    """One point after another: edges of the Laplacian, projected to the frame, slopes by the normal equations."""
    operators = diffusion_operators(shape, 2)
    stiffness = laplacian(shape).to_scipy()[0]
    points, frames = shape.points.numpy(), operators.frames.numpy()
    expected = np.zeros((2, len(points), len(points)))
    for i in range(len(points)):
        around = stiffness.indices[stiffness.indptr[i] : stiffness.indptr[i + 1]]
        around = around[around != i]
        edges = (points[around] - points[i]) @ frames[i, :2].T
        slopes = np.linalg.solve(edges.T @ edges, edges.T)
        expected[:, i, around] = slopes
        expected[:, i, i] = -slopes.sum(axis=1)
    np.testing.assert_allclose(plain(operators, "gradient_x").numpy(), expected[0], atol=1e-9)
    np.testing.assert_allclose(plain(operators, "gradient_y").numpy(), expected[1], atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape", [bumpy_sphere(2), sphere_cloud(200), PointCloud(sphere_cloud(200).points)], ids=["mesh", "normals", "bare"]
)
def test_parts_and_types(shape, dtype):
    shape = shape.to(dtype=dtype)
    operators = diffusion_operators(shape, 9)
    assert {plain(operators, name).dtype for name in NAMES} == {dtype}
    assert (operators.n, operators.k) == (shape.n_points, 9)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    frames = operators.frames
    assert (frames @ frames.mT - torch.eye(3)).abs().max() < tolerance
    assert (torch.linalg.det(frames) > 0.9).all()
    assert ((frames[:, 2] * shape.points).sum(dim=1) > 0).all()
    assert (operators.gradient_x @ torch.ones(shape.n_points, dtype=dtype)).abs().max() < 100 * tolerance
    basis, operator = LaplaceBasis.fit(shape, 9), laplacian(shape)
    torch.testing.assert_close(operators.eigenvalues, basis.eigenvalues)
    torch.testing.assert_close(operators.mass, operator.mass)
    torch.testing.assert_close(plain(operators, "stiffness"), operator.stiffness.to_dense())
    assert same(operators, diffusion_operators(shape, 9))
    other = operators.to(dtype=torch.float64)
    assert {plain(other, name).dtype for name in NAMES} == {torch.float64}
    assert "k=9" in repr(operators)


def test_neighbours_on_one_line():
    """A strip of zero width: no slope across, the right one along."""
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    points = torch.stack([x, 0 * x, 0 * x], dim=1)
    crow, col = torch.tensor([0, 2, 5, 8, 11, 13]), torch.tensor([0, 1, 0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4])
    frames = torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
    slopes = diffusion._slopes(points, frames, crow, col)
    matrix = torch.zeros(5, 5, dtype=torch.float64)
    matrix[torch.arange(5).repeat_interleave(crow.diff()), col] = slopes[:, 0]
    torch.testing.assert_close(matrix @ (3 * x), torch.full((5,), 3.0, dtype=torch.float64))
    assert (slopes[:, 1] == 0).all()


def test_cotangent_kind():
    mesh = bumpy_sphere(2)
    operators = diffusion_operators(mesh, 3, kind="cotangent")
    torch.testing.assert_close(plain(operators, "stiffness"), laplacian(mesh, "cotangent").stiffness.to_dense())


def test_a_second_request_is_read(tmp_path, solves):
    mesh = bumpy_sphere(2)
    first = diffusion_operators(mesh, 12, cache=tmp_path)
    assert same(first, diffusion_operators(mesh, 12, cache=tmp_path))
    assert same(first.truncate(5), diffusion_operators(mesh, 5, cache=str(tmp_path)))
    assert solves == [12]
    assert same(first, diffusion_operators(mesh, 12))
    more = diffusion_operators(mesh, 20, cache=tmp_path)
    assert solves == [12, 12, 20]
    assert len(list(tmp_path.iterdir())) == 1
    torch.testing.assert_close(more.eigenvalues[:12], first.eigenvalues)
    LaplaceBasis.fit(mesh, 12, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


CLOUD = sphere_cloud(150)
CHANGES = {
    "type": {"shape": CLOUD.to(dtype=torch.float32)},
    "position": {"shape": PointCloud(CLOUD.points + 1e-12, CLOUD.normals)},
    "normals": {"shape": PointCloud(CLOUD.points, CLOUD.normals.flip(1))},
    "no normals": {"shape": PointCloud(CLOUD.points)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_a_miss(change, tmp_path, solves):
    given = {"shape": CLOUD, "k": 4, "cache": tmp_path}
    for arguments in (given, {**given, **CHANGES[change]}) * 2:
        found = diffusion_operators(**arguments)
        assert same(found, diffusion_operators(arguments["shape"], 4))
    assert len(list(tmp_path.iterdir())) == 2
    assert len(solves) == 2 + 4


def test_kind_is_in_the_key(tmp_path, solves):
    for kind in ("robust", "cotangent") * 2:
        diffusion_operators(bumpy_sphere(2), 3, kind=kind, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(solves) == 2


def test_damage_is_reported_and_repaired(tmp_path, solves):
    first = diffusion_operators(bumpy_sphere(1), 4, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.warns(RuntimeWarning, match="damaged cache file"):
        assert same(diffusion_operators(bumpy_sphere(1), 4, cache=tmp_path), first)
    assert solves == [4, 4]


def test_files(tmp_path):
    operators = diffusion_operators(bumpy_sphere(1), 4)
    operators.save(tmp_path / "a.safetensors")
    assert same(DiffusionOperators.load(tmp_path / "a.safetensors"), operators)
    LaplaceBasis.fit(bumpy_sphere(1), 4).save(tmp_path / "b.safetensors")
    with pytest.raises(FileFormatError, match="diffusion operators saved by geospec, version 1, got basis, version 1"):
        DiffusionOperators.load(tmp_path / "b.safetensors")
    with pytest.raises(FileNotFoundError):
        DiffusionOperators.load(tmp_path / "c.safetensors")
    with pytest.raises(FileFormatError, match="basis saved by geospec, version 1, got diffusion operators"):
        LaplaceBasis.load(tmp_path / "a.safetensors")
    with pytest.raises(OSError, match="nowhere"):
        operators.save(tmp_path / "nowhere" / "a.safetensors")


def test_vertices_that_require_gradients():
    mesh = bumpy_sphere(1)
    followed = Mesh(mesh.vertices.clone().requires_grad_(), mesh.faces)
    for kind in ("robust", "cotangent"):
        operators = diffusion_operators(followed, 3, kind=kind)
        assert not any(plain(operators, name).requires_grad for name in NAMES)


def test_refusals():
    mesh = bumpy_sphere(1)
    for k in (0, -1, 2.5, True, "3"):
        with pytest.raises(ArgumentError, match="k: wanted a positive integer"):
            diffusion_operators(mesh, k)
    with pytest.raises(ArgumentError, match="k: wanted at most the 42 points"):
        diffusion_operators(mesh, 43)
    with pytest.raises(ArgumentError, match="shape: wanted a Mesh or a PointCloud"):
        diffusion_operators(laplacian(mesh), 3)
    with pytest.raises(ArgumentError, match="kind"):
        diffusion_operators(mesh, 3, kind="fast")
    with pytest.raises(ShapeError, match="normals of positive length, got 1 zeros"):
        diffusion_operators(PointCloud(CLOUD.points, CLOUD.normals * (torch.arange(150) > 0)[:, None]), 3)
    with pytest.raises(ShapeError, match="in no face"):
        diffusion_operators(Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)), 1)
    with pytest.raises(ArgumentError, match="between 1 and the 3 modes"):
        diffusion_operators(mesh, 3).truncate(4)
