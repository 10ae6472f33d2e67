"""``geospec encode`` and ``geospec decode``: a shape to a code and back, what is printed, what is refused."""

import json

import pytest
import torch

import geospec
from geospec import ShapeCode
from geospec.codes import field_in_box, inside_iou


@pytest.fixture(scope="module")
def encoded(shapes, tmp_path_factory):
    path = tmp_path_factory.mktemp("codes") / "a.gsc"
    geospec.encode(geospec.load(shapes / "a.off"), 48, k=2000).save(path)
    return path


def test_encode(run, shapes, tmp_path):
    done = run(
        "encode", shapes / "a.off", "-o", tmp_path / "a.gsc", "--resolution", 48, "-k", 2000, "--image", tmp_path / "a.png", "--json"
    )
    assert done.code == 0, done.err
    told = json.loads(done.out)
    code, mesh = ShapeCode.load(tmp_path / "a.gsc"), geospec.load(shapes / "a.off")
    exact = geospec.encode(mesh, 48, k=2000)
    assert float((code.pack() - exact.pack()).abs().max()) <= 2**-9
    assert told["iou"] == inside_iou(field_in_box(mesh, 48).values, code.field().values)
    assert told["bytes"] == (tmp_path / "a.gsc").stat().st_size
    assert (told["shape"], told["trees"], told["trees_written"], told["levels"]) == ([48] * 3, 2000, code.k, 2)
    assert set(told["seconds"]) == {"reading", "distances", "trees", "writing"}
    assert told["loss"]["surface"] <= told["loss"]["field"]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    for label in ("shape", "code", "written", "error", "IoU", "seconds", "wrote"):
        assert f"\n{label} " in "\n" + done.err, label


def test_round_trip(run, encoded, tmp_path):
    done = run("decode", encoded, "-o", tmp_path / "out.ply", "--image", tmp_path / "out.png")
    assert done.code == 0, done.err
    code = ShapeCode.load(encoded)
    mesh = geospec.load(tmp_path / "out.ply")
    assert torch.equal(mesh.faces, code.decode().faces)
    torch.testing.assert_close(mesh.vertices, code.decode().vertices)
    assert (tmp_path / "out.png").exists()
    assert "surface      Mesh(" in done.out


def test_level_of_detail(run, encoded, tmp_path):
    done = run("decode", encoded, "-o", tmp_path / "out.off", "--level", 1, "--json")
    told = json.loads(done.out)
    mesh = ShapeCode.load(encoded).decode(1)
    assert (told["level"], told["vertices"], told["faces"]) == (1, mesh.n_points, len(mesh.faces))
    assert geospec.load(tmp_path / "out.off").n_points == mesh.n_points
    assert "level: wanted 0 to 2, got 3" in run("decode", encoded, "-o", tmp_path / "x.ply", "--level", 3).error


def test_a_distance_field(run, shapes, tmp_path):
    field = field_in_box(geospec.load(shapes / "a.off"), 32)
    field.save(tmp_path / "field.npz")
    words = ("encode", tmp_path / "field.npz", "-o", tmp_path / "f.gsc", "--preset", "lossless")
    assert run(*words).code == 0
    code = ShapeCode.load(tmp_path / "f.gsc")
    assert torch.equal(code.pack(), geospec.encode(field).pack())
    assert "--resolution: wanted nothing with a distance field" in run(*words, "--resolution", 64).error


def test_report(run, shapes, tmp_path):
    """The page holds the shape and what its code decodes to; nothing else than what was asked for is left."""
    done = run("encode", shapes / "a.off", "-o", tmp_path / "a.gsc", "--resolution", 16, "--report", tmp_path / "a.html", "--json")
    assert json.loads(done.out)["report"] == str(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "decoded" in page
    assert "a.off" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gsc", "a.html"]


def test_choices(run, shapes, tmp_path):
    words = ("encode", shapes / "a.off", "-o", tmp_path / "a.gsc", "--resolution", 16, "-q")
    assert "--preset: wanted one of 'lossless'" in run(*words, "--preset", "small").error
    assert "one of the three" in run(*words, "--energy", 0.9, "-k", 5).error
    assert "sign: wanted one of" in run(*words, "--sign", "guess").error
    assert "--workers: wanted nothing with one file" in run(*words, "--workers", 2).error
    assert "--image: wanted nothing with a folder" in run("encode", shapes, "-o", tmp_path / "out", "--image", tmp_path / "a.png").error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("content", "message"), [(b"", "an empty file"), (b"no code", "another kind of file"), (None, "ends early")])
def test_files_that_are_no_codes(run, encoded, tmp_path, content, message):
    (tmp_path / "x.gsc").write_bytes(encoded.read_bytes()[:-1] if content is None else content)
    assert message in run("decode", tmp_path / "x.gsc", "-o", tmp_path / "x.ply").error
    assert [path.name for path in tmp_path.iterdir()] == ["x.gsc"]
    assert "none.gsc" in run("decode", tmp_path / "none.gsc", "-o", tmp_path / "x.ply").error
    assert "--output: wanted a file that ends in .ply or .obj" in run("decode", encoded, "-o", tmp_path / "x.pcd").error


def test_levels_and_the_finest_one(run, shapes, tmp_path):
    """One level alone; trees with and without the finest; more levels than fit are refused by name."""
    words = ("encode", shapes / "a.off", "-o", tmp_path / "a.gsc", "--resolution", 32, "-q")
    for more, levels, dropped in ((("--levels", 1), 1, 0), ((), 2, 1), (("--keep-finest",), 2, 0)):
        assert run(*words, *more).code == 0
        tree = ShapeCode.load(tmp_path / "a.gsc").tree
        assert (tree.levels, tree.drop_finest) == (levels, dropped)
    assert "levels: wanted 1 to 2 with bior6.8 on 32 cells, got 8" in run(*words, "--levels", 8).error


def test_a_sheet_is_refused(run, tmp_path):
    (tmp_path / "sheet.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    words = ("encode", tmp_path / "sheet.obj", "-o", tmp_path / "a.gsc", "--resolution", 16)
    assert "wanted one that encloses some volume, got no cell inside" in run(*words).error
    assert not (tmp_path / "a.gsc").exists()


def test_info_of_a_code(run, encoded, tmp_path):
    """The header alone, even where the rest is cut off."""
    (tmp_path / "cut.gsc").write_bytes(encoded.read_bytes()[:2000])
    told = json.loads(run("info", tmp_path / "cut.gsc", "--json").out)
    assert (told["bytes"], told["preset"], told["shape"], told["levels"]) == (2000, "near-lossless", [48] * 3, 2)
    assert told["loss"]["iou"] > 0.99
    human = run("info", encoded)
    assert "48 x 48 x 48 cells" in human.out
    assert f"{encoded.stat().st_size:,} bytes" in human.out
    assert "another kind of file" in run("info", _nonsense(tmp_path)).error
    assert "--repair: wanted nothing with a code" in run("info", encoded, "--repair", "unreferenced").error


def _nonsense(folder):
    (folder / "x.gsc").write_bytes(b"no code")
    return folder / "x.gsc"
