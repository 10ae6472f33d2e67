"""Star-shaped surfaces: a radius for each direction from a centre, in spherical harmonics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ArgumentError, ShapeError, problem
from ...ops.harmonic_table import check_degree
from ...shapes.cloud import PointCloud
from ...shapes.mesh import Mesh
from ...shapes.sphere import AREA, Sphere, icosphere
from .basis import SphericalHarmonics


@final
@dataclass(frozen=True, eq=False)
class SphericalShape:
    """The surface ``center + r(u) u`` over all directions ``u``, with ``r`` in orthonormal spherical harmonics.

    Made by :meth:`fit`.

    Attributes
    ----------
    coefficients : (k,) of the radius, in the order ``l^2 + l + m``.
    center : (3,).
    error : root mean square of what the radius misses of the samples, over the mean radius.
    largest_error : the largest such miss, over the mean radius.
    star_defect : share of the directions in which a ray from the centre does not meet the mesh exactly once, as
        :func:`star_defect` counts it; ``None`` for a cloud, which does not say.
    """

    coefficients: Tensor
    center: Tensor
    error: float
    largest_error: float
    star_defect: float | None

    def __repr__(self) -> str:
        return f"SphericalShape(degree={self.degree}, error={self.error:.2g}, star_defect={self.star_defect})"

    @property
    def degree(self) -> int:
        """The largest degree."""
        return math.isqrt(len(self.coefficients)) - 1

    @classmethod
    def fit(
        cls,
        shape: Mesh | PointCloud,
        degree: int,
        *,
        center: Tensor | None = None,
        smoothness: float = 0.0,
        largest_defect: float = 0.0,
    ) -> SphericalShape:
        """Least squares of the radius at the vertices or points, each weighed by the solid angle that it stands for.

        Parameters
        ----------
        shape : a closed mesh with faces counter-clockwise from outside, or a cloud around its centre.
        degree : 0 or more; ``(degree + 1)^2`` coefficients.
        center : (3,). By default the centroid; where that does not see all of the mesh, the point of :func:`star_center`,
            if that does.
        smoothness : weight of ``sum l^2 (l + 1)^2 c_lm^2`` beside the integral of the squared miss.
        largest_defect : the largest :func:`star_defect` that is fitted; where it is not 0 the radius is a mean over the sheets.

        Raises
        ------
        ShapeError : a mesh that is not star-shaped, with its defect; a centre on the surface.
        ArgumentError : points that do not determine the degree.

        Cost: ``n (degree + 1)^4`` flops; float64.
        """
        check_degree(degree)
        if isinstance(shape, Mesh):
            middle, angles = _seen_from(shape, center)
            defect = _defect(angles)
            if not defect <= largest_defect:
                raise ShapeError(_not_star_shaped(defect, largest_defect, center))
            third = (angles.abs() / 3).repeat_interleave(3)
            weights = angles.new_zeros(shape.n_points).index_add(0, shape.faces.reshape(-1), third)
            radii, directions = _polar(shape.points, middle)
        else:
            _check_cloud(shape)
            middle, defect = _given(center) if center is not None else shape.points.double().mean(dim=0), None
            radii, directions = _polar(shape.points, middle)
            weights = Sphere.at(directions).measure
        basis = SphericalHarmonics(degree, dtype=torch.float64)
        found = basis.to(radii.device).regress(directions, radii[:, None], weights=weights, smoothness=smoothness)
        miss = (basis.synthesize_at(found, directions)[:, 0] - radii)[weights > 0].abs()
        mean = float((weights * radii).sum() / weights.sum())
        rms = float((weights[weights > 0] * miss**2).sum().div(weights.sum()).sqrt())
        like = shape.points
        return cls(found[:, 0].to(like.dtype), middle.to(like.dtype), rms / mean, float(miss.max()) / mean, defect)

    def radius(self, xyz: Tensor) -> Tensor:
        """Distance from the centre to the surface along unit vectors ``(..., 3)``: ``(...)``."""
        return self._basis().synthesize_at(self.coefficients[:, None], xyz)[..., 0]

    def power_spectrum(self) -> Tensor:
        """Energy of each degree of the radius, ``(degree + 1,)``: the same however the surface is turned about its centre."""
        return self._basis().power_spectrum(self.coefficients[:, None])[:, 0]

    def mesh(self, level: int = 4) -> Mesh:
        """The surface over an icosphere of ``10 * 4**level + 2`` vertices.

        Raises
        ------
        ShapeError : the radius is not positive everywhere.
        """
        sphere = icosphere(level, dtype=self.coefficients.dtype).to(self.coefficients.device)
        radius = self.radius(sphere.points)
        if not bool((radius > 0).all()):
            hint = "fit a lower degree, or with a smoothness"
            raise ShapeError(problem("coefficients", "a positive radius in all directions", f"{float(radius.min()):.3g}", hint))
        return Mesh(self.center + radius[:, None] * sphere.points, sphere.faces)

    def _basis(self) -> SphericalHarmonics:
        return SphericalHarmonics(self.degree, dtype=self.coefficients.dtype).to(self.coefficients.device)


def star_defect(mesh: Mesh, center: Tensor) -> float:
    """How far a mesh is from star-shaped about ``center (3,)``: 0 where every ray from there leaves through one face.

    The solid angle of faces seen from behind, plus what the sum of all misses of the whole, over 4 pi. A fold that hides
    behind the surface counts with the angle of its back; a hole with its own.
    """
    return _defect(_solid_angles(mesh, _given(center)))


def star_center(mesh: Mesh) -> tuple[Tensor, float]:
    """The point deepest below the planes of all faces: ``(center (3,), depth)``; the mesh is star-shaped where ``depth > 0``.

    Depth is the distance to the nearest plane. Where it is negative no point sees all of the surface, and the one returned
    is off the worst plane by the least. A linear programme, solved by SciPy's HiGHS in float64.
    """
    found = _deepest(mesh)
    if isinstance(found, str):
        raise ShapeError(problem("mesh", "faces whose planes bound a depth", found, "close the mesh and turn its faces outward"))
    return torch.from_numpy(found[:3]).to(mesh.vertices), float(found[3])


def _deepest(mesh: Mesh) -> NDArray | str:
    """The deepest point and its depth, or what the solver says of a problem without one."""
    from scipy.optimize import linprog

    normals, corner = mesh.face_normals.detach().double().cpu(), mesh.vertices.detach().double().cpu()[mesh.faces[:, 0].cpu()]
    proper = normals.norm(dim=1) > 0.5  # a degenerate face has no plane
    normals, corner = normals[proper], corner[proper]
    if not len(normals):
        return "no face of positive area"
    sides = torch.cat([normals, torch.ones(len(normals), 1, dtype=torch.float64)], dim=1)
    free = [(None, None)] * 4
    found = linprog([0, 0, 0, -1], sides.numpy(), (normals * corner).sum(dim=1).numpy(), bounds=free, method="highs")
    return found.message if found.x is None else found.x


def _seen_from(mesh: Mesh, center: Tensor | None) -> tuple[Tensor, Tensor]:
    """The centre, and the solid angle of each face from there, signed: positive for faces seen from inside."""
    if center is not None:
        middle = _given(center).to(mesh.vertices.device)
        return middle, _solid_angles(mesh, middle)
    areas = mesh.face_areas.detach().double()
    if not float(areas.sum()) > 0:
        raise ShapeError(problem("shape", "a mesh with an area", f"{len(areas)} faces without"))
    middle = (areas[:, None] * mesh.vertices.detach().double()[mesh.faces].mean(dim=1)).sum(dim=0) / areas.sum()
    angles = _solid_angles(mesh, middle)
    if _defect(angles) > 0:
        deepest = _deepest(mesh)
        if not isinstance(deepest, str) and deepest[3] > 0:
            middle = torch.from_numpy(deepest[:3]).to(middle)
            angles = _solid_angles(mesh, middle)
    return middle, angles


def _solid_angles(mesh: Mesh, center: Tensor) -> Tensor:
    """Source: van Oosterom and Strackee 1983, eq. 8."""
    corners = mesh.vertices.detach().double()[mesh.faces] - center.to(mesh.vertices.device)
    a, b, c = corners.unbind(dim=1)
    x, y, z = (corner.norm(dim=1) for corner in (a, b, c))
    volume = (a * torch.linalg.cross(b, c)).sum(dim=1)
    return 2 * torch.atan2(volume, x * y * z + (a * b).sum(dim=1) * z + (b * c).sum(dim=1) * x + (c * a).sum(dim=1) * y)


def _defect(angles: Tensor) -> float:
    folded, missing = float(angles.clamp(max=0).abs().sum()) / AREA, abs(float(angles.sum()) / AREA - 1)
    return folded + (missing if missing > 1e-9 else 0.0)  # a closed surface around the centre sums to 4 pi up to rounding


def _polar(points: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    offset = points.detach().double() - center
    radii = offset.norm(dim=1)
    if not bool((radii > 0).all()):
        raise ShapeError(problem("center", "a point off the surface", f"vertex {int(radii.argmin())}"))
    return radii, offset / radii[:, None]


def _given(center: Tensor) -> Tensor:
    center = torch.as_tensor(center).detach().double()
    if center.shape != (3,) or not bool(center.isfinite().all()):
        raise ArgumentError(problem("center", "three finite coordinates", tuple(center.shape)))
    return center


def _check_cloud(shape: object) -> None:
    if not isinstance(shape, PointCloud) or shape.points.shape[1] != 3:
        got = f"points in {shape.points.shape[1]}-D" if isinstance(shape, PointCloud) else type(shape).__name__
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud in three dimensions", got))


def _not_star_shaped(defect: float, largest: float, center: Tensor | None) -> str:
    got = f"a defect of {defect:.3g} of all directions"
    about = "any point" if center is None else "center"
    hint = f"close holes, turn faces outward, or accept it by largest_defect={math.ceil(defect * 100) / 100}"
    return problem("shape", f"a mesh star-shaped about {about}, with a defect of at most {largest:g}", got, hint)
