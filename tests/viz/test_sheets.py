"""PNG sheets and the colours in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from viz.samples import grid, sample_basis, sample_match

from geospec.errors import ArgumentError
from geospec.viz import match_image, mode_sheet, sheets
from geospec.viz.colormaps import COLORMAPS, choose, colorize, oklab_to_srgb, position_colors, srgb_to_oklab, table


def test_oklab_round_trip_and_known_values():
    rng = np.random.default_rng(0)
    rgb = rng.random((50, 3))
    assert np.allclose(oklab_to_srgb(srgb_to_oklab(rgb)), rgb, atol=1e-5)
    assert np.allclose(srgb_to_oklab([1, 1, 1]), [1, 0, 0], atol=1e-3)
    assert np.allclose(srgb_to_oklab([1, 0, 0]), [0.628, 0.2249, 0.1258], atol=1e-3)  # Ottosson's table


@pytest.mark.parametrize("name", COLORMAPS)
def test_lightness_orders_the_maps(name):
    lightness = srgb_to_oklab(table(name))[:, 0]
    halves = np.split(lightness, 2) if name == "diverging" else [lightness]
    for i, half in enumerate(halves):
        steps = np.diff(half) * (-1 if (name == "error" or i == 1) else 1)
        assert (steps > 0).all()
    assert np.ptp(lightness) > 0.45


@pytest.mark.parametrize(
    "matrix",
    [  # Machado, Oliveira and Fernandes 2009: protanopia and deuteranopia at full severity, on linear sRGB
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ],
)
def test_the_two_signs_stay_apart_for_colour_blind_readers(matrix):
    linear = ((table("diverging") + 0.055) / 1.055) ** 2.4
    seen = srgb_to_oklab(np.clip(1.055 * np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.4) - 0.055, 0, 1))
    positive, negative = seen[176:], seen[:80]
    assert np.linalg.norm(positive - negative[::-1], axis=1).min() > 0.1


def test_numbers_become_colours():
    ends = colorize([-2.0, -1, 1, 5, np.nan], "diverging", (-1, 1))
    assert np.allclose(ends[[0, 1]], table("diverging")[0])
    assert np.allclose(ends[[2, 3]], table("diverging")[-1])
    assert np.ptp(ends[4]) < 0.05
    assert choose(np.linspace(-1, 3, 1001))[0] == "diverging"
    assert choose(np.linspace(0, 3, 1001))[0] == "sequential"
    assert choose(np.full(5, np.nan)) == ("sequential", (0.0, 1.0))
    assert choose(np.zeros(5))[1] == (0.0, 1.0)


def test_left_and_right_have_different_colours():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, 3)) * [5, 2, 1]
    far = np.abs(points[:, 2]) > 1
    both = position_colors(np.concatenate([points, points * [1, 1, -1]]))
    apart = np.linalg.norm(srgb_to_oklab(both[:4000]) - srgb_to_oklab(both[4000:]), axis=1)
    assert apart[far].min() > 0.08
    with pytest.raises(ArgumentError, match="points: wanted shape"):
        position_colors(np.zeros((4, 2)))


def test_mode_sheet_shows_as_many_modes_as_there_are(tmp_path):
    mesh = grid(12, 9)
    wide = Image.open(mode_sheet(mesh, sample_basis(mesh, 5), tmp_path / "m.png", n=12, size=(100, 80)))
    assert wide.size[0] == 400
    pixels = np.asarray(wide).astype(int)
    blue, orange = (pixels[..., 2] > pixels[..., 0] + 40).sum(), (pixels[..., 0] > pixels[..., 2] + 40).sum()
    assert min(blue, orange) > 500
    with pytest.raises(ArgumentError, match="n: wanted at least one mode"):
        mode_sheet(mesh, sample_basis(mesh), tmp_path / "m.png", n=0)


def test_identity_match_paints_both_shapes_alike(tmp_path):
    match = sample_match()
    match.target = match.source
    match.target_to_source = match.source_to_target = torch.arange(match.source.n_points)
    match.confidence = torch.ones(match.source.n_points)
    pixels = np.asarray(Image.open(match_image(match, tmp_path / "m.png", size=(150, 120))))
    middle = pixels[60:120]
    assert np.array_equal(middle[:, :150], middle[:, 150:300])
    assert (middle[:, :150] < 240).any()


def test_a_target_point_takes_the_colour_of_its_image(tmp_path, monkeypatch):
    match, seen = sample_match(), []
    draw = sheets.render

    def spy(shape, **keywords):
        seen.append((shape, keywords["colors"]))
        return draw(shape, **keywords)

    monkeypatch.setattr(sheets, "render", spy)
    match_image(match, tmp_path / "m.png", size=(60, 50))
    (source, given), (target, taken), (third, confidence) = seen
    assert (source, target, third) == (match.source, match.target, match.target)
    assert np.array_equal(taken, given[match.target_to_source.numpy()])
    assert np.allclose(confidence, match.confidence.numpy())
