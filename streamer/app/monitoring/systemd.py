"""Telling systemd that the tracker is up, alive and ending: sd_notify's datagrams, which are a line of text each."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ...core.affect import Affect

_SHOWN = 10.0  # s from one status line to the next


class Watchdog:
    """A sink that tells the service manager ``READY=1`` at the first emission and ``WATCHDOG=1`` at later ones.

    The address and the interval are those that systemd puts in the environment (``NOTIFY_SOCKET``, ``WATCHDOG_USEC``
    and ``WATCHDOG_PID``, see sd_notify(3) and sd_watchdog_enabled(3)); where it puts none, nothing is done. It is told
    twice in each interval, and a ``STATUS=`` every 10 s. As the last of the sinks it says that all of them still take
    emissions: one that hangs has the service restarted.

    ``send`` raises OSError when the manager cannot be reached, and tries again with the next emission.
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
        self._fed = self._shown = -float("inf")
        self._emissions = 0

    def send(self, affect: Affect) -> None:
        """Tell what is due."""
        if not self._address:
            return
        self._emissions += 1
        now = self._clock()
        feeding = self._interval is not None and now - self._fed >= self._interval
        showing = now - self._shown >= _SHOWN
        lines = [] if self._ready else ["READY=1"]
        lines += ["WATCHDOG=1"] if feeding else []
        lines += [f"STATUS={_status(affect, self._emissions)}"] if showing else []
        if not lines:
            return
        self._tell(lines)
        self._ready = True
        self._fed = now if feeding else self._fed
        self._shown = now if showing else self._shown

    def close(self) -> None:
        """Say that it ends, if anybody is there to hear it; may be called twice."""
        if self._address:
            with suppress(OSError):  # the address is also inherited, in a shell that outlived its own manager
                self._tell(["STOPPING=1", "STATUS=ending"])
            self._address = ""

    def _tell(self, lines: list[str]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)  # a manager that does not read must not hold up the music
            manager.sendto("\n".join(lines).encode(), self._address)


def _interval(environment: Mapping[str, str]) -> float | None:
    """Seconds between two signs of life; None when nobody waits for them."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2e6


def _status(affect: Affect, emissions: int) -> str:
    felt = f"valence {affect.valence:+.2f}, arousal {affect.arousal:+.2f}"
    return f"{affect.activity}, {felt}; {emissions} emissions"
