"""The listeners in the room: their own heatmap, live, and their ratings, learnt at once and kept in the store."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from ...models.adaptation.base import together
from ...models.adaptation.heatmap_shift import standard_listener
from ...models.adaptation.regression import Ratings
from ...models.bundle import Bundle
from .._util.rate_limit import PER_SECOND, Allowance
from ..core.controls import Controls, Rating
from ..errors import InputError
from .evidence import History, RatedEvidence, RatingOrigin, theta_digest, theta_for
from .store import DamagedError, Listeners, StoreError, open_or_none

log = logging.getLogger(__name__)

LAG = 2.0  # s from what is heard to the hand that rates it
LONGEST_LAG = 20.0
NOBODY = ""  # who rates without a name
_STRANGERS = ","  # all who rate and are not here: no name has a comma
_FLOOR = 1e-12  # of a cell's mass, before the logarithm
_WAITING = 256  # jobs that wait for the disk at most; what is rated on top of them is not kept
_MOST_TOLD = 32  # different faults that are logged
_PATIENCE = 5.0  # s for the last ratings to be kept at the end
_AGAIN = 60.0  # s after which a store that could not be opened is tried again, when there is something for it


class OnlineAdaptation:
    """What an engine asks for the heatmap, and ratings go to.

    Parameters
    ----------
    bundle : the model, which gives ratings their meaning.
    controls : ``listeners`` says who is in the room, and may change at any time. For several the heatmap is the
        product of each one's. With nobody named, ratings count for this session and are kept nowhere.
    open_store : opens the store of ratings, in the thread that writes and when it is needed first. None from it: it
        has said why, and is asked again a minute later at the earliest. A fault of it is told once. Meanwhile
        everything goes on with what this session hears. Default: the user's own.
    lag : seconds by which a rating comes after what it is of.

    A rating by someone who is not here is kept all the same, for when they come. ``kept`` and ``lost`` count the
    ratings that were written and that could not be. Nothing here waits for the disk but :meth:`load` and :meth:`close`.
    What is deleted from the store meanwhile is known here until the session ends.
    """

    def __init__(
        self,
        bundle: Bundle,
        controls: Controls,
        open_store: Callable[[], Listeners | None] | None = None,
        *,
        lag: float = LAG,
    ) -> None:
        if not 0.0 <= lag <= LONGEST_LAG:
            raise InputError(f"the lag of a rating must be from 0 to {LONGEST_LAG:g} seconds, not {lag:g}")
        self.kept = self.lost = 0
        self._bundle = bundle
        self._controls = controls
        self._digest = theta_digest(bundle)
        self._adaptation = standard_listener(bundle.acoustic.components)
        self._lag = lag
        self._history = History(bundle)
        self._open = open_store or (lambda: open_or_none(None, log.warning))
        self._store: Listeners | None = None
        self._open_at = 0.0  # not before; on the monotonic clock
        self._unread: list[str] = []  # whose ratings could not be read, for there was no store
        self._lock = threading.Lock()
        self._allowance = Allowance()
        self._states: dict[str, Ratings] = {}  # of all who were here; what is read is added to it
        self._present: tuple[str, ...] = ()
        self._told: set[str] = set()
        self._closed = False
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="learning", daemon=True)
        self._thread.start()

    def load(self, timeout: float | None = None) -> None:
        """Wait until the profiles of those who are here are read, and all that was rated is written.

        Returns at once when it is closed.
        """
        if self._closed:
            return
        self._look()
        done = threading.Event()
        self._jobs.put(done.set)
        done.wait(timeout)

    def ratings(self, name: str) -> int:
        """How many ratings of a listener count here."""
        with self._lock:
            state = self._states.get(name)
        return 0 if state is None else round(state.total)

    def hear(
        self, time: float, theta: NDArray[np.float64], heatmap: NDArray[np.float64], texture: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Remember what was heard, and give the heatmap (121,) of those who are here."""
        self._history.take(time, theta, heatmap, texture)
        self._look()
        with self._lock:
            states = [state for name in self._present if (state := self._states.get(name)) is not None]
        rated = [state for state in states if state.total > 0]
        if not rated:
            return heatmap
        model = _log(heatmap)
        own = [self._adaptation.heatmap(state, theta, model) for state in rated]
        own += [model] * (len(states) - len(rated))  # who has rated nothing yet feels what everybody does
        return np.exp(together(own))

    def rate(self, rating: Rating) -> None:
        """Learn from a rating, and have it kept.

        Raises InputError when nothing had sounded at the moment that it is of, and for one too many: of one listener
        20 at once and 10 a second after that are taken, as many as are kept, so that the next session knows no less;
        of all those who are not here so many together, whatever names they give.
        """
        at = max(rating.time - self._lag, 0.5)
        heard = self._history.at(at)
        if heard is None:
            raise InputError("nothing was heard that could be rated: wait for the music")
        here = rating.listener == NOBODY or rating.listener in self._controls.listeners
        with self._lock:
            allowed = self._allowance.take(rating.listener if here else _STRANGERS)
        if not allowed:
            raise InputError(f"too many ratings: of one listener {PER_SECOND:g} a second are taken")
        if here:
            self._known(rating.listener)
        learnt = self._learnt(self._adaptation.init(), (rating.valence, rating.arousal), heard)
        source: RatingOrigin = "midi" if rating.source == "midi" else "osc" if rating.source == "osc" else "api"
        with self._lock:
            if rating.listener in self._states:  # or else it is read when they come
                self._add(rating.listener, learnt)
            wanted = rating.listener != NOBODY
            kept = wanted and not self._closed and self._jobs.qsize() < _WAITING
            if kept:
                self._jobs.put(lambda: self._keep(rating, heard, at, source))
        if wanted and not kept:
            self._count(kept=False)

    def close(self) -> None:
        """Write what waits, for 5 s at most, and close the store; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join(_PATIENCE)
        for _ in range(self._jobs.qsize()):  # the end is among them while one is being written, and stands for that
            self._count(kept=False)

    def _look(self) -> None:
        """See who is here now."""
        here = self._controls.listeners or (NOBODY,)
        if here != self._present:
            for name in here:
                self._known(name)
            self._present = here

    def _known(self, name: str) -> None:
        """Have a listener's earlier ratings read, once; before anything new of theirs is written."""
        with self._lock:
            if name in self._states:
                return
            self._states[name] = self._adaptation.init()
            if name != NOBODY:
                self._jobs.put(lambda: self._read(name))

    def _learnt(self, state: Ratings, place: tuple[float, float], heard: RatedEvidence) -> Ratings:
        theta = theta_for(heard, self._bundle, self._digest)
        if theta is None:  # of other features: what the heatmap was still tells where this listener stands
            theta = self._bundle.topics.theta(self._bundle.topics.init())
        return self._adaptation.rate(state, theta, _log(heard.heatmap.astype(np.float64)), np.array(place))

    def _add(self, name: str, more: Ratings) -> None:
        """Under the lock. A state is sums over ratings: what was read and what is heard now come in any order."""
        own = self._states[name]
        self._states[name] = Ratings(
            own.total + more.total, own.gram + more.gram, own.cross + more.cross, own.square + more.square
        )

    def _count(self, *, kept: bool) -> None:
        with self._lock:
            self.kept += kept
            self.lost += not kept

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as fault:  # noqa: BLE001  whatever it is, the tracker goes on
                self._tell(fault)
                if isinstance(fault, DamagedError):
                    self._shut()  # the next that needs it keeps the damaged file aside and begins another
        self._shut()

    def _tell(self, fault: Exception) -> None:
        words = str(fault) if isinstance(fault, StoreError) else f"{type(fault).__name__}: {fault}"
        if words not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(words)
            log.warning("%s; tracking goes on (told once, counted from here on)", words)

    def _shut(self) -> None:
        store, self._store, self._open_at = self._store, None, 0.0
        if store is not None:
            with suppress(StoreError):
                store.close()

    def _ready(self) -> Listeners | None:
        if self._store is None and time.monotonic() >= self._open_at:
            self._store = self._open()
            self._open_at = time.monotonic() + _AGAIN
        while self._store is not None and self._unread:  # before anything new of theirs is written
            self._learn_from(self._store, self._unread.pop())
        return self._store

    def _keep(self, rating: Rating, heard: RatedEvidence, at: float, source: RatingOrigin) -> None:
        kept = None
        try:
            store = self._ready()
            if store is not None:
                place = rating.valence, rating.arousal
                kept = store.add(rating.listener, *place, heard, time=at, source=source, limited=False)
        finally:
            self._count(kept=kept is not None)

    def _read(self, name: str) -> None:
        self._unread.append(name)  # what there is of them nobody knows, until there is a store
        self._ready()

    def _learn_from(self, store: Listeners, name: str) -> None:
        """A listener's profile, anew from all that they rated."""
        state = self._adaptation.init()
        try:
            for rated in store.ratings(name, unreadable=self._tell):
                state = self._learnt(state, (rated.valence, rated.arousal), rated.heard)
        finally:  # a fault midway does not take along what was read before it
            with self._lock:
                self._add(name, state)
        count = round(state.total)
        log.info("listener %s: %s", name, {0: "no ratings yet", 1: "1 rating"}.get(count, f"{count} ratings"))


def _log(heatmap: NDArray[np.float64]) -> NDArray[np.float64]:
    floored = np.maximum(heatmap.ravel(), _FLOOR)
    return np.log(floored / floored.sum())
