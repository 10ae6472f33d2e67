"""The training collection: families in turn, splits that never meet, clouds in one piece, pools that repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from geospec.datasets import (
    CLOUDS,
    FAMILIES,
    ShapePool,
    blob,
    shape_seed,
    training_cloud,
    training_sample,
    training_shape,
    training_shapes,
)
from geospec.errors import ArgumentError, ConvergenceError
from geospec.shapes import Mesh
from geospec.shapes.connectivity import Connectivity
from geospec.testing import icosphere


@pytest.fixture(scope="module")
def pool() -> ShapePool:
    return ShapePool(5, seed=1, n_vertices=1500)


@pytest.mark.parametrize("index", range(5))
def test_shapes(pool, index):
    mesh = pool[index]
    link = Connectivity(mesh.faces.numpy(), mesh.n_points)
    assert mesh.vertices.dtype == torch.float32
    assert mesh.area == pytest.approx(1, abs=1e-5)
    assert (link.component_of_vertex == 0).all()
    assert (link.fans_of_vertex == 1).all()
    assert (link.faces_of_edge == 2).all() == (FAMILIES[index] != "thin sheet")
    again = training_shape(index, seed=1, n_vertices=1500)
    assert torch.equal(mesh.vertices, again.vertices)
    assert torch.equal(mesh.faces, again.faces)
    other = training_shape(index, seed=1, split="validation", n_vertices=1500)
    assert other.vertices.shape != mesh.vertices.shape or not torch.equal(other.vertices, mesh.vertices)


def test_a_shape_is_the_one_of_its_seed():
    assert torch.equal(training_shape(6, seed=3, n_vertices=1000).vertices, blob(shape_seed(6, seed=3), n_vertices=1000).vertices.float())


def test_splits_never_meet():
    """Whatever the collections' seeds, and without a shape twice in one."""
    seeds = {split: {shape_seed(i, seed=s, split=split) for i in range(300) for s in range(5)} for split in ("train", "validation")}
    assert all(len(found) == 1500 for found in seeds.values())
    assert not seeds["train"] & seeds["validation"]
    assert {s % 2 for s in seeds["train"]} == {0}
    assert {s % 2 for s in seeds["validation"]} == {1}


def pieces(points: torch.Tensor, reach: float) -> int:
    tree = cKDTree(points.double().numpy())
    distance = tree.query(points.double().numpy(), 11)[0][:, 1:]
    index = tree.query(points.double().numpy(), 11)[1][:, 1:]
    near = distance <= reach * np.median(distance[:, -1])
    graph = np.zeros((len(points), len(points)), dtype=bool)
    graph[near.nonzero()[0], index[near]] = True
    return connected_components(graph, directed=False)[0]


def test_clouds_hang_together(pool):
    for draw in range(25):
        sample = pool.sample(draw, 300)
        assert sample.cloud.points.shape == (300, 3)
        assert sample.cloud.points.dtype == torch.float32
        assert pieces(sample.cloud.points, training_shapes.REACH * (1 + 1e-6)) == 1
        mesh = pool[draw % 5]
        named = torch.einsum("mc,mcd->md", sample.barycentric, mesh.vertices[mesh.faces[sample.face]])
        # Noise is along the normal, at most a fifth of the spacing.
        assert (sample.cloud.points - named).norm(dim=1).max() < 5 * 0.2 / 300**0.5
        assert len(torch.unique(sample.cloud.points, dim=0)) == 300


def test_every_way_is_taken(pool, monkeypatch):
    asked = []
    for name in ("sample_surface", "_even", "_with_density", "_scanner"):
        real = getattr(training_shapes, name)
        monkeypatch.setattr(training_shapes, name, lambda *a, real=real, name=name, **k: asked.append(name) or real(*a, **k))
    for seed in range(40):
        training_sample(pool[1], 50, seed=seed)
    assert len(CLOUDS) == 4
    assert {"sample_surface", "_even", "_with_density", "_scanner"} == set(asked)
    assert all(asked.count(name) >= 3 for name in asked)


def test_stray_points_are_replaced():
    """A far crumb of 2 % of the area gives points that no cloud keeps, yet no cloud is short."""
    big, small = icosphere(3), icosphere(1, radius=0.15)
    vertices = torch.cat([big.vertices, small.vertices + 5])
    mesh = Mesh(vertices, torch.cat([big.faces, small.faces + big.n_points]))
    for seed in range(8):
        sample = training_sample(mesh, 200, seed=seed)
        assert len(sample.face) == 200
        assert (sample.cloud.points.norm(dim=1) < 2).all()


def test_two_pieces_are_refused(monkeypatch):
    monkeypatch.setattr(training_shapes, "CLOUDS", ("uniform", "even"))  # a scan may show one piece alone
    ball = icosphere(1)
    twins = Mesh(torch.cat([ball.vertices, ball.vertices + 5]), torch.cat([ball.faces, ball.faces + ball.n_points]))
    with pytest.raises(ConvergenceError, match="no cloud in one piece; at best [3-5]. of 60 points"):
        training_sample(twins, 60, seed=0)


def test_pools_and_clouds_agree(pool):
    again = ShapePool(5, seed=1, n_vertices=1500)
    assert torch.equal(again.cloud(8, 100).points, pool.cloud(8, 100).points)
    assert not torch.equal(pool.cloud(3, 100).points, pool.cloud(8, 100).points)  # the same shape, drawn again
    assert torch.equal(ShapePool(5, seed=2).cloud(7, 100).points, training_cloud(2, 100, seed=2, draw=1).points)


def test_pools_are_lazy_or_made_at_once():
    made = []
    lazy = ShapePool(2, seed=4, n_vertices=1000, progress=lambda done, size: made.append((done, size)))
    assert len(lazy) == 2
    assert made == []
    assert lazy[-1] is lazy[1]
    assert made == [(1, 2)]
    eager = ShapePool(2, seed=4, n_vertices=1000, workers=1, progress=lambda done, size: made.append((done, size)))
    assert made == [(1, 2), (1, 2), (2, 2)]
    for index in range(2):
        assert torch.equal(eager[index].vertices, lazy[index].vertices)
        assert torch.equal(eager[index].faces, lazy[index].faces)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: training_shape(-1), "index: wanted a whole number from 0, got -1"),
        (lambda: training_shape(1.5), "index: wanted a whole number from 0, got 1.5"),
        (lambda: training_shape(1, split="test"), "split: wanted one of 'train', 'validation', got 'test'"),
        (lambda: training_cloud(1, 10), "n: wanted more than 10 points, got 10"),
        (lambda: ShapePool(0), "size: wanted at least 1 shape, got 0"),
        (lambda: ShapePool(1, workers=-1), "workers: wanted a number of processes, from 0, got -1"),
        (lambda: ShapePool(1, seed=-1), "seed: wanted a whole number from 0, got -1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
