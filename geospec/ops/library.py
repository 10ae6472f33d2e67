"""Loads the compiled kernels and says what is in them."""

from __future__ import annotations

import importlib
import platform
from typing import Any

import torch

_CUDA_ABSENT = ""

try:
    importlib.import_module("geospec._C")
except ImportError as cause:
    raise ImportError(
        f"geospec's compiled kernels did not load ({cause}); install with a C++ compiler at hand (pip install -c constraints.txt .), and "
        "if you stand in the source checkout, leave it or install with -e: Python takes the folder it starts in for the package"
    ) from cause

if torch.version.cuda is None:
    _CUDA_ABSENT = "this torch is built without CUDA"
else:
    try:
        importlib.import_module("geospec._C_cuda")
    except ImportError as cause:
        _CUDA_ABSENT = f"the CUDA library did not load ({cause}); build it with GEOSPEC_CUDA=1 and a CUDA toolkit"


def backend_info() -> dict[str, Any]:
    """What is compiled in and where it runs.

    Returns a dictionary with ``torch`` (version), ``threads``, ``machine``, ``cuda`` (whether the CUDA
    kernels are loaded), ``cuda_absent`` (why not, or an empty string) and ``ops``: for each op the
    devices that have a kernel.
    """
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    devices = ("CPU",) if _CUDA_ABSENT else ("CPU", "CUDA")
    names = sorted(name for name in torch._C._dispatch_get_all_op_names() if name.startswith("geospec::"))
    return {
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "cuda": not _CUDA_ABSENT,
        "cuda_absent": _CUDA_ABSENT,
        "ops": {name.partition("::")[2]: [device for device in devices if has(name, device)] for name in names},
    }
