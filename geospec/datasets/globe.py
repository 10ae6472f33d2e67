"""Functions on the sphere to learn: a checkerboard, land and ocean, and fields of a known spectrum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, problem, require_package
from ..ops import lonlat_to_xyz, spherical_harmonics_linear, xyz_to_lonlat
from ..ops.harmonic_table import degrees_and_orders
from ..shapes import Sphere

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

#: Mean radius of the Earth, in kilometres.
EARTH = 6371.0088


@dataclass(frozen=True, eq=False)
class Places:
    """Directions with what is to be learned there.

    ``xyz`` are unit vectors ``(n, 3)`` float32; ``targets`` are class numbers ``(n,)`` int64 or values ``(n, c)`` float32.
    """

    xyz: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def lonlat(self) -> tuple[Tensor, Tensor]:
        """Longitude and latitude in degrees, ``(n,)`` each."""
        return xyz_to_lonlat(self.xyz)

    @classmethod
    def of(cls, truth: Callable[[Tensor], Tensor], xyz: Tensor) -> Places:
        """What ``truth`` says at directions, both rounded to what a model is given."""
        xyz = xyz.float()
        targets = truth(xyz)
        return cls(xyz, targets.float() if targets.is_floating_point() else targets)


@dataclass(frozen=True, eq=False)
class GlobeTask:
    """Places to train on, to stop by and to be scored on.

    Attributes
    ----------
    name : of the task. names : of its classes or targets. categorical : whether the targets are class numbers.
    truth : exact targets at any unit vectors ``(n, 3)``; ``None`` where only samples are known.
    """

    name: str
    train: Places
    validation: Places
    test: Places
    names: tuple[str, ...]
    categorical: bool
    truth: Callable[[Tensor], Tensor] | None = None


def uniform_directions(n: int, seed: int) -> Tensor:
    """``n`` independent unit vectors ``(n, 3)`` float64, uniform on the sphere; the same for the same seed."""
    drawn = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn / drawn.norm(dim=1, keepdim=True)


def checkerboard(n_supports: int = 200, classes: int = 16, *, n: int = 10_000, seed: int = 0) -> GlobeTask:
    """Cells around the points of a Fibonacci lattice, coloured in turn: support ``i`` is of class ``i mod classes``.

    A place is of the class of its nearest support. Training and validation places are uniform and independent, ``n`` each, of the seed and
    the one after it; the ``n`` test places are a Fibonacci lattice.

    Raises
    ------
    ArgumentError : fewer than two classes, fewer supports than classes, no places.

    Source: Russwurm et al., ICLR 2024, section 4.
    """
    _at_least("classes", classes, 2)
    _at_least("n_supports", n_supports, classes)
    from scipy.spatial import cKDTree

    truth = partial(_nearest_class, supports=cKDTree(Sphere.fibonacci(n_supports).points.numpy()), classes=classes)
    return _scattered("checkerboard", truth, n, n, seed, tuple(map(str, range(classes))))


def land_ocean(*, n: int = 5_000, spacing: float = 100.0, seed: int = 0) -> GlobeTask:
    """Whether a place is land (1) or ocean (0), by the mask of 30 seconds of arc of the package ``global-land-mask``.

    Training and validation places are uniform and independent, ``n`` each, of the seed and the one after it; test places are a Fibonacci
    lattice with one place for each square of ``spacing`` kilometres. The mask takes about 1 GB of memory. The paper took polygons and an
    equal-area grid.

    Raises
    ------
    MissingDependencyError : the package is not installed. ArgumentError : no places.
    """
    if not 0 < spacing <= EARTH:
        raise ArgumentError(problem("spacing", f"kilometres, above 0 and at most {EARTH:g}", spacing))
    require_package("global_land_mask", "the land and ocean task", "geospec[reproduce]")
    return _scattered("land and ocean", _land, n, round(4 * math.pi * (EARTH / spacing) ** 2), seed, ("ocean", "land"))


def spectral_field(
    degree: int = 60, decay: float = 2.5, *, resolution: float = 0.25, train: float = 0.01, validation: float = 0.05, seed: int = 0
) -> GlobeTask:
    """A random field whose power in degree ``l`` is in proportion to ``l^-decay``, up to ``degree``; of mean 0 and variance 1.

    Training and validation places are drawn without repetition from a grid of longitude and latitude, which is denser towards the
    poles; test places are 10,000 of a Fibonacci lattice. ``truth`` is the series itself, exact to rounding anywhere.

    Parameters
    ----------
    resolution : of the grid, in degrees, a divisor of 180. train, validation : shares of its cells.

    Raises
    ------
    ArgumentError : a degree below 1, a resolution that does not divide 180, shares that are not positive or exceed 1.
    """
    _at_least("degree", degree, 1)
    rows = round(180 / resolution) if 0 < resolution <= 90 else 0
    if rows == 0 or not math.isclose(rows * resolution, 180):
        raise ArgumentError(problem("resolution", "a divisor of 180 degrees, at most 90", resolution))
    generator = torch.Generator().manual_seed(seed)
    coefficients = _random_series(degree, decay, generator)

    truth = partial(_series, coefficients=coefficients)

    def at(chosen: Tensor) -> Places:
        lat, lon = 90 - chosen // (2 * rows) * resolution, chosen % (2 * rows) * resolution
        return Places.of(truth, lonlat_to_xyz(lon.double(), lat.double()))

    first, second = draw_cells((rows + 1) * 2 * rows, train, validation, generator)
    test = Places.of(truth, Sphere.fibonacci(10_000).points)
    return GlobeTask("field of known spectrum", at(first), at(second), test, ("value",), False, truth)


def draw_cells(cells: int, train: float, validation: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of cells to train on and to validate on, of given shares, without repetition and in random order.

    Raises
    ------
    ArgumentError : shares that are not positive, sum to more than 1, or leave a side empty.
    """
    if not (train > 0 and validation > 0 and train + validation <= 1):
        raise ArgumentError(problem("train, validation", "positive shares that sum to at most 1", f"{train}, {validation}"))
    first, second = round(train * cells), round(validation * cells)
    if not first or not second:
        raise ArgumentError(
            problem("train, validation", f"shares of {cells} cells that leave neither side empty", f"{train}, {validation}")
        )
    order = torch.randperm(cells, generator=generator)
    return order[:first], order[first : first + second]


