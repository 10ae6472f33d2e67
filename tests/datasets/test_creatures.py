"""Creatures: sound meshes, exact correspondence, determinism."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from geospec.datasets import KINDS, creature, creature_pair, ground_truth, symmetric_ground_truth
from geospec.datasets.creatures import _kind, _rest_mesh
from geospec.datasets.creatures.skeleton import Proportions, Skeleton, chain
from geospec.errors import ArgumentError, ConvergenceError
from geospec.shapes import report

N = 1500


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest):
    return creature_pair(request.param, seed=1, n_vertices=N)


def _pierces(start: np.ndarray, end: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Whether the segments cross the triangles ``(m, 3, 3)`` in their interior (signed volumes)."""

    def volume(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", a - d, np.cross(b - d, c - d))

    a, b, c = triangle.transpose(1, 0, 2)
    crosses_plane = volume(a, b, c, start) * volume(a, b, c, end) < 0
    around = [volume(start, end, p, q) > 0 for p, q in ((a, b), (b, c), (c, a))]
    return crosses_plane & (around[0] == around[1]) & (around[1] == around[2])


def _self_intersections(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Pairs of faces ``(m, 2)`` that share no vertex and cross each other."""
    corners = vertices[faces]
    centre = corners.mean(1)
    radius = np.linalg.norm(corners - centre[:, None], axis=2).max(1)
    big = radius > 3 * np.median(radius)  # few: searched with their own radius, so that one long face costs nothing
    pairs = [cKDTree(centre).query_pairs(2 * radius[~big].max(), output_type="ndarray")]
    for face in np.flatnonzero(big):
        near = np.flatnonzero(np.linalg.norm(centre - centre[face], axis=1) < radius[face] + radius)
        pairs.append(np.stack([np.full(len(near), face), near], axis=1))
    i, j = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0).T
    keep = np.linalg.norm(centre[i] - centre[j], axis=1) < radius[i] + radius[j]
    keep &= ~(faces[i][:, :, None] == faces[j][:, None, :]).any((1, 2))
    i, j = i[keep], j[keep]
    crossing = np.zeros(len(i), dtype=bool)
    for first, second in ((i, j), (j, i)):
        for k in range(3):
            crossing |= _pierces(corners[first, k], corners[first, (k + 1) % 3], corners[second])
    return np.stack([i, j], axis=1)[crossing]


def _least_angles(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    corners = vertices[faces]
    sides = torch.nn.functional.normalize(corners.roll(-1, 1) - corners, dim=2)
    return torch.rad2deg(torch.arccos((-sides * sides.roll(1, 1)).sum(2).clamp(-1, 1))).min(1).values


def test_a_creature_is_a_closed_outward_sphere_of_the_size_asked_for(pair) -> None:
    for each in pair:
        found = report(each.mesh)
        assert each.mesh.n_points == N
        assert found.manifold
        assert found.outward
        assert found.components == 1
        assert found.genus == 0
        assert len(found.degenerate_faces) == 0
        assert len(found.unreferenced_vertices) == 0


def test_triangles_are_well_shaped(pair) -> None:
    for each in pair:
        rest, posed = (_least_angles(points, each.mesh.faces) for points in (each.rest, each.mesh.vertices))
        assert rest.quantile(0.01) > 25
        assert rest.median() > 47
        assert posed.quantile(0.01) > 12


def test_vertices_lie_on_the_rest_surface(pair) -> None:
    for each in pair:
        value = _kind(each.kind).body.evaluate(each.rest.numpy())[0]
        assert np.abs(value).max() < 1e-6


def test_no_face_crosses_another(pair) -> None:
    for each in pair:
        assert len(_self_intersections(each.mesh.vertices.numpy(), each.mesh.faces.numpy())) == 0


def test_poses_and_identities_keep_a_mesh_free_of_crossings(pair) -> None:
    kind, rest, faces = _kind(pair.source.kind), pair.source.rest.numpy(), pair.source.mesh.faces.numpy()
    for seed in range(100, 106):
        proportions = kind.skeleton.proportions(kind.ranges, np.random.default_rng([seed, 0]))
        pose = kind.draw_pose(proportions, np.random.default_rng([seed, 1]))
        assert len(_self_intersections(kind.skeleton.deform(rest, proportions, pose), faces)) == 0, (kind.name, seed)


def test_the_check_for_crossings_sees_them(pair) -> None:
    vertices = pair.source.mesh.vertices.clone()
    low, high = vertices.argmin(0), vertices.argmax(0)
    vertices[low[0]] = vertices[high[0]] + 0.5 * (vertices[high[0]] - vertices[low[0]])  # drag a vertex through the body
    assert len(_self_intersections(vertices.numpy(), pair.source.mesh.faces.numpy())) > 0


def test_ground_truth_is_the_same_place_on_the_rest_surface(pair) -> None:
    source, target = pair
    truth = ground_truth(source, target)
    spacing = (source.rest[source.mesh.edges[:, 0]] - source.rest[source.mesh.edges[:, 1]]).norm(dim=1)
    apart = (source.rest[truth] - target.rest).norm(dim=1)
    assert truth.shape == (N,)
    assert truth.dtype == torch.int64
    assert apart.mean() < 0.7 * spacing.mean()
    assert apart.max() < spacing.max()
    assert torch.equal(ground_truth(source, source), torch.arange(N))


def test_symmetric_ground_truth_exchanges_left_and_right(pair) -> None:
    source, target = pair
    if source.kind == "hand":
        with pytest.raises(ArgumentError, match="left and a right"):
            symmetric_ground_truth(source, target)
        return
    mirrored = source.rest[symmetric_ground_truth(source, target)]
    spacing = (source.rest[source.mesh.edges[:, 0]] - source.rest[source.mesh.edges[:, 1]]).norm(dim=1)
    assert (mirrored * mirrored.new_tensor([-1, 1, 1]) - target.rest).norm(dim=1).mean() < 0.7 * spacing.mean()
    assert (mirrored[:, 0] * target.rest[:, 0] < 0).double().mean() > 0.9


def test_a_rest_body_is_its_own_mirror_image() -> None:
    points = np.random.default_rng(0).uniform(-1, 1.5, (2000, 3))
    for name in KINDS:
        kind = _kind(name)
        same = np.allclose(kind.body.evaluate(points)[0], kind.body.evaluate(points * [-1, 1, 1])[0], atol=1e-2)
        assert same == kind.symmetric, name


def test_gradient_of_the_body_is_that_of_its_value() -> None:
    rng, step = np.random.default_rng(0), 1e-6
    for name in KINDS:
        body = _kind(name).body
        points = rng.uniform(body.lower, body.upper, (400, 3))
        central = [(body.evaluate(points + step * e)[0] - body.evaluate(points - step * e)[0]) / (2 * step) for e in np.eye(3)]
        wrong = np.abs(np.stack(central, axis=1) - body.evaluate(points)[1]).max(1) > 1e-4
        assert wrong.mean() < 0.03, name  # only where the nearest cone changes


def test_no_identity_and_no_pose_leave_space_as_it_is() -> None:
    points = np.random.default_rng(0).uniform(-1, 1.5, (500, 3))
    for name in KINDS:
        skeleton = _kind(name).skeleton
        one = Proportions(np.ones(len(skeleton.bones)), np.ones(len(skeleton.bones)))
        assert np.allclose(skeleton.weights(points).sum(1), 1)
        assert np.allclose(skeleton.deform(points, one, {}), points)


def test_turning_the_first_bone_is_a_rigid_motion() -> None:
    from scipy.spatial.transform import Rotation

    points = np.random.default_rng(0).uniform(-1, 1.5, (500, 3))
    for name in KINDS:
        kind = _kind(name)
        proportions = kind.skeleton.proportions(kind.ranges, np.random.default_rng(1))
        turn, root = np.array([20.0, -100.0, 35.0]), kind.skeleton.bones[0]
        turned = kind.skeleton.deform(points, proportions, {root.name: turn})
        expected = Rotation.from_rotvec(turn, degrees=True).apply(kind.skeleton.deform(points, proportions, {}) - root.head) + root.head
        assert np.allclose(turned, expected)


def test_a_joint_turns_in_the_axes_of_the_rest_pose_and_is_carried_by_its_parent() -> None:
    arm = Skeleton(chain("bone", None, [[0, 0, 0], [1, 0, 0], [2, 0, 0]], 0.05, "arm"))
    one = Proportions(np.ones(2), np.ones(2))
    pose = {"bone0": np.array([0, 0, 90]), "bone1": np.array([90, 0, 0])}  # the second twists about the arm, the first lifts it
    placed = arm.deform(np.array([[2, 0, 0], [2, 0.1, 0]]), one, pose)
    assert np.allclose(placed, [[0, 2, 0], [0, 2, 0.1]])
    assert np.allclose(arm.deform(np.array([[2.0, 0, 0]]), Proportions(np.array([1.0, 3.0]), np.ones(2)), {}), [[4, 0, 0]])


def test_pose_alone_is_nearly_an_isometry() -> None:
    still, moved = (creature("humanoid", mesh_seed=2, pose_seed=pose, n_vertices=N) for pose in (None, 2))
    assert torch.equal(still.mesh.faces, moved.mesh.faces)
    lengths = [
        (shape.mesh.vertices[shape.mesh.edges[:, 0]] - shape.mesh.vertices[shape.mesh.edges[:, 1]]).norm(dim=1) for shape in (still, moved)
    ]
    stretch = (lengths[1] / lengths[0]).log().abs()
    assert stretch.max() > 0.01  # it did move
    assert stretch.median() < 0.02
    assert stretch.quantile(0.95) < 0.35
    assert abs(float(moved.mesh.area / still.mesh.area) - 1) < 0.05


def test_each_seed_decides_its_part_alone() -> None:
    first = creature("hand", n_vertices=1000)
    _rest_mesh.cache_clear()
    again = creature("hand", n_vertices=1000)
    assert torch.equal(first.mesh.vertices, again.mesh.vertices)
    assert torch.equal(first.mesh.faces, again.mesh.faces)
    other_pose, other_identity = creature("hand", pose_seed=1, n_vertices=1000), creature("hand", identity_seed=1, n_vertices=1000)
    for other in (other_pose, other_identity):
        assert torch.equal(first.rest, other.rest)
        assert (first.mesh.vertices - other.mesh.vertices).norm(dim=1).max() > 0.03
    remeshed = creature("hand", mesh_seed=1, n_vertices=1000)
    assert not torch.equal(first.mesh.faces, remeshed.mesh.faces)
    assert (first.mesh.vertices[ground_truth(first, remeshed)] - remeshed.mesh.vertices).norm(dim=1).max() < 0.15


def test_the_two_of_a_pair_share_no_seed(pair) -> None:
    source, target = pair
    assert not {source.identity_seed, source.pose_seed, source.mesh_seed} & {target.identity_seed, target.pose_seed, target.mesh_seed}
    assert not torch.equal(source.mesh.faces, target.mesh.faces)


@pytest.mark.parametrize("n", [1234, 20000])
def test_vertex_counts_are_exact(n: int) -> None:
    single = creature("hand", n_vertices=n, dtype=torch.float32)
    assert single.mesh.vertices.shape == (n, 3)
    assert single.mesh.vertices.dtype == torch.float32
    assert len(single.mesh.faces) == 2 * n - 4


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="kind: wanted one of 'humanoid'"):
        creature("unicorn")
    with pytest.raises(ArgumentError, match="n_vertices: wanted at least 1000"):
        creature("hand", n_vertices=10)
    hand = creature("hand", n_vertices=1000)
    with pytest.raises(ArgumentError, match="target: wanted a hand like the source"):
        ground_truth(hand, replace(hand, kind="octopus"))


def test_remeshing_says_when_it_cannot_go_on() -> None:
    from geospec.datasets.creatures.remeshing import remesh

    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    points = np.array([[1.0, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) / np.sqrt(3)
    with pytest.raises(ConvergenceError, match="at 4 vertices on the way to 3"):
        remesh(points, tetrahedron, 3, np.ones(4), lambda p: (p, p / np.linalg.norm(p, axis=1, keepdims=True)), np.random.default_rng(0))
