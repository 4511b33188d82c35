"""Turns the movements of fingers on XY pads into ratings: one when a finger rests or lifts."""

from ..errors import InputError
from .senders import Sender

REST = 0.5  # s without a message after which a finger counts as resting
MOST_FINGERS = 16  # of one sender at a time
Place = tuple[float, float, str]  # valence, arousal, and whose rating it is, "" if unknown


class Pads:
    """Where each finger is until it rests or lifts: a finger is that of one sender and one name."""

    def __init__(self) -> None:
        self._fingers: dict[Sender, dict[str, tuple[Place, float]]] = {}

    def move(self, sender: Sender, place: Place, now: float) -> None:
        """The finger of ``place``'s name is there at ``now`` s.

        Raises
        ------
        InputError
            Too many other fingers of this sender are moving.
        """
        fingers = self._fingers.setdefault(sender, {})
        if len(fingers) >= MOST_FINGERS and place[2] not in fingers:
            raise InputError(f"at most {MOST_FINGERS} fingers of one sender at a time")
        fingers[place[2]] = place, now

    def lift(self, sender: Sender, name: str = "") -> Place | None:
        """Where a finger was as it lifted; None if none of this name moves: it has come to rest there already.

        Without a name it is the finger that has none, or the only one that moves. Where several move, nobody can tell
        whose it is, and each of them is left to come to rest.
        """
        fingers = self._fingers.get(sender, {})
        if not name and name not in fingers and len(fingers) == 1:
            (name,) = fingers
        moving = fingers.pop(name, None)
        if not fingers:
            self._fingers.pop(sender, None)
        return None if moving is None else moving[0]

    def rested(self, now: float) -> list[tuple[Sender, Place]]:
        """Each finger that has not moved for REST seconds, once, the first that came to rest first."""
        resting = sorted(
            (moved, sender, place)
            for sender, fingers in self._fingers.items()
            for place, moved in fingers.values()
            if now - moved >= REST
        )
        for _, sender, place in resting:
            self.lift(sender, place[2])
        return [(sender, place) for _, sender, place in resting]
