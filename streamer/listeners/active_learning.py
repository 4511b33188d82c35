"""Which moments of some music to ask a listener about: those whose rating is expected to tell the most about them."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...models.adaptation.heatmap_shift import MovedHeatmaps, standard_listener
from ...models.adaptation.regression import Ratings, variance
from ..core.affect import Affect
from .evidence import Rated, RatedEvidence, theta_digest, theta_for

if TYPE_CHECKING:
    from ...models.bundle import Bundle

APART = 10.0  # s between two moments of one file: nearer ones sound alike
STILL = 0.15  # valence or arousal: four fifths of the moments of real pieces lie in a stillness like this
_SOUND, _BEFORE, _AFTER = 10, 6, 10  # emissions: 5, 3 and 5 s
_FLOOR = 1e-12  # of a cell's mass, before the logarithm


class Moment(NamedTuple):
    """What could be asked about: ``file`` as whoever gathers names it, ``time`` in s, and the evidence of it."""

    file: str
    time: float
    heard: RatedEvidence


class Learnt(NamedTuple):
    """How far heatmaps move for a listener, valence and arousal, on average over what was heard.

    mean: (2,), expected; deviation: (2,), of what is known now; before: (2,), of what is known of a stranger.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    before: NDArray[np.float64]


def askable(
    file: str, emissions: Iterable[tuple[Affect, RatedEvidence | None]], heard: Callable[[float], None] | None = None
) -> list[Moment]:
    """The moments of a file that a listener could be asked about, a whole second apart.

    Each ends 5 s of unbroken sound. From 3 s before it to 5 s after it what is heard stays within 0.15 of it: the
    decoders follow a change of mood some seconds late, and a rating meanwhile would be of another music than they
    hear. A file that never stays so still is asked about all the same.

    emissions: all of the file, one every half second, with their evidence; None: nothing had sounded yet. ``heard`` is
    told the time of each, in s.
    """
    places, evidence, sounding = [], [], []
    for affect, each in emissions:
        places.append((affect.valence, affect.arousal))
        evidence.append((affect.time, each if affect.time.is_integer() else None))
        sounding.append(affect.activity == "music")
        if heard is not None:
            heard(affect.time)
    plane, loud = np.array(places).reshape(-1, 2), np.array(sounding, dtype=np.bool_)
    found, still = [], []
    for index, (time, each) in enumerate(evidence):
        begin = index + 1 - _SOUND
        if each is not None and begin >= 0 and loud[begin : index + 1].all():
            near = slice(index - _BEFORE, index + 1 + _AFTER)
            drift = np.abs(plane[near][loud[near]] - plane[index]).max()
            found.append(Moment(file, time, each))
            still.append(drift <= STILL)
    return [each for each, kept in zip(found, still, strict=True) if kept or not any(still)]


def gains(
    adaptation: MovedHeatmaps, state: Ratings, theta: NDArray[np.float64], log_heatmap: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``MovedHeatmaps.information`` of many moments at once: theta (n, K), log_heatmap (n, 121) -> (n,), nats."""
    phi = adaptation.features(theta, log_heatmap)[1]
    spread = variance(adaptation.posterior(state).covariance, phi)
    return 0.5 * np.linalg.slogdet(np.eye(2) + np.linalg.solve(adaptation.prior.noise, spread))[1]


def moments(
    adaptation: MovedHeatmaps,
    state: Ratings,
    theta: NDArray[np.float64],
    log_heatmap: NDArray[np.float64],
    files: Sequence[str],
    times: Sequence[float],
    count: int,
    asked: Sequence[int] = (),
) -> list[int]:
    """The ``count`` moments, as indices, whose ratings would together tell the most about a listener; the best first.

    Greedy: each is the best after those before it, which for this gain comes within 1 - 1/e of the best set (Krause &
    Guestrin, "Near-optimal nonmyopic value of information in graphical models", UAI 2005). How much a rating tells
    does not depend on what it says, so that the choice can be made ahead of all of them. Fewer where no others are
    left that lie 10 s from those chosen and from those ``asked`` already, in their file.

    theta (n, K) and log_heatmap (n, 121) are the moments' evidence, files (n,) and times (n,), in s, where they lie.
    """
    where, when = np.asarray(files), np.asarray(times, dtype=np.float64)
    free = np.ones(len(when), dtype=np.bool_)
    for index in asked:
        free &= _apart(where, when, index)
    chosen: list[int] = []
    while len(chosen) < count and free.any():
        best = int(np.argmax(np.where(free, gains(adaptation, state, theta, log_heatmap), -1.0)))
        chosen.append(best)
        free &= _apart(where, when, best)
        state = adaptation.rate(state, theta[best], log_heatmap[best], np.zeros(2))
    return chosen


def _apart(files: NDArray[np.str_], times: NDArray[np.float64], index: int) -> NDArray[np.bool_]:
    return (files != files[index]) | (np.abs(times - times[index]) >= APART)


class QuestionSelector:
    """A listener who is asked about one moment after the other; each next one is chosen from what is known by then.

    moments: what can be asked about, at least one, heard with ``bundle``. ratings: the listener's, so far.
    """

    def __init__(self, moments: Sequence[Moment], bundle: "Bundle", ratings: Iterable[Rated] = ()) -> None:
        self._moments = moments
        self._bundle = bundle
        self._digest = theta_digest(bundle)
        self._adaptation = standard_listener(bundle.acoustic.components)
        self._theta = np.stack([self._theta_of(each.heard) for each in moments])
        self._log_heatmap = np.stack([_log(each.heard) for each in moments])
        self._asked: list[int] = []
        self._state = self._adaptation.init()
        for rated in ratings:
            self._learn(rated.heard, rated.valence, rated.arousal)

    def next(self) -> Moment | None:
        """The moment to ask about now, and from now on asked about; None when none is left."""
        places = [each.file for each in self._moments], [each.time for each in self._moments]
        found = moments(self._adaptation, self._state, self._theta, self._log_heatmap, *places, 1, self._asked)
        self._asked += found
        return self._moments[found[0]] if found else None

    def rate(self, moment: Moment, valence: float, arousal: float) -> None:
        """Learn from a rating, in [-1, 1]; a moment that is not rated was skipped."""
        self._learn(moment.heard, valence, arousal)

    def learnt(self) -> Learnt:
        """What is known of the listener."""
        phi = self._adaptation.features(self._theta, self._log_heatmap)[1].mean(axis=0)
        known, stranger = (self._adaptation.posterior(each) for each in (self._state, self._adaptation.init()))
        deviations = [np.sqrt(np.diagonal(variance(each.covariance, phi))) for each in (known, stranger)]
        return Learnt(known.mean @ phi, *deviations)

    def _learn(self, heard: RatedEvidence, valence: float, arousal: float) -> None:
        place = np.array([valence, arousal])
        self._state = self._adaptation.rate(self._state, self._theta_of(heard), _log(heard), place)

    def _theta_of(self, heard: RatedEvidence) -> NDArray[np.float64]:
        theta = theta_for(heard, self._bundle, self._digest)
        if theta is None:  # of other features: what the heatmap was still tells where this listener stands
            return self._bundle.topics.theta(self._bundle.topics.init())
        return theta


def _log(heard: RatedEvidence) -> NDArray[np.float64]:
    floored = np.maximum(heard.heatmap.astype(np.float64), _FLOOR)
    return np.log(floored / floored.sum())
