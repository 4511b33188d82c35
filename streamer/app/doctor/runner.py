"""Looking for what would stop Valaro here: one result a check, each with what to do.

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

from .result import LIMIT, Check, Result

MODEL_LIMIT = 300.0  # s: the first time all kernels are compiled, and a small machine takes minutes


def checks(model: Path | None = None) -> list[Check]:
    """All of them. ``model``: the bundle to look at; None: the default one."""
    from . import machine
    from . import software as parts

    bundle = [] if model is None else [str(model)]
    return [
        Check("python", parts.python),
        Check("packages", parts.packages),
        Check("model", partial(in_process, "model", bundle, MODEL_LIMIT), MODEL_LIMIT + 5.0),
        Check("audio", parts.audio),
        Check("midi", partial(in_process, "midi", [], LIMIT - 1.0)),
        Check("osc", parts.osc),
        Check("data", parts.data),
        Check("listeners", parts.listeners),
        Check("disk", machine.disk),
        Check("memory", machine.memory),
        Check("clock", machine.clock),
        Check("realtime", machine.realtime),
        Check("power", machine.power),
        Check("text", machine.text),
        Check("session", machine.session),
    ]


def examine(found: Sequence[Check]) -> Iterator[Result]:
    """Run them all at the same time; the results come in their order, each as soon as it is there."""
    running = [(check, _Running(check)) for check in found]
    for check, each in running:
        yield from each.results(check)


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
        except Exception as fault:  # noqa: BLE001  a machine that is out of order finds faults that nobody foresaw
            words = " ".join(f"{type(fault).__name__}: {fault}".split())
            self._results = [Result(check.name, "fail", f"could not be looked at ({words})", "please report it")]


def in_process(name: str, arguments: Sequence[str], limit: float) -> list[Result]:
    """What the check of this name finds in a process of its own, which may hang or crash."""
    command = [sys.executable, "-P", "-m", __name__, name, *arguments]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return [Result(name, "fail", f"no answer within {limit:g} s", "restart what it asks, or this machine")]
    try:
        return [Result(**each) for each in json.loads(ended.stdout.splitlines()[-1])]
    except (ValueError, TypeError, IndexError):
        last = (ended.stderr.strip() or "it said nothing").splitlines()[-1]
        code = f"signal {-ended.returncode}" if ended.returncode < 0 else f"code {ended.returncode}"
        return [Result(name, "fail", f"ended with {code}: {last}", "reinstall Valaro; please report it if that stays")]


def main(name: str, *arguments: str) -> None:
    """Be that process."""
    from . import software as parts

    found = parts.midi() if name == "midi" else parts.model(Path(arguments[0]) if arguments else None)
    print(json.dumps([asdict(each) for each in found]))


if __name__ == "__main__":
    main(*sys.argv[1:])
