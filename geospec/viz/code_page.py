"""The report of a shape code: the input beside what its code gives back, level by level, with the distance between the two."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..codes import ShapeCode, field_in_box, inside_iou
from ..shapes.cloud import PointCloud
from ..shapes.grid import DistanceField
from ..shapes.mesh import Mesh
from .camera import View
from .render import positions
from .shape_page import shape_report

UNIT = "thousandths of half the box"


def code_report(
    shape: Mesh | PointCloud | DistanceField,
    code: ShapeCode,
    path: str | os.PathLike[str],
    *,
    levels: int = 2,
    title: str = "",
    view: View | None = None,
) -> Path:
    """Write an interactive page: the input, the decoded surface, and its ``levels`` next coarser levels of detail, with linked cameras.

    Colours show how far each vertex is from the other surface, in thousandths of half the box: those of the decoded surfaces from
    the input, those of the input from the finest decoded surface. Distances are read between the cells of the code's grid, which is
    exact to some thousandths of a cell where a surface is smooth and to a tenth of one at its edges.

    Parameters
    ----------
    shape : what was encoded, in the same place. A cloud needs normals; of a field its surface is shown.
    code : its code.
    levels : how many coarser levels are shown, at most those that the code has.
    view : of all surfaces; by default one that suits the input.

    Returns the path.
    """
    if isinstance(shape, DistanceField):
        truth, shape = shape, shape.surface()
    else:
        truth = field_in_box(shape, code.grid, truncation=code.truncation / code.scale)
    view = view or View.automatic(positions(shape))
    decoded = code.field()
    shown: dict[str, Mesh | PointCloud] = {"input": shape}
    distances = {"input": _at(decoded, shape.points)}
    for level in range(min(levels, code.tree.levels) + 1):
        name = f"level {level}" if level else "decoded"
        surface = code.decode(level)
        shown[name] = surface
        distances[name] = _at(truth, surface.vertices)
    thousandths = {name: (1000 / code.scale * d.abs()).numpy() for name, d in distances.items()}
    iou: float | None = inside_iou(truth.values, decoded.values)
    numbers: dict[str, Any] = {
        "cells": list(code.grid.shape),
        "trees": code.k,
        "numbers kept": code.n_numbers,
        "IoU of the insides": "neither has any" if iou is None else iou,
        "mean distance of vertices, thousandths of half the box": {
            name: float(d.mean()) if len(d) else 0.0 for name, d in thousandths.items()
        },
    }
    fields = {"distance to the other surface, thousandths of half the box": thousandths}
    return shape_report(shown, path, fields=fields, numbers=numbers, title=title or "A shape and its code", view=view)


def _at(field: DistanceField, points: Tensor) -> Tensor:
    """Distances at points ``(n, 3)``, linear between the centres of cells, on the CPU in float64."""
    place = (field.grid.to_index(points.detach().double()) + 0.5) / points.new_tensor(field.grid.shape[::-1], dtype=torch.float64)
    sample = (2 * place - 1)[None, None, None]
    values = field.values.detach().double()[None, None]
    return torch.nn.functional.grid_sample(values, sample, padding_mode="border", align_corners=False)[0, 0, 0, 0].cpu()
