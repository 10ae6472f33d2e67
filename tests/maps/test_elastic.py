"""Elastic refinement: fixed points in closed form, improvement from a scattered start, independence of units and poses."""

from __future__ import annotations

import pytest
import torch

import geospec
from geospec.errors import ArgumentError
from geospec.maps import elastic_refinement
from geospec.maps.elastic import _Body
from geospec.shapes.cloud import PointCloud
from geospec.shapes.mesh import Mesh

TURN = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).Q
TURN = TURN * torch.linalg.det(TURN)  # a rotation


@pytest.fixture(scope="module")
def laplacians(pair):
    return geospec.laplacian(pair.source), geospec.laplacian(pair.target)


def scattered(pair, noise: float = 0.06) -> tuple[torch.Tensor, torch.Tensor]:
    """The true maps, each image moved to the vertex nearest to a point some way off."""
    generator = torch.Generator().manual_seed(0)
    maps = []
    for truth, shape in ((pair.truth, pair.source), (pair.reverse_truth, pair.target)):
        points = shape.vertices[truth]
        points = points + noise * torch.randn(points.shape, generator=generator, dtype=points.dtype)
        maps.append(torch.cdist(points, shape.vertices).argmin(dim=1))
    return maps[0], maps[1]


@pytest.mark.parametrize("length", [0.01, 1.0])
def test_a_similar_copy_is_reached(pair, laplacians, length):
    """Turned, scaled and moved copies cost no energy: they are reached exactly, whatever the length."""
    body = _Body.of(pair.source, laplacians[0])
    wanted = 1.2 * body.rest @ TURN.T + 0.3
    positions, similarities = body.bent(wanted, wanted, length)
    assert torch.allclose(positions, wanted, atol=1e-9)
    assert torch.allclose(similarities, (1.2 * TURN).expand(body.rest.shape[0], 3, 3), atol=1e-8)


def test_a_stiff_body_averages_noise_away(pair, laplacians):
    body = _Body.of(pair.source, laplacians[0])
    noise = 0.05 * torch.randn(body.rest.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left = [float((body.bent(body.rest + noise, body.rest, length)[0] - body.rest).norm(dim=1).mean()) for length in (1e-4, 0.03, 1.0)]
    assert left[0] > 0.95 * float(noise.norm(dim=1).mean())
    assert left[1] < 0.5 * left[0]
    assert left[2] < 0.5 * left[1]


def test_a_mirrored_copy_is_not_similar(pair, laplacians):
    body = _Body.of(pair.source, laplacians[0])
    wanted = body.rest * body.rest.new_tensor([-1, 1, 1])
    _, similarities = body.bent(wanted, wanted, 0.1)
    assert bool((torch.linalg.det(similarities) > 0).all())


def test_sharpens_a_scattered_map(pair, laplacians):
    start = scattered(pair)
    found = elastic_refinement(*start, pair.source, pair.target, *laplacians)
    assert pair.error(start[0]) > 6
    assert pair.error(found.target_to_source) < 1  # a vertex is 4 apart from the next
    back = pair.target.vertices[found.source_to_target] - pair.target.vertices[pair.reverse_truth]
    assert 100 * float(back.norm(dim=1).mean()) < 1
    apart = (found.source_on_target - pair.source.vertices).norm(dim=1)
    assert float(apart.mean()) < 0.02
    assert found.record["steps"] == len(found.record["moved"]) == 8
    assert found.record["normals"]


def test_units_and_poses_do_not_matter(pair, laplacians):
    start = scattered(pair)
    expected = elastic_refinement(*start, pair.source, pair.target, *laplacians, steps=3)
    moved = Mesh(1000 * pair.target.vertices @ TURN.T + 5, pair.target.faces)
    found = elastic_refinement(*start, pair.source, moved, laplacians[0], geospec.laplacian(moved), steps=3)
    assert float((found.target_to_source == expected.target_to_source).double().mean()) > 0.995
    assert torch.allclose(found.source_on_target, 1000 * expected.source_on_target @ TURN.T + 5, atol=5)


def test_clouds_and_float32(pair):
    """Without normals, and in float32, the map is as sharp on a surface that has no thin parts."""
    clouds = [PointCloud(shape.vertices.float()) for shape in (pair.source, pair.target)]
    found = elastic_refinement(*scattered(pair), *clouds, *(geospec.laplacian(cloud) for cloud in clouds))
    assert not found.record["normals"]
    assert found.target_on_source.dtype == torch.float32
    assert pair.error(found.target_to_source) < 1


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"lengths": (0.01, 0.1)}, "lengths"),
        ({"lengths": (0.1, 0.0)}, "lengths"),
        ({"normal": float("nan")}, "normal"),
    ],
)
def test_refusals(pair, laplacians, changed, named):
    with pytest.raises(ArgumentError, match=named):
        elastic_refinement(pair.truth, pair.reverse_truth, pair.source, pair.target, *laplacians, **changed)


def test_refuses_what_does_not_belong_together(pair, laplacians):
    with pytest.raises(ArgumentError, match="source_laplacian"):
        elastic_refinement(pair.truth, pair.reverse_truth, pair.source, pair.target, *laplacians[::-1])
    with pytest.raises(ArgumentError, match="source_to_target"):
        elastic_refinement(pair.truth, pair.truth, pair.source, pair.target, *laplacians)
