"""What the small HTTP servers have in common: whose turn it is, and whether they are meant at all."""

import ipaddress
import socket
import threading
from collections import Counter
from contextlib import suppress
from typing import Generic, TypeVar
from urllib.parse import urlsplit

# Ends of names that nobody can have on the internet: RFC 6761, 6762, 8375 and ICANN's "internal"; and what routers use.
# Not all of "arpa": whoever has a block of addresses may have names in ip6.arpa.
_LOCAL_ENDS = (".local", ".localhost", ".internal", ".home.arpa", ".lan", ".home")

T = TypeVar("T")


class Seats(Generic[T]):
    """Bounds the connections: a newcomer takes the seat of the one that has been asking for longest, if all are taken.

    Whoever sends its request slowly, or none, can so hold no seat for which another would wait. From any thread.

    Parameters
    ----------
    most : connections at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._asking: dict[T, str] = {}  # whose request is not whole yet -> address, oldest first
        self._asked: set[T] = set()

    def enter(self, newcomer: T, address: str) -> T | None:
        """Seat a newcomer.

        Returns
        -------
        T or None
            Whose connection is to be ended for it: of the address with the most that are still asking, the oldest. The
            newcomer itself, if nobody else is asking. None: nobody.
        """
        with self._lock:
            if len(self._asking) + len(self._asked) < self._most:
                self._asking[newcomer] = address
                return None
            if not self._asking:
                return newcomer
            ((crowd, _),) = Counter(self._asking.values()).most_common(1)
            leaving = next(each for each, of in self._asking.items() if of == crowd)
            del self._asking[leaving]
            self._asking[newcomer] = address
            return leaving

    def asked(self, who: T) -> None:
        """Its request is whole: it keeps its seat until it leaves."""
        with self._lock:
            if self._asking.pop(who, None) is not None:
                self._asked.add(who)

    def leave(self, who: T) -> None:
        """Its connection has ended; may be called twice."""
        with self._lock:
            self._asking.pop(who, None)
            self._asked.discard(who)


def is_own_host(header: str | None) -> bool:
    """Whether a ``Host`` header means this machine, rather than a site whose name was pointed at it (DNS rebinding).

    An address, or a name that nobody can have on the internet: localhost, one without a dot, this machine's own, one of
    the local network. Programs that send none are no browsers.
    """
    if header is None:
        return True
    try:
        host = (urlsplit(f"//{header.strip()}").hostname or "").rstrip(".").lower()
    except ValueError:
        return False
    with suppress(ValueError):
        ipaddress.ip_address(host.partition("%")[0])
        return True
    own = socket.gethostname().lower()
    return bool(host) and ("." not in host or host == own or host.endswith(_LOCAL_ENDS))
