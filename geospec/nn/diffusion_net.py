"""DiffusionNet: features on a surface by learned diffusion, tangent gradients and a network at each point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import ArgumentError, ShapeError, one_of, problem
from .encoders import _check_sizes

GRADIENT_FEATURES = ("rotation", "anisotropic")


class Operators(Protocol):
    """What :func:`geospec.diffusion_operators` returns, as far as networks read it: ``n`` points, ``k`` modes."""

    @property
    def mass(self) -> Tensor:
        """``(n,)``, areas of the points."""

    @property
    def eigenvalues(self) -> Tensor:
        """``(k,)``, non-negative."""

    @property
    def modes(self) -> Tensor:
        """``(n, k)``, orthonormal under the mass."""

    @property
    def gradient_x(self) -> Tensor:
        """``(n, n)``, sparse or dense: slopes along each point's first tangent axis."""

    @property
    def gradient_y(self) -> Tensor:
        """``(n, n)``: slopes along the second, a quarter turn from the first."""


@dataclass(frozen=True, eq=False)
class SurfaceModes:
    """A surface as a network by diffusion sees it: functions go to ``k`` coefficients and come back smoothed, with their slopes.

    Diffused functions lie in the span of the modes, so their slopes are sums of the slopes of modes: no sparse matrix takes part in a
    pass, and a surface may be thinned to a few points (:meth:`sampled`) that keep the modes and slopes of the whole.
    """

    #: ``(k,)``, in units of 1 / length squared.
    eigenvalues: Tensor
    #: ``(n, k)``, values of the modes.
    modes: Tensor
    #: ``(k, n)``, what takes a function to its coefficients.
    analysis: Tensor
    #: ``(n, k)`` each, slopes of the modes along the two axes of a right-handed tangent frame, in units of 1 / length.
    slopes_x: Tensor
    slopes_y: Tensor

    def __post_init__(self) -> None:
        if self.modes.dim() != 2:
            raise ShapeError(problem("modes", "shape (n, k)", tuple(self.modes.shape)))
        n, k = self.modes.shape
        for name, shape in (("eigenvalues", (k,)), ("analysis", (k, n)), ("slopes_x", (n, k)), ("slopes_y", (n, k))):
            if getattr(self, name).shape != shape:
                raise ShapeError(problem(name, f"shape {shape}", tuple(getattr(self, name).shape)))

    def __repr__(self) -> str:
        return f"SurfaceModes(n={self.n}, k={self.k}, {str(self.modes.dtype)[6:]}, {self.modes.device})"

    @property
    def n(self) -> int:
        """Number of points."""
        return self.modes.shape[0]

    @property
    def k(self) -> int:
        """Number of modes."""
        return self.modes.shape[1]

    @classmethod
    def of(cls, operators: Operators) -> SurfaceModes:
        """From the operators of a shape. Cost: two products of a sparse matrix with the modes."""
        modes = operators.modes
        slopes = (gradient.detach() @ modes for gradient in (operators.gradient_x, operators.gradient_y))
        return cls(operators.eigenvalues, modes, (operators.mass[:, None] * modes).mT, *slopes)

    def sampled(self, index: Tensor, measure: Tensor) -> SurfaceModes:
        """The same modes at some of the points: ``index (m,)`` int64, ``measure (m,)`` the areas that these stand for.

        Coefficients are then fitted to values at the samples by weighted least squares, which is exact in the span of the modes,
        solved in float64.

        Raises
        ------
        ArgumentError : samples on which the modes are dependent, such as fewer samples than modes.
        """
        if index.dim() != 1 or measure.shape != index.shape:
            raise ArgumentError(problem("measure", f"shape {tuple(index.shape)}, as index", tuple(measure.shape)))
        modes = self.modes[index]
        wide = modes.double()
        weighted = (measure.double()[:, None] * wide).mT
        factor, info = torch.linalg.cholesky_ex(weighted @ wide)
        pivots = factor.diagonal()
        # The pivots of Gram matrices of good samples lie near one; of nearly dependent ones the last is small.
        if int(info) or not bool(pivots.min() > 1e-3 * pivots.max()):
            got = f"{len(index)} samples on which some are dependent"
            raise ArgumentError(problem("index", f"samples that tell {self.k} modes apart", got, "take more, or fewer modes"))
        analysis = torch.cholesky_solve(weighted, factor).to(modes)
        return SurfaceModes(self.eigenvalues, modes, analysis, self.slopes_x[index], self.slopes_y[index])

    def truncate(self, k: int) -> SurfaceModes:
        """The first ``k`` modes; of least-squares coefficients the first ``k`` as they are."""
        if not 1 <= k <= self.k:
            raise ArgumentError(problem("k", f"between 1 and the {self.k} modes at hand", k))
        return SurfaceModes(self.eigenvalues[:k], self.modes[:, :k], self.analysis[:k], self.slopes_x[:, :k], self.slopes_y[:, :k])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> SurfaceModes:
        """The same on another device or in another float type."""
        return SurfaceModes(**{field.name: getattr(self, field.name).to(device=device, dtype=dtype) for field in fields(self)})


