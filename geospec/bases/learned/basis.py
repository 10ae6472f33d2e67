"""A spectral basis straight from points: no mesh, no operator to assemble; an eigensolver only to certify."""

from __future__ import annotations

import copy
import math
from numbers import Integral
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor, nn

from ... import ops
from ...errors import ArgumentError, ConvergenceError, ShapeError, one_of, problem
from ...losses import check_loss
from ...nn.encoders import ENCODERS, suggested_frequency
from ...probes import GraphProbes, HeatProbes, ProbeFamily, Probes, SampledProbes, family_of
from ...shapes.cloud import PointCloud
from ...shapes.mesh import Mesh
from ..base import SampledBasis
from ..signs import signs
from .columns import constant_columns, orthonormal, rayleigh_ritz
from .fitting import Plan, Progress, train

#: Points on which the encoder is trained; a larger cloud is thinned to these for training, and all points take part at the end.
TRAINING_POINTS = 4096
#: Columns learned beyond the modes, at least; a quarter of the modes where that is more.
SPARE = 8
REFINEMENTS = ("rayleigh-ritz",)
MASSES = ("graph", "learned")


class Reader(nn.Module):
    """From points to functions: centre and scale, encoder, and the matrix that makes its columns the basis's and further ones.

    ``forward(points (m, d)) -> (m, kept)``, float64 as ``turn (columns, kept)`` is; the first k are the basis's. A constant column
    stands before the encoder's own if ``constant``.
    """

    center: Tensor
    scale: Tensor
    turn: Tensor

    def __init__(self, encoder: nn.Module, center: Tensor, scale: Tensor, turn: Tensor, constant: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.constant = constant
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)
        self.register_buffer("turn", turn)

    def columns(self, points: Tensor) -> Tensor:
        """What the encoder emits, in its own type, with the constant in front."""
        weight = next(self.encoder.parameters())
        emitted = self.encoder(((points.to(self.center) - self.center) / self.scale).to(weight))
        return torch.cat([torch.ones_like(emitted[:, :1]), emitted], dim=1) if self.constant else emitted

    def forward(self, points: Tensor) -> Tensor:
        return self.columns(points).to(self.turn) @ self.turn


