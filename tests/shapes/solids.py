"""Small shapes of which everything is known."""

import numpy as np

from geospec.shapes import Mesh


def mesh(vertices, faces):
    return Mesh(np.asarray(vertices, np.float64).reshape(-1, 3), np.asarray(faces, np.int64).reshape(-1, 3))


def tetrahedron(at=(0, 0, 0)):
    """Volume 1/6, outward."""
    return mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) + np.array(at), [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def cube():
    """Corner at the origin, side 1, outward."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    squares = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return mesh(corners, [[s[0], s[i], s[i + 1]] for s in squares for i in (1, 2)])


def grid(rows, columns, wrap_rows=False, wrap_columns=False, twist=False):
    """Faces of a rows x columns sheet of vertices; wrapped directions close up, ``twist`` turns the rows' seam over."""
    index = np.arange(rows * columns).reshape(rows, columns)
    if wrap_rows:
        index = np.concatenate([index, index[:1, ::-1] if twist else index[:1]])
    if wrap_columns:
        index = np.concatenate([index, index[:, :1]], axis=1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def torus(rows=24, columns=12, ring=2.0, tube=0.5):
    u, v = np.meshgrid(np.arange(rows) * 2 * np.pi / rows, np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    points = [(ring + tube * np.cos(v)) * np.cos(u), (ring + tube * np.cos(v)) * np.sin(u), tube * np.sin(v)]
    return mesh(np.stack(points, -1), grid(rows, columns, True, True))


def moebius(rows=24):
    u, w = np.meshgrid(np.arange(rows) * 2 * np.pi / rows, np.linspace(-0.3, 0.3, 3), indexing="ij")
    points = [(1 + w * np.cos(u / 2)) * np.cos(u), (1 + w * np.cos(u / 2)) * np.sin(u), w * np.sin(u / 2)]
    return mesh(np.stack(points, -1), grid(rows, 3, wrap_rows=True, twist=True))


def disk(rows=4, columns=5):
    x, y = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    return mesh(np.stack([x, y, 0 * x], -1), grid(rows, columns))


def sphere(times=3):
    """A subdivided octahedron pushed out to radius 1."""
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float64)
    faces = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
    for _ in range(times):
        sides = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        edges, side = np.unique(sides, axis=0, return_inverse=True)
        a, b, c = faces.T
        ab, bc, ca = (len(corners) + side.reshape(-1, 3)).T
        middle = corners[edges].mean(axis=1)
        corners = np.concatenate([corners, middle / np.linalg.norm(middle, axis=1, keepdims=True)])
        faces = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], axis=1).reshape(-1, 3)
    return mesh(corners, faces)


def join(*meshes):
    """Several meshes side by side in one."""
    starts = np.cumsum([0, *(m.n_points for m in meshes)])
    faces = [m.faces.numpy() + start for m, start in zip(meshes, starts, strict=False)]
    return mesh(np.concatenate([m.vertices.numpy() for m in meshes]), np.concatenate(faces))
