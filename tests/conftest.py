"""Fixtures for the whole suite: where the development meshes lie, one thread a process, fixed seeds."""

import os
import signal
from pathlib import Path

# Small products are faster on one thread, and threads that spin for a core that another worker holds cost tenfold.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Processes that tests start must find the installed package, not the checkout that they start in, which is not built.
os.environ.setdefault("PYTHONSAFEPATH", "1")

import pytest
import torch

SHARED = Path(os.environ.get("GEOSPEC_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)
    # A suite that runs in the background may inherit an ignored SIGINT; tests of interruption need Python's own handler.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real meshes; tests that ask for it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real meshes is not here (set GEOSPEC_SHARED_DATA)")
    return SHARED


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return Path(__file__).resolve().parents[1]
