"""One cache for all commands: what one of them compiled, none compiles again."""

import contextlib
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.registry import CPUDispatcher
from valaro.kernels.compilation import compile_all, shares, sizes

from ..places import ROOT

Cache = dict[str, tuple[int, str]]

RATING = ("--at", "1", "--valence", "0.5", "--arousal", "0.5", "--listener", "ana")
COMMANDS = (
    ("demo", "--seconds", "0.5", "--no-display"),
    ("listen", "--file", "tone.wav", "--no-display"),
    ("analyze", "tone.wav"),
    ("rate", "tone.wav", *RATING),
    ("devices",),
    ("doctor",),
)


def kernels_of(name: str) -> list[CPUDispatcher]:
    module = importlib.import_module(f"valaro.kernels.{name}")
    return [
        kernel
        for kernel in vars(module).values()
        if isinstance(kernel, CPUDispatcher) and kernel.py_func.__module__ == module.__name__
    ]


def test_the_kernels_are_counted_without_being_imported() -> None:
    with_kernels = {
        path.stem: len(found)
        for path in (ROOT / "kernels").glob("*.py")
        if path.stem not in ("__init__", "_jit", "compilation") and (found := kernels_of(path.stem))
    }
    assert sizes() == with_kernels


@pytest.mark.parametrize("processes", [1, 2, 4, 99])
def test_each_module_is_compiled_by_one_process(processes: int) -> None:
    lists = shares(processes)
    assert sorted(name for names in lists for name in names) == sorted(sizes())
    assert len(lists) == min(processes, len(sizes()))


def test_a_process_that_fails_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(OSError, match="ended with code 1"):
        compile_all()


def test_the_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    found = compile_all(lambda done, total: seen.append((done, total)), processes=2)
    total = sum(sizes().values())
    assert seen == [(done, total) for done in range(1, total + 1)]
    assert (found.total, Path(found.folder or "").is_relative_to(os.environ["NUMBA_CACHE_DIR"])) == (total, True)


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who never ran Valaro, with a sound file in the home folder."""
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "tone.wav", np.sin(np.arange(48_000) * 0.1).astype(np.float32), 24_000)
    own = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data")}
    return {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | own


def run(words: tuple[str, ...], machine: dict[str, str], *module: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", *(module or ("valaro.streamer",)), *words]
    return subprocess.run(command, env=machine, cwd=machine["HOME"], capture_output=True, text=True, check=False)


def cache(machine: dict[str, str]) -> Cache:
    """What is kept, to the nanosecond: compiling a kernel writes its files anew."""
    kept = Path(machine["XDG_CACHE_HOME"], "valaro", "kernels").rglob("*.nb?")
    return {path.name: (path.stat().st_mtime_ns, path.parent.name) for path in kept}


@pytest.mark.long  # compiles everything
@pytest.mark.parametrize("first", ["install", "doctor", "demo", "devices"])
def test_what_the_first_command_compiled_no_other_compiles_again(first: str, machine: dict[str, str]) -> None:
    if first == "install":
        done = run((), machine, "valaro.kernels.compilation")
        assert done.stdout.startswith(f"{(total := sum(sizes().values()))} of {total} kernels compiled into ")
    else:
        done = run(next(words for words in COMMANDS if words[0] == first), machine)
    if first == "devices":
        assert cache(machine) == {}  # it has no use for them
        return
    told = "compiling for this machine, once"
    assert done.stderr.count(told) == (first == "demo")
    after = cache(machine)
    assert sum(name.endswith(".nbi") for name in after) == sum(sizes().values())
    for words in COMMANDS:
        done = run(words, machine)
        assert (words[0], told in done.stderr, cache(machine) == after) == (words[0], False, True)
        assert words[0] in ("devices", "doctor") or done.returncode == 0, done.stderr


@pytest.mark.long  # compiles everything
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminal to pretend on Windows")
def test_in_a_terminal_a_bar_shows_how_far_it_is(machine: dict[str, str]) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-P", "-m", "valaro.streamer", *COMMANDS[2]]
    environment = machine | {"TERM": "xterm", "COLUMNS": "100"}
    quiet = subprocess.DEVNULL
    shown = b""
    with subprocess.Popen(
        command, env=environment, cwd=machine["HOME"], stdin=quiet, stdout=quiet, stderr=theirs
    ) as program:
        os.close(theirs)
        with contextlib.suppress(OSError):  # how Linux reports that the other end was closed
            while block := os.read(ours, 4096):
                shown += block
    os.close(ours)
    assert program.returncode == 0
    total = sum(sizes().values())
    assert b"compiling for this machine, once" in shown
    assert f"{total}/{total}".encode() in shown


def test_the_cache_lies_outside_the_installation(machine: dict[str, str]) -> None:
    """`pip install`, editable or not, replaces the folder of the code with all that is in it."""
    code = (
        "import numba; from valaro.kernels.sound import mix_down as kernel; "
        "print(kernel.stats.cache_path, numba.config.CACHE_DIR)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=machine, capture_output=True, text=True, check=True)
    assert Path(done.stdout.split()[0]).parent == Path(machine["XDG_CACHE_HOME"], "valaro", "kernels")
    assert len(done.stdout.split()) == 1  # other packages' kernels stay where they are


def test_without_a_home_nothing_is_written_where_the_program_was_started(tmp_path: Path) -> None:
    code = "from valaro.kernels.sound import mix_down; print(mix_down.stats.cache_path)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_", "HOME"))}
    command = [sys.executable, "-P", "-c", f"import os; os.path.expanduser = lambda path: path\n{code}"]
    subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert list(tmp_path.iterdir()) == []
