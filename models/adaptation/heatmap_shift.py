"""Any decoder's heatmap, moved to where this listener is expected to stand: the default way to adapt to a person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..decoders.fusion import normalised
from ..grid import CELL_AROUSAL, CELL_VALENCE, CELLS, moments
from . import regression
from .base import check_rating
from .regression import ListenerPrior, Posterior, Ratings

EDGE = 0.9  # means are not moved nearer to the plane's edge than this: there a heatmap is one row of cells
HALF_KNOWN = 2.0  # ratings after which a heatmap's width is half the given one's, half the listener's own scatter
_PLACES = np.column_stack([CELL_VALENCE, CELL_AROUSAL])
_NEWTON, _LONGEST, _HALVINGS = 50, 5.0, 20  # steps, how far one may go, and how often it is halved until it helps


@dataclass(frozen=True, eq=False)
class MovedHeatmaps:
    """A listener as a displacement of the heatmap that is given: e = m(heatmap) + W phi + noise.

    phi are 1, the heatmap's mean, and theta @ basis: where the decoders say the music lies, and what it sounds like.
    The moved heatmap is the given one times the ratio of two Gaussians: the listener's next rating as the posterior
    expects it, and the given heatmap's own mean and covariance; then tilted until its mean is the expected one. So it
    keeps the shape of what was heard, and before any rating it is the given heatmap itself (with a prior of mean 0).

    Against reweighting by the ratio of personal to background AEG heatmaps (``personal.reweighted``): that moves the
    heatmap by what the AEG decoder gets wrong, this by what the emitted heatmap gets wrong.

    Parameters
    ----------
    basis
        (K, B), B may be 0.
    prior
        Of 3 + B features.

    Raises
    ------
    ValueError
        Where they do not belong together.
    """

    basis: NDArray[np.float64]
    prior: ListenerPrior

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", np.ascontiguousarray(self.basis, dtype=np.float64))
        if self.basis.ndim != 2 or self.prior.mean.shape[1] != 3 + self.basis.shape[1]:
            raise ValueError(f"a basis of {self.basis.shape} and a prior of {self.prior.mean.shape[1]} features")

    def init(self) -> Ratings:
        """Nothing rated."""
        return regression.no_ratings(3 + self.basis.shape[1])

    def features(
        self, theta: NDArray[np.float64], log_heatmap: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The heatmap's mean (..., 2), and phi (..., 3 + B), of theta (..., K) and log_heatmap (..., 121)."""
        mean = np.exp(log_heatmap) @ _PLACES
        return mean, np.concatenate([np.ones((*mean.shape[:-1], 1)), mean, theta @ self.basis], axis=-1)

    def rate(
        self,
        state: Ratings,
        theta: NDArray[np.float64],
        log_heatmap: NDArray[np.float64],
        va: NDArray[np.float64],
        weight: float = 1.0,
    ) -> Ratings:
        """Take in one rating of what was heard: theta (K,), its log heatmap (121,) before moving; va (2,) in [-1, 1].

        The state is not changed.

        Raises
        ------
        ValueError
            For what cannot be a rating.
        """
        return self._added(state, theta, log_heatmap, va, weight, 1.0)

    def undo(
        self,
        state: Ratings,
        theta: NDArray[np.float64],
        log_heatmap: NDArray[np.float64],
        va: NDArray[np.float64],
        weight: float = 1.0,
    ) -> Ratings:
        """Take a rating back; ``weight`` is what is left of it.

        Raises
        ------
        ValueError
            If so much was never rated.
        """
        return self._added(state, theta, log_heatmap, va, weight, -1.0)

    def _added(
        self,
        state: Ratings,
        theta: NDArray[np.float64],
        log_heatmap: NDArray[np.float64],
        va: NDArray[np.float64],
        weight: float,
        sign: float,
    ) -> Ratings:
        check_rating(theta, va, weight, len(self.basis))
        if log_heatmap.shape != (CELLS,) or not abs(float(np.exp(log_heatmap).sum()) - 1.0) <= 1e-3:
            raise ValueError(f"the heatmap of a rating must be ({CELLS},), its exponential must sum to 1")
        mean, phi = self.features(theta, log_heatmap)
        return regression.added(state, phi, va - mean, sign * weight)

    def faded(self, state: Ratings, share: float) -> Ratings:
        """Every rating so far counts ``share`` (0..1) of what it did: forgetting."""
        return regression.faded(state, share)

    def posterior(self, state: Ratings) -> Posterior:
        """What is known of the listener."""
        return regression.posterior(self.prior, state)

    def information(self, state: Ratings, theta: NDArray[np.float64], log_heatmap: NDArray[np.float64]) -> float:
        """What a rating of this moment is expected to tell about the listener, nats."""
        return regression.information(self.prior, state, self.features(theta, log_heatmap)[1])

    def heatmap(
        self, state: Ratings, theta: NDArray[np.float64], log_heatmap: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The listener's log heatmap (..., 121), finite; its exponential sums to 1.

        theta (..., K) and log_heatmap (..., 121), finite, of what is heard.
        """
        known = self.posterior(state)
        mean, phi = self.features(theta, log_heatmap)
        expected = mean + phi @ known.mean.T
        covariance = moments(np.exp(log_heatmap))[1]
        doubt = regression.variance(known.covariance, phi)
        now = np.diagonal(doubt + known.noise, axis1=-2, axis2=-1)
        before = regression.variance(self.prior.covariance, phi) + self.prior.noise
        scale = np.sqrt(np.maximum(now, 1e-6) / np.diagonal(before, axis1=-2, axis2=-1))
        scaled = np.linalg.inv(covariance * scale[..., :, None] * scale[..., None, :])
        own = np.linalg.inv(doubt + known.noise)
        share = state.total / (state.total + HALF_KNOWN)
        precision = (1.0 - share) * scaled + share * own
        ratio = _log_gaussian(expected, precision) - _log_gaussian(mean, np.linalg.inv(covariance))
        target = np.clip(expected, np.minimum(mean, -EDGE), np.maximum(mean, EDGE))
        return tilted(log_heatmap + ratio, target)


# How listeners differ, learnt (training.personal_fit) from the 90 raters of Eerola & Vuoskoski's film music (Psychology
# of Music 39, 2011) around the mean of the other raters of each track: features 1, v, a; valence's weights, then
# arousal's. Who hears valence wider also hears arousal wider: the largest entry off the diagonal.
STANDARD = ListenerPrior(
    mean=np.zeros((2, 3)),
    covariance=np.array(
        [
            [0.0181, -0.0096, -0.0092, 0.0032, 0.0020, -0.0027],
            [-0.0096, 0.0635, -0.0017, -0.0044, 0.0029, 0.0410],
            [-0.0092, -0.0017, 0.0304, -0.0016, -0.0042, 0.0004],
            [0.0032, -0.0044, -0.0016, 0.0166, -0.0079, -0.0066],
            [0.0020, 0.0029, -0.0042, -0.0079, 0.0255, -0.0041],
            [-0.0027, 0.0410, 0.0004, -0.0066, -0.0041, 0.0498],
        ]
    ),
    noise=np.array([[0.0894, 0.0052], [0.0052, 0.1101]]),
)


def standard_listener(components: int) -> MovedHeatmaps:
    """The adaptation that the live chain uses, for a mixture of so many components; a new listener changes nothing."""
    return MovedHeatmaps(np.zeros((components, 0)), STANDARD)


def _log_gaussian(mean: NDArray[np.float64], precision: NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., 2), (..., 2, 2) -> the log density at each cell's centre, constants dropped: (..., 121)."""
    offset = _PLACES - mean[..., None, :]
    return -0.5 * np.einsum("...ci,...ij,...cj->...c", offset, precision, offset)


def tilted(scores: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log heatmap (..., 121) nearest to exp(scores) whose mean is ``target`` (..., 2), inside the plane.

    Nearest by KL divergence: scores + slope . (v, a), the slope by Newton steps, each halved until it descends: where
    the scores are highest at the plane's edges, whole steps would jump from one edge to the other for ever. Where all
    mass is in a cell or two the slope stays finite and the mean may miss the target.
    """
    slope = np.zeros_like(target)
    height = _height(scores, slope, target)
    for _ in range(_NEWTON):
        p = np.exp(normalised(scores + slope @ _PLACES.T))
        mean = p @ _PLACES
        missed = target - mean
        if np.abs(missed).max() < 1e-6:
            break
        spread = np.einsum("...c,ci,cj->...ij", p, _PLACES, _PLACES) - mean[..., :, None] * mean[..., None, :]
        step = np.linalg.solve(spread + 1e-5 * np.eye(2), missed[..., None])[..., 0]
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        step = step * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-12))
        for _ in range(_HALVINGS):
            rises = _height(scores, slope + step, target) > height + 1e-12
            if not rises.any():
                break
            step = np.where(rises[..., None], step / 2.0, step)
        slope = slope + step
        height = _height(scores, slope, target)
    return normalised(scores + slope @ _PLACES.T)


def _height(
    scores: NDArray[np.float64], slope: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the slope (..., 2) of ``tilted`` minimises, convex: log sum exp of the tilted scores - slope . target."""
    return np.logaddexp.reduce(scores + slope @ _PLACES.T, axis=-1) - (slope * target).sum(axis=-1)
