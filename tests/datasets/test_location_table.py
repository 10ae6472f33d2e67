"""Tables of places: what is read, and what is refused with its line."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from geospec.datasets import read_location_table, read_places
from geospec.errors import ArgumentError, FileFormatError


def csv(folder, *lines, name="t.csv"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_numbers_of_a_csv(tmp_path):
    path = csv(tmp_path, "id,Longitude, LAT ,warm,rain", "1, 10.5,-90,3,1e1", "", "2,370,45,-4.5,7")
    table = read_location_table(path, targets=["rain", "warm"])
    assert table.lon.tolist() == [10.5, 370]
    assert table.lat.tolist() == [-90, 45]
    assert (table.names, table.classes) == (("rain", "warm"), None)
    assert torch.equal(table.targets, torch.tensor([[10.0, 3.0], [7.0, -4.5]]))
    assert read_location_table(path).names == ("id", "warm", "rain")
    s = 0.5**0.5
    assert torch.allclose(table.xyz, torch.tensor([[0.0, 0, -1], [s * np.cos(np.pi / 18), s * np.sin(np.pi / 18), s]]).float())
    assert len(table) == 2


@pytest.mark.parametrize(("mark", "bom"), [(";", ""), ("\t", "\ufeff")])
def test_text_is_classes_in_the_order_of_their_names(tmp_path, mark, bom):
    path = csv(tmp_path, *(line.replace(",", mark) for line in (bom + "x,y,kind", '0,0,"the sea"', "1,1,land", "2,2,the sea")))
    table = read_location_table(path, lon="x", lat="y")
    assert (table.targets.tolist(), table.classes) == ([1, 0, 1], ("land", "the sea"))


def test_numbers_as_classes(tmp_path):
    path = csv(tmp_path, "lon,lat,zone", "0,0,10", "1,1,9.5", "2,2,10")
    table = read_location_table(path, classes=True)
    assert (table.targets.tolist(), table.classes) == ([1, 0, 1], ("9.5", "10"))
    assert table.targets.dtype == torch.int64


def test_words_among_numbers_are_classes_only_where_that_is_said(tmp_path):
    path = csv(tmp_path, "lon,lat,t", "0,0,1.5", "1,1,n/a", "2,2,7")
    with pytest.raises(FileFormatError, match="line 3, t: wanted a number, as in 2 other rows, got 'n/a'"):
        read_location_table(path)
    assert read_location_table(path, classes=True).classes == ("1.5", "7", "n/a")


def test_npz(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, lon=np.arange(3), lat=np.zeros(3, np.float32), a=np.array([1.5, 2, 3]), b=np.array(["u", "v", "u"]))
    assert torch.equal(read_location_table(path, targets=["a"]).targets, torch.tensor([[1.5], [2], [3]]))
    assert read_location_table(path, targets=["b"]).classes == ("u", "v")
    np.savez(path, lon=np.arange(3), lat=np.array([0, 91, 0]), a=np.arange(3.0))
    with pytest.raises(FileFormatError, match="row 1, lat: wanted a number from -90 to 90, got 91"):
        read_location_table(path)
    np.savez(path, lon=np.arange(3), lat=np.zeros(2))
    with pytest.raises(FileFormatError, match=r"arrays \(n,\) of one length, not empty, got lon \(3,\), lat \(2,\)"):
        read_location_table(path)
    np.savez(path, lon=np.array([1, None], dtype=object))
    with pytest.raises(FileFormatError, match="an npz of plain arrays"):
        read_location_table(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(FileFormatError, match="an npz of plain arrays"):
        read_location_table(path)


@pytest.mark.parametrize(
    ("lines", "options", "error", "told"),
    [
        (["lon,lat,t", "0,0,1", "", "1,95,2"], {}, FileFormatError, r"t\.csv, line 4, lat: wanted a number from -90 to 90, got '95'"),
        (["lon,lat,t", "0,0,1", "x,0,2"], {}, FileFormatError, "line 3, lon: wanted a finite number, got 'x'"),
        (["lon,lat,t", "0,0,1", "1,0,nan"], {}, FileFormatError, "line 3, t: wanted a finite number, got 'nan'"),
        (["lon,lat,t", "0,0,1", "1,0,"], {}, FileFormatError, "line 3, t: wanted a finite number, got ''"),
        (["lon,lat,t", "0,0,a", "1,0,"], {}, FileFormatError, "line 3, t: wanted the name of a class, got nothing"),
        (["lon,lat,t", "0,0,1", "1,0"], {}, FileFormatError, "line 3: wanted 3 cells, as in the header, got 2"),
        (["lon,lat,t"], {}, FileFormatError, "wanted a header and rows below it, got 1 lines"),
        (["lon,lat,lat", "0,0,1"], {}, FileFormatError, "wanted a header of distinct names"),
        (["lon,lat,t", "0,0,1", "1,1,1_0"], {}, FileFormatError, "line 3, t: wanted a number, as in 1 other rows, got '1_0'"),
        (["lon,lat,t", "0,1_0,1", "1,1,2"], {}, FileFormatError, "line 2, lat: wanted a number from -90 to 90, got '1_0'"),
        (
            ["lon,lat,t", "0,0,1700000001", "1,1,1700000002"],
            {},
            ArgumentError,
            "t: wanted a target that varies as float32, got numbers from 1700000001.0 to 1700000002.0, .* subtract an offset",
        ),
        (["lon,lat,t", "0,0,1", "1,1,-1e300"], {}, FileFormatError, "line 3, t: wanted a number of float32, .*, got -1e.300; .*scale"),
        (["lon,lat", "0,0"], {}, ArgumentError, "targets: wanted a column beside longitude and latitude"),
        (["lon,lat,t", "0,0,5", "1,1,5"], {}, ArgumentError, "t: wanted a target that varies, got 5 in all 2 rows"),
        (["lon,lat,t", "0,0,a", "1,1,a"], {}, ArgumentError, "t: wanted a target of two classes at least, got 'a' in all 2 rows"),
        (
            ["lon,lat,t,u", "0,0,1,a", "1,1,2,b"],
            {},
            ArgumentError,
            "one target where it is of classes, got 2 targets, of which 'u' is text",
        ),
        (["lon,lat,t,u", "0,0,1,1", "1,1,2,0"], {"classes": True}, ArgumentError, "one target where it is of classes, got 2 targets"),
        (["lon,lat,t", "0,0,1", "1,1,2"], {"targets": ["u"]}, ArgumentError, r"targets: wanted a column of .*t\.csv: lon, lat, t, got 'u'"),
        (["lon,lat,t", "0,0,1", "1,1,2"], {"targets": ["t", "t"]}, ArgumentError, "targets: wanted each column once"),
        (["lon,lat,t", "0,0,1", "1,1,2"], {"lon": "x"}, ArgumentError, "lon: wanted a column of"),
        (["x,lat,t", "0,0,1", "1,1,2"], {}, ArgumentError, "lon: wanted one column called lon or longitude or lng or long"),
        (["lon,lng,lat,t", "0,0,0,1", "1,1,1,2"], {}, ArgumentError, "got lon and lng"),
        (['lon,lat,"t', "0,0,1"], {}, FileFormatError, "wanted a table as UTF-8 text with a header"),
    ],
)
def test_refusals(tmp_path, lines, options, error, told):
    with pytest.raises(error, match=told):
        read_location_table(csv(tmp_path, *lines), **options)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (("5219882", "5219881", "5219881.0"), ("5219881", "5219882")),
        (("617700169958293503", "617700169958293502", "617700169958293502"), ("617700169958293502", "617700169958293503")),
        (("5", "1e-9999999999999999999", "0"), ("1e-9999999999999999999", "5")),
        (("007", "5.50", "5.5"), ("5.50", "007")),
    ],
)
def test_classes_of_numbers_keep_their_text(tmp_path, cells, names):
    table = read_location_table(csv(tmp_path, "lon,lat,id", *(f"{i},0,{cell}" for i, cell in enumerate(cells))), classes=True)
    assert (table.classes, table.targets.tolist()) == (names, [1, 0, 0])


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.array([5219882, 5219881]), ("5219881", "5219882")),
        (np.array([2**60 + 1, 2**60]), ("1152921504606846976", "1152921504606846977")),
        (np.array([2, 0.1], np.float32), ("0.1", "2")),
        (np.array([1.0000001, 1.0]), ("1", "1.0000001")),
    ],
)
def test_classes_of_numbers_in_arrays(tmp_path, values, names):
    np.savez(tmp_path / "t.npz", lon=np.arange(2), lat=np.zeros(2), id=values)
    table = read_location_table(tmp_path / "t.npz", classes=True)
    assert (table.classes, table.targets.tolist()) == (names, [1, 0])


@pytest.mark.parametrize(
    ("lines", "columns"),
    [
        (["", "lon\tlat\ta,b", "0\t1\t2", "3\t4\t5"], ("a,b",)),
        (['lon;lat;"temp, mean, max"', "0;1;2", "3;4;5"], ("temp, mean, max",)),
        (['"a, b', ', c";lon;lat', "2;0;1", "5;3;4"], ("a, b\n, c",)),
        (['5";lon;lat', "2;0;1", "5;3;4"], ('5"',)),
    ],
)
def test_marks_between_cells(tmp_path, lines, columns):
    table = read_location_table(csv(tmp_path, *lines, name="t.TSV"))
    assert (table.names, table.lon.tolist(), table.targets.tolist()) == (columns, [0, 3], [[2], [5]])


def test_one_target_as_a_string(tmp_path):
    assert read_location_table(csv(tmp_path, "lon,lat,rain,r", "0,0,1,2", "1,1,2,3"), targets="rain").names == ("rain",)


def test_columns_that_serve_twice(tmp_path):
    path = csv(tmp_path, "lon,lat,t", "0,0,1", "1,1,2")
    for read in (read_location_table, read_places):
        with pytest.raises(ArgumentError, match="lon and lat: wanted two columns, got 'lat' for both"):
            read(path, lon="lat", lat="lat")
    with pytest.raises(ArgumentError, match="targets: wanted columns beside longitude and latitude, got 'lon'"):
        read_location_table(path, targets=["t", "lon"])


def test_npz_that_are_none(tmp_path):
    path = tmp_path / "t.npz"
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(FileFormatError, match="an npz of plain arrays, got one array without a name, an npy"):
        read_location_table(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lon", "1 2 3")
    with pytest.raises(FileFormatError, match=r"t\.npz, lon: wanted an array, got another file"):
        read_location_table(path)
    np.savez_compressed(path, lon=np.arange(20.0), lat=np.zeros(20), t=np.arange(20.0))
    whole, told = path.read_bytes(), set()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_location_table(path)
        except (FileFormatError, ArgumentError) as error:
            told.add(type(error.__cause__).__name__)
    assert {"error", "BadZipFile", "NotImplementedError"} <= told  # the first is zlib's


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_location_table(tmp_path / "none.csv")
    with pytest.raises(FileFormatError, match=r"a table \.csv, \.tsv, \.txt or \.npz, got \.xlsx"):
        read_location_table(csv(tmp_path, "a", name="t.xlsx"))
    (tmp_path / "b.csv").write_bytes(b"lon,lat,t\n\xff,0,1\n")
    with pytest.raises(FileFormatError, match="UTF-8"):
        read_location_table(tmp_path / "b.csv")
