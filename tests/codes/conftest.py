"""Codes of small shapes, made once."""

import pytest

import geospec
from geospec.testing import bumpy_sphere


@pytest.fixture(scope="session")
def mesh():
    """A closed mesh that is neither round nor at the origin."""
    made = bumpy_sphere(3)
    return geospec.Mesh(made.vertices * 3 + made.vertices.new_tensor([5.0, -2.0, 1.0]), made.faces)


@pytest.fixture(scope="session")
def code(mesh):
    return geospec.encode(mesh, 64)


@pytest.fixture(scope="session")
def deep():
    """A code whose trees hold three levels: the finest is not dropped."""
    field = geospec.codes.field_in_box(bumpy_sphere(2), 48)
    tree = geospec.WaveletTree(48, 3, "db2", drop_finest=0)
    unit = geospec.codes.shape_code.half_side(field.grid)
    return geospec.codes.ShapeCode(tree, tree.filter(tree.analysis(field.values / unit), 300), field.grid, field.truncation)
