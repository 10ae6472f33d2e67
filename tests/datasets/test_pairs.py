"""Readers of collections, on small folders made here in each layout, and on the real ones where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.spatial import cKDTree

from geospec.datasets import SHIPPED, load_pairs, shipped
from geospec.errors import ArgumentError, FileFormatError, ShapeError

_TETRAHEDRON = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 0 3 2\n"


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _shapes(*names: str, home: str = "off/") -> dict[str, str]:
    return {f"{home}{name}.off": _TETRAHEDRON for name in names}


def _as_lists(indices: tuple[torch.Tensor, torch.Tensor] | None) -> tuple[list, list] | None:
    return None if indices is None else (indices[0].tolist(), indices[1].tolist())


def test_template_layout(tmp_path: Path) -> None:
    vts = {"corres/tr_reg_080.vts": "4\n1\n2\n", "corres/tr_reg_081.vts": "1\n3\n2\n", "corres/tr_reg_100.vts": "1\n1\n1\n"}
    pairs = load_pairs(_write(tmp_path, _shapes("tr_reg_080", "tr_reg_081", "tr_reg_082") | vts))
    assert pairs.layout == "template"
    assert pairs.names == ["tr_reg_080 tr_reg_081", "tr_reg_081 tr_reg_080"]  # 082 has no ground truth, 100 no shape
    first = pairs[0]
    assert _as_lists(first.correspondence) == ([3, 0, 1], [0, 2, 1])
    assert first.symmetric is None
    assert [pair.name for pair in pairs] == pairs.names
    source, target = first.load(torch.float32)
    assert source.n_points == target.n_points == 4
    assert source.vertices.dtype == torch.float32


def test_only_the_named_shapes_are_paired(tmp_path: Path) -> None:
    names = [f"mesh{i:03d}" for i in range(4)]
    _write(tmp_path, _shapes(*names) | {f"corres/{name}.vts": "1\n2\n" for name in names})
    assert load_pairs(tmp_path, shapes=names[2:]).names == ["mesh002 mesh003", "mesh003 mesh002"]
    assert len(load_pairs(tmp_path)) == 12


def test_tosca_layout_pairs_within_categories_and_reads_mirrored_points(tmp_path: Path) -> None:
    names = ["cat0", "cat10", "cat2", "dog1", "dog3"]
    files = _shapes(*names, home="") | {f"corres/{name}.vts": "1\n2\n3\n" for name in names} | {"corres/cat2.sym.vts": "1\n3\n2\n"}
    pairs = load_pairs(_write(tmp_path, files))
    assert pairs.layout == "tosca"
    assert len(pairs) == 3 * 2 + 2
    assert pairs.names[:2] == ["cat0 cat2", "cat0 cat10"]
    assert _as_lists(pairs["cat0 cat2"].symmetric) == ([0, 1, 2], [0, 2, 1])
    assert pairs["cat2 cat0"].symmetric is None
    (tmp_path / "pairs.txt").write_text("dog3\tdog1\ncat0\tcat99\n")
    assert load_pairs(tmp_path).names == ["dog3 dog1"]


def test_dt4d_layout_composes_through_the_templates(tmp_path: Path) -> None:
    files = _shapes("crypto/run", "crypto/sit", "mousey/run2", "ortiz/run3")
    vts = {"crypto/run": "2\n3\n4\n1\n", "crypto/sit": "1\n2\n3\n4\n", "mousey/run2": "4\n3\n2\n", "ortiz/run3": "1\n"}
    files |= {f"corres/{name}.vts": text for name, text in vts.items()}
    files["corres/cross_category_corres/crypto_mousey.vts"] = "3\n3\n1\n2\n"
    pairs = load_pairs(_write(tmp_path, files))
    assert pairs.layout == "dt4d"
    assert sorted(pairs.names) == ["run run2", "run sit", "sit run", "sit run2"]
    assert _as_lists(pairs["run run2"].correspondence) == ([1, 2, 3, 0], [1, 1, 3, 2])


def test_shrec19_layout(tmp_path: Path) -> None:
    pairs = load_pairs(_write(tmp_path, _shapes("1", "2", "10") | {"corres/1_2.map": "4\n3\n2\n1\n", "corres/1_40.map": "1\n"}))
    assert pairs.layout == "shrec19"
    assert pairs.names == ["1 2"]
    assert _as_lists(pairs[0].correspondence) == ([0, 1, 2, 3], [3, 2, 1, 0])


def test_maps_layout_takes_numbers_and_beginnings_of_names(tmp_path: Path) -> None:
    files = _shapes("camel-01", "camel-02", home="") | {"maps/1_to_2": "0\n2\n1\n3\n"}
    pair = load_pairs(_write(tmp_path / "camel", files))[0]
    assert (pair.source.stem, pair.target.stem) == ("camel-02", "camel-01")
    assert _as_lists(pair.correspondence) == ([0, 2, 1, 3], [0, 1, 2, 3])
    files = _shapes("cat-00", "lion-00", home="") | {"lion2cat": "3\n2\n1\n", "landmarks.txt": "0 1\n2 3\n"}
    pair = load_pairs(_write(tmp_path / "cats", files))[0]
    assert pair.name == "cat-00 lion-00"
    assert _as_lists(pair.correspondence) == ([3, 2, 1], [0, 1, 2])
    assert _as_lists(pair.landmarks) == ([0, 2], [1, 3])


def test_registered_layout_must_be_asked_for(tmp_path: Path) -> None:
    _write(tmp_path, _shapes("tr_reg_000", "tr_reg_001", home="registrations/"))
    with pytest.raises(FileFormatError, match='layout="registered"'):
        load_pairs(tmp_path)
    assert _as_lists(load_pairs(tmp_path, "registered")[1].correspondence) == ([0, 1, 2, 3], [0, 1, 2, 3])


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="folder: wanted an existing folder"):
        load_pairs(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="layout: wanted one of"):
        load_pairs(tmp_path, "zip")
    with pytest.raises(FileFormatError, match="meshes"):
        load_pairs(tmp_path, "template")
    _write(tmp_path, _shapes("a", "b"))
    with pytest.raises(FileFormatError, match="pairs in the layout 'template'"):
        load_pairs(tmp_path, "template")
    _write(tmp_path, {"corres/a.vts": "1\n2\n", "corres/b.vts": "1\n"})
    pairs = load_pairs(tmp_path)
    with pytest.raises(FileFormatError, match="as many points on both shapes, got 2 and 1"):
        pairs[0]
    with pytest.raises(ArgumentError, match="key: wanted the name of a pair"):
        pairs["a c"]
    _write(tmp_path, {"corres/b.vts": "0\n1\n"})
    with pytest.raises(FileFormatError, match="from 1 on"):
        pairs[0]
    _write(tmp_path, {"corres/b.vts": "one\n"})
    with pytest.raises(FileFormatError, match="one integer a line"):
        pairs[0]
    _write(tmp_path, {"corres/b.vts": "1\n9\n"})
    with pytest.raises(ShapeError, match="target of a b: wanted vertices up to 8, got 4 vertices"):
        pairs[0].load()
    _write(tmp_path, {"pairs.txt": "a b c\n"})
    with pytest.raises(FileFormatError, match="two names a line"):
        load_pairs(tmp_path)


@pytest.mark.parametrize(
    ("folder", "layout", "count"), [("tosca_animals", "tosca", 137), ("pairs/cat_lion", "maps", 1), ("pairs/camel_gallop", "maps", 30)]
)
def test_real_folders(shared_data: Path, folder: str, layout: str, count: int) -> None:
    pairs = load_pairs(shared_data / folder)
    assert (pairs.layout, len(pairs)) == (layout, count)
    source, target = pairs[0].load()
    on_source, on_target = pairs[0].correspondence
    # neighbours on the target are near each other on the source, against vertices taken at random
    image = torch.full((target.n_points,), -1).index_put((on_target,), on_source)
    ends = image[target.edges]
    ends = ends[(ends >= 0).all(1)]
    near = (source.vertices[ends[:, 0]] - source.vertices[ends[:, 1]]).norm(dim=1).median()
    shuffled = (source.vertices[ends[:, 0]] - source.vertices[ends[:, 1].roll(1000)]).norm(dim=1).median()
    assert near < 0.1 * shuffled


@pytest.mark.parametrize("name", list(SHIPPED))
def test_shipped_files_are_what_the_recipe_makes(repository: Path, name: str) -> None:
    """Compared through the nearest vertices: another processor may round, and so mesh, a little differently."""
    data = load_pairs(repository / "data")[f"{name}-a {name}-b"]
    read, made = data.load(torch.float32), shipped(name)
    rest = []
    for file, shape, creature in zip((data.source, data.target), read, made, strict=True):
        assert file.stat().st_size < 400_000
        assert shape.n_points == creature.mesh.n_points == 5000
        away, nearest = cKDTree(creature.mesh.vertices.numpy()).query(shape.points.numpy())
        assert away.max() < 0.05
        rest.append(creature.rest[torch.from_numpy(nearest)])
    assert data.symmetric is not None
    for (on_source, on_target), mirror in ((data.correspondence, 1), (data.symmetric, -1)):
        assert torch.equal(on_target, torch.arange(5000))
        apart = (rest[0][on_source] - rest[1] * rest[1].new_tensor([mirror, 1, 1])).norm(dim=1)
        assert apart.mean() < 0.015
        assert apart.max() < 0.1
