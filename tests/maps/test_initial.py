"""First maps: the ranking against brute force, the right start on shapes with and without a mirror symmetry."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from geospec.bases.base import SampledBasis
from geospec.descriptors import wave_kernel_signature
from geospec.errors import ArgumentError
from geospec.maps import functional_to_point, map_hypotheses, point_to_functional, zoomout
from geospec.maps.initial import N_SIGNED, _contrasts, _Demands, _Trials, _unit_area
from geospec.shapes import Mesh

from .conftest import Pair, basis_of, blob


def animal(n: int, turn: float, bend: float) -> tuple[Mesh, np.ndarray]:
    """A body with four legs, a head and a tail, mirror symmetric in y before it is bent sideways; and its directions."""
    _, unit = blob(n, turn)
    limbs = np.array([[0.7, 0.5, -0.6], [0.7, -0.5, -0.6], [-0.8, 0.45, -0.5], [-0.8, -0.45, -0.5], [0.9, 0.0, 0.75], [-1.0, 0.0, 0.35]])
    limbs /= np.linalg.norm(limbs, axis=1, keepdims=True)
    radius = 0.6 + np.exp((unit @ limbs.T - 1) / 0.035) @ np.array([1.0, 1.0, 1.1, 1.1, 0.8, 0.5])
    points = unit * radius[:, None] * np.array([1.4, 0.8, 1.0])
    angle = bend * points[:, 0]
    bent = np.stack([points[:, 0] * np.cos(angle), points[:, 1] + points[:, 0] * np.sin(angle), points[:, 2]], axis=1)
    faces = blob(n, turn)[0].faces
    mesh = Mesh(torch.as_tensor(bent), faces)
    return Mesh(mesh.vertices / mesh.area.sqrt(), faces), unit


@pytest.fixture(scope="module")
def animals() -> Pair:
    made = Pair.__new__(Pair)
    made.source, u = animal(1000, 0.0, 0.0)
    made.target, v = animal(1100, 0.4, 0.25)
    made.source_basis, made.target_basis = basis_of(made.source, 60), basis_of(made.target, 60)
    made.truth = torch.as_tensor(np.argmax(v @ u.T, axis=1))
    made.mirrored = torch.as_tensor(np.argmax((v * np.array([1, -1, 1])) @ u.T, axis=1))
    return made


def hypotheses(pair: Pair, target_basis: SampledBasis | None = None, faces: bool = True, **options):
    bases = pair.source_basis, target_basis or pair.target_basis
    functions = [wave_kernel_signature(b) for b in (pair.source_basis, pair.target_basis)]
    meshes = {"source_faces": pair.source.faces, "target_faces": pair.target.faces} if faces else {}
    return map_hypotheses(*bases, *functions, **meshes, **options)


def test_ranking_equals_brute_force():
    """The closed form of the residual of every signed permutation, against the residual."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    size = 1 + N_SIGNED
    a, b, s, t = draw(size, 3), draw(size, 3), draw(2, size, size), draw(2, size, size)
    source_eigenvalues = torch.tensor([0, 1.0, 1.5, 2.5, 4, 6, 9]).double()
    target_eigenvalues = torch.tensor([0, 0.4, 1.8, 2.2, 4.5, 5, 10]).double()  # the first is out of reach but for itself
    found = _Demands(a, b, s, t).best_signed_permutations(source_eigenvalues, target_eigenvalues, 8)

    def residual(c):
        return (c @ a - b).square().sum() / b.square().sum() + (c @ s - t @ c).square().sum() / t.square().sum()

    best = []
    for order in permutations(range(1, size)):
        ratio = source_eigenvalues[list(order)] / target_eigenvalues[1:]
        if bool(((ratio <= 2) & (ratio >= 0.5) | (torch.tensor(order) == torch.arange(1, size))).all()):
            rows = torch.eye(size, dtype=torch.float64)[[0, *order]]
            candidates = torch.stack(
                [torch.tensor([1.0, *signs]).double()[:, None] * rows for signs in product((1.0, -1.0), repeat=N_SIGNED)]
            )
            moved = candidates[:, None] @ s - t @ candidates[:, None]
            first = (candidates @ a - b).square().sum(dim=(1, 2)) / b.square().sum()
            best.append(first + moved.square().sum(dim=(1, 2, 3)) / t.square().sum())
    expected = torch.cat(best).sort().values[:8]
    assert torch.allclose(torch.stack([residual(c) for c in found]), expected)


