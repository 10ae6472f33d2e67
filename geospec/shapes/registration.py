"""Rigid motions between clouds: in closed form, by iterated closest points, and from anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ConvergenceError, one_of, problem
from .adapters import require_open3d, to_open3d
from .cloud import PointCloud
from .clouds import estimate_normals, voxel_downsample
from .mesh import Mesh


@dataclass(frozen=True, eq=False)
class RigidMotion:
    """``x -> rotation x + translation``, from a source to a target.

    Attributes
    ----------
    rotation : (3, 3) with determinant 1. ``translation`` : (3,).
    rmse : root mean square distance of the source points that found a partner, after the motion.
    overlap : fraction of the source points that found a partner.
    iterations : rounds of closest points that were made.
    """

    rotation: Tensor
    translation: Tensor
    rmse: float
    overlap: float
    iterations: int

    def __call__(self, points: Tensor) -> Tensor:
        """Move points ``(..., 3)``."""
        return points @ self.rotation.to(points).T + self.translation.to(points)

    def apply(self, shape: Mesh | PointCloud) -> Mesh | PointCloud:
        """The moved shape; a cloud's normals turn with it."""
        if isinstance(shape, Mesh):
            return replace(shape, vertices=self(shape.vertices))
        normals = None if shape.normals is None else shape.normals @ self.rotation.to(shape.normals).T
        return replace(shape, points=self(shape.points), normals=normals)


def align_rigid(source: Tensor, target: Tensor, weights: Tensor | None = None) -> RigidMotion:
    """The rotation and translation that bring ``source (n, 3)`` onto ``target (n, 3)``, row by row, with least squares.

    Reflections are never returned. ``weights (n,)`` are non-negative. Differentiable where the three singular
    values of the covariance differ.

    Source: W. Kabsch, A Solution for the Best Rotation to Relate Two Sets of Vectors, 1976.
    """
    if source.shape != target.shape or source.dim() != 2 or source.shape[1] != 3 or len(source) == 0:
        raise ArgumentError(problem("source, target", "the same shape (n, 3)", f"{tuple(source.shape)} and {tuple(target.shape)}"))
    share = source.new_full((len(source),), 1 / len(source)) if weights is None else weights / weights.sum()
    middle_source, middle_target = share @ source, share @ target
    covariance = (target - middle_target).T @ (share[:, None] * (source - middle_source))
    u, _, vh = torch.linalg.svd(covariance)
    flip = torch.ones(3).to(source)
    flip[2] = torch.linalg.det(u @ vh).sign().detach()
    rotation = u @ (flip[:, None] * vh)
    translation = middle_target - rotation @ middle_source
    left = (source @ rotation.T + translation - target).detach()
    rmse = float((share.detach() * left.square().sum(dim=1)).sum().sqrt())
    return RigidMotion(rotation, translation, rmse, 1.0, 0)


def register_rigid(
    source: PointCloud | Mesh,
    target: PointCloud | Mesh,
    *,
    method: str = "icp",
    max_distance: float = float("inf"),
    initial: RigidMotion | None = None,
    max_iterations: int = 200,
    tolerance: float = 1e-7,
    seed: int = 0,
) -> RigidMotion:
    """Find the rigid motion that brings ``source`` onto ``target``; points need not correspond.

    Parameters
    ----------
    method : ``"icp"`` iterates closest points from ``initial`` (or from where the source stands) and finds the optimum
        nearby. ``"global"`` first looks from anywhere, by matching feature histograms under random sampling
        (open3d), then refines by ``"icp"``; it takes no ``initial``.
    max_distance : source points farther than this from the target find no partner: set it where the shapes
        overlap in part.
    tolerance : the motion has settled when no source point moves by more than this fraction of the target's size.
    seed : of the random sampling.

    Raises
    ------
    ConvergenceError : not settled after ``max_iterations`` rounds, or fewer than three partners.

    Cost: a search tree and ``O(n log n)`` a round.

    Source: P. Besl and N. McKay, A Method for Registration of 3-D Shapes, 1992; R. B. Rusu et al., Fast Point Feature
    Histograms, 2009.
    """
    one_of("method", method, ("icp", "global"))
    for name, shape in (("source", source), ("target", target)):
        if shape.points.shape[1] != 3 or shape.n_points < 3:
            raise ArgumentError(problem(name, "at least three points in three dimensions", tuple(shape.points.shape)))
    fixed = target.points.detach().cpu().double()
    moving = source.points.detach().cpu().double()
    if method == "global":
        if initial is not None:
            raise ArgumentError(problem("initial", "None where method is 'global'", "a motion"))
        initial = _global_motion(moving, fixed, seed)
    return _closest_points(moving, fixed, initial, max_distance, max_iterations, tolerance)


def _closest_points(
    moving: Tensor, fixed: Tensor, initial: RigidMotion | None, max_distance: float, max_iterations: int, tolerance: float
) -> RigidMotion:
    size = float((fixed.amax(dim=0) - fixed.amin(dim=0)).norm())
    motion = initial or RigidMotion(torch.eye(3).double(), torch.zeros(3).double(), float("inf"), 0.0, 0)
    for iteration in range(1, max_iterations + 1):
        moved = motion(moving)
        squared, index = ops.knn(moved, fixed, 1)
        found = squared[:, 0].sqrt() <= max_distance
        if found.sum() < 3:
            raise ConvergenceError(
                f"register_rigid: {int(found.sum())} points within max_distance={max_distance:.6g} of the target; start nearer"
            )
        step = align_rigid(moving[found], fixed[index[found, 0]])
        change = float((step(moving) - moved).norm(dim=1).max())
        motion = replace(step, overlap=float(found.double().mean()), iterations=iteration)
        if change <= tolerance * size:
            return motion
    raise ConvergenceError(f"register_rigid: after {max_iterations} rounds a point still moves by {change:.3g} (rmse {motion.rmse:.3g})")


def _global_motion(moving: Tensor, fixed: Tensor, seed: int) -> RigidMotion:
    o3d = require_open3d("register_rigid(method='global')")
    registration = o3d.pipelines.registration
    voxel = float((fixed.amax(dim=0) - fixed.amin(dim=0)).norm()) / 40

    def features(points: Tensor) -> tuple:
        # Normals outward from the shape's own middle: open3d's depend on the axes and would differ on a turned copy.
        coarse = to_open3d(estimate_normals(voxel_downsample(PointCloud(points), voxel)))
        return coarse, registration.compute_fpfh_feature(coarse, o3d.geometry.KDTreeSearchParamHybrid(5 * voxel, 100))

    (source, source_features), (target, target_features) = features(moving), features(fixed)
    o3d.utility.random.seed(seed)
    checks = [
        registration.CorrespondenceCheckerBasedOnEdgeLength(0.9),
        registration.CorrespondenceCheckerBasedOnDistance(1.5 * voxel),
    ]
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        found = registration.registration_ransac_based_on_feature_matching(
            source,
            target,
            source_features,
            target_features,
            True,  # keep mutual nearest features only
            1.5 * voxel,
            registration.TransformationEstimationPointToPoint(False),
            4,  # pairs a hypothesis
            checks,
            registration.RANSACConvergenceCriteria(100_000, 0.999),
        )
    matrix = torch.from_numpy(found.transformation.copy())
    return RigidMotion(matrix[:3, :3], matrix[:3, 3], found.inlier_rmse, found.fitness, 0)
