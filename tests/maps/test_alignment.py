"""Rigid candidates: the group of right angles, recovery of a known motion, frames, reflections, refusals."""

from __future__ import annotations

import math

import pytest
import torch

from geospec.errors import ArgumentError, ShapeError
from geospec.maps import rigid_alignments
from geospec.maps.alignment import APART, best_rotations, right_angles, settle
from geospec.shapes import Mesh, PointCloud

from .conftest import blob


def rotation(seed: int) -> torch.Tensor:
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    q = q * r.diagonal().sign()  # evenly spread
    return q * torch.linalg.det(q)


def moved(shape: Mesh | PointCloud, turn: torch.Tensor, scale: float = 1.0, shift: float = 0.0) -> Mesh | PointCloud:
    if isinstance(shape, Mesh):
        return Mesh(shape.vertices @ turn.T * scale + shift, shape.faces)
    normals = None if shape.normals is None else shape.normals @ turn.T
    return PointCloud(shape.points @ turn.T * scale + shift, normals, shape.weights)


def cloud(n: int = 800, normals: bool = False) -> PointCloud:
    mesh, _ = blob(n)
    return PointCloud(mesh.vertices, mesh.vertex_normals if normals else None)


def test_right_angles_are_a_group():
    turns = right_angles(torch.eye(3).double())
    assert torch.equal(turns.round(), turns)
    assert torch.allclose(torch.linalg.det(turns), torch.ones(24).double())
    products = (turns[:, None] @ turns).reshape(-1, 9)
    assert len({tuple(row.tolist()) for row in turns.reshape(24, 9) + 0.0}) == 24
    assert bool((torch.cdist(products, turns.reshape(24, 9)).amin(dim=1) == 0).all())
    finer = right_angles(torch.eye(3).double(), halves=True)
    assert torch.allclose(finer.mT @ finer, torch.eye(3).double().expand(96, 3, 3))
    assert bool((torch.linalg.det(finer) > 0).all())
    assert float(torch.pdist(finer.reshape(96, 9)).min()) > 0.5  # no two alike
    # No rotation is farther than 46 degrees from one of them, and some are farther than that from the 24.
    drawn = torch.stack([rotation(seed) for seed in range(300)])
    angles = [torch.cdist(drawn.flatten(1), some.flatten(1)).amin(dim=1).square().max() for some in (finer, turns)]
    limit = 4 - 4 * math.cos(math.radians(46))
    assert float(angles[0]) < limit < float(angles[1])


@pytest.mark.parametrize("kind", ["mesh", "cloud", "cloud with normals"])
def test_recovers_a_motion_of_any_size(kind):
    source = blob(800)[0] if kind == "mesh" else cloud(normals=kind != "cloud")
    turn = rotation(3)
    found = rigid_alignments(source, moved(source, turn, scale=7.0, shift=4.0))
    assert torch.allclose(found.rotations[0], turn, atol=1e-9)
    assert float(found.residuals[0]) < 1e-6
    assert len(found) > 1
    assert found.scale == pytest.approx(7.0)
    assert torch.allclose(found(source.points), source.points @ turn.T * 7 + 4, atol=1e-9)
    assert bool((found.residuals.diff() >= 0).all())
    assert bool((torch.linalg.det(found.rotations) > 0).all())


def test_candidates_turn_with_either_shape():
    """The list for turned shapes is the turned list: no frame is preferred."""
    source, target = blob(700)[0], moved(cloud(900), rotation(8))
    a, b = rotation(1), rotation(2)
    plain = rigid_alignments(source, target)
    other = rigid_alignments(moved(source, a), moved(target, b, shift=3.0))
    assert len(plain) == len(other)
    assert torch.allclose(other.rotations, b @ plain.rotations @ a.T, atol=1e-6)
    assert torch.allclose(other.residuals, plain.residuals, atol=1e-8)


def test_given_axes_and_no_steps():
    source = blob(800)[0]
    turn = right_angles(torch.eye(3).double())[13]
    found = rigid_alignments(source, moved(source, turn), frames="given", icp_steps=0)
    assert torch.equal(found.rotations[0], turn)
    assert len(found) == 24
    both = rigid_alignments(source, moved(source, turn), frames="both", icp_steps=0)
    assert 24 < len(both) <= 48
    assert float(both.residuals[0]) < 1e-6
    # Off the axes it takes the steps.
    off = moved(source, rotation(5) @ turn)
    residuals = [float(rigid_alignments(source, off, frames="given", icp_steps=steps).residuals[0]) for steps in (0, 30)]
    assert residuals[1] < 0.2 * residuals[0]


