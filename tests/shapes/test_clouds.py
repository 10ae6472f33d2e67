"""Normals, outliers, density, surfaces of clouds."""

import numpy as np
import pytest
import torch
from shapes.solids import cube, mesh, sphere, torus

from geospec.errors import ArgumentError
from geospec.shapes import (
    Mesh,
    PointCloud,
    estimate_normals,
    reconstruct_surface,
    remove_outliers,
    report,
    sample_surface,
    to_open3d,
    voxel_downsample,
)


def ball(n=4000, seed=0, dtype=torch.float64):
    points = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return PointCloud(torch.nn.functional.normalize(points, dim=1).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_of_a_sphere(dtype):
    cloud = ball(dtype=dtype)
    found = estimate_normals(cloud)
    cosine = (found.normals * cloud.points).sum(dim=1)
    assert found.normals.dtype == dtype
    assert cosine.min() > 0.97
    assert cosine.mean() > 0.999
    assert found.normals.norm(dim=1).tolist() == pytest.approx([1] * 4000, abs=1e-5)
    finer = estimate_normals(ball(16000, dtype=dtype))
    assert (1 - (finer.normals * finer.points).sum(dim=1)).mean() < 0.5 * (1 - cosine).mean()


def test_normals_point_outward_wherever_the_shape_bends():
    sample = sample_surface(torus(80, 40), 8000, method="uniform", seed=1).cloud
    found = estimate_normals(sample)
    assert (found.normals * sample.normals).sum(dim=1).min() > 0.8
    two = PointCloud(torch.cat([sample.points, ball(2000).points + 10]))  # each part is turned on its own
    outward = torch.cat([sample.normals, ball(2000).points])
    assert ((estimate_normals(two).normals * outward).sum(dim=1) > 0.8).all()


def test_signs_travel_where_normals_agree():
    """On a thin plate the tree must go along the faces, not across its edges: a tree without weights errs here."""
    plate = mesh(cube().vertices * torch.tensor([1, 1, 0.07]), cube().faces)
    sample = sample_surface(plate, 2000, method="poisson-disk", seed=2).cloud
    assert ((estimate_normals(sample, 8).normals * sample.normals).sum(dim=1) > 0).all()


def test_normals_turn_with_the_shape():
    cloud, turn = ball(1000), torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    turn[:, 0] *= torch.linalg.det(turn)
    assert torch.allclose(estimate_normals(PointCloud(cloud.points @ turn.T)).normals, estimate_normals(cloud).normals @ turn.T, atol=1e-8)


def test_normals_towards_a_viewpoint():
    found = estimate_normals(ball(), viewpoint=torch.tensor([0.0, 0, 50]))
    assert (found.normals[:, 2] > 0).double().mean() > 0.98


def test_doubled_points_do_not_hide_neighbours():
    cloud = ball(1500)
    doubled = estimate_normals(PointCloud(cloud.points.repeat(2, 1)))
    assert (doubled.normals * cloud.points.repeat(2, 1)).sum(dim=1).min() > 0.9


def test_outliers_go_and_nothing_else():
    noise = 3 * ball(20, seed=1).points
    whole = PointCloud(torch.cat([ball().points, noise]), torch.cat([ball().points, noise]), torch.arange(4020) + 1.0)
    cleaned, kept = remove_outliers(whole, ratio=3)
    assert (kept < 4000).all()
    assert len(kept) > 3990
    assert torch.equal(cleaned.points, whole.points[kept])
    assert torch.equal(cleaned.weights, whole.weights[kept])


def test_outliers_against_open3d():
    pytest.importorskip("open3d", exc_type=ImportError)
    cloud = PointCloud(torch.randn(2000, 3, dtype=torch.float64))
    _, kept = remove_outliers(cloud, k=15, ratio=1.5)
    # open3d counts the point itself among its neighbours, in the number and in the mean.
    _, theirs = to_open3d(cloud).remove_statistical_outlier(16, 1.5)
    assert len(set(kept.tolist()) ^ set(theirs)) <= 4


def test_voxels():
    cloud = PointCloud(torch.tensor([[0.0, 0, 0], [2.5, 0, 0], [0.5, 0, 0], [2.9, 0.4, 0]]), weights=[1, 1, 3, 1])
    thin = voxel_downsample(cloud, 1)
    assert torch.allclose(thin.points, torch.tensor([[0.375, 0, 0], [2.7, 0.2, 0]]))
    assert thin.weights.tolist() == [4, 2]
    thin = voxel_downsample(estimate_normals(ball(20000)), 0.1)
    assert 800 < thin.n_points < 2500
    assert (thin.normals * thin.points).sum(dim=1).min() > 0.95
    assert thin.normals.norm(dim=1).tolist() == pytest.approx([1] * thin.n_points)


def test_voxels_against_open3d():
    pytest.importorskip("open3d", exc_type=ImportError)
    cloud = PointCloud(torch.rand(5000, 3, dtype=torch.float64))
    # open3d starts its grid half a cell below the lowest corner.
    shifted = PointCloud(torch.cat([cloud.points.amin(dim=0)[None] - 0.05, cloud.points]))
    theirs = np.asarray(to_open3d(cloud).voxel_down_sample(0.1).points)
    ours = voxel_downsample(shifted, 0.1).points[1:].numpy()
    assert len(theirs) - len(ours) in (0, 1)  # the added corner shares a cell or has its own
    common = {tuple(row) for row in theirs.round(9)} & {tuple(row) for row in ours.round(9)}
    assert len(common) >= len(theirs) - 1


def test_refusals():
    for call, message in [
        (lambda: estimate_normals(ball(10), k=10), "k: wanted between 3 and the other 9 points, got 10"),
        (lambda: estimate_normals(ball(10), k=2), "got 2"),
        (lambda: estimate_normals(PointCloud(torch.rand(30, 2))), "three dimensions"),
        (lambda: estimate_normals(sphere(1)), "a PointCloud, got Mesh"),
        (lambda: remove_outliers(ball(50), ratio=0), "ratio"),
        (lambda: voxel_downsample(ball(50), 0), "a positive length"),
        (lambda: reconstruct_surface(ball(50)), r"estimate_normals\(cloud\) makes them"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            call()


def test_poisson_reconstruction():
    pytest.importorskip("open3d", exc_type=ImportError)
    sample = sample_surface(torus(80, 40), 6000, seed=1).cloud
    surface = reconstruct_surface(estimate_normals(sample).to(dtype=torch.float32), depth=6)
    found = report(surface)
    assert surface.vertices.dtype == torch.float32
    assert (found.closed, found.genus, found.outward, found.components) == (True, 1, True, 1)
    assert found.volume == pytest.approx(2 * np.pi**2 * 2 * 0.25, rel=0.03)
    assert torch.equal(surface.vertices, reconstruct_surface(estimate_normals(sample).to(dtype=torch.float32), depth=6).vertices)
    half = estimate_normals(sample)
    half = PointCloud(half.points[half.points[:, 0] > 0], half.normals[half.points[:, 0] > 0])
    trimmed = reconstruct_surface(half, depth=6, trim=0.1)
    assert len(report(trimmed).boundary_edges) > 0


def test_ball_pivoting_uses_the_points_themselves():
    pytest.importorskip("open3d", exc_type=ImportError)
    cloud = PointCloud(sphere(4).vertices, sphere(4).vertices)
    surface = reconstruct_surface(cloud, method="ball-pivoting")
    assert isinstance(surface, Mesh)
    assert torch.equal(surface.vertices, cloud.points)
    found = report(surface)
    assert found.area == pytest.approx(4 * np.pi, rel=0.02)
    assert found.outward is not False
    with pytest.raises(ArgumentError, match="no triangle"):
        reconstruct_surface(cloud, method="ball-pivoting", radii=[1e-6])
