"""Online adaptation to the listeners in the room: their own heatmap, live, and their ratings, learnt and stored."""

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
from .evidence import EvidenceHistory, RatedEvidence, RatingOrigin, theta_digest, theta_for
from .store import DamagedError, Listeners, StoreError, open_or_none

log = logging.getLogger(__name__)

LAG = 2.0  # s from what is heard to the hand that rates it
LONGEST_LAG = 20.0
NOBODY = ""  # who rates without a name
_STRANGERS = ","  # all who rate and are not here: no name has a comma
_FLOOR = 1e-12  # of a cell's mass, before the logarithm
_MAX_PENDING = 256  # jobs that wait for the disk at most; ratings beyond them are not stored
_MAX_LOGGED_FAULTS = 32  # different faults that are logged
_CLOSE_TIMEOUT = 5.0  # s for the last ratings to be stored at the end
_RETRY_INTERVAL = 60.0  # s after which a store that could not be opened is tried again, when there is something for it


class OnlineAdaptation:
    """Gives an engine the heatmap of the listeners who are here, and learns from their ratings.

    Parameters
    ----------
    bundle : the model, which gives ratings their meaning.
    controls : ``listeners`` says who is in the room, and may change at any time. For several the heatmap is the
        product of each one's. With nobody named, ratings count for this session and are not stored.
    open_store : opens the store of ratings, in the writing thread, when it is first needed. It returns None after it
        has reported why there is none, and is called again a minute later at the earliest. A fault of it is logged
        once. Meanwhile everything goes on with what this session hears. Default: the user's own.
    lag : seconds by which a rating comes after the moment that it is of, 0 to 20.

    Attributes
    ----------
    stored, lost : how many ratings were written, and how many could not be.

    Raises
    ------
    InputError
        The lag is out of range.

    Notes
    -----
    A rating by someone who is not here is stored too, for when they come. Only :meth:`load` and :meth:`close` wait
    for the disk. What is deleted from the store meanwhile still counts here until the session ends.
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
        self.stored = self.lost = 0
        self._bundle = bundle
        self._controls = controls
        self._digest = theta_digest(bundle)
        self._adaptation = standard_listener(bundle.acoustic.components)
        self._lag = lag
        self._history = EvidenceHistory(bundle)
        self._open_store = open_store or (lambda: open_or_none(None, log.warning))
        self._store: Listeners | None = None
        self._open_at = 0.0  # not before; on the monotonic clock
        self._unread: list[str] = []  # whose ratings could not be read, for there was no store
        self._lock = threading.Lock()
        self._allowance = Allowance()
        self._states: dict[str, Ratings] = {}  # of all who were here; what is read is added to it
        self._present: tuple[str, ...] = ()
        self._logged_faults: set[str] = set()
        self._closed = False
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="adaptation", daemon=True)
        self._thread.start()

    def load(self, timeout: float | None = None) -> None:
        """Wait until the profiles of those who are here are read and all ratings are written.

        Returns at once when it is closed.

        Parameters
        ----------
        timeout : s to wait at most; None: without limit.
        """
        if self._closed:
            return
        self._update_present()
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
        """Remember an emission, and give the heatmap of those who are here.

        Parameters
        ----------
        time : s of the stream.
        theta : (K,), the topic posterior.
        heatmap : (121,), the model's own.
        texture : (V,), the running texture.

        Returns
        -------
        ndarray
            (121,), non-negative, sums to 1.
        """
        self._history.take(time, theta, heatmap, texture)
        self._update_present()
        with self._lock:
            states = [state for name in self._present if (state := self._states.get(name)) is not None]
        rated = [state for state in states if state.total > 0]
        if not rated:
            return heatmap
        model = _log_heatmap(heatmap)
        log_heatmaps = [self._adaptation.heatmap(state, theta, model) for state in rated]
        log_heatmaps += [model] * (len(states) - len(rated))  # without ratings, a listener's heatmap is the model's
        return np.exp(together(log_heatmaps))

    def rate(self, rating: Rating) -> None:
        """Learn from a rating, and have it stored.

        Raises
        ------
        InputError
            Nothing had sounded at the rated moment, or there are too many ratings. From one listener 20 at once and
            10 a second after that are taken from each sender, as many as are stored, so that the next session learns
            from the same ones. All those who are not here share one such allowance of each sender, whatever names they
            give.
        """
        at = max(rating.time - self._lag, 0.5)
        evidence = self._history.at(at)
        if evidence is None:
            raise InputError("nothing was heard that could be rated: wait for the music")
        here = rating.listener == NOBODY or rating.listener in self._controls.listeners
        with self._lock:
            allowed = self._allowance.take(rating.listener if here else _STRANGERS, rating.sender)
        if not allowed:
            raise InputError(f"too many ratings: of one listener {PER_SECOND:g} a second are taken")
        if here:
            self._request_profile(rating.listener)
        update = self._updated(self._adaptation.init(), (rating.valence, rating.arousal), evidence)
        source: RatingOrigin = "midi" if rating.source == "midi" else "osc" if rating.source == "osc" else "api"
        with self._lock:
            if rating.listener in self._states:  # or else it is read when they come
                self._accumulate(rating.listener, update)
            named = rating.listener != NOBODY
            stored = named and not self._closed and self._jobs.qsize() < _MAX_PENDING
            if stored:
                self._jobs.put(lambda: self._store_rating(rating, evidence, at, source))
        if named and not stored:
            self._count(stored=False)

    def close(self) -> None:
        """Write the waiting ratings, for 5 s at most, and close the store; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join(_CLOSE_TIMEOUT)
        for _ in range(self._jobs.qsize()):  # while one is being written, the None at the end counts for it
            self._count(stored=False)

    def _update_present(self) -> None:
        """Update who is here, and request the profiles of those who came."""
        here = self._controls.listeners or (NOBODY,)
        if here != self._present:
            for name in here:
                self._request_profile(name)
            self._present = here

    def _request_profile(self, name: str) -> None:
        """Have a listener's earlier ratings read, once; before anything new of theirs is written."""
        with self._lock:
            if name in self._states:
                return
            self._states[name] = self._adaptation.init()
            if name != NOBODY:
                self._jobs.put(lambda: self._request_ratings(name))

    def _updated(self, state: Ratings, target: tuple[float, float], evidence: RatedEvidence) -> Ratings:
        theta = theta_for(evidence, self._bundle, self._digest)
        if theta is None:  # of other features: the heatmap alone still says something about this listener
            theta = self._bundle.topics.theta(self._bundle.topics.init())
        return self._adaptation.rate(state, theta, _log_heatmap(evidence.heatmap.astype(np.float64)), np.array(target))

    def _accumulate(self, name: str, addition: Ratings) -> None:
        """Add to a listener's state, under the lock. It is a sum over ratings, so that their order does not matter."""
        state = self._states[name]
        self._states[name] = Ratings(
            state.total + addition.total,
            state.gram + addition.gram,
            state.cross + addition.cross,
            state.square + addition.square,
        )

    def _count(self, *, stored: bool) -> None:
        with self._lock:
            self.stored += stored
            self.lost += not stored

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as fault:  # noqa: BLE001  whatever it is, the tracker goes on
                self._log_fault(fault)
                if isinstance(fault, DamagedError):
                    self._close_store()  # the next job sets the damaged file aside and begins another
        self._close_store()

    def _log_fault(self, fault: Exception) -> None:
        words = str(fault) if isinstance(fault, StoreError) else f"{type(fault).__name__}: {fault}"
        if words not in self._logged_faults and len(self._logged_faults) < _MAX_LOGGED_FAULTS:
            self._logged_faults.add(words)
            log.warning("%s; tracking goes on (told once, counted from here on)", words)

    def _close_store(self) -> None:
        store, self._store, self._open_at = self._store, None, 0.0
        if store is not None:
            with suppress(StoreError):
                store.close()

    def _ready_store(self) -> Listeners | None:
        if self._store is None and time.monotonic() >= self._open_at:
            self._store = self._open_store()
            self._open_at = time.monotonic() + _RETRY_INTERVAL
        while self._store is not None and self._unread:  # before anything new of theirs is written
            self._load_ratings(self._store, self._unread.pop())
        return self._store

    def _store_rating(self, rating: Rating, evidence: RatedEvidence, at: float, source: RatingOrigin) -> None:
        stored = None
        try:
            store = self._ready_store()
            if store is not None:
                target = rating.valence, rating.arousal
                stored = store.add(rating.listener, *target, evidence, time=at, source=source, limited=False)
        finally:
            self._count(stored=stored is not None)

    def _request_ratings(self, name: str) -> None:
        self._unread.append(name)  # until there is a store, to be read
        self._ready_store()

    def _load_ratings(self, store: Listeners, name: str) -> None:
        """Rebuild a listener's profile from all of their ratings."""
        state = self._adaptation.init()
        try:
            for rating in store.ratings(name, unreadable=self._log_fault):
                state = self._updated(state, (rating.valence, rating.arousal), rating.evidence)
        finally:  # a fault midway does not lose the ratings read before it
            with self._lock:
                self._accumulate(name, state)
        count = round(state.total)
        log.info("listener %s: %s", name, {0: "no ratings yet", 1: "1 rating"}.get(count, f"{count} ratings"))


def _log_heatmap(heatmap: NDArray[np.float64]) -> NDArray[np.float64]:
    floored = np.maximum(heatmap.ravel(), _FLOOR)
    return np.log(floored / floored.sum())
