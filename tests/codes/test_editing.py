"""Denoising, blending and repair, against closed forms and invariants."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import geospec
from geospec.codes import ShapeCode, encode
from geospec.codes.editing import blend, denoise, repair
from geospec.datasets import solid, solid_field
from geospec.errors import ArgumentError, ShapeError
from geospec.shapes import Mesh
from geospec.shapes.grid import DistanceField, Grid

CELLS, CUT = 64, 0.3


@pytest.fixture(scope="module")
def ball():
    return solid_field("sphere", 0, CELLS, CUT)


@pytest.fixture(scope="module")
def codes(ball):
    return encode(ball, k=4000), encode(solid_field("csg", 1, CELLS, CUT), k=4000)


def radial_error(mesh: Mesh) -> float:
    """Root mean square distance of the vertices to the ball of radius 0.9, exactly."""
    return float((mesh.vertices.double().norm(dim=1) - 0.9).square().mean().sqrt())


def noisy(field: DistanceField, deviation: float, seed: int = 0) -> DistanceField:
    noise = deviation * torch.randn(field.values.shape, generator=torch.Generator().manual_seed(seed))
    return replace(field, values=(field.values + noise).clamp(-CUT, CUT))


def test_noise_in_a_field_falls(ball):
    for deviation in (0.005, 0.01, 0.02):
        field = noisy(ball, deviation)
        coded = encode(field, k=10**6)
        before, estimated, given = (radial_error(code.decode()) for code in (coded, denoise(coded), denoise(coded, deviation)))
        assert before < 0.8 * radial_error(field.surface())  # the finest details are gone
        assert given < 0.6 * before
        assert estimated == pytest.approx(given, rel=0.05)  # the estimate is as good as knowing


def test_a_shape_without_noise_keeps_its_edges():
    field = solid_field("chair", 0, CELLS, CUT)
    coded = encode(field, k=10**6)
    near = field.values.abs() < 2 * max(field.grid.spacing)
    before, after = ((code.field().values - field.values)[near].square().mean().sqrt() for code in (coded, denoise(coded)))
    assert after < 1.2 * before


def test_noise_of_vertices_falls():
    mesh = solid("sphere", resolution=CELLS)
    rough = Mesh(mesh.vertices + 0.01 * torch.randn(mesh.vertices.shape, generator=torch.Generator().manual_seed(1)), mesh.faces)
    coded = encode(rough, CELLS, k=10**6, truncation=CUT)
    before, after = radial_error(coded.decode()), radial_error(denoise(coded).decode())
    assert before < 0.8 * radial_error(rough)
    assert after < 0.7 * before


def test_more_noise_shrinks_more_and_none_changes_nothing(codes):
    _, code = codes
    same = denoise(code, 0.0)
    assert torch.equal(same.pack(), code.pack())
    sizes = [denoise(code, noise).code.values.abs().sum() for noise in (0.0, 1e-3, 1e-2, 1e-1)]
    assert all(a > b for a, b in pairwise(sizes))
    gone = denoise(code, 1e3)
    assert gone.k == 0
    assert torch.equal(gone.code.coarse, code.code.coarse)


def test_units_do_not_matter(codes):
    _, code = codes
    grid = Grid(code.grid.shape, tuple(7 * x for x in code.grid.lower), tuple(7 * x for x in code.grid.spacing))
    large = replace(code, grid=grid, truncation=7 * code.truncation)
    assert torch.equal(denoise(large, 0.07).pack(), denoise(code, 0.01).pack())


def test_blending_ends_at_the_shapes(codes):
    a, b = codes
    for weight, end in ((0, a), (0.0, a), (1, b), ([0, 0], a), ([1.0, 1.0], b)):
        assert torch.equal(blend(a, b, weight).pack(), end.pack())
        assert torch.equal(blend(a, b, weight).decode().vertices, end.decode().vertices)


def test_blending_is_linear_and_by_level(codes):
    a, b = codes
    half = blend(a, b, 0.25).field().values
    torch.testing.assert_close(half, 0.75 * a.field().values + 0.25 * b.field().values, atol=1e-5, rtol=0)
    mixed = blend(a, b, [0, 1])
    assert torch.equal(mixed.pack()[0], a.pack()[0])
    assert torch.equal(mixed.pack()[1:], b.pack()[1:])
    assert torch.equal(blend(a, a, 0.3).code.index, ShapeCode.unpack(a.pack(), like=a).code.index)


def test_levels_have_their_own_weights():
    """Three levels, so that the order of packed channels, finest first, is told from that of weights."""
    a, b = (encode(solid_field(family, 0, CELLS, CUT), k=500, levels=3) for family in ("csg", "torus"))
    widths = a.tree.widths
    assert widths == (7, 56)
    packed = blend(a, b, [0, 1, 0]).pack()
    assert torch.equal(packed[-7:], b.pack()[-7:])
    assert torch.equal(packed[:-7], a.pack()[:-7])


def test_codes_of_other_boxes_are_refused(codes):
    a, b = codes
    shifted = replace(b, grid=Grid(b.grid.shape, (0.0, 0.0, 0.0), b.grid.spacing))
    for other in (shifted, replace(b, truncation=0.2), encode(solid_field("csg", 0, 48, CUT)), encode(a.field(), wavelet="db4")):
        with pytest.raises(ArgumentError, match="b: wanted one of the geometry of a"):
            blend(a, other, 0.5)


@pytest.mark.parametrize("break_it", ["open", "inside out", "crossing", "fan"])
def test_a_broken_mesh_becomes_closed(break_it):
    mesh = solid("sphere", resolution=48)
    faces, vertices = mesh.faces, mesh.vertices
    if break_it == "open":
        faces = faces[vertices[faces].mean(dim=1)[:, 2] < 0.8]
    elif break_it == "inside out":
        faces = faces.flip(1)
    elif break_it == "crossing":  # a second ball of half the size on the surface of the first
        faces = torch.cat([faces, faces + len(vertices)])
        vertices = torch.cat([vertices, 0.3 * vertices + torch.tensor([0.9, 0, 0])])
    else:  # a fin on one edge: three faces meet there
        faces = torch.cat([faces, torch.tensor([[int(faces[0, 0]), int(faces[0, 1]), len(vertices)]])])
        vertices = torch.cat([vertices, 1.03 * vertices[faces[0, :1]]])
    fixed = repair(Mesh(vertices, faces), resolution=CELLS)
    report = geospec.report(fixed)
    assert report.closed
    assert not len(report.nonmanifold_edges)
    assert not len(report.nonmanifold_vertices)
    assert report.outward
    at = fixed.vertices.norm(dim=1) - 0.9
    away = fixed.vertices[:, 2] < 0.7 if break_it == "open" else fixed.vertices[:, 0] < 0.5
    assert at[away].abs().max() < 0.03  # a cell, where the mesh was sound
    assert report.volume > 2.5


def test_bad_input(codes):
    code, other = codes
    for noise in (-1.0, float("nan")):
        with pytest.raises(ArgumentError, match="noise: wanted a distance from 0"):
            denoise(code, noise)
    for weight in ([0.5], [0, 0, 0], float("inf")):
        with pytest.raises(ArgumentError, match="weight: wanted a finite number, or 2 of them, coarse to fine"):
            blend(code, other, weight)
    sheet = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]]))
    with pytest.raises(ShapeError, match="mesh: wanted one that encloses some volume"):
        repair(sheet, 48)
