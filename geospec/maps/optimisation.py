"""Features learned on one pair alone: a network whose functional maps come from point maps and look like those of true ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Integral

import torch
from torch import Tensor, nn

from .. import ops
from ..bases import SampledBasis, tangent_gradients
from ..descriptors import paired_signatures
from ..errors import ArgumentError, problem
from ..laplacians import Laplacian, laplacian
from ..nn import DiffusionNet, SurfaceModes
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .functional_map import solve_functional_map
from .prior import FunctionalMapPrior, distillation_loss, properness_loss
from .refinement import nearest_to_two, schedule

#: Inputs of the network that are known by name.
INPUTS = ("xyz", "wks", "hks")
#: Columns of each kind of signature.
N_SIGNATURES = 32
#: Modes that a map is brought up by before it is cut again: what makes it one of a point map.
BEYOND = 10
#: Modes that the network diffuses in.
NETWORK_MODES = 100
#: Steps between estimates of the mask, and draws for each.
MASK_EVERY, MASK_DRAWS = 25, 16
#: Draws of the distillation loss in each step.
DISTILLATION_DRAWS = 8
#: Ridge of the raw maps, relative: features of a network that has just been made are nearly dependent.
RIDGE = 1e-5
#: How much of the past the criterion of early stopping remembers.
MEMORY = 0.9

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, eq=False)
class MapSide:
    """One shape of a pair, at area one and thinned to samples, as :func:`optimise_map` takes it. See :meth:`of`."""

    #: All points, with the modes of the maps; measure sums to one.
    basis: SampledBasis
    #: ``(m,)`` int64, the samples.
    index: Tensor
    #: ``(m, 3)``, in units of the square root of the area, centred.
    points: Tensor
    #: ``(m,)``, areas that samples stand for; they sum to one.
    measure: Tensor
    #: The modes at the samples, as the network sees them, in float32.
    surface: SurfaceModes

    @classmethod
    def of(cls, shape: Mesh | PointCloud, basis: SampledBasis, operator: Laplacian | None = None, *, samples: int | None = 1000) -> MapSide:
        """Prepare a shape.

        Parameters
        ----------
        shape : in three dimensions, in any unit.
        basis : modes with eigenvalues on its points. Measure and eigenvalues are brought to area one by ``operator.mass``.
        operator : a Laplacian, of which the pattern says who neighbours whom; default :func:`geospec.laplacian` of the shape.
        samples : points that the network works on, spread evenly, each with the area that is nearest to it; ``None`` for all.

        Cost: a second at 5,000 points, most of it the gradients.
        """
        if shape.points.shape[1] != 3:
            raise ArgumentError(problem("shape", "a shape in three dimensions", f"{shape.points.shape[1]}"))
        if basis.eigenvalues is None or basis.n != shape.n_points:
            got = f"{basis.n} points, eigenvalues {'absent' if basis.eigenvalues is None else 'present'}"
            raise ArgumentError(problem("basis", f"a basis with eigenvalues on the {shape.n_points} points of the shape", got))
        if samples is not None and samples < 1:
            raise ArgumentError(problem("samples", "a positive number or None", samples))
        operator = laplacian(shape) if operator is None else operator
        length = float(operator.mass.detach().double().sum()) ** 0.5
        total = basis.measure.sum()
        eigenvalues = basis.eigenvalues * length**2
        unit = SampledBasis(basis.modes.detach() * total.sqrt(), basis.measure.detach() / total, eigenvalues)
        gradients = tangent_gradients(shape, operator)[:2]
        modes = unit.modes[:, :NETWORK_MODES]
        slopes = (length * (gradient @ modes) for gradient in gradients)
        whole = SurfaceModes(eigenvalues[:NETWORK_MODES], modes, modes.mT, *slopes)
        points = shape.points.detach().to(modes) / length
        points = points - unit.measure @ points
        index = ops.farthest_points(points, min(samples or shape.n_points, shape.n_points))
        nearest = ops.knn(points, points[index], 1)[1][:, 0]
        measure = torch.zeros_like(unit.measure[index]).index_add(0, nearest, unit.measure)
        return cls(unit, index, points[index], measure, whole.sampled(index, measure).to(dtype=torch.float32))


@dataclass(frozen=True, eq=False, kw_only=True)
class OptimisedMap:
    """What :func:`optimise_map` returns, at the best of its steps.

    ``functional_map (k_t, k_s)`` from source to target and ``reverse_functional_map (k_s, k_t)``, both the unregularised least-squares
    maps of the features. ``history`` has a row for each step: ``loss`` and its parts ``properness`` and ``distillation``, before weighting.
    """

    functional_map: Tensor
    reverse_functional_map: Tensor
    network: DiffusionNet
    history: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    #: Of the two maps under the prior, in nats an entry: what decided between restarts.
    log_likelihood: float = -math.inf

    @property
    def steps_done(self) -> int:
        """Steps until the end or until nothing got better."""
        return len(self.history)


def optimise_map(
    source: MapSide,
    target: MapSide,
    prior: FunctionalMapPrior,
    *,
    k: int = 30,
    steps: int = 300,
    features: str | tuple[Tensor, Tensor] = "xyz+wks",
    rotation: Tensor | None = None,
    start: Tensor | None = None,
    warm_up: int | None = None,
    restarts: int = 1,
    weight: float = 1e-3,
    w_proper: float = 1.0,
    w_distill: float = 1.0,
    width: int = 64,
    blocks: int = 2,
    outputs: int = 64,
    dropout: float = 0.0,
    learning_rate: float = 1e-3,
    seed: int = 0,
    patience: int | None = 100,
    progress: Progress | None = None,
) -> OptimisedMap:
    """Learn features of two shapes, on these two alone, until their functional maps come from point maps and look like true ones.

    One network makes the features of both shapes. In each step its features give the raw maps of both directions by least squares; the
    same with the prior's mask gives maps that ZoomOut in both directions brings to point maps and these back to functional maps, the proper
    ones, which are held fixed. The step is down the gradient of

        ``w_proper sum mean (C_raw - C_proper)^2 + w_distill sum mean (|C_raw| - D(|C_raw|))^2``,

    sums over both directions, ``D`` the prior's denoised magnitudes (:func:`geospec.maps.distillation_loss`). No labels, no other shapes.

    Parameters
    ----------
    source, target : shapes as :meth:`MapSide.of` prepares them, on one device, the prior's.
    prior : with at least ``k`` modes.
    k : modes of both maps. steps : at most.
    features : inputs of the network, ``"xyz"``, ``"wks"``, ``"hks"``, several joined by ``+``, or functions ``((n_s, q), (n_t, q))`` on all
        points that mean the same on both. Coordinates need shapes that are turned alike; signatures cannot tell left from right,
        but gradient features can.
    rotation : ``(3, 3)``, turns the source's coordinates to the target's. Default: with ``start``, the rotation that fits its point map
        best (no mirror); without, none.
    start : a functional map of at least ``k x k`` from source to target, between ``source.basis`` and ``target.basis``, to improve on, such
        as that of a hypothesis.
    warm_up : steps for which the raw maps are to come from the point map of ``start`` as it is, before they may leave it. Default: all.
        The maps that features of both shapes can explain are a narrow set, so that a fit already mends what is torn or crossed
        in the start; left free, maps drift to whatever agrees with itself, for better or worse.
    restarts : networks with weights of their own, ``seed``, ``seed + 1`` and so on, of which the one is returned whose maps the prior
        finds likeliest.
    weight : of the mask, for features scaled to mean square one in a row of coefficients. Coefficients of high modes are small: a mask
        of a tenth would shrink their columns, and maps that come from points would be asked to come from shrunken ones.
    w_proper, w_distill : see above.
    width, blocks, outputs, dropout : of the network, see :class:`geospec.nn.DiffusionNet`. learning_rate : of Adam, no schedule.
    seed : of the weights and of all draws.
    patience : steps without a new best of the running mean of the loss after which to stop; ``None`` for none. Counted anew when a warm-up
        ends before the last step, and not before. The best weights are kept either way.
    progress : called as ``progress("features", done, steps)`` before each step and at the end.

    Returns
    -------
    OptimisedMap, in the float type of ``source.basis``. To refine: ``bijective_zoomout(found.functional_map, source.basis, target.basis,
    k_final=100, reverse=found.reverse_functional_map)``.

    Raises
    ------
    ArgumentError : sizes, options or tensors that do not fit; an unknown input.

    Cost: about 45 ms of one core a step at the defaults and 1,000 samples, 15 to 20 at 500, whatever the number of points; and
    16 denoisings, which cost as much again with the network prior that ships and nothing with a Gaussian one.
    Source: Pierson et al. 2025, "DiffuMatch"; the official code minimises a term that pushes negative entries to zero, leaves dropout
    on, and inverts Gram matrices without a ridge: none of that here.
    """
    _check(source, target, prior, k, steps=steps, warm_up=warm_up, restarts=restarts, patience=patience)
    warm_up = 0 if start is None else steps if warm_up is None else warm_up
    pair = _Pair(source, target, k)
    fixed = None
    if start is not None:
        start = _start(start, k, pair.surfaces[0].modes)
        fixed = pair.proper(start, start.mT)
        rotation = pair.rotation(start, source, target) if rotation is None else rotation
    inputs = _inputs(source, target, features, rotation).float()
    found: OptimisedMap | None = None
    for attempt in range(restarts):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + attempt)
            net = DiffusionNet(inputs.shape[1], outputs, width=width, blocks=blocks, dropout=dropout).to(inputs.device)
            optimiser = torch.optim.Adam(net.parameters(), lr=learning_rate, betas=(0.9, 0.99))
            history: list[dict[str, float]] = []
            best = _Best(net)
            for step in range(steps):
                if progress is not None:
                    progress("features", attempt * steps + step, restarts * steps)
                draw = seed + attempt + step
                coefficients = pair.coefficients(net(inputs, pair.surfaces))
                raw = pair.raw(*coefficients)
                with torch.no_grad():
                    if fixed is not None and step < warm_up:
                        proper = fixed
                    else:
                        if (step - warm_up) % MASK_EVERY == 0:
                            masks = [prior.mask(c, draws=MASK_DRAWS, seed=draw) for c in raw]
                        proper = pair.proper(*pair.regular(*coefficients, masks, weight))
                properness = properness_loss(raw[0], proper[0]) + properness_loss(raw[1], proper[1])
                # The library's loss is half a sum over entries; both terms are means here, so that weights mean the same for every k.
                pull = torch.stack([distillation_loss(c, prior, draws=DISTILLATION_DRAWS, seed=draw) for c in raw]).sum() * 2 / k**2
                loss = w_proper * properness + w_distill * pull
                history.append(
                    {name: float(x.detach()) for name, x in (("loss", loss), ("properness", properness), ("distillation", pull))}
                )
                if step == warm_up:  # what is asked for changes, so that losses do not compare
                    best = _Best(net)
                if best.waited(history[-1]["loss"], step) == patience and not step < warm_up < steps:
                    break
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
            best.restore(net)
            net.eval().requires_grad_(False)
            raw = pair.raw(*pair.coefficients(net(inputs, pair.surfaces)))
        likelihood = float(torch.stack([prior.log_likelihood(c) for c in raw]).mean()) / k**2
        if found is None or likelihood > found.log_likelihood:
            forward, backward = (c.to(source.basis.modes.dtype) for c in raw)
            found = OptimisedMap(
                functional_map=forward,
                reverse_functional_map=backward,
                network=net,
                history=history,
                best_step=best.step,
                log_likelihood=likelihood,
            )
    if progress is not None:
        progress("features", restarts * steps, restarts * steps)
    assert found is not None
    return found


class _Best:
    """The weights under which the running mean of the loss was lowest."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.step = net, 0
        self.mean, self.lowest = math.nan, math.inf
        self.state: dict[str, Tensor] | None = None

    def waited(self, loss: float, step: int) -> int:
        """Take note of the loss of the present weights; how many steps ago the best was."""
        self.mean = loss if math.isnan(self.mean) else MEMORY * self.mean + (1 - MEMORY) * loss
        if self.mean < self.lowest:
            self.lowest, self.step = self.mean, step
            self.state = {name: value.clone() for name, value in self.net.state_dict().items()}
        return step - self.step

    def restore(self, net: nn.Module) -> None:
        if self.state is not None:
            net.load_state_dict(self.state)


