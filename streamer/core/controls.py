"""The settings that may change while a session runs: from OSC, OSCQuery or a program of your own, from any thread."""

import math
import threading
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from ..errors import InputError
from .affect import Affect

MOST_OFFSET = 30.0  # s
LONGEST_NAME = 64  # characters of a listener's name
MOST_LISTENERS = 16  # at a time

Answer = Callable[[BaseException | None], None]  # of a rating: None once it is done, or why it could not be


@dataclass(frozen=True, slots=True)
class Rating:
    """A listener's rating of what is heard.

    Parameters
    ----------
    time : stream time in seconds.
    valence, arousal : each in [-1, 1].
    listener : the listener's name, "" for nobody.
    source : where it came from: osc, midi, cli or api.
    sender : which program sent it, such as "10.0.0.2:5000", where one did: how many are taken is counted for each.
    """

    time: float
    valence: float
    arousal: float
    listener: str
    source: str = "api"
    sender: str = field(default="", compare=False)


class Controls:
    """The settings of a running session, checked when they are set.

    Parameters
    ----------
    offset : seconds, 0 to 30, by which everything goes out later, to line up with a delayed video.
    listener : who is listening, "" for nobody, several separated by commas.

    Attributes
    ----------
    paused : nothing goes out, while tracking goes on.
    newest : the latest emission, None before the first.

    Raises
    ------
    InputError
        A value out of range; so do the setters.
    """

    def __init__(self, *, offset: float = 0.0, listener: str = "") -> None:
        self._lock = threading.Lock()
        self._ratings = 0
        self._rating_callbacks: list[Callable[[Rating], Future[None] | None]] = []
        self.newest: Affect | None = None
        self.paused = False
        self.offset = offset
        self.listener = listener

    @property
    def offset(self) -> float:
        """Seconds, 0 to 30."""
        return self._offset

    @offset.setter
    def offset(self, seconds: float) -> None:
        if not 0.0 <= seconds <= MOST_OFFSET:  # NaN is neither
            raise InputError(f"offset must be from 0 to {MOST_OFFSET:g} seconds, not {seconds:g}")
        self._offset = float(seconds)

    @property
    def listener(self) -> str:
        """Names separated by ", ", of at most 64 printable characters each."""
        return ", ".join(self._listeners)

    @listener.setter
    def listener(self, names: str) -> None:
        self._listeners = listener_names(names)

    @property
    def listeners(self) -> tuple[str, ...]:
        """The listeners' names, one by one."""
        return self._listeners

    @property
    def ratings(self) -> int:
        """How many ratings were taken."""
        return self._ratings

    def hear_ratings(self, callback: "Callable[[Rating], Future[None] | None]") -> None:
        """Have ``callback`` called with every rating, in the thread it came by; what it raises refuses the rating.

        It may return a future, which is done, or raises, when the rating is stored or lost; None is done at once.
        """
        self._rating_callbacks.append(callback)

    def rate(
        self,
        valence: float,
        arousal: float,
        listener: str | None = None,
        source: str = "api",
        ago: float = 0.0,
        sender: str = "",
        answer: Answer | None = None,
    ) -> Rating:
        """Take a rating of what is heard now.

        Parameters
        ----------
        valence, arousal : each in [-1, 1].
        listener : whose rating it is; None: that of the only one.
        source : where it came from: osc, midi, cli or api.
        ago : seconds since the hand came to rest, for controls that rate only then.
        sender : which program sent it, where one did.
        answer : called once, unless this raises: with None when all who hear ratings are done with it (it is on the
            disk, if it is stored), or with why one of them could not. In any thread, possibly before this returns.

        Raises
        ------
        InputError
            A value outside [-1, 1], no emission yet, or several listeners and none of them named; so does a callback.
        """
        for name, value in (("valence", valence), ("arousal", arousal)):
            if not (math.isfinite(value) and -1.0 <= value <= 1.0):
                raise InputError(f"a rating's {name} must be from -1 to 1, not {value:g}")
        newest = self.newest
        if newest is None:
            raise InputError("nothing was heard yet that could be rated: wait for the first emission")
        if listener is None:
            if len(self._listeners) > 1:
                raise InputError(f"{self.listener} are here: say whose rating it is")
            listener = self.listener
        time, name = max(newest.time - ago, 0.0), listener_name(listener)
        rating = Rating(time, float(valence), float(arousal), name, source, sender)
        with self._lock:
            waiting = [done for callback in self._rating_callbacks if (done := callback(rating)) is not None]
            self._ratings += 1
        if answer is not None:
            _when_done(waiting, answer)
        return rating


def _when_done(waiting: "Sequence[Future[None]]", answer: Answer) -> None:
    """Call ``answer`` once, when all are done: with None, or with what the first of them raises."""
    if not waiting:
        answer(None)
        return

    def go_on(done: "Future[None]") -> None:
        fault = done.exception()
        if fault is not None:
            answer(fault)
        else:
            _when_done(waiting[1:], answer)

    waiting[0].add_done_callback(go_on)


def listener_name(name: str) -> str:
    """One name, composed (NFC), without space around it; "" for nobody.

    Raises
    ------
    InputError
        It is too long, not printable, or holds a comma, which separates names.
    """
    name = unicodedata.normalize("NFC", name[: 4 * LONGEST_NAME]).strip()
    if len(name) > LONGEST_NAME or not name.isprintable() or "," in name:
        raise InputError(f"a listener's name has at most {LONGEST_NAME} printable characters, and no comma")
    return name


def listener_names(names: str) -> tuple[str, ...]:
    """The names in a text that separates them by commas, each once.

    Raises
    ------
    InputError
        More than 16 names, or one that :func:`listener_name` refuses.
    """
    parts = names.split(",", MOST_LISTENERS + 1)
    unique = tuple(dict.fromkeys(name for part in parts if (name := listener_name(part))))
    if len(unique) > MOST_LISTENERS:
        raise InputError(f"at most {MOST_LISTENERS} listeners at a time")
    return unique
