"""A ring of audio frames between one producer thread and one consumer thread.

Contract
--------
- One thread writes, one thread reads. Each number has exactly one writer: ``written`` and ``dropped`` belong to the
  producer, ``taken`` to the consumer; both only grow, and what lies between them is what the ring holds. No lock is
  taken around the samples: a side publishes its number only after its copy is complete. (The event used for waiting
  holds a lock for a few instructions; the frames never depend on it.)
- Nothing is allocated after construction on the writing side, so an audio callback may call it.
- The producer decides what happens to frames that do not fit, by the method it calls: :meth:`Ring.write` leaves them
  to the producer, who offers them again (a file: back-pressure, no loss); :meth:`Ring.write_or_drop` drops and counts
  them (a device: the moment has passed). So ``dropped`` is exactly what was lost, and for any interleaving
  frames passed in = taken + available + dropped, in order.

How it is tested: a hypothesis machine replays arbitrary interleavings of both writes and of reads against a plain list
(order and every count); two real threads pass a long ramp through a small ring, once with back-pressure (nothing may be
missing) and once with drops (what is missing must equal ``dropped``).
"""

import threading

import numpy as np
from numpy.typing import NDArray

from .protocols import Block


class Ring:
    """Single-producer, single-consumer ring of float32 frames; see the module's contract."""

    def __init__(self, capacity: int, channels: int) -> None:
        """Make room for ``capacity`` frames of ``channels`` samples, both at least 1 (else ValueError)."""
        if capacity < 1 or channels < 1:
            raise ValueError(f"a ring needs room and channels, not {capacity} frames of {channels}")
        self._frames: NDArray[np.float32] = np.zeros((capacity, channels), dtype=np.float32)
        self._written = 0  # producer's
        self._dropped = 0  # producer's
        self._taken = 0  # consumer's
        self._data_available = threading.Event()

    @property
    def capacity(self) -> int:
        """Frames that fit."""
        return len(self._frames)

    @property
    def channels(self) -> int:
        """Samples per frame."""
        return self._frames.shape[1]

    @property
    def written(self) -> int:
        """Frames that were written since the beginning."""
        return self._written

    @property
    def taken(self) -> int:
        """Frames that were read since the beginning."""
        return self._taken

    @property
    def dropped(self) -> int:
        """Frames that did not fit and were dropped."""
        return self._dropped

    @property
    def available(self) -> int:
        """Frames that can be read now: exact for the consumer, at least what is there for the producer."""
        return self._written - self._taken

    def write(self, block: Block) -> int:
        """Copy in what fits of ``block`` (n, channels); return how many frames. The rest stays with the caller."""
        written = self._written
        count = min(len(block), self.capacity - (written - self._taken))
        if count:
            begin = written % self.capacity
            first = min(count, self.capacity - begin)
            self._frames[begin : begin + first] = block[:first]
            self._frames[: count - first] = block[first:count]
            self._written = written + count  # publishes the copy
        if not self._data_available.is_set():
            self._data_available.set()
        return count

    def write_or_drop(self, block: Block) -> int:
        """Like :meth:`write`, but what does not fit is lost and counted in ``dropped``."""
        count = self.write(block)
        self._dropped += len(block) - count
        return count

    def read(self, max_frames: int) -> Block:
        """Take up to ``max_frames`` of the oldest frames, as a copy (n, channels); n is 0 when there are none."""
        taken = self._taken
        count = max(0, min(max_frames, self._written - taken))
        begin = taken % self.capacity
        first = min(count, self.capacity - begin)
        block = np.empty((count, self.channels), dtype=np.float32)
        block[:first] = self._frames[begin : begin + first]
        block[first:] = self._frames[: count - first]
        self._taken = taken + count  # frees the space
        return block

    def discard(self) -> int:
        """Consumer: leave out all frames that are there; return how many. They count as ``taken``."""
        count = self._written - self._taken
        self._taken += count
        return count

    def wait(self, timeout: float) -> bool:
        """Consumer: sleep until frames are available, at most ``timeout`` seconds; return whether there are any.

        May return early without frames: a write that happened before the last read still sets the event.
        """
        if self.available:
            return True
        self._data_available.wait(timeout)
        # Cleared before checking: a write after this line sets it again, one before it is seen by the check.
        self._data_available.clear()
        return self.available > 0
