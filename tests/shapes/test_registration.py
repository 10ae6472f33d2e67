"""Rigid motions are recovered: known ones exactly, near ones by closest points, far ones by features."""

import pytest
import torch
from scipy.spatial.transform import Rotation
from shapes.solids import torus

from geospec.errors import ArgumentError, ConvergenceError
from geospec.shapes import Mesh, PointCloud, RigidMotion, align_rigid, load, register_rigid, sample_surface

AXIS = torch.tensor([1.0, 2.0, -1.0]).double()


def rotation(angle):
    return torch.from_numpy(Rotation.from_rotvec((angle * AXIS / AXIS.norm()).numpy()).as_matrix())


def bumpy(n=1500, seed=0):
    """A body without symmetry."""
    points = torch.nn.functional.normalize(torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=1)
    return points * (1 + 0.3 * points[:, :1] + 0.2 * (points[:, 1:2] * 3).sin() * points[:, 2:]) * torch.tensor([1.0, 1.6, 2.2]).double()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("angle", [0.0, 1.0, 3.1])
def test_known_partners(angle, dtype):
    source, shift = bumpy().to(dtype), torch.tensor([3.0, -1.0, 0.5], dtype=dtype)
    motion = align_rigid(source, source @ rotation(angle).to(dtype).T + shift)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    assert torch.allclose(motion.rotation, rotation(angle).to(dtype), atol=tolerance)
    assert torch.allclose(motion.translation, shift, atol=tolerance)
    assert motion.rmse < 10 * tolerance


def test_reflections_and_flat_sets():
    mirrored = bumpy() * torch.tensor([-1.0, 1, 1]).double()
    assert float(torch.linalg.det(align_rigid(bumpy(), mirrored).rotation)) == pytest.approx(1)
    flat = bumpy() * torch.tensor([1.0, 1, 0]).double()
    motion = align_rigid(flat, flat @ rotation(2.0).T)
    assert torch.allclose(motion.rotation, rotation(2.0))


def test_against_scipy_with_noise_and_weights():
    source, weights = bumpy(50), torch.rand(50, dtype=torch.float64)
    target = source @ rotation(0.8).T + 0.1 * torch.randn(50, 3, dtype=torch.float64)
    motion = align_rigid(source, target, weights)
    middle_source, middle_target = ((weights[:, None] * points).sum(0) / weights.sum() for points in (source, target))
    theirs, _ = Rotation.align_vectors((target - middle_target).numpy(), (source - middle_source).numpy(), weights.numpy())
    assert motion.rotation.numpy() == pytest.approx(theirs.as_matrix())
    assert torch.allclose(motion(middle_source), middle_target)
    assert motion.rmse == pytest.approx(float((weights * (motion(source) - target).square().sum(1)).sum().div(weights.sum()).sqrt()))


def test_gradient():
    source, target = bumpy(6).requires_grad_(), (bumpy(6) @ rotation(0.4).T + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: align_rigid(a, b).rotation, (source, target))


def test_closest_points():
    order = torch.randperm(1500)
    target = PointCloud(bumpy()[order] @ rotation(0.25).T + torch.tensor([0.1, 0.0, -0.1]))
    motion = register_rigid(PointCloud(bumpy()), target)
    assert torch.allclose(motion.rotation, rotation(0.25), atol=1e-9)
    assert motion.overlap == 1
    assert motion.rmse < 1e-9
    # A good start makes a far motion near.
    far = PointCloud(bumpy()[order] @ rotation(2.0).T)
    start = RigidMotion(rotation(1.85), torch.zeros(3).double(), 0, 1, 0)
    assert torch.allclose(register_rigid(PointCloud(bumpy()), far, initial=start).rotation, rotation(2.0), atol=1e-9)


def test_part_of_a_shape():
    part = bumpy()[bumpy()[:, 1] > -0.2]
    noise = torch.full((30, 3), 40.0).double()
    source = PointCloud(torch.cat([part @ rotation(-0.1).T, noise]))
    motion = register_rigid(source, PointCloud(bumpy()), max_distance=0.5)
    assert torch.allclose(motion.rotation, rotation(0.1), atol=1e-6)
    assert motion.overlap == pytest.approx(len(part) / (len(part) + 30))


def test_apply_moves_meshes_and_turns_normals():
    motion = RigidMotion(rotation(0.7), torch.tensor([1.0, 2.0, 3.0]).double(), 0, 1, 0)
    moved = motion.apply(torus())
    assert isinstance(moved, Mesh)
    assert torch.allclose(moved.vertices.mean(dim=0), motion.translation, atol=1e-12)
    assert torch.allclose(motion.apply(PointCloud(torus().vertices, torus().vertex_normals)).normals, moved.vertex_normals)


def test_refusals():
    with pytest.raises(ArgumentError, match=r"\(5, 3\) and \(4, 3\)"):
        align_rigid(torch.rand(5, 3), torch.rand(4, 3))
    with pytest.raises(ArgumentError, match="'icp', 'global'"):
        register_rigid(PointCloud(bumpy()), PointCloud(bumpy()), method="magic")
    with pytest.raises(ArgumentError, match="source: wanted at least three points"):
        register_rigid(PointCloud(torch.rand(2, 3)), PointCloud(bumpy()))
    with pytest.raises(ConvergenceError, match="0 points within max_distance"):
        register_rigid(PointCloud(bumpy() + 100), PointCloud(bumpy()), max_distance=1)
    with pytest.raises(ConvergenceError, match="after 2 rounds"):
        register_rigid(PointCloud(bumpy()), PointCloud(bumpy(seed=1) @ rotation(0.5).T), max_iterations=2)


def test_from_anywhere(shared_data):
    pytest.importorskip("open3d", exc_type=ImportError)
    source = sample_surface(load(shared_data / "meshes" / "armadillo.obj"), 8000, seed=3).cloud
    for angle in (1.5, 3.0):
        target = PointCloud(source.points @ rotation(angle).T + 3)
        motion = register_rigid(source, target, method="global")
        assert torch.allclose(motion.rotation, rotation(angle), atol=1e-9)
        assert torch.equal(motion.rotation, register_rigid(source, target, method="global").rotation)
    with pytest.raises(ArgumentError, match="initial"):
        register_rigid(source, target, method="global", initial=motion)