def test_reflections_only_where_wanted():
    source = cloud()
    mirror = torch.diag(torch.tensor([1.0, 1, -1])).double()
    target = moved(source, rotation(4) @ mirror)
    without, with_them = rigid_alignments(source, target), rigid_alignments(source, target, reflections=True)
    assert float(without.residuals[0]) > 0.01 > float(with_them.residuals[0])
    assert torch.allclose(with_them.rotations[0], rotation(4) @ mirror, atol=1e-9)


def test_candidates_lie_apart():
    found = rigid_alignments(blob(700)[0], cloud(900), frames="both", reflections=True).rotations.flatten(1)
    assert float(torch.pdist(found).square().min()) > 4 - 4 * math.cos(math.radians(APART)) - 1e-9


def test_normals_tell_the_sides_of_a_plate():
    """Turned over, a plate covers itself point by point; only its normals, opposite then, know: they count as a fifth of its size."""
    axes = torch.linspace(-1, 1, 20).double(), torch.linspace(-0.6, 0.6, 13).double()
    plate = torch.nn.functional.pad(torch.cartesian_prod(*axes), (0, 1))
    area = torch.full((len(plate),), 2.4 / len(plate)).double()
    up = torch.tensor([0, 0, 1.0]).double().expand_as(plate)
    blind = rigid_alignments(PointCloud(plate, None, area), PointCloud(plate, None, area))
    assert int((blind.residuals < 1e-6).sum()) == 4
    seeing = rigid_alignments(PointCloud(plate, up, area), PointCloud(plate, up, area))
    side = seeing.rotations[:, 2, 2]
    assert torch.equal(seeing.residuals < 1e-6, (side > 0.9) & (torch.arange(len(seeing)) < 2))
    assert float(seeing.residuals[side < -0.9].min()) == pytest.approx(0.2)


def test_best_rotation_is_the_best_of_many():
    covariance = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    drawn = torch.stack([rotation(seed) for seed in range(500)])
    for handed in (1.0, -1.0):
        found, trace = best_rotations(covariance, handed)
        assert torch.allclose(torch.linalg.det(found), torch.full((5,), handed).double())
        assert torch.allclose((found * covariance).sum(dim=(1, 2)), trace)
        tried = torch.einsum("rij,hij->rh", handed * drawn, covariance)
        assert bool((tried <= trace + 1e-12).all())
        assert bool((tried.amax(dim=0) > 0.9 * trace).all())


def test_nearest_samples_are_those_of_the_turned_shape():
    a, b = torch.rand(6, 3, dtype=torch.float64), torch.rand(9, 3, dtype=torch.float64)
    turns = torch.stack([rotation(1), rotation(2)])
    _, residuals, nearest = settle(a, b, turns, 0)
    for i in range(2):
        distances = torch.cdist(a @ turns[i].T, b)
        assert torch.equal(nearest[i], distances.argmin(dim=0))
        squared = distances.amin(dim=0).square().mean() / 2 + distances.amin(dim=1).square().mean() / 2
        assert float(residuals[i]) == pytest.approx(float(squared.sqrt()))


def test_refusals():
    shape = cloud(50)
    with pytest.raises(ArgumentError, match="frames"):
        rigid_alignments(shape, shape, frames="mine")
    with pytest.raises(ArgumentError, match="source"):
        rigid_alignments(shape.points, shape)
    with pytest.raises(ShapeError, match="target"):
        rigid_alignments(shape, PointCloud(torch.rand(50, 2)))
    with pytest.raises(ShapeError, match="source"):
        rigid_alignments(PointCloud(torch.rand(3, 3)), shape)
    with pytest.raises(ArgumentError, match="n_samples"):
        rigid_alignments(shape, shape, n_samples=3)
    with pytest.raises(ArgumentError, match="icp_steps"):
        rigid_alignments(shape, shape, icp_steps=-1)
