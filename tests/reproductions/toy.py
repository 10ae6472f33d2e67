"""A reproduction that costs nothing: one row of each kind."""

import math
import sys
import types

from PIL import Image

from geospec.errors import ShapeError
from geospec.reproductions import REPRODUCTIONS, Check, Reproduction, Row, Run


def toy(monkeypatch, *, packages=None, error=None):
    """Put it among the others under the name ``toy``; the list that it returns says which runs were begun."""
    begun = []

    def holds(setting):
        begun.append("holds")
        numbers = {"seed": setting.seed, "preset": setting.preset}
        yield Row("", "", "", (Check("x", 1.0, "at least", 0.5),), numbers=numbers)

    def short(setting):
        begun.append("short")
        yield Row("", "", "", (Check("x", 1.0, "at least", 2.0),))

    def torn(setting):
        begun.append("torn")
        yield Row("", "", "", (Check("x", 1.0, "below", 2.0),), numbers={"worst": math.nan})
        raise error or ShapeError("mesh: in pieces")

    def real(setting):
        yield Row("", f"reads {setting.data.name}", "")

    runs = {
        "holds": Run("keeps its limit", "a claim", holds),
        "short": Run("misses its limit", "a claim", short, packages=packages or {}),
        "torn": Run("breaks off", "a | b", torn),
        "real": Run("reads meshes", "a claim", real, needs_data=True),
    }
    module = types.ModuleType("toy_reproduction")
    module.REPRODUCTION = Reproduction("A toy", "No paper", runs, lambda rows: Image.new("RGB", (4, 4)))
    monkeypatch.setitem(sys.modules, "toy_reproduction", module)
    monkeypatch.setitem(REPRODUCTIONS.modules, "toy", "toy_reproduction")
    return begun
