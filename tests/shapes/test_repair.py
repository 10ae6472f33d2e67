"""Each step does what it says and nothing else, and the way back leads to the file's vertices."""

import pytest
import torch
from shapes.solids import cube, disk, join, mesh, moebius, sphere, tetrahedron, torus

from geospec.errors import ArgumentError, ShapeError
from geospec.shapes import (
    REPAIR_STEPS,
    Mesh,
    PointCloud,
    VertexMap,
    load,
    point_map_from_file,
    point_map_to_file,
    repair,
    report,
    values_to_file,
)

SOUP = mesh(
    [[9, 9, 9], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [2, 0, 0]],
    [[1, 2, 3], [5, 6, 4], [3, 1, 2], [1, 2, 7], [6, 6, 2]],
)


def check_way_back(repaired, original):
    """Coordinates agree both ways, and what is dropped is marked."""
    way_back = repaired.vertex_map
    assert torch.equal(repaired.vertices, original.vertices[way_back.to_file])
    kept = way_back.from_file >= 0
    assert torch.equal(repaired.vertices[way_back.from_file[kept]], original.vertices[kept])
    assert torch.equal(way_back.from_file[way_back.to_file], torch.arange(repaired.n_points))


def test_duplicate_vertices():
    joined = repair(SOUP, ["duplicate-vertices"])
    assert joined.vertex_map.to_file.tolist() == [0, 1, 2, 3, 6, 7]
    assert joined.vertex_map.from_file.tolist() == [0, 1, 2, 3, 3, 2, 4, 5]
    assert joined.faces.tolist() == [[1, 2, 3], [2, 4, 3], [3, 1, 2], [1, 2, 5], [4, 4, 2]]
    check_way_back(joined, SOUP)


def test_faces():
    assert repair(SOUP, ["degenerate-faces"]).faces.tolist() == [[1, 2, 3], [5, 6, 4], [3, 1, 2]]
    assert repair(SOUP, ["duplicate-faces"]).faces.tolist() == [[1, 2, 3], [5, 6, 4], [1, 2, 7], [6, 6, 2]]
    assert repair(SOUP, ["degenerate-faces"]).vertex_map is None


def test_unreferenced_and_composition():
    steps = ["duplicate-vertices", "degenerate-faces", "duplicate-faces", "unreferenced"]
    clean = repair(SOUP, steps)
    assert clean.faces.tolist() == [[0, 1, 2], [1, 3, 2]]
    assert clean.vertex_map.to_file.tolist() == [1, 2, 3, 6]
    assert clean.vertex_map.from_file.tolist() == [-1, 0, 1, 2, 2, 1, 3, -1]
    check_way_back(clean, SOUP)
    one_by_one = SOUP
    for step in steps:
        one_by_one = repair(one_by_one, [step])
    assert torch.equal(one_by_one.vertex_map.from_file, clean.vertex_map.from_file)
    assert report(clean).problems == []


def test_largest_component_is_the_one_of_largest_area():
    both = join(sphere(1), mesh(10 * cube().vertices, cube().faces))
    largest = repair(both, ["largest-component"])
    assert (largest.n_points, len(largest.faces)) == (8, 12)
    check_way_back(largest, both)
    assert report(largest).area == pytest.approx(600)


@pytest.mark.parametrize("shape", [cube(), torus(), join(cube(), tetrahedron((5, 5, 5)), disk())], ids=["cube", "torus", "three"])
def test_orientation_is_recovered(shape):
    turned = torch.rand(len(shape.faces)) < 0.4
    mixed = Mesh(shape.vertices, torch.where(turned[:, None], shape.faces[:, [0, 2, 1]], shape.faces))
    assert len(report(mixed).inconsistent_edges) > 0
    back = repair(mixed, ["orientation"])
    assert torch.equal(back.faces, shape.faces)


def test_an_open_patch_stays_as_its_larger_part_stood():
    for turned in ([0], [0, 5, 9], [23]):
        mixed = Mesh(disk().vertices, disk().faces.clone())
        mixed.faces[turned] = mixed.faces[turned][:, [0, 2, 1]]
        assert torch.equal(repair(mixed, ["orientation"]).faces, disk().faces)


