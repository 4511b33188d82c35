"""Who sends: how much each sender may, and what is remembered of it, in a table that no flood can fill for others.

A sender is an address and a port: two programs of one machine are two senders. No address proves anything, so that
whoever sends from ever-new ports (or forges addresses) must neither get a fresh allowance with each of them, nor push
those out who were there before.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .._util.rate_limit import Bucket

Sender = tuple[Any, ...]  # host, port, and for IPv6 two numbers more

# Messages a second in the long run, and at once.
OWN = 100.0, 100.0  # of one sender, whatever others do; a finger on a pad sends 60 to 100
SHARED = 400.0, 200.0  # of all senders of one host together, beyond their own: such as a desk with several pads
STRANGERS = 50.0, 50.0  # of the senders of one host that are not known yet: tools take a new port for each message
TOTAL = 4_000.0, 4_000.0  # of all hosts: more than one alone may send
NEW_HOSTS = 20.0, 50.0  # hosts, rather than messages
ANSWERS = 50.0, 25.0  # to one sender, so that nobody whose address was forged is flooded
REPORTS = 5.0 / 60.0, 5.0  # lines in the log about one host

MOST_SENDERS = 32  # of one host
MOST_HOSTS = 64
HOLD = 60.0  # s of silence after which a sender or a host makes room for a new one: all its buckets are full then


@dataclass(slots=True)
class Seat:
    """What is remembered of one sender.

    Parameters
    ----------
    answers : the allowance for answers to it.
    reports : the allowance for lines about its host.
    lasting : whether it is in the table; else it is forgotten after this message, since its host has too many.
    reply_port : where it wants its answers, None for the port that it sends from.
    silent_until : when the log may speak of it again.
    silent_about_others_until : when it is told again that an address is not one of Valaro's.
    pays : the bucket that the newest packet is taken from.
    """

    own: Bucket
    answers: Bucket
    reports: Bucket
    lasting: bool
    seen: float
    pays: Bucket
    reply_port: int | None = None
    silent_until: float = 0.0
    silent_about_others_until: float = 0.0


@dataclass(slots=True)
class _Host:
    shared: Bucket
    strangers: Bucket
    reports: Bucket
    seen: float
    seats: dict[Sender, Seat] = field(default_factory=dict)  # least recently heard first


class Senders:
    """The table of those who send. Its methods are for one thread, but for :meth:`seat`.

    Parameters
    ----------
    clock : monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: dict[Any, _Host] = {}  # least recently heard first
        self._total = self._bucket(TOTAL)
        self._new_hosts = self._bucket(NEW_HOSTS)

    def admit(self, sender: Sender) -> Seat | None:
        """The seat of a sender whose packet may be read now; None: it sent too much, and the packet goes unread.

        What the packet turns out to hold is then taken with :meth:`take`.
        """
        if not self._total.has_one():
            return None
        now, name = self._clock(), _host(sender)
        host = self._hosts.get(name) or self._new_host(name, now)
        if host is None:
            return None
        seat = host.seats.get(sender)
        if seat is None:
            return self._new_seat(host, sender, now)
        seat.pays = seat.own if seat.own.has_one() else host.shared
        if not seat.pays.has_one():
            return None
        seat.seen = host.seen = now
        host.seats[sender] = host.seats.pop(sender)
        self._hosts[name] = self._hosts.pop(name)
        return seat

    def take(self, seat: Seat, messages: int) -> None:
        """Take so many messages of an admitted packet from what its sender may send."""
        seat.pays.take(messages)
        self._total.take(messages)

    def seat(self, sender: Sender) -> Seat:
        """The seat of a sender, or one that does not last; from any thread."""
        host = self._hosts.get(_host(sender))
        seat = None if host is None else host.seats.get(sender)
        return seat or self._made(None, self._clock(), lasting=False)

    def _new_host(self, name: Any, now: float) -> _Host | None:
        if not self._new_hosts.has_one() or not _has_room(self._hosts, MOST_HOSTS, now):
            return None
        self._new_hosts.take(1)
        host = _Host(self._bucket(SHARED), self._bucket(STRANGERS), self._bucket(REPORTS), now)
        self._hosts[name] = host
        return host

    def _new_seat(self, host: _Host, sender: Sender, now: float) -> Seat | None:
        if not host.strangers.has_one():
            return None
        seat = self._made(host, now, lasting=_has_room(host.seats, MOST_SENDERS, now))
        if seat.lasting:
            host.seats[sender] = seat
        host.seen = now
        name = _host(sender)
        self._hosts[name] = self._hosts.pop(name)
        return seat

    def _made(self, host: _Host | None, now: float, *, lasting: bool) -> Seat:
        own, reports = self._bucket(OWN), self._bucket(REPORTS) if host is None else host.reports
        pays = own if host is None else host.strangers
        return Seat(own, self._bucket(ANSWERS), reports, lasting, now, pays)

    def _bucket(self, allowance: tuple[float, float]) -> Bucket:
        return Bucket(*allowance, clock=self._clock)


def _host(sender: Sender) -> Any:
    """The host without the port, but with the network that a link-local address of IPv6 is on."""
    name, _, *network = sender
    return (name, *network[1:]) if network else name


def _has_room(table: "dict[Any, Seat] | dict[Any, _Host]", most: int, now: float) -> bool:
    """Whether there is room for a new one, perhaps where one was that has been silent for long."""
    if len(table) < most:
        return True
    oldest = next(iter(table))
    if now - table[oldest].seen < HOLD:
        return False
    del table[oldest]
    return True
