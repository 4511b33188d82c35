"""Notifications to systemd that the tracker is ready, alive and ending: sd_notify's datagrams, lines of text."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ...core.affect import Affect

_STATUS_INTERVAL = 10.0  # s from one status line to the next


class Watchdog:
    """A sink that sends the service manager ``READY=1`` at the first emission and ``WATCHDOG=1`` at later ones.

    The address and the interval are those that systemd puts in the environment (``NOTIFY_SOCKET``, ``WATCHDOG_USEC``
    and ``WATCHDOG_PID``, see sd_notify(3) and sd_watchdog_enabled(3)); where it puts none, nothing is sent.
    ``WATCHDOG=1`` is sent twice in each interval, and ``STATUS=`` every 10 s. It is the last of the sinks, so that one
    that hangs has the service restarted.

    ``send`` raises OSError when the manager cannot be reached, and tries again with the next emission.

    Parameters
    ----------
    environment : the environment's variables.
    clock : a monotonic clock, s.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of a name in the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._interval = _interval(environment)
        self._clock = clock
        self._ready = False
        self._watchdog_at = self._status_at = -float("inf")
        self._emissions = 0

    def send(self, affect: Affect) -> None:
        """Send what is due."""
        if not self._address:
            return
        self._emissions += 1
        now = self._clock()
        watchdog_due = self._interval is not None and now - self._watchdog_at >= self._interval
        status_due = now - self._status_at >= _STATUS_INTERVAL
        lines = [] if self._ready else ["READY=1"]
        lines += ["WATCHDOG=1"] if watchdog_due else []
        lines += [f"STATUS={_status(affect, self._emissions)}"] if status_due else []
        if not lines:
            return
        self._notify(lines)
        self._ready = True
        self._watchdog_at = now if watchdog_due else self._watchdog_at
        self._status_at = now if status_due else self._status_at

    def close(self) -> None:
        """Send ``STOPPING=1``; a manager that cannot be reached is ignored. May be called twice."""
        if self._address:
            with suppress(OSError):  # the address is also inherited, in a shell that outlived its own manager
                self._notify(["STOPPING=1", "STATUS=ending"])
            self._address = ""

    def _notify(self, lines: list[str]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)  # a manager that does not read must not hold up the music
            manager.sendto("\n".join(lines).encode(), self._address)


def _interval(environment: Mapping[str, str]) -> float | None:
    """Seconds between two watchdog notifications; None when systemd does not ask for them."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2e6


def _status(affect: Affect, emissions: int) -> str:
    emotion = f"valence {affect.valence:+.2f}, arousal {affect.arousal:+.2f}"
    return f"{affect.activity}, {emotion}; {emissions} emissions"
