"""The eigenfunctions of a Laplacian: the Fourier basis of a surface."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, GeospecError, ShapeError, one_of, problem
from ..laplacians import Laplacian, boundary_vertices, laplacian
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from . import cache as disk
from .base import SampledBasis
from .eigensolvers import TOLERANCE, Progress, eigenpairs
from .signs import signs


@final
class LaplaceBasis(SampledBasis):
    """The first ``k`` eigenfunctions ``S phi = lambda M phi`` of a shape's Laplacian.

    Attributes
    ----------
    modes (n, k) : orthonormal, ``phi^T M phi = I``; eigenvalues (k,) : ascending, the first 0 on a shape
        without Dirichlet boundary, in units of 1 / length squared; measure (n,) : the lumped mass.
    residuals (k,) : what the solver left, ``|S phi - lambda M phi|`` in the norm of ``M^-1`` over
        ``lambda`` plus the scale of the first non-zero eigenvalue; ``None`` where the modes came from elsewhere.
    options : how it was made: ``kind``, ``boundary``, ``solver``, number of ``components``, and whether the modes were ``counted``:
        inertia then certifies that none is missing.
    """

    kind: ClassVar[str] = "laplace"
    eigenvalues: Tensor
    residuals: Tensor | None

    def __init__(
        self,
        modes: Tensor,
        measure: Tensor,
        eigenvalues: Tensor,
        options: dict[str, Any] | None = None,
        *,
        residuals: Tensor | None = None,
    ) -> None:
        super().__init__(modes, measure, eigenvalues, options)
        self.register_buffer("residuals", residuals)

    @classmethod
    def fit(
        cls,
        shape: Mesh | PointCloud | Laplacian,
        k: int,
        *,
        kind: str = "robust",
        boundary: str = "neumann",
        solver: str = "auto",
        tolerance: float = TOLERANCE,
        start: LaplaceBasis | None = None,
        cache: bool | str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> LaplaceBasis:
        """Compute the first ``k`` modes, in float64; they come in the shape's float type, on its device.

        Parameters
        ----------
        shape : a mesh, a point cloud, or a Laplacian at hand (``kind`` is then not used).
        k : number of modes, from 1 to the number of points (of interior points under Dirichlet).
        kind : construction of the Laplacian, see :func:`geospec.laplacian`.
        boundary : ``"neumann"`` leaves the boundary free (the first mode is constant);
            ``"dirichlet"`` holds every mode at zero on the boundary of an open mesh.
        solver, tolerance : see :func:`geospec.eigenpairs`; the residuals that come out are kept in ``residuals``.
        start : a basis of the same number of points that helps: of the same shape with fewer modes (in float64 they are
            kept, and only the further ones are computed; float32 is too coarse for that), or of a deformed shape.
        cache : a folder for results, ``True`` for the user's cache folder (``$XDG_CACHE_HOME/geospec``),
            ``None`` for none. Fewer modes found there serve as ``start``. See :mod:`geospec.bases.cache`.
        progress : called as ``progress("modes", done, k)``.

        Raises
        ------
        ArgumentError : ``k`` out of range, unknown option, Dirichlet of what has no boundary.
        ShapeError : what the Laplacian refuses. ConvergenceError : residuals are not met.

        Notes
        -----
        The sign of a mode makes its third moment ``sum_i m_i phi_i^3`` positive, whatever the order of the
        vertices; where that vanishes (an odd mode of a symmetric shape), its entry of largest magnitude,
        the first of equals. Within a multiple eigenvalue any rotation is right: compare projectors.
        Not differentiable. Cost for k = 128 on one core, the Laplacian aside: 0.3 s at 10k points, 2 s at 50k, 8 s at 200k;
        memory about ``30 n k`` bytes.
        """
        one_of("boundary", boundary, ("neumann", "dirichlet"))
        if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
            raise ArgumentError(problem("k", "a positive integer", repr(k)))
        k = int(k)
        if start is not None and not isinstance(start, LaplaceBasis):
            raise ArgumentError(problem("start", "a LaplaceBasis", type(start).__name__))
        if cache is None or cache is False:
            return cls._solve(shape, k, kind, boundary, solver, tolerance, start, progress)
        if not isinstance(tolerance, float | int):
            raise ArgumentError(problem("tolerance", "a number between 0 and 1", repr(tolerance)))
        options = {"kind": kind, "boundary": boundary, "solver": solver, "tolerance": repr(float(tolerance))}
        path = disk.folder(cache) / f"{disk.key(shape, **options)}.safetensors"
        stored = disk.read(path, cls)
        if stored is None or stored.k < k:
            stored = cls._solve(shape, k, kind, boundary, solver, tolerance, stored or start, progress)
            stored.save(path)
        device = shape.mass.device if isinstance(shape, Laplacian) else shape.points.device
        return stored.truncate(k).to(device)

    @classmethod
    def fit_many(
        cls,
        shapes: Iterable[Mesh | PointCloud | Laplacian],
        k: int,
        *,
        workers: int | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> list[LaplaceBasis]:
        """:meth:`fit` of each shape, several at a time: for many small ones, too small to share each among threads.

        Parameters
        ----------
        shapes : in any number; the bases come in their order.
        workers : threads, each with one shape in hand; ``torch.get_num_threads()`` by default.
        progress : called as ``progress("shapes", done, total)`` from the caller's thread.
        k, options : of :meth:`fit`.

        Raises
        ------
        What :meth:`fit` raises, of the first shape that fails, with ``shapes[i]`` before the message; no further ones are begun.

        Notes
        -----
        Within a shape the work is done by one thread, so the result is that of :meth:`fit` under ``torch.set_num_threads(1)``, bit
        for bit, whatever ``workers`` is. That setting belongs to the process: it is in force for all of torch until the call returns.
        At 2,000 points and 30 modes about half of the work holds Python's lock: expect less than twice the speed, whatever
        ``workers`` is. Large shapes gain nothing here: :meth:`fit` shares the work on one among threads, and holds one in memory.
        """
        given = list(shapes)
        threads = torch.get_num_threads()
        if workers is not None and (not isinstance(workers, Integral) or isinstance(workers, bool) or workers < 1):
            raise ArgumentError(problem("workers", "a positive integer", repr(workers)))
        bases: list[LaplaceBasis] = []
        pool = ThreadPoolExecutor(threads if workers is None else int(workers), thread_name_prefix="geospec-basis")
        torch.set_num_threads(1)  # before the pool's threads begin, which take it over
        try:
            for i, future in enumerate([pool.submit(cls.fit, shape, k, **options) for shape in given]):
                try:
                    bases.append(future.result())
                except GeospecError as cause:
                    raise type(cause)(f"shapes[{i}]: {cause}") from cause
                except Exception as cause:
                    cause.add_note(f"while fitting shapes[{i}]")
                    raise
                if progress is not None:
                    progress("shapes", i + 1, len(given))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)
        return bases

    @classmethod
    def _solve(
        cls,
        shape: Mesh | PointCloud | Laplacian,
        k: int,
        kind: str,
        boundary: str,
        solver: str,
        tolerance: float,
        start: LaplaceBasis | None,
        progress: Progress | None,
    ) -> LaplaceBasis:
        operator = shape if isinstance(shape, Laplacian) else laplacian(shape, kind)
        wide = operator.in_float64()
        if not bool((wide.mass > 0).all()):
            raise ShapeError(problem("shape", "positive mass at every point", f"{int((~(wide.mass > 0)).sum())} points without"))
        free = _interior(shape) if boundary == "dirichlet" else None
        n = operator.n_points if free is None else len(free)
        if k > n:
            where = "points" if boundary == "neumann" else "points inside the boundary"
            raise ArgumentError(problem("k", f"at most the {n} {where}", k))
        if start is not None and start.n != operator.n_points:
            raise ArgumentError(problem("start", f"a basis on {operator.n_points} points", repr(start)))
        guess = None if start is None else start.modes if free is None else start.modes[torch.from_numpy(free)]
        how: dict[str, Any] = {"solver": solver, "tolerance": tolerance, "start": guess, "progress": progress}
        if free is None:
            found = eigenpairs(wide.stiffness, wide.mass, k, **how)
            inner, mass = found.vectors, wide.mass
        else:
            stiffness, mass_matrix = wide.to_scipy()
            inside = eigenpairs(stiffness[free][:, free], mass_matrix.diagonal()[free], k, **how)
            found = replace(inside, values=torch.from_numpy(inside.values), residuals=torch.from_numpy(inside.residuals))
            inner, mass = torch.from_numpy(inside.vectors), wide.mass.cpu()[torch.from_numpy(free)]
        inner *= signs(inner, mass)
        modes = inner
        if free is not None:
            modes = torch.zeros(operator.n_points, k, dtype=torch.float64)
            modes[torch.from_numpy(free)] = inner
        like = operator.mass.detach()
        done = {name: found.report[name] for name in ("solver", "components", "counted")}
        options = {"kind": operator.kind, "boundary": boundary, **done}
        return cls(modes.to(like), like, found.values.to(like), options, residuals=found.residuals.to(like))

    def truncate(self, k: int) -> LaplaceBasis:
        k = self._checked_k(k)
        residuals = None if self.residuals is None else self.residuals[:k]
        return LaplaceBasis(self.modes[:, :k], self.measure, self.eigenvalues[:k], self.options, residuals=residuals)

    def scaled(self, factor: float | Tensor) -> LaplaceBasis:
        """The basis of the same shape with its lengths multiplied by ``factor > 0``: nothing is computed again.

        Modes go as ``1 / factor``, the measure as ``factor^2``, eigenvalues as ``1 / factor^2``. With ``factor =
        measure.sum() ** -0.5`` the area becomes one, and the eigenvalues of two shapes compare.
        """
        factor = torch.as_tensor(factor).to(self.modes)
        if not bool(factor > 0):
            raise ArgumentError(problem("factor", "a positive number", float(factor)))
        return LaplaceBasis(
            self.modes / factor, self.measure * factor**2, self.eigenvalues / factor**2, self.options, residuals=self.residuals
        )

    def _arrays(self) -> dict[str, Tensor]:
        arrays = super()._arrays()
        return arrays if self.residuals is None else {**arrays, "residuals": self.residuals}


def _interior(shape: Mesh | PointCloud | Laplacian) -> np.ndarray:
    """Vertices off the boundary: on no edge that has a single face."""
    if not isinstance(shape, Mesh):
        raise ArgumentError(problem("boundary", "'neumann' where there are no faces to tell the boundary", "'dirichlet'", "pass a Mesh"))
    outline = boundary_vertices(shape)
    if not len(outline):
        raise ArgumentError(problem("boundary", "'neumann' for a closed mesh", "'dirichlet'", "this mesh has no boundary edge"))
    free = torch.ones(shape.n_points, dtype=torch.bool, device=outline.device)
    free[outline] = False
    return np.flatnonzero(free.cpu().numpy())
