"""Builds the compiled kernels: one stable-ABI library for the CPU and, on request, one for CUDA. Packs the trained weights.

``GEOSPEC_CUDA=1`` builds the CUDA library, ``GEOSPEC_CUDA=0`` leaves it out; by default it is built
where the torch at hand has CUDA and a toolkit is found, never by whether this machine has a GPU.
"""

import os
from pathlib import Path

import torch
from setuptools import setup
from setuptools.command.build_py import build_py
from torch.utils.cpp_extension import CUDA_HOME, BuildExtension, CppExtension, CUDAExtension

ROOT = Path(__file__).parent
# The wheel runs on every torch from this version on: only the stable ABI is used.
TORCH_FLOOR = "0x020a000000000000"
DEFINES = [f"-DTORCH_TARGET_VERSION={TORCH_FLOOR}", "-DTORCH_STABLE_ONLY"]
CXX_FLAGS = [*DEFINES, "-O3", "-std=c++20", "-fvisibility=hidden", "-ffp-contract=fast", "-Wall", "-g0"]


def sources(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc").glob(pattern))


def wants_cuda() -> bool:
    asked = os.environ.get("GEOSPEC_CUDA")
    if asked not in (None, "0", "1"):
        raise SystemExit(f"GEOSPEC_CUDA: wanted 0 or 1, got {asked!r}")
    if asked is not None:
        return asked == "1"
    return torch.version.cuda is not None and CUDA_HOME is not None


class BuildPy(build_py):
    """Also packs ``data/weights``, which lies outside the package, as ``geospec/data/weights``. An editable install reads it in place."""

    def packed_weights(self) -> dict[str, Path]:
        files = sorted((ROOT / "data" / "weights").glob("*.safetensors"))
        return {str(Path(self.build_lib, "geospec", "data", "weights", path.name)): path for path in files}

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for target, path in self.packed_weights().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(str(path), target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else self.packed_weights())]


extensions = [
    CppExtension(
        "geospec._C",
        ["csrc/library.cpp", *sources("*/*_cpu.cpp")],
        include_dirs=[str(ROOT / "csrc")],
        extra_compile_args={"cxx": CXX_FLAGS},
        py_limited_api=True,
    )
]
if wants_cuda():
    extensions.append(
        CUDAExtension(
            "geospec._C_cuda",
            ["csrc/module_cuda.cpp", *sources("*/*_cuda.cu")],
            include_dirs=[str(ROOT / "csrc")],
            extra_compile_args={"cxx": [*CXX_FLAGS, "-DUSE_CUDA"], "nvcc": [*DEFINES, "-O3", "-std=c++20", "-DUSE_CUDA"]},
            py_limited_api=True,
        )
    )

setup(
    ext_modules=extensions,
    cmdclass={"build_ext": BuildExtension.with_options(use_ninja=True), "build_py": BuildPy},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
