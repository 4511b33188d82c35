"""How often something is taken: buckets that fill up again."""

import time
from collections.abc import Callable

PER_SECOND, BURST = 10.0, 20.0  # ratings of one listener that are taken; a finger on a pad sends a hundred


class Allowance:
    """How many ratings are taken: a bucket for each listener holds 20 and fills up again by 10 a second.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # name -> how many more, as of when

    def take(self, name: str) -> bool:
        """Whether one more of ``name``'s is taken now."""
        now = time.monotonic()
        levels = {each: min(left + (now - then) * PER_SECOND, BURST) for each, (left, then) in self._left.items()}
        self._left = {each: (level, now) for each, level in levels.items() if level < BURST}
        level = levels.get(name, BURST)
        if level < 1.0:
            return False
        self._left[name] = level - 1.0, now
        return True


class Bucket:
    """Allows ``rate`` a second in the long run and ``burst`` at once; overdrawn, it allows nothing for a while."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts full, on ``clock`` (seconds, never going back)."""
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._filled = clock()

    def has_one(self) -> bool:
        """Whether one may be taken now."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._filled) * self._rate)
        self._filled = now
        return self._left >= 1.0

    def take(self, count: int) -> None:
        """Take so many, be it more than are left."""
        self._left -= count
