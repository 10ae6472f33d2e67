"""Files in and out: round trips, other libraries as readers and writers, every kind of bad file."""

import os
import struct
import sys

import numpy as np
import pytest
import torch
import trimesh
from shapes.solids import cube, sphere

import geospec.shapes.files as files
from geospec.errors import ArgumentError, FileFormatError, GeospecError, ShapeError
from geospec.shapes import SUFFIXES, Mesh, PointCloud, VertexMap, load, save

DTYPES = [torch.float32, torch.float64]


@pytest.fixture
def put(tmp_path):
    """Write a file of the given name, return its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def awkward_mesh(dtype=torch.float64):
    """Odd digits, duplicates, isolated vertices and an unusual order: what readers like to tidy up."""
    points = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 3
    points[7] = points[3]
    points[5] = torch.tensor([1e-30, -0.0, 1e12])
    faces = torch.tensor([[39, 3, 7], [2, 1, 0], [7, 11, 2], [3, 11, 2], [11, 39, 30]])
    return Mesh(points.to(dtype), faces)


def cloud(dtype=torch.float64, normals=True):
    points = torch.randn(25, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return PointCloud(points.to(dtype), torch.nn.functional.normalize(points + 1, dim=1).to(dtype) if normals else None)


# Round trips.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".ply", ".obj", ".off", ".glb", ".npz"])
def test_mesh_round_trip_keeps_every_vertex_in_its_place(tmp_path, suffix, dtype):
    shape = awkward_mesh(dtype)
    save(shape, tmp_path / f"a{suffix}")
    back = load(tmp_path / f"a{suffix}", dtype=dtype)
    stored = shape.vertices.float().to(dtype) if suffix == ".glb" else shape.vertices
    assert torch.equal(back.vertices, stored)
    assert torch.equal(back.faces, shape.faces)
    assert back.vertex_map is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normals", [True, False])
@pytest.mark.parametrize("suffix", [".ply", ".obj", ".off", ".glb", ".pcd", ".xyz", ".npz"])
def test_cloud_round_trip(tmp_path, suffix, normals, dtype):
    shape = cloud(dtype, normals)
    save(shape, tmp_path / f"a{suffix}")
    back = load(tmp_path / f"a{suffix}", dtype=dtype)
    stored = torch.float32 if suffix in (".glb", ".pcd") else dtype
    assert torch.equal(back.points, shape.points.to(stored).to(dtype))
    if normals and suffix != ".glb":
        assert torch.equal(back.normals, shape.normals.to(stored).to(dtype))
    else:
        assert back.normals is None


def test_stl_keeps_faces_and_joins_equal_corners(tmp_path):
    shape = sphere(2)
    save(shape, tmp_path / "a.stl")
    back = load(tmp_path / "a.stl")
    assert back.n_points == shape.n_points
    assert torch.equal(back.vertices[back.faces], shape.vertices[shape.faces].float().double())
    assert torch.equal(torch.unique(back.faces.reshape(-1), sorted=False).sort().values, torch.arange(shape.n_points))
    assert back.faces[0].tolist() == [0, 1, 2]


def test_npz_keeps_weights_and_vertex_map(tmp_path):
    way_back = VertexMap(torch.arange(40) + 2, torch.cat([torch.tensor([-1, 0]), torch.arange(40)]))
    shape = Mesh(awkward_mesh().vertices, awkward_mesh().faces, way_back)
    save(shape, tmp_path / "a.npz")
    assert torch.equal(load(tmp_path / "a.npz").vertex_map.from_file, way_back.from_file)
    save(PointCloud(torch.rand(3, 2), weights=torch.tensor([1.0, 2, 3])), tmp_path / "b.npz")
    assert load(tmp_path / "b.npz", dtype=torch.float32).weights.tolist() == [1, 2, 3]


def test_default_is_float64(tmp_path):
    save(awkward_mesh(torch.float32), str(tmp_path / "a.ply"))
    assert load(str(tmp_path / "a.ply")).vertices.dtype == torch.float64


# Other libraries read what we write and write what we read.


@pytest.mark.parametrize("suffix", ["ply", "obj", "off", "stl"])
def test_trimesh_reads_ours(tmp_path, suffix):
    shape = sphere(2)
    save(shape, tmp_path / f"a.{suffix}")
    other = trimesh.load(tmp_path / f"a.{suffix}", process=False)
    assert other.vertices[other.faces] == pytest.approx(shape.vertices[shape.faces].numpy(), abs=1e-7)
    assert other.is_volume == (suffix != "stl")  # unwelded STL has no neighbours


@pytest.mark.parametrize(
    ("suffix", "options"), [("ply", {"encoding": "ascii"}), ("ply", {}), ("obj", {}), ("off", {}), ("stl", {}), ("stl_ascii", {})]
)
def test_ours_reads_trimesh(put, suffix, options):
    source = trimesh.Trimesh(*(array.numpy() for array in (sphere(2).vertices, sphere(2).faces)), process=False)
    back = load(put("a." + suffix.split("_")[0], source.export(file_type=suffix, **options)))
    assert back.vertices[back.faces].numpy() == pytest.approx(source.vertices[source.faces], abs=1e-6)
    assert back.n_points == len(source.vertices)


@pytest.mark.parametrize(("ascii_text", "compressed"), [(True, False), (False, False), (False, True)])
def test_ours_reads_open3d_pcd(tmp_path, ascii_text, compressed):
    o3d = pytest.importorskip("open3d", exc_type=ImportError)
    points = np.random.default_rng(0).normal(size=(3000, 3)).round(1)  # repeats, so that compression has something to copy
    points[100:2000] = 0.5
    source = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    source.normals = o3d.utility.Vector3dVector(points / np.linalg.norm(points, axis=1, keepdims=True))
    o3d.io.write_point_cloud(str(tmp_path / "a.pcd"), source, write_ascii=ascii_text, compressed=compressed)
    assert (b"compressed" in (tmp_path / "a.pcd").read_bytes()[:400]) == compressed
    back = load(tmp_path / "a.pcd")
    assert back.points.numpy() == pytest.approx(points, abs=1e-6)
    assert back.normals.numpy() == pytest.approx(np.asarray(source.normals), abs=1e-6)


def test_open3d_reads_our_pcd(tmp_path):
    o3d = pytest.importorskip("open3d", exc_type=ImportError)
    save(cloud(), tmp_path / "a.pcd")
    back = o3d.io.read_point_cloud(str(tmp_path / "a.pcd"))
    assert np.asarray(back.points) == pytest.approx(cloud().points.numpy(), abs=1e-6)
    assert np.asarray(back.normals) == pytest.approx(cloud().normals.numpy(), abs=1e-6)


# What the formats allow and readers get wrong.


def test_obj_with_seams_relative_corners_and_oddities(put):
    text = (
        "# seams: each vertex has several vt\n\nmtllib x.mtl\r\nv 0 0 0\nv 1 0 0 0.5 0.5 0.5\n  v\t0 1 0\nv 9 9 9 # isolated\n"
        "vt 0 0\nvt 1 0\nvt 0.5 0.5\nvn 0 0 1\ng part\nf 1/1/1 2/2/1 3/3/1\nv 0 0 1\n"
        "f -1 -5//1 \\\n 3\nusemtl m\nl 1 2\nf 2/3 1/2 5/1\n"
    )
    shape = load(put("a.obj", text))
    assert shape.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9], [0, 0, 1]]
    assert shape.faces.tolist() == [[0, 1, 2], [4, 0, 2], [1, 0, 4]]


@pytest.mark.parametrize("header", ["OFF\n4 2 0\n", "OFF 4 2 0\n", "OFF4 2 0\n", "# c\nOFF # c\n\n4 2\n", "COFF\r\n4 2 0\r\n"])
def test_off_headers_comments_and_colours(put, header):
    text = header + "0 0 0 255 0 0\n1 0 0\n\n0 1 0 # c\n5 5 5\n3 0 1 2 0.1 0.2 0.3\n3  2 1 0\n"
    shape = load(put("a.off", text))
    assert shape.vertices[3].tolist() == [5, 5, 5]
    assert shape.faces.tolist() == [[0, 1, 2], [2, 1, 0]]


def ply_bytes(order, vertices, polygons, strips=()):
    """A PLY with an element in front, colours, an extra list and mixed polygons, written plainly with struct."""
    header = [f"format {order} 1.0", "comment x", "element camera 1", "property float focal", f"element vertex {len(vertices)}"]
    header += ["property double x", "property double y", "property double z", "property uchar red"]
    header += [f"element face {len(polygons)}", "property list uchar float quality", "property list uchar uint vertex_indices"]
    header += [f"element tristrips {len(strips)}", "property list int int vertex_indices"]
    if order == "ascii":
        rows = [[1.5], *([*v, 7] for v in vertices), *([1, 0.5, len(p), *p] for p in polygons), *([len(s), *s] for s in strips)]
        body = "\n".join(" ".join(map(str, row)) for row in rows).encode()
    else:
        e = "<" if "little" in order else ">"
        body = struct.pack(e + "f", 1.5) + b"".join(struct.pack(e + "dddB", *v, 7) for v in vertices)
        for p in polygons:
            body += struct.pack(e + f"BfB{len(p)}I", 1, 0.5, len(p), *p)
        for s in strips:
            body += struct.pack(e + f"i{len(s)}i", len(s), *s)
    return "\n".join(["ply", *header, "end_header\n"]).encode() + body


POINTS = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 2, 0.25]]


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_orders_and_mixed_polygons(put, order):
    path = put("a.ply", ply_bytes(order, POINTS, [[0, 1, 2, 3], [2, 4, 3], [0, 1, 4, 2, 3]]))
    with pytest.raises(FileFormatError, match=r"2 faces with up to 5 corners; pass triangulate=True \(--triangulate\)"):
        load(path)
    shape = load(path, triangulate=True)
    assert shape.vertices.tolist() == POINTS
    assert shape.faces.tolist() == [[0, 1, 2], [0, 2, 3], [2, 4, 3], [0, 1, 4], [0, 4, 2], [0, 2, 3]]
    assert load(put("b.ply", ply_bytes(order, POINTS, [[0, 1, 2], [2, 4, 3]]))).faces.tolist() == [[0, 1, 2], [2, 4, 3]]


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_strips(put, order):
    """Odd triangles are turned round, -1 and the end of a list end a strip, stitches leave no triangle."""
    strips = [[0, 1, 3, 2, -1, 2, 4, 3], [0, 1, 3, 3, 2, 4]]
    shape = load(put("a.ply", ply_bytes(order, POINTS, [], strips)))
    assert shape.faces.tolist() == [[0, 1, 3], [3, 1, 2], [2, 4, 3], [0, 1, 3], [2, 3, 4]]


def test_ply_vertices_only_is_a_cloud(put):
    shape = load(put("a.ply", ply_bytes("binary_big_endian", POINTS, [])))
    assert isinstance(shape, PointCloud)
    assert shape.points.tolist() == POINTS


def test_text_stl_with_indentation(put):
    facet = "facet normal 0 0 1\n outer loop\n  vertex 0 0 0\n  vertex {} 0 0\n  vertex -0.0 1 0\n endloop\nendfacet\n"
    shape = load(put("a.stl", "solid x\n" + facet.format(1) + facet.format(-1) + "endsolid x\n"))
    assert shape.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0]]
    assert shape.faces.tolist() == [[0, 1, 2], [0, 3, 2]]


def test_glb_places_parts_of_a_scene(put):
    part, move = trimesh.creation.box(), np.eye(4)
    move[:3, 3] = [5, 0, 0]
    scene = trimesh.Scene()
    scene.add_geometry(part, node_name="a")
    scene.graph.update("b", matrix=move, geometry="geometry_0")
    shape = load(put("a.glb", scene.export(file_type="glb")))
    assert (shape.n_points, len(shape.faces)) == (16, 24)
    assert sorted(shape.vertices[:, 0].unique().tolist()) == [-0.5, 0.5, 4.5, 5.5]
    assert shape.faces[12:].min() == 8


def test_xyz_columns_and_comments(put):
    assert load(put("a.xyz", "# c\n1 2 3 // c\n4 5 6\n")).points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert load(put("b.xyz", "1 2 3 0 0 1\n4 5 6 1 0 0\n")).normals.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert load(put("c.xyz", "1 2 3 255 0 9\n4 5 6 1 2 3\n")).normals is None


def test_suffix_in_capitals(put):
    assert load(put("A.OFF", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")).n_points == 3


# Bad input: one line, the right exception, the file's name in it.

OFF = "OFF\n4 1 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n"
PLY = ply_bytes("binary_little_endian", POINTS, [[0, 1, 2], [2, 4, 3]])
STL = b"x" * 80 + struct.pack("<I", 2) + b"\0" * 100
PCD = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 2\nHEIGHT 1\nPOINTS 2\nDATA "
GLB = trimesh.creation.box().export(file_type="glb")
BAD = {
    "empty": ("a.obj", " \n", FileFormatError, "an empty file"),
    "unknown suffix": ("a.stp", "x", FileFormatError, r"\.ply, \.obj, \.off"),
    "no suffix": ("a", "x", FileFormatError, "no suffix"),
    "off: not off": ("a.off", "hello", FileFormatError, "first word OFF"),
    "off: binary": ("a.off", "OFF BINARY\n", FileFormatError, "text OFF"),
    "off: no counts": ("a.off", "OFF\n", FileFormatError, "truncated"),
    "off: truncated": ("a.off", OFF, FileFormatError, "4 vertices and 1 faces, got 4 lines; the file may be truncated"),
    "off: short face": ("a.off", OFF + "3 0 1", FileFormatError, "3 corners in face 0, got 2"),
    "off: words": ("a.off", OFF.replace("1 0 0", "1 0 zero") + "3 0 1 2", FileFormatError, "'zero' in line"),
    "off: half a number": ("a.off", OFF + "3 0 1 2x", FileFormatError, "'2x' in line"),
    "off: out of range": ("a.off", OFF + "3 0 1 4\n", FileFormatError, r"\[0, 4\), got 0\.\.4"),
    "off: negative": ("a.off", OFF + "3 0 1 -1\n", FileFormatError, r"got -1\.\.1"),
    "off: nan": ("a.off", OFF.replace("1 0 0", "1 nan 0") + "3 0 1 2\n", ShapeError, "1 of 4 rows with NaN"),
    "off: half a corner": ("a.off", OFF + "3 0 1 1.5\n", FileFormatError, "whole numbers as corners, got 1.5"),
    "off: nan counts": ("a.off", "OFF\nnan 1 0\n", FileFormatError, "whole numbers as counts, got nan"),
    "off: negative counts": ("a.off", "OFF\n-5 3 0\n", FileFormatError, "numbers of vertices and faces, got -5 and 3"),
    "off: no vertex": ("a.off", "OFF\n0 0 0\n", FileFormatError, "at least one vertex"),
    "off: quad": ("a.off", OFF + "4 0 1 2 3\n", FileFormatError, "--triangulate"),
    "off: two corners": ("a.off", OFF + "2 0 1\n", FileFormatError, "at least 3 corners"),
    "obj: no vertex": ("a.obj", "f 1 2 3\n", FileFormatError, r"corners in \[1, 0\]"),
    "obj: something else": ("a.obj", "hello\n", FileFormatError, "start with v"),
    "obj: short vertex": ("a.obj", "v 0 0 0\nv 1 0\n", FileFormatError, "2 in vertex 1"),
    "obj: out of range": ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", FileFormatError, r"\[1, 3\]"),
    "obj: corner zero": ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", FileFormatError, "counted from 1"),
    "obj: too far back": ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -4 1 2\n", FileFormatError, r"\[1, 3\]"),
    "obj: infinite": ("a.obj", "v 0 0 inf\nv 1 0 0\nv 0 1 0\nf 3 1 2\n", ShapeError, "finite"),
    "ply: no header": ("a.ply", "ply\nformat ascii 1.0\n", FileFormatError, "no line end_header"),
    "ply: not ply": ("a.ply", "solid\n", FileFormatError, "'solid"),
    "ply: odd type": ("a.ply", PLY.replace(b"double", b"quadruple"), FileFormatError, "quadruple"),
    "ply: odd format": ("a.ply", PLY.replace(b"little", b"middle"), FileFormatError, "format line"),
    "ply: truncated": ("a.ply", PLY[:-1], FileFormatError, "2 rows of element face.*truncated"),
    "ply: truncated vertices": ("a.ply", PLY[:-60], FileFormatError, "5 rows of element vertex.*truncated"),
    "ply: header only": ("a.ply", PLY[: PLY.find(b"end_header") + 11], FileFormatError, "truncated"),
    "ply: a list of x": ("a.ply", PLY.replace(b"property double x", b"property list uchar double x"), FileFormatError, "x as a number"),
    "ply: one corner": ("a.ply", PLY.replace(b"list uchar uint vert", b"uint vert"), FileFormatError, "vertex_indices as a list"),
    "ply: half a corner": ("a.ply", ply_bytes("ascii", POINTS, [[0, 1, 1.5]]), FileFormatError, "whole numbers as corners"),
    "ply: absurd count": ("a.ply", PLY.replace(b"vertex 5", b"vertex 5000000000000"), FileFormatError, "truncated"),
    "ply: absurd list": (
        "a.ply",
        ply_bytes("ascii", POINTS, [[0, 1, 2]]).replace(b"\n1 0.5 3", b"\n1 0.5 3000000000000"),
        FileFormatError,
        "truncated",
    ),
    "ply: no vertex": ("a.ply", "ply\nformat ascii 1.0\nend_header\n", FileFormatError, "element vertex with x, y and z"),
    "ply: out of range": ("a.ply", ply_bytes("ascii", POINTS, [[0, 1, 9]]), FileFormatError, r"got 0\.\.9"),
    "stl: truncated": ("a.stl", STL[:-1], FileFormatError, "184 bytes for 2 triangles, got 183"),
    "stl: short": ("a.stl", b"abc", FileFormatError, "truncated"),
    "stl: text truncated": ("a.stl", "solid x\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\n", FileFormatError, "endsolid"),
    "stl: no triangle": ("a.stl", "solid x\nendsolid x\n", FileFormatError, "triangles, got none"),
    "glb: not glb": ("a.glb", "x" * 100, FileFormatError, "binary glTF"),
    "glb: truncated": ("a.glb", GLB[:300], FileFormatError, "truncated"),
    "pcd: no data line": ("a.pcd", "VERSION 0.7\n", FileFormatError, "up to its DATA line"),
    "pcd: no fields": ("a.pcd", "VERSION 0.7\nDATA ascii\n", FileFormatError, "FIELDS"),
    "pcd: no count of points": ("a.pcd", PCD.replace("POINTS 2\n", "") + "ascii\n1 2 3", FileFormatError, "POINTS and DATA that agree"),
    "pcd: empty data line": ("a.pcd", PCD + "\n1 2 3", FileFormatError, "POINTS and DATA that agree"),
    "pcd: no z": ("a.pcd", PCD.replace("x y z", "x y w") + "ascii\n1 2 3\n1 2 3", FileFormatError, "fields x, y and z"),
    "pcd: odd digits": ("a.pcd", PCD.replace("POINTS 2", "POINTS ²") + "ascii\n1 2 3", FileFormatError, "POINTS and DATA that agree"),
    "pcd: leading zeros": ("a.pcd", PCD.replace("4 4 4", "04 4 4") + "binary\n", FileFormatError, "24 bytes for 2 points, got 0"),
    "pcd: few points": ("a.pcd", PCD + "ascii\n1 2 3\n", FileFormatError, "2 points, got 1"),
    "pcd: truncated": ("a.pcd", PCD.encode() + b"binary\n" + b"\0" * 23, FileFormatError, "24 bytes for 2 points, got 23"),
    "pcd: truncated compressed": (
        "a.pcd",
        PCD.encode() + b"binary_compressed\n" + b"\x09\0\0\0\x18\0\0\0\x05ab",
        FileFormatError,
        "truncated",
    ),
    "pcd: odd data": ("a.pcd", PCD + "morse\n", FileFormatError, "morse"),
    "pcd: nan": ("a.pcd", PCD + "ascii\n1 2 3\n1 nan 3", ShapeError, "NaN"),
    "xyz: words": ("a.xyz", "1 2 3\nfour 5 6\n", FileFormatError, "'four' in line 2"),
    "xyz: ragged": ("a.xyz", "1 2 3\n4 5\n", FileFormatError, "2 in point 1"),
    "xyz: two columns": ("a.xyz", "1 2\n", FileFormatError, "at least 3 numbers"),
    "npz: not npz": ("a.npz", "x" * 100, FileFormatError, "NumPy archive"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_files(put, case):
    name, content, error, message = BAD[case]
    path = put(name, content)
    with pytest.raises(error, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_anywhere_is_refused_or_smaller_but_never_a_surprise(tmp_path, suffix):
    """No cut of a good file raises anything but the package's own errors."""
    save(cloud() if suffix in (".pcd", ".xyz") else cube(), tmp_path / f"a{suffix}")
    whole = (tmp_path / f"a{suffix}").read_bytes()
    refused = 0
    for cut in range(1, len(whole), max(1, len(whole) // 60)):
        (tmp_path / f"b{suffix}").write_bytes(whole[:cut])
        try:
            load(tmp_path / f"b{suffix}")
        except GeospecError:
            refused += 1
    assert refused > (20 if suffix in (".obj", ".xyz") else 55)


def test_npz_with_objects_or_other_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", vertices=np.array([{}], object), faces=np.zeros((1, 3), int))
    with pytest.raises(FileFormatError, match="plain arrays"):
        load(tmp_path / "a.npz")
    with open(tmp_path / "bare.npz", "wb") as file:
        np.save(file, np.zeros((3, 3)))
    with pytest.raises(FileFormatError, match="wanted a NumPy archive"):
        load(tmp_path / "bare.npz")
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    with pytest.raises(FileFormatError, match="points, got x"):
        load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", vertices=np.zeros((3, 3)), faces=np.array([[0, 1, 3]]))
    with pytest.raises(ShapeError, match=r"c\.npz: faces"):
        load(tmp_path / "c.npz")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*a\.ply"):
        load(tmp_path / "a.ply")
    (tmp_path / "b.ply").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load(tmp_path / "b.ply")
    with pytest.raises(ArgumentError, match="dtype"):
        load(tmp_path / "a.ply", dtype=torch.float16)


def test_repair_at_load(put):
    path = put("a.off", "OFF\n5 2 0\n9 9 9\n0 0 0\n1 0 0\n0 1 0\n0 0 0\n3 1 2 3\n3 2 4 3\n")
    shape = load(path, repair=("duplicate-vertices", "unreferenced"))
    assert shape.vertex_map.to_file.tolist() == [1, 2, 3]
    assert shape.vertex_map.from_file.tolist() == [-1, 0, 1, 2, 0]
    with pytest.raises(ArgumentError, match="no steps for a point cloud"):
        load(put("a.xyz", "1 2 3"), repair=("unreferenced",))


# Saving.


def test_refused_before_anything_is_written(tmp_path):
    for shape, name, message in [
        (cube(), "a.stp", r"\.ply, \.obj"),
        (cube(), "a.xyz", "a PointCloud for .xyz, got Mesh"),
        (cloud(), "a.stl", "a Mesh for .stl, got PointCloud"),
        (PointCloud(torch.rand(4, 2)), "a.ply", "three dimensions"),
        ("shape", "a.ply", "got str"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            save(shape, tmp_path / name)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        save(cube(), tmp_path / "no" / "a.ply")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.ply"
    save(cube(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match=r"cannot write .*a\.ply: No space left"):
        save(sphere(1), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ply"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot write"):
        save(cube(), tmp_path / "a.ply")


def test_gradients_and_devices_do_not_matter(tmp_path):
    shape = Mesh(cube().vertices.requires_grad_(), cube().faces)
    save(shape, tmp_path / "a.ply")
    assert torch.equal(load(tmp_path / "a.ply").vertices, shape.vertices.detach())


# Real files.


def counts_in(path):
    """Vertices and faces that the file itself declares, read the slow way."""
    if path.suffix == ".off":
        n, f = path.read_text().split()[1:3]
        return int(n), int(f)
    if path.suffix == ".obj":
        lines = [line.split() for line in path.read_text(errors="replace").splitlines()]
        return sum(line[:1] == ["v"] for line in lines), sum(len(line) - 3 for line in lines if line[:1] == ["f"])
    header = path.read_bytes().split(b"end_header")[0].decode()
    return int(header.split("element vertex ")[1].split()[0]), None


def test_every_real_file_loads_with_its_own_counts(shared_data):
    paths = [path for path in sorted(shared_data.rglob("*")) if path.suffix in (".off", ".obj", ".ply")]
    assert len(paths) > 50
    for path in paths:
        shape = load(path, triangulate=True)
        n, f = counts_in(path)
        assert shape.n_points == n, path
        assert f is None or len(shape.faces) == f, path


def test_order_against_plain_parsing(shared_data):
    """First and last lines of a file with seams, and of one in scientific notation, by hand."""
    path = shared_data / "meshes" / "spot.obj"
    shape = load(path)
    lines = path.read_text().splitlines()
    vertices = [[float(word) for word in line.split()[1:]] for line in lines if line.startswith("v ")]
    faces = [[int(word.split("/")[0]) - 1 for word in line.split()[1:]] for line in lines if line.startswith("f ")]
    assert shape.vertices.tolist() == vertices
    assert shape.faces.tolist() == faces
    path = shared_data / "meshes" / "camelhead.off"
    rows = [line.split() for line in path.read_text().splitlines()[2:]]
    assert load(path).vertices.tolist() == [[float(word) for word in row] for row in rows[:11381]]


def test_igea_has_its_triangles(shared_data):
    shape = load(shared_data / "hard" / "igea.ply")
    assert shape.n_points == 134345
    assert shape.n_points - len(shape.edges) + len(shape.faces) == 2
    # A head about 0.1 high: its area lies between those of its box's inscribed ball and of the box.
    size = (shape.vertices.amax(0) - shape.vertices.amin(0)).sort().values
    assert torch.pi * size[0] ** 2 < shape.area < 2 * (size[0] * size[1] + size[1] * size[2] + size[2] * size[0])
    assert (shape.face_normals * shape.vertices[shape.faces].mean(dim=1)).sum(dim=1).mean() > 0
