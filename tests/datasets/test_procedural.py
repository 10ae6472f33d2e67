"""Surfaces made by rule: sound meshes, the genus they promise, sharp edges where they should be, known volumes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geospec.datasets import BLOB_STYLES, PART_KINDS, SHEET_BENDS, blob, mechanical_part, thin_sheet, torus
from geospec.datasets.procedural import sheets, tori
from geospec.datasets.procedural.contouring import contour
from geospec.datasets.procedural.solids import Solid, box, cylinder, melted, prism, ring, united
from geospec.errors import ArgumentError, ConvergenceError
from geospec.shapes import Mesh
from geospec.shapes.connectivity import Connectivity

N = 2500
FLAT, CURVED = 1e-4, 1e-2  # relative errors of contours: flat faces are met exactly, curved ones by chords
CASES = [(blob, {"style": style}) for style in BLOB_STYLES]
CASES += [(torus, {"genus": genus}) for genus in (1, 2, 3)]
CASES += [(mechanical_part, {"kind": kind}) for kind in PART_KINDS]
CASES += [(thin_sheet, {"bend": bend}) for bend in SHEET_BENDS]
NAMES = [f"{make.__name__}-{next(iter(choice.values()))}" for make, choice in CASES]


def euler(mesh: Mesh) -> int:
    return mesh.n_points - len(mesh.edges) + len(mesh.faces)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(np.linalg.det(vertices[faces]).sum() / 6)


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


@pytest.mark.parametrize(("make", "choice"), CASES, ids=NAMES)
def test_one_sound_piece(make, choice):
    mesh = make(5, **choice, n_vertices=N)
    link = Connectivity(mesh.faces.numpy(), mesh.n_points)
    assert abs(mesh.n_points - N) < 0.1 * N
    assert (link.component_of_vertex == 0).all()
    assert (link.fans_of_vertex == 1).all()
    assert link.faces_of_edge.max() == 2
    assert not link.aligned.any()  # neighbours agree on which side is out
    closed = make is not thin_sheet
    assert (link.faces_of_edge == 2).all() == closed
    vertices, faces = mesh.vertices.numpy(), mesh.faces.numpy()
    assert area(vertices, faces) == pytest.approx(1, abs=1e-12)
    centre = (mesh.face_areas[:, None] * mesh.vertices[mesh.faces].mean(dim=1)).sum(dim=0)
    assert centre.abs().max() < 1e-12
    if closed:
        assert volume(vertices, faces) > 0.005


@pytest.mark.parametrize("make", [blob, torus, mechanical_part, thin_sheet])
def test_the_seed_decides(make):
    one, same, other = (make(seed, n_vertices=1500, dtype=torch.float32) for seed in (3, 3, 4))
    assert one.vertices.dtype == torch.float32
    assert torch.equal(one.vertices, same.vertices)
    assert torch.equal(one.faces, same.faces)
    assert one.vertices.shape != other.vertices.shape or not torch.equal(one.vertices, other.vertices)


def test_a_drawn_choice_is_the_one_asked_for():
    """Asking for what would be drawn anyway changes nothing."""
    drawn = thin_sheet(11, n_vertices=1000)
    given = [thin_sheet(11, n_vertices=1000, bend=bend) for bend in SHEET_BENDS]
    assert sum(torch.equal(drawn.vertices, mesh.vertices) for mesh in given) == 1


@pytest.mark.parametrize("seed", range(4))
def test_genus(seed):
    assert euler(blob(seed, style="star", n_vertices=1200)) == 2
    for genus in (1, 2, 3):
        assert euler(torus(seed, genus=genus, n_vertices=N)) == 2 - 2 * genus


@pytest.mark.parametrize("holes", [0, 1, 5, 8])
def test_holes(holes):
    mesh = thin_sheet(2, holes=holes, n_vertices=3000)
    assert euler(mesh) == 1 - holes
    assert Connectivity(mesh.faces.numpy(), mesh.n_points).boundary_loops == holes + 1


def test_a_rolled_sheet_is_not_stretched():
    rng = np.random.default_rng(0)
    flat = rng.uniform(-1, 1, (500, 2))
    step = 1e-3 * rng.standard_normal((500, 2))
    both = sheets._roll(np.random.default_rng(1), np.concatenate([flat, flat + step]))
    lengths = np.linalg.norm(both[500:] - both[:500], axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(step, axis=1), rtol=2e-3)
    assert np.ptp(both, axis=0).min() > 0.1  # and it is bent


@pytest.mark.parametrize("seed", [3, 20, 21])  # the thickness is bound by a bend, by both, by another strand
def test_a_tube_keeps_clear_of_itself(seed):
    """Seen from just outside, every part of the surface turns once around an inside point: winding numbers are 0 and 1."""
    vertices, faces = tori.tube(np.random.default_rng(seed), 1200)
    mesh = Mesh(torch.from_numpy(vertices), torch.from_numpy(faces))
    small = 0.1 * float((mesh.vertices[mesh.edges[:, 0]] - mesh.vertices[mesh.edges[:, 1]]).norm(dim=1).mean())
    chosen = slice(None, None, 20)
    for side, expected in ((small, 0.0), (-small, 1.0)):
        at = mesh.vertices[mesh.faces[chosen]].mean(dim=1) + side * mesh.face_normals[chosen]
        a, b, c = (mesh.vertices[mesh.faces] - at[:, None, None]).unbind(dim=2)
        la, lb, lc = a.norm(dim=2), b.norm(dim=2), c.norm(dim=2)
        below = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
        winding = torch.atan2((a * torch.linalg.cross(b, c)).sum(2), below).sum(dim=1) / (2 * math.pi)  # Van Oosterom and Strackee, 1983
        assert (winding - expected).abs().max() < 1e-6


BODIES = {
    "box": (box((1.0, 0.7, 0.4)), 0.28, 2 * (0.7 + 0.4 + 0.28)),
    "bored": (cylinder(0.6, 0.5) - cylinder(0.3, 2.0), math.pi * 0.27 * 0.5, math.pi * (1.8 * 0.5 + 2 * 0.27)),
    "hexagon": (prism(6, 0.5, 0.4), 2 * math.sqrt(3) * 0.25 * 0.4, 4 * math.sqrt(3) * 0.25 + 4 * math.sqrt(3) * 0.5 * 0.4),
    "ring": (ring(0.8, 0.25), 2 * math.pi**2 * 0.8 * 0.0625, 4 * math.pi**2 * 0.8 * 0.25),
    "corner": (box((1.0, 1.0, 1.0)) - box((1.0, 1.0, 1.0)).at((0.5, 0.5, 0.5)), 0.875, 6.0),
}


@pytest.mark.parametrize("name", BODIES)
def test_contours_have_the_volume_and_area_of_their_bodies(name):
    """Flat faces come out exact up to their corners: marching would cut 2 % off the box's area along its edges."""
    body, exact_volume, exact_area = BODIES[name]
    vertices, faces = contour(body, body.gradient, N, np.random.default_rng(0))
    assert volume(vertices, faces) == pytest.approx(exact_volume, rel=FLAT if name in ("box", "hexagon", "corner") else CURVED)
    assert area(vertices, faces) == pytest.approx(exact_area, rel=FLAT if name in ("box", "hexagon", "corner") else CURVED)
    assert np.abs(body.evaluate(vertices)[0]).max() < 1e-3


