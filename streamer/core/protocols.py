"""What the session asks of a source and of a sink; anything of these shapes can stand in (the tests do)."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .affect import Affect

Block = NDArray[np.float32]


class Source(Protocol):
    """Where sound comes from: a thread (PortAudio's or its own) that only hands blocks on."""

    @property
    def name(self) -> str:
        """What a person would call it: the device's or the file's name."""
        ...

    @property
    def rate(self) -> int:
        """Samples per second; known from construction on."""
        ...

    @property
    def channels(self) -> int:
        """Channels of each block; known from construction on."""
        ...

    @property
    def live(self) -> bool:
        """True for sound that does not wait: frames that find no room are lost, and counted as such."""
        ...

    @property
    def flags(self) -> int:
        """How many times the device reported an overflow or another fault so far."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the input is away now, and silence stands in for it until it is back."""
        ...

    @property
    def losses(self) -> int:
        """How many times that happened so far."""
        ...

    @property
    def filled(self) -> int:
        """Frames of silence that stood in for it so far."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why the source's thread ended, if a fault ended it."""
        ...

    def start(self, write: Callable[[Block], int]) -> None:
        """Begin calling ``write`` with float32 blocks (n, channels); it returns how many frames found room.

        A live source drops what found no room (the ring counts it); a file waits and writes the rest again.
        """
        ...

    def stop(self) -> None:
        """End the thread and close the device; may be called twice, and before ``start``."""
        ...

    @property
    def finished(self) -> bool:
        """True once no further block will come."""
        ...


class Sink(Protocol):
    """Where emissions go. ``send`` is called from the session's thread and may not block on the outside world."""

    def send(self, affect: Affect) -> None:
        """Take one emission."""
        ...

    def close(self) -> None:
        """Flush and release; may be called twice."""
        ...


class EngineLike(Protocol):
    """What the session asks of an engine."""

    @property
    def bad_samples(self) -> int:
        """NaN and infinite samples so far, taken as 0."""
        ...

    def warm_up(self) -> None:
        """Compile and load all that the first samples would wait for."""
        ...

    def push(self, samples: NDArray[np.float32]) -> list[Affect]:
        """Take samples (n, channels); the emissions that they complete."""
        ...

    def finish(self) -> list[Affect]:
        """The sound is over: the emissions that were still held back."""
        ...


class Listener(Protocol):
    """Whose heatmap the engine gives, if not everybody's."""

    def hear(
        self, time: float, theta: NDArray[np.float64], heatmap: NDArray[np.float64], texture: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Take what was heard at ``time`` s, once an emission; return the listener's heatmap (121,) of it, sum 1.

        theta (K,) is the topic posterior, heatmap (121,) the model's own, texture (V,) the acoustic vector.
        """
        ...


class Resumable(Protocol):
    """What a checkpoint asks of an engine."""

    @property
    def state(self) -> Any:
        """All that it remembers of the music now."""
        ...

    def resume(self, state: Any) -> None:
        """Begin with that; before the first samples."""
        ...


class ResumableEngine(EngineLike, Resumable, Protocol):
    """An engine whose memory may be kept and given back."""
