"""A source: a tone, at its own pace. Another would read from hardware or from the network."""

import threading
import time
from collections.abc import Callable

import numpy as np


class Tone:
    name = "a tone"
    rate = 48_000
    channels = 1
    live = True  # it does not wait: what finds no room is lost, and counted
    lost = False
    flags = losses = filled = 0
    failure = None

    def __init__(self, pitch: float = 440.0, seconds: float = float("inf")) -> None:
        if not 0.0 < pitch < self.rate / 2:
            raise ValueError(f"a pitch lies between 0 and {self.rate / 2:g} Hz, not at {pitch:g}")
        self._pitch = pitch
        self._seconds = seconds
        self._over = threading.Event()

    @property
    def finished(self) -> bool:
        return self._over.is_set()

    def start(self, write: Callable[[np.ndarray], int]) -> None:
        threading.Thread(target=self._run, args=(write,), daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _run(self, write: Callable[[np.ndarray], int]) -> None:
        size, began, sent = self.rate // 50, time.monotonic(), 0
        while sent < self._seconds * self.rate and not self._over.is_set():
            moments = (np.arange(size) + sent) / self.rate
            write(0.3 * np.sin(2 * np.pi * self._pitch * moments).astype(np.float32)[:, None])
            sent += size
            self._over.wait(max(0.0, began + sent / self.rate - time.monotonic()))
        self._over.set()
