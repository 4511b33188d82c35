"""Relevance MAP of the affective mixture (Reynolds, Quatieri & Dunn, DSP 10, 2000), untied or with tied components."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..decoders.aeg import AffectiveGMM
from .base import check_rating


class MapStatistics(NamedTuple):
    """Sums over a listener's ratings by the component that answers for them, under the background (AEG Eq. 6)."""

    expected: NDArray[np.float64]  # (K,): theta
    occupancy: NDArray[np.float64]  # (K,): responsibilities, which also know the rating
    first: NDArray[np.float64]  # (K, 2): of e - mu_k
    second: NDArray[np.float64]  # (K, 2, 2): of (e - mu_k)(e - mu_k)^T


@dataclass(frozen=True, eq=False)
class MapAdaptation:
    """MAP of means, covariances and weights with the background as the prior of each component.

    With n_k, f_k, F_k the tied sums over ratings of responsibilities, and of offsets from mu_k and their squares so
    weighted:

        mu_k'    = mu_k + f_k / (n_k + mean_count)
        Sigma_k' = (covariance_count Sigma_k + F_k - f_k f_k^T / (n_k + mean_count)) / (covariance_count + n_k)
        weight_k = (n_k + weight_count) / (expected_k + weight_count)

    Responsibilities are those of the background, so that ratings may come in any order and be taken back. A rating
    costs O(K).

    The counts say how many ratings the background is worth (relevance factors): positive; infinite keeps that part.

    Parameters
    ----------
    tying
        (K, K), non-negative, 1 on the diagonal: how much of what component l learns component k hears of; None:
        nothing, each component by itself.
    """

    background: AffectiveGMM
    mean_count: float = 2.0
    covariance_count: float = 20.0
    weight_count: float = np.inf
    tying: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        K = self.background.components
        if self.tying is not None and (self.tying.shape != (K, K) or not self.tying.min() >= 0):
            raise ValueError(f"tying must be ({K}, {K}) and not negative")
        if not min(self.mean_count, self.covariance_count, self.weight_count) > 0:
            raise ValueError("the prior counts of MAP must be positive")

    @cached_property
    def _log_normal(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        S = self.background.covariances
        return np.asarray(np.linalg.inv(S), dtype=np.float64), -0.5 * np.log(np.linalg.det(S))

    def init(self) -> MapStatistics:
        """No ratings: the background."""
        K = self.background.components
        return MapStatistics(np.zeros(K), np.zeros(K), np.zeros((K, 2)), np.zeros((K, 2, 2)))

    def rate(
        self, state: MapStatistics, theta: NDArray[np.float64], va: NDArray[np.float64], weight: float = 1.0
    ) -> MapStatistics:
        """As ``Adaptation.rate``."""
        check_rating(theta, va, weight, self.background.components)
        return self._added(state, theta, va, weight)

    def undo(
        self, state: MapStatistics, theta: NDArray[np.float64], va: NDArray[np.float64], weight: float = 1.0
    ) -> MapStatistics:
        """As ``Adaptation.undo``."""
        check_rating(theta, va, weight, self.background.components)
        if state.expected.sum() < weight * (1 - 1e-3):
            raise ValueError("there is no such rating to take back")
        return self._added(state, theta, va, -weight)

    def faded(self, state: MapStatistics, share: float) -> MapStatistics:
        """As ``Adaptation.faded``."""
        return MapStatistics(*(share * statistic for statistic in state))

    def responsibilities(self, theta: NDArray[np.float64], va: NDArray[np.float64]) -> NDArray[np.float64]:
        """Eq. 6 under the background: (K,), sums to 1."""
        precision, log_scale = self._log_normal
        x = va - self.background.means
        with np.errstate(divide="ignore"):
            score = np.log(theta) + log_scale - 0.5 * np.einsum("ki,kij,kj->k", x, precision, x)
        shares = np.exp(score - score.max())
        return shares / shares.sum()

    def _added(
        self, state: MapStatistics, theta: NDArray[np.float64], va: NDArray[np.float64], weight: float
    ) -> MapStatistics:
        share = weight * self.responsibilities(theta, va)
        x = va - self.background.means
        return MapStatistics(
            state.expected + weight * theta,
            state.occupancy + share,
            state.first + share[:, None] * x,
            state.second + share[:, None, None] * x[:, :, None] * x[:, None, :],
        )

    def _tied(self, state: MapStatistics) -> MapStatistics:
        if self.tying is None:
            return state
        return MapStatistics(*(np.tensordot(self.tying, statistic, axes=1) for statistic in state))

    def affective(self, state: MapStatistics) -> AffectiveGMM:
        """The listener's Gaussians at the mode of their posterior."""
        _, n, first, second = self._tied(state)
        n = np.maximum(n, 0.0)  # what is left of ratings taken back may be -1e-17
        moved = first / (n + self.mean_count)[:, None]
        means = np.clip(self.background.means + moved, -1.0, 1.0)
        if np.isinf(self.covariance_count):
            return AffectiveGMM(means, self.background.covariances)
        scatter = second - first[:, :, None] * moved[:, None, :]
        gathered = self.covariance_count * self.background.covariances + scatter
        return AffectiveGMM(means, gathered / (self.covariance_count + n)[:, None, None])

    def weights(self, state: MapStatistics) -> NDArray[np.float64]:
        """Occupancy over what theta led to expect, both with the prior's count: (K,)."""
        if np.isinf(self.weight_count):
            return np.ones(self.background.components)
        expected, occupancy, *_ = self._tied(state)
        return (np.maximum(occupancy, 0.0) + self.weight_count) / (np.maximum(expected, 0.0) + self.weight_count)
