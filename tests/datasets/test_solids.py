"""Solids by rule: sound meshes that face outwards, fields that leave nothing out, primitives with known distances."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch

from geospec.datasets import solid, solid_families, solid_field
from geospec.datasets.procedural.objects import OBJECTS
from geospec.datasets.procedural.solids import ball, box, cylinder, lathe, padded, ring, rod, tube
from geospec.datasets.solids import sampled, solids
from geospec.errors import ArgumentError
from geospec.shapes import Mesh
from geospec.shapes.connectivity import Connectivity


def volume(mesh: Mesh) -> float:
    return float(torch.linalg.det(mesh.vertices.double()[mesh.faces]).sum() / 6)


@pytest.mark.parametrize("family", solid_families())
def test_every_family_is_closed_and_faces_outwards(family):
    mesh = solid(family, 2, resolution=56)
    link = Connectivity(mesh.faces.numpy(), mesh.n_points)
    assert (link.faces_of_edge == 2).all()
    assert (link.fans_of_vertex == 1).all()
    assert not link.aligned.any()  # neighbours agree on which side is out
    low, high = mesh.vertices.amin(dim=0), mesh.vertices.amax(dim=0)
    assert 0.02 < volume(mesh) < float((high - low).prod())
    assert 1.6 < float((high - low).max()) < 1.8 + 1e-3
    assert (low + high).abs().max() < 0.2


@pytest.mark.parametrize("family", solid_families())
def test_fields_are_the_solid_s_function_everywhere(family):
    """Blocks that are left out hide nothing: the same as every cell by itself."""
    body, cells, cut = OBJECTS[family](np.random.default_rng(5)).scaled(0.8), 30, 0.1
    field = sampled(body, cells, cut)
    direct = body.value(field.grid.points.double().numpy())
    assert np.abs(field.values.flatten().numpy() - direct.clip(-cut, cut)).max() < 1e-5


def test_at_least_two_dozen_families_and_the_seed_decides():
    assert len(solid_families()) >= 24
    for family in solid_families():
        one, same, other = (solid_field(family, seed, 24).values for seed in (3, 3, 4))
        assert torch.equal(one, same)
        assert torch.equal(one, other) == (family == "sphere")


def test_the_seed_draws_the_same_solid_at_any_resolution():
    coarse, fine = solid_field("csg", 1, 32, 0.3).values, solid_field("csg", 1, 64, 0.3).values
    means = torch.nn.functional.avg_pool3d(fine[None], 2)[0]
    assert (means - coarse).abs().max() < math.sqrt(3) / 64  # half a fine cell's diagonal: the function is 1-Lipschitz


def test_a_collection_does_not_depend_on_its_length():
    few, many = list(solids(3, seed=1, resolution=24)), list(islice(solids(1000, seed=1, resolution=24), 3))
    assert all(torch.equal(a.vertices, b.vertices) for a, b in zip(few, many, strict=True))
    sphere = solid("sphere", resolution=64)
    assert volume(sphere) == pytest.approx(4 / 3 * math.pi * 0.9**3, rel=2e-3)


def test_distances_of_primitives():
    rng = np.random.default_rng(0)
    p = rng.uniform(-1.5, 1.5, (500, 3))
    np.testing.assert_allclose(ball(0.4).value(p), np.linalg.norm(p, axis=1) - 0.4)
    along = np.clip(p[:, 0], -0.5, 1)  # of the nearest point of a rod along x
    exact = np.linalg.norm(p - np.stack([along, 0 * along, 0 * along], axis=1), axis=1) - 0.1
    np.testing.assert_allclose(rod([-0.5, 0, 0], [1, 0, 0], 0.1).value(p), exact, atol=1e-12)
    chain = np.linspace([-0.5, 0, 0], [1, 0, 0], 40)
    np.testing.assert_allclose(tube(chain, 0.1).value(p), exact, atol=1e-12)
    t = 2 * np.pi * np.arange(600) / 600
    circle = np.stack([0.8 * np.cos(t), 0.8 * np.sin(t), 0 * t], axis=1)
    np.testing.assert_allclose(tube(circle, 0.2, closed=True).value(p), ring(0.8, 0.2).value(p), atol=2e-5)
    inside = cylinder(0.5, 1.2).value(p) < 0
    np.testing.assert_array_equal(lathe([-0.6, 0.1, 0.6], [0.5, 0.5, 0.5]).value(p) < 0, inside)
    cone = lathe([0, 1], [0.5, 0.25])
    assert cone.value(np.array([[0.375 + 0.1 * math.hypot(1, 0.25), 0, 0.5]]))[0] == pytest.approx(0.1)  # across the wall, times its slope
    round_box = padded(box((1, 1, 1)), 0.1)
    assert round_box.value(np.array([[1.5, 1.5, 0]]))[0] == pytest.approx(math.sqrt(2) - 0.1)
    assert round_box.upper.tolist() == [0.6] * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solid("cat"), "family: wanted one of 'chair', "),
        (lambda: solid("chair", -1), "seed: wanted a whole number from 0, got -1"),
        (lambda: solid("chair", 0.5), "seed: wanted a whole number from 0, got 0.5"),
        (lambda: solid("chair", resolution=4), "resolution: wanted a whole number from 8, got 4"),
        (lambda: solid_field("chair", truncation=0.0), "truncation: wanted a positive distance"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
