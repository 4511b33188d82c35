"""Online adaptation to the listeners in the room: their own heatmap, live, and their ratings, learnt and stored."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models.adaptation.base import together
from ...models.adaptation.heatmap_shift import standard_listener
from ...models.adaptation.regression import Ratings
from ...models.bundle import Bundle
from .._util.rate_limit import PER_SECOND, Allowance
from ..core.controls import Controls, Rating
from ..errors import InputError
from .evidence import EvidenceHistory, RatedEvidence, RatingOrigin, StoredRating, theta_digest, theta_for
from .records import new_rating
from .store import Listeners, open_listeners
from .writer import EarlierRatings, RatingWriter

log = logging.getLogger(__name__)

LAG = 2.0  # s from what is heard to the hand that rates it
LONGEST_LAG = 20.0
NOBODY = ""  # who rates without a name
_STRANGERS = ","  # all who rate and are not here: no name has a comma
_FLOOR = 1e-12  # of a cell's mass, before the logarithm
_MOST_PROFILES = 64  # listeners whose profile is in memory: 16 are here at a time
_CLOSE_TIMEOUT = 5.0  # s for the last ratings to be stored at the end


@dataclass(slots=True, eq=False)
class _Profile:
    """What is known of a listener, and the request for what they rated earlier, while that is being read."""

    state: Ratings
    read: int = 0  # ratings of earlier
    earlier: EarlierRatings | None = None


class OnlineAdaptation:
    """Gives an engine the heatmap of the listeners who are here, and learns from their ratings.

    Parameters
    ----------
    bundle : the model, which gives ratings their meaning.
    controls : ``listeners`` says who is in the room, and may change at any time. For several the heatmap is the
        product of each one's. With nobody named, ratings count for this session and are not stored.
    open_store : opens the store of ratings, in the writing thread, when it is first needed. A fault of it is logged
        once, and it is called again a second later at the earliest; it may also return None after it has reported why
        there is none, and is called again a minute later then. Meanwhile everything goes on with what this session
        hears. Default: the user's own.
    lag : seconds by which a rating comes after the moment that it is of, 0 to 20.

    Attributes
    ----------
    stored, lost, pending : how many ratings were written, how many could not be, and how many are not answered yet.
    losses : why ratings were lost, in words, and how many for each reason.

    Raises
    ------
    InputError
        The lag is out of range.

    Notes
    -----
    A rating by someone who is not here is stored too, for when they come. Only :meth:`load` and :meth:`close` wait
    for the disk. What is deleted from the store meanwhile still counts here until the session ends, and so does a
    rating that could not be stored. Of more than 64 listeners those who were here longest ago are read again when they
    come.
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
        self._bundle = bundle
        self._controls = controls
        self._digest = theta_digest(bundle)
        self._adaptation = standard_listener(bundle.acoustic.components)
        self._lag = lag
        self._history = EvidenceHistory(bundle)
        self._lock = threading.Lock()
        self._allowance = Allowance()
        self._profiles: OrderedDict[str, _Profile] = OrderedDict()  # of those who were here, the latest last
        self._present: tuple[str, ...] = ()
        self._writer = RatingWriter(open_store or (lambda: open_listeners(None, log.warning, quick=True)))

    @property
    def stored(self) -> int:
        """How many ratings were written."""
        return self._writer.stored

    @property
    def lost(self) -> int:
        """How many ratings could not be written."""
        return self._writer.lost

    @property
    def pending(self) -> int:
        """How many ratings are neither written nor lost yet."""
        return self._writer.pending

    @property
    def losses(self) -> dict[str, int]:
        """Why ratings were lost, in words, and how many for each reason."""
        return dict(self._writer.losses)

    def load(self, timeout: float | None = None) -> None:
        """Wait until the profiles of those who are here are read and all ratings are written.

        Returns at once when it is closed.

        Parameters
        ----------
        timeout : s to wait at most; None: without limit.
        """
        self._update_present()
        self._writer.wait(timeout)

    def ratings(self, name: str) -> int:
        """How many ratings of a listener count here."""
        with self._lock:
            profile = self._profiles.get(name)
        return 0 if profile is None else round(profile.state.total)

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
            states = [profile.state for name in self._present if (profile := self._profiles.get(name)) is not None]
        rated = [state for state in states if state.total > 0]
        if not rated:
            return heatmap
        model = _log_heatmap(heatmap)
        log_heatmaps = [self._adaptation.heatmap(state, theta, model) for state in rated]
        log_heatmaps += [model] * (len(states) - len(rated))  # without ratings, a listener's heatmap is the model's
        return np.exp(together(log_heatmaps))

    def rate(self, rating: Rating) -> "Future[None] | None":
        """Learn from a rating, and have it stored.

        Returns
        -------
        Future or None
            Done when the rating is committed; it raises why it could not be stored, at most some seconds later. None
            for nobody's, which is not to be stored.

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
            profile = self._profiles.get(rating.listener)
            if profile is not None:  # or else it is read when they come
                _accumulate(profile, update)
            if rating.listener == NOBODY:
                return None
            # Under the lock, so that it stands on the right side of a request for what was rated earlier.
            target = rating.valence, rating.arousal
            return self._writer.write(new_rating(rating.listener, *target, evidence, time=at, source=source))

    def close(self) -> None:
        """Write the waiting ratings, for 5 s at most, and close the store; may be called twice."""
        self._writer.close(_CLOSE_TIMEOUT)

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
            if name in self._profiles:
                self._profiles.move_to_end(name)
                return
            profile = self._profiles[name] = _Profile(self._adaptation.init())
            if name != NOBODY:
                profile.earlier = EarlierRatings(
                    name, lambda ratings: self._learn(profile, ratings), lambda: _tell_profile(name, profile)
                )
                self._writer.read(profile.earlier)
            self._forget_longest_ago()

    def _forget_longest_ago(self) -> None:
        """Bound the profiles in memory, under the lock; those who are here, and nobody's, stay."""
        kept = {NOBODY, *self._present, *self._controls.listeners}
        gone = [name for name in self._profiles if name not in kept][: max(len(self._profiles) - _MOST_PROFILES, 0)]
        for name in gone:
            earlier = self._profiles.pop(name).earlier
            if earlier is not None:
                self._writer.drop(earlier)

    def _learn(self, profile: _Profile, ratings: Sequence[StoredRating]) -> None:
        state = self._adaptation.init()
        for rating in ratings:
            state = self._updated(state, (rating.valence, rating.arousal), rating.evidence)
        with self._lock:
            _accumulate(profile, state)
            profile.read += len(ratings)

    def _updated(self, state: Ratings, target: tuple[float, float], evidence: RatedEvidence) -> Ratings:
        theta = theta_for(evidence, self._bundle, self._digest)
        if theta is None:  # of other features: the heatmap alone still says something about this listener
            theta = self._bundle.topics.theta(self._bundle.topics.init())
        return self._adaptation.rate(state, theta, _log_heatmap(evidence.heatmap.astype(np.float64)), np.array(target))


def _accumulate(profile: _Profile, addition: Ratings) -> None:
    """Add to what is known of a listener. It is a sum over ratings, so that their order does not matter."""
    state = profile.state
    profile.state = Ratings(
        state.total + addition.total,
        state.gram + addition.gram,
        state.cross + addition.cross,
        state.square + addition.square,
    )


def _tell_profile(name: str, profile: _Profile) -> None:
    profile.earlier = None
    words = {0: "no ratings yet", 1: "1 rating"}.get(profile.read, f"{profile.read} ratings")
    log.info("listener %s: %s", name, words)


def _log_heatmap(heatmap: NDArray[np.float64]) -> NDArray[np.float64]:
    floored = np.maximum(heatmap.ravel(), _FLOOR)
    return np.log(floored / floored.sum())
