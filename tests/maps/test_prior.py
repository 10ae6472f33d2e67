"""The prior over functional maps: closed forms of the Gaussian one, the relations that hold for any, a small training."""

import math

import pytest
import torch

from geospec.errors import ArgumentError, FileFormatError
from geospec.maps import FunctionalMapPrior, PriorTraining, distillation_loss, properness_loss
from geospec.maps.prior.fitting import moments, relative_errors
from geospec.ops import noisy_magnitudes
from geospec.weights import save_weights

K = 24


def gaussian_prior(mean=0.0, seed=0):
    """Deviations between 0.1 and 0.4, different for each entry."""
    prior = FunctionalMapPrior(K)
    prior.mean.fill_(mean)
    prior.deviation.copy_(0.1 + 0.3 * torch.rand(K, K, generator=torch.Generator().manual_seed(seed)))
    return prior.double()


class OtherGaussian(torch.nn.Module):
    """As a network, the correction that turns the prior's Wiener filter into that of another Gaussian."""

    def __init__(self, prior, mean, deviation):
        super().__init__()
        self.prior, self.mean, self.deviation = prior, mean, deviation

    def forward(self, scaled, told):
        rows, columns = scaled.shape[-2:]
        own, v = self.prior.mean[:rows, :columns], self.prior.deviation[:rows, :columns].square()
        mean, w = self.mean[:rows, :columns], self.deviation[:rows, :columns].square()
        square = (8 * told).exp()[:, None, None]
        x = own + scaled[:, 0] * (v + square).sqrt()
        wanted = mean + w / (w + square) * (x - mean)
        wiener = own + v / (v + square) * (x - own)
        return ((wanted - wiener) / (square * v / (v + square)).sqrt())[:, None]


def other_prior():
    """A prior whose network makes it the Gaussian of another mean and deviation, and these."""
    prior = gaussian_prior(0.2)
    generator = torch.Generator().manual_seed(1)
    mean = 0.3 * torch.rand(K, K, generator=generator, dtype=torch.float64)
    deviation = 0.15 + 0.2 * torch.rand(K, K, generator=generator, dtype=torch.float64)
    prior.network = OtherGaussian(prior.gaussian, mean, deviation)
    return prior, mean, deviation


