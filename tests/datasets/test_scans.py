"""Scans: what is seen is seen, densities are those stated, every point knows where on the surface it lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geospec.datasets import density_field, partial_scan, torus, varying_density, visible
from geospec.errors import ArgumentError, ShapeError
from geospec.shapes import Mesh, sample_surface
from geospec.testing import grid, icosphere


@pytest.fixture(scope="module")
def knot() -> Mesh:
    return torus(7, genus=1, n_vertices=1000)


def on_faces(mesh, sample) -> torch.Tensor:
    """Distance of each point from the place that its face and barycentric coordinates name."""
    assert torch.equal(sample.corners, mesh.faces[sample.face])
    assert (sample.barycentric >= 0).all()
    assert torch.allclose(sample.barycentric.sum(dim=1), torch.ones(()).to(sample.barycentric))
    named = torch.einsum("mc,mcd->md", sample.barycentric, mesh.vertices[sample.corners])
    return (sample.cloud.points - named).norm(dim=1)


def test_a_sphere_shows_its_near_side():
    """A convex body hides exactly the faces that are turned away."""
    ball = icosphere(3)
    eye = torch.tensor([0.5, -2.0, 1.5], dtype=torch.float64)
    sample = sample_surface(ball, 5000, seed=1)
    facing = ((eye - sample.cloud.points) * ball.face_normals[sample.face]).sum(dim=1) > 0
    assert torch.equal(visible(ball, sample.cloud.points, eye), facing)
    assert torch.equal(visible(ball.to(dtype=torch.float32), sample.cloud.points.float(), eye), facing)
    scan = partial_scan(ball, 1000, viewpoints=eye[None], density="uniform")
    assert (((eye - scan.cloud.points) * scan.cloud.normals).sum(dim=1) > 0).all()
    # Seen from a distance d, a unit sphere shows the cap higher than 1 / d: the mean height is half way up to 1.
    height = scan.cloud.points @ eye / eye.norm()
    assert height.mean() == pytest.approx(float(1 + 1 / eye.norm()) / 2, abs=0.02)


def test_visible_agrees_with_rays_against_every_face(knot):
    """A knotted tube hides itself in many layers; each ray is cut with each face by Moller and Trumbore's solution."""
    eye = torch.tensor([1.0, 0.2, 0.7], dtype=torch.float64)
    points = sample_surface(knot, 400, seed=2).cloud.points
    a, b, c = knot.vertices[knot.faces].unbind(dim=1)
    ray = points - eye
    matrix = torch.stack([-ray[:, None].expand(-1, len(a), -1), (b - a).expand(400, -1, -1), (c - a).expand(400, -1, -1)], dim=3)
    t, u, v = torch.linalg.solve(matrix, (eye - a).expand(400, -1, -1)).unbind(dim=2)
    hidden = ((u > 0) & (v > 0) & (u + v < 1) & (t > 0) & (t < 1 - 1e-6)).any(dim=1)
    seen = visible(knot, points, eye)
    assert torch.equal(seen, ~hidden)
    facing = ((eye - points) * knot.face_normals[sample_surface(knot, 400, seed=2).face]).sum(dim=1) > 0
    assert int((facing & ~seen).sum()) > 20  # hidden by another part, not by turning away


def test_a_scanner_takes_by_angle_and_distance():
    ball = icosphere(3)
    eye = torch.tensor([[0.0, 0.0, 1.6]], dtype=torch.float64)
    scan = partial_scan(ball, 6000, viewpoints=eye, seed=3)
    dense = sample_surface(ball, 200_000, seed=4)
    ray = eye - dense.cloud.points
    weight = (ray * dense.cloud.normals).sum(dim=1).clamp(min=0) / ray.norm(dim=1) ** 3
    edges = torch.linspace(1 / 1.6, 1, 9, dtype=torch.float64)
    bins = torch.bucketize(dense.cloud.points[:, 2].clamp(edges[0], edges[-1] - 1e-9), edges, right=True) - 1
    expected = 6000 * torch.zeros(8, dtype=torch.float64).index_add(0, bins, weight) / weight.sum()
    found = torch.bincount(torch.bucketize(scan.cloud.points[:, 2].clamp(edges[0], edges[-1] - 1e-9), edges, right=True) - 1, minlength=8)
    assert ((found - expected) ** 2 / expected).sum() < 30  # chi square with 7 degrees of freedom: one in ten thousand


def test_two_views_see_what_either_sees(knot):
    eyes = torch.tensor([[1.2, 0, 0], [-1.2, 0.1, 0]], dtype=torch.float64)
    scan = partial_scan(knot, 1500, viewpoints=eyes, density="uniform", seed=5)
    each = torch.stack([visible(knot, scan.cloud.points, eye) for eye in eyes])
    assert each.any(dim=0).all()
    assert (each.sum(dim=1) > 300).all()
    assert not each.all(dim=1).any()


