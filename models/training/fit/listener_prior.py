"""How listeners differ, learnt from other listeners: empirical Bayes for ``models.adaptation.regression``."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...adaptation.regression import ListenerPrior, Ratings
from ...errors import DataError

AFFINE = 3  # features whose weights may vary together in any way; the others share one variance an axis
PRIOR_LISTENERS = 3.0  # what the prior over the covariance counts
PRIOR_DEVIATION = 0.2  # of a listener's weights, where the listeners leave it open
_LEAST = 1e-8


def fit_prior(
    listeners: Sequence[Ratings],
    *,
    affine: int = AFFINE,
    centred: bool = True,
    iterations: int = 40,
    noise_count: float = 20.0,
) -> ListenerPrior:
    """The prior under which these listeners' ratings are likeliest, by EM over their weights W and the noise.

    Parameters
    ----------
    listeners
        Their states under one basis of F features, each with all that the listener rated.
    affine
        The leading features (bias, or 1, v, a) have a full covariance over both axes, with an inverse Wishart prior of
        a few listeners; the rest are independent, of one variance an axis (a Gaussian process's amplitude).
    centred
        The mean stays at 0, so that a new listener begins at the background; otherwise the affine features' mean is
        learnt too: what the background gets wrong for all.

    Raises
    ------
    DataError
        For fewer than two listeners or no ratings.
    """
    total = sum(state.total for state in listeners)
    if len(listeners) < 2 or total <= 0:
        raise DataError("a prior over listeners needs ratings of two of them at least")
    gram, cross, square = (np.stack([np.asarray(state[k]) for state in listeners]) for k in (1, 2, 3))
    F = gram.shape[1]
    wide = np.tile(np.arange(F) < affine, 2)  # of the 2F weights
    mean, covariance, noise = np.zeros(2 * F), PRIOR_DEVIATION**2 * np.eye(2 * F), square.sum(axis=0) / total
    for _ in range(iterations):
        certainty, precision = np.linalg.inv(noise), np.linalg.inv(covariance)
        weighed = np.einsum("ab,lij->laibj", certainty, gram).reshape(-1, 2 * F, 2 * F)
        unsure = np.linalg.inv(weighed + precision)
        information = np.einsum("ab,lbi->lai", certainty, cross).reshape(-1, 2 * F) + precision @ mean
        weights = np.einsum("lij,lj->li", unsure, information)
        if not centred:
            mean = np.where(wide, weights.mean(axis=0), 0.0)
        covariance = _covariance(weights - mean, unsure, wide)
        noise = _noise(weights.reshape(-1, 2, F), unsure, gram, cross, square) / total
    return ListenerPrior(mean.reshape(2, F), covariance, noise, noise_count)


def _covariance(
    offsets: NDArray[np.float64], unsure: NDArray[np.float64], wide: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The M-step: full among the ``wide`` weights, one variance an axis among the others, none between."""
    second = unsure.sum(axis=0) + offsets.T @ offsets
    count = len(offsets)
    covariance = np.zeros_like(second)
    full = (second + PRIOR_LISTENERS * PRIOR_DEVIATION**2 * np.eye(len(second))) / (count + PRIOR_LISTENERS)
    covariance[np.ix_(wide, wide)] = full[np.ix_(wide, wide)]
    for axis in np.split(np.arange(len(second)), 2):
        rest = axis[~wide[axis]]
        if rest.size:
            covariance[rest, rest] = np.trace(second[np.ix_(rest, rest)]) / (count * rest.size)
    return covariance + _LEAST * np.eye(len(second))


def _noise(
    W: NDArray[np.float64],
    unsure: NDArray[np.float64],
    gram: NDArray[np.float64],
    cross: NDArray[np.float64],
    square: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The expected squares of what W leaves unexplained, summed over all ratings: (2, 2)."""
    F = gram.shape[1]
    explained = np.einsum("lai,lbi->ab", W, cross)
    fitted = np.einsum("lai,lij,lbj->ab", W, gram, W)
    open_ = np.einsum("laibj,lij->ab", unsure.reshape(-1, 2, F, 2, F), gram)
    noise = square.sum(axis=0) - explained - explained.T + fitted + open_
    return (noise + noise.T) / 2 + _LEAST * np.eye(2)
