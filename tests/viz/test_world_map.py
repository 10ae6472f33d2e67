"""Flat maps: each pixel has the colour of the value at its place, in every projection."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError
from geospec.viz import world_map, world_maps
from geospec.viz.colormaps import MISSING, categories, colorize, srgb_to_oklab
from geospec.viz.projections import PROJECTIONS, project, unproject
from geospec.viz.sphere_field import SphereField
from geospec.viz.world_map import map_panel

CENTERS = {"equirectangular": (0, 0), "mollweide": (150, 0), "orthographic": (-60, 35)}


def smooth(lon, lat):
    """A function without a seam, in degrees."""
    a, b = np.radians(lon), np.radians(lat)
    return np.cos(b) * np.cos(a - 0.3) + 0.5 * np.sin(b) + 0.4 * np.cos(b) ** 2 * np.sin(2 * a)


def grid(rows=180, latitudes=None):
    lat = 90 - 180 * (np.arange(rows) + 0.5) / rows if latitudes is None else latitudes
    return smooth(np.arange(2 * rows)[None] * (180 / rows), np.asarray(lat)[:, None])


def pixel(projection, center, lon, lat, width, shape):
    """Column and row of a place on the picture of a panel."""
    x, y, seen = project(projection, lon, lat, center)
    half = (width - 8) / 2  # four pixels of margin
    return np.floor(width / 2 + half * x).astype(int), np.floor(shape[0] / 2 - half * y).astype(int), seen


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_pixel_has_the_colour_of_its_value(projection):
    center, width = CENTERS[projection], 500
    image = map_panel(
        SphereField.of("f", grid()), projection=projection, center=center, width=width, limits=(-1.5, 1.5), graticule=False
    ).image
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 4000), np.degrees(np.arcsin(rng.uniform(-0.97, 0.97, 4000)))
    x, y, _ = project(projection, lon, lat, center)
    inner = np.hypot(x, 2 * y if projection == "mollweide" else y if projection == "orthographic" else 0 * y) < 0.97
    column, row, seen = pixel(projection, center, lon, lat, width, image.shape)
    inner &= seen & (np.abs(x) < 0.98)
    wanted = colorize(smooth(lon, lat), "diverging", (-1.5, 1.5))[inner]
    assert inner.sum() > 1200
    assert np.abs(image[row[inner], column[inner]] / 255 - wanted).max() < 0.09  # half a pixel is a degree near the rim
    assert np.abs(image[row[inner], column[inner]] / 255 - wanted).mean() < 0.01


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_projections_and_their_inverses(projection):
    center = CENTERS[projection]
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-180, 180, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    x, y, seen = project(projection, lon, lat, center)
    back_lon, back_lat, inside = unproject(projection, x, y, center)
    assert (inside | ~seen).all()
    apart = np.abs(np.mod(back_lon - lon + 180, 360) - 180) * np.cos(np.radians(lat))
    assert np.maximum(apart, np.abs(back_lat - lat))[seen].max() < 1e-5
    assert seen.all() != (projection == "orthographic")
    cx, cy, _ = project(projection, *center, center)
    assert np.allclose([cx, cy], 0, atol=1e-12)


def test_mollweide_solves_its_equation_up_to_the_poles():
    lat = np.concatenate([90 - np.logspace(-9, 1.9, 200), [90.0, 0.0, 1e-9]])
    for sign in (1, -1):
        _, y, _ = project("mollweide", 0, sign * lat)
        angle = np.arcsin(np.clip(2 * y, -1, 1))
        assert np.abs(2 * angle + np.sin(2 * angle) - np.pi * np.sin(np.radians(sign * lat))).max() < 1e-13
    x, y, _ = project("mollweide", [170, -170], [90, -90])
    assert np.allclose(x, 0)
    assert np.allclose(y, [0.5, -0.5])


def test_mollweide_keeps_areas():
    x, y = np.meshgrid((np.arange(1600) + 0.5) / 800 - 1, (np.arange(800) + 0.5) / 800 - 0.5)
    lon, lat, inside = unproject("mollweide", x, y, (20, 0))
    for west, east, south, north in ((-170, -40, 30, 80), (25, 170, -90, -50), (-15, 60, -20, 10)):
        share = ((lon > west) & (lon < east) & (lat > south) & (lat < north) & inside).sum() / inside.sum()
        true = (east - west) / 360 * (np.sin(np.radians(north)) - np.sin(np.radians(south))) / 2
        assert share == pytest.approx(true, rel=5e-3)


def test_fields_are_read_between_samples_across_seam_and_poles():
    field = SphereField.of("f", grid(90))
    rng = np.random.default_rng(2)
    lon, lat = rng.uniform(-400, 400, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    assert np.abs(field.at(lon, lat) - smooth(lon, lat)).max() < 3e-3
    assert np.ptp(field.at(np.arange(0, 360, 7), 90)) == 0
    assert field.at(0, 90) == pytest.approx(0.5, abs=2e-3)
    assert field.at(359.999, 10) == pytest.approx(field.at(0, 10), abs=1e-4)
    samples = field.at(np.arange(180)[None] * 2, 90 - 2 * (np.arange(90)[:, None] + 0.5))
    assert np.allclose(samples, field.values, atol=1e-12)


def test_rows_of_other_latitudes():
    latitudes = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(64)[0][::-1]))
    field = SphereField.of("f", grid(64, latitudes), latitudes=latitudes)
    assert np.abs(field.at(33.0, np.linspace(-90, 90, 400)) - smooth(33.0, np.linspace(-90, 90, 400))).max() < 5e-3
    assert np.abs(field.evenly().values - grid(64)).max() < 5e-3
    poles = SphereField.of("f", grid(3, [90, 0, -90]), latitudes=[90, 0, -90])
    assert np.allclose(poles.at(0, [90, 0, -90]), smooth(0, np.array([90, 0, -90])))


def test_functions_are_asked_at_unit_vectors():
    def f(xyz):
        assert xyz.dtype == torch.float32
        assert not torch.is_grad_enabled()
        lon, lat = (part.double().numpy() for part in ops.xyz_to_lonlat(xyz))
        return torch.as_tensor(smooth(lon, lat))[:, None]

    assert np.abs(SphereField.of("f", f, rows=90).values - grid(90)).max() < 1e-5
    north = SphereField.of("f", lambda xyz: xyz[:, 2] > 0, rows=10)
    assert north.values.shape == (20, 40)
    assert north.classes == ("0", "1")
    assert np.array_equal(north.values[:, 0], [1.0] * 10 + [0.0] * 10)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_classes_take_the_nearest_sample(projection):
    labels = np.arange(6 * 12).reshape(6, 12) % 5
    panel = map_panel(SphereField.of("f", labels, classes=list("abcde")), projection=projection, width=300, graticule=False)
    lon, lat = np.meshgrid(np.arange(-150, 180, 30), 75 - 30 * np.arange(6))  # the samples themselves
    column, row, seen = pixel(projection, (0, 0), lon, lat, 300, panel.image.shape)
    x, y, _ = project(projection, lon, lat)
    seen &= (np.abs(x) < 0.9) & (np.hypot(x, y) < 0.95)
    wanted = np.rint(categories(5) * 255)[labels[:, (lon[0] // 30) % 12]][seen]
    assert np.abs(panel.image[row[seen], column[seen]] - wanted).max() <= 1
    assert [name for name, _ in panel.swatches] == list("abcde")


def test_what_is_unknown_is_grey():
    values = grid(20)
    values[8:12, 15:25] = np.nan
    panel = map_panel(SphereField.of("f", values), projection="equirectangular", center=(180, 0), width=200, graticule=False)
    assert np.allclose(panel.image[50, 100] / 255, MISSING, atol=0.01)


def test_points_have_the_colours_of_their_values_and_back_sides_none():
    front = ops.lonlat_to_xyz(torch.tensor([-60.0]), torch.tensor([35.0]))
    style = {
        "projection": "orthographic",
        "center": (-60, 35),
        "width": 600,
        "limits": (0.0, 1.0),
        "colormap": "sequential",
        "graticule": False,
    }
    flat = SphereField.of("f", np.zeros((4, 8)))
    image = map_panel(flat, points=front, point_values=[1.0], **style).image
    assert np.allclose(image[image.shape[0] // 2, 300] / 255, colorize(1.0, "sequential", (0, 1)), atol=0.02)
    plain, behind = map_panel(flat, **style).image, map_panel(flat, points=-front, point_values=[1.0], **style).image
    assert np.array_equal(plain, behind)
    assert not np.array_equal(plain, image)
    unknown = map_panel(flat, points=front, point_values=[np.nan], **style).image
    assert np.allclose(unknown[image.shape[0] // 2, 300] / 255, MISSING, atol=0.02)
    classes = map_panel(SphereField.of("f", np.eye(2, dtype=int)), points=front, point_values=[1.0], **style).image
    assert np.allclose(classes[image.shape[0] // 2, 300] / 255, categories(2)[1], atol=0.02)


def test_pictures_and_their_scale():
    picture = world_map(grid(24), title="A field", width=400, graticule=True)
    assert picture.size[0] == 400
    assert np.asarray(picture).std() > 20
    together = world_maps({"a": grid(24), "b": 3 * grid(24), "c": grid(24).round().astype(int).clip(0)}, columns=3, width=200)
    assert together.size[0] == 600
    same = np.asarray(world_maps({"a": grid(24), "b": grid(24)}, width=200).convert("RGB"))[10:100]
    assert np.array_equal(same[:, :200], same[:, 200:])
    own = np.asarray(world_maps({"a": grid(24), "b": 3 * grid(24)}, width=200, limits={"a": (-1, 1), "b": (-3, 3)}))[10:100]
    shared = np.asarray(world_maps({"a": grid(24), "b": 3 * grid(24)}, width=200))[10:100]
    assert np.array_equal(own[:, :200], own[:, 200:])
    assert not np.array_equal(shared[:, :200], shared[:, 200:])


def test_colours_of_classes_lie_apart():
    lab = srgb_to_oklab(categories(16))
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + np.eye(16)
    assert all(apart[:n, :n].min() > least for n, least in ((4, 0.23), (8, 0.14), (16, 0.09)))
    assert np.array_equal(categories(3), categories(16)[:3])


@pytest.mark.parametrize(
    ("field", "options", "told"),
    [
        (np.zeros(4), {}, r"field: wanted a grid \(n_lat, n_lon\), got \(4,\)"),
        (np.zeros((0, 4)), {}, r"field: wanted a grid"),
        (np.full((2, 4), np.nan), {}, "field: wanted finite numbers, NaN where unknown, got only NaN"),
        (np.array([[1.0, np.inf]]), {}, "infinite ones"),
        (np.array([[0, -1]]), {}, "field: wanted class numbers from 0 to 255, got -1 to 0"),
        (np.array([[0, 2]]), {"classes": ["a", "b"]}, "from 0 to 1, got 0 to 2"),
        (np.zeros((2, 4)), {"latitudes": [-45, 45]}, "latitudes: wanted 2 falling numbers"),
        (np.zeros((2, 4)), {"latitudes": [100, 45]}, "latitudes: wanted 2 falling numbers"),
        (lambda xyz: xyz, {}, r"field: wanted a function that returns one number per direction, \(3,\), got \(3, 3\)"),
        (lambda xyz: xyz[:, 0], {"latitudes": [1]}, "latitudes: wanted none for a function"),
        (np.zeros((2, 4)), {"projection": "mercator"}, "projection: wanted one of 'equirectangular'"),
        (np.zeros((2, 4)), {"center": (0, 30)}, "center: wanted latitude 0 with mollweide"),
        (np.zeros((2, 4)), {"center": (0, 95), "projection": "orthographic"}, "center: wanted a longitude and a latitude"),
        (np.zeros((2, 4)), {"width": 3}, "width: wanted at least 16 pixels"),
        (np.zeros((2, 4)), {"points": [[1.0, 0, 0], [1.0, 1, 0]]}, "points: wanted unit vectors, got length 1.41421 in row 1"),
        (np.zeros((2, 4)), {"points": [[1.0, np.nan, 0]]}, "points: wanted unit vectors, got length nan in row 0"),
        (np.zeros((2, 4)), {"points": [[10.0, 20.0]]}, r"points: wanted unit vectors \(n, 3\)"),
        (np.zeros((2, 4)), {"points": [[1.0, 0, 0]], "point_values": [1, 2]}, r"point_values: wanted one number per point, \(1,\)"),
        (np.zeros((2, 4)), {"points": [[1.0, 0, 0]], "point_values": [-np.inf]}, "finite numbers, NaN where unknown, got -inf in row 0"),
        (np.zeros((2, 4)), {"points": [[1.0, 0, 0]], "point_values": ["a"]}, r"point_values: wanted one number per point, \(1,\), got <U1"),
        (np.zeros((2, 4)), {"point_values": [1]}, "points: wanted where the point values are, got none"),
        *(
            (np.eye(2, dtype=int), {"points": np.eye(3)[:2], "point_values": [1, bad]}, f"class numbers from 0 to 1, got {bad} in row 1")
            for bad in (7, -1, np.nan, 0.5)
        ),
        (np.zeros((2, 4)), {"colormap": "jet"}, "colormap: wanted one of"),
    ],
)
def test_refusals(field, options, told):
    with pytest.raises(ArgumentError, match=told):
        world_map(field, **options)


def test_refusals_of_several():
    with pytest.raises(ArgumentError, match="fields: wanted at least one field"):
        world_maps({})
    with pytest.raises(ArgumentError, match="columns: wanted at least 1, got 0"):
        world_maps({"a": np.zeros((2, 4))}, columns=0)
    with pytest.raises(ArgumentError, match=r"fields\['b'\]: wanted a grid"):
        world_maps({"a": np.zeros((2, 4)), "b": np.zeros(3)})
    with pytest.raises(ArgumentError, match="limits: wanted names of fields: a, got 'c'"):
        world_maps({"a": np.zeros((2, 4))}, limits={"c": (0, 1)})
