"""The house itself: one import name, what is installed, and what the rooms may know of each other and of the world."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent
ROOMS = ("kernels", "models", "streamer")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What opens a device, speaks to the network, or draws.
EDGE = ("sounddevice", "rtmidi", "pythonosc", "soundfile", "rich", "typer", "matplotlib", "mido")


def python(code: str, folder: Path, *options: str, **environment: str) -> str:
    """What a fresh Python prints that runs ``code`` in a foreign folder."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_only_the_one_name_is_importable(tmp_path: Path) -> None:
    code = f"""
import importlib.util
for room in {ROOMS}:
    print(importlib.util.find_spec(room), importlib.util.find_spec("valaro." + room) is not None)
"""
    assert python(code, tmp_path, "-I").splitlines() == ["None True"] * 3


@given(st.just(0.3))
def test_a_property_holds_on_a_busy_machine_too(seconds: float) -> None:
    time.sleep(seconds)  # more than hypothesis allows an example by itself


def test_the_installed_version_is_this_one() -> None:
    assert importlib.metadata.version("valaro") == PROJECT["version"]


def brought(extra: str) -> set[str]:
    """The names of the packages that an extra lists, and those of the extras that it takes in."""
    names = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        written = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", requirement)
        assert written is not None
        name, taken_in = written.groups("")
        names |= set().union(*map(brought, taken_in.split(","))) if name == PROJECT["name"] else {name}
    return names


@pytest.mark.parametrize("extra", ["test", "long", "lint", "dev"])
def test_who_trains_nothing_gets_no_pytorch(extra: str) -> None:
    """It is a gigabyte, or with the CUDA libraries six."""
    assert {"torch", "onnx"} <= brought("train")
    assert {"pytest", "ruff", "matplotlib"} <= brought("dev")
    assert brought(extra).isdisjoint({"torch", "onnx", "opensmile"})


def test_importing_the_engine_opens_no_door(tmp_path: Path) -> None:
    """Who embeds the engine needs no sound card's, no network's and no terminal's library."""
    code = f"""
import sys
from valaro.models import load_bundle
from valaro.streamer import Affect, Counters, Engine, Session
print([name for name in {EDGE} if name in sys.modules])
"""
    assert python(code, tmp_path, "-I") == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "kernels").rglob("*.py")), ids=lambda path: path.name)
def test_kernels_import_only_numpy_numba_and_an_fft(path: Path) -> None:
    foreign = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # `from scipy import fft` is scipy.fft too
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        foreign += [name for name in names if not _allowed(name)]
    assert foreign == []


def _allowed(name: str) -> bool:
    top = name.partition(".")[0]
    return top in {"numpy", "numba"} or f"{name}.".startswith("scipy.fft.") or top in sys.stdlib_module_names


@pytest.fixture(scope="module")
def wheel(wheel_path: Path) -> zipfile.ZipFile:
    """What is in the wheel."""
    return zipfile.ZipFile(wheel_path)


def test_the_wheel_holds_the_three_rooms_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Also fails for a folder that pyproject.toml forgets to list."""
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    code = {f"valaro/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == code
    assert {f"valaro/{room}/py.typed" for room in ROOMS} <= names
    assert {name.partition("/")[0] for name in names} == {"valaro"}


def test_the_wheel_holds_the_default_bundle(wheel: zipfile.ZipFile) -> None:
    weights = ROOT / "models" / "weights"
    held = {Path(name).name for name in wheel.namelist() if name.startswith("valaro/models/weights/")}
    assert {path.name for path in weights.iterdir() if path.is_file()} == held
    assert "manifest.json" in held


def test_the_wheel_brings_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    info = f"valaro-{PROJECT['version']}.dist-info"
    assert "valaro = valaro.streamer.__main__:start" in wheel.read(f"{info}/entry_points.txt").decode()
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def tiny_install(folder: Path) -> Path:
    """A copy of how kernels are compiled, with one kernel, where nothing can be cached beside the code.

    A file where ``__pycache__`` would be made stops even root from writing there.
    """
    kernels = folder / "site" / "valaro" / "kernels"
    kernels.mkdir(parents=True)
    for name in ("__init__.py", "_jit.py"):
        shutil.copy(ROOT / "kernels" / name, kernels)
    (kernels / "__pycache__").touch()
    (kernels / "double.py").write_text(
        "from ._jit import kernel\n\n\n@kernel('void(float64[::1])')\ndef double(out):\n    out *= 2.0\n"
    )
    return folder / "site"


DOUBLE = "import numpy as np; from valaro.kernels.double import double; a = np.ones(3); double(a); assert a.sum() == 6"


def test_a_read_only_install_caches_its_machine_code_with_the_user(tmp_path: Path) -> None:
    cache, site = tmp_path / "cache", tiny_install(tmp_path)
    python(DOUBLE, tmp_path, NUMBA_CACHE_DIR="", PYTHONPATH=str(site), HOME=str(tmp_path), XDG_CACHE_HOME=str(cache))
    assert [path.suffix for path in sorted(cache.rglob("double*.nb*"))] == [".nbc", ".nbi"]


def test_where_nothing_can_be_cached_the_kernels_are_compiled_all_the_same(tmp_path: Path) -> None:
    site = tiny_install(tmp_path)
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "cache")
    python(DOUBLE, tmp_path, NUMBA_CACHE_DIR="", PYTHONPATH=str(site), HOME=nowhere, XDG_CACHE_HOME=nowhere)
    assert not list(tmp_path.rglob("double*.nb*"))


def test_every_kernel_is_compiled_by_the_one_decorator() -> None:
    """It knows what to do where nothing can be cached; Numba's own does not."""
    others = [path for path in (ROOT / "kernels").glob("*.py") if path.name != "_jit.py"]
    assert [path.name for path in others if "jit(" in path.read_text()] == []
