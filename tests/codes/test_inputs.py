"""What may be encoded, told from its file."""

import pytest
import torch

import geospec
from geospec.codes import field_in_box
from geospec.codes.inputs import load_shape_or_field
from geospec.errors import FileFormatError
from geospec.testing import bumpy_sphere


def test_an_npz_is_a_field_or_a_shape_by_its_arrays(tmp_path):
    mesh, path = bumpy_sphere(1), tmp_path / "shape.NPZ"
    field = field_in_box(mesh, 16)
    field.save(path)
    assert torch.equal(load_shape_or_field(path, triangulate=True).values, field.values)
    geospec.save(mesh, path)
    assert torch.equal(load_shape_or_field(path).faces, mesh.faces)
    assert len(load_shape_or_field(path, repair=["unreferenced"]).faces) == len(mesh.faces)
    path.write_bytes(b"PK, and nothing more")
    with pytest.raises(FileFormatError, match="shape.NPZ"):
        load_shape_or_field(path)
    with pytest.raises(FileNotFoundError):
        load_shape_or_field(tmp_path / "absent.npz")
