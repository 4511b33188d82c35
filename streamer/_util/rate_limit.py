"""Token buckets."""

import time
from collections.abc import Callable

PER_SECOND, BURST = 10.0, 20.0  # ratings of one listener that are accepted; a finger on a pad sends a hundred


class Allowance:
    """A token bucket for each listener's ratings from each sender: it holds 20 and refills at 10 a second.

    A program that floods under a listener's name so leaves that listener's own pad its ratings. For one thread at a
    time.
    """

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], tuple[float, float]] = {}  # tokens, and when they were counted

    def take(self, name: str, sender: str = "") -> bool:
        """Take one of the tokens of ``name`` at ``sender``, if there is one; return whether there was."""
        now = time.monotonic()
        levels = {whose: min(left + (now - then) * PER_SECOND, BURST) for whose, (left, then) in self._left.items()}
        self._left = {whose: (level, now) for whose, level in levels.items() if level < BURST}
        level = levels.get((name, sender), BURST)
        if level < 1.0:
            return False
        self._left[name, sender] = level - 1.0, now
        return True


class Bucket:
    """A token bucket: ``rate`` a second in the long run and ``burst`` at once; it may be overdrawn."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start full, on ``clock`` (monotonic, in seconds)."""
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._filled = clock()

    def has_one(self) -> bool:
        """Whether there is a token now."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._filled) * self._rate)
        self._filled = now
        return self._left >= 1.0

    def take(self, count: int) -> None:
        """Take ``count`` tokens, even if that overdraws the bucket."""
        self._left -= count