class GradientFeatures(nn.Module):
    """Inner products of each channel's gradient with learned mixtures of all: ``(..., n, width)`` from slopes ``x``, ``y`` of that shape.

    With ``z = x + i y`` a channel gives ``tanh <z, w>``.

    ``"rotation"`` : ``w = (A + i B) z``, each channel turned and scaled. Does not depend on the axes in which slopes are given, only on
        the side that they are seen from: mirrored surfaces get other features.
    ``"anisotropic"`` : ``w = (A x - B y) + i (A x + B y)``, as a line of published networks has it: no complex product, and
        half the cost. It depends on the axes.

    Source: Sharp et al. 2022, section 3.4; the second form is found in the code of Cao, Roetzer and Bernard 2023.
    """

    def __init__(self, width: int, kind: str = "rotation") -> None:
        super().__init__()
        _check_sizes(width=width)
        one_of("gradient_features", kind, GRADIENT_FEATURES)
        self.kind = kind
        self.real = nn.Linear(width, width, bias=False)
        self.imaginary = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if self.kind == "rotation":
            return torch.tanh(x * (self.real(x) - self.imaginary(y)) + y * (self.real(y) + self.imaginary(x)))
        along, across = self.real(x), self.imaginary(y)
        return torch.tanh(x * (along - across) + y * (along + across))


