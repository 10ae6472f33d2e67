"""Training an encoder on the probes of one cloud."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from ... import ops
from ...errors import ConvergenceError
from ...losses import nested_reconstruction, weighted_reconstruction
from ...probes import GraphProbes, Probes
from ...probes.fields import FeatureProbes
from ..eigensolvers import eigenpairs
from .columns import orthonormal, with_constant

Progress = Callable[[str, int, int], None]
#: Fields that stand for the covariance where it is known by samples alone: held back from training, for the bound.
HELD_BACK = 1000
#: Random vectors of the estimate of the trace.
TRACE_VECTORS = 32
#: The clip of the gradient's norm and the steps of warm-up.
CLIP, WARM_UP = 1.0, 30
#: Steps between checks.
CHECK_EVERY = 20


@dataclass(frozen=True)
class Check:
    """How the fit stood after a step.

    ``optimality_ratio`` is the plain nested loss over its lower bound; ``log_ratio`` the geometric mean over the
    truncations of residual over smallest residual, of the fields without a long tail. Both reach 1 at the eigenbasis.
    """

    step: int
    optimality_ratio: float
    log_ratio: float
    gradient: float


@dataclass
class Fitted:
    """What training leaves: checks in order, whether the target was reached, steps taken."""

    checks: list[Check] = field(default_factory=list)
    reached: bool = False
    steps: int = 0

    def as_plain(self) -> list[dict[str, float]]:
        """The checks as plain values."""
        return [asdict(check) for check in self.checks]


@dataclass(frozen=True)
class Plan:
    """How to train: see :meth:`geospec.LearnedEigenbasis.fit`."""

    loss: str
    exact: bool
    samples: int
    max_steps: int
    learning_rate: float
    target: float
    seed: int


class Bound:
    """The least that any basis leaves, and what this one leaves above it.

    Exact wherever the covariance is known, also where training sees samples alone.
    """

    def __init__(self, probes: Probes, k: int, seed: int) -> None:
        self.probes, self.k = probes, k
        self.held: Tensor | None = None
        if isinstance(probes, GraphProbes):
            self.energies, self.total = _best(probes, k, seed)
        elif isinstance(probes, FeatureProbes):
            features = probes.features.double()
            best = torch.linalg.svdvals(features).square()[:k]
            self.energies, self.total = functional.pad(best, (0, k - len(best))), float(features.square().sum())
        else:
            self.held = probes.sample(HELD_BACK, torch.Generator().manual_seed(seed + 1)).double()
            self.total = float(self.held.square().sum()) / HELD_BACK
            small = self.held.T @ self.held if probes.n > HELD_BACK else self.held @ self.held.T
            best = torch.linalg.eigvalsh(small / HELD_BACK).flip(0)[:k].clamp_min(0)
            self.energies = functional.pad(best, (0, k - len(best)))

    def check(self, step: int, captured: Tensor, gradient: float) -> Check:
        """Where columns stand that capture these energies ``(K,)``, K of at least k."""
        captured = captured[: self.k].double()
        left, least = (_left(self.total, x) for x in (captured, self.energies))
        near, nearest = (_left(self._reach(), x) for x in (captured, self.energies))
        return Check(step, float(left.mean() / least.mean()), math.exp(float((near / nearest).log().mean())), gradient)

    def _reach(self) -> float:
        """The total with no more beyond the modes than heat leaves there: a long tail would drown what is wrong with the modes."""
        held, last = float(self.energies.sum()), float(self.energies[-1])
        return held + min(self.total - held, last * max(1.0, self.k / 7))

    def captured(self, q: Tensor) -> Tensor:
        """The energies that the first k of the columns ``q (n, K)`` capture."""
        q = q[:, : self.k].double()
        if self.held is not None:
            return (q.T @ self.held).square().sum(dim=1) / HELD_BACK
        return (q * self.probes.covariance(q)).sum(dim=0)


def _left(total: float, energies: Tensor) -> Tensor:
    """Residuals of the truncations; less than float32 columns can tell counts as that."""
    return (total - energies.cumsum(0)).clamp_min(1e-6 * total)


def _best(probes: GraphProbes, k: int, seed: int) -> tuple[Tensor, float]:
    """The k largest energies by the library's own eigensolver, and the trace: they certify, they do not teach.

    The trace is what these modes hold, and Hutchinson's estimate of the small rest outside them (Meyer et al., Hutch++, 2021).
    """
    found = eigenpairs(probes.graph.generator(probes.values), k=k)
    energies, vectors = probes.law.energy(1 - found.values.to(probes.measure)), found.vectors.to(probes.measure)
    white = torch.randn(probes.n, TRACE_VECTORS, generator=torch.Generator().manual_seed(seed)).to(probes.measure)
    rest = white - vectors @ (vectors.T @ white)
    return energies.double(), float(energies.double().sum() + (rest * probes.covariance(rest)).double().sum() / TRACE_VECTORS)


def train(encoder: nn.Module, inputs: Tensor, probes: Probes, k: int, plan: Plan, scaled: bool, progress: Progress | None) -> Fitted:
    """Descend on the nested loss; the encoder is left with the weights of the last step.

    Raises
    ------
    ConvergenceError : the loss or its gradient is not finite.
    """
    bound = Bound(probes, k, plan.seed)
    generator = torch.Generator().manual_seed(plan.seed + 2)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=plan.learning_rate, weight_decay=0.0)
    fitted = Fitted()
    for step in range(plan.max_steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.learning_rate * _schedule(step, plan.max_steps)
        columns = encoder(inputs)
        q, _ = orthonormal(with_constant(columns, probes) if scaled and isinstance(probes, GraphProbes) else columns)
        loss, captured = _loss(q, probes, bound.total, plan, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        gradient = float(nn.utils.clip_grad_norm_(encoder.parameters(), CLIP))
        if not math.isfinite(gradient):
            raise ConvergenceError(f"fit: the gradient is not finite at step {step}, loss {float(loss.detach()):.3g}; lower learning_rate")
        optimiser.step()
        fitted.steps = step + 1
        if fitted.steps % CHECK_EVERY == 0 or fitted.steps == plan.max_steps:
            captured = bound.captured(q.detach()) if captured is None else captured
            fitted.checks.append(bound.check(fitted.steps, captured, gradient))
            if progress is not None:
                progress(f"learning, ratio {fitted.checks[-1].optimality_ratio:.4f}", fitted.steps, plan.max_steps)
            if fitted.checks[-1].log_ratio <= plan.target:
                fitted.reached = True
                break
    return fitted


def _schedule(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * step / steps)))


def _loss(q: Tensor, probes: Probes, total: float, plan: Plan, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """The loss, and the energies under the covariance itself where they came with it."""
    wanted = min(q.shape[1], max(len(q) - 1, 1))  # n columns leave nothing, whatever they are
    if plan.exact:
        smoothed = probes.covariance(q.detach())
        captured = _quadratic(q.double(), smoothed.double())
        trace = max(total, float(captured.detach().sum()) * (1 + 1e-9))
        return nested_reconstruction(captured[:wanted], trace, plan.loss), captured.detach()
    fields = probes.sample(plan.samples, generator).to(q)
    if plan.loss == "published":
        return weighted_reconstruction(q, fields), None
    captured = ops.captured_energy(q, fields)
    there = fields.detach().double().square().sum()
    most = torch.maximum(there, captured.detach().double().sum() * (1 + 1e-9))
    return nested_reconstruction(captured[:wanted], most, plan.loss), None


def _quadratic(q: Tensor, smoothed: Tensor) -> Tensor:
    """``q_i^T C q_i`` with its gradient ``2 C q_i``, for ``smoothed = C q`` at hand: the products are not done twice."""
    value = (q.detach() * smoothed).sum(dim=0)
    return value + 2 * ((q - q.detach()) * smoothed).sum(dim=0)
