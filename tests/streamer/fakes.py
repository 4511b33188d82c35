"""Real sources, sinks and a small engine, for the tests of what stands between them."""

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.protocols import Block

PER_EMISSION = 12_000  # frames


def neutral(time: float, level: float = 0.0) -> Affect:
    """An emission that says nothing."""
    return Affect(
        time=time,
        valence=0.0,
        arousal=0.0,
        covariance=np.eye(2),
        heatmap=np.full((11, 11), 1 / 121),
        quadrants=np.full(4, 0.25),
        confidence=0.0,
        level=level,
        activity="music",
    )


class CountingEngine:
    """An engine that keeps what it gets and emits every 12,000 frames, and once more at the end for what is left."""

    def __init__(self, rate: int = 24_000) -> None:
        self.rate = rate
        self.blocks: list[Block] = []
        self.frames = 0
        self.bad_samples = 0
        self.warm = False
        self.finishes = 0
        self._emitted = 0

    @property
    def heard(self) -> NDArray[np.float32]:
        """All frames so far, (n, channels)."""
        return np.concatenate(self.blocks)

    def warm_up(self) -> None:
        self.warm = True

    def push(self, samples: NDArray[np.float32]) -> list[Affect]:
        self.blocks.append(samples)
        self.frames += len(samples)
        self.bad_samples += int(np.count_nonzero(~np.isfinite(samples)))
        emissions = []
        while self._emitted + PER_EMISSION <= self.frames:
            self._emitted += PER_EMISSION
            emissions.append(neutral(self._emitted / self.rate))
        return emissions

    def finish(self) -> list[Affect]:
        self.finishes += 1
        return [neutral(self.frames / self.rate)] if self.frames > self._emitted else []


class Collect:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.affects: list[Affect] = []
        self.closings = 0
        self.first = threading.Event()

    def send(self, affect: Affect) -> None:
        self.affects.append(affect)
        self.first.set()

    def close(self) -> None:
        self.closings += 1


class FullDisk(Collect):
    """A sink that fails at everything, closing too."""

    def send(self, affect: Affect) -> None:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        super().close()
        raise OSError(28, "No space left on device")


class Endless:
    """A live source: silence from a thread of its own until it is stopped, or until ``breaks`` says that it broke.

    ``burst`` frames come in the very first block, before anyone can have read.
    """

    live = True
    name = "endless"
    rate = 24_000
    channels = 1

    def __init__(self, burst: int = 0, breaks: BaseException | None = None) -> None:
        self.flags = 0
        self.lost = False
        self.losses = self.filled = 0
        self.failure: BaseException | None = None
        self.stops = 0
        self.offered = 0
        self._burst = burst
        self._breaks = breaks
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def finished(self) -> bool:
        return self._over.is_set()

    def start(self, write: Callable[[Block], int]) -> None:
        if self._burst:
            self.offered += self._burst
            write(np.zeros((self._burst, 1), dtype=np.float32))
        self._thread = threading.Thread(target=self._feed, args=(write,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stops += 1
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _feed(self, write: Callable[[Block], int]) -> None:
        block = np.zeros((2_400, 1), dtype=np.float32)
        while not self._over.wait(0.005):
            self.offered += len(block)
            write(block)
            if self._breaks is not None and self.offered > 30_000:
                self.failure = self._breaks
                self._over.set()
