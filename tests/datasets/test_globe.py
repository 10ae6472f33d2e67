"""Functions on the globe: labels against brute force, spectra against quadrature, files against what was written."""

import math
import pickle

import numpy as np
import pytest
import torch

from geospec.bases.spherical import SphericalHarmonics
from geospec.datasets import checkerboard, land_ocean, read_era5, spectral_field
from geospec.datasets.globe import uniform_directions
from geospec.errors import ArgumentError, FileFormatError, MissingDependencyError
from geospec.ops import lonlat_to_xyz
from geospec.shapes import Sphere


def test_checkerboard_is_the_class_of_the_nearest_support():
    task = checkerboard()
    supports = Sphere.fibonacci(200).points
    for split in (task.train, task.validation, task.test):
        assert split.xyz.shape == (10_000, 3)
        assert split.xyz.dtype == torch.float32
        assert torch.equal(split.targets, (split.xyz.double() @ supports.T).argmax(dim=1) % 16)
    assert torch.allclose(task.test.xyz.double(), Sphere.fibonacci(10_000).points, atol=1e-7)
    assert torch.equal(task.truth(supports), torch.arange(200) % 16)
    assert not torch.equal(task.train.xyz, task.validation.xyz)
    assert torch.equal(checkerboard(seed=1).train.xyz, task.validation.xyz)
    lon, lat = task.test.lonlat
    assert float(lat[0]) == pytest.approx(math.degrees(math.asin(1 - 1e-4)), abs=1e-3)
    assert float(lon.abs().max()) <= 180


def test_a_task_goes_to_other_processes():
    for task in (checkerboard(20, n=10), spectral_field(3, resolution=10.0)):
        again = pickle.loads(pickle.dumps(task))
        assert torch.equal(again.truth(task.test.xyz), task.truth(task.test.xyz))


def test_uniform_directions_have_the_moments_of_the_sphere():
    xyz = uniform_directions(100_000, 3)
    assert torch.allclose(xyz.norm(dim=1), torch.ones(100_000, dtype=torch.float64), atol=1e-14)
    deviation = 5 / math.sqrt(100_000)
    assert float(xyz.mean(dim=0).abs().max()) < deviation
    assert float((xyz.T @ xyz / 100_000 - torch.eye(3) / 3).abs().max()) < deviation


def test_cells_grow_with_fewer_supports():
    assert len(checkerboard(50, 4, n=100).names) == 4
    with pytest.raises(ArgumentError, match="n_supports: wanted a whole number, at least 16, got 8"):
        checkerboard(8)
    with pytest.raises(ArgumentError, match="classes: wanted a whole number, at least 2, got 1"):
        checkerboard(classes=1)
    with pytest.raises(ArgumentError, match="n: wanted a whole number, at least 1, got 0"):
        checkerboard(n=0)


def test_a_field_has_exactly_the_power_that_is_asked():
    task = spectral_field(12, 2.5, resolution=5.0, train=0.2, validation=0.3, seed=4)
    basis = SphericalHarmonics(12, dtype=torch.float64)
    power = basis.power_spectrum(basis.analyze(task.truth(basis.sphere.points)))[:, 0]
    wanted = torch.arange(1, 13, dtype=torch.float64) ** -2.5
    assert float(power[0].abs()) < 1e-20
    assert torch.allclose(power[1:], 4 * math.pi * wanted / wanted.sum(), rtol=1e-10)
    assert float(task.test.targets.mean()) == pytest.approx(0, abs=1e-2)
    assert float(task.test.targets.square().mean()) == pytest.approx(1, abs=1e-2)


def test_cells_of_a_field_are_of_the_grid_and_not_repeated():
    task = spectral_field(6, resolution=5.0, train=0.25, validation=0.25)
    assert (len(task.train), len(task.validation)) == (666, 666)  # of 37 x 72
    lon, lat = (torch.cat(parts) for parts in zip(task.train.lonlat, task.validation.lonlat, strict=True))
    away = lat.abs() < 89
    assert float((lat / 5 - (lat / 5).round()).abs().max()) < 1e-4
    assert float((lon / 5 - (lon / 5).round())[away].abs().max()) < 1e-4
    cells = torch.stack([(lon[away] / 5).round() % 72, (lat[away] / 5).round()], dim=1)
    assert len(cells.unique(dim=0)) == len(cells)
    assert torch.allclose(task.truth(task.train.xyz).float(), task.train.targets)
    with pytest.raises(ArgumentError, match="resolution: wanted a divisor of 180"):
        spectral_field(resolution=0.7)
    with pytest.raises(ArgumentError, match="train, validation: wanted positive shares"):
        spectral_field(resolution=5.0, train=0.96)
    with pytest.raises(ArgumentError, match="leave neither side empty"):
        spectral_field(resolution=90.0, train=0.01)


def test_land_is_where_it_is():
    task = land_ocean(n=500, spacing=400.0)
    lon, lat = torch.tensor([10.0, -55.0, 134.0, -150.0, -30.0, 80.0]), torch.tensor([48.0, -10.0, -25.0, 0.0, 40.0, -30.0])
    assert task.truth(lonlat_to_xyz(lon, lat)).tolist() == [1, 1, 1, 0, 0, 0]
    assert len(task.test) == round(4 * math.pi * (6371.0088 / 400) ** 2)
    assert float(task.test.targets.double().mean()) == pytest.approx(0.29, abs=0.02)


