"""Spherical harmonics as a basis: on grids and points, rotations, spectra, gradients, files; against closed forms, SciPy and pyshtools."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

import geospec
from geospec import SphericalHarmonics
from geospec.errors import ArgumentError
from geospec.shapes import Sphere
from geospec.testing import BasisContract


class TestGaussLegendre(BasisContract):
    def make(self, dtype, seed):
        return SphericalHarmonics(9, dtype=dtype)


class TestEquiangular(BasisContract):
    """With the convention of geodesy, in which the measure is a share of the sphere."""

    def make(self, dtype, seed):
        return SphericalHarmonics(6, Sphere.equiangular(14, 16), normalization="4pi", cs_phase=True, dtype=dtype)


class TestPoints(BasisContract):
    def points(self):
        return Sphere.fibonacci(400).exact_to(14)

    def make(self, dtype, seed):
        return SphericalHarmonics(7, self.points(), dtype=dtype)

    def make_relabelled(self, seed):
        order = torch.randperm(400, generator=torch.Generator().manual_seed(seed))
        sphere = self.points()
        return SphericalHarmonics(7, Sphere(sphere.points[order], sphere.measure[order], exactness=14), dtype=torch.float64), order

    def make_moved(self, seed):
        sphere = self.points()
        return SphericalHarmonics(7, Sphere(sphere.points @ turn(seed).T, sphere.measure, exactness=14), dtype=torch.float64)


def turn(seed):
    return torch.from_numpy(Rotation.random(random_state=seed).as_matrix())


def directions(n, seed=0, dtype=torch.float64):
    """Random unit vectors, and among them both poles and both sides of the date line."""
    some = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    some = torch.cat([some, torch.tensor([[0.0, 0, 1], [0, 0, -1], [-1, 1e-15, 0], [-1, -1e-15, 0]], dtype=torch.float64)])
    return torch.nn.functional.normalize(some, dim=1).to(dtype)


def random_coefficients(degree, c=2, seed=0):
    return torch.randn((degree + 1) ** 2, c, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
