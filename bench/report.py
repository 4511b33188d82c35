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

import numpy as np
from valaro.models import load_bundle
from valaro.streamer import Engine

from .chain import feed, stereo
from .material import SECONDS, costs, minute, song_path
from .peers import Family, families, whole

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


def lines() -> Iterator[str]:
    """The table, line by line as the figures come in."""
    samples = minute()
    song = song_path()
    yield f"measured on {song.stem if song else 'the built-in piece'}, one minute, one thread"
    yield ""
    yield f"{'features, x real time':34}{'valaro':>9}{'librosa':>9}{'ratio':>8}"
    for family in [*families(samples), whole(samples)]:
        ours, theirs, ratio = compare(family)
        yield f"{family.name:34}{ours:9,.0f}{theirs:9,.0f}{ratio:8.1f}"
    yield ""
    for name, speed in chain_speeds().items():
        yield f"{'whole chain, ' + name:34}{speed:9,.0f} x real time = {100 / speed:.2f} % of one core"
    done = subprocess.run([sys.executable, "-m", "bench.chain"], cwd=_ROOT, capture_output=True, text=True, check=True)
    hour = json.loads(done.stdout)
    latency = ", ".join(f"{name} {value:.2f}" for name, value in hour["latency_ms"].items())
    yield f"{'last sample to OSC packet, ms':34}  {latency}"
    yield f"{'emissions in an hour':34}{hour['emissions']:9,} (7,200 are due), drift {hour['drift']:g} s"
    yield f"{'memory of engine and OSC, MB':34}{hour['memory_mb']:9.0f}, grown by {hour['growth_mb']:.1f} in 50 minutes"
    yield f"{'command to first emission, s':34}{start_up():9.1f} beside the half second of sound that it needs"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
