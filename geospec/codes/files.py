"""Code files (.gsc), provisional."""

from __future__ import annotations

import json
import os
import zlib

import numpy as np
import torch

from ..bases.wavelet import TreeCode, WaveletTree
from ..errors import FileFormatError, problem
from ..shapes.grid import Grid
from ..writing import written_aside
from .shape_code import ShapeCode

MAGIC = b"\x89GSC\r\n\x1a\n"


def write(code: ShapeCode, path: str | os.PathLike[str], preset: str) -> None:
    tree, trees, grid = code.tree, code.code, code.grid
    header = {"wavelet": tree.wavelet, "levels": tree.levels, "mode": tree.mode, "shape": grid.shape, "lower": grid.lower}
    header |= {"spacing": grid.spacing, "truncation": code.truncation, "k": code.k}
    head = json.dumps(header).encode()
    arrays = [trees.coarse.cpu().float().numpy(), trees.index.cpu().int().numpy(), trees.values.cpu().float().numpy()]
    with written_aside(path) as aside, open(aside, "wb") as file:
        file.write(MAGIC + len(head).to_bytes(4, "little") + head)
        file.write(zlib.compress(b"".join(a.tobytes() for a in arrays), 1))


def read(path: str | os.PathLike[str]) -> ShapeCode:
    with open(path, "rb") as file:
        if file.read(8) != MAGIC:
            raise FileFormatError(problem(str(path), "a shape code (.gsc)", "another kind of file"))
        head = json.loads(file.read(int.from_bytes(file.read(4), "little")))
        data = zlib.decompress(file.read())
    tree = WaveletTree(head["shape"], head["levels"], head["wavelet"], head["mode"])
    cells, k = tree.shapes[-1], head["k"]
    n = int(np.prod(cells))
    coarse = torch.from_numpy(np.frombuffer(data, "<f4", n).copy()).reshape(1, *cells)
    index = torch.from_numpy(np.frombuffer(data, "<i4", k, 4 * n).astype("int64"))
    values = torch.from_numpy(np.frombuffer(data, "<f4", -1, 4 * (n + k)).copy()).reshape(k, -1)
    grid = Grid(tuple(head["shape"]), tuple(head["lower"]), tuple(head["spacing"]))
    return ShapeCode(tree, TreeCode(coarse, index, values, torch.tensor([0, k])), grid, head["truncation"])
