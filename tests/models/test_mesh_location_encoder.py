"""Intrinsic neural fields: they know the surface and not the space that it lies in."""

import math

import pytest
import torch

from geospec import LaplaceBasis, Mesh, MeshLocationEncoder, load
from geospec.bases import SampledBasis
from geospec.errors import ArgumentError, FileFormatError
from geospec.nn.siren import NETWORKS
from geospec.ops import spherical_harmonics
from geospec.shapes import sample_surface
from geospec.testing import icosphere, permuted
from geospec.testing.shapes import bumpy_sphere, grid


@pytest.fixture(scope="module")
def mesh():
    return bumpy_sphere(2)


@pytest.fixture(scope="module")
def basis(mesh):
    return LaplaceBasis.fit(mesh, 20)


def small(basis, mesh, network="siren", outputs=2, **options):
    return MeshLocationEncoder(basis, mesh.faces, network, outputs, hidden=8, **options).double().eval()


def least_squares(features, values):
    """What a linear layer on the features can say at best."""
    columns = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
    return columns @ torch.linalg.lstsq(columns, values, driver="gelsd").solution


def test_at_a_corner_it_is_the_vertex_and_between_corners_linear(mesh, basis):
    model = small(basis, mesh)
    face = torch.arange(len(mesh.faces))
    scale = (mesh.area / (4 * math.pi)).sqrt()
    for i, corner in enumerate(torch.eye(3, dtype=torch.float64)):
        features = model.features(face, corner.expand(len(face), 3))
        torch.testing.assert_close(features, scale * basis.modes[mesh.faces[:, i]])
        torch.testing.assert_close(model(face, corner.expand(len(face), 3)), model.at_vertices()[mesh.faces[:, i]])
    sample = sample_surface(mesh, 50)
    torch.testing.assert_close(model.features(sample.face, sample.barycentric), scale * sample.interpolate(basis.modes))
    torch.testing.assert_close(model.at_sample(sample), model.network(model.features(sample.face, sample.barycentric)))


def test_on_the_sphere_features_are_spherical_harmonics_whatever_the_radius():
    """Each degree's eigenspace is that of the harmonics, so sums of squares over it are ``(2 l + 1) / 4 pi``."""
    for radius in (1.0, 7.0):
        mesh = icosphere(4, radius=radius)
        model = small(LaplaceBasis.fit(mesh, 16), mesh)
        sample = sample_surface(mesh, 200)
        features = model.features(sample.face, sample.barycentric)
        harmonics = spherical_harmonics(sample.cloud.points, 3, normalize=True)
        for l in range(4):  # noqa: E741
            degree = slice(l * l, (l + 1) ** 2)
            inner = features[:, degree] @ features[:, degree].T
            torch.testing.assert_close(inner, harmonics[:, degree] @ harmonics[:, degree].T, rtol=0, atol=0.02)


def test_damping_divides_by_the_roots_of_the_eigenvalues():
    mesh = icosphere(4, radius=3.0)
    basis = LaplaceBasis.fit(mesh, 9)
    face, corner = torch.arange(30), torch.eye(3, dtype=torch.float64)[0].expand(30, 3)
    ratio = small(basis, mesh, damped=True).features(face, corner) / small(basis, mesh).features(face, corner)
    wanted = torch.tensor([1.0, *[3.0] * 3, *[7.0] * 5], dtype=torch.float64).rsqrt()  # 1 + l (l + 1) on the unit sphere
    torch.testing.assert_close(ratio, wanted.expand(30, 9), rtol=0.01, atol=0)


def folded_strip(n=24):
    """The strip ``[-1, 1] x [0, 1]`` folded flat along ``x = 0``: both halves lie in the same places."""
    flat = grid(2 * n + 1, n + 1, width=2.0, height=1.0)
    along = flat.vertices[:, 0] - 1
    return Mesh(torch.stack([along.abs(), flat.vertices[:, 1], torch.zeros_like(along)], dim=1), flat.faces), along


def test_sheets_that_lie_on_each_other_are_told_apart():
    """The first mode of the strip is ``sin(pi x / 2)``, odd over the fold. Any function of the place in space is even there: at best it is
    off by the whole of ``sin(pi x / 2)``, whose root mean square is ``sqrt(1 / 2)``. A linear layer on four modes has it exactly."""
    mesh, along = folded_strip()
    model = small(LaplaceBasis.fit(mesh, 4, kind="cotangent"), mesh, "linear", 1)
    sample = sample_surface(mesh, 2000)
    along = sample.interpolate(along)
    target = torch.sin(math.pi / 2 * along)[:, None]
    intrinsic = least_squares(model.features(sample.face, sample.barycentric), target) - target
    assert intrinsic.square().mean().sqrt() < 5e-4
    x, y, _ = sample.cloud.points.unbind(dim=1)
    in_space = torch.stack([torch.cos(math.pi * (i * x + j * y)) for i in range(6) for j in range(6)], dim=1)
    extrinsic = least_squares(in_space, target) - target
    assert extrinsic.square().mean().sqrt() == pytest.approx(math.sqrt(0.5), abs=0.02)


