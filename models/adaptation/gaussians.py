"""The person in the room: a listener's own affective Gaussians, learnt from few ratings, and what heatmaps they make.

A listener is described by how the background's Gaussians move for them: mu_k' = mu_k + W phi_k, where phi_k (F,) are
fixed features of component k and W (2, F) is the listener. A rating of theta is then linear in W with Gaussian noise,

    e = sum_k theta_k mu_k + W phi(theta) + noise,   phi(theta) = sum_k theta_k phi_k,   noise ~ N(0, R),

so that with a Gaussian prior over W, learnt from other listeners, everything is in closed form. The features say what
moves together (``models.adaptation.basis``): one constant is a bare bias; (1, v, a) of each mean is MLLR, an affine map
of the plane; smooth functions over the components tie neighbours. MAP in the sense of speaker verification, each
component by its own share of the ratings, is ``models.adaptation.map``.
"""

from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from ..decoders.aeg import AffectiveGMM
from ..decoders.fusion import normalised
from . import regression
from .base import Adaptation, State, check_rating
from .regression import ListenerPrior, Posterior, Ratings

RATIO_FLOOR = 1e-5  # of a cell's mass: a cell that neither mixture reaches is left as it was


@dataclass(frozen=True, eq=False)
class LinearAdaptation:
    """Listeners as linear displacements of the background's Gaussians: bias, MLLR and tying, by the basis.

    A rating costs O(K F + F^2), what is asked of a state O(K F^2 + F^3).

    Parameters
    ----------
    basis
        (K, F), F a handful.
    prior
        Of the same F.

    Raises
    ------
    ValueError
        Where they do not belong together.

    Examples
    --------
    >>> one = AffectiveGMM(np.zeros((1, 2)), np.eye(2)[None])
    >>> bias = LinearAdaptation(one, np.ones((1, 1)), ListenerPrior(np.zeros((2, 1)), np.eye(2), np.eye(2)))
    >>> state = bias.rate(bias.init(), np.ones(1), np.array([0.5, -0.5]))
    >>> bias.affective(state).means.tolist()
    [[0.25, -0.25]]
    >>> bias.affective(bias.undo(state, np.ones(1), np.array([0.5, -0.5]))).means.tolist()
    [[0.0, 0.0]]
    """

    background: AffectiveGMM
    basis: NDArray[np.float64]
    prior: ListenerPrior

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", np.ascontiguousarray(self.basis, dtype=np.float64))
        expected = (self.background.components, self.prior.mean.shape[1])
        if self.basis.shape != expected or not np.isfinite(self.basis).all():
            raise ValueError(f"a basis of {self.basis.shape}, expected {expected}, finite")

    def init(self) -> Ratings:
        """No ratings: the background."""
        return regression.no_ratings(self.basis.shape[1])

    def rate(self, state: Ratings, theta: NDArray[np.float64], va: NDArray[np.float64], weight: float = 1.0) -> Ratings:
        """As ``Adaptation.rate``."""
        check_rating(theta, va, weight, self.background.components)
        return regression.added(state, theta @ self.basis, va - theta @ self.background.means, weight)

    def undo(self, state: Ratings, theta: NDArray[np.float64], va: NDArray[np.float64], weight: float = 1.0) -> Ratings:
        """As ``Adaptation.undo``."""
        check_rating(theta, va, weight, self.background.components)
        return regression.added(state, theta @ self.basis, va - theta @ self.background.means, -weight)

    def faded(self, state: Ratings, share: float) -> Ratings:
        """As ``Adaptation.faded``."""
        return regression.faded(state, share)

    def posterior(self, state: Ratings) -> Posterior:
        """What is known of the listener."""
        return regression.posterior(self.prior, state)

    def affective(self, state: Ratings) -> AffectiveGMM:
        """Means moved by the posterior's W. Deviations shrink as the listener becomes known.

        A Gaussian of the background holds what listeners differ by (prior covariance) and what one scatters by
        (noise): each axis is scaled by the root of what is left of that sum. Means stay inside the plane.
        """
        posterior = self.posterior(state)
        before = np.diagonal(
            regression.variance(self.prior.covariance, self.basis) + self.prior.noise, axis1=1, axis2=2
        )
        now = np.diagonal(regression.variance(posterior.covariance, self.basis) + posterior.noise, axis1=1, axis2=2)
        scale = np.sqrt(np.maximum(now, 1e-6) / before)  # (K, 2)
        means = np.clip(self.background.means + self.basis @ posterior.mean.T, -1.0, 1.0)
        return AffectiveGMM(means, self.background.covariances * scale[:, :, None] * scale[:, None, :])

    def weights(self, state: Ratings) -> NDArray[np.float64]:
        """All 1: listeners differ in where components lie, not in how much of them they hear."""
        del state
        return np.ones(self.background.components)


def personal_heatmap(
    affective: AffectiveGMM, theta: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Eq. 4 for a listener: theta (..., K) times the listener's weights (K,), to sum to 1 again -> (..., 121)."""
    shared = theta if weights is None else theta * weights
    return (shared / np.maximum(shared.sum(axis=-1, keepdims=True), 1e-300)) @ affective.cell_masses()


def reweighted(
    log_heatmap: NDArray[np.float64],
    theta: NDArray[np.float64],
    background: AffectiveGMM,
    personal: AffectiveGMM,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Any decoder's heatmap as the listener has it: times the ratio of the personal to the background AEG heatmap.

    log_heatmap (..., 121), finite, theta (..., K) -> (..., 121), finite; its exponential sums to 1. Both AEG heatmaps
    stand on a small even floor, so that the ratio says nothing where neither has mass.
    """
    own = personal_heatmap(personal, theta, weights)
    ratio = np.log(own + RATIO_FLOOR) - np.log(personal_heatmap(background, theta) + RATIO_FLOOR)
    return normalised(log_heatmap + ratio)


@dataclass(frozen=True, eq=False)
class Reweighting(Generic[State]):
    """A listener's Gaussians carried over to any heatmap by ``reweighted``: a ``Listening`` of an ``Adaptation``."""

    adaptation: Adaptation[State]

    def init(self) -> State:
        """No ratings."""
        return self.adaptation.init()

    def rate(
        self,
        state: State,
        theta: NDArray[np.float64],
        log_heatmap: NDArray[np.float64],
        va: NDArray[np.float64],
        weight: float = 1.0,
    ) -> State:
        """As ``Listening.rate``; the heatmap is not learnt from."""
        del log_heatmap
        return self.adaptation.rate(state, theta, va, weight)

    def undo(
        self,
        state: State,
        theta: NDArray[np.float64],
        log_heatmap: NDArray[np.float64],
        va: NDArray[np.float64],
        weight: float = 1.0,
    ) -> State:
        """As ``Listening.undo``."""
        del log_heatmap
        return self.adaptation.undo(state, theta, va, weight)

    def faded(self, state: State, share: float) -> State:
        """As ``Listening.faded``."""
        return self.adaptation.faded(state, share)

    def heatmap(
        self, state: State, theta: NDArray[np.float64], log_heatmap: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """As ``Listening.heatmap``."""
        affective, weights = self.adaptation.affective(state), self.adaptation.weights(state)
        return reweighted(log_heatmap, theta, self.adaptation.background, affective, weights)
