"""Closed forms of the cotangent ops, the Python face's refusals, batches, and derivatives beyond the first."""

import math

import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError


def test_right_isosceles_triangle():
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]], dtype=torch.float64)
    cotangents, areas = ops.cotangent(vertices, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(cotangents, torch.tensor([[0.0, 1, 1]], dtype=torch.float64))
    assert areas.item() == pytest.approx(2)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_cotangents_know_angles_only(scale):
    angles = torch.tensor([0.3, 1.1, math.pi - 1.4], dtype=torch.float64)
    b = math.sin(angles[1]) / math.sin(angles[2])
    apex = torch.tensor([b * math.cos(angles[0]), b * math.sin(angles[0]), 0.0])
    vertices = scale * torch.stack([torch.zeros(3), torch.tensor([1.0, 0, 0]), apex]).double()
    cotangents, areas = ops.cotangent(vertices, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(cotangents[0], 1 / torch.tan(angles), rtol=1e-6, atol=1e-6)
    assert areas.item() == pytest.approx(scale**2 * 0.5 * b * math.sin(angles[0]), rel=1e-6)


def test_unit_square_gives_the_five_point_stencil():
    n = 6
    x, y = torch.meshgrid(torch.arange(n, dtype=torch.float64), torch.arange(n, dtype=torch.float64), indexing="ij")
    vertices = torch.stack([x.reshape(-1), y.reshape(-1), torch.zeros(n * n, dtype=torch.float64)], dim=1)
    corner = (torch.arange(n - 1)[:, None] * n + torch.arange(n - 1)).reshape(-1)
    faces = torch.cat([torch.stack([corner, corner + n, corner + n + 1], 1), torch.stack([corner, corner + n + 1, corner + 1], 1)])
    adjacency = ops.mesh_adjacency(faces, n * n)
    values, mass = ops.assemble_stiffness(*ops.cotangent(vertices, faces), faces, adjacency)
    rows = torch.repeat_interleave(torch.arange(n * n), adjacency.crow.diff())
    dense = torch.zeros(n * n, n * n, dtype=torch.float64).index_put((rows, adjacency.col), values)
    middle = 2 * n + 3
    expected = torch.zeros(n * n, dtype=torch.float64)
    expected[middle] = 4
    expected[[middle - 1, middle + 1, middle - n, middle + n]] = -1
    torch.testing.assert_close(dense[middle], expected)
    assert torch.equal(dense, dense.T)
    assert dense.sum(dim=1).abs().max() < 1e-14
    assert mass.sum().item() == pytest.approx((n - 1) ** 2)


def test_vertex_of_huge_valence():
    """An umbrella of 5000 triangles: the apex's row is sorted, complete, and sums to zero."""
    n = 5000
    angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    rim = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=1)
    vertices = torch.cat([torch.tensor([[0.0, 0, 1]], dtype=torch.float64), rim])
    ring = torch.arange(n)
    faces = torch.stack([torch.zeros(n, dtype=torch.int64), ring + 1, (ring + 1) % n + 1], dim=1)
    adjacency = ops.mesh_adjacency(faces, n + 1)
    values, _ = ops.assemble_stiffness(*ops.cotangent(vertices, faces), faces, adjacency)
    assert torch.equal(adjacency.col[: n + 1], torch.arange(n + 1))
    apex = values[: n + 1]
    assert apex.sum().abs() < 1e-9
    torch.testing.assert_close(apex[1:], apex[1].expand(n), rtol=1e-7, atol=0)


def test_gradient_reaches_the_vertices_through_the_assembly():
    vertices = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [3, 4, 5], [5, 6, 7], [0, 2, 6]])
    adjacency = ops.mesh_adjacency(faces, 8)
    assert torch.autograd.gradcheck(lambda v: ops.assemble_stiffness(*ops.cotangent(v, faces), faces, adjacency), (vertices,))


def test_second_derivative():
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    cotangents = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    areas = torch.rand(2, dtype=torch.float64, requires_grad=True)
    adjacency = ops.mesh_adjacency(faces, 4)
    assert torch.autograd.gradgradcheck(lambda c, a: ops.assemble_stiffness(c, a, faces, adjacency), (cotangents, areas))
    vertices = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    first = torch.autograd.grad(ops.cotangent(vertices, faces)[1].pow(2).sum(), vertices, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="differentiable once.*from geospec.ops.cotangent import reference"):
        torch.autograd.grad(first.sum(), vertices)
    from geospec.ops.cotangent import reference

    assert torch.autograd.gradgradcheck(lambda v: reference(v, faces), vertices)


def test_vmap_over_positions():
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    batch = torch.randn(5, 4, 3, dtype=torch.float64)
    cotangents, areas = torch.vmap(lambda v: ops.cotangent(v, faces))(batch)
    for i in range(5):
        one = ops.cotangent(batch[i], faces)
        assert torch.equal(cotangents[i], one[0])
        assert torch.equal(areas[i], one[1])


def test_python_face_names_what_is_wrong():
    vertices, faces = torch.rand(4, 3), torch.tensor([[0, 1, 2]])
    with pytest.raises(ArgumentError, match="vertices: wanted a torch tensor, got list"):
        ops.cotangent([[0.0, 0, 0]], faces)
    with pytest.raises(ArgumentError, match="faces: wanted int64 indices, got torch.int32"):
        ops.cotangent(vertices, faces.int())
    with pytest.raises(ArgumentError, match="adjacency: wanted the result of mesh_adjacency"):
        ops.assemble_stiffness(*ops.cotangent(vertices, faces), faces, None)


def test_python_face_refuses_two_devices():
    vertices, faces = torch.rand(4, 3), torch.tensor([[0, 1, 2]])
    with pytest.raises(ArgumentError, match="faces: wanted the device of vertices, cpu, got meta; move it"):
        ops.cotangent(vertices, faces.to("meta"))
    cotangents, areas = ops.cotangent(vertices, faces)
    adjacency = ops.mesh_adjacency(faces, 4)
    elsewhere = ops.Adjacency(*(part.to("meta") for part in adjacency))
    for name, given in {
        "areas": (areas.to("meta"), faces, adjacency),
        "faces": (areas, faces.to("meta"), adjacency),
        "adjacency": (areas, faces, elsewhere),
    }.items():
        with pytest.raises(ArgumentError, match=f"{name}: wanted the device of cotangents"):
            ops.assemble_stiffness(cotangents, *given)