def test_closed_bodies_turn_outward_and_moebius_stays():
    inward = Mesh(cube().vertices, cube().faces.flip(1))
    assert report(repair(inward, ["orientation"])).volume == pytest.approx(1)
    strip = moebius()
    assert len(report(repair(strip, ["orientation"])).inconsistent_edges) > 0


def test_refusals():
    for steps, message in [(["tidy"], "'duplicate-vertices', 'degenerate-faces'"), ("orientation", r"write \('orientation',\)")]:
        with pytest.raises(ArgumentError, match=message):
            repair(SOUP, steps)
    with pytest.raises(ArgumentError, match="a Mesh, got PointCloud"):
        repair(PointCloud(torch.rand(3, 3)), [])


def test_every_step_runs_on_nothing():
    for shape in (mesh([], []), mesh([[0, 0, 0]], [])):
        assert len(repair(shape, REPAIR_STEPS).faces) == 0


def test_gradients_pass_through():
    vertices = SOUP.vertices.clone().requires_grad_()
    repair(Mesh(vertices, SOUP.faces), ["duplicate-vertices", "unreferenced"]).vertices.sum().backward()
    assert vertices.grad[:, 0].tolist() == [0, 1, 1, 1, 0, 0, 1, 1]


def test_real_scan(shared_data):
    for name in ("hard/truck.obj", "meshes/ogre.obj", "meshes/stanford-bunny.obj"):
        shape = load(shared_data / name)
        clean = repair(shape, REPAIR_STEPS)
        found = report(clean)
        assert (found.components, len(found.unreferenced_vertices), len(found.degenerate_faces), len(found.duplicate_vertices)) == (
            1,
            0,
            0,
            0,
        )
        assert len(found.inconsistent_edges) == 0 or not found.orientable
        check_way_back(clean, shape)


# Vertex maps and point maps.


def test_point_maps_between_shape_and_file_order():
    target = VertexMap(torch.tensor([1, 3]), torch.tensor([-1, 0, 0, 1]))
    source = VertexMap(torch.tensor([4, 0, 2]), torch.tensor([1, -1, 2, -1, 0]))
    in_file = point_map_to_file(torch.tensor([2, -1]), target, source)
    assert in_file.tolist() == [-1, 2, 2, -1]
    assert point_map_to_file(torch.tensor([2, 0]), None, source).tolist() == [2, 4]
    assert point_map_to_file(torch.tensor([2, 0]), target, None).tolist() == [-1, 2, 2, 0]
    assert point_map_from_file(torch.tensor([0, 3, 1, 4]), target, source).tolist() == [-1, 0]
    assert point_map_from_file(torch.tensor([0, 3]), None, None).tolist() == [0, 3]


def test_values_of_dropped_and_of_merged_vertices():
    way = VertexMap(torch.tensor([1, 3]), torch.tensor([-1, 0, 0, 1]))
    values = torch.tensor([[0.5, 5], [0.25, 7]])
    assert values_to_file(values, way).tolist() == [[0, 0], [0.5, 5], [0.5, 5], [0.25, 7]]
    assert torch.equal(values_to_file(values, None), values)


def test_there_and_back_again():
    original = join(torus(), disk())
    target = repair(original, ["largest-component"]).vertex_map
    chosen = torch.randint(len(target.to_file), (len(target.to_file),))
    assert torch.equal(point_map_from_file(point_map_to_file(chosen, target, target), target, target), chosen)


def test_identity_and_refusals():
    step = VertexMap.keeping(torch.tensor([2, 0]), 4)
    assert step.from_file.tolist() == [1, -1, 0, -1]
    assert VertexMap.identity(4).then(step).from_file.tolist() == [1, -1, 0, -1]
    assert step.then(VertexMap.identity(2)).to_file.tolist() == [2, 0]
    for to_file, from_file in [([0, 5], [0, 1]), ([0], [1]), ([-1], [0]), ([[0]], [0]), ([0.0], [0])]:
        with pytest.raises(ShapeError, match="_file"):
            VertexMap(torch.tensor(to_file), torch.tensor(from_file))
