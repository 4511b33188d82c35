"""The figures that the README quotes: `make bench`, or ``python -m bench.report`` with OMP_NUM_THREADS=1 and the like.

Speeds are in times real time on one core, by CPU time, medians of runs in turns; the middle of the ratios is given,
which a noisy machine bends less than the speeds themselves.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from valaro.models import load_bundle
from valaro.streamer import Engine

from .chain import feed, stereo
from .decoders import milliseconds
from .families import Family, families
from .material import SECONDS, costs, minute, song_path
from .peers import compared, sides

_ROUNDS = 7
_STARTS = 5
_COMMAND = [sys.executable, "-c", "from valaro.streamer.cli import main; main()"]
_ROOT = Path(__file__).parent.parent


def compare(family: Family) -> tuple[float, float, float]:
    """Times real time of Valaro and of librosa, and the median of the rounds' ratios."""
    seconds = costs({"valaro": family.valaro, "librosa": family.librosa}, _ROUNDS)
    ratio = np.median(seconds["librosa"] / seconds["valaro"])
    return SECONDS / float(np.median(seconds["valaro"])), SECONDS / float(np.median(seconds["librosa"])), float(ratio)


def chain_speeds() -> dict[str, float]:
    """Times real time of the whole chain, default bundle, in blocks of 20 ms."""
    bundle = load_bundle()
    high, low = stereo(48_000), minute(24_000)
    seconds = costs(
        {
            "48 kHz stereo": lambda: feed(Engine(bundle, 48_000), high, 48_000),
            "24 kHz mono": lambda: feed(Engine(bundle, 24_000), low, 24_000),
        },
        _ROUNDS,
    )
    return {name: SECONDS / float(np.median(values)) for name, values in seconds.items()}


def start_up() -> float:
    """Seconds from the command `valaro demo` to its first OSC packet, less the half second of sound in that: median."""
    seconds = []
    for _ in range(_STARTS + 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(120)
            port = receiver.getsockname()[1]
            arguments = ["demo", "--no-display", "--seconds", "0.5", "--osc", f"127.0.0.1:{port}"]
            start = time.perf_counter()
            process = subprocess.Popen([*_COMMAND, *arguments], stderr=subprocess.DEVNULL)
            receiver.recv(65536)
            seconds.append(time.perf_counter() - start - 0.5)
            process.wait(60)
    return float(np.median(seconds[1:]))  # the first may have had to compile


def hour_of(program: str) -> dict[str, Any]:
    """What one of the programs of an hour says, in a fresh process."""
    done = subprocess.run([sys.executable, "-m", program], cwd=_ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def lines() -> Iterator[str]:
    """The table, line by line as the figures come in."""
    samples = minute()
    song = song_path()
    yield f"measured on {song.stem if song else 'the built-in piece'}, one minute, one thread"
    yield ""
    yield f"{'features, x real time':34}{'valaro':>9}{'librosa':>9}{'ratio':>8}"
    for family in families(samples):
        ours, theirs, ratio = compare(family)
        yield f"{family.name:34}{ours:9,.0f}{theirs:9,.0f}{ratio:8.1f}"
    for side in compared(sides(samples), _ROUNDS, SECONDS)[1:]:
        yield f"{'all beside ' + side.name:34}{side.ours:9,.0f}{side.speed:9,.0f}{side.ratio:8.1f}"
    yield ""
    for name, speed in chain_speeds().items():
        yield f"{'whole chain, ' + name:34}{speed:9,.0f} x real time = {100 / speed:.2f} % of one core"
    steps = ", ".join(f"{name} {value:.2f}" for name, value in milliseconds(load_bundle()).items())
    yield f"{'an emission of each decoder, ms':34}  {steps}"
    hour, show = hour_of("bench.chain"), hour_of("bench.outputs")
    yield f"{'last sample to OSC packet, ms':34}  {_listed(hour['latency_ms'])}"
    yield f"{'to four OSC receivers and MIDI, ms':34}  {_listed(show['latency_ms'])}"
    yield f"{'  of which CPU time':34}  {_listed(show['cpu_ms'])}"
    yield f"{'  of which sending':34}  {_listed(show['sending_ms'])}"
    yield f"{'  MIDI':34}  {show['midi']}"
    yield f"{'emissions in an hour':34}{hour['emissions']:9,} (7,200 are due), drift {hour['drift']:g} s"
    yield f"{'memory of engine and OSC, MB':34}{hour['memory_mb']:9.0f}, grown by {hour['growth_mb']:.1f} in 50 minutes"
    yield f"{'command to first emission, s':34}{start_up():9.1f} beside the half second of sound that it needs"


def _listed(milliseconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in milliseconds.items())


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