def test_land_without_its_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "global_land_mask", None)
    with pytest.raises(MissingDependencyError, match="geospec\\[reproduce\\]"):
        land_ocean()
    with pytest.raises(ArgumentError, match="spacing: wanted kilometres"):
        land_ocean(spacing=0.0)


LAT, LON = np.linspace(90, -90, 19), np.arange(0, 360, 10.0)
WARM = 280 + 20 * np.cos(np.deg2rad(LAT))[:, None] * np.ones(36)
KNOWN = np.ones((19, 36), dtype=bool)
KNOWN[5, :18] = False
WIND = np.sin(np.deg2rad(LAT))[:, None] * np.cos(np.deg2rad(LON))


@pytest.fixture(params=["npz", "classic", "netcdf4"])
def file(request, tmp_path):
    path = tmp_path / request.param
    if request.param == "npz":
        with open(path, "wb") as out:
            np.savez(out, latitude=LAT, longitude=LON, t2m=np.where(KNOWN, WARM, np.nan), u10=WIND[None], other=np.arange(3.0))
    elif request.param == "classic":
        from scipy.io import netcdf_file

        with netcdf_file(path, "w") as out:
            for name, values in (("time", np.zeros(1)), ("latitude", LAT), ("longitude", LON)):
                out.createDimension(name, len(values))
                out.createVariable(name, "d", (name,))[:] = values
            packed = out.createVariable("t2m", "h", ("time", "latitude", "longitude"))
            packed.scale_factor, packed.add_offset, packed.missing_value = 0.001, 290.0, np.int16(-32768)
            packed[:] = np.where(KNOWN, np.rint((WARM - 290) / 0.001), -32768).astype(np.int16)[None]
            out.createVariable("u10", "d", ("latitude", "longitude"))[:] = WIND
    else:
        xarray = pytest.importorskip("xarray")
        pytest.importorskip("h5netcdf")
        grid = ("valid_time", "latitude", "longitude")
        made = xarray.Dataset(
            {"t2m": (grid, np.where(KNOWN, WARM, np.nan)[None]), "u10": (grid, WIND[None])}, {"latitude": LAT, "longitude": LON}
        )
        made.to_netcdf(
            path, engine="h5netcdf", encoding={"t2m": {"dtype": "i2", "scale_factor": 0.001, "add_offset": 290.0, "_FillValue": -32768}}
        )
    return path


def test_a_file_of_fields(file):
    task = read_era5(file, ["t2m", "u10"], train=0.25, validation=0.25, seed=1)
    assert (len(task.train), len(task.validation), len(task.test)) == (166, 166, 334)  # of 666: 18 are missing
    for split in (task.train, task.validation, task.test):
        lon, lat = (torch.deg2rad(angle.double()) for angle in split.lonlat)
        assert torch.allclose(split.targets[:, 0].double(), lat.cos(), atol=1e-4)
        u10 = lat.sin() * lon.cos()
        away = lat.cos() > 1e-3  # longitudes meet at a pole, and the field is not one function of the place there
        assert torch.allclose(split.targets[away, 1].double(), ((u10 + 1) / 2)[away], atol=1e-5)
    assert read_era5(file, train=0.5, validation=0.1).names == ("t2m", "u10")
    assert torch.equal(read_era5(file, ["t2m", "u10"], train=0.25, validation=0.25, seed=1).train.xyz, task.train.xyz)


def test_what_a_file_of_fields_may_not_be(tmp_path):
    good = {"lat": LAT, "lon": LON, "a": WARM}

    def saved(**arrays):
        with open(tmp_path / "x.npz", "wb") as out:
            np.savez(out, **arrays)
        return tmp_path / "x.npz"

    missing = WARM.copy()
    missing[:9] = np.nan
    task = read_era5(saved(**{**good, "a": missing}), train=0.1, validation=0.1)
    assert len(task.train) + len(task.validation) + len(task.test) == 360
    with pytest.raises(ArgumentError, match=r"variables: wanted a field \(19, 36\) of .*: a, got 'b'"):
        read_era5(saved(**good), ["b"])
    with pytest.raises(ArgumentError, match="of several times choose one first"):
        read_era5(saved(**good, b=np.zeros((2, 19, 36))), ["b"])
    with pytest.raises(ArgumentError, match="variables: wanted fields that vary, got 'a', 1 in all 684 cells"):
        read_era5(saved(**{**good, "a": np.ones((19, 36))}))
    with pytest.raises(ArgumentError, match="variables: wanted a cell that has them all"):
        read_era5(saved(**{**good, "a": np.full((19, 36), np.nan)}))
    with pytest.raises(ArgumentError, match="variables: wanted at least one"):
        read_era5(saved(lat=LAT, lon=LON))
    with pytest.raises(FileFormatError, match="wanted one array of one dimension called lat or latitude"):
        read_era5(saved(lon=LON, a=WARM))
    with pytest.raises(FileFormatError, match="latitudes from -90 to 90"):
        read_era5(saved(lat=2 * LAT, lon=LON, a=WARM))
    (tmp_path / "x.nc").write_bytes(b"text")
    with pytest.raises(FileFormatError, match="wanted NetCDF or npz, got something that begins with b'text'"):
        read_era5(tmp_path / "x.nc")
    (tmp_path / "x.nc").write_bytes(b"CDF\x01" + b"\x00" * 3)
    with pytest.raises(FileFormatError, match="can be read to its end"):
        read_era5(tmp_path / "x.nc")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_era5(tmp_path / "none.nc")
