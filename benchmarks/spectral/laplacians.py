"""Stiffness and mass of a shape, cotangent and robust, of meshes and clouds."""

from __future__ import annotations

import numpy as np

from .problems import Problem
from .registry import Family, Verdict, on_host


def judge(problem: Problem, result) -> Verdict:
    """``S g`` for a random ``g``, where one wrong entry shows, and the mass; either sign of ``S`` is right."""
    stiffness, mass = result
    if hasattr(stiffness, "to_scipy"):
        stiffness = stiffness.to_scipy()[0]
    mass = mass.diagonal() if hasattr(mass, "diagonal") and getattr(mass, "ndim", 2) == 2 else on_host(mass)
    sign = np.sign(stiffness.diagonal().sum())
    probe = np.random.default_rng(0).standard_normal(len(mass))
    image = sign * (stiffness @ probe)
    return Verdict(np.concatenate([image / np.linalg.norm(image), mass / np.linalg.norm(mass)]))


COTANGENT = Family("mesh Laplacian, cotangent", "libigl", judge)
ROBUST = Family("mesh Laplacian, robust", "robust_laplacian", judge, on_files=True)
CLOUD = Family("cloud Laplacian", "robust_laplacian", judge, counts=(30,), counted="neighbours")


def _laplacian(kind: str):
    def setup(problem: Problem):
        import geospec

        mesh = geospec.Mesh(problem.tensor("vertices"), problem.tensor("faces"))

        def build():
            operator = geospec.laplacian(mesh, kind)
            return operator, operator.mass

        return build

    return setup


COTANGENT.method("geospec")(_laplacian("cotangent"))
ROBUST.method("geospec")(_laplacian("robust"))


@COTANGENT.method("libigl")
def _igl(problem: Problem):
    import igl

    v, f = problem.vertices, problem.faces
    return lambda: (igl.cotmatrix(v, f), igl.massmatrix(v, f, igl.MASSMATRIX_TYPE_BARYCENTRIC))


@COTANGENT.method("potpourri3d")
def _potpourri(problem: Problem):
    import potpourri3d

    v, f = problem.vertices, problem.faces
    return lambda: (potpourri3d.cotan_laplacian(v, f), potpourri3d.vertex_areas(v, f))


@COTANGENT.method("LaPy")
def _lapy(problem: Problem):
    from lapy import Solver, TriaMesh

    mesh = TriaMesh(problem.vertices, problem.faces)

    def build():
        solver = Solver(mesh, lump=True)
        return solver.stiffness, solver.mass

    return build


@COTANGENT.method("pyFM")
def _pyfm(problem: Problem):
    from pyFM.mesh.laplacian import cotangent_weights, dia_area_mat

    v, f = problem.vertices, problem.faces
    return lambda: (cotangent_weights(v, f), dia_area_mat(v, f))


@ROBUST.method("robust_laplacian")
def _robust(problem: Problem):
    import robust_laplacian

    v, f = problem.vertices, problem.faces
    return lambda: robust_laplacian.mesh_laplacian(v, f)


@ROBUST.method("libigl, intrinsic Delaunay")
def _igl_intrinsic(problem: Problem):
    """Flips only, no mollification and no tufted cover: less than the others do, and for manifold meshes."""
    import igl

    v, f = problem.vertices, problem.faces

    def build():
        matrix, lengths, flipped = igl.intrinsic_delaunay_cotmatrix(v, f)
        return matrix, igl.massmatrix_intrinsic(lengths, flipped, igl.MASSMATRIX_TYPE_BARYCENTRIC)

    return build


@CLOUD.method("geospec")
def _cloud(problem: Problem):
    import geospec

    cloud = geospec.PointCloud(problem.tensor("vertices"))

    def build():
        operator = geospec.laplacian(cloud, n_neighbors=problem.k)
        return operator, operator.mass

    return build


@CLOUD.method("robust_laplacian")
def _robust_cloud(problem: Problem):
    import robust_laplacian

    v = problem.vertices
    return lambda: robust_laplacian.point_cloud_laplacian(v, n_neighbors=problem.k)
