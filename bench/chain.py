"""The whole live chain, pushed in blocks of 20 ms as a sound card would; and an hour of it, as a program of its own.

``python -m bench.chain`` runs the hour in a fresh process that holds nothing else, and prints what it saw as JSON:
what became of the clock, how long a push took that gave an emission until its OSC packet was out, and the memory.
"""

import json
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from valaro.models import load_bundle
from valaro.streamer import Affect, Engine
from valaro.streamer.sinks import Osc

from .material import Float32, minute

_MINUTES = 60


def stereo(rate: int) -> Float32:
    """The minute of music on two channels, (n, 2)."""
    mono = minute(rate)
    return np.stack([mono, mono[::-1]], axis=1)


def feed(engine: Engine, samples: Float32, rate: int) -> list[Affect]:
    """Push samples (n,) or (n, channels) in blocks of 20 ms."""
    size = rate // 50
    emissions = []
    for start in range(0, len(samples), size):
        emissions += engine.push(samples[start : start + size])
    return emissions


def resident() -> float:
    """Memory of this process now, in MB; at its largest where the system does not tell (macOS, Windows)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def hour(rate: int = 48_000) -> dict[str, Any]:
    """An hour of stereo through engine and OSC sink, as fast as it goes."""
    samples = stereo(rate)
    size = rate // 50
    engine = Engine(load_bundle(), rate)
    engine.warm_up()
    times, milliseconds, memory = [], [], []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        sink = Osc(f"127.0.0.1:{receiver.getsockname()[1]}")
        for _ in range(_MINUTES):
            for start in range(0, len(samples), size):
                before = time.perf_counter()
                emissions = engine.push(samples[start : start + size])
                for emission in emissions:
                    sink.send(emission)
                if emissions:
                    milliseconds.append(1e3 * (time.perf_counter() - before))
                    times.append(emissions[0].time)
                    receiver.recv(65536)
            memory.append(resident())
        sink.close()
    p50, p99, p999 = np.percentile(milliseconds, [50, 99, 99.9])
    # soxr keeps the last milliseconds to itself until more comes: the last emission of all may still be in there.
    times += [emission.time for emission in engine.finish()]
    return {
        "emissions": len(times),
        "drift": float(np.abs(np.array(times) - 0.5 * np.arange(1, len(times) + 1)).max()),
        "latency_ms": {"p50": p50, "p99": p99, "p99.9": p999, "max": max(milliseconds)},
        "memory_mb": memory[-1],
        "growth_mb": memory[-1] - memory[9],  # from ten minutes to the hour
    }


if __name__ == "__main__":
    print(json.dumps(hour()))
