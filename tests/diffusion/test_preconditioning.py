"""Preconditioning: consistency, closed forms, the table of Karras et al. 2022."""

import math

import pytest
import torch

from geospec.diffusion import EDM, IDDPM, VE, LogNormalLevels, LogUniformLevels, VariancePreservingLevels, denoise, karras_levels
from geospec.errors import ArgumentError

SIGMAS = torch.tensor([1e-3, 0.1, 0.5, 2.0, 80.0], dtype=torch.float64)


@pytest.mark.parametrize("rule", [EDM(0.17), VE(), IDDPM()], ids=["edm", "ve", "iddpm"])
def test_without_noise_the_denoiser_is_the_identity(rule):
    x = torch.randn(5, 3, dtype=torch.float64)
    network = lambda scaled, told: torch.full_like(scaled, 7.0)  # noqa: E731
    assert torch.allclose(denoise(network, rule, x, torch.tensor(1e-9, dtype=torch.float64)), x, atol=1e-7)


def test_edm_asks_the_network_for_numbers_of_variance_one():
    """Data of deviation s plus noise: the input and the ideal output of the network both have variance one."""
    s, generator = 0.17, torch.Generator().manual_seed(0)
    rule = EDM(s)
    for sigma in SIGMAS[:4]:
        clean, noise = torch.randn(2, 200_000, generator=generator, dtype=torch.float64)
        clean = clean * s
        c = rule.coefficients(sigma)
        noisy = clean + sigma * noise
        assert float((c.into * noisy).var()) == pytest.approx(1, abs=0.02)
        assert float(((clean - c.skip * noisy) / c.out).var()) == pytest.approx(1, abs=0.02)
        assert float(rule.weight(sigma) * c.out.square()) == pytest.approx(1)


def test_edm_with_deviations_by_entry_is_the_wiener_filter():
    deviation = torch.tensor([0.01, 0.3, 2.0], dtype=torch.float64)
    x, sigma = torch.randn(4, 3, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)
    found = denoise(lambda scaled, told: torch.zeros_like(scaled), EDM(deviation), x, sigma)
    assert torch.allclose(found, x * deviation**2 / (deviation**2 + sigma**2))


def test_iddpm_levels():
    rule = IDDPM(1000)
    assert rule.levels.shape == (1001,)
    assert float(rule.levels[-1]) == 0
    assert bool((rule.levels.diff() < 0).all())
    # In the middle of the cosine schedule the signal's share is that of its cosine.
    share = math.sin(math.pi / 2 * 0.5 / 1.008) ** 2
    assert float(rule.levels[500]) == pytest.approx(math.sqrt(1 / share - 1) * math.sqrt(1), rel=0.02)
    told = rule.coefficients(rule.levels[[0, 1, 500, 999]]).noise
    assert told.tolist() == [999.0, 998.0, 499.0, 0.0]
    between = (0.4 * rule.levels[500] + 0.6 * rule.levels[501])[None]
    assert rule.coefficients(between).noise.tolist() == [498.0]


def test_laws_of_the_levels():
    n = 100_000
    normal = LogNormalLevels(-1.2, 0.7).draw(n, torch.Generator().manual_seed(0)).log()
    assert float(normal.mean()) == pytest.approx(-1.2, abs=0.01)
    assert float(normal.std()) == pytest.approx(0.7, abs=0.01)
    uniform = LogUniformLevels(0.02, 100).draw(n, torch.Generator().manual_seed(0))
    assert float(uniform.min()) >= 0.02
    assert float(uniform.max()) <= 100
    assert float(uniform.median()) == pytest.approx(2**0.5, rel=0.05)
    preserving = VariancePreservingLevels().draw(n, torch.Generator().manual_seed(0))
    assert float(preserving.max()) <= 153
    assert float(preserving.min()) > 0
    assert float(preserving.median()) == pytest.approx(math.sqrt(math.expm1(19.9 / 8 + 0.05)), rel=0.03)


def test_karras_levels():
    ladder = karras_levels(10, 0.002, 80.0)
    assert ladder.shape == (11,)
    assert float(ladder[0]) == pytest.approx(80)
    assert float(ladder[-2]) == pytest.approx(0.002)
    assert torch.allclose((ladder[:-1] ** (1 / 7)).diff().diff(), torch.zeros(8, dtype=torch.float64), atol=1e-9)
    with pytest.raises(ArgumentError, match="lowest < highest"):
        karras_levels(10, 1.0, 0.5)


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(ArgumentError, match="deviation"):
        EDM(torch.tensor([1.0, 0.0]))