def test_a_rigid_motion_and_another_unit_change_nothing(mesh):
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    moved = Mesh(10 * mesh.vertices @ turn.T + 5, mesh.faces)
    torch.manual_seed(1)
    here = small(LaplaceBasis.fit(mesh, 20), mesh, w0_first=1.0, damped=True)
    torch.manual_seed(1)
    there = small(LaplaceBasis.fit(moved, 20), moved, w0_first=1.0, damped=True)
    torch.testing.assert_close(there.at_vertices(), here.at_vertices(), rtol=0, atol=1e-6)


def test_renamed_vertices_change_nothing(mesh, basis):
    other, order = permuted(mesh)
    torch.manual_seed(1)
    here = small(basis, mesh)
    torch.manual_seed(1)
    there = small(SampledBasis(basis.modes[order], basis.measure[order], basis.eigenvalues), other)
    torch.testing.assert_close(there.at_vertices(), here.at_vertices()[order])


@pytest.mark.parametrize("network", NETWORKS)
def test_files(mesh, basis, tmp_path, network):
    for dtype in (torch.float32, torch.float64):
        model = MeshLocationEncoder(basis, mesh.faces, network, 2, modes=7, damped=True, layers=3).to(dtype).eval()
        assert model.network.first.in_features == 7
        model.save(tmp_path / "model.safetensors", metrics={"loss": 0.5})
        again = MeshLocationEncoder.load(tmp_path / "model.safetensors")
        assert again.at_vertices().dtype == dtype
        torch.testing.assert_close(again.at_vertices(), model.at_vertices(), rtol=0, atol=0)


def test_files_of_another_kind(mesh, basis, tmp_path):
    basis.save(tmp_path / "basis.safetensors")
    with pytest.raises(FileFormatError):
        MeshLocationEncoder.load(tmp_path / "basis.safetensors")


def test_it_computes_in_the_type_of_its_weights_and_takes_no_points(mesh, basis):
    model = MeshLocationEncoder(basis, mesh.faces, "siren", 2)
    sample = sample_surface(mesh, 10)
    assert model.at_sample(sample).dtype == torch.float32
    assert model(sample.face[:0], sample.barycentric[:0]).shape == (0, 2)
    assert model(sample.face.reshape(2, 5), sample.barycentric.reshape(2, 5, 3)).shape == (2, 5, 2)


def test_gradients_in_the_barycentric_coordinates(mesh, basis):
    model = small(basis, mesh, w0_first=2.0)
    sample = sample_surface(mesh, 4)
    shift = torch.tensor([1.0, -0.4, -0.6], dtype=torch.float64)  # stays in the plane of the face
    t = torch.zeros(4, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: model(sample.face, sample.barycentric + t * shift), t)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b, f: {"basis": b.modes}, "basis: wanted one that holds its modes, .*, got Tensor"),
        (lambda b, f: {"basis": SampledBasis(b.modes, b.measure), "damped": True}, "basis: wanted one with eigenvalues"),
        (lambda b, f: {"modes": 21}, "modes: wanted between 1 and the 20 modes at hand, got 21"),
        (lambda b, f: {"faces": f + 1000}, r"faces: wanted indices in \[0, "),
        (lambda b, f: {"faces": f.int()}, "faces: wanted int64"),
        (lambda b, f: {"network": "mlp"}, "network: wanted one of"),
        (lambda b, f: {"outputs": 0}, "outputs: wanted a positive integer"),
    ],
)
def test_what_is_refused(mesh, basis, change, message):
    arguments = {"basis": basis, "faces": mesh.faces, "network": "siren", "outputs": 2, **change(basis, mesh.faces)}
    with pytest.raises(ArgumentError, match=message):
        MeshLocationEncoder(**arguments)


def test_points_that_are_refused(mesh, basis):
    model = small(basis, mesh)
    middle = torch.full((3,), 1 / 3, dtype=torch.float64)
    with pytest.raises(ArgumentError, match=r"face: wanted indices in \[0, "):
        model(torch.tensor([-1]), middle[None])
    with pytest.raises(ArgumentError, match="face, barycentric: wanted int64 of shape"):
        model(torch.tensor([1]), middle)
    with pytest.raises(ArgumentError, match="face, barycentric: wanted int64 of shape"):
        model(torch.tensor([1.0]), middle[None])
    with pytest.raises(ArgumentError, match="barycentric: wanted weights that sum to 1"):
        model(torch.tensor([1]), 2 * middle[None])


def test_it_learns_a_pattern_on_a_real_mesh(shared_data):
    """Stripes around the long axis of a cow, at places between the vertices, learned in seconds from others."""
    mesh = load(shared_data / "meshes" / "cow.obj", dtype=torch.float32)
    model = MeshLocationEncoder(LaplaceBasis.fit(mesh, 64), mesh.faces, "siren", 1, layers=1)
    seen, unseen = sample_surface(mesh, 2000, seed=0), sample_surface(mesh, 1000, seed=1)
    length = float((mesh.vertices.amax(dim=0) - mesh.vertices.amin(dim=0)).max())

    def stripes(sample):
        return torch.sin(12 / length * sample.cloud.points[:, :1])

    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(150):
        optimiser.zero_grad()
        (model.at_sample(seen) - stripes(seen)).square().mean().backward()
        optimiser.step()
    error = (model.at_sample(unseen) - stripes(unseen)).square().mean() / stripes(unseen).var()
    assert error < 0.01
