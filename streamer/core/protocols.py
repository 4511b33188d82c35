"""The interfaces of sources, sinks, engines and listeners; any object that has them will do, as in the tests."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .affect import Affect

Block = NDArray[np.float32]


class Source(Protocol):
    """Where sound comes from: a thread (PortAudio's or its own) that only passes blocks on."""

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
        """True for sound that cannot wait: frames that do not fit into the ring are lost, and counted."""
        ...

    @property
    def flags(self) -> int:
        """How many times the device reported an overflow or another fault so far."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the input is away now, and replaced by silence until it is back."""
        ...

    @property
    def losses(self) -> int:
        """How many times the input was lost so far."""
        ...

    @property
    def filled(self) -> int:
        """Frames of silence that replaced the input so far."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why the source's thread ended, if a fault ended it."""
        ...

    def start(self, write: Callable[[Block], int]) -> None:
        """Begin calling ``write`` with float32 blocks (n, channels); it returns how many frames fitted.

        A live source drops what did not fit (the ring counts it); a file waits and writes the rest again.
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
    """The engine as the session sees it."""

    @property
    def bad_samples(self) -> int:
        """NaN and infinite samples so far, taken as 0."""
        ...

    def warm_up(self) -> None:
        """Compile and load all that the first samples would wait for."""
        ...

    def push(self, samples: NDArray[np.float32]) -> list[Affect]:
        """Take samples (n, channels); return the emissions that became due."""
        ...

    def finish(self) -> list[Affect]:
        """The stream is over: return the remaining emissions."""
        ...


class Listener(Protocol):
    """The listener whose personal heatmap the engine gives."""

    def hear(
        self, time: float, theta: NDArray[np.float64], heatmap: NDArray[np.float64], texture: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Give the listener's heatmap; called once for each emission.

        Parameters
        ----------
        time : stream time in seconds.
        theta : (K,), the topic posterior.
        heatmap : (121,), the model's own.
        texture : (V,), the acoustic vector.

        Returns
        -------
        ndarray
            The listener's heatmap (121,), sum 1.
        """
        ...


class Resumable(Protocol):
    """The engine as a checkpoint sees it."""

    @property
    def state(self) -> Any:
        """Its whole state."""
        ...

    def resume(self, state: Any) -> None:
        """Start from ``state``; before the first samples. ValueError: nothing comes of it, and all is as it was."""
        ...


class ResumableEngine(EngineLike, Resumable, Protocol):
    """An engine whose state can be saved and restored."""
