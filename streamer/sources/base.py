"""The thread and the pacing that sources other than devices share."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from ..core.protocols import Block
from ..core.standstill import LONGEST_PAUSE

ROOM_POLL = 0.002  # s between two checks for space in the ring, which holds a thousand times as much


class RealtimePacer:
    """When each block of a recording is due, played as if live.

    A block is due when its last sample would have sounded, counted from the start of the recording and not from the
    block before: a delay is made up for, and errors do not add up over hours. One of more than a second is not, since
    nobody wants the minutes of a machine's sleep in a burst: the recording goes on from where it was.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start now, on ``clock`` (monotonic, in seconds)."""
        self._rate = rate
        self._clock = clock
        self._start = clock()

    def remaining(self, frames: int) -> float:
        """Seconds from now until ``frames`` frames have sounded since the start; negative when that is past."""
        left = self._start + frames / self._rate - self._clock()
        if left < -LONGEST_PAUSE:
            self._start -= left
            return 0.0
        return left


class ThreadedSource(ABC):
    """Base of ``Memory`` and ``AudioFile``: they give the blocks, this passes them on from its own thread.

    Parameters
    ----------
    name : what a person would call it.
    rate : samples per second.
    channels : of each block.
    paced : each block comes when it would have sounded; otherwise as fast as it is taken.
    """

    live = False

    def __init__(self, name: str, rate: int, channels: int, paced: bool = False) -> None:
        self._name = name
        self._rate = rate
        self._channels = channels
        self._paced = paced
        self._failure: BaseException | None = None
        self._finished = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """What a person would call it."""
        return self._name

    @property
    def rate(self) -> int:
        """Samples per second."""
        return self._rate

    @property
    def channels(self) -> int:
        """Channels of each block."""
        return self._channels

    @property
    def flags(self) -> int:
        """Always 0: no device, no device faults."""
        return 0

    @property
    def lost(self) -> bool:
        """Always False: a recording does not go away."""
        return False

    @property
    def losses(self) -> int:
        """Always 0."""
        return 0

    @property
    def filled(self) -> int:
        """Always 0."""
        return 0

    @property
    def failure(self) -> BaseException | None:
        """Why the thread ended, if a fault ended it."""
        return self._failure

    @property
    def finished(self) -> bool:
        """True once no further block will come."""
        return self._finished.is_set()

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """The sound from its beginning, as float32 blocks (n, channels)."""

    def start(self, write: Callable[[Block], int]) -> None:
        """Pass the blocks to ``write`` from a thread of its own; what does not fit is offered again. Once only."""
        if self._thread is not None or self._stopping.is_set():
            raise RuntimeError(f"{self._name}: a source is started once")
        self._thread = threading.Thread(target=self._feed, args=(write,), name=f"source {self._name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; may be called twice, and before ``start``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._finished.set()

    def _feed(self, write: Callable[[Block], int]) -> None:
        try:
            pace = RealtimePacer(self._rate) if self._paced else None
            sent = 0
            for block in self.blocks():
                sent += len(block)
                if pace is not None:
                    self._stopping.wait(max(0.0, pace.remaining(sent)))
                if not self._write_all(block, write):
                    return
        except Exception as error:  # noqa: BLE001  the session raises it
            self._failure = error
        finally:
            self._finished.set()

    def _write_all(self, block: Block, write: Callable[[Block], int]) -> bool:
        """Write all of ``block``, waiting for space; False when asked to stop."""
        while not self._stopping.is_set():
            block = block[write(block) :]
            if not len(block):
                return True
            self._stopping.wait(ROOM_POLL)
        return False
