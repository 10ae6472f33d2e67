"""Every exception geospec raises on purpose, so that a caller can catch one family.

Messages follow one pattern, made by :func:`problem`: the argument, what was wanted, what came,
what to do next.
"""


class GeospecError(Exception):
    """Base of all errors that geospec raises about its input or its numerics."""


class ArgumentError(GeospecError, ValueError):
    """An argument has a wrong shape, type, range or name."""


class ShapeError(GeospecError, ValueError):
    """A mesh or point cloud cannot be used as it is: NaN, faces out of range, several components."""


class FileFormatError(GeospecError, ValueError):
    """A file is of an unknown kind, empty, truncated, or does not hold what its suffix promises."""


class ConvergenceError(GeospecError, RuntimeError):
    """An iterative method stopped short of its tolerance; the message holds its residuals."""


class MissingDependencyError(GeospecError, ImportError):
    """An optional package is needed for this call and is not installed (or does not import)."""


def problem(argument: str, wanted: str, got: object, hint: str = "") -> str:
    """Return ``"<argument>: wanted <wanted>, got <got>[; <hint>]"``, the pattern of every message."""
    tail = f"; {hint}" if hint else ""
    return f"{argument}: wanted {wanted}, got {got}{tail}"


def one_of(argument: str, value: object, choices: "tuple[str, ...]") -> None:
    """Refuse a mode string that is not among ``choices``."""
    if value not in choices:
        raise ArgumentError(problem(argument, "one of " + ", ".join(map(repr, choices)), repr(value)))


def require_package(name: str, purpose: str, install: str):
    """Import and return an optional package, or say how to get it.

    ``install`` is what pip is given, for example ``'geospec[open3d]'``.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as cause:  # OSError: a shared library of the package is missing
        raise MissingDependencyError(
            f"{purpose} needs the package {name!r}, which did not import ({cause}); install it with: pip install {install!r}"
        ) from cause
