"""Runs the checks of ``valaro doctor`` concurrently.

A check is a function that returns results. It runs in a thread of its own and is given a time; those that load native
code which may hang or crash (the compiled kernels, the network, MIDI) run in a process of their own besides, this
module as a program.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ...errors import ValaroError
from .result import LIMIT, Check, Result

MODEL_LIMIT = 300.0  # s: the first time all kernels are compiled, and a small machine takes minutes


def checks(model: Path | None = None) -> list[Check]:
    """All checks. ``model``: the bundle to check; None: the default one."""
    from . import machine, software

    bundle = [] if model is None else [str(model)]
    return [
        Check("python", software.python),
        Check("packages", software.packages),
        Check("model", partial(in_process, "model", bundle, MODEL_LIMIT), MODEL_LIMIT + 5.0),
        Check("audio", software.audio),
        Check("midi", partial(in_process, "midi", [], LIMIT - 1.0)),
        Check("osc", software.osc),
        Check("data", software.data),
        Check("listeners", software.listeners),
        Check("disk", machine.disk),
        Check("memory", machine.memory),
        Check("clock", machine.clock),
        Check("realtime", machine.realtime),
        Check("power", machine.power),
        Check("text", machine.text),
        Check("session", machine.session),
    ]


def examine(selected: Sequence[Check]) -> Iterator[Result]:
    """Run checks concurrently; their results come in order, each as soon as it is there."""
    running = [(check, _Running(check)) for check in selected]
    for check, thread in running:
        yield from thread.results(check)


class _Running:
    """A check in its thread, which is left behind when it takes too long."""

    def __init__(self, check: Check) -> None:
        self._results: list[Result] | None = None
        self._end = time.monotonic() + check.limit
        self._thread = threading.Thread(target=self._run, args=(check,), name=f"doctor {check.name}", daemon=True)
        self._thread.start()

    def results(self, check: Check) -> list[Result]:
        self._thread.join(max(self._end - time.monotonic(), 0.0))
        if self._results is None:
            return [Result(check.name, "fail", f"no answer within {check.limit:g} s", "look again, or restart it")]
        return self._results

    def _run(self, check: Check) -> None:
        try:
            self._results = check.look()
        except ValaroError as fault:  # which says what to do
            self._results = [Result(check.name, "fail", str(fault))]
        except Exception as fault:  # noqa: BLE001  on a broken machine a check may raise anything
            words = " ".join(f"{type(fault).__name__}: {fault}".split())
            self._results = [Result(check.name, "fail", f"could not be looked at ({words})", "please report it")]


def in_process(name: str, arguments: Sequence[str], limit: float) -> list[Result]:
    """Run a check in a process of its own, which may hang or crash.

    Parameters
    ----------
    name : of the check, ``midi`` or ``model``.
    arguments : for :func:`main`.
    limit : s that the process may take.
    """
    command = [sys.executable, "-P", "-m", __name__, name, *arguments]
    try:
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return [Result(name, "fail", f"no answer within {limit:g} s", "restart what it asks, or this machine")]
    try:
        return [Result(**result) for result in json.loads(process.stdout.splitlines()[-1])]
    except (ValueError, TypeError, IndexError):
        last = (process.stderr.strip() or "it said nothing").splitlines()[-1]
        code = f"signal {-process.returncode}" if process.returncode < 0 else f"code {process.returncode}"
        return [Result(name, "fail", f"ended with {code}: {last}", "reinstall Valaro; please report it if that stays")]


def main(name: str, *arguments: str) -> None:
    """Run as the process of :func:`in_process`."""
    from . import software

    results = software.midi() if name == "midi" else software.model(Path(arguments[0]) if arguments else None)
    print(json.dumps([asdict(result) for result in results]))


if __name__ == "__main__":
    main(*sys.argv[1:])
