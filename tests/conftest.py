"""Shared by all tests: their tier, a fresh place for Numba's cache when a kernel changes, no deadlines, real data."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from .places import ROOT
from .skips import pytest_make_collect_report, pytest_runtest_makereport
from .tiers import pytest_collection_modifyitems, pytest_ignore_collect
from .wheels import build_wheel

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_ignore_collect",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
]


# Numba notices a change in a kernel's own file only; a digest of all of them makes sure that no stale code is tested.
# And its version: two of them, as of the lowest that is allowed, would throw away each other's code in one folder.
_kernels = [path.read_bytes() for path in sorted((ROOT / "kernels").glob("*.py"))]
_digest = hashlib.sha256(b"".join([*_kernels, version("numba").encode()])).hexdigest()
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / "build" / "numba" / _digest[:16])

# A busy machine makes no property false: hypothesis would fail an example that takes 0.2 s, or that is slow to be made.
settings.register_profile("busy machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# nohup has them ignore the closing of the terminal, and a program under test that ignores SIGHUP from its start rightly
# keeps ignoring it: the test that sends one would wait for ever. A handler that does nothing outlives the terminal too,
# but no program inherits it: what the tests start has SIGHUP as a shell would give it. The workers of xdist are such
# programs themselves, and are to outlive the terminal with the process that started them.
if hasattr(signal, "SIGHUP") and (
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN or "PYTEST_XDIST_WORKER" in os.environ
):
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)


COMPILE = "import importlib, sys; [importlib.import_module(f'valaro.kernels.{name}') for name in sys.argv[1:]]"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have each kernel compiled once, before the processes of xdist start.

    Compiled twice, a sum may be taken in another order: two processes that each compiled for themselves, at the same
    time, differ in the last digits, from each other and from the programs that they start.
    """
    if not session.config.getoption("numprocesses", None) or "PYTEST_XDIST_WORKER" in os.environ:
        return
    names = sorted(path.stem for path in (ROOT / "kernels").glob("*.py") if path.stem != "__init__")
    halves = [subprocess.Popen([sys.executable, "-c", COMPILE, *names[start::2]]) for start in range(2)]
    assert [half.wait() for half in halves] == [0, 0]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of annotated music: $VALARO_DATA, or shared/data beside the checkout."""
    path = Path(os.environ.get("VALARO_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "4q").is_dir():
        pytest.skip("the annotated music is not here: set VALARO_DATA to its folder")
    return path


@pytest.fixture(scope="session")
def wheel_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Valaro's wheel, built from a copy: in the checkout an older build's leftovers would slip in."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("kernels", "models", "streamer", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return build_wheel(folder)
