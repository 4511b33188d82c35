"""How many trackers fit on one core: ``python -m bench.streams``, with OMP_NUM_THREADS=1 and the like.

Each is a channel of one 48 kHz input (``valaro listen --separate``) that hears its own part of the music, pushed in
blocks of 20 ms, with an OSC packet for every emission. Costs are CPU time, which other programs bend less than the
clock; the block in which all channels emit is the longest to wait for, and its time is given too.
"""

import gc
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from valaro.models import Bundle, load_bundle
from valaro.streamer.core.multichannel import MultichannelEngine
from valaro.streamer.sinks import Osc

from .chain import resident
from .material import Float32, minute

RATE = 48_000
BLOCK = RATE // 50
COUNTS = (1, 2, 4, 8, 16, 32, 64)
SECONDS = 6.0
SPARE = 0.5  # of the core, for everything else that a show's machine does


class Cost(NamedTuple):
    """Of so many trackers: CPU seconds for each second of sound, ms of a block with emissions, MB resident."""

    trackers: int
    load: float
    emitting: float
    memory: float


def measured(bundle: Bundle, sound: Float32, count: int, seconds: float = SECONDS) -> Cost:
    """Run so many trackers for so many seconds of sound, after one that is not counted."""
    engine = MultichannelEngine(bundle, RATE, range(1, count + 1))
    begins = np.linspace(0, len(sound) - (seconds + 1) * RATE - BLOCK, count).astype(int)
    spent, emitting = 0.0, []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        sink = Osc(f"127.0.0.1:{receiver.getsockname()[1]}")
        for start in range(0, round((seconds + 1) * RATE), BLOCK):
            block = np.stack([sound[begin + start : begin + start + BLOCK] for begin in begins], axis=1)
            began = time.process_time()
            emissions = engine.push(block)
            for emission in emissions:
                sink.send(emission)
            took = time.process_time() - began
            if start >= RATE:
                spent += took
                emitting += [1e3 * took] if emissions else []
        memory = resident()
        sink.close()
    return Cost(count, spent / seconds, float(np.median(emitting)), memory)


def lines() -> Iterator[str]:
    """The table, and what follows from it."""
    bundle, sound = load_bundle(), minute(RATE)
    measured(bundle, sound, 1)
    gc.collect()
    yield f"{'trackers':>9}{'of one core':>13}{'x real time':>13}{'each':>9}{'emitting, ms':>14}{'MB':>7}"
    costs = []
    for count in COUNTS:
        cost = measured(bundle, sound, count)
        costs.append(cost)
        yield _row(cost)
    first, last = costs[0], costs[-1]
    each = last.load / last.trackers
    yield f"memory of a tracker: {(last.memory - first.memory) / (last.trackers - first.trackers):.2f} MB"
    yield f"trackers until x real time falls to 1: {1 / each:.0f}; with {SPARE:.0%} of the core to spare:"
    yield _row(measured(bundle, sound, int(SPARE / each)))


def _row(cost: Cost) -> str:
    share = cost.load / cost.trackers
    return f"{cost.trackers:9}{cost.load:13.1%}{1 / cost.load:13.1f}{share:9.2%}{cost.emitting:14.1f}{cost.memory:7.0f}"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
