"""Tables of places: what is read, and what is refused with its line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geospec.datasets import read_location_table
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


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_location_table(tmp_path / "none.csv")
    with pytest.raises(FileFormatError, match=r"a table \.csv, \.tsv, \.txt or \.npz, got \.xlsx"):
        read_location_table(csv(tmp_path, "a", name="t.xlsx"))
    (tmp_path / "b.csv").write_bytes(b"lon,lat,t\n\xff,0,1\n")
    with pytest.raises(FileFormatError, match="UTF-8"):
        read_location_table(tmp_path / "b.csv")
