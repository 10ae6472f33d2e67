"""Vectors carried along a surface, values spread from points, and logarithmic maps: the vector heat method.

All of it is short-time diffusion. Heat that spreads from a point arrives by the shortest paths first; vectors that diffuse
by the connection Laplacian are turned on the way as parallel transport along these paths turns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .errors import ArgumentError, ConvergenceError, problem
from .geodesics import _checked_sources, _components, _factorised
from .laplacians.connection import tangent_edges
from .shapes.mesh import Mesh

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
Indices = npt.NDArray[np.int64]


class VectorHeat:
    """The vector heat method on a mesh, with its factorisations kept for many calls.

    A tangent vector at a vertex is two numbers in the vertex's frame, or three in space. Results come in the float
    type and on the device of the mesh, computed in float64, and are not differentiable; vertices to which no path leads
    from a source get NaN.

    Parameters
    ----------
    mesh : an oriented manifold, with or without boundary, as :func:`geospec.connection_laplacian` takes it.
    time_scale : factor of the time of diffusion, which is the mean edge length squared; larger is smoother.

    Attributes
    ----------
    frames (n, 3, 3) : rows x, y, normal of each vertex.

    Raises
    ------
    ArgumentError : ``time_scale``. ShapeError : what the connection Laplacian refuses. ConvergenceError, from
        the calls : nothing measurable arrives at a vertex that a path leads to.

    Cost at 10k vertices: 0.1 s, each factorisation at first use 0.2 s (functions) or 0.5 s (vectors), then 10 to 30 ms a
    call. Source: Sharp, Soliman and Crane 2019, "The Vector Heat Method", algorithms 1 and 2.
    """

    frames: Tensor

    def __init__(self, mesh: Mesh, *, time_scale: float = 1.0) -> None:
        if not time_scale > 0:
            raise ArgumentError(problem("time_scale", "a positive factor", time_scale))
        self._edges, self._like = tangent_edges(mesh), mesh.vertices.detach()
        self._time = time_scale * self._edges.mean_length**2
        self.frames = self._returned(self._edges.frames)

    def transport(self, sources: int | Sequence[int] | Tensor, vectors: Tensor | npt.ArrayLike) -> Tensor:
        """The tangent vectors that sources send to every vertex by parallel transport along shortest paths, ``(n, 2 or 3)``.

        Parameters
        ----------
        sources : ``s`` indices of vertices.
        vectors : ``(s, 2)`` in the frames of the sources, or ``(s, 3)`` in space, of which the tangent part counts.
            One source may have a vector without the leading axis.

        Returns
        -------
        ``(n, 2)`` in the frames, or ``(n, 3)`` in space, as the vectors came. From one source every vector has the length of its own;
        from several, a vertex gets nearly what its nearest source sends, blended where two are about as near.
        """
        index = self._sources(sources)
        sent = self._sent(index, vectors)
        total = np.zeros(len(self._edges.mass), dtype=np.complex128)
        np.add.at(total, index, _unit(sent))  # a long vector shall not reach further than a short one
        found = _unit(self._diffused(total)) * self._extended(index, np.abs(sent))
        plane = np.stack([found.real, found.imag], axis=1)
        in_space = _as_array(vectors).shape[-1] == 3
        return self._returned(np.einsum("na,nad->nd", plane, self._edges.frames[:, :2]) if in_space else plane)

    def extend_scalar(self, sources: int | Sequence[int] | Tensor, values: float | Tensor | npt.ArrayLike) -> Tensor:
        """The value of the nearest source at every vertex ``(n,)``, blended where two are about as near; ``values (s,)``."""
        index = self._sources(sources)
        given = _as_array(values).reshape(-1)
        if given.shape != index.shape or not np.isfinite(given).all():
            raise ArgumentError(problem("values", f"{len(index)} finite numbers, one a source", _described(values)))
        return self._returned(self._extended(index, given))

    def log_map(self, source: int) -> Tensor:
        """Where every vertex lies as seen from ``source``: ``(n, 2)`` in the frame of the source, zero at the source itself.

        The length is the distance, the angle the direction in which the shortest path leaves. Exact on the plane up to
        rounding, from inner and from boundary vertices; smooth near the source, 1 to 3 % off far away. Where shortest
        paths of different directions meet (the cut locus), the map tears.

        Vertices find the source by diffusion of its position, carried from frame to frame (Soliman and Sharp 2025, "The Affine
        Heat Method", the local form). That is good near the source and too short far from it, where the function whose gradient
        fits these positions, half the squared distance, takes over in proportion to the distance.
        """
        index = self._sources(source)
        if len(index) != 1:
            raise ArgumentError(problem("source", "one vertex", f"{len(index)} of them"))
        reached, toward = self._reached(index), self._position_of(index)
        near = np.abs(toward)
        far = self._distance(index, toward)
        share = far / (far[reached].max() or 1)
        ahead = self._diffused(self._point_mass(index).astype(np.complex128))  # the x axis of the source, wherever it is
        found = ((1 - share) * near + share * far) * _unit(-toward * ahead.conj())
        return self._returned(np.stack([found.real, found.imag], axis=1))

    def _extended(self, index: Indices, values: Floats) -> Floats:
        """The quotient of the diffused values and the diffused count of sources."""
        columns = np.zeros((len(self._edges.mass), 2))
        np.add.at(columns, index, np.stack([values, np.ones(len(index))], axis=1))
        value, count = self._heat.solve(columns).T
        return self._quotient(value, count, index)

    def _position_of(self, index: Indices) -> Complex:
        """Where the source lies as seen from each vertex, in the vertex's frame: the diffused position over the diffused count.

        Positions and the count diffuse together. A count that moves along an edge brings the step back along it.
        """
        edges = self._edges
        count = self._heat.solve(self._point_mass(index)[:, None])[:, 0]
        stepped = np.zeros(len(count), dtype=np.complex128)
        flux = self._time * edges.weight * edges.length
        np.add.at(stepped, edges.end, flux * np.exp(1j * edges.arrival) * count[edges.start])
        np.add.at(stepped, edges.start, flux * np.exp(1j * edges.departure) * count[edges.end])
        found = self._quotient(self._diffused(stepped), count, index)
        found[index] = 0
        return found

    def _distance(self, index: Indices, toward: Complex) -> Floats:
        """``r`` for the function ``r^2 / 2`` whose slope along edges fits minus the positions of the source, by cotangent weights."""
        edges = self._edges
        toward = np.where(np.isnan(toward), 0, toward)
        leaving = (toward[edges.start] * np.exp(-1j * edges.departure)).real
        coming = (toward[edges.end] * np.exp(-1j * edges.arrival)).real
        flux = edges.weight * edges.length * (coming - leaving) / 2
        n = len(edges.mass)
        half_square = self._fit.solve((np.bincount(edges.end, flux, n) - np.bincount(edges.start, flux, n))[:, None])[:, 0]
        return np.sqrt(2 * (half_square - half_square[index]).clip(min=0))

    def _quotient(self, value: np.ndarray, count: Floats, index: Indices) -> np.ndarray:
        reached = self._reached(index)
        if not (count[reached] > 0).all():
            lost = int((count[reached] <= 0).sum())
            raise ConvergenceError(f"vector heat method: no heat arrives at {lost} vertices far from the sources; raise time_scale")
        return np.where(reached, value / np.where(reached, count, 1), np.nan)

    def _point_mass(self, index: Indices) -> Floats:
        found = np.zeros(len(self._edges.mass))
        found[index] = 1
        return found

    @cached_property
    def _heat(self):
        import scipy.sparse

        return _factorised((scipy.sparse.diags(self._edges.mass) + self._time * self._scalar).tocsr())

    @cached_property
    def _vector_heat(self):
        import scipy.sparse

        return _factorised(_interleaved((scipy.sparse.diags(self._edges.mass) + self._time * self._edges.connection()).tocsr()))

    @cached_property
    def _fit(self):
        import scipy.sparse

        mass = self._edges.mass
        # The fit is blind to a constant; this share of the mass pins it and bends the rest by as little.
        pin = 1e-9 * float(np.median(self._scalar.diagonal())) / mass.sum()
        return _factorised((self._scalar + pin * scipy.sparse.diags(mass)).tocsr())

    @cached_property
    def _scalar(self):
        return self._edges.scalar()

    @cached_property
    def _component(self) -> npt.NDArray[np.int32]:
        import scipy.sparse

        n = len(self._edges.mass)
        links = np.ones(len(self._edges.start)), (self._edges.start, self._edges.end)
        return _components(scipy.sparse.csr_matrix(links, shape=(n, n)))

    def _diffused(self, field: Complex) -> Complex:
        solved = self._vector_heat.solve(np.ascontiguousarray(field).view(np.float64)[:, None])
        return np.ascontiguousarray(solved[:, 0]).view(np.complex128)

    def _reached(self, index: Indices) -> npt.NDArray[np.bool_]:
        return np.isin(self._component, self._component[index])

    def _sources(self, sources: int | Sequence[int] | Tensor) -> Indices:
        index = _checked_sources(sources, len(self._edges.mass))
        if not len(index):
            raise ArgumentError(problem("sources", "at least one vertex", "none"))
        return index

    def _sent(self, index: Indices, vectors: Tensor | npt.ArrayLike) -> Complex:
        """The given vectors as complex numbers ``(s,)`` in the frames of their sources."""
        given = _as_array(vectors)
        given = given[None] if given.ndim == 1 and len(index) == 1 else given
        if given.shape not in {(len(index), 2), (len(index), 3)} or not np.isfinite(given).all():
            raise ArgumentError(problem("vectors", f"finite numbers ({len(index)}, 2) or ({len(index)}, 3)", _described(vectors)))
        if given.shape[1] == 3:
            given = np.einsum("sd,sad->sa", given, self._edges.frames[index, :2])
        return given[:, 0] + 1j * given[:, 1]

    def _returned(self, values: Floats) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._like)


def _unit(vectors: Complex) -> Complex:
    """Vectors made unit length, zeros left."""
    size = np.abs(vectors)
    return vectors / np.where(size > 0, size, 1)


def _interleaved(matrix):
    """A complex Hermitian CSR ``(n, n)`` as a real symmetric one ``(2 n, 2 n)``: real and imaginary parts take turns."""
    import scipy.sparse

    real, imaginary = matrix.data.real, matrix.data.imag
    blocks = np.stack([real, -imaginary, imaginary, real], axis=1).reshape(-1, 2, 2)
    return scipy.sparse.bsr_matrix((blocks, matrix.indices, matrix.indptr)).tocsr()


def _as_array(values: float | Tensor | npt.ArrayLike) -> Floats:
    plain = values.detach().cpu() if isinstance(values, Tensor) else values
    return np.asarray(plain, dtype=np.float64)


def _described(values: object) -> str:
    array = _as_array(values)  # type: ignore[arg-type]
    return f"shape {tuple(array.shape)}" + ("" if np.isfinite(array).all() else " with NaN or infinity")