class _Pair:
    """Both thinned shapes in float32, with what maps between them are made of."""

    def __init__(self, source: MapSide, target: MapSide, k: int) -> None:
        self.k = k
        self.surfaces = [source.surface, target.surface]
        self.sizes = [size for size, _ in schedule(torch.empty(k, k), min(k + BEYOND, source.surface.k, target.surface.k), None, "auto")]

    def coefficients(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """``(k, outputs)`` on each shape in float64, scaled together so that the mean square of a row is one."""
        parts = features.split([surface.n for surface in self.surfaces])
        a, b = ((surface.analysis[: self.k] @ part).double() for surface, part in zip(self.surfaces, parts, strict=True))
        scale = (2 * self.k / (a.square().sum() + b.square().sum())).sqrt()
        return scale * a, scale * b

    def raw(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The maps without a mask, forward and back."""
        return solve_functional_map(a, b, mask=None, ridge=RIDGE), solve_functional_map(b, a, mask=None, ridge=RIDGE)

    def regular(self, a: Tensor, b: Tensor, masks: list[Tensor], weight: float) -> tuple[Tensor, Tensor]:
        """The maps with their masks."""
        return solve_functional_map(a, b, mask=masks[0], weight=weight), solve_functional_map(b, a, mask=masks[1], weight=weight)

    def rotation(self, start: Tensor, source: MapSide, target: MapSide) -> Tensor:
        """The rotation, no mirror, that takes the source's points nearest to their images under a map (Kabsch 1976)."""
        on_source, on_target = (surface.modes[:, : self.k] for surface in self.surfaces)
        to_source = ops.spectral_nearest(on_target.contiguous(), on_source @ start.to(on_source).mT)[0]
        covariance = (target.points * target.measure[:, None]).mT @ source.points[to_source]
        u, _, v = torch.linalg.svd(covariance)
        u[:, -1] *= torch.det(u @ v).sign()
        return u @ v

    def proper(self, forward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of the point maps that ZoomOut in both directions makes of these, cut to their size."""
        source, target = self.surfaces
        forward, backward = forward.float(), backward.float()
        for size, following in pairwise([*self.sizes, self.sizes[-1]]):
            on_source, on_target = source.modes[:, :size], target.modes[:, :size]
            to_source = nearest_to_two(on_target, on_source @ forward.mT, on_source @ backward)
            to_target = nearest_to_two(on_source, on_target @ backward.mT, on_target @ forward)
            forward = target.analysis[:following] @ source.modes[:, :following][to_source]
            backward = source.analysis[:following] @ target.modes[:, :following][to_target]
        return forward[: self.k, : self.k].double(), backward[: self.k, : self.k].double()


def _inputs(source: MapSide, target: MapSide, features: str | tuple[Tensor, Tensor], rotation: Tensor | None) -> Tensor:
    """``(m_s + m_t, q)``. Each kind of input has mean square three over both shapes together, whatever its number of columns."""
    measure = torch.cat([source.measure, target.measure]) / 2
    if not isinstance(features, str):
        groups = [_given(source, target, features)]
    else:
        names = features.split("+")
        if unknown := [name for name in names if name not in INPUTS]:
            raise ArgumentError(problem("features", f"some of {', '.join(INPUTS)} joined by +, or two tensors", repr(unknown[0])))
        groups = [_coordinates(source, target, rotation) if name == "xyz" else _signatures(source, target, name) for name in names]
    scaled = [x / (measure @ x.square()).sum().sqrt().clamp(min=1e-12) for x in groups]
    return torch.cat(scaled, dim=1) * math.sqrt(3)


def _coordinates(source: MapSide, target: MapSide, rotation: Tensor | None) -> Tensor:
    if rotation is None:
        return torch.cat([source.points, target.points])
    if rotation.shape != (3, 3):
        raise ArgumentError(problem("rotation", "shape (3, 3)", tuple(rotation.shape)))
    return torch.cat([source.points @ rotation.to(source.points).mT, target.points])


def _signatures(source: MapSide, target: MapSide, kind: str) -> Tensor:
    """Columns of mean zero and one size, over both shapes together."""
    measure = torch.cat([source.measure, target.measure]) / 2
    on_source, on_target = paired_signatures(source.basis, target.basis, kind, n=N_SIGNATURES)
    both = torch.cat([on_source[source.index], on_target[target.index]])
    both = both - measure @ both
    return both / (measure @ both.square()).sqrt().clamp(min=1e-12)


def _given(source: MapSide, target: MapSide, features: tuple[Tensor, Tensor]) -> Tensor:
    for name, side, given in zip(("source", "target"), (source, target), features, strict=True):
        if given.dim() != 2 or len(given) != side.basis.n or given.shape[1] != features[0].shape[1] or not bool(given.isfinite().all()):
            raise ArgumentError(problem("features", f"finite functions ({side.basis.n}, q) on the {name}", tuple(given.shape)))
    return torch.cat([given.detach().to(side.points)[side.index] for side, given in zip((source, target), features, strict=True)])


def _start(start: Tensor, k: int, like: Tensor) -> Tensor:
    if start.dim() != 2 or min(start.shape) < k or not bool(start.isfinite().all()):
        raise ArgumentError(problem("start", f"a finite map of at least {k} x {k}", tuple(start.shape)))
    return start[:k, :k].detach().to(like)


def _check(source: MapSide, target: MapSide, prior: FunctionalMapPrior, k: int, **counts: int | None) -> None:
    most = min(prior.k, source.surface.k, target.surface.k)
    if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= most:
        raise ArgumentError(problem("k", f"between 1 and the {most} modes that prior and both bases have", k))
    for name, value in counts.items():
        least = 0 if name == "warm_up" else 1
        if value is not None and (not isinstance(value, Integral) or isinstance(value, bool) or value < least):
            raise ArgumentError(problem(name, f"an integer, at least {least}", repr(value)))
