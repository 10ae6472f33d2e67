"""Many shapes at once: the bases of one by one, in order, whatever the number of workers."""

import pytest
import torch

from geospec import ArgumentError, LaplaceBasis, ShapeError, eigenpairs
from geospec.bases import laplace
from geospec.testing import bumpy_sphere, grid, sphere_cloud, torus

# Some are dense, some factored; large ones come first, so that results would come out of order if they were taken as they end.
SHAPES = [torus(60, 40), sphere_cloud(600), torus(35, 30), bumpy_sphere(2), grid(9), torus(30, 20).to(dtype=torch.float32)]


@pytest.fixture(scope="module")
def one_by_one():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [LaplaceBasis.fit(shape, 12) for shape in SHAPES]
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def two_threads():
    """As on any machine of more than one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("workers", [None, 1, 2, 5])
def test_equals_one_by_one(workers, one_by_one, two_threads, monkeypatch):
    before = torch.get_num_threads()
    inside = []
    monkeypatch.setattr(laplace, "eigenpairs", lambda *a, **b: inside.append(torch.get_num_threads()) or eigenpairs(*a, **b))
    bases = LaplaceBasis.fit_many(iter(SHAPES), 12, workers=workers)
    assert inside == [1] * len(SHAPES)
    assert torch.get_num_threads() == before
    assert len(bases) == len(SHAPES)
    for basis, expected in zip(bases, one_by_one, strict=True):
        assert basis.options == expected.options
        for name in ("modes", "eigenvalues", "measure", "residuals"):
            assert getattr(basis, name).dtype == getattr(expected, name).dtype
            assert torch.equal(getattr(basis, name), getattr(expected, name)), name


def test_options_reach_every_shape(tmp_path):
    squares = [grid(9), grid(12)]
    bases = LaplaceBasis.fit_many(squares, 5, boundary="dirichlet", kind="cotangent", cache=tmp_path)
    assert [basis.n for basis in bases] == [81, 144]
    assert all((basis.options["boundary"], basis.options["kind"]) == ("dirichlet", "cotangent") for basis in bases)
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_to_do_and_progress():
    assert LaplaceBasis.fit_many([], 5) == []
    seen = []
    LaplaceBasis.fit_many([grid(5)] * 3, 4, progress=lambda *step: seen.append(step))
    assert seen == [("shapes", 1, 3), ("shapes", 2, 3), ("shapes", 3, 3)]


def test_an_error_names_the_shape():
    """The first that fails is told, threads are given back, and shapes behind it are not begun."""
    before = torch.get_num_threads()
    with pytest.raises(ArgumentError, match=r"shapes\[1\]: k: wanted at most the 9 points"):
        LaplaceBasis.fit_many([grid(9), grid(3), grid(2)], 12, workers=2)
    flat = type(SHAPES[4])(torch.cat([SHAPES[4].vertices, torch.zeros(1, 3, dtype=torch.float64)]), SHAPES[4].faces)
    with pytest.raises(ShapeError, match=r"shapes\[2\]: "):
        LaplaceBasis.fit_many([SHAPES[4], SHAPES[4], flat], 4, workers=1)
    with pytest.raises(ArgumentError, match=r"shapes\[1\]: shape: wanted a Mesh"):
        LaplaceBasis.fit_many([grid(5), None], 4)
    with pytest.raises(TypeError) as caught:  # no error of geospec's own: it passes with a note
        LaplaceBasis.fit_many([grid(5)], 4, colour="red")
    assert caught.value.__notes__ == ["while fitting shapes[0]"]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_refuses_workers(workers):
    with pytest.raises(ArgumentError, match="workers: wanted a positive integer"):
        LaplaceBasis.fit_many([grid(5)], 4, workers=workers)
