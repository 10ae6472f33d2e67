"""The prior over functional maps: a denoiser of ``|C|``, and what follows from it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...diffusion import EDM, denoise
from ...errors import ArgumentError, one_of, problem
from ...nn import DiffusionTransformer
from ...ops.noisy_magnitudes import mask_sums, noisy_magnitudes
from ...weights import load_weights, save_weights, shipped
from .fitting import PriorTraining, fit_network, moments

KIND = "functional-map-prior"
ESTIMATORS = ("ratio_of_means", "one_sided", "analytic")
MODELS = ("gaussian", "dit")
#: Least deviation of an entry: the first row and column of a true map between shapes of equal area do not vary at all.
LEAST_DEVIATION = 1e-3
#: Sizes of maps and shares of the held-out maps at which likelihoods are tabulated.
TABLE_SIZES, TABLE_SHARES = (15, 20, 25, 30, 35, 40, 45, 50), 201
#: Noise levels over which a likelihood is integrated: below the first the network is not asked, above the last all is noise.
LOWEST, HIGHEST, LEVELS = 0.03, 3.0, 12
#: Maps that are denoised at once: bounds memory whatever the number of draws.
CHUNK = 256


class FunctionalMapPrior(nn.Module):
    """A density over the magnitudes ``|C|`` of functional maps of true point maps, for any two shapes of equal area.

    Magnitudes, because the signs of eigenvectors are free. It is learned on maps between generated shapes of many kinds; a functional map
    knows nothing of bodies, so it serves shapes of kinds that it has not seen. Maps have any size up to ``k``, rectangular too: the leading
    block of a true map is the true map of fewer modes. ``C (k_t, k_s)`` carries source coefficients to the target; leading dimensions
    are batches.

    The denoiser is the Wiener filter of the entries, by their means and variances, plus a correction by a transformer over
    patches of the map, preconditioned entry by entry (:class:`geospec.diffusion.EDM`). Without a network it is the Gaussian prior: closed
    form, a few thousand numbers.

    Maps may be in any float type and on any device: what comes back is like what was given.

    Parameters
    ----------
    k : largest size. network : arguments of :class:`geospec.nn.DiffusionTransformer`, or ``None`` for the Gaussian prior.

    Source: Pierson et al. 2025, "DiffuMatch" (arXiv 2507.23715); the preconditioning by entries is this library's.
    """

    mean: Tensor
    deviation: Tensor
    likelihoods: Tensor

    def __init__(self, k: int, network: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"k": k, "network": None if network is None else dict(network)}
        self.k = k
        self.register_buffer("mean", torch.zeros(k, k))
        self.register_buffer("deviation", torch.ones(k, k))
        self.register_buffer("likelihoods", torch.full((len(TABLE_SIZES), TABLE_SHARES), math.nan))
        self.network = None if network is None else DiffusionTransformer(**network)

    def __repr__(self) -> str:
        model = "gaussian" if self.network is None else "network of {width} x {depth}".format(**self.network.config)
        return f"FunctionalMapPrior(k={self.k}, {model})"

    # Where it comes from.

    @classmethod
    def pretrained(cls, name: str = "functional-maps") -> FunctionalMapPrior:
        """The prior that ships, on the CPU, in evaluation mode; without gradients in its weights."""
        return cls.load(shipped(name))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FunctionalMapPrior:
        """Read a file of :meth:`save`. Runs no code from it.

        Raises
        ------
        FileNotFoundError : no such file. FileFormatError : not weights, of another kind, another version, or broken.
        """
        prior = load_weights(path, KIND).make(cls)
        prior.eval().requires_grad_(False)
        return prior

    def save(
        self, path: str | os.PathLike[str], *, metrics: dict[str, Any] | None = None, command: str = "", seed: int | None = None
    ) -> None:
        """Write the prior as safetensors, in half precision: about two bytes a weight."""
        save_weights(self, path, kind=KIND, arguments=self.config, metrics=metrics, command=command, seed=seed, dtype=torch.float16)

    @classmethod
    def fit(
        cls,
        maps: Tensor,
        *,
        model: str = "gaussian",
        held_out: Tensor | None = None,
        plan: PriorTraining | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> FunctionalMapPrior:
        """Fit a prior to true functional maps.

        Parameters
        ----------
        maps : ``(n, k, k)``, of pairs at equal area, signed or not; both directions of each pair, if the prior is to be the same for both.
        model : ``"gaussian"``, means and variances, at once; ``"dit"``, the network as well, which takes minutes to hours.
        held_out : maps ``(m, k, k)`` of other shapes, on which likelihoods are tabulated for :meth:`plausibility`; default the maps
            themselves.
        plan : sizes and steps of the network's training. progress : called as ``progress("training", done, steps)``.

        Raises
        ------
        ArgumentError : not a stack of finite square maps, or maps whose magnitudes are all zero.
        """
        one_of("model", model, MODELS)
        plan = plan or PriorTraining()
        prior = cls.of_moments(maps, None if model == "gaussian" else plan.network())
        if prior.network is not None:
            fit_network(prior, maps, plan, progress=progress)
        prior.tabulate(maps if held_out is None else held_out)
        prior.eval().requires_grad_(False)
        return prior

    @classmethod
    def of_moments(cls, maps: Tensor, network: dict[str, Any] | None = None, seed: int = 0) -> FunctionalMapPrior:
        """The Gaussian prior of maps, or the start of a network's training."""
        mean, deviation = moments(maps)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            prior = cls(maps.shape[-1], network)
        prior.mean.copy_(mean)
        prior.deviation.copy_(deviation.clamp(min=LEAST_DEVIATION))
        return prior

    @property
    def gaussian(self) -> FunctionalMapPrior:
        """The prior of the same means and variances without the network."""
        return self._sibling(self.deviation)

    def _sibling(self, deviation: Tensor) -> FunctionalMapPrior:
        sibling = FunctionalMapPrior(self.k).to(self.mean)
        sibling.mean, sibling.deviation = self.mean, deviation
        return sibling.eval()

    # What it says.

    def denoise(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """``D(x; sigma)``, the expected magnitudes given noisy ones: ``(..., k_t, k_s)`` like ``x``.

        ``x = |C| + sigma n`` with standard normal ``n``, as it is: not made positive. ``sigma > 0`` is a number or has the leading
        dimensions of ``x``. Differentiable. Cost: :class:`geospec.nn.DiffusionTransformer`, 0.06 GFlop a map of 30 x 30 as shipped.
        """
        x = self._checked("x", x)
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        if not bool((sigma > 0).all()):
            raise ArgumentError(problem("sigma", "positive noise levels", f"a smallest of {float(sigma.min()):g}"))
        batch = x.shape[:-2]
        level = sigma.expand(batch).reshape(-1)[:, None, None]
        mean, deviation = self._moments(x)
        flat = x.reshape(-1, *x.shape[-2:])
        return (mean + denoise(self._correction, EDM(deviation), flat - mean, level)).reshape(x.shape)

    def _correction(self, scaled: Tensor, told: Tensor) -> Tensor:
        if self.network is None:
            return torch.zeros_like(scaled)
        # In the type and on the device of the weights, wherever the maps are.
        return self.network(scaled[:, None].to(self.mean), told[:, 0, 0].to(self.mean))[:, 0].to(scaled)

    def score(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The gradient of the log-density of noisy magnitudes: ``(D(x; sigma) - x) / sigma^2``."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        return (self.denoise(x, sigma) - x) / (level if level.dim() == 0 else level[..., None, None]).square()

    @torch.no_grad()
    def log_likelihood(self, functional_map: Tensor, *, draws: int = 2, levels: int = LEVELS, seed: int = 0) -> Tensor:
        """Log-density of ``|C|`` in nats, ``(...,)``, up to a resolution of 0.03 in the entries.

        That of the Gaussian prior (entries that vary by less count as varying by 0.03), plus what the network denoises better
        or worse than the Wiener filter:
        ``log p(x) = log p_G(x) + integral over ln(1 / sigma) of (e_G - e) / sigma^2``, ``e`` the squared error at ``x`` averaged over
        noise (Kong, Brekelmans and Ver Steeg 2023, "Information-theoretic diffusion"). The same noise serves both, with both signs, so the
        difference is well determined by few draws. Noise depends on ``seed`` alone.

        ``2 draws levels`` denoisings a map; none for the Gaussian prior, which is exact.
        """
        x = self._checked("functional_map", functional_map).abs()
        wiener = self._sibling(self.deviation.clamp(min=LOWEST))
        mean, deviation = wiener._moments(x)
        gaussian = -0.5 * ((x - mean) / deviation).square().sum(dim=(-2, -1)) - (deviation * math.sqrt(2 * math.pi)).log().sum()
        if self.network is None:
            return gaussian
        ladder = torch.logspace(math.log10(LOWEST), math.log10(HIGHEST), levels, dtype=x.dtype, device=x.device)
        step = math.log(HIGHEST / LOWEST) / (levels - 1)
        gain = torch.zeros_like(gaussian)
        for i, sigma in enumerate(ladder):
            noise = noisy_magnitudes(x.new_zeros(x.shape[-2:]), 1.0, draws, seed=seed, first=i * draws)
            noise = torch.cat([noise, -noise]).reshape(2 * draws, *[1] * (x.dim() - 2), *x.shape[-2:])
            noisy = x + sigma * noise
            error, expected = ((model._in_chunks(noisy, sigma) - x).square().sum(dim=(-2, -1)).mean(dim=0) for model in (self, wiener))
            ends = 0.5 if i in (0, levels - 1) else 1.0
            gain += ends * step * (expected - error) / sigma.square()
        return gaussian + gain

    def plausibility(self, functional_map: Tensor, *, draws: int = 2) -> Tensor:
        """The share of true maps, of shapes the prior has not seen, that are less likely per entry: ``(...,)`` in [0, 1].

        A true map is as likely to be at 0.9 as at 0.1; a map near 0 is one of those that no true map resembles. The mirrored map of
        a symmetric shape is as plausible as the true one: magnitudes are the same.

        Raises
        ------
        ArgumentError : the prior has no table (it was put together by hand), or the map is smaller than 15.
        """
        if not bool(self.likelihoods.isfinite().all()):
            raise ArgumentError(problem("self", "a prior with a table of likelihoods", "one without", "make it with fit() or tabulate()"))
        k_t, k_s = functional_map.shape[-2:]
        size = math.sqrt(k_t * k_s)
        if size < TABLE_SIZES[0]:
            raise ArgumentError(problem("functional_map", f"at least {TABLE_SIZES[0]} modes on both sides", (k_t, k_s)))
        each = (self.log_likelihood(functional_map, draws=draws) / (k_t * k_s)).to(self.likelihoods)
        low = max(row for row, known in enumerate(TABLE_SIZES[:-1]) if known <= size)
        # Between sizes what an entry is worth goes about evenly in the logarithm of the size.
        before, after = TABLE_SIZES[low], TABLE_SIZES[low + 1]
        passed = min(math.log(size / before) / math.log(after / before), 1.0)
        table = torch.lerp(self.likelihoods[low], self.likelihoods[low + 1], passed)
        above = torch.searchsorted(table, each.contiguous())
        left, right = table[(above - 1).clamp(min=0)], table[above.clamp(max=len(table) - 1)]
        between = ((each - left) / (right - left).clamp(min=1e-12)).clamp(0, 1)
        share = (above - 1 + between) / (len(table) - 1)
        return share.clamp(0, 1).to(functional_map)

    @torch.no_grad()
    def tabulate(self, maps: Tensor, *, most: int = 256, draws: int = 2) -> None:
        """Tabulate likelihoods per entry of true maps ``(n, k, k)``, ``most`` of them evenly spaced, for :meth:`plausibility`."""
        chosen = torch.linspace(0, len(maps) - 1, min(most, len(maps))).round().long()
        shares = torch.linspace(0, 1, TABLE_SHARES, dtype=torch.float64)
        for row, size in enumerate(TABLE_SIZES):
            size = min(size, self.k)
            block = maps[chosen, :size, :size].to(self.mean)
            values = torch.cat([self.log_likelihood(part, draws=draws) for part in block.split(CHUNK)]) / size**2
            self.likelihoods[row] = values.double().cpu().quantile(shares).to(self.likelihoods)

    @torch.no_grad()
    def mask(
        self,
        functional_map: Tensor,
        sigma: float = 0.3,
        draws: int = 64,
        *,
        estimator: str = "ratio_of_means",
        shifted: bool = True,
        seed: int = 0,
    ) -> Tensor:
        """Weights ``D (..., k_t, k_s)`` of ``sum D_ij C_ij^2`` for :func:`geospec.maps.solve_functional_map`, small where entries belong.

        About the raw map, the density of noisy magnitudes is modelled as ``exp(-sum D x^2)``, whose score is ``-2 D x``; equated with the
        prior's and averaged over one-sided noise ``x = |C| + sigma |n|``, which keeps ``x`` off zero.

        Parameters
        ----------
        functional_map : the raw map, such as the least-squares map of descriptors.
        sigma : the noise level: large ones give what holds for all maps, small ones look at this one.
        draws : of noise. seed : of the draws.
        estimator : ``"ratio_of_means"``, ``E(x - D(x)) / (2 sigma^2 E x)`` entry by entry; ``"one_sided"``, the mean of the
            ratios, as the paper's formula has it, far noisier; ``"analytic"``, ``1 / (2 (E|C|^2 + sigma^2))`` by the moments alone,
            whatever the map, which is what both give for entries of mean zero.
        shifted : take the smallest weight off, which leaves what tells entries apart. Weights are never negative.

        ``draws`` denoisings; memory for 256 of them at most. Source: DiffuMatch, section on mask distillation.
        """
        one_of("estimator", estimator, ESTIMATORS)
        x = self._checked("functional_map", functional_map).abs()
        if not bool((x.flatten(-2).norm(dim=-1) > 1e-6).all()):
            raise ArgumentError(problem("functional_map", "maps that are not zero", "a norm below 1e-6", "look at the descriptors"))
        if not sigma > 0 or draws < 1:
            raise ArgumentError(problem("sigma, draws", "a positive level and at least one draw", (sigma, draws)))
        if estimator == "analytic":
            mean, deviation = self._moments(x)
            weights = (0.5 / (mean.square() + deviation.square() + sigma**2)).expand_as(x)
        else:
            weights = self._distilled(x, sigma, draws, estimator, seed)
        if shifted:
            weights = weights - weights.amin(dim=(-2, -1), keepdim=True)
        return weights.clamp(min=0)

    def _distilled(self, x: Tensor, sigma: float, draws: int, estimator: str, seed: int) -> Tensor:
        residual, level, ratio = (torch.zeros_like(x, dtype=torch.float64) for _ in range(3))
        each = max(1, CHUNK // max(1, x.shape[:-2].numel()))
        for first in range(0, draws, each):
            noisy = noisy_magnitudes(x, sigma, min(each, draws - first), seed=seed, first=first, form="half")
            sums = mask_sums(x, self.denoise(noisy, sigma), sigma, seed=seed, first=first, form="half")
            residual, level, ratio = residual + sums.residual, level + sums.level, ratio + sums.ratio
        found = ratio / draws if estimator == "one_sided" else residual / level
        return (found / (2 * sigma**2)).to(x)

    def _in_chunks(self, x: Tensor, sigma: Tensor) -> Tensor:
        flat = x.reshape(-1, *x.shape[-2:])
        return torch.cat([self.denoise(part, sigma) for part in flat.split(CHUNK)]).reshape(x.shape)

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the entries of maps of this size."""
        k_t, k_s = like.shape[-2:]
        return self.mean[:k_t, :k_s].to(like), self.deviation[:k_t, :k_s].to(like)

    def _checked(self, name: str, maps: Tensor) -> Tensor:
        if maps.dim() < 2 or not maps.is_floating_point() or not (1 <= maps.shape[-2] <= self.k and 1 <= maps.shape[-1] <= self.k):
            hint = f"take the leading block, {name}[..., :{self.k}, :{self.k}]"
            wanted = f"float maps (..., k_t, k_s) of at most {self.k} modes"
            raise ArgumentError(problem(name, wanted, f"{tuple(maps.shape)} {maps.dtype}", hint))
        if not bool(maps.isfinite().all()):
            raise ArgumentError(problem(name, "finite entries", f"{int((~maps.isfinite()).sum())} that are not"))
        return maps
