"""Star-shaped surfaces: a known radius comes back, motions are seen through, and what is not star-shaped is told by how much."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.spatial.transform import Rotation

from geospec import SphericalHarmonics
from geospec.bases import SphericalShape, star_center, star_defect
from geospec.errors import ArgumentError, ShapeError
from geospec.shapes import Mesh, PointCloud
from geospec.testing import bumpy_sphere, disjoint_union, icosphere, torus


def surface(degree=5, level=3, shift=(0.0, 0.0, 0.0), dtype=torch.float64):
    """A mesh whose radius is a known field of the degree, and its coefficients."""
    basis = SphericalHarmonics(degree, dtype=torch.float64)
    c = (
        0.1
        * torch.randn(basis.k, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        / (1 + basis.eigenvalues[:, None]).sqrt()
    )
    c[0] = math.sqrt(4 * math.pi)
    sphere = icosphere(level)
    vertices = basis.synthesize_at(c, sphere.vertices) * sphere.vertices + torch.tensor(shift, dtype=torch.float64)
    return Mesh(vertices.to(dtype), sphere.faces), c[:, 0]


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_a_known_radius_comes_back(dtype, bound):
    mesh, c = surface(shift=(3, 2, 1), dtype=dtype)
    centre = torch.tensor([3.0, 2, 1])
    for shape in (mesh, PointCloud(mesh.vertices)):
        found = SphericalShape.fit(shape, 5, center=centre)
        assert found.coefficients.dtype == dtype
        torch.testing.assert_close(found.coefficients.double(), c, rtol=0, atol=bound)
        assert found.error <= found.largest_error < bound
        assert found.star_defect == (0.0 if shape is mesh else None)
    again = SphericalShape.fit(mesh, 5, center=centre).mesh(3)
    torch.testing.assert_close(again.vertices, mesh.vertices, rtol=0, atol=10 * bound)
    assert torch.equal(again.faces, mesh.faces)


def test_the_error_falls_with_the_degree():
    errors = [SphericalShape.fit(bumpy_sphere(4), degree).error for degree in (2, 6, 12, 20)]
    assert all(later < 0.4 * earlier for earlier, later in pairwise(errors))
    assert errors[-1] < 1e-3


def test_spectrum_of_a_moved_shape():
    mesh = bumpy_sphere(3)
    motion = torch.from_numpy(Rotation.random(random_state=0).as_matrix())
    one = SphericalShape.fit(mesh, 8)
    other = SphericalShape.fit(Mesh(mesh.vertices @ motion.T + 5, mesh.faces), 8)
    torch.testing.assert_close(other.center, motion @ one.center + 5)
    torch.testing.assert_close(other.power_spectrum(), one.power_spectrum(), rtol=0, atol=1e-9)
    basis = SphericalHarmonics(8, dtype=torch.float64)
    torch.testing.assert_close(basis.rotate(one.coefficients[:, None], motion)[:, 0], other.coefficients, rtol=0, atol=1e-9)


def test_smoothness_allows_few_points():
    mesh = bumpy_sphere(1)
    with pytest.raises(ArgumentError, match="at least as many as modes"):
        SphericalShape.fit(mesh, 8)
    found = SphericalShape.fit(mesh, 8, smoothness=1e-6)
    assert found.error < 0.02
    assert found.mesh(3).area > 0


def cut(mesh):
    """Without the faces of one cap, of a known solid angle."""
    return Mesh(mesh.vertices, mesh.faces[mesh.vertices[mesh.faces, 2].amax(dim=1) < 0.9])


def test_defects_in_closed_form():
    ball, origin = icosphere(3), torch.zeros(3)
    assert star_defect(ball, origin) == 0
    assert star_defect(ball, torch.tensor([0.9, 0, 0])) == 0
    behind = (1 - math.sqrt(3) / 2) / 2  # the cap that a ball fills from two radii away
    assert star_defect(ball, torch.tensor([2.0, 0, 0])) == pytest.approx(behind + 1, abs=2e-3)
    assert star_defect(Mesh(ball.vertices, ball.faces.flip(1)), origin) == pytest.approx(1 + 2)
    assert star_defect(cut(ball), origin) == pytest.approx(0.05, abs=0.03)
    twice = disjoint_union(ball, Mesh(2 * ball.vertices, ball.faces))
    assert star_defect(twice, origin) == pytest.approx(1)


def test_the_deepest_point():
    """Of a ball its centre; of a torus none, and the depth says by how much."""
    centre, depth = star_center(Mesh(icosphere(2).vertices + 4, icosphere(2).faces))
    assert (centre - 4).abs().max() < 0.05
    assert depth == pytest.approx(0.97, abs=0.03)
    assert star_center(torus(40, 20))[1] == pytest.approx(-0.6, abs=0.02)  # in the middle of the hole, off its walls


def bent(mesh):
    """A crescent: star-shaped, though not from its centroid."""
    x, y, z = mesh.vertices.unbind(dim=1)
    return Mesh(torch.stack([x, 0.25 * y + 0.75 * x**2, 0.25 * z], dim=1), mesh.faces)


def test_the_centre_moves_where_the_centroid_does_not_see_all():
    mesh = bent(icosphere(4))
    centroid = (mesh.face_areas[:, None] * mesh.vertices[mesh.faces].mean(dim=1)).sum(dim=0) / mesh.area
    assert star_defect(mesh, centroid) > 0
    found = SphericalShape.fit(mesh, 4)
    assert found.star_defect == 0
    torch.testing.assert_close(found.center, star_center(mesh)[0])


def test_what_is_not_star_shaped_is_refused_unless_accepted():
    ring = torus()
    with pytest.raises(
        ShapeError, match=r"shape: wanted a mesh star-shaped about any point, with a defect of at most 0, got a defect of \d"
    ):
        SphericalShape.fit(ring, 3)
    with pytest.raises(ShapeError, match="star-shaped about center"):
        SphericalShape.fit(icosphere(2), 3, center=torch.tensor([2.0, 0, 0]))
    open_mesh = cut(icosphere(4))
    found = SphericalShape.fit(open_mesh, 6, smoothness=1e-6, largest_defect=0.1)
    assert 0 < found.star_defect < 0.1
    assert (found.radius(torch.eye(3, dtype=torch.float64)) - 1).abs().max() < 1e-2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SphericalShape.fit(icosphere(1).vertices, 2), "shape: wanted a Mesh or a PointCloud"),
        (lambda: SphericalShape.fit(icosphere(1), -1), "degree"),
        (lambda: SphericalShape.fit(icosphere(1), 2, center=torch.zeros(2)), "center: wanted three finite coordinates"),
        (
            lambda: SphericalShape.fit(PointCloud(torch.cat([icosphere(1).vertices, torch.zeros(1, 3)])), 2, center=torch.zeros(3)),
            "off the surface",
        ),
        (lambda: SphericalShape.fit(Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])), 2), "a mesh with an area"),
        (lambda: star_center(Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]))), "faces whose planes bound a depth"),
        (lambda: star_center(Mesh(torch.eye(3), torch.zeros(0, 3).long())), "no face of positive area"),
    ],
)
def test_what_cannot_be_fitted(call, message):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        call()


def test_a_radius_below_zero_has_no_mesh():
    shape = SphericalShape(torch.tensor([0.1, 3, 0, 0]), torch.zeros(3), 0.0, 0.0, None)
    with pytest.raises(ShapeError, match="a positive radius in all directions"):
        shape.mesh(2)
