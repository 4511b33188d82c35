"""Active learning: which moments of some music to ask a listener about, by the information gain of a rating."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...models.adaptation.heatmap_shift import MovedHeatmaps, standard_listener
from ...models.adaptation.regression import Ratings, variance
from ..core.affect import Affect
from .evidence import RatedEvidence, StoredRating, theta_digest, theta_for

if TYPE_CHECKING:
    from ...models.bundle import Bundle

MIN_SEPARATION = 10.0  # s between two moments of one file: nearer ones sound alike
MAX_DRIFT = 0.15  # of valence or arousal: four fifths of the moments of real pieces drift less than this
_UNBROKEN, _BEFORE, _AFTER = 10, 6, 10  # emissions: 5, 3 and 5 s
_FLOOR = 1e-12  # of a cell's mass, before the logarithm


class Moment(NamedTuple):
    """A moment that a listener can be asked about.

    Parameters
    ----------
    file : the name that the caller gave the file.
    time : s from the beginning of the file.
    evidence : of this moment.
    """

    file: str
    time: float
    evidence: RatedEvidence


class ShiftEstimate(NamedTuple):
    """How far heatmaps move for a listener in valence and arousal, on average over the moments.

    Parameters
    ----------
    mean : (2,), the posterior mean.
    deviation : (2,), the posterior standard deviation.
    prior_deviation : (2,), the standard deviation for a listener without ratings.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    prior_deviation: NDArray[np.float64]


def candidates(
    file: str, emissions: Iterable[tuple[Affect, RatedEvidence | None]], progress: Callable[[float], None] | None = None
) -> list[Moment]:
    """The moments of a file that a listener could be asked about, a whole second apart.

    Each ends 5 s of unbroken sound. From 3 s before it to 5 s after it the mean stays within 0.15 of it: the
    decoders follow a change of mood some seconds late, and a rating meanwhile would be of music that they do not
    hear yet. In a file without such a stretch all moments after 5 s of unbroken sound are candidates.

    Parameters
    ----------
    file : the name to give the file.
    emissions : all of the file, one every half second, with their evidence; None: nothing had sounded yet.
    progress : called with the time of each emission, in s.
    """
    means, evidence, sounding = [], [], []
    for affect, moment_evidence in emissions:
        means.append((affect.valence, affect.arousal))
        evidence.append((affect.time, moment_evidence if affect.time.is_integer() else None))
        sounding.append(affect.activity == "music")
        if progress is not None:
            progress(affect.time)
    plane, loud = np.array(means).reshape(-1, 2), np.array(sounding, dtype=np.bool_)
    moments, still = [], []
    for index, (time, moment_evidence) in enumerate(evidence):
        begin = index + 1 - _UNBROKEN
        if moment_evidence is not None and begin >= 0 and loud[begin : index + 1].all():
            window = slice(index - _BEFORE, index + 1 + _AFTER)
            drift = np.abs(plane[window][loud[window]] - plane[index]).max()
            moments.append(Moment(file, time, moment_evidence))
            still.append(drift <= MAX_DRIFT)
    return [moment for moment, is_still in zip(moments, still, strict=True) if is_still or not any(still)]


