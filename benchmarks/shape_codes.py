"""Rate and distortion of shape codes beside mesh codecs, and where the time of encoding and decoding goes.

    python -m benchmarks.shape_codes [--data FOLDER] [--only NAME ...] [--plot rates.png]

Prints two Markdown tables. A code keeps the solid and forgets the mesh: its decoded surface has other vertices and faces, and its
closed, evenly sampled triangles. Draco and the generic compressors keep the mesh's own connectivity, which is part of their bytes; their
error is that of rounded vertices alone. Peers: DracoPy, libigl (exact distances between surfaces), the standard library's lzma.
"""

from __future__ import annotations

import argparse
import io
import lzma
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

import geospec
from geospec.codes import ShapeCode, encode, field_in_box, inside_iou
from geospec.datasets import blob, mechanical_part, solid
from geospec.ops import isosurface
from geospec.shapes import Mesh, sample_surface
from geospec.shapes.grid import DistanceField
from geospec.viz.picture import Picture

RESOLUTION, SAMPLES = 256, 20_000
PRESETS = ("near-lossless", "compact", "tiny")
DRACO_BITS = (8, 9, 10, 11, 12, 14)
COLORS = {"gsc": "#0b62a4", "draco": "#d1495b", "lzma": "#3f8f5f"}


@dataclass(frozen=True)
class Point:
    """One codec at one setting: size, and what came back."""

    method: str
    setting: str
    n_bytes: int
    mesh: Mesh


def arrays(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    return mesh.vertices.numpy().astype(np.float32), mesh.faces.numpy()


def meshed(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    return Mesh(torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float32)), torch.from_numpy(faces.astype(np.int64)))


def codes(field: DistanceField) -> Iterator[Point]:
    """Our files, by preset, at the paper's number of trees."""
    code = encode(field)
    for preset in PRESETS:
        stream = io.BytesIO()
        code.save(stream, preset)
        size = stream.tell()
        stream.seek(0)
        yield Point("gsc", preset, size, ShapeCode.load(stream).decode())


def draco(mesh: Mesh) -> Iterator[Point]:
    """Google's mesh codec: edgebreaker connectivity, rounded and predicted vertices."""
    import DracoPy

    vertices, faces = arrays(mesh)
    for bits in DRACO_BITS:
        data = DracoPy.encode(vertices, faces.astype(np.uint32), quantization_bits=bits, compression_level=7)
        back = DracoPy.decode(data)
        yield Point("draco", f"{bits} bits", len(data), meshed(back.points, back.faces))


def generic(mesh: Mesh) -> Iterator[Point]:
    """Plain arrays through lzma: float32 vertices as a binary PLY has them, and vertices in whole steps with differences of indices."""
    vertices, faces = arrays(mesh)
    triples = np.concatenate([np.full((len(faces), 1), 3), faces], axis=1)
    plain = vertices.tobytes() + triples.astype("<i4").tobytes()
    low, side = vertices.min(0), np.ptp(vertices, axis=0).max()
    for bits in (10, 12, 14):
        whole = np.round((vertices - low) / side * (2**bits - 1)).astype("<i2")
        rest = np.diff(faces.reshape(-1), prepend=0).astype("<i4")
        packed = np.diff(whole, axis=0, prepend=0).astype("<i2").T.tobytes() + rest.view(np.uint8).reshape(-1, 4).T.tobytes()
        yield Point("lzma", f"{bits} bits", len(lzma.compress(packed)), meshed(whole / (2**bits - 1) * side + low, faces))
    yield Point("lzma", "float32", len(lzma.compress(plain)), mesh)


def distortion(truth: Mesh, field: DistanceField, decoded: Mesh) -> dict[str, float]:
    """IoU at the field's cells; mean distance between the surfaces both ways over half the box; mean angle of normals in degrees."""
    iou: float | None = inside_iou(field.values, field_in_box(decoded, field.grid, truncation=0.02).values)
    half = field.truncation / 0.1
    distances, angles = zip(*(_one_way(a, b) for a, b in ((truth, decoded), (decoded, truth))), strict=True)
    return {"iou": np.nan if iou is None else iou, "chamfer": sum(distances) / 2 / half, "angle": sum(angles) / 2}


def _one_way(a: Mesh, b: Mesh) -> tuple[float, float]:
    import igl

    sample = sample_surface(a, SAMPLES, seed=0)
    target = b.vertices.double().numpy()
    squared, face, _ = igl.point_mesh_squared_distance(sample.cloud.points.double().numpy(), target, b.faces.numpy())
    cosine = (a.face_normals[sample.face].double() * b.face_normals[torch.from_numpy(np.asarray(face))].double()).sum(dim=1).clamp(-1, 1)
    return float(np.sqrt(squared).mean()), float(torch.rad2deg(torch.arccos(cosine)).mean())


