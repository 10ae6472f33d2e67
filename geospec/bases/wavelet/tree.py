"""The wavelet tree: a grid's coefficients, coarse to fine, and the few trees of them that tell most of a shape."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from ...errors import ArgumentError, one_of, problem
from ...ops.wavelet3d import MODES, level_shapes, wavelet3d_analysis, wavelet3d_synthesis
from ...ops.wavelet_filters import filters
from ...ops.wavelet_tree import gather_trees, largest_cells, pack_children, scatter_trees, unpack_children
from ...shapes.grid import Grid
from ..base import Basis
from .coefficients import BANDS, TreeCode, WaveletCoefficients

#: Trees that Make-A-Shape keeps at 256^3.
DEFAULT_TREES = 16384


@final
class WaveletTree(Basis):
    """The wavelet transform of grids of one size, as a basis and as trees.

    *As a basis*: a signal is the grid's cells flattened, coefficients go coarse to fine (the coarse grid, then the seven bands of each
    level), and the matrix is never formed. Synthesis inverts analysis. The modes are a frame: where a boundary mode extends the grid, a
    level has more coefficients than samples (256 give 136), and biorthogonal filters are not orthonormal. With ``"periodization"``, an
    orthogonal wavelet and sizes that halve evenly they are orthonormal, which :attr:`orthonormal` says.

    *As trees*: each cell of the coarsest details has 8 children in each band of the next level, those have 8 each, and so on.
    :meth:`filter` keeps the trees that tell most, :meth:`pack` lays them out as channels of the coarse grid, :meth:`unfilter` and
    :meth:`unpack` lead back.

    Parameters
    ----------
    shape : (n0, n1, n2) of the grids, or one size for the three.
    levels : how often the coarse part is transformed again; 1 or more.
    wavelet : a name among :func:`geospec.ops.wavelets`.
    mode : how a grid goes on beyond its ends, one of :data:`geospec.ops.wavelet3d.MODES`: its edge by default.
    drop_finest : finest levels of details that trees leave out; those of the cells themselves always stay. Analysis, synthesis and the
        basis keep all levels.

    Attributes
    ----------
    measure (n,) : 1 for each sample.
    eigenvalues : ``None``.
    shapes : sizes of the grid and of the coefficients of each level, finest first.

    Raises
    ------
    ArgumentError : a size, a number of levels or a name out of range.

    Source: Hui et al. 2024, Make-A-Shape, section 3; children by the centres of the filters, so that any wavelet has its trees.
    """

    kind: ClassVar[str] = "wavelet-tree"
    eigenvalues: None
    sample_measure: Tensor
    shape: tuple[int, ...]
    levels: int
    wavelet: str
    mode: str
    drop_finest: int
    shapes: list[tuple[int, ...]]

    def __init__(
        self,
        shape: int | Sequence[int] = 256,
        levels: int = 3,
        wavelet: str = "bior6.8",
        mode: str = "constant",
        *,
        drop_finest: int = 1,
    ) -> None:
        super().__init__()
        sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,) * 3
        if len(sizes) != 3 or any(int(n) != n or n < 1 for n in sizes):
            raise ArgumentError(problem("shape", "a positive size, or three of them", shape))
        if not isinstance(levels, Integral) or levels < 1:
            raise ArgumentError(problem("levels", "1 or more", levels))
        if not isinstance(drop_finest, Integral) or not 0 <= drop_finest < levels:
            raise ArgumentError(problem("drop_finest", f"between 0 and {levels - 1}, one level less than there are", drop_finest))
        one_of("mode", mode, MODES)
        self.shape, self.levels, self.wavelet, self.mode = tuple(map(int, sizes)), int(levels), wavelet, mode
        self.drop_finest = int(drop_finest)
        self.shapes = level_shapes(self.shape, wavelet, self.levels, mode)
        sizes_and_names = {"shape": list(self.shape), "levels": self.levels, "wavelet": wavelet, "mode": mode}
        self.options = {**sizes_and_names, "drop_finest": self.drop_finest, "k": self.level_ends[-1]}
        self.register_buffer("eigenvalues", None)
        self.register_buffer("sample_measure", torch.ones(1))

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"WaveletTree({size}, levels={self.levels}, {self.wavelet!r}, {self.mode!r}, k={self.k})"

    # -- what it is

    @property
    def n(self) -> int:
        return math.prod(self.shape)

    @property
    def k(self) -> int:
        return self.options["k"]

    @property
    def measure(self) -> Tensor:  # type: ignore[override]
        """1 for each sample, ``(n,)``: a view of one number."""
        return self.sample_measure.expand(self.n)

    @property
    def orthonormal(self) -> bool:
        """Whether analysis is the transpose of synthesis: an orthogonal wavelet on periods that halve evenly."""
        even = all(n % 2 == 0 for shape in self.shapes[:-1] for n in shape)
        bank = filters(self.wavelet)
        return self.mode == "periodization" and even and torch.allclose(bank.analysis_low, bank.synthesis_low.flip(0), rtol=0, atol=1e-9)

    @property
    def level_ends(self) -> tuple[int, ...]:
        """Modes up to the end of the coarse grid, and of each level of details, coarse to fine: ``levels + 1`` numbers to truncate at."""
        sizes = [math.prod(self.cells), *(BANDS * math.prod(shape) for shape in self.detail_shapes)]
        return tuple(sum(sizes[: i + 1]) for i in range(len(sizes)))

    @property
    def cells(self) -> tuple[int, ...]:
        """Size ``(m0, m1, m2)`` of the coarse grid."""
        return self.shapes[-1]

    @property
    def detail_shapes(self) -> list[tuple[int, ...]]:
        """Sizes ``(q0, q1, q2)`` of the details of each level, coarse to fine."""
        return self.shapes[:0:-1]

    @property
    def widths(self) -> tuple[int, ...]:
        """Details of a tree in each level that it keeps, coarse to fine: 7, 56, 448, ..."""
        return tuple(BANDS * 8**i for i in range(self.levels - self.drop_finest))

    # -- the contract

    def analyze(self, signal: Tensor) -> Tensor:
        if signal.dim() < 2 or signal.shape[-2] != self.n:
            raise ArgumentError(problem("signal", f"shape (..., {self.n}, c)", tuple(signal.shape)))
        found = self.analysis(signal.mT.unflatten(-1, self.shape))
        details = (detail.flatten(-4) for detail in found.details if detail is not None)
        return torch.cat([found.coarse.flatten(-3), *details], dim=-1)[..., : self.k].mT

    def synthesize(self, coefficients: Tensor) -> Tensor:
        if coefficients.dim() < 2 or coefficients.shape[-2] != self.k:
            raise ArgumentError(problem("coefficients", f"shape (..., {self.k}, c)", tuple(coefficients.shape)))
        rows = coefficients.mT
        parts: list[Tensor | None] = []
        for begin, end in zip((0, *self.level_ends), self.level_ends, strict=False):
            part = rows[..., begin:end]
            parts.append(torch.nn.functional.pad(part, (0, end - begin - part.shape[-1])) if begin < self.k else None)
        details = (
            None if part is None else part.unflatten(-1, (BANDS, *shape)) for part, shape in zip(parts[1:], self.detail_shapes, strict=True)
        )
        coarse = parts[0]
        assert coarse is not None  # k is at least 1
        return self.synthesis(WaveletCoefficients(coarse.unflatten(-1, self.cells), tuple(details))).flatten(-3).mT

    def truncate(self, k: int) -> WaveletTree:
        k = self._checked_k(k)
        shorter = copy.copy(self)
        shorter.options = {**self.options, "k": k}
        shorter._buffers = dict(self._buffers)
        return shorter

    def _arrays(self) -> dict[str, Tensor]:
        return {"sample_measure": self.sample_measure}

    @classmethod
    def _from_arrays(cls, arrays: dict[str, Tensor], options: dict[str, Any]) -> Self:
        options = dict(options)
        k = options.pop("k")
        basis = cls(**options)
        basis.sample_measure = arrays["sample_measure"]
        return basis.truncate(k)

    # -- grids

    def analysis(self, grid: Tensor, *, finest: bool = True) -> WaveletCoefficients:
        """Coefficients of grids ``(..., n0, n1, n2)``; differentiable.

        ``finest=False`` leaves out the ``drop_finest`` levels that trees do not keep: ``None`` stands for them, and the rest is the same.
        """
        if tuple(grid.shape[-3:]) != self.shape:
            raise ArgumentError(problem("grid", f"shape (..., {', '.join(map(str, self.shape))})", tuple(grid.shape)))
        skipped = 0 if finest else self.drop_finest
        coarse, *details = wavelet3d_analysis(grid, self.wavelet, self.levels, self.mode, skip_finest=skipped)
        assert coarse is not None  # only details are left out
        return WaveletCoefficients(coarse, tuple(details))

    def synthesis(self, coefficients: WaveletCoefficients, level: int = 0) -> Tensor:
        """Grids ``(..., n0, n1, n2)`` of coefficients, or their level of detail; differentiable.

        ``level`` stops so many levels before the finest, at the size ``shapes[level]``. Values are those of the signal at the places that
        :meth:`to_finest` tells: constants stay, and so do linear signals, away from the ends, whose extension coarse samples see.
        """
        self._check_level(level)
        self._check_coefficients(coefficients)
        used = coefficients.details[: self.levels - level]
        grid = wavelet3d_synthesis([coefficients.coarse, *used], self.shapes[level], self.wavelet, self.mode)
        return grid / 2 ** (1.5 * level) if level else grid  # the low pass sums to sqrt(2) along each of three axes

    def to_finest(self, index: Tensor, level: int) -> Tensor:
        """Where places on a level of detail stand on the grid: both counted in samples from the centre of the first, along any axis.

        ``2^level index + offset``. A coarse sample stands at the first moment of the filter that made it, so that linear signals keep their
        values: surfaces of any level lie where the finest one does.
        """
        scale, offset = self._placement(level)
        return index * scale + offset

    def level_grid(self, grid: Grid, level: int) -> Grid:
        """The grid in space on which ``synthesis(coefficients, level)`` stands, where level 0 stands on ``grid``.

        Its cells are ``2^level`` times as wide. It reaches beyond ``grid`` where the boundary mode extends that.
        """
        if grid.shape != self.shape:
            raise ArgumentError(problem("grid", f"{self.shape} cells", grid.shape))
        scale, offset = self._placement(level)
        lower = tuple(low + (offset + 0.5 - 0.5 * scale) * s for low, s in zip(grid.lower, grid.spacing, strict=True))
        spacing = tuple(scale * s for s in grid.spacing)
        return Grid(self.shapes[level], lower, spacing, grid.dtype, grid.device)  # type: ignore[arg-type]

    def _placement(self, level: int) -> tuple[int, float]:
        self._check_level(level)
        low = filters(self.wavelet).analysis_low
        moment = float((torch.arange(len(low)) * low).sum() / low.sum())
        first = (len(low) // 2 if self.mode == "periodization" else 1) - moment
        return 2**level, (2**level - 1) * first

    # -- trees

    def filter(
        self,
        coefficients: WaveletCoefficients,
        k: int | Sequence[int] | None = None,
        *,
        threshold: float | None = None,
        energy: float | None = None,
        truncation: float | None = None,
    ) -> TreeCode:
        """Keep the trees that tell most of each shape, and all of its coarse grid. Leading dimensions become one batch.

        One of three rules decides how many, 16384 of each shape where none is given. Of equal trees the first cells are kept.

        Parameters
        ----------
        k : trees of each shape, or a number for each; all of them where there are fewer. Those of the largest ``max_b |D0_b|``, the
            greatest magnitude among the seven details of the cell. Trees of zeros may be among them.
        threshold : keep the trees whose ``max_b |D0_b|`` is above it, in the units of coefficients.
        energy : keep the fewest trees that hold at least this share, in (0, 1], of the squares of all details that trees hold.
        truncation : of distance fields, in units of the signal: what the rule looks at is then weighed by ``1 - 0.8 |c| / truncation``
            (squares by its square), ``c`` being the coarse value of the cell on the scale of the signal. Far from the surface the field
            bends where it is truncated, and those details move no surface. At 256^3 and 2048 to 8192 trees this lowered the overlap
            (intersection over union of the insides) of none of five analytic shapes, and raised that of thin rods from 0.939 to 0.977.
            Without it the rules are the paper's.

        Returns
        -------
        TreeCode, differentiable in the coefficients.

        Raises
        ------
        ArgumentError : more than one rule, a number out of range, coefficients that do not fit or are not finite.
        """
        self._check_coefficients(coefficients)
        if sum(rule is not None for rule in (k, threshold, energy)) > 1:
            raise ArgumentError(problem("k, threshold, energy", "one of the three", f"{k}, {threshold}, {energy}"))
        coarse = coefficients.coarse.reshape(-1, *self.cells)
        details = [d.reshape(-1, BANDS, *d.shape[-3:]) for d in self._kept(coefficients)]
        told = self._tree_energy(details) if energy is not None else details[0].detach().abs().amax(dim=1).flatten(1)
        if truncation is not None:
            weight = self._nearness(coarse.detach(), truncation)
            told = told * (weight if energy is None else weight.square())
        if not bool(torch.isfinite(told).all()):
            raise ArgumentError(problem("coefficients", "finite details", "NaN or infinite ones", "was the grid finite?"))
        counts = self._counts(told, k, threshold, energy)
        index = largest_cells(told, counts)
        offsets = torch.tensor([0, *counts], device=index.device).cumsum(dim=0)
        empty = coarse.new_empty(len(index), 0)
        rows = TreeCode(coarse, index, empty, offsets).rows
        values = [gather_trees(d, rows, self.cells, *fan) for d, fan in zip(details, self._fans(), strict=True)]
        return TreeCode(coarse, index, torch.cat(values, dim=1), offsets)

    def unfilter(self, code: TreeCode) -> WaveletCoefficients:
        """Coefficients ``(b, ...)`` with zeros for what was not kept; differentiable in the code."""
        self._check_code(code)
        rows, b = code.rows, len(code.coarse)
        parts = zip(code.values.split(self.widths, dim=1), self.detail_shapes, self._fans(), strict=False)
        details = [scatter_trees(values, rows, (b, BANDS, *shape), self.cells, *fan) for values, shape, fan in parts]
        return WaveletCoefficients(code.coarse, (*details, *[None] * self.drop_finest))

    def pack(self, code: TreeCode) -> Tensor:
        """The code as channels of the coarse grid ``(b, c, m0, m1, m2)``, 64 of them at the paper's geometry; differentiable.

        Channel 0 is the coarse grid. Then come the details of the finest level that is kept, of the next, and last the 7 of the cell
        itself, each level in the order of the values of a :class:`TreeCode`. Cells that are not kept are zero.
        """
        self._check_code(code)
        values = torch.cat([code.coarse.new_zeros(len(code.values), 1), *reversed(code.values.split(self.widths, dim=1))], dim=1)
        packed = scatter_trees(values, code.rows, (len(code.coarse), values.shape[1], *self.cells), self.cells, 1, 0)
        packed[:, 0] = code.coarse
        return packed

    def unpack(self, channels: Tensor) -> WaveletCoefficients:
        """Coefficients ``(..., )`` of channels ``(..., c, m0, m1, m2)`` as :meth:`pack` gives them; differentiable."""
        wanted = (1 + sum(self.widths), *self.cells)
        if tuple(channels.shape[-4:]) != wanted:
            raise ArgumentError(problem("channels", f"shape (..., {', '.join(map(str, wanted))})", tuple(channels.shape)))
        batch = channels.shape[:-4]
        coarse, *parts = channels.split([1, *reversed(self.widths)], dim=-4)
        details = [
            unpack_children(part.reshape(-1, *part.shape[-4:]), shape, *fan).unflatten(0, batch) if fan[0] > 1 else part
            for part, shape, fan in zip(reversed(parts), self.detail_shapes, self._fans(), strict=False)
        ]
        return WaveletCoefficients(coarse.squeeze(-4), (*details, *[None] * self.drop_finest))

    def channel_order(self, layout: str) -> Tensor:
        """The channels of :meth:`pack` ``(c,)`` int64 in the order that others use: ``packed[:, order]`` is laid out as theirs.

        ``"make-a-shape"``, the authors' checkpoints: within a level by the child's offset along the first axis, then by band, then by the
        offsets along the second and third axis; all else as here. Inferred from how their export orders axes and not tried on a
        checkpoint, as is that their grids have the axes x, y, z: transpose grids that have z, y, x.
        """
        one_of("layout", layout, ("make-a-shape",))
        order, begin = [torch.zeros(1, dtype=torch.int64)], 1
        for fan in reversed([2**i for i in range(len(self.widths))]):
            level = torch.arange(BANDS * fan**3).reshape(BANDS, fan, fan, fan)
            order.append(begin + level.transpose(0, 1).flatten())
            begin += level.numel()
        return torch.cat(order)

    def shrink(self, coefficients: WaveletCoefficients, threshold: float | Tensor | None = None, kind: str = "soft") -> WaveletCoefficients:
        """Coefficients with small details set to zero, against noise; the coarse grid stays.

        Parameters
        ----------
        threshold : in the units of the signal, one number or one for each grid of the batch. Each band's own is this times the norm of the
            filters that made it: what noise of that size on each sample becomes there. ``sqrt(2 log n)`` times :meth:`noise_level` by
            default.
        kind : ``"soft"`` moves what is left by the threshold towards zero, ``"hard"`` leaves it as it is.

        Source: Donoho and Johnstone 1994.
        """
        one_of("kind", kind, ("soft", "hard"))
        self._check_coefficients(coefficients)
        bar = self.noise_level(coefficients) * math.sqrt(2 * math.log(self.n)) if threshold is None else threshold
        bar = torch.as_tensor(bar, dtype=coefficients.coarse.dtype, device=coefficients.coarse.device)
        if not bool((bar >= 0).all()):
            raise ArgumentError(problem("threshold", "0 or more", threshold))
        shrunk: list[Tensor | None] = []
        for detail, norms in zip(coefficients.details, self._band_norms(), strict=True):
            if detail is None:
                shrunk.append(None)
                continue
            each = bar[..., None, None, None, None] * norms.to(detail)[:, None, None, None]
            size = detail.abs()
            shrunk.append(torch.where(size > each, detail if kind == "hard" else detail.sign() * (size - each), 0.0))
        return WaveletCoefficients(coefficients.coarse, tuple(shrunk))

    def noise_level(self, coefficients: WaveletCoefficients, *, truncation: float | None = None) -> Tensor:
        """Standard deviation ``(...)`` of white noise on the samples, by the median magnitude of the finest details that are given.

        Of their bands the one counts that is high-pass on all axes. Right where noise covers more than half of the grid and the signal
        little of it; of a grid that is constant over more than half, 0. Details whose filters reach beyond the grid are left out, where
        there are others: the grid's extension is not noise of its own.

        Parameters
        ----------
        truncation : of distance fields, in units of the signal: only details near the surface count, under cells whose coarse value is
            below half of it, and only those that are not zero. Elsewhere the cut at the truncation has taken noise away. Right for the few
            trees of a code, too.

        Source: Donoho and Johnstone 1994 (the median over 0.6745).
        """
        coarse, given = coefficients.coarse, [i for i, detail in enumerate(coefficients.details) if detail is not None]
        if not given:
            return coarse.new_zeros(coarse.shape[:-3])
        level = given[-1]
        detail = coefficients.details[level]
        assert detail is not None
        band, inner = detail.detach()[..., -1, :, :, :].abs(), self._inner(level)
        if truncation is None:
            median = band[inner].flatten(-3).median(dim=-1).values
        else:
            reached = torch.zeros_like(band)
            reached[inner] = band[inner]
            sizes = pack_children(reached.reshape(-1, 1, *band.shape[-3:]), self.cells, *self._fan(level)).flatten(2)
            near = self._nearness(coarse.detach().reshape(-1, *self.cells), truncation) > 0.6  # half of the truncation
            unseen = ~near[:, None] | (sizes == 0)
            median = sizes.masked_fill(unseen, math.nan).flatten(1).nanmedian(dim=1).values.nan_to_num(0.0).reshape(coarse.shape[:-3])
        return median / (0.6744897501960817 * float(self._band_norms()[level][-1]))

    # -- helpers

    def _check_level(self, level: int) -> None:
        if not isinstance(level, Integral) or not 0 <= level <= self.levels:
            raise ArgumentError(problem("level", f"between 0, the finest, and {self.levels}, the coarse grid", level))

    def _check_coefficients(self, coefficients: WaveletCoefficients) -> None:
        if len(coefficients.details) != self.levels or tuple(coefficients.coarse.shape[-3:]) != self.cells:
            got = f"{tuple(coefficients.coarse.shape)} and {len(coefficients.details)} of details"
            raise ArgumentError(problem("coefficients", f"a coarse grid (..., {self.cells}) and {self.levels} levels of details", got))
        batch = coefficients.coarse.shape[:-3]
        for detail, shape in zip(coefficients.details, self.detail_shapes, strict=True):
            if detail is not None and tuple(detail.shape) != (*batch, BANDS, *shape):
                raise ArgumentError(problem("coefficients", f"details {(*batch, BANDS, *shape)}", tuple(detail.shape)))

    def _check_code(self, code: TreeCode) -> None:
        if tuple(code.coarse.shape[1:]) != self.cells or code.values.shape[1] != sum(self.widths):
            wanted = f"a coarse grid of {self.cells} and {sum(self.widths)} values a tree"
            raise ArgumentError(problem("code", wanted, f"{tuple(code.coarse.shape[1:])} and {code.values.shape[1]}"))

    def _kept(self, coefficients: WaveletCoefficients) -> list[Tensor]:
        """Details of the levels that trees keep; zeros are written out."""
        kept = zip(coefficients.details, self.detail_shapes[: len(self.widths)], strict=False)
        coarse = coefficients.coarse
        return [coarse.new_zeros(*coarse.shape[:-3], BANDS, *shape) if detail is None else detail for detail, shape in kept]

    def _inner(self, level: int) -> tuple[Any, ...]:
        """Where in a band ``(..., q0, q1, q2)`` the grid's extension does not reach; all of an axis that has no such place."""
        length, places = len(filters(self.wavelet).analysis_low), []
        for n in self.shapes[self.levels - 1 - level]:
            whole = self.mode == "periodization" or n < length
            places.append(slice(None) if whole else slice(length // 2 - 1, n // 2))
        return (..., *places)

    def _fan(self, level: int) -> tuple[int, int]:
        """Children along an axis and their shift, of a level of details, coarse to fine: from the centres of the filters."""
        shift = 0 if self.mode == "periodization" else len(filters(self.wavelet).analysis_low) // 2 - 1
        return 2**level, (2**level - 1) * shift

    def _fans(self) -> Iterator[tuple[int, int]]:
        """Children and shift of each level that trees keep."""
        return (self._fan(level) for level in range(len(self.widths)))

    def _tree_energy(self, details: Sequence[Tensor]) -> Tensor:
        """Sum of squares of the tree of each cell ``(b, m0 m1 m2)``, summed in double."""
        squares = (d.detach().square().sum(dim=1, keepdim=True, dtype=torch.float64) for d in details)
        each = [pack_children(s, self.cells, *fan).sum(dim=1) for s, fan in zip(squares, self._fans(), strict=True)]
        return torch.stack(each).sum(dim=0).flatten(1)

    def _nearness(self, coarse: Tensor, truncation: float) -> Tensor:
        """Weight of each cell ``(b, m0 m1 m2)``: 1 where the signal is zero, a fifth where it is truncated."""
        if not truncation > 0:
            raise ArgumentError(problem("truncation", "a positive distance", truncation))
        mean = coarse.flatten(1).abs() / 2 ** (1.5 * self.levels)
        return (1 - 0.8 / truncation * mean).clamp(min=0)

    def _counts(self, told: Tensor, k: int | Sequence[int] | None, threshold: float | None, energy: float | None) -> list[int]:
        """Trees to keep of each shape."""
        b, cells = told.shape
        if threshold is not None:
            if not threshold >= 0:
                raise ArgumentError(problem("threshold", "0 or more", threshold))
            return (told > threshold).sum(dim=1).tolist()
        if energy is not None:
            if not 0 < energy <= 1:
                raise ArgumentError(problem("energy", "a share in (0, 1]", energy))
            held = told.sort(dim=1, descending=True).values.cumsum(dim=1)
            enough = torch.searchsorted(held, energy * held[:, -1:]) + 1
            return torch.where(held[:, -1:] > 0, enough, 0).flatten().tolist()
        k = DEFAULT_TREES if k is None else k
        counts = list(k) if isinstance(k, Sequence) else [k] * b
        if len(counts) != b or any(not isinstance(count, Integral) or count < 0 for count in counts):
            raise ArgumentError(problem("k", f"0 or more, or such a number for each of {b} shapes", k))
        return [min(int(count), cells) for count in counts]

    def _band_norms(self) -> list[Tensor]:
        """Norms (7,) of the filters behind each band, coarse to fine: standard deviations that white noise of size 1 has there."""
        bank = filters(self.wavelet)
        through, norms = torch.ones(1, dtype=torch.float64), []
        for level in range(self.levels):
            spread = [torch.zeros((len(taps) - 1) * 2**level + 1, dtype=torch.float64) for taps in bank[:2]]
            for taps, wide in zip(bank[:2], spread, strict=True):
                wide[:: 2**level] = taps
            low, high = (_convolve(through, wide) for wide in spread)
            sizes = float(low.norm()), float(high.norm())
            norms.append(torch.tensor([math.prod(sizes[band >> axis & 1] for axis in range(3)) for band in range(1, BANDS + 1)]))
            through = low
        return norms[::-1]


def _convolve(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.conv1d(a[None, None], b.flip(0)[None, None], padding=len(b) - 1)[0, 0]
