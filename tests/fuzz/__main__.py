"""``python -m tests.fuzz [--seconds N] [TARGET ...]`` (`make fuzz`): each target by atheris, in a process of its own.

Inputs that reached something new are kept under ``build/fuzz/TARGET/corpus`` for the next time. One that breaks the
target is written beside that folder; copied to ``tests/fuzz/cases/TARGET/``, it is run by `make test` from then on.
"""

import argparse
import importlib
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "build" / "fuzz"
MEMORY = Path("/dev/shm")  # for the inputs that become files, where the system has it
NAMES = (
    *("osc", "midi", "oscquery", "server", "metrics", "config", "expression", "words"),
    *("replay", "profile", "salvage", "bundle", "checkpoint", "audio", "command_line"),
)
WATCHED = ["valaro", "pythonosc", "tomllib", "json", "zipfile", "websockets"]  # for branches not taken before
SLOW = 20  # s for one input: longer is a hang
MOST = 2_000  # MB
LARGEST = {"server": 2_048, "metrics": 2_048, "audio": 16_384, "checkpoint": 65_536, "salvage": 65_536}


def main() -> int:
    """1 when a target broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--in-here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all by default")
    chosen = parser.parse_args()
    if unknown := set(chosen.targets) - set(NAMES):
        parser.error(f"no target {', '.join(sorted(unknown))}: choose from {', '.join(NAMES)}")
    if chosen.in_here:
        _fuzz(chosen.targets[0], chosen.seconds)
    return max(_ran(name, chosen.seconds) for name in chosen.targets or NAMES)


def _ran(name: str, seconds: int) -> int:
    """Fuzz in a process that may die, and tell what came of it."""
    (KEPT / name).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz", "--in-here", "--seconds", str(seconds), name]
    log = KEPT / name / "log"
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as files, log.open("wb") as output:
        environment = os.environ | {"TMPDIR": files, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False)
    said = log.read_text(errors="replace")
    units = re.search(r"number_of_executed_units: (\d+)", said)
    tried = f"{int(units[1]):,} inputs" if units else "ended early"
    if done.returncode == 0:
        print(f"{name:12}{tried}, nothing found", flush=True)
        return 0
    print(f"{name:12}{tried}, BROKEN: see {log}\n{said[-2_000:]}", flush=True)
    return 1


def _fuzz(name: str, seconds: int) -> None:
    try:
        atheris: Any = importlib.import_module("atheris")  # it ships no types
    except ImportError:
        sys.exit("fuzzing needs atheris, for Python 3.11 and later on Linux and macOS: pip install atheris")
    logging.disable()
    kernels = [f"valaro.kernels.{path.stem}" for path in (ROOT / "kernels").glob("*.py")]  # Numba reads their bytecode
    with atheris.instrument_imports(include=WATCHED, exclude=kernels):
        from .all_targets import TARGETS
    target = TARGETS[name]
    seeds, corpus = KEPT / name / "seeds", KEPT / name / "corpus"
    for folder in (seeds, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (seeds / f"{number:02}").write_bytes(seed)
    flags = {
        "max_total_time": seconds,
        "timeout": SLOW,
        "rss_limit_mb": MOST,
        "max_len": LARGEST.get(name, 8_192),
        "artifact_prefix": f"{KEPT / name}/",
        "print_final_stats": 1,
        "verbosity": 0,
    }
    atheris.Setup([name, *(f"-{flag}={value}" for flag, value in flags.items()), str(corpus), str(seeds)], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