def _nearest_class(xyz: Tensor, *, supports: cKDTree, classes: int) -> Tensor:
    nearest = supports.query(xyz.double().numpy())[1]  # the shortest chord is the largest cosine
    return torch.from_numpy(nearest).long() % classes


def _land(xyz: Tensor) -> Tensor:
    from global_land_mask import globe

    lon, lat = (angle.numpy() for angle in xyz_to_lonlat(xyz.double()))
    return torch.from_numpy(np.asarray(globe.is_land(lat, lon))).long()


def _series(xyz: Tensor, *, coefficients: Tensor) -> Tensor:
    return spherical_harmonics_linear(xyz.double(), coefficients, normalize=True)


def _random_series(degree: int, decay: float, generator: torch.Generator) -> Tensor:
    """Coefficients ``(1, (degree + 1)^2)`` of a field of variance 1, whose power in each degree is as asked, not on average but exactly."""
    degrees, _ = degrees_and_orders(degree)
    drawn = torch.randn(len(degrees), generator=generator, dtype=torch.float64)
    power = torch.zeros(degree + 1, dtype=torch.float64).index_add(0, degrees, drawn.square())
    wanted = torch.arange(degree + 1, dtype=torch.float64).clamp(min=1) ** -decay
    wanted[0] = 0.0
    wanted *= 4 * math.pi / wanted.sum()
    return (drawn * (wanted / power).sqrt()[degrees])[None]


def _scattered(name: str, truth: Callable[[Tensor], Tensor], n: int, tested: int, seed: int, names: tuple[str, ...]) -> GlobeTask:
    _at_least("n", n, 1)
    train, validation = (Places.of(truth, uniform_directions(n, seed + i)) for i in range(2))
    return GlobeTask(name, train, validation, Places.of(truth, Sphere.fibonacci(tested).points), names, True, truth)


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(problem(name, f"a whole number, at least {least}", repr(value)))
