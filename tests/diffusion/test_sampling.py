"""Sampling along the probability flow: exact on Gaussians, second order in the steps."""

import pytest
import torch

from geospec.diffusion import heun_sample, karras_levels
from geospec.errors import ArgumentError

MEAN, DEVIATION = 0.7, 0.3


def denoiser(x, sigma):
    """The exact denoiser of N(0.7, 0.3^2)."""
    return MEAN + DEVIATION**2 / (DEVIATION**2 + sigma**2) * (x - MEAN)


def exact(noise, highest):
    """The flow of a Gaussian is affine: deviations scale with sqrt(s^2 + sigma^2)."""
    return MEAN + (highest * noise - MEAN) * DEVIATION / (DEVIATION**2 + highest**2) ** 0.5


def test_samples_of_a_gaussian_converge_at_second_order():
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)
    errors = [float((heun_sample(denoiser, noise, karras_levels(n, 0.001, 20.0)) - exact(noise, 20.0)).abs().max()) for n in (40, 80, 160)]
    assert errors[2] < 5e-4
    assert 3 < errors[0] / errors[1] < 5.5
    assert 3 < errors[1] / errors[2] < 5.5


def test_moments():
    noise = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    samples = heun_sample(denoiser, noise, karras_levels(60, 0.002, 50.0))
    assert float(samples.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(samples.std()) == pytest.approx(DEVIATION, abs=0.01)


@pytest.mark.parametrize("levels", [[1.0, 2.0, 0.0], [2.0, 1.0], [0.0]])
def test_bad_ladders(levels):
    with pytest.raises(ArgumentError, match="levels"):
        heun_sample(denoiser, torch.randn(3), torch.tensor(levels))
