"""Whether this program stood still: stopped (SIGSTOP), or suspended together with its machine."""

import time
from collections.abc import Callable

LONGEST_PAUSE = 1.0  # s; what is longer was no wait for a turn on a busy machine


def clock() -> float:
    """Seconds by a clock that nobody sets; on Linux it goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Standstill:
    """Compares the time from one call of :meth:`seconds` to the next with what was to pass.

    Parameters
    ----------
    now : a clock in seconds; :func:`clock` unless given.
    """

    def __init__(self, now: Callable[[], float] = clock) -> None:
        self._now = now
        self._before = now()

    def seconds(self, expected: float = 0.0) -> float:
        """Seconds since the call before beyond ``expected``; 0 where they are at most a second."""
        now = self._now()
        passed, self._before = now - self._before - expected, now
        return passed if passed > LONGEST_PAUSE else 0.0