def information_gains(
    adaptation: MovedHeatmaps, state: Ratings, theta: NDArray[np.float64], log_heatmap: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``MovedHeatmaps.information`` of many moments at once: theta (n, K), log_heatmap (n, 121) -> (n,), nats."""
    phi = adaptation.features(theta, log_heatmap)[1]
    spread = variance(adaptation.posterior(state).covariance, phi)
    return 0.5 * np.linalg.slogdet(np.eye(2) + np.linalg.solve(adaptation.prior.noise, spread))[1]


def select_moments(
    adaptation: MovedHeatmaps,
    state: Ratings,
    theta: NDArray[np.float64],
    log_heatmap: NDArray[np.float64],
    files: Sequence[str],
    times: Sequence[float],
    count: int,
    asked: Sequence[int] = (),
) -> list[int]:
    """Select the moments whose ratings would together tell the most about a listener.

    Greedy: each is the best after those before it, which for this gain comes within 1 - 1/e of the best set (Krause &
    Guestrin, "Near-optimal nonmyopic value of information in graphical models", UAI 2005). The gain of a rating
    does not depend on its value, so that all moments can be selected before any is rated.

    Parameters
    ----------
    adaptation, state : the model of a listener, and what is known of this one.
    theta : (n, K), the topic posterior at each moment.
    log_heatmap : (n, 121), the logarithm of the heatmap at each moment.
    files : (n,), the file of each moment.
    times : (n,), s, the time of each moment in its file.
    count : how many to select.
    asked : indices of moments that were asked about already.

    Returns
    -------
    list[int]
        Indices, the most informative first. Fewer than ``count`` where no others lie 10 s from the selected ones and
        from those asked about already, in their file.
    """
    file_names, seconds = np.asarray(files), np.asarray(times, dtype=np.float64)
    free = np.ones(len(seconds), dtype=np.bool_)
    for index in asked:
        free &= _apart(file_names, seconds, index)
    selected: list[int] = []
    while len(selected) < count and free.any():
        best = int(np.argmax(np.where(free, information_gains(adaptation, state, theta, log_heatmap), -1.0)))
        selected.append(best)
        free &= _apart(file_names, seconds, best)
        state = adaptation.rate(state, theta[best], log_heatmap[best], np.zeros(2))
    return selected


def _apart(files: NDArray[np.str_], times: NDArray[np.float64], index: int) -> NDArray[np.bool_]:
    return (files != files[index]) | (np.abs(times - times[index]) >= MIN_SEPARATION)


class QuestionSelector:
    """Selects the moments to ask a listener about, one after the other, each from the ratings up to then.

    Parameters
    ----------
    moments : the candidates, at least one, analysed with ``bundle``.
    bundle : the model.
    ratings : the listener's, so far.
    """

    def __init__(self, moments: Sequence[Moment], bundle: "Bundle", ratings: Iterable[StoredRating] = ()) -> None:
        self._moments = moments
        self._bundle = bundle
        self._digest = theta_digest(bundle)
        self._adaptation = standard_listener(bundle.acoustic.components)
        self._theta = np.stack([self._theta_of(moment.evidence) for moment in moments])
        self._log_heatmap = np.stack([_log_heatmap(moment.evidence) for moment in moments])
        self._asked: list[int] = []
        self._state = self._adaptation.init()
        for rating in ratings:
            self._update(rating.evidence, rating.valence, rating.arousal)

    def next(self) -> Moment | None:
        """The moment to ask about now, and from now on asked about; None when none is left."""
        files, times = [moment.file for moment in self._moments], [moment.time for moment in self._moments]
        selected = select_moments(
            self._adaptation, self._state, self._theta, self._log_heatmap, files, times, 1, self._asked
        )
        self._asked += selected
        return self._moments[selected[0]] if selected else None

    def rate(self, moment: Moment, valence: float, arousal: float) -> None:
        """Learn from a rating, in [-1, 1]; a moment that is not rated was skipped."""
        self._update(moment.evidence, valence, arousal)

    def estimate(self) -> ShiftEstimate:
        """What is known of the listener."""
        phi = self._adaptation.features(self._theta, self._log_heatmap)[1].mean(axis=0)
        posterior, prior = (self._adaptation.posterior(state) for state in (self._state, self._adaptation.init()))
        deviations = [np.sqrt(np.diagonal(variance(belief.covariance, phi))) for belief in (posterior, prior)]
        return ShiftEstimate(posterior.mean @ phi, *deviations)

    def _update(self, evidence: RatedEvidence, valence: float, arousal: float) -> None:
        target = np.array([valence, arousal])
        self._state = self._adaptation.rate(self._state, self._theta_of(evidence), _log_heatmap(evidence), target)

    def _theta_of(self, evidence: RatedEvidence) -> NDArray[np.float64]:
        theta = theta_for(evidence, self._bundle, self._digest)
        if theta is None:  # of other features: the heatmap alone still says something about this listener
            return self._bundle.topics.theta(self._bundle.topics.init())
        return theta


def _log_heatmap(evidence: RatedEvidence) -> NDArray[np.float64]:
    floored = np.maximum(evidence.heatmap.astype(np.float64), _FLOOR)
    return np.log(floored / floored.sum())
