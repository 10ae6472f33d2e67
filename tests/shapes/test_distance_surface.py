"""From a mesh to distances and back: the surface stands where the mesh stood, in its own units."""

import pytest
import torch
from shapes.solids import sphere

from geospec import Mesh
from geospec.ops.mesh_sdf import mesh_sdf
from geospec.shapes.distance import distance_field
from geospec.shapes.grid import DistanceField, Grid

BOX = torch.tensor([[2.13, -1.07, 10.21], [3.58, 0.88, 10.77]], dtype=torch.float64)  # lower and upper corner


def box_mesh():
    corners = torch.tensor([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
    sides = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]  # counter-clockwise from outside
    faces = torch.tensor([[a, b, c] for w, x, y, z in sides for a, b, c in ((w, x, y), (w, y, z))])
    return Mesh(BOX.gather(0, corners), faces)


@pytest.mark.parametrize("shape", [(15, 21, 33), (16, 33, 20), (31, 14, 14)])
def test_box_comes_back_in_place(shape):
    box = box_mesh()
    grid = Grid.box((1.9, -1.3, 10.0), (4.1, 1.2, 11.0), shape)
    cell = torch.tensor(grid.spacing, dtype=torch.float64)
    truncation = 2.5 * float(cell.max())
    values = mesh_sdf(box.vertices, box.faces, shape, truncation, lower=grid.lower, upper=grid.upper)
    surface = DistanceField(values, grid, truncation).surface()
    assert surface.vertices.dtype == torch.float64
    off = torch.stack([surface.vertices - BOX[0], BOX[1] - surface.vertices])  # from each side, inwards
    assert off.amin(dim=1) == pytest.approx(torch.zeros(2, 3), abs=1e-5)
    nearest = off.amin(dim=0)
    inner = (nearest > cell.max()).sum(dim=1) == 2  # a cell away from the edges of the box, where distances bend
    assert inner.sum() > 100
    assert nearest[inner].amin(dim=1).abs().max() < 1e-5
    a, b, c = surface.vertices[surface.faces].unbind(1)
    volume = float((a * torch.linalg.cross(b, c)).sum() / 6)
    assert volume == pytest.approx(float((BOX[1] - BOX[0]).prod()), rel=0.02)  # positive: faces look outwards


def test_a_far_shape_keeps_its_digits():
    """A sphere a million radii away, from values in float32: the grid's own type holds the places."""
    ball = sphere(3)
    far = Mesh(ball.vertices + 1e6, ball.faces)
    grid = Grid.around(far, 32)
    field = distance_field(far, grid, 0.3)
    field = DistanceField(field.values.float().requires_grad_(), grid, 0.3)
    surface = field.surface()
    assert surface.vertices.dtype == torch.float64
    assert ((surface.vertices - 1e6).norm(dim=1) - 1).abs().max() < 0.02
    surface.vertices.sum().backward()
    assert field.values.grad.abs().sum() > 0
