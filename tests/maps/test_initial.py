"""First maps: the ranking against brute force, the right start on shapes with and without a mirror symmetry."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from geospec.bases.base import SampledBasis
from geospec.descriptors import wave_kernel_signature
from geospec.errors import ArgumentError
from geospec.maps import functional_to_point, initial, map_hypotheses, point_to_functional, zoomout
from geospec.maps.initial import N_SIGNED, _bodies, _contrasts, _Demands, _relief, _Trials, _unit_area
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


def turn(seed: int) -> torch.Tensor:
    q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).Q
    return q * torch.linalg.det(q)


def placed(pair: Pair, seed: int = 1) -> dict[str, torch.Tensor]:
    """The shapes' points, each turned, moved and in a unit of its own."""
    return {
        "source_points": 5 * pair.source.vertices @ turn(seed).T - 3,
        "target_points": pair.target.vertices @ turn(seed + 1).T + 0.5,
    }


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
    basis, eigenvalues = _unit_area(pair.source_basis, 30)
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


def test_points_decide_without_faces(animals):
    """Points alone tell left from right: the mirror image of a body is no turned copy of it."""

    def error(c, truth):
        images = functional_to_point(c, animals.source_basis, animals.target_basis)
        return 100 * float((animals.source.vertices[images] - animals.source.vertices[truth]).norm(dim=1).mean())

    seeing = hypotheses(animals, faces=False, **placed(animals))
    assert "motion" in seeing[0].terms
    assert "orientation" not in seeing[0].terms
    assert error(seeing[0].functional_map, animals.truth) < 4
    mirrored = {"target_points": placed(animals)["target_points"] * torch.tensor([1.0, 1, -1]).double()}
    turned = hypotheses(animals, faces=False, **placed(animals) | mirrored)
    assert error(turned[0].functional_map, animals.mirrored) < 4


def test_result_does_not_depend_on_frames_and_units(animals):
    first, again = (hypotheses(animals, k=20, **placed(animals, seed)) for seed in (1, 7))
    assert list(first[0].terms) == ["commutativity", "orthogonality", "descriptors", "roughness", "orientation", "relief"]
    assert first[0].score == pytest.approx(again[0].score, rel=1e-6)
    assert torch.allclose(first[0].functional_map, again[0].functional_map, atol=1e-6)


def trials_of(pair: Pair, k: int = 30, **points) -> tuple[_Trials, tuple]:
    (source, low), (target, high) = _unit_area(pair.source_basis, k), _unit_area(pair.target_basis, k)
    functions = _contrasts(source, target, *(wave_kernel_signature(b) for b in (pair.source_basis, pair.target_basis)))
    faces = pair.source.faces, pair.target.faces
    bodies = _bodies((source, target), (points["source_points"], points["target_points"]), faces)
    return _Trials.of((source, target), (low, high), functions, faces, bodies), bodies


def test_relief_of_bumps_and_dents():
    """Positive on a bump, negative in a dent, opposite inside out; nothing on a sphere, whose coordinates are modes."""
    mesh, unit = blob(700)
    basis, _ = _unit_area(basis_of(mesh, 60), 60)
    bodies = [
        _bodies((basis, basis), (mesh.vertices, mesh.vertices @ turn(3).T), (faces, faces)) for faces in (mesh.faces, mesh.faces.flip(1))
    ]
    out, inside = _relief(bodies[0][0], basis), _relief(bodies[1][0], basis)
    assert torch.allclose(_relief(bodies[0][1], basis), out, atol=1e-10)
    assert torch.allclose(inside, -out)
    at = lambda direction: int(np.argmax(unit @ np.array(direction)))  # noqa: E731
    assert bool((out[at([1.0, 0.2, 0.1])] > 0).all())
    assert bool((out[at([0.6, -0.8, -0.2])] < 0).all())
    points = torch.as_tensor(unit)
    ball = Mesh(points, mesh.faces)
    basis, _ = _unit_area(basis_of(ball, 20), 20)
    body = _bodies((basis, basis), (points, points), (ball.faces, ball.faces))[0]
    assert float(_relief(body, basis).abs().max()) < 0.01 * float(out.abs().max())


def test_a_turned_copy_is_among_the_maps_laid_on(pair):
    copy = Pair.__new__(Pair)
    copy.__dict__.update(pair.__dict__)
    copy.target, copy.target_basis = pair.source, pair.source_basis
    trials, bodies = trials_of(copy, source_points=pair.source.vertices @ turn(4).T, target_points=2 * pair.source.vertices @ turn(5).T)
    laid = trials.laid_on(bodies, 5, 150)
    assert laid.shape == (96, 5, 5)
    distance = (laid - torch.eye(5).double()).flatten(1).norm(dim=1)
    assert float(distance.min()) < 1e-6
    assert int((distance < 0.3).sum()) < 10


def test_guided_search_is_the_nearest_in_modes_and_space(pair, monkeypatch):
    """Against the plain statement: the rotation by Procrustes, all distances, one step."""
    from scipy.spatial.transform import Rotation

    monkeypatch.setattr(initial, "POINTS_COUNT", 3.0)
    trials, bodies = trials_of(pair, **placed(pair))
    given = torch.randint(0, 100, (2, 100), generator=torch.Generator().manual_seed(0))
    maps = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fitted, images = trials.upsample(maps, 8, 300, given)
    i, j = (initial.farthest_points(basis, 300) for basis in (pair.source_basis.truncate(30), pair.target_basis.truncate(30)))
    for h in range(2):
        moving, fixed = bodies[0].points[i][given[h]], bodies[1].points[j][:100]
        best = torch.as_tensor(Rotation.align_vectors(fixed - fixed.mean(dim=0), moving - moving.mean(dim=0))[0].as_matrix())
        there = [trials.source[:300, :8] @ maps[h].T, 3 * bodies[0].points[i] @ best.T, bodies[0].normals[i] @ best.T]
        here = [trials.target[:300, :8], 3 * bodies[1].points[j], bodies[1].normals[j]]
        expected = torch.cdist(torch.cat(here, dim=1), torch.cat(there, dim=1)).argmin(dim=1)
        assert float((images[h] == expected).double().mean()) > 0.99
        solution = torch.linalg.lstsq(trials.target[:300, :8], trials.source[images[h], :8]).solution
        assert torch.allclose(fitted[h], solution, atol=1e-4)


def test_a_prior_is_asked(pair):
    class Suspicious:
        k = 25

        def plausibility(self, functional_map):
            assert functional_map.shape[-2:] == (25, 25)
            self.asked = functional_map
            return torch.linspace(0.9, 0.1, len(functional_map), dtype=functional_map.dtype)

    prior = Suspicious()
    plain, judged = hypotheses(pair, k=30), hypotheses(pair, k=30, prior=prior)
    assert judged[0].terms["implausibility"] == pytest.approx(0.1)
    terms = {name: value for name, value in judged[0].terms.items() if name != "implausibility"}
    assert terms == plain[0].terms
    assert judged[0].score == pytest.approx(np.exp(np.mean([np.log(max(t, 0.05)) for t in judged[0].terms.values()])))


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
    with pytest.raises(ArgumentError, match="target_points"):
        map_hypotheses(*bases, f, g, source_points=torch.rand(700, 3), target_points=torch.rand(700, 3))
    with pytest.raises(ArgumentError, match="eigenvalues absent"):
        map_hypotheses(SampledBasis(bases[0].modes, bases[0].measure), bases[1], f, g)
