"""A basis beside another one: pairs, numbers, the page and the sheet that show them."""

import numpy as np
import pytest
import torch
from viz.samples import grid, sample_basis

from geospec import viz
from geospec.bases.base import SampledBasis
from geospec.errors import ArgumentError
from geospec.viz import Beside


@pytest.fixture
def shuffled():
    """Six orthonormal modes, and the same in another order, of other signs and in another unit of length."""
    mesh = grid(12, 9)
    measure = torch.rand(mesh.n_points, dtype=torch.float64) + 0.5
    measure /= measure.sum()
    modes = torch.linalg.qr(torch.randn(mesh.n_points, 6, dtype=torch.float64))[0] / measure.sqrt()[:, None]
    values = torch.arange(6, dtype=torch.float64)
    order = torch.tensor([0, 2, 1, 3, 5, 4])
    sign = torch.tensor([1.0, -1, 1, -1, 1, 1], dtype=torch.float64)
    other = SampledBasis(modes[:, order] * sign / 3, measure * 9, values)
    return mesh, SampledBasis(modes, measure, values), other, order, sign


def test_partners_are_found_whatever_order_sign_and_unit(shuffled):
    _, basis, other, order, _ = shuffled
    beside = Beside(basis, other)
    assert beside.partner.tolist() == order.argsort().tolist()
    np.testing.assert_allclose(beside.cosines, 1, atol=1e-12)
    np.testing.assert_allclose(beside.modes, basis.modes.numpy(), atol=1e-12)
    told = beside.numbers()
    assert told["mean |cos| of the first 6"] == pytest.approx(1)
    assert told["subspace overlap of the first 6"] == pytest.approx(1)
    assert told["correlation of the measures"] == pytest.approx(1)
    assert told["eigenvalues of the first 6, mean relative difference"] == 0


def test_a_mixed_pair_lowers_the_cosine_and_not_the_overlap(shuffled):
    _, basis, other, _, _ = shuffled
    turn = torch.eye(6, dtype=torch.float64)
    turn[2:4, 2:4] = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)
    told = Beside(SampledBasis(basis.modes @ turn, basis.measure, basis.eigenvalues), other).numbers()
    assert told["mean |cos| of the first 6"] == pytest.approx((4 + 1.6) / 6)
    assert told["subspace overlap of the first 6"] == pytest.approx(1)


def test_page_and_sheet(shuffled, tmp_path):
    mesh, basis, other, _, _ = shuffled
    beside = Beside(basis, other, ("ours", "theirs"))
    page = viz.basis_report(mesh, basis, tmp_path / "b.html", name="body", beside=beside).read_text()
    assert page.count('class="other"') == 6  # rings
    assert page.count("<rect data-mode=") == 6
    assert "mode 1 and theirs mode 2: |cos| 1.000" in page
    assert "body: ours" in page
    assert "body: theirs" in page
    sheet = viz.mode_pairs_sheet(mesh, beside, tmp_path / "b.png", n=5, columns=4, size=(80, 60))
    from PIL import Image

    assert np.asarray(Image.open(sheet).convert("L")).std() > 5
    alone = viz.basis_report(mesh, basis, tmp_path / "a.html").read_text()
    assert 'class="other"' not in alone
    assert "Mode by mode" not in alone


def test_refusals(shuffled):
    _, basis, _, _, _ = shuffled
    with pytest.raises(ArgumentError, match="other: wanted a basis on the same 108 points, got 25 points"):
        Beside(basis, sample_basis(grid(5, 5)))
    with pytest.raises(ArgumentError, match="other: wanted a basis that holds its modes, got int"):
        Beside(basis, 3)