def test_terms_of_a_perfect_and_of_a_scrambled_map(pair):
    basis, eigenvalues = _unit_area(pair.source_basis, 30, "source")
    functions = _contrasts(basis, basis, *[wave_kernel_signature(pair.source_basis)] * 2)
    faces = pair.source.faces, pair.source.faces
    trials = _Trials.of((basis, basis), (eigenvalues, eigenvalues), functions, faces)
    perfect = trials.upsample(torch.eye(30, dtype=torch.float64)[None], 30, 400)
    assert torch.equal(perfect[1][0], torch.arange(400))
    score, terms = trials.score(*perfect)
    assert score == pytest.approx(0.05)
    assert all(float(term) < 1e-4 for term in terms.values())
    images = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    fitted = torch.linalg.lstsq(trials.target[:400], trials.source[images]).solution
    score, terms = trials.score(fitted[None], images[None])
    assert list(terms) == ["commutativity", "orthogonality", "descriptors", "roughness", "orientation"]
    assert all(float(term) > 0.3 for term in terms.values())
    # Both kinds of operators weigh alike in the first ranking.
    operators = _Demands.of((basis, basis), functions, faces).target_operators
    assert operators[:10].norm() == pytest.approx(float(operators[10:].norm()))


@pytest.mark.parametrize("unit", [1.0, 30.0])
def test_finds_the_map_of_an_asymmetric_shape(pair, unit):
    signs = torch.where(torch.arange(60) % 3 == 0, -1.0, 1.0).double()
    basis = pair.target_basis
    other = SampledBasis(basis.modes * signs / unit, basis.measure * unit**2, basis.eigenvalues / unit**2)
    first = hypotheses(pair, other, k=30)[0]
    truth = point_to_functional(pair.truth, pair.source_basis.truncate(30), other.truncate(30))
    assert (first.functional_map - truth).norm() < 0.1 * truth.norm()
    assert first.score == pytest.approx(np.exp(np.mean([np.log(max(t, 0.05)) for t in first.terms.values()])))
    assert first.terms["orientation"] < 0.02


def test_orientation_decides_between_a_map_and_its_mirror(animals):
    def error(c, truth):
        images = functional_to_point(c, animals.source_basis, animals.target_basis)
        return 100 * float((animals.source.vertices[images] - animals.source.vertices[truth]).norm(dim=1).mean())

    seeing = hypotheses(animals)
    assert [h.score for h in seeing] == sorted(h.score for h in seeing)
    assert error(seeing[0].functional_map, animals.truth) < 4
    refined = zoomout(seeing[0].functional_map, animals.source_basis, animals.target_basis, k_final=60, step="auto")
    assert animals.error(refined.target_to_source) < 3
    # Turned inside out, the target is matched by the mirrored map.
    animals.target = Mesh(animals.target.vertices, animals.target.faces[:, [0, 2, 1]])
    turned = hypotheses(animals)
    animals.target = Mesh(animals.target.vertices, animals.target.faces[:, [0, 2, 1]])
    assert error(turned[0].functional_map, animals.mirrored) < 4
    # Without faces both are offered, about equally good.
    blind = hypotheses(animals, faces=False)
    assert "orientation" not in blind[0].terms
    both = [min(error(h.functional_map, truth) for h in blind[:4]) for truth in (animals.truth, animals.mirrored)]
    assert max(both) < 5


def test_float32_and_few_options(pair):
    narrow = [SampledBasis(b.modes.float(), b.measure.float(), b.eigenvalues.float()) for b in (pair.source_basis, pair.target_basis)]
    functions = [wave_kernel_signature(b)[:, :4] for b in narrow]
    found = map_hypotheses(*narrow, *functions, k=20, n_tried=5)
    assert 1 <= len(found) <= 6
    assert found[0].functional_map.shape == (20, 20)
    assert found[0].functional_map.dtype == torch.float32


def test_refusals(pair):
    f, g = torch.rand(700, 3), torch.rand(900, 3)
    bases = pair.source_basis, pair.target_basis
    with pytest.raises(ArgumentError, match="source_basis"):
        map_hypotheses(pair.source_basis.truncate(30), pair.target_basis, f, g)
    with pytest.raises(ArgumentError, match="k=5"):
        map_hypotheses(*bases, f, g, k=5)
    with pytest.raises(ArgumentError, match="source_descriptors"):
        map_hypotheses(*bases, f, g[:, :2])
    with pytest.raises(ArgumentError, match="eigenvalues absent"):
        map_hypotheses(SampledBasis(bases[0].modes, bases[0].measure), bases[1], f, g)
