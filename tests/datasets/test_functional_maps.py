"""True functional maps: correspondences, deformations, and what the maps of known pairs must look like."""

from __future__ import annotations

import igl
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation

from geospec import LaplaceBasis
from geospec.datasets import (
    MAP_FAMILIES,
    FunctionalMaps,
    deformations,
    deformed_pair,
    functional_maps,
    rest_surfaces,
    thin_sheet,
    true_maps,
)
from geospec.datasets.__main__ import main
from geospec.datasets.creatures.drawn import drawn_kind
from geospec.datasets.procedural import normalised
from geospec.datasets.rest_surfaces import drawn_surface, interpolation
from geospec.errors import ArgumentError, ConvergenceError, FileFormatError
from geospec.maps import orthogonality_residual, point_to_functional
from geospec.testing import icosphere

FEW = ("limbs", "star", "thin sheet")
VERTICES = true_maps._VERTICES


@pytest.fixture(scope="module", autouse=True)
def _coarse_meshes():
    """A third of the vertices: the maps are as true, and quicker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(true_maps, "_VERTICES", (1000, 1300))
        yield


@pytest.fixture(scope="module")
def made() -> FunctionalMaps:
    return functional_maps(36, k=30, families=FEW)


# Correspondence


@pytest.mark.parametrize(("level", "radius"), [(3, 1.0), (0, 1.4)], ids=["on the surface", "off corners and edges"])
def test_interpolation_finds_the_nearest_point_of_the_surface(level, radius):
    """libigl looks through all faces; here no two sides are near each other, so facing decides nothing."""
    source, target = icosphere(level), icosphere(2)
    turned = radius * target.vertices.numpy() @ Rotation.random(rng=np.random.default_rng(0)).as_matrix()
    weights = interpolation((source.vertices.numpy(), source.faces.numpy()), (turned, target.faces.numpy()))
    nearest = igl.point_mesh_squared_distance(turned, source.vertices.numpy(), source.faces.numpy())[2]
    np.testing.assert_allclose(weights @ source.vertices.numpy(), nearest, atol=1e-12)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert weights.data.min() >= 0


def test_interpolation_on_one_mesh_is_the_identity():
    mesh = icosphere(2)
    arrays = mesh.vertices.numpy(), mesh.faces.numpy()
    assert abs(interpolation(arrays, arrays) - csr_array(np.eye(mesh.n_points))).max() < 1e-12


def test_interpolation_keeps_the_sides_of_a_thin_part_apart():
    """Two sheets a thousandth apart, one upside down, are each other's nearest neighbours but face away."""
    x, y = np.meshgrid(np.arange(6.0), np.arange(6.0), indexing="ij")
    at = np.arange(36).reshape(6, 6)
    faces = np.concatenate(
        [np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:]], -1), np.stack([at[:-1, :-1], at[1:, 1:], at[:-1, 1:]], -1)]
    ).reshape(-1, 3)
    up = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3)
    down = up - [0, 0, 1e-3]
    both = np.concatenate([up, down]), np.concatenate([faces, faces[:, ::-1] + 36])
    moved = both[0] + [0, 0, 2e-3]  # now the lower sheet of the one lies just above the upper one of the other
    heaviest = interpolation(both, (moved, both[1])).toarray().argmax(1)
    assert (heaviest // 36 == np.arange(72) // 36).all()


# Deformations


def jacobians(warp, points: np.ndarray, step: float = 1e-5) -> np.ndarray:
    columns = [(warp(points + step * e) - warp(points - step * e)) / (2 * step) for e in np.eye(3)]
    return np.stack(columns, axis=2)


@pytest.mark.parametrize("seed", range(6))
def test_poses_hardly_stretch_and_proportions_do(seed):
    points = np.random.default_rng(seed).uniform(-1, 1, (400, 3)) * [1, 0.3, 0.2]
    rng = np.random.default_rng(seed)
    for warp, low, high in (
        (deformations.pose(points, rng), 0.4, 1.8),
        (deformations.proportions(points, rng, 1.0), 0.1, 4.0),
    ):
        jacobian = jacobians(warp, points)
        assert (np.linalg.det(jacobian) > 0).all()  # one to one
        singular = np.linalg.svd(jacobian, compute_uv=False)
        assert low < singular.min() < singular.max() < high
    assert np.ptp(singular) > 0.3


def test_without_strength_nothing_changes():
    points = np.random.default_rng(0).standard_normal((100, 3))
    np.testing.assert_allclose(deformations.proportions(points, np.random.default_rng(1), 0.0)(points), points, atol=1e-12)


def test_a_flat_sheet_bends_without_stretching():
    mesh = thin_sheet(1, n_vertices=1000)
    points = np.column_stack([mesh.vertices.numpy()[:, :2], np.zeros(mesh.n_points)])
    frame = deformations.Frame.of(points)
    warp = frame.within(deformations._bend(frame.half, 0, 2, np.random.default_rng(0), 0.01))
    np.testing.assert_allclose(np.linalg.svd(jacobians(warp, points), compute_uv=False)[:, 1:], 1, atol=2e-2)
    assert np.linalg.svd(warp(points) - warp(points).mean(0), compute_uv=False)[2] > 0.5


def test_what_folds_or_collapses_is_drawn_again():
    points = np.random.default_rng(0).uniform(-1, 1, (300, 3))
    assert not deformations._keeps_apart(points, points * [1, 1, 0.01])
    assert not deformations._keeps_apart(points, np.abs(points))
    given = []

    def draw(rng, strength):
        given.append(strength)
        return np.abs if strength > 0.5 else (lambda p: 2 * p)

    warp = deformations._drawn(points, np.random.default_rng(0), draw, 1.0)
    np.testing.assert_array_equal(warp(points), 2 * points)
    np.testing.assert_allclose(given, 0.8 ** np.arange(5))
    with pytest.raises(ConvergenceError, match="gentlest"):
        deformations._drawn(points, np.random.default_rng(0), lambda rng, strength: np.abs, 1.0)


@pytest.mark.parametrize("symmetric", [False, True])
def test_drawn_kinds(symmetric):
    """Three to seven limbs, a body like its mirror image where it should be, bones that the poses know."""
    rng = np.random.default_rng(7)
    counts = set()
    for seed in range(12):
        kind = drawn_kind(np.random.default_rng(seed), symmetric=symmetric)
        limbs = {bone.name.rstrip("0123456789") for bone in kind.bones} - {"trunk"}
        counts.add(len({bone.name[: bone.name.find("_") if "_" in bone.name else 5] for bone in kind.bones} - {"trunk"}))
        points = rng.uniform(kind.body.lower, kind.body.upper, (200, 3))
        mirrored = np.abs(kind.body.evaluate(points)[0] - kind.body.evaluate(points * [-1, 1, 1])[0]).max()
        assert mirrored < 5e-3 if symmetric else mirrored > 5e-2  # where three tubes melt, their order shows
        assert 1 <= len(limbs) <= 7
        pose = kind.draw_pose(kind.skeleton.proportions(kind.ranges, rng), rng)
        assert set(pose) <= set(kind.skeleton.index)
    assert len(counts) > 1


# Maps


def test_rows_of_the_table(made):
    assert made.maps.shape == (36, 30, 30)
    assert made.maps.dtype == torch.float32
    assert torch.equal(made.family, torch.arange(3).repeat_interleave(12))
    assert torch.equal(made.pair, torch.arange(18).repeat_interleave(2))
    assert torch.equal(made.base, made.family)
    assert bool((made.maps.isfinite()).all())
    for name in ("stretch", "same_identity", "same_mesh"):
        both = getattr(made, name).reshape(18, 2)
        assert torch.equal(both[:, 0], both[:, 1])
    assert 0 < int(made.same_identity.sum()) < 36
    assert 0 < int(made.same_mesh.sum()) < 36
    assert len(torch.unique(made.maps[:, :2, :2].flatten(1), dim=0)) == 36  # no map twice


def test_a_pose_alone_is_nearly_an_isometry(made):
    near, far = made[made.same_identity], made[~made.same_identity]
    residual = [orthogonality_residual(maps.maps[:, :15, :15]).median() for maps in (near, far)]
    assert residual[0] < 0.5 * residual[1]
    assert near.stretch.median() < 0.6 * far.stretch.median()
    assert near.maps.diagonal(dim1=1, dim2=2).abs()[:, :6].mean() > 0.85
    rms = near.maps.square().mean().sqrt()
    assert rms == pytest.approx(30**-0.5, rel=0.1)


def test_directions_are_nearly_transposes_of_each_other(made):
    there, back = made.maps[0::2], made.maps[1::2]
    off = (there - back.mT).flatten(1).norm(dim=1) / there.flatten(1).norm(dim=1)
    near = made.same_identity[::2]
    assert off[near].median() < 0.15
    assert off[near].median() < 0.7 * off[~near].median()


def test_a_map_is_that_of_its_shapes():
    """The first pair of a group made again, step by step, through the public functions."""
    group = true_maps._Group("star", 0, 1, 5, "train")
    made = functional_maps(2, k=12, families=("star",), seed=5)
    surface = true_maps._regular_surface("star", group.draw)[0]
    meshes, bases = [], []
    for shape in group.chosen[0]:
        number = group.mesh_of(shape)
        rng = np.random.default_rng([group.draw(1, number), 2])
        meshes.append(surface.mesh(int(rng.integers(*true_maps._VERTICES)), rng))
        points = surface.deform(meshes[-1][0], group.draw(2, shape // 6), group.draw(3, shape))
        bases.append(LaplaceBasis.fit(normalised(points, meshes[-1][1], torch.float64), 12))
    for direction, (source, target) in zip(made.maps, ((0, 1), (1, 0)), strict=True):
        soft = torch.from_numpy(interpolation(meshes[source], meshes[target]).toarray())
        torch.testing.assert_close(direction.double(), point_to_functional(soft, bases[source], bases[target]), atol=6e-4, rtol=0)


def test_one_shape_on_two_meshes_maps_to_itself():
    surface = drawn_surface("mirrored limbs", 4)
    meshes = [surface.mesh(n, np.random.default_rng(n)) for n in (2000, 2400)]
    source, target = (LaplaceBasis.fit(normalised(surface.deform(v, 1, 2), f, torch.float64), 30) for v, f in meshes)
    carried = point_to_functional(torch.from_numpy(interpolation(*meshes).toarray()), source, target)
    assert (carried.abs() - torch.eye(30)).abs()[:20, :20].max() < 0.15
    assert orthogonality_residual(carried) < 0.05


def test_fewer_modes_are_the_leading_block():
    more, fewer = (functional_maps(2, k=k, families=("star",)).maps.abs() for k in (30, 12))
    torch.testing.assert_close(more[:, :12, :12], fewer, atol=1e-3, rtol=0)


def test_a_family_does_not_depend_on_its_company(made):
    alone = functional_maps(5, k=30, families="star")
    assert torch.equal(alone.maps, made.of("star").maps[:5])
    assert len(alone) == 5
    assert alone.pair.tolist() == [0, 0, 1, 1, 2]


def test_workers_change_nothing(monkeypatch):
    monkeypatch.setattr(true_maps, "_VERTICES", VERTICES)  # other processes have it so
    here, there = (functional_maps(2, k=12, families=("star",), workers=workers).maps for workers in (0, 1))
    assert torch.equal(here, there)


def test_a_creature_group():
    """Meshes come from the pool of their kind; here contoured ones, which are quick."""
    group = true_maps._Group("hand", 0, 1, 0, "train")
    numbers = sorted({group.mesh_of(s) for s in group.chosen[0]})
    pool = {number: rest_surfaces.creature_surface("hand").mesh(2000, np.random.default_rng(number)) for number in numbers}
    maps = true_maps._group_maps((group, 20, pool))["maps"]
    assert maps.shape == (2, 20, 20)
    assert np.abs(maps).diagonal(axis1=1, axis2=2)[:, :2].min() > 0.9


def test_splits_share_no_seed():
    drawn = {
        split: {
            true_maps._Group(family, i, 66, seed, split).draw(*words)
            for family in MAP_FAMILIES
            for i in range(5)
            for seed in range(2)
            for words in ((0,), (0, 0), (1, 2), (2, 0), (2, 1), (3, 0), (3, 11))
        }
        for split in ("train", "validation")
    }
    assert all(len(found) == len(MAP_FAMILIES) * 70 for found in drawn.values())
    assert {s % 2 for s in drawn["train"]} == {0}
    assert {s % 2 for s in drawn["validation"]} == {1}


def test_the_pairs_of_a_group_are_different_and_mixed():
    group = true_maps._Group("limbs", 0, len(true_maps._PAIRS), 0, "train")
    assert sorted(group.chosen) == true_maps._PAIRS
    assert len(true_maps._PAIRS) == 66
    shares = [np.mean([f(a) == f(b) for a, b in group.chosen]) for f in (lambda s: s // 6, group.mesh_of)]
    assert shares == pytest.approx([30 / 66, 15 / 66 + 3 / 66])


def test_shapes_with_a_continuous_symmetry_are_drawn_again(monkeypatch):
    real, round_ones = drawn_surface, []

    def first_a_sphere(family, seed):
        if round_ones:
            return real(family, seed)
        round_ones.append(seed)
        sphere = icosphere(4)
        return rest_surfaces.RestSurface(lambda n, rng: (sphere.vertices.numpy(), sphere.faces.numpy()), lambda points, i, p: points)

    monkeypatch.setattr(true_maps, "drawn_surface", first_a_sphere)
    assert true_maps._regular_surface("star", true_maps._Group("star", 0, 1, 0, "train").draw)[1] > 0


@pytest.mark.parametrize("family", ["mirrored limbs", "thin sheet", "rings"])
def test_deformed_pairs(family):
    source, target, truth = deformed_pair(family, 3, n_vertices=1200)
    assert truth.shape == (target.n_points,)
    assert source.n_points != target.n_points
    assert source.area == pytest.approx(1, abs=1e-9)
    assert len(torch.unique(truth)) > 0.5 * source.n_points
    # Neighbours stay neighbours: sides of faces are carried to less than a few sides.
    sides = (target.vertices[target.edges[:, 0]] - target.vertices[target.edges[:, 1]]).norm(dim=1)
    carried = (source.vertices[truth[target.edges[:, 0]]] - source.vertices[truth[target.edges[:, 1]]]).norm(dim=1)
    assert carried.quantile(0.99) < 5 * sides.median()
    again = deformed_pair(family, 3, n_vertices=1200)
    assert torch.equal(source.vertices, again[0].vertices)
    assert torch.equal(truth, again[2])


def test_deformed_pair_of_creatures(monkeypatch):
    """The mesh is that of :func:`creature`, which has its own tests; here a quick one."""
    rest = {}

    def contoured(kind, n, seed):
        rest[seed] = rest_surfaces.creature_surface(kind).mesh(2200, np.random.default_rng(seed))
        return rest[seed]

    monkeypatch.setattr(true_maps, "_rest_mesh", contoured)
    source, target, truth = deformed_pair("hand", 0)
    at_source, at_target = (vertices for vertices, _ in rest.values())
    apart = np.linalg.norm(at_source[truth.numpy()] - at_target, axis=1)
    assert apart.max() < 0.1
    assert apart.mean() < 0.02
    assert all(seed % 2 == 1 for seed in rest)
    assert not torch.equal(source.vertices[truth], target.vertices)


# Files and arguments


def test_files(made, tmp_path):
    path = tmp_path / "maps.safetensors"
    made.save(path)
    again = FunctionalMaps.load(path)
    assert again.families == made.families
    assert all(torch.equal(getattr(again, name), getattr(made, name)) for name in true_maps._TENSORS)
    assert path.stat().st_size < 36 * (2 * 30 * 30 + 60) + 2000
    LaplaceBasis.fit(icosphere(1), 4).save(tmp_path / "basis.safetensors")
    with pytest.raises(FileFormatError, match="functional maps saved by geospec"):
        FunctionalMaps.load(tmp_path / "basis.safetensors")
    (tmp_path / "short.safetensors").write_bytes(path.read_bytes()[:500])
    with pytest.raises(FileFormatError, match="unreadable"):
        FunctionalMaps.load(tmp_path / "short.safetensors")
    with pytest.raises(FileNotFoundError):
        FunctionalMaps.load(tmp_path / "none.safetensors")


def test_families_by_name(made):
    both = made.of("thin sheet", "limbs")
    assert len(both) == 24
    assert both.families == FEW
    assert set(both.family.tolist()) == {0, 2}
    with pytest.raises(ArgumentError, match="names"):
        made.of("humanoid")


def test_the_cache_serves_the_same_arguments_alone(monkeypatch, tmp_path):
    calls = []

    def counted(n, *rest):
        calls.append(n)
        return FunctionalMaps(torch.rand(n, 3, 3).half().float(), *[torch.zeros(n)] * 6, families=("star",))

    monkeypatch.setattr(true_maps, "_made", counted)
    first = functional_maps(4, k=3, families=("star",), cache=tmp_path)
    assert torch.equal(functional_maps(4, k=3, families=("star",), cache=tmp_path, workers=2).maps, first.maps)
    assert calls == [4]
    for other in ({"seed": 1}, {"split": "validation"}, {"k": 4}, {"families": ("limbs",)}):
        functional_maps(4, **({"k": 3, "families": ("star",), "cache": tmp_path} | other))
    assert calls == [4] * 5
    assert len(list(tmp_path.iterdir())) == 5


def test_the_command(tmp_path, capsys):
    file = tmp_path / "maps.safetensors"
    main(["maps", str(file), "--count", "2", "--modes", "6", "--families", "star", "--split", "validation"])
    assert torch.equal(FunctionalMaps.load(file).maps, functional_maps(2, k=6, families=("star",), split="validation").maps)
    assert "maps: 2 of 2" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="usage"):
        main([])


@pytest.mark.parametrize(
    ("n", "options", "named"),
    [
        (0, {}, "n: "),
        (2.5, {}, "n: "),
        (4, {"k": 0}, "k: "),
        (4, {"k": 201}, "k: "),
        (4, {"families": ("horse",)}, "families"),
        (4, {"families": ()}, "families"),
        (4, {"families": ("star", "star")}, "families"),
        (4, {"seed": -1}, "seed"),
        (4, {"split": "test"}, "split"),
        (4, {"workers": -1}, "workers"),
    ],
)
def test_refusals(n, options, named):
    with pytest.raises(ArgumentError, match=named):
        functional_maps(n, **options)


def test_refusals_of_deformed_pairs():
    with pytest.raises(ArgumentError, match="family"):
        deformed_pair("horse")
    with pytest.raises(ArgumentError, match="n_vertices"):
        deformed_pair("star", n_vertices=500)
    with pytest.raises(ArgumentError, match="seed"):
        deformed_pair("star", -1)
