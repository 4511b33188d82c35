"""How long commands take to their first line: ``python -m bench.start [ROUNDS]``.

Each command in turn, round after round, so that a busy machine slows all alike; the first round, which may have to
compile, is left out. Beside them stand Python by itself, and the import of what every command that hears sound needs.
"""

import os
import subprocess
import sys
import time
from statistics import median

ROUNDS = 7
VALARO = [sys.executable, "-m", "valaro.streamer"]
SIDES = {
    "python": [sys.executable, "-c", "print(flush=True)"],
    "numba and scipy.fft": [sys.executable, "-c", "import numba, scipy.fft; print(flush=True)"],
    "valaro --help": [*VALARO, "--help"],
    "valaro devices": [*VALARO, "devices"],
    "valaro demo --seconds 1": [*VALARO, "demo", "--seconds", "1", "--osc", "127.0.0.1:9"],
}
HEARD = 0.5  # s of sound that the demo's first line waits for, as it plays


def first_line(command: list[str]) -> float:
    """Seconds from the command to the first line that it writes to its standard output."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - began
        process.stdout.read()
    return seconds


def main(rounds: int = ROUNDS) -> None:
    """Measure and print a line for each command."""
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for number in range(rounds + 1):
        for name, command in SIDES.items():
            taken = first_line(command)
            if number:
                seconds[name].append(taken)
    bare = median(seconds["numba and scipy.fft"])
    print(f"{'to the first line':28}{'median':>8}{'least':>8}{'most':>8}{'of Numba alone':>16}")
    for name, values in seconds.items():
        heard = HEARD if "demo" in name else 0.0
        ratio = (median(values) - heard) / bare
        print(f"{name:28}{median(values):7.2f} s{min(values):6.2f} s{max(values):6.2f} s{ratio:12.1f} x")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
