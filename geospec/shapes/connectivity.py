"""Who touches whom: edges, fans, components and orientations of a triangle list, without a loop over faces.

Arrays are NumPy's: this is integer work that runs once a shape, on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


def components(n: int, links: np.ndarray) -> np.ndarray:
    """Label ``(n,)`` of the connected component of each of ``n`` nodes, given ``links (m, 2)``; labels from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _next_corner(corner: np.ndarray) -> np.ndarray:
    return corner - corner % 3 + (corner + 1) % 3


@dataclass(frozen=True, eq=False)
class Connectivity:
    """Adjacency of ``faces (f, 3)`` int64 over ``n`` vertices; every part is found when first asked for.

    Half-edge ``h`` of ``3 f`` lies in face ``h // 3`` and runs from its corner ``h % 3`` to the next one. Faces
    that name a vertex twice take no part: they would be their own neighbours.
    """

    faces: np.ndarray
    n: int

    @cached_property
    def proper(self) -> np.ndarray:
        """Which faces ``(f,)`` have three different vertices."""
        a, b, c = self.faces.T
        return (a != b) & (b != c) & (c != a)

    @cached_property
    def half_edges(self) -> np.ndarray:
        """Indices of the half-edges of proper faces, sorted by edge: those of one edge stand together."""
        every = np.flatnonzero(np.repeat(self.proper, 3))
        return every[np.argsort(self._edge_key[every], kind="stable")]

    @cached_property
    def _edge_key(self) -> np.ndarray:
        start, end = self.start_of_half_edge, self.end_of_half_edge
        return np.minimum(start, end) * self.n + np.maximum(start, end)

    @property
    def start_of_half_edge(self) -> np.ndarray:
        """The vertex ``(3 f,)`` each half-edge leaves, which is also the vertex of each corner."""
        return self.faces.reshape(-1)

    @property
    def end_of_half_edge(self) -> np.ndarray:
        """The vertex ``(3 f,)`` each half-edge runs to."""
        return self.faces[:, [1, 2, 0]].reshape(-1)

    @cached_property
    def first_of_edge(self) -> np.ndarray:
        """Where each edge ``(e,)`` begins in ``half_edges``."""
        key = self._edge_key[self.half_edges]
        return np.flatnonzero(np.diff(key, prepend=-1))

    @cached_property
    def faces_of_edge(self) -> np.ndarray:
        """The number of faces on each edge ``(e,)``."""
        return np.diff(self.first_of_edge, append=len(self.half_edges))

    def ends(self, edges: np.ndarray) -> np.ndarray:
        """The vertices ``(m, 2)`` of some edges, smaller first."""
        key = self._edge_key[self.half_edges[self.first_of_edge[edges]]]
        return np.stack([key // max(self.n, 1), key % max(self.n, 1)], axis=1)

    @cached_property
    def neighbours(self) -> np.ndarray:
        """Pairs of half-edges ``(m, 2)`` on one edge: each with the next, so that all on it are linked."""
        same = self._edge_key[self.half_edges[1:]] == self._edge_key[self.half_edges[:-1]]
        return np.stack([self.half_edges[:-1][same], self.half_edges[1:][same]], axis=1)

    @cached_property
    def edge_of_neighbours(self) -> np.ndarray:
        """The edge of each pair of ``neighbours``."""
        return np.repeat(np.arange(len(self.faces_of_edge)), self.faces_of_edge - 1)

    @cached_property
    def simple(self) -> np.ndarray:
        """Which ``neighbours`` are alone on their edge."""
        return self.faces_of_edge[self.edge_of_neighbours] == 2

    @cached_property
    def aligned(self) -> np.ndarray:
        """Which ``neighbours`` run the same way: their faces are turned against each other."""
        first, second = self.neighbours.T
        return self.start_of_half_edge[first] == self.start_of_half_edge[second]

    @cached_property
    def fan_of_corner(self) -> np.ndarray:
        """Label ``(3 f,)`` of the fan of each corner: corners at one vertex whose faces hang together by edges."""
        first, second = self.neighbours.T
        # The corner of the second face at the first half-edge's start: its own start where both run alike.
        at_start = np.where(self.aligned, second, _next_corner(second))
        at_end = np.where(self.aligned, _next_corner(second), second)
        links = np.concatenate([np.stack([first, at_start], axis=1), np.stack([_next_corner(first), at_end], axis=1)])
        return components(3 * len(self.faces), links)

    @cached_property
    def fans_of_vertex(self) -> np.ndarray:
        """The number of fans around each vertex ``(n,)``: 1 on a manifold, with or without boundary; 0 where no face is."""
        corner = np.flatnonzero(np.repeat(self.proper, 3))
        fans, one = np.unique(self.fan_of_corner[corner], return_index=True)
        return np.bincount(self.start_of_half_edge[corner[one]], minlength=self.n) if len(fans) else np.zeros(self.n, np.int64)

    @cached_property
    def boundary_loops(self) -> int:
        """The number of closed chains of boundary edges, once the surface is cut apart where only a vertex holds it together."""
        edges = self.half_edges[self.first_of_edge[self.faces_of_edge == 1]]
        links = np.stack([self.fan_of_corner[edges], self.fan_of_corner[_next_corner(edges)]], axis=1)
        fans, links = np.unique(links, return_inverse=True)
        return len(np.unique(components(len(fans), links.reshape(-1, 2)))) if len(fans) else 0

    @cached_property
    def component_of_vertex(self) -> np.ndarray:
        """Label ``(n,)`` of the component of each vertex; faces that share a vertex are connected."""
        return components(self.n, self.faces[:, [0, 1, 1, 2]].reshape(-1, 2))

    @cached_property
    def _sheet_of_face(self) -> np.ndarray:
        # The orientation double cover: node f is face f as it stands, node f + F the face turned round.
        # Edges of more than two faces ask nothing: no orientation of three faces agrees in pairs.
        count = len(self.faces)
        one, other = (self.neighbours[self.simple] // 3).T
        turned = np.where(self.aligned[self.simple], count, 0)
        links = np.concatenate([np.stack([one, other + turned], axis=1), np.stack([one + count, other + count - turned], axis=1)])
        return components(2 * count, links).reshape(2, count)

    @cached_property
    def orientable(self) -> bool:
        """Whether faces can be turned so that both faces of each two-face edge agree: false on a Moebius strip."""
        upper, lower = self._sheet_of_face
        return bool((upper != lower).all())

    @cached_property
    def patches(self) -> tuple[np.ndarray, np.ndarray]:
        """``(patch (f,), turned (f,))``: the label of the faces that hang together by two-face edges, and
        which of them stand against the patch's first face."""
        upper, lower = self._sheet_of_face
        patch = np.unique(np.minimum(upper, lower), return_inverse=True)[1]
        first = np.unique(patch, return_index=True)[1]
        return patch, upper != upper[first][patch]