@pytest.mark.parametrize("ratio", [1.0, 8.0])
def test_density_is_the_one_stated(knot, ratio):
    field = density_field(knot, ratio, seed=6)
    assert field.min() == pytest.approx(1)
    assert field.max() == pytest.approx(ratio)
    edge = field[knot.edges]
    assert (edge.amax(dim=1) / edge.amin(dim=1)).max() < 1.5  # smooth
    sample = varying_density(knot, 8000, ratio, seed=6)
    assert on_faces(knot, sample).max() < 1e-15
    dense = sample_surface(knot, 200_000, seed=7)
    weight = dense.interpolate(field)
    edges = torch.quantile(field, torch.linspace(0, 1, 9, dtype=torch.float64)[1:-1])
    expected = 8000 * torch.zeros(8, dtype=torch.float64).index_add(0, torch.bucketize(weight, edges), weight) / weight.sum()
    found = torch.bincount(torch.bucketize(sample.interpolate(field), edges), minlength=8)
    assert ((found - expected) ** 2 / expected.clamp(min=1)).sum() < 30
    # Points a unit area, where the density is lowest against where it is highest.
    if ratio > 1:
        low, high = (found[i] / torch.bincount(torch.bucketize(weight, edges), minlength=8)[i] for i in (0, 7))
        assert 0.5 * ratio < high / low < ratio


def test_scans_keep_their_ground_truth(knot):
    one, same, other = (partial_scan(knot, 500, seed=seed, views=2, density=5.0) for seed in (8, 8, 9))
    assert torch.equal(one.cloud.points, same.cloud.points)
    assert not torch.equal(one.cloud.points, other.cloud.points)
    assert on_faces(knot, one).max() < 1e-15
    assert torch.equal(one.cloud.normals, knot.face_normals[one.face])
    single = partial_scan(knot.to(dtype=torch.float32), 300, seed=8)
    assert single.cloud.points.dtype == torch.float32
    assert on_faces(knot.to(dtype=torch.float32), single).max() < 1e-6


def test_noise_moves_along_the_normal(knot):
    clean, noisy = (partial_scan(knot, 2000, seed=10, noise=noise) for noise in (0.0, 0.003))
    assert torch.equal(clean.face, noisy.face)
    move = noisy.cloud.points - clean.cloud.points
    along = (move * clean.cloud.normals).sum(dim=1)
    assert (move - along[:, None] * clean.cloud.normals).norm(dim=1).max() < 1e-12
    assert along.std() == pytest.approx(0.003, rel=0.1)
    assert abs(along.mean()) < 0.0003


def test_a_given_density_and_gradients(knot):
    density = torch.where(knot.vertices[:, 0] > 0, 1.0, 1e-6).double()
    vertices = knot.vertices.clone().requires_grad_()
    sample = partial_scan(Mesh(vertices, knot.faces), 200, density=density, views=3)
    assert (sample.cloud.points[:, 0] > -0.05).all()
    sample.cloud.points.sum().backward()
    assert vertices.grad.sum() == pytest.approx(600)


EYE = torch.tensor([[0.0, 0, 3]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: partial_scan(icosphere(1), 0), "n: wanted at least 1, got 0"),
        (lambda: partial_scan(icosphere(1), 5, views=0), "views: wanted at least 1, got 0"),
        (lambda: partial_scan(icosphere(1), 5, viewpoints=EYE / 4), "viewpoint: wanted a place outside the ball"),
        (lambda: partial_scan(icosphere(1), 5, viewpoints=EYE[0]), r"viewpoints: wanted \(v, 3\) finite positions"),
        (lambda: partial_scan(icosphere(1), 5, viewpoints=EYE * np.nan), r"viewpoints: wanted \(v, 3\) finite positions"),
        (lambda: partial_scan(icosphere(1), 5, density="thick"), "density: wanted 'scanner', 'uniform', a ratio"),
        (lambda: partial_scan(icosphere(1), 5, density=0.5), "ratio: wanted highest over lowest density"),
        (lambda: partial_scan(icosphere(1), 5, density=torch.ones(3)), "density: wanted 42 positive numbers"),
        (lambda: partial_scan(icosphere(1), 5, noise=-1.0), "noise: wanted a standard deviation, from 0, got -1.0"),
        (lambda: partial_scan(grid(4), 5, viewpoints=torch.tensor([[3.0, 0.5, 0]])), "places from which the surface is seen"),
        (lambda: varying_density(icosphere(1), 5, float("nan")), "ratio: wanted highest over lowest"),
        (lambda: visible(icosphere(1), torch.zeros(1, 3), EYE), r"viewpoint: wanted \(3,\) finite position"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_mesh_without_area():
    flat = Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]))
    with pytest.raises(ShapeError, match="a surface with area"):
        varying_density(flat, 5)
    with pytest.raises(ShapeError, match="a surface with area"):
        varying_density(Mesh(torch.rand(3, 3), torch.zeros(0, 3, dtype=torch.int64)), 5)
    with pytest.raises(ShapeError, match="a surface with area"):
        partial_scan(Mesh(torch.rand(3, 3), torch.zeros(0, 3, dtype=torch.int64)), 5)
