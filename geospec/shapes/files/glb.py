"""GLB, binary glTF 2.0, through trimesh."""

from __future__ import annotations

import io

import numpy as np

from ...errors import FileFormatError, problem
from .contents import Contents, Polygons


def read_glb(name: str, data: bytes) -> Contents:
    """All parts of the scene, placed by their nodes, one part after another; the file's axes (y up) are kept.

    Vertices keep the order of their buffers. glTF cuts vertices along texture and normal seams: the
    repair step ``"duplicate-vertices"`` joins them.
    """
    import trimesh

    if data[:4] != b"glTF":
        raise FileFormatError(problem(name, "a binary glTF file", repr(data[:20].decode(errors="replace"))))
    try:
        scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False)
    except Exception as cause:  # trimesh lets through whatever its JSON, struct and NumPy calls raise
        raise FileFormatError(
            problem(name, "a binary glTF file", f"{type(cause).__name__}: {cause}", "the file may be truncated")
        ) from cause
    points, faces, start = [], [], 0
    for node in scene.graph.nodes_geometry:
        placement, part = scene.graph[node]
        geometry = scene.geometry[part]
        points.append(np.asarray(geometry.vertices) @ placement[:3, :3].T + placement[:3, 3])
        if isinstance(geometry, trimesh.Trimesh):
            faces.append(np.asarray(geometry.faces) + start)
        start += len(points[-1])
    if start == 0:
        raise FileFormatError(problem(name, "a scene with vertices", "none"))
    return Contents(np.concatenate(points), Polygons.uniform(np.concatenate(faces)) if faces else None)


def write_glb(contents: Contents) -> bytes:
    """One mesh or cloud, coordinates as float32, without normals."""
    import trimesh

    scene = trimesh.Scene()
    if contents.faces is None:
        scene.add_geometry(trimesh.PointCloud(contents.points))
    else:
        scene.add_geometry(trimesh.Trimesh(contents.points, contents.faces.corners.reshape(-1, 3), process=False))
    return trimesh.exchange.gltf.export_glb(scene)