def shapes(data: Path | None) -> dict[str, Mesh]:
    """A bracket and a blob with irregular triangles; a chair whose vertices lie on a grid, which mesh codecs like; meshes of the folder."""
    made = {
        "bracket": mechanical_part(3, kind="bracket", n_vertices=20_000, dtype=torch.float32),
        "blob": blob(1, style="limbs", n_vertices=20_000, dtype=torch.float32),
        "chair": solid("chair", 0, resolution=128),
    }
    files = [] if data is None else [data / f"{name}.obj" for name in ("spot", "stanford-bunny", "armadillo")]
    for path in files:
        mesh = geospec.load(path)
        made[path.stem] = Mesh(mesh.vertices.float(), mesh.faces)
    return made


def stages(mesh: Mesh) -> Iterator[tuple[str, float]]:
    """CPU seconds of each stage, the median of three."""
    field = field_in_box(mesh, RESOLUTION)
    code = encode(field)
    stream = io.BytesIO()
    code.save(stream)
    coefficients = code.tree.analysis(field.values)
    values = code.field().values

    def load() -> ShapeCode:
        stream.seek(0)
        return ShapeCode.load(stream)

    runs: dict[str, Callable[[], object]] = {
        "distances": lambda: field_in_box(mesh, RESOLUTION),
        "transform": lambda: code.tree.analysis(field.values),
        "trees": lambda: code.tree.filter(coefficients),
        "write": lambda: code.save(io.BytesIO()),
        "read": load,
        "inverse": code.field,
        "surface": lambda: isosurface(values),
    }
    for name, run in runs.items():
        taken = []
        for _ in range(3):
            start = time.process_time()
            run()
            taken.append(time.process_time() - start)
        yield name, sorted(taken)[1]


def plot(found: dict[str, list[tuple[Point, dict[str, float]]]], path: Path) -> None:
    """Chamfer distance by bytes, both logarithmic, a panel for each shape."""
    width, height, columns = 380, 300, 3
    picture = Picture(width * columns, 40 + height * -(-len(found) // columns))
    picture.text(20, 20, "Mean distance between surfaces, in halves of the box, by bytes", "#1c1f26", size=15)
    for j, (color, name) in enumerate(zip(COLORS.values(), COLORS, strict=True)):
        picture.dot(600 + 100 * j, 20, 4, color)
        picture.text(610 + 100 * j, 20, name, "#1c1f26")
    for i, (name, points) in enumerate(found.items()):
        left, top = width * (i % columns) + 60, 70 + height * (i // columns)

        def place(n_bytes: float, error: float, left: float = left, top: float = top) -> tuple[float, float]:
            x = left + 300 * (np.log10(n_bytes) - 3.5) / 3.2
            return float(x), float(top + 210 * (-2 - np.log10(max(error, 1e-6))) / 4)

        picture.text(left, top - 14, name, "#1c1f26", size=13)
        for power in range(-6, -1):
            y = place(1e4, 10.0**power)[1]
            picture.line(left, y, left + 300, y, "#dddddd")
            picture.text(left - 6, y, f"1e{power}", "#6e737d", "end")
        for power in (4, 5, 6):
            picture.text(place(10.0**power, 1)[0], top + 226, f"1e{power}", "#6e737d", "middle")
        for method, color in COLORS.items():
            at = [place(p.n_bytes, d["chamfer"]) for p, d in points if p.method == method]
            for a, b in pairwise(at):
                picture.line(*a, *b, color, 1.6)
            for spot in at:
                picture.dot(*spot, 3.5, color)
    picture.image().save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with spot.obj, stanford-bunny.obj and armadillo.obj")
    parser.add_argument("--only", nargs="*", help="names of shapes")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    chosen = {name: mesh for name, mesh in shapes(options.data).items() if not options.only or name in options.only}
    print("| stage | " + " | ".join(chosen) + " |\n| --- |" + " --- |" * len(chosen))
    timed = {name: dict(stages(mesh)) for name, mesh in chosen.items()}
    for stage in next(iter(timed.values())):
        print(f"| {stage}, CPU s | " + " | ".join(f"{timed[name][stage]:.3f}" for name in chosen) + " |")
    print(f"\nPeak memory of the process up to here, with torch: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB\n")
    print("| shape | faces | codec | bytes | IoU | Chamfer, 1e-3 | normals, degrees |\n| --- | --- | --- | --- | --- | --- | --- |")
    found: dict[str, list[tuple[Point, dict[str, float]]]] = {}
    for name, mesh in chosen.items():
        field = field_in_box(mesh, RESOLUTION)
        for point in [*codes(field), *draco(mesh), *generic(mesh)]:
            d = distortion(mesh, field, point.mesh)
            found.setdefault(name, []).append((point, d))
            cells = f"{len(mesh.faces):,} | {point.method} {point.setting} | {point.n_bytes:,}"
            print(f"| {name} | {cells} | {d['iou']:.4f} | {1e3 * d['chamfer']:.3f} | {d['angle']:.2f} |", flush=True)
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
