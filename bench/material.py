"""What is measured on: one minute of music, real where it is at hand; and how, so that a noisy machine does not tell.

Costs are CPU time of this process, on one thread (`make bench` sees to that), as medians; sides of a comparison take
turns, so that whatever else the machine does meanwhile meets both.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from valaro.models.features.frame import BLOCK, RATE
from valaro.streamer.sources.demo import demo_piece

Float32 = NDArray[np.float32]

SECONDS = 60
_SONG = "open_music/Kevin_MacLeod_-_Vibe_Ace.hq.ogg"


def song_path() -> Path | None:
    """A real piece of music in the folder of data ($VALARO_DATA, or shared/data beside the checkout)."""
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    path = Path(os.environ.get("VALARO_DATA", beside)) / _SONG
    return path if path.is_file() else None


def minute(rate: int = RATE) -> Float32:
    """One minute of mono music at ``rate``: real where it is at hand, the project's own piece elsewhere."""
    path = song_path()
    if path is None:
        return demo_piece(rate)[: SECONDS * rate]  # it is four seconds longer
    samples, native = soundfile.read(path, dtype="float32", always_2d=True)
    mono = np.asarray(soxr.resample(samples.mean(axis=1), native, rate), dtype=np.float32)
    return np.ascontiguousarray(np.resize(mono, SECONDS * rate))  # shorter pieces begin again


def blocks(samples: Float32) -> list[Float32]:
    """Cut 24 kHz sound into the extractor's blocks of 100 ms."""
    return [samples[start : start + BLOCK] for start in range(0, samples.size - BLOCK + 1, BLOCK)]


def costs(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, NDArray[np.float64]]:
    """CPU seconds of each side, (rounds,), in turns, after one run each that is not counted."""
    for run in sides.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: np.array(values) for name, values in seconds.items()}