def test_sheets_that_come_near_stay_apart():
    """Two plates joined at one end, with a gap that lies within the diagonal of a cube: many cubes meet both."""
    gap = box((1.0, 1.0, 0.5)) - box((1.0, 2.0, 0.06)).at((0.2, 0, 0))  # cubes of 0.05
    vertices, faces = contour(gap, gap.gradient, 2000, np.random.default_rng(1))
    assert len(vertices) - len(faces) // 2 == 2
    assert volume(vertices, faces) == pytest.approx(0.5 - 0.7 * 0.06, rel=0.02)


def test_distances_of_moved_and_joined_solids():
    points = np.random.default_rng(3).uniform(-2, 2, (200, 3))
    stick = cylinder(0.2, 1.0)
    for axis in range(3):
        turned = np.roll(points, 2 - axis, axis=1)  # cyclic, so that the solid's z reads coordinate `axis`
        np.testing.assert_array_equal(stick.along(axis).evaluate(points)[0], stick.evaluate(turned)[0])
        assert stick.along(axis).upper[axis] == 0.5
    np.testing.assert_allclose(stick.at((1, 2, 3)).evaluate(points + np.array([1, 2, 3]))[0], stick.evaluate(points)[0], atol=1e-12)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    long = box((2.0, 0.2, 0.2))
    np.testing.assert_allclose(long.turned(quarter).upper, [0.1, 1, 0.1], atol=1e-12)
    assert long.turned(quarter).evaluate(np.array([[0, 0.9, 0]]))[0] < 0 < long.evaluate(np.array([[0, 0.9, 0]]))[0]
    a, b = long, stick.at((0.5, 0, 0))
    assert (united([a, b]).evaluate(points)[0] == np.minimum(a.evaluate(points)[0], b.evaluate(points)[0])).all()
    assert ((a & b).evaluate(points)[0] == np.maximum(a.evaluate(points)[0], b.evaluate(points)[0])).all()
    soft = melted(a, b, 0.3)
    drop = united([a, b]).evaluate(points)[0] - soft.evaluate(points)[0]
    assert drop.min() >= 0
    assert 0 < drop.max() <= 0.05 + 1e-12


def test_what_cannot_be_meshed_is_refused():
    apart = cylinder(0.3, 0.3) | cylinder(0.3, 0.3).at((2, 0, 0))
    with pytest.raises(ConvergenceError, match="in one piece"):
        contour(apart, apart.gradient, 1000, np.random.default_rng(0))
    crumb = cylinder(0.5, 0.5) | cylinder(0.04, 0.08).at((2, 0, 0))
    assert isinstance(crumb, Solid)
    vertices, faces = contour(crumb, crumb.gradient, 2000, np.random.default_rng(0), crumbs=0.02)
    assert vertices[:, 0].max() < 1
    assert faces.max() == len(vertices) - 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: blob(-1), "seed: wanted a whole number from 0, got -1"),
        (lambda: blob(0.5), "seed: wanted a whole number from 0, got 0.5"),
        (lambda: blob(0, style="cube"), "style: wanted one of 'star', 'limbs', got 'cube'"),
        (lambda: torus(0, genus=4), "genus: wanted 1, 2 or 3, got 4"),
        (lambda: mechanical_part(0, kind="nut"), "kind: wanted one of 'plate'"),
        (lambda: thin_sheet(0, holes=9), "holes: wanted 0 to 8, got 9"),
        (lambda: thin_sheet(0, n_vertices=10), "n_vertices: wanted at least 1000, got 10"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