class DiffusionBlock(nn.Module):
    """Diffuse each channel for its own time, take gradient features, and add what a network at each point makes of it all.

    ``heat`` is ``Phi exp(-lambda t) Phi^+ x``, for times ``t = exp(log_times)``, learned, one a channel. The network has layers
    ``3 width -> width -> width -> width`` (``2 width`` without gradients) with ReLU between them.
    """

    def __init__(self, width: int, dropout: float, gradient_features: str | None, times: tuple[float, float]) -> None:
        super().__init__()
        low, high = (math.log(time) for time in times)
        self.log_times = nn.Parameter(low + (high - low) * torch.rand(width))
        self.gradient_features = None if gradient_features is None else GradientFeatures(width, gradient_features)
        inner = (2 if gradient_features is None else 3) * width
        self.mlp = nn.Sequential(
            nn.Linear(inner, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(width, width),
        )  # fmt: skip

    def diffuse(self, x: Tensor, surface: SurfaceModes) -> Tensor:
        """Coefficients ``(..., k, width)`` of the diffused channels."""
        # e^-60 is nothing in either float type; smaller numbers are denormal in float32, and slow down whatever reads them tenfold.
        decay = (surface.eigenvalues[:, None] * self.log_times.exp()).clamp(max=60).neg().exp()
        return decay * (surface.analysis @ x)

    def forward(self, x: Tensor, surfaces: Sequence[SurfaceModes]) -> Tensor:
        parts = x.split([surface.n for surface in surfaces], dim=-2)
        found = [self._features(part, surface) for part, surface in zip(parts, surfaces, strict=True)]
        return x + self.mlp(torch.cat([x, torch.cat(found, dim=-2)], dim=-1))

    def _features(self, x: Tensor, surface: SurfaceModes) -> Tensor:
        coefficients = self.diffuse(x, surface)
        heat = surface.modes @ coefficients
        if self.gradient_features is None:
            return heat
        return torch.cat([heat, self.gradient_features(surface.slopes_x @ coefficients, surface.slopes_y @ coefficients)], dim=-1)


class DiffusionNet(nn.Module):
    """Features of the points of surfaces: blocks of diffusion, gradients and point-wise networks between two linear maps.

    Knows a surface only by functions on it, so it takes any mesh or cloud, and two samplings of one surface get the same features as
    far as their operators agree. Without coordinates among the inputs it does not see how the surface lies in space.

    Parameters
    ----------
    inputs, outputs : channels.
    width : channels within; blocks : how many, each with ``9 width^2`` weights and more.
    dropout : share of channels within the point-wise networks that are dropped in training. Published networks have 0.5.
    gradient_features : ``"rotation"``, ``"anisotropic"`` (see :class:`GradientFeatures`), or ``None`` for none.
    times : diffusion times start at random between these, evenly in the logarithm, in units of length squared. The default suits
        surfaces of area one: the shorter leaves a hundred modes as they are, the longer only the lowest few.

    Initial weights come from torch's default generator: ``torch.manual_seed`` fixes them.

    Cost of a pass: about ``blocks n width (22 width + 8 k)`` flops; three times that with gradients.
    Source: Sharp, Attaiki, Crane and Ovsjanikov 2022, "DiffusionNet".
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 128,
        blocks: int = 4,
        dropout: float = 0.0,
        gradient_features: str | None = "rotation",
        times: tuple[float, float] = (1e-4, 1e-1),
    ) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, outputs=outputs, width=width, blocks=blocks)
        if not 0 <= dropout < 1:
            raise ArgumentError(problem("dropout", "a share in [0, 1)", dropout))
        if gradient_features is not None:
            one_of("gradient_features", gradient_features, GRADIENT_FEATURES)
        if len(times) != 2 or not 0 < times[0] <= times[1] < math.inf:
            raise ArgumentError(problem("times", "two positive times, ascending", times))
        self.config: dict[str, Any] = {
            "inputs": inputs, "outputs": outputs, "width": width, "blocks": blocks, "dropout": dropout,
            "gradient_features": gradient_features, "times": tuple(times),
        }  # fmt: skip
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([DiffusionBlock(width, dropout, gradient_features, times) for _ in range(blocks)])
        self.last = nn.Linear(width, outputs)

    def forward(self, features: Tensor, surfaces: SurfaceModes | Operators | Sequence[SurfaceModes | Operators]) -> Tensor:
        """``(..., n, inputs)`` to ``(..., n, outputs)``, in the float type of the weights.

        ``surfaces`` : one surface, or several packed: ``features`` then holds the points of the first, then of the second, and so on.
        Operators are turned into :class:`SurfaceModes` each time; do so once where there are many passes.

        Raises
        ------
        ShapeError : features that do not fit the surfaces or the network. ArgumentError : another float type than that of the weights.
        """
        several = surfaces if isinstance(surfaces, Sequence) else [surfaces]
        if not several:
            raise ArgumentError(problem("surfaces", "at least one surface", "none"))
        seen = [surface if isinstance(surface, SurfaceModes) else SurfaceModes.of(surface) for surface in several]
        n = sum(surface.n for surface in seen)
        if features.dim() < 2 or features.shape[-2:] != (n, self.config["inputs"]):
            wanted = f"shape (..., {n}, {self.config['inputs']}), as the surfaces and the network have it"
            raise ShapeError(problem("features", wanted, tuple(features.shape)))
        kind = self.first.weight.dtype
        for name, given in (("features", features), *(("surfaces", surface.modes) for surface in seen)):
            if given.dtype != kind:
                raise ArgumentError(problem(name, f"{kind}, as the weights", given.dtype, "use .to(dtype=...)"))
        x = self.first(features)
        for block in self.blocks:
            x = block(x, seen)
        return self.last(x)