@final
class LearnedEigenbasis(SampledBasis):
    """An ordered orthonormal basis on a cloud, learned from random smooth fields.

    Attributes
    ----------
    modes (n, k) : orthonormal under ``measure``; the first is constant for heat and its like.
    measure (n,) : share of each point, summing to 1: of the area for density-free probes, ``1 / n`` for probes without a graph.
    eigenvalues (k,) : ascending, in 1 / length^2 of the points' own unit; ``None`` for probes without an operator.
    eigenvalue_errors (k,) : what the residual of each mode took off its Ritz value, to second order: an estimate from above of what is
        left. How far the graph is from the surface is not in it. ``None`` without refinement.
    options : how it was made, as plain values: probes, encoder, loss, steps, history.
    reader : the functions off the samples, see :meth:`at`; ``None`` where the basis came without an encoder.
    """

    kind: ClassVar[str] = "learned"
    eigenvalue_errors: Tensor | None

    def __init__(
        self,
        modes: Tensor,
        measure: Tensor,
        eigenvalues: Tensor | None = None,
        options: dict[str, Any] | None = None,
        *,
        eigenvalue_errors: Tensor | None = None,
        reader: Reader | None = None,
        family: ProbeFamily | None = None,
    ) -> None:
        super().__init__(modes, measure, eigenvalues, options)
        self.register_buffer("eigenvalue_errors", eigenvalue_errors)
        self.reader = reader
        self._family = family

    @property
    def optimality_ratio(self) -> float | None:
        """The nested loss at the end of training over its lower bound: 1 at the best basis there is; ``None`` where nothing was trained."""
        return self.history[-1]["optimality_ratio"] if self.history else None

    @property
    def history(self) -> list[dict[str, float]]:
        """The checks while training: step, ``optimality_ratio``, ``log_ratio``, norm of the gradient."""
        return self.options.get("history", [])

    @property
    def normalized_modes(self) -> Tensor:
        """``Q = sqrt(measure) * modes (n, k)``, orthonormal under the plain product."""
        return self.measure.sqrt()[:, None] * self.modes

    @classmethod
    def fit(
        cls,
        points: Tensor | PointCloud,
        k: int,
        *,
        probes: ProbeFamily | None = None,
        encoder: str | nn.Module = "mlp",
        exact: bool | None = None,
        samples: int = 300,
        loss: str = "log",
        mass: str = "graph",
        refine: str | None = "rayleigh-ritz",
        max_steps: int = 400,
        learning_rate: float = 3e-3,
        target: float = 1.015,
        training_points: int = TRAINING_POINTS,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> LearnedEigenbasis:
        """Train an encoder on one cloud until its columns reconstruct the probes as well as any columns can.

        Parameters
        ----------
        points : (n, d) float32 or float64 in any dimension, or a cloud, in any unit; scaled to radius 1 for the encoder alone.
        k : number of modes, at most n. At least a quarter more columns are learned, which the refinement draws on.
        probes : the family that chooses the operator, see :mod:`geospec.probes`; ``HeatProbes()`` by default, the Laplacian whatever
            the density of the points.
        encoder : ``"mlp"`` sees each point for itself; ``"transformer"`` is the paper's, ``O(n^2)`` time; ``"latent"`` lets points speak
            through latent tokens, linear in n; or a module ``(n, d) -> (n, columns)`` of the caller's, with at least k columns (k - 1
            where the constant is known): a copy is trained from its weights, and frozen.
        exact : apply the covariance itself, without sampling noise; by default wherever the family can. ``False`` draws
            ``samples`` fresh fields for each step.
        loss : ``"log"`` or ``"plain"``, see :func:`geospec.losses.nested_reconstruction`; ``"published"`` is the paper's own (sampled
            only), see :func:`geospec.losses.weighted_reconstruction`.
        mass : ``"graph"`` knows the first column, the root of the measure, from the probes; ``"learned"`` takes the measure from the
            learned first column, as the paper does.
        refine : ``"rayleigh-ritz"`` rotates the columns to the Ritz vectors of the smoothing operator, one small dense
            eigenproblem; ``None`` leaves them as they were learned. Not used by probes without an operator.
        max_steps, learning_rate : of AdamW, with warm-up and cosine decay.
        target : stop once the geometric mean, over truncations, of residual over smallest residual is at most this.
        training_points : a larger cloud is thinned to this many by farthest points for training; the columns are evaluated, made
            orthonormal and refined on all points.
        seed : of everything random; the result repeats on the CPU for a given number of threads.
        progress : called as ``progress(stage, step, max_steps)``.

        Raises
        ------
        ArgumentError : an option out of range. ShapeError : what :func:`geospec.probes.smoothing_graph` refuses.
        ConvergenceError : the loss is not finite, or a learned measure vanishes at a point.

        Notes
        -----
        A cloud in several pieces has as many eigenvalues 0, as any Laplacian has; ``options["components"]`` counts them. Signs as in
        :meth:`geospec.LaplaceBasis.fit`. Cost with the MLP: 10 to 30 s at 2,500 points and 50 modes on one core, 40 s
        and 1 GiB at 100k points. Memory linear in n for ``"mlp"`` and ``"latent"``.

        Source: arXiv 2512.01103 (learning eigenstructures of unstructured data manifolds); the loss in closed form is ours.
        """
        cloud = _points(points)
        _check(cloud, k, loss, mass, refine, training_points=training_points, max_steps=max_steps, samples=samples)
        family = HeatProbes() if probes is None else probes
        if not isinstance(family, ProbeFamily):
            hint = "geospec.probes.CallableProbes takes any function"
            raise ArgumentError(problem("probes", "a family of geospec.probes", type(family).__name__, hint))
        k = int(k)
        few = cloud.detach()
        if len(cloud) > training_points:
            few = few[ops.farthest_points(few, training_points)]
        taught = family.on(few, k)
        plan = Plan(loss, _exact(exact, loss, taught), samples, max_steps, learning_rate, target, seed)
        constant = mass == "graph" and constant_columns(taught) > 0
        center = few.double().mean(dim=0)
        scale = (few.double() - center).norm(dim=1).max().clamp_min(torch.finfo(torch.float32).tiny)
        net = _encoder(encoder, few, k, constant, taught, float(scale), seed).to(few.device)
        inputs = ((few.double() - center) / scale).to(next(net.parameters()))
        columns = _columns_of(net, inputs, k - constant, len(few) - constant) + constant
        scaled = isinstance(taught, GraphProbes) and mass == "graph"
        fitted = train(net, inputs, taught, k, plan, scaled, progress)

        whole = taught if few.shape == cloud.shape else _on(family, cloud, k, refine)
        turn = torch.eye(columns, dtype=torch.float64, device=few.device)
        reader = Reader(net.eval(), center, scale, turn, constant).requires_grad_(False)
        options = {
            "probes": family.options(),
            "encoder": _described(encoder, net),
            "loss": loss,
            "mass": mass,
            "refine": refine,
            "seed": seed,
            "steps": fitted.steps,
            "reached": fitted.reached,
            "history": fitted.as_plain(),
        }
        return cls._assemble(cloud, k, reader, whole, family, refine, mass, options)

    @classmethod
    def _assemble(
        cls,
        points: Tensor,
        k: int,
        reader: Reader,
        probes: Probes,
        family: ProbeFamily,
        refine: str | None,
        mass: str,
        options: dict[str, Any],
    ) -> LearnedEigenbasis:
        """Columns on these points, made orthonormal, refined, scaled by the measure."""
        with torch.no_grad():
            emitted = reader.columns(points.detach()).double() @ reader.turn[:, : len(points)].double()
            measure = probes.measure.double()
            root = (measure * len(points)).sqrt()[:, None]
            q, turn = _independent(emitted * root if isinstance(probes, GraphProbes) and mass == "graph" else emitted, k)
            eigenvalues, errors = None, None
            if isinstance(probes, GraphProbes):
                if refine is not None:
                    ritz = rayleigh_ritz(q, probes, fixed=int(reader.constant))
                    q, turn = q @ ritz.turn, turn @ ritz.turn
                    raw, eigenvalues = (probes.graph.eigenvalue(x[:k]) for x in (ritz.factors, ritz.factors + ritz.missing))
                    eigenvalues = eigenvalues.cummax(dim=0).values
                    errors = (raw - eigenvalues).clamp_min(0)
                else:
                    captured = (q * probes.covariance(q)).sum(dim=0)
                    eigenvalues = probes.eigenvalue(captured)[:k].cummax(dim=0).values
                options["components"] = probes.graph.components()
                options["dimension"] = probes.graph.dimension
            if mass == "learned":
                measure = _learned_measure(q[:, 0])
            sign = signs(q / measure.sqrt()[:, None], measure)
            turn = reader.turn[:, : len(points)].double() @ (turn * sign) * math.sqrt(len(points))
            held = Reader(reader.encoder, reader.center, reader.scale, turn, reader.constant)
            modes = (q * sign)[:, :k] / measure.sqrt()[:, None]
        return cls(
            modes.to(points),
            measure.to(points),
            None if eigenvalues is None else eigenvalues.to(points),
            options,
            eigenvalue_errors=None if errors is None else errors.to(points),
            reader=held,
            family=family,
        )

    def at(self, points: Tensor) -> Tensor:
        """The functions at other points ``(m, d)``: ``(m, k)``, by the encoder; differentiable in the points.

        Between the samples this is the basis's own formula. With ``mass="learned"`` the columns are divided by the first.
        """
        reader = self._needed_reader()
        wanted = reader.center.shape[0]
        if not isinstance(points, Tensor) or points.dim() != 2 or points.shape[1] != wanted:
            raise ArgumentError(problem("points", f"shape (m, {wanted})", getattr(points, "shape", type(points).__name__)))
        columns = reader(points)[:, : self.k]
        if self.options.get("mass") == "learned":
            columns = columns / columns[:, :1].abs()
        return columns.to(self.modes.dtype)

    def extend(self, points: Tensor | PointCloud, *, refine: str | None = "rayleigh-ritz") -> LearnedEigenbasis:
        """The basis on other points of the same manifold, by evaluating the encoder there: nothing is trained.

        The measure is that of the new points; the columns are made orthonormal under it, and rotated by ``refine`` to the Ritz
        vectors of the new points' own operator. ``at`` gives the functions as they are.

        Raises
        ------
        ArgumentError : another dimension, or a basis without encoder or probes (loaded from a file of a caller's own module).
        """
        _check_refine(refine)
        cloud, reader = _points(points), self._needed_reader()
        if cloud.shape[1] != len(reader.center):
            raise ArgumentError(problem("points", f"shape (m, {len(reader.center)})", tuple(cloud.shape)))
        if self._family is None:
            hint = "fit a basis in this process"
            raise ArgumentError(
                problem("extend", "the probes that the basis was fitted with", "a basis from a file whose probes cannot be stored", hint)
            )
        if len(cloud) < self.k:
            raise ShapeError(problem("points", f"at least as many as modes, {self.k}", len(cloud)))
        options = {**self.options, "refine": refine}
        probes = _on(self._family, cloud, self.k, refine)
        return self._assemble(cloud, self.k, reader, probes, self._family, refine, self.options["mass"], options)

    def truncate(self, k: int) -> LearnedEigenbasis:
        k = self._checked_k(k)
        values, errors = (None if x is None else x[:k] for x in (self.eigenvalues, self.eigenvalue_errors))
        return LearnedEigenbasis(
            self.modes[:, :k], self.measure, values, self.options, eigenvalue_errors=errors, reader=self.reader, family=self._family
        )

    def scaled(self, factor: float | Tensor) -> LearnedEigenbasis:
        """The basis of the same cloud with its lengths multiplied by ``factor > 0``. The measure, a share, stays as it is.

        Eigenvalues go as ``1 / factor^2``. The result keeps no functions off its samples.
        """
        factor = torch.as_tensor(factor).to(self.modes)
        if not bool(factor > 0):
            raise ArgumentError(problem("factor", "a positive number", float(factor)))
        values, errors = (None if x is None else x / factor**2 for x in (self.eigenvalues, self.eigenvalue_errors))
        return LearnedEigenbasis(self.modes, self.measure, values, self.options, eigenvalue_errors=errors)

    def _needed_reader(self) -> Reader:
        if self.reader is None:
            raise ArgumentError(
                problem("encoder", "a basis that holds its encoder", "one without", "it came from a module of your own or was scaled")
            )
        return self.reader

    def _arrays(self) -> dict[str, Tensor]:
        arrays = super()._arrays()
        if self.eigenvalue_errors is not None:
            arrays["eigenvalue_errors"] = self.eigenvalue_errors
        if self.reader is not None and "config" in self.options["encoder"]:
            arrays.update({f"reader.{name}": value for name, value in self.reader.state_dict().items()})
        return arrays

    @classmethod
    def _from_arrays(cls, arrays: dict[str, Tensor], options: dict[str, Any]) -> Self:
        held = {name.removeprefix("reader."): value for name, value in arrays.items() if name.startswith("reader.")}
        own = {name: value for name, value in arrays.items() if not name.startswith("reader.")}
        reader = None
        if held:
            reader = _read(held, options)
        return cls(**own, options=options, reader=reader, family=family_of(options.get("probes", {})))


def _read(held: dict[str, Tensor], options: dict[str, Any]) -> Reader:
    """The reader of a file's tensors; only encoders of our own are made, from numbers.

    Raises
    ------
    ValueError : tensors and description that do not belong together.
    """
    try:
        described = options["encoder"]
        one_of("encoder", described["name"], tuple(ENCODERS))
        net = ENCODERS[described["name"]](**described["config"]).to(held["encoder.head.weight"].dtype)
        constant = held["turn"].shape[0] == described["config"]["outputs"] + 1
        center, scale, turn = (torch.empty_like(held[name]) for name in ("center", "scale", "turn"))
        reader = Reader(net, center, scale, turn, constant)
        reader.load_state_dict(held)
    except (KeyError, RuntimeError) as cause:  # what is absent, or has another shape
        raise ValueError(f"the encoder does not fit its description: {cause}") from cause
    return reader.eval().requires_grad_(False)


def _independent(columns: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Orthonormal ``q (n, kept)`` and ``turn (columns, kept)`` with ``q = columns turn``, without the columns that depend on others."""
    q, r = orthonormal(columns)
    kept = r.diagonal() > 0
    if int(kept.sum()) < k:
        hint = "train longer, or use an encoder with more columns"
        raise ConvergenceError(f"fit: the encoder gives {int(kept.sum())} independent columns on {len(q)} points, {k} are needed; {hint}")
    q, r = q[:, kept], r[kept][:, kept]
    turn = columns.new_zeros(columns.shape[1], len(r))
    turn[kept] = torch.linalg.solve_triangular(r, torch.eye(len(r), dtype=r.dtype, device=r.device), upper=True)
    return q, turn


def _on(family: ProbeFamily, points: Tensor, k: int, refine: str | None) -> Probes:
    """What the end of a fit needs: a refinement asks for the smoothing step only, whatever the automatic numbers would be."""
    once = None if refine is None else family.smoother(points.detach())
    return family.on(points.detach(), k) if once is None else once


def _points(points: Tensor | PointCloud) -> Tensor:
    if isinstance(points, Mesh):
        raise ArgumentError(problem("points", "points or a PointCloud", "a Mesh", "pass mesh.vertices: its faces would not be used"))
    cloud = points if isinstance(points, PointCloud) else PointCloud(points)
    if not cloud.n_points:
        raise ShapeError(problem("points", "at least one point", "none"))
    return cloud.points


def _check(cloud: Tensor, k: int, loss: str, mass: str, refine: str | None, **counts: int) -> None:
    for name, value in {"k": k, **counts}.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ArgumentError(problem(name, "a positive integer", repr(value)))
    most = min(len(cloud), counts["training_points"])
    if k > most:
        raise ArgumentError(problem("k", f"at most the {most} points to learn from", k, "ask for fewer modes"))
    check_loss(loss)
    one_of("mass", mass, MASSES)
    _check_refine(refine)


def _check_refine(refine: str | None) -> None:
    if refine is not None:
        one_of("refine", refine, REFINEMENTS)


def _exact(asked: bool | None, loss: str, probes: Probes) -> bool:
    if loss == "published":
        if asked:
            raise ArgumentError(problem("exact", "False for the published loss, which knows fields only", "True"))
        return False
    if isinstance(probes, SampledProbes):
        if asked:
            raise ArgumentError(problem("exact", "False for probes that can only be sampled", "True"))
        return False
    return True if asked is None else bool(asked)


def _encoder(encoder: str | nn.Module, points: Tensor, k: int, constant: bool, probes: Probes, radius: float, seed: int) -> nn.Module:
    if isinstance(encoder, nn.Module):
        if next(encoder.parameters(), None) is None:
            raise ArgumentError(problem("encoder", "a module with parameters to train", type(encoder).__name__))
        return copy.deepcopy(encoder).requires_grad_(True)
    one_of("encoder", encoder, tuple(ENCODERS))
    columns = 8 * math.ceil((k + max(SPARE, k // 4)) / 8)  # whole registers of the smoothing
    outputs = max(min(columns, len(points)) - constant, 1)
    options: dict[str, Any] = {}
    if encoder != "transformer":
        top = float(probes.graph.eigenvalue(probes.leading(k)[-1:])) if isinstance(probes, GraphProbes) else 0.0
        options["frequency"] = suggested_frequency(top, radius) if top else 6.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ENCODERS[encoder](points.shape[1], outputs, **options)


def _described(encoder: str | nn.Module, net: nn.Module) -> dict[str, Any]:
    """What a file needs to make the encoder again: a name and sizes; a caller's own module has a class name only."""
    if isinstance(encoder, str):
        return {"name": encoder, "config": net.config}
    names = {kind: name for name, kind in ENCODERS.items()}
    if type(net) in names:
        return {"name": names[type(net)], "config": net.config}
    return {"name": type(net).__name__}


def _columns_of(net: nn.Module, inputs: Tensor, least: int, most: int) -> int:
    with torch.no_grad():
        emitted = net(inputs)
    if not isinstance(emitted, Tensor) or emitted.dim() != 2 or len(emitted) != len(inputs) or not least <= emitted.shape[1] <= most:
        wanted = f"a module from {tuple(inputs.shape)} to ({len(inputs)}, columns) with {least} to {most} columns"
        raise ArgumentError(problem("encoder", wanted, getattr(emitted, "shape", type(emitted).__name__)))
    return emitted.shape[1]


def _learned_measure(first: Tensor) -> Tensor:
    measure = first.square()
    lost = int((measure < 1e-8 * measure.mean()).sum())
    if lost:
        hint = "raise max_steps, or use mass='graph'"
        raise ConvergenceError(f"fit: the learned measure vanishes at {lost} of {len(first)} points; {hint}")
    return measure / measure.sum()
