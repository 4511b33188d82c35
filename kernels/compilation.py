"""Compiles all kernels into the cache ahead of use, side by side: ``python -m valaro.kernels.compilation``.

Numba compiles one function at a time in a process. So several processes import some of the modules each, which compiles
what the cache does not hold.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

MOST_PROCESSES = 4  # each takes 150 MB, and the largest module alone takes a third of the time
_FOLDER = Path(__file__).parent
_MARK = "@kernel("  # how a kernel begins in its file


@dataclass(frozen=True, slots=True)
class Kernels:
    """What :func:`compile_all` found.

    Parameters
    ----------
    total : how many kernels there are.
    compiled : how many of them were not in the cache.
    folder : where their machine code is kept; None: it cannot be kept.
    """

    total: int
    compiled: int
    folder: str | None


def sizes() -> dict[str, int]:
    """The modules that have kernels, largest first, and how many each has; nothing is imported."""
    sources = {path.stem: path.read_text(encoding="utf-8") for path in _FOLDER.glob("*.py") if path != Path(__file__)}
    counts = {name: source.count(f"\n{_MARK}") for name, source in sources.items()}
    return {name: counts[name] for name in sorted(counts, key=lambda name: -len(sources[name])) if counts[name]}


def shares(processes: int) -> list[list[str]]:
    """The modules with kernels in so many lists (or fewer), about equally long to compile, as the files' sizes tell."""
    length = {name: (_FOLDER / f"{name}.py").stat().st_size for name in sizes()}
    lists: list[list[str]] = [[] for _ in range(processes)]
    for name in length:
        min(lists, key=lambda names: sum(map(length.__getitem__, names))).append(name)
    return [names for names in lists if names]


def compile_all(
    progress: Callable[[int, int], None] = lambda done, total: None, processes: int | None = None
) -> Kernels:
    """Have all kernels in the cache, compiled where they are not yet, in processes of their own.

    Parameters
    ----------
    progress : called with how many kernels are done, and of how many.
    processes : how many at a time; None: as many as this process has cores, up to four.

    Raises
    ------
    OSError
        No process can be started, or one fails. Whatever uses a kernel then compiles it itself.
    """
    total = sum(sizes().values())
    compiled = done = 0
    folder = None
    for line in _lines(shares(processes or min(_cores(), MOST_PROCESSES))):
        was_compiled, _, where = line.partition(" ")
        done += 1
        compiled += was_compiled == "compiled"
        folder = folder or where or None
        progress(done, total)
    return Kernels(done, compiled, folder)


def _lines(lists: Sequence[Sequence[str]]) -> Iterator[str]:
    """What the processes write, a line a kernel, as it comes. They are ended if nobody takes the next line."""
    command = [sys.executable, "-P", "-m", __spec__.name if __spec__ else __name__]
    quiet = subprocess.DEVNULL
    read, write = os.pipe()
    running: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack, os.fdopen(read, encoding="utf-8") as output:
        try:
            try:
                for names in lists:
                    process = subprocess.Popen([*command, *names], stdin=quiet, stdout=write, stderr=quiet)
                    running.append(stack.enter_context(process))
            finally:
                os.close(write)
            for line in output:
                yield line.rstrip("\n")
        except BaseException:
            for process in running:
                process.terminate()
            raise
    failed = [process.returncode for process in running if process.returncode]
    if failed:
        raise OSError(f"a process that compiles ended with code {failed[0]}")


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def import_all(names: Sequence[str]) -> None:
    """Import modules, and write a line for each kernel as soon as it is ready: how it came, and where it is kept."""
    from . import _jit

    def tell(kernel: Any) -> None:
        how = "cached" if kernel.stats.cache_hits else "compiled"
        print(how, kernel.stats.cache_path or "", flush=True)

    _jit.listeners.append(tell)
    for name in names:
        import_module(f".{name}", __package__)


if __name__ == "__main__":
    if sys.argv[1:]:
        import_all(sys.argv[1:])
    else:
        found = compile_all()
        print(f"{found.compiled} of {found.total} kernels compiled" + (f" into {found.folder}" if found.folder else ""))
