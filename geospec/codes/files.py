"""Code files (.gsc): what their header says, and which coefficients their chunks hold."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import torch

from ..bases.wavelet import TreeCode, WaveletTree
from ..errors import ArgumentError, GeospecError, one_of, problem
from ..shapes.grid import Grid
from ..writing import written_aside
from .coding import Coefficients, Quantiser, Stream, decoded, decoded_exactly, encoded, encoded_exactly
from .container import Reader, Writer
from .measures import compared
from .shape_code import ShapeCode

#: Steps that the lossy presets round to, in halves of the box's longest side: next to the surface, one coarse cell farther, and beyond.
PRESETS: dict[str, tuple[float, float, float] | None] = {
    "lossless": None,
    "near-lossless": (2.0**-12, 2.0**-9, 2.0**-8),
    "compact": (2.0**-10, 2.0**-7, 2.0**-6),
    "tiny": (2.0**-8, 2.0**-5, 2.0**-4),
}
#: No grid of a file has more cells, so that a header cannot ask its reader for more memory than there is.
MOST_CELLS = 1 << 30
#: No length or step of a file is larger, or smaller than its inverse, so that nothing overflows.
LARGEST = 2.0**80
_TYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Loss:
    """What a preset does to the decoded field.

    Parameters
    ----------
    field : largest error of a distance, in the shape's units.
    surface : largest error within two cells of the surface.
    iou : of the insides before and after; ``None`` where neither has any. ``"lossless"`` changes nothing and so measures nothing.
    """

    field: float = 0.0
    surface: float = 0.0
    iou: float | None = 1.0


def write(code: ShapeCode, target: str | os.PathLike[str] | BinaryIO, preset: str) -> Loss:
    """Write a code to a file, aside and renamed, or to a binary stream; see :meth:`ShapeCode.save`."""
    one_of("preset", preset, tuple(PRESETS))
    _check(_description(code), lambda entry, wanted, got: ArgumentError(problem(entry, wanted, got, "no file can hold it")))
    code, steps, exact = code.to("cpu"), PRESETS[preset], _coefficients(code)
    if steps is None:
        kept, loss, streams, rounding = code, Loss(), encoded_exactly(exact), {}
    else:
        numbers = Quantiser(steps).rounded(exact)
        kept = replace(code, code=_tree_code(Quantiser(steps).restored(numbers), code.code.coarse.dtype))
        largest = int(np.abs(numbers.coarse).max(initial=0))
        saturated = round(min(code.saturation / steps[0], largest))
        loss, streams, rounding = _loss(code, kept), encoded(numbers, saturated), {"steps": steps, "saturated": saturated}
    header = {**_description(kept), "preset": preset, **rounding, "loss": asdict(loss)}
    if isinstance(target, (str, os.PathLike)):
        with written_aside(target) as aside, open(aside, "wb") as stream:
            _put(stream, header, streams)
    else:
        _put(target, header, streams)
    return loss


def read(source: str | os.PathLike[str] | BinaryIO, level: int) -> ShapeCode:
    """Read a code from a file or a binary stream, without the details that ``level`` does not need; see :meth:`ShapeCode.load`."""
    if not isinstance(source, (str, os.PathLike)):
        return _taken(Reader(source, str(getattr(source, "name", "stream"))), level)
    with open(source, "rb") as stream:
        return _taken(Reader(stream, os.fspath(source)), level, alone=True)


def read_header(source: str | os.PathLike[str]) -> dict[str, Any]:
    """What the header of a file says, checked; no chunk is read.

    Raises
    ------
    FileFormatError : as :meth:`ShapeCode.load`. FileNotFoundError : no such file.
    """
    with open(source, "rb") as stream:
        return _checked(Reader(stream, os.fspath(source)))


def _put(stream: BinaryIO, header: dict[str, Any], streams: Iterable[Stream]) -> None:
    writer = Writer(stream, header)
    for kind, level, content in streams:
        writer.chunk(kind, level, content)


def _taken(reader: Reader, level: int, *, alone: bool = False) -> ShapeCode:
    """The code of a file, after whose last chunk nothing may follow where it stands ``alone``."""
    said = _checked(reader)
    names = said["shape"], said["levels"], said["wavelet"], said["mode"]
    try:
        tree = WaveletTree(*names, drop_finest=said["drop_finest"])
        grid = Grid(tuple(said["shape"]), tuple(said["lower"]), tuple(said["spacing"]), _TYPES[said["dtype"]])
    except GeospecError as cause:
        raise reader.error("a transform and a grid that there are", str(cause)) from cause
    if not 0 <= level <= tree.levels:
        raise ArgumentError(problem("level", f"0 to {tree.levels}", level))
    levels = min(len(tree.widths), tree.levels - level)
    if any(math.prod(sizes) > MOST_CELLS for sizes in tree.shapes):
        raise reader.error(f"at most {MOST_CELLS} coefficients a level", f"levels of {tree.shapes}")
    try:
        if "steps" in said:
            numbers = decoded(reader.chunk, tree.cells, levels, said["saturated"])
            found = Quantiser(tuple(said["steps"])).restored(numbers)
        else:
            found = decoded_exactly(reader.chunk, tree.cells, tree.widths[:levels], np.dtype(said["coefficients"]))
    except ArgumentError as cause:
        raise reader.error("sound numbers", str(cause), "the file is damaged") from cause
    if levels and len(found.cells) != said["trees"]:
        raise reader.error(f"the {said['trees']} trees of its header", f"{len(found.cells)}", "the file is damaged")
    if alone and levels == len(tree.widths):
        reader.end()
    if levels < len(tree.widths):
        tree = WaveletTree(*names, drop_finest=tree.levels - max(levels, 1))
    return ShapeCode(tree, _tree_code(found, _TYPES[said["coefficients"]]), grid, float(said["truncation"]))


def _description(code: ShapeCode) -> dict[str, Any]:
    """What a header says of a code, but for how its numbers are rounded."""
    tree, grid = code.tree, code.grid
    return {
        **{"shape": grid.shape, "lower": grid.lower, "spacing": grid.spacing, "dtype": str(grid.dtype)[6:]},
        **{"truncation": float(code.truncation), "wavelet": tree.wavelet, "mode": tree.mode, "levels": tree.levels},
        **{"drop_finest": tree.drop_finest, "coefficients": str(code.code.coarse.dtype)[6:], "trees": code.k},
    }


def _checked(reader: Reader) -> dict[str, Any]:
    """The header, of which each entry has been looked at."""
    said = reader.header
    if not isinstance(said, dict):
        raise reader.error("a header of names and values", f"{said!r:.100}")
    _check(said, lambda entry, wanted, got: reader.error(f"{entry}: {wanted}", got))
    return said


def _check(said: dict[str, Any], error: Callable[[str, str, str], GeospecError]) -> None:
    """Raise the error of an entry, of what was wanted and of what came, for the first entry of a header that is not sound."""
    wanted = _ENTRIES | (_ROUNDING if "steps" in said else {}) | ({"loss": ("field, surface and iou", _is_loss)} if "loss" in said else {})
    for name, (what, sound) in wanted.items():
        if name not in said or not sound(said[name]):
            raise error(name, what, f"{said.get(name, 'none')!r:.100}")


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value >= 1 / LARGEST


def _are_three(sort: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (list, tuple)) and len(value) == 3 and all(map(sort, value))


def _is_loss(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"field", "surface", "iou"}:
        return False
    return all(_is_number(number) for name, number in value.items() if name != "iou" or number is not None)


def _is_shape(value: Any) -> bool:
    return _are_three(_is_whole)(value) and 0 < math.prod(value) <= MOST_CELLS


#: What a header must say, and how it is looked at.
_ENTRIES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "shape": (f"three sizes, not more than {MOST_CELLS} cells", _is_shape),
    "lower": ("three numbers, at most 2^80 in size", _are_three(_is_number)),
    "spacing": ("three numbers between 2^-80 and 2^80", _are_three(_is_positive)),
    "dtype": ("float32 or float64", lambda value: value in ("float32", "float64")),
    "truncation": ("a number between 2^-80 and 2^80", _is_positive),
    "wavelet": ("a name", lambda value: isinstance(value, str)),
    "mode": ("a name", lambda value: isinstance(value, str)),
    "levels": ("1 to 10", lambda value: _is_whole(value) and 1 <= value <= 10),
    "drop_finest": ("a whole number", _is_whole),
    "coefficients": ("float32 or float64", lambda value: value in ("float32", "float64")),
    "trees": ("a whole number", _is_whole),
}
_ROUNDING: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "steps": ("three numbers between 2^-80 and 2^80", _are_three(_is_positive)),
    "saturated": ("a whole number", _is_whole),
}


def _coefficients(code: ShapeCode) -> Coefficients:
    trees = code.code
    details = trees.values.detach().cpu().split(code.tree.widths, dim=1)
    return Coefficients(trees.coarse[0].detach().cpu().numpy(), trees.index.cpu().numpy(), [detail.numpy() for detail in details])


def _tree_code(found: Coefficients, dtype: torch.dtype) -> TreeCode:
    """A batch of one; without any level of details, no tree of seven."""
    details = np.concatenate(found.details, axis=1) if found.details else np.zeros((0, 7))
    coarse, values = (torch.from_numpy(array).to(dtype) for array in (found.coarse[None], details))
    return TreeCode(coarse, torch.from_numpy(found.cells), values, torch.tensor([0, len(found.cells)]))


def _loss(code: ShapeCode, kept: ShapeCode) -> Loss:
    with torch.no_grad():
        before, after = (code.tree.synthesis(code.tree.unfilter(one.code))[0] for one in (code, kept))
    most, near, iou = compared(before, after, 2 * max(code.grid.spacing) / code.scale)
    return Loss(most * code.scale, near * code.scale, None if math.isnan(iou) else iou)
