"""Conversion and refinement: exact identities, parity with pyFM, improvement from a rough start."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geospec import ops
from geospec.bases.base import SampledBasis
from geospec.errors import ArgumentError, ConvergenceError
from geospec.maps import bijective_zoomout, farthest_points, functional_to_point, icp, point_to_functional, refinement, zoomout
from geospec.maps.refinement import _Projection, schedule

from .conftest import Pair


def scaled(basis: SampledBasis, factor: float) -> SampledBasis:
    """The basis of the same shape in another unit of length."""
    return SampledBasis(basis.modes / factor, basis.measure * factor**2, basis.eigenvalues / factor**2)


def flipped(basis: SampledBasis, signs: torch.Tensor) -> SampledBasis:
    return SampledBasis(basis.modes * signs, basis.measure, basis.eigenvalues)


@pytest.mark.parametrize("method", ["nearest", "adjoint"])
def test_same_shape(pair, method):
    basis = pair.source_basis
    identity = torch.arange(basis.n)
    c = point_to_functional(identity, basis, basis)
    assert torch.allclose(c, torch.eye(basis.k, dtype=torch.float64), atol=1e-8)
    assert torch.equal(functional_to_point(c, basis, basis, method), identity)


@pytest.mark.parametrize("method", ["nearest", "adjoint"])
def test_signs_relabelling_and_unit(pair, method):
    basis = pair.source_basis
    generator = torch.Generator().manual_seed(0)
    signs = torch.where(torch.rand(basis.k, generator=generator) < 0.5, -1.0, 1.0).double()
    order = torch.randperm(basis.n, generator=generator)  # target vertex p is source vertex order[p]
    target = SampledBasis(basis.modes[order] * signs, basis.measure[order], basis.eigenvalues)
    c = point_to_functional(order, basis, target)
    assert torch.allclose(c, torch.diag(signs), atol=1e-8)
    assert torch.equal(functional_to_point(c, basis, target, method), order)
    large = scaled(target, 1000.0)
    assert torch.allclose(point_to_functional(order, basis, large), 1000 * torch.diag(signs), atol=1e-5)
    assert torch.equal(functional_to_point(point_to_functional(order, basis, large), basis, large, method), order)


def test_permutation_inverts_when_complete():
    """With as many modes as points the functional map of a permutation loses nothing: C_st C_ts = 1."""
    n, generator = 40, torch.Generator().manual_seed(1)
    bases = []
    for _ in range(2):
        measure = torch.rand(n, generator=generator, dtype=torch.float64) + 0.5
        q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
        bases.append(SampledBasis(q / measure.sqrt()[:, None], measure))
    order = torch.randperm(n, generator=generator)
    forward, backward = point_to_functional(order, *bases), point_to_functional(order.argsort(), *bases[::-1])
    assert torch.allclose(forward @ backward, torch.eye(n, dtype=torch.float64), atol=1e-12)
    assert torch.equal(functional_to_point(forward, *bases, method="adjoint"), order)


def test_soft_map_agrees_with_point_map(pair):
    hard = torch.nn.functional.one_hot(pair.truth, pair.source_basis.n).double()
    expected = point_to_functional(pair.truth, pair.source_basis, pair.target_basis)
    for soft in (hard, hard.to_sparse()):
        assert torch.allclose(point_to_functional(soft, pair.source_basis, pair.target_basis), expected, atol=1e-12)


def rough_start(pair: Pair, k: int = 8) -> torch.Tensor:
    """The true functional map with a noise of 0.4 on every entry."""
    c = point_to_functional(pair.truth, pair.source_basis.truncate(k), pair.target_basis.truncate(k))
    return c + 0.4 * torch.randn(c.shape, generator=torch.Generator().manual_seed(2), dtype=c.dtype)


def test_zoomout_improves_at_every_size(pair):
    start = rough_start(pair)
    errors = [pair.error(functional_to_point(start, pair.source_basis, pair.target_basis))]
    errors += [
        pair.error(zoomout(start, pair.source_basis, pair.target_basis, k_final=k).target_to_source) for k in (9, 10, 12, 15, 20, 40)
    ]
    floor = pair.error(pair.truth)
    assert floor == 0
    assert errors[:6] == sorted(errors[:6], reverse=True)
    assert errors[0] > 10
    assert errors[-1] < 1  # a fraction of the sampling: 700 points on a unit area lie 3.8 hundredths apart


@pytest.mark.parametrize(
    "options",
    [dict(step=5), dict(step="auto"), dict(subsample=300), dict(step=(2, 3)), dict(k_final=(40, 50)), dict(k_start=6)],
    ids=str,
)
def test_zoomout_options(pair, options):
    result = zoomout(rough_start(pair), pair.source_basis, pair.target_basis, **{"k_final": 50, **options})
    k_s, k_t = (50, 50) if options.get("k_final") is None else options["k_final"]
    assert result.functional_map.shape == (k_t, k_s)
    assert result.record["sizes"][-1] == (k_s, k_t)
    assert pair.error(result.target_to_source) < 3
    assert torch.equal(
        result.functional_map,
        point_to_functional(result.target_to_source, pair.source_basis.truncate(k_s), pair.target_basis.truncate(k_t)),
    )


@pytest.mark.parametrize("subsample", [None, 300])
def test_searches_are_counted(pair, subsample, monkeypatch):
    asked = []
    search = ops.spectral_nearest
    monkeypatch.setattr(ops, "spectral_nearest", lambda *given: asked.append(len(given[0])) or search(*given))
    steps = ops.zoomout
    monkeypatch.setattr(ops, "zoomout", lambda *given, **rest: asked.extend([len(given[2])] * (len(given[3]) - 1)) or steps(*given, **rest))
    for refine in (zoomout, bijective_zoomout):
        asked.clear()
        record = refine(rough_start(pair), pair.source_basis, pair.target_basis, k_final=20, step=4, subsample=subsample).record
        assert len(asked) == record["searches"]
        assert (300 in asked) == (subsample is not None)


@pytest.mark.parametrize("subsample", [None, 300])
def test_large_shapes_take_the_same_steps(pair, subsample, monkeypatch):
    """Step by step with single searches, as where a shape has many points, against all steps in one call."""
    ask = lambda: zoomout(rough_start(pair), pair.source_basis, pair.target_basis, k_final=30, step=2, subsample=subsample)  # noqa: E731
    fused = ask().target_to_source
    monkeypatch.setattr(refinement, "MOST_FUSED", 0)
    monkeypatch.delattr(ops, "zoomout")
    assert (ask().target_to_source == fused).double().mean() > 0.99


def test_samples_are_fitted_in_float64(pair):
    """Samples crowded on a cap: a system that float32 would square into noise."""
    modes, signal = pair.target_basis.modes[:160, :12].float(), torch.randn(160, 3)
    narrow = _Projection(SampledBasis(modes, torch.ones(160)), orthonormal=False)(signal, 12)
    expected = torch.linalg.lstsq(modes.double(), signal.double()).solution
    assert narrow.dtype == torch.float32
    assert (narrow.double() - expected).norm() < 1e-3 * expected.norm()


def test_zoomout_from_a_point_map_and_in_float32(pair):
    start = functional_to_point(rough_start(pair), pair.source_basis, pair.target_basis)
    wide = zoomout(start, pair.source_basis, pair.target_basis, k_start=8, k_final=40, step=4)
    bases = [SampledBasis(b.modes.float(), b.measure.float()) for b in (pair.source_basis, pair.target_basis)]
    narrow = zoomout(start, *bases, k_start=8, k_final=40, step=4)
    assert narrow.functional_map.dtype == torch.float32
    assert (wide.target_to_source == narrow.target_to_source).double().mean() > 0.98
    assert pair.error(narrow.target_to_source) < 2


def test_zoomout_does_not_see_signs_or_units(pair):
    signs = torch.where(torch.arange(pair.target_basis.k) % 2 == 0, -1.0, 1.0).double()
    start = rough_start(pair)
    expected = zoomout(start, pair.source_basis, pair.target_basis, k_final=30, step=2)
    other = scaled(flipped(pair.target_basis, signs), 50.0)
    found = zoomout(50 * signs[:8, None] * start, pair.source_basis, other, k_final=30, step=2)
    assert torch.equal(found.target_to_source, expected.target_to_source)


def test_zoomout_parity_with_pyfm(pair2000):
    pyfm = pytest.importorskip("pyFM.refine.zoomout", reason="pyfmaps is not installed")
    spectral = pytest.importorskip("pyFM.spectral", reason="pyfmaps is not installed")
    source, target = pair2000.source_basis, pair2000.target_basis
    both_unit = [SampledBasis(b.modes * b.measure.sum().sqrt(), b.measure / b.measure.sum(), b.eigenvalues) for b in (source, target)]
    phi_s, phi_t, area = both_unit[0].modes.numpy(), both_unit[1].modes.numpy(), both_unit[1].measure.numpy()
    start = rough_start(pair2000, 10)
    theirs = start.numpy()
    for k in range(10, 26):
        expected = spectral.FM_to_p2p(theirs, phi_s, phi_t)
        found = functional_to_point(torch.as_tensor(theirs), *both_unit).numpy()
        differ = np.nonzero(found != expected)[0]
        points = phi_s[:, :k] @ theirs.T
        ours, peers = (np.linalg.norm(points[t[differ]] - phi_t[differ, :k], axis=1) for t in (found, expected))
        assert np.allclose(ours, peers, rtol=1e-9, atol=0)  # ties aside, the same vertices
        sizes = [(n, n) for n in range(10, k + 1)] + [(k, k)]
        modes = [b.modes[:, :k] for b in both_unit]
        _, images = ops.zoomout(start[None], *modes, sizes, measure=both_unit[1].measure)  # the same from the start to here
        assert (images[0].numpy() == expected).mean() > 0.999
        theirs = pyfm.zoomout_iteration(theirs, phi_s, phi_t, step=1, A2=area)
    final = zoomout(rough_start(pair2000, 10), *both_unit, k_final=25).target_to_source.numpy()
    assert (final == expected).mean() > 0.999


def test_bijective_zoomout(pair):
    result = bijective_zoomout(rough_start(pair), pair.source_basis, pair.target_basis, k_final=(45, 50), step=3)
    assert result.functional_map.shape == (50, 45)
    assert result.reverse_functional_map.shape == (45, 50)
    assert pair.error(result.target_to_source) < 2
    back = pair.target.vertices[result.source_to_target] - pair.target.vertices[pair.reverse_truth]
    assert 100 * back.norm(dim=1).mean() < 2
    # Closer to bijective than two runs of plain ZoomOut.
    plain = [zoomout(c, *bases, k_final=45, step=3).target_to_source for c, bases in _both_ways(pair)]
    moved = lambda t, s: (pair.source.vertices[t[s]] - pair.source.vertices).norm(dim=1).mean()  # noqa: E731
    assert moved(result.target_to_source, result.source_to_target) <= moved(*plain)


def _both_ways(pair: Pair):
    start = rough_start(pair)
    return (start, (pair.source_basis, pair.target_basis)), (start.T, (pair.target_basis, pair.source_basis))


def test_bijective_zoomout_does_not_see_units(pair):
    start = rough_start(pair)
    expected = bijective_zoomout(start, pair.source_basis, pair.target_basis, k_final=20, step=4)
    found = bijective_zoomout(64 * start, pair.source_basis, scaled(pair.target_basis, 64.0), k_final=20, step=4)
    assert torch.equal(found.target_to_source, expected.target_to_source)
    assert torch.equal(found.source_to_target, expected.source_to_target)
    assert torch.allclose(found.reverse_functional_map * 64, expected.reverse_functional_map)


def test_fit_on_samples_is_least_squares(pair):
    """Leading blocks of one factor against a separate least-squares problem for every size."""
    basis = pair.source_basis.truncate(30)
    signal = torch.randn(basis.n, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    chosen = torch.arange(0, basis.n, 7)  # far from even
    even = SampledBasis(basis.modes[chosen], torch.full((len(chosen),), 0.01).double())
    fit = _Projection(even, orthonormal=False)
    for k in (1, 12, 30):
        assert torch.allclose(fit(signal[chosen], k), torch.linalg.lstsq(even.modes[:, :k], signal[chosen]).solution)
        assert torch.allclose(_Projection(basis, orthonormal=True)(signal, k), basis.truncate(k).analyze(signal))


def test_bijective_search_is_the_stacked_search(pair):
    """One search with a spread coordinate against the search in twice the dimensions that it stands for."""
    generator = torch.Generator().manual_seed(3)
    forward = rough_start(pair)
    backward = forward.T + 0.3 * torch.randn(8, 8, generator=generator, dtype=torch.float64)
    result = bijective_zoomout(forward, pair.source_basis, pair.target_basis, k_final=8, reverse=backward)
    phi_s, phi_t = pair.source_basis.modes[:, :8], pair.target_basis.modes[:, :8]
    a = pair.source_basis.measure.sum() / pair.target_basis.measure.sum()
    points = torch.cat([a * phi_s @ forward.T, phi_s @ backward], dim=1)
    assert torch.equal(
        result.target_to_source,
        torch.cdist(torch.cat([phi_t, phi_t], dim=1), points, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1),
    )


def test_icp_gives_an_orthogonal_map(pair):
    start = rough_start(pair, 20)
    large = scaled(pair.target_basis, 3.0)
    in_units = icp(3 * start, pair.source_basis, large)
    result = icp(start, pair.source_basis, pair.target_basis)
    assert torch.equal(in_units.target_to_source, result.target_to_source)
    assert torch.allclose(in_units.functional_map, 3 * result.functional_map)
    a = pair.target_basis.measure.sum() / pair.source_basis.measure.sum()
    assert torch.allclose(result.functional_map.T @ result.functional_map, a * torch.eye(20, dtype=torch.float64), atol=1e-10)
    assert result.record["settled"]
    assert pair.error(result.target_to_source) < pair.error(functional_to_point(start, pair.source_basis, pair.target_basis))
    wide = icp(start[:, :15], pair.source_basis, pair.target_basis)
    assert wide.functional_map.shape == (20, 15)


def test_farthest_points_spread(pair):
    chosen = farthest_points(pair.source_basis, 60)
    assert len(chosen.unique()) == 60
    to_chosen = torch.cdist(pair.source.vertices, pair.source.vertices[chosen]).min(dim=1).values
    at_random = torch.randperm(pair.source_basis.n, generator=torch.Generator().manual_seed(0))[:60]
    to_random = torch.cdist(pair.source.vertices, pair.source.vertices[at_random]).min(dim=1).values
    assert to_chosen.max() < 0.75 * to_random.max()
    doubled = SampledBasis(pair.source_basis.modes.repeat(2, 1), pair.source_basis.measure.repeat(2), pair.source_basis.eigenvalues)
    assert len(farthest_points(doubled, doubled.n).unique()) == doubled.n  # points that coincide are still chosen once each


def test_schedule():
    start = torch.zeros(20, 20)
    assert schedule(start, 24, None, 2) == [(20, 20), (22, 22), (24, 24)]
    assert schedule(start, (23, 26), None, (1, 3)) == [(20, 20), (21, 23), (22, 26), (23, 26)]
    assert schedule(start, 100, None, 1)[-1] == (100, 100)
    assert len(schedule(start, 100, None, "auto")) == 20
    assert schedule(start, 20, None, 1) == [(20, 20)]


def test_refusals(pair):
    bases = (pair.source_basis, pair.target_basis)
    start = torch.eye(8, dtype=torch.float64)
    with pytest.raises(ArgumentError, match="at least 99 modes"):
        zoomout(start, *bases, k_final=99)
    with pytest.raises(ArgumentError, match="k_start"):
        zoomout(pair.truth, *bases, k_final=20)
    with pytest.raises(ArgumentError, match="k_start: wanted at most"):
        zoomout(start, *bases, k_final=20, k_start=9)
    with pytest.raises(ArgumentError, match="k_final: wanted at least"):
        zoomout(start, *bases, k_final=5)
    for step in (0, "quick", (0, 0), -1):
        with pytest.raises(ArgumentError, match="step"):
            zoomout(start, *bases, k_final=20, step=step)
    with pytest.raises(ArgumentError, match="reaches k_final"):
        zoomout(start, *bases, k_final=20, step=(1, 0))
    with pytest.raises(ArgumentError, match="subsample"):
        zoomout(start, *bases, k_final=20, subsample=12)
    with pytest.raises(ArgumentError, match="one of 'nearest', 'adjoint'"):
        functional_to_point(start, *bases, method="closest")
    for wrong in (torch.eye(99), torch.ones(8), torch.ones(2, 8, 8), torch.ones(0, 8)):
        with pytest.raises(ArgumentError, match=r"functional_map: wanted a matrix of at most \(60, 60\)"):
            functional_to_point(wrong, *bases)
    few = torch.arange(60) // 2, torch.arange(60) // 2
    with pytest.raises(ConvergenceError, match="subsample: wanted points at which the modes are independent"):
        zoomout(start, *bases, k_final=50, subsample=few)
    with pytest.raises(ArgumentError, match=r"indices in \[0, 700\)"):
        point_to_functional(pair.truth + 500, *bases)
    with pytest.raises(ArgumentError, match="int64"):
        point_to_functional(pair.truth.int(), *bases)