def maps_like(mean, deviation, n, seed=2):
    return mean + deviation * torch.randn(n, K, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Denoiser and score.


def test_the_gaussian_prior_denoises_by_the_wiener_filter():
    prior = gaussian_prior(0.3)
    x, sigma = torch.randn(2, 3, 10, 17, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64) + 0.1
    v = prior.deviation[:10, :17].square()
    wanted = 0.3 + v / (v + sigma[..., None, None] ** 2) * (x - 0.3)
    assert torch.allclose(prior.denoise(x, sigma), wanted)


def test_the_score_is_the_gradient_of_the_noisy_density():
    prior, mean, deviation = other_prior()
    x = torch.randn(K, K, dtype=torch.float64, requires_grad=True)
    density = torch.distributions.Normal(mean, (deviation.square() + 0.4**2).sqrt()).log_prob(x).sum()
    (wanted,) = torch.autograd.grad(density, x)
    assert torch.allclose(prior.score(x.detach(), 0.4), wanted, atol=1e-10)


def test_without_noise_nothing_changes():
    prior, _, _ = other_prior()
    x = torch.rand(K, K, dtype=torch.float64)
    assert torch.allclose(prior.denoise(x, 1e-7), x, atol=1e-6)


# Likelihood.


def test_gaussian_likelihood():
    prior, maps = gaussian_prior(0.3), torch.rand(3, 12, 20, dtype=torch.float64)
    wanted = torch.distributions.Normal(prior.mean[:12, :20], prior.deviation[:12, :20]).log_prob(maps).sum(dim=(1, 2))
    assert torch.allclose(prior.log_likelihood(maps), wanted)
    signs = torch.sign(torch.randn(3, 12, 20, dtype=torch.float64))
    assert torch.equal(prior.log_likelihood(maps), prior.log_likelihood(signs * maps))


def test_the_likelihood_of_a_network_is_that_of_the_density_it_denoises():
    """By the integral over noise levels alone, for a density that is known; a fiftieth of a nat an entry."""
    prior, mean, deviation = other_prior()
    maps = maps_like(mean, deviation, 4).abs()
    wanted = torch.distributions.Normal(mean, deviation).log_prob(maps).sum(dim=(1, 2))
    found = prior.log_likelihood(maps, draws=8, levels=32)
    assert float((found - wanted).abs().max()) < K**2 / 50
    apart = (prior.gaussian.log_likelihood(maps) - wanted).abs()
    assert float(apart.min()) > 3 * float((found - wanted).abs().max())  # the integral is what brought it there
    assert torch.equal(found, prior.log_likelihood(maps, draws=8, levels=32))


# Masks.


@pytest.mark.parametrize(("estimator", "tolerance"), [("ratio_of_means", 1e-9), ("one_sided", 1e-9), ("analytic", 1e-9)])
def test_for_entries_of_mean_zero_the_mask_is_the_noisy_precision(estimator, tolerance):
    """``1 / (2 (v + sigma^2))`` exactly, whatever the map and the draws: the denoiser is linear."""
    prior = gaussian_prior(0.0)
    for seed, sigma in ((0, 0.3), (1, 1.0)):
        raw = torch.randn(2, 15, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        wanted = 0.5 / (prior.deviation[:15].square() + sigma**2)
        found = prior.mask(raw, sigma, 16, estimator=estimator, shifted=False)
        assert torch.allclose(found, wanted.expand(2, 15, K), rtol=tolerance)
        assert torch.allclose(prior.mask(raw, sigma, 16, estimator=estimator), found - found.amin(dim=(1, 2), keepdim=True))


def test_the_mask_looks_at_the_map_and_not_at_its_signs():
    prior, _, _ = other_prior()
    raw = torch.randn(K, K, dtype=torch.float64)
    mask = prior.mask(raw, 0.2)
    assert torch.equal(mask, prior.mask(-raw, 0.2))
    assert not torch.equal(mask, prior.mask(raw.mT, 0.2))
    assert not torch.equal(mask, prior.mask(raw, 0.2, seed=1))
    assert float(mask.min()) == 0


def test_the_ratio_of_means_is_less_noisy():
    """Against the limit of many draws, at the same number of draws."""
    prior, _, _ = other_prior()
    raw = 1e-3 * torch.randn(K, K, dtype=torch.float64)
    errors = {}
    for estimator in ("ratio_of_means", "one_sided"):
        limit = prior.mask(raw, 0.3, 1000, estimator=estimator, shifted=False, seed=5)
        errors[estimator] = float((prior.mask(raw, 0.3, 50, estimator=estimator, shifted=False) - limit).norm() / limit.norm())
    assert errors["ratio_of_means"] < 0.5 * errors["one_sided"]


# Losses.


def test_the_distillation_loss_pulls_towards_the_denoised_map():
    """For a linear denoiser the mean over the levels is an integral that quadrature gives."""
    prior = gaussian_prior(0.2)
    raw = torch.randn(K, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    distillation_loss(raw, prior, sigmas=(0.1, 0.9), draws=4096).backward()
    sigma = torch.linspace(0.1, 0.9, 2001, dtype=torch.float64)[:, None, None]
    v = prior.deviation.square()
    shrink = torch.trapezoid(v / (v + sigma.square()), sigma.flatten(), dim=0) / 0.8
    wanted = (raw.detach().abs() - 0.2 - shrink * (raw.detach().abs() - 0.2)) * raw.detach().sign()
    assert float((raw.grad - wanted).abs().max()) < 0.05
    assert float((raw.grad - wanted).norm() / wanted.norm()) < 0.02


def test_the_gradient_is_the_pull_itself():
    """One draw, its noise made again here: ``|C| - D`` to rounding; the value is half its square."""
    prior, _, _ = other_prior()
    raw = torch.randn(K, K, dtype=torch.float64, requires_grad=True)
    loss = distillation_loss(raw, prior, sigmas=(0.3, 0.3), draws=1, seed=3)
    loss.backward()
    noisy = noisy_magnitudes(raw.detach(), 0.3, 1, seed=3)[0]
    pull = raw.detach().abs() - prior.denoise(noisy, 0.3)
    assert torch.allclose(raw.grad, pull * raw.detach().sign(), atol=1e-6)
    assert float(loss.detach()) == pytest.approx(float(pull.square().sum()) / 2, rel=1e-6)
    assert all(weights.grad is None for weights in prior.parameters())


def test_signs_of_eigenvectors_do_not_matter_but_to_the_released_form():
    prior, _, _ = other_prior()
    raw = torch.rand(2, K, K, dtype=torch.float64)
    flipped = raw * torch.sign(torch.randn(K, dtype=torch.float64))
    assert float(distillation_loss(raw, prior)) == float(distillation_loss(flipped, prior))
    released = [float(distillation_loss(c, prior, variant="released")) for c in (raw, flipped)]
    assert released[0] < 1e-4 * released[1]


def test_properness():
    a, b = torch.randn(2, 3, 5, 5, requires_grad=True)
    loss = properness_loss(a, b)
    assert float(loss.detach()) == pytest.approx(float((a - b).square().mean().detach()))
    with pytest.raises(ArgumentError, match="proper"):
        properness_loss(a, b[:, :4])


# Fitting, plausibility, files.


def mixture(n, seed):
    """Maps of one of two sizes: no Wiener filter knows which, a network sees it from all entries together."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([0.1, 1.0])[torch.randint(2, (n,), generator=generator)]
    decay = torch.exp(-(torch.arange(K)[:, None] - torch.arange(K)).abs() / 4)
    return size[:, None, None] * decay * torch.randn(n, K, K, generator=generator)


def test_moments():
    maps = mixture(5000, 0)
    mean, deviation = moments(maps)
    assert torch.allclose(mean, maps.abs().mean(dim=0), atol=1e-6)
    assert torch.allclose(deviation, maps.abs().std(dim=0, correction=0), atol=1e-6)


def test_a_trained_network_beats_the_wiener_filter():
    told = []
    plan = PriorTraining(steps=100, batch=24, width=32, depth=1, heads=2, patch=6, smallest=20, learning_rate=3e-3)
    prior = FunctionalMapPrior.fit(
        mixture(2000, 0), model="dit", plan=plan, held_out=mixture(64, 3), progress=lambda *words: told.append(words)
    )
    errors = relative_errors(prior, {"mixture": mixture(256, 1)}, size=20)
    assert errors["mixture at 0.3"] < 0.9
    assert relative_errors(prior.gaussian, {"mixture": mixture(64, 1)})["mixture at 0.3"] == 1
    assert told[-1] == ("training", 100, 100)
    assert not any(weights.requires_grad for weights in prior.parameters())


@pytest.fixture(scope="module")
def fitted():
    return FunctionalMapPrior.fit(mixture(2000, 0), held_out=mixture(500, 1))


def test_plausibility(fitted):
    """Of true maps uniform; of noise, and of maps upside down, near zero; the transpose is as good as the map."""
    true = mixture(400, 2)
    share = fitted.plausibility(true[:, :20, :20])
    assert float(share.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(share.std()) == pytest.approx(1 / math.sqrt(12), abs=0.04)
    turned = fitted.plausibility(true[true.flatten(1).norm(dim=1) > 3].flip(1))
    assert float(turned.max()) < 0.05
    between = fitted.plausibility(true[:, :17, :18])
    assert float(between.mean()) == pytest.approx(0.5, abs=0.08)
    assert float((fitted.plausibility(true[:, :20, :20].mT) - share).abs().mean()) < 0.1


def test_round_trip(fitted, tmp_path):
    fitted.save(tmp_path / "prior.safetensors", metrics={"error": 0.5}, command="made by a test", seed=3)
    again = FunctionalMapPrior.load(tmp_path / "prior.safetensors")
    x = mixture(3, 5)
    assert torch.allclose(again.denoise(x, 0.3), fitted.denoise(x, 0.3), atol=2e-3)
    assert torch.allclose(again.plausibility(x), fitted.plausibility(x), atol=0.02)
    assert again.k == K
    assert again.network is None


def test_files_of_others(tmp_path):
    save_weights(torch.nn.Linear(2, 2), tmp_path / "other.safetensors", kind="other", arguments={"in_features": 2, "out_features": 2})
    with pytest.raises(FileFormatError, match="functional-map-prior"):
        FunctionalMapPrior.load(tmp_path / "other.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"not weights")
    with pytest.raises(FileFormatError):
        FunctionalMapPrior.load(tmp_path / "junk.safetensors")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: p.denoise(torch.rand(K + 1, K), 0.3), "take the leading block"),
        (lambda p: p.denoise(torch.rand(K, K), 0.0), "sigma"),
        (lambda p: p.denoise(torch.full((K, K), math.nan), 0.3), "finite"),
        (lambda p: p.denoise(torch.ones(K, K, dtype=torch.int64), 0.3), "float maps"),
        (lambda p: p.mask(torch.zeros(K, K)), "not zero"),
        (lambda p: p.mask(torch.rand(K, K), sigma=-1), "positive level"),
        (lambda p: p.mask(torch.rand(K, K), estimator="median"), "ratio_of_means"),
        (lambda p: p.plausibility(torch.rand(10, 10)), "at least 15 modes"),
        (lambda p: FunctionalMapPrior(K).plausibility(torch.rand(K, K)), "table of likelihoods"),
        (lambda p: distillation_loss(torch.rand(K, K), p, sigmas=(0.5, 0.1)), "lowest <= highest"),
        (lambda p: distillation_loss(torch.rand(K, K), p, variant="sds"), "textbook"),
        (lambda p: FunctionalMapPrior.fit(torch.rand(5, 4)), "float maps"),
        (lambda p: FunctionalMapPrior.fit(torch.zeros(5, 4, 4)), "not all zero"),
        (lambda p: FunctionalMapPrior.fit(torch.rand(5, 4, 4), model="flow"), "gaussian"),
        (lambda p: PriorTraining(steps=0), "steps"),
        (lambda p: PriorTraining(level=-1.0), "level"),
    ],
)
def test_refusals(fitted, call, words):
    with pytest.raises(ArgumentError, match=words):
        call(fitted)
