"""Turns the movements of a finger on an XY pad into ratings: one when it rests or lifts."""

from typing import Any, TypeVar

REST = 0.5  # s without a message after which a finger counts as resting
MOST_HOSTS = 64  # hosts whose reply port or finger is remembered
Sender = tuple[Any, ...]  # host, port, and for IPv6 two numbers more
Place = tuple[float, float, str]  # valence, arousal, and whose rating it is, "" if unknown
T = TypeVar("T")


class Pads:
    """Where the finger of each host is on its XY pad, until it rests or lifts."""

    def __init__(self) -> None:
        self._moving: dict[str, tuple[Sender, Place, float]] = {}

    def move(self, sender: Sender, place: Place, now: float) -> None:
        """The finger is at ``place`` at ``now`` s."""
        remember(self._moving, sender[0], (sender, place, now))

    def lift(self, sender: Sender) -> Place | None:
        """Where the finger was; None if it has come to rest there already."""
        moving = self._moving.pop(sender[0], None)
        return None if moving is None else moving[1]

    def rested(self, now: float) -> list[tuple[Sender, Place]]:
        """Each finger that has not moved for REST seconds, once."""
        resting = [host for host, (_, _, moved) in self._moving.items() if now - moved >= REST]
        return [self._moving.pop(host)[:2] for host in resting]


def remember(values_by_host: dict[str, T], host: str, value: T) -> None:
    """Store ``value`` for ``host``; of more than MOST_HOSTS the least recently updated one is dropped."""
    values_by_host.pop(host, None)
    values_by_host[host] = value
    if len(values_by_host) > MOST_HOSTS:
        del values_by_host[next(iter(values_by_host))]
