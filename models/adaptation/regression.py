"""How one listener differs from all: Bayesian linear regression on a few features, in sums over ratings.

A listener is W (2, F): what they feel is e = m + W phi + noise, with m what the model says, phi (F,) features of what
was heard and noise ~ N(0, R). With W ~ N(mean, covariance), learnt from other listeners, the posterior is exact, and
depends on the ratings only through sums: their order does not matter, and any of them can be taken back.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ListenerPrior:
    """How listeners differ: W ~ N(mean, covariance), and how a listener scatters around their own mean.

    Parameters
    ----------
    mean
        (2, F); all 0 where a new listener begins at the background.
    covariance
        (2F, 2F), positive definite, of W flattened in C order: valence's F, then arousal's.
    noise
        (2, 2), positive definite: R of one rating.
    noise_count
        How many ratings the noise is worth; the listener's own scatter is learnt against it.

    Raises
    ------
    ValueError
        For shapes that do not belong together or matrices that are not positive definite.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    noise: NDArray[np.float64]
    noise_count: float = 20.0

    def __post_init__(self) -> None:
        for name in ("mean", "covariance", "noise"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        size = self.mean.size
        if self.mean.ndim != 2 or self.mean.shape[0] != 2 or self.covariance.shape != (size, size):
            raise ValueError(f"mean {self.mean.shape} and covariance {self.covariance.shape} do not make a prior")
        if self.noise.shape != (2, 2) or not self.noise_count > 0:
            raise ValueError("the noise of a prior must be (2, 2), its count positive")
        try:
            for matrix in (self.covariance, self.noise):
                np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError as error:
            raise ValueError("covariance and noise of a prior must be positive definite") from error


class Ratings(NamedTuple):
    """Sums over a listener's ratings, each by its weight: all that the posterior depends on."""

    total: float  # of their weights
    gram: NDArray[np.float64]  # (F, F): phi phi^T
    cross: NDArray[np.float64]  # (2, F): (e - m) phi^T, with m the background's mean
    square: NDArray[np.float64]  # (2, 2): (e - m)(e - m)^T


class Posterior(NamedTuple):
    """What is known of a listener: W ~ N(mean, covariance), and their scatter."""

    mean: NDArray[np.float64]  # (2, F)
    covariance: NDArray[np.float64]  # (2F, 2F)
    noise: NDArray[np.float64]  # (2, 2)


def no_ratings(features: int) -> Ratings:
    """The sums before any rating."""
    return Ratings(0.0, np.zeros((features, features)), np.zeros((2, features)), np.zeros((2, 2)))


def added(state: Ratings, phi: NDArray[np.float64], offset: NDArray[np.float64], weight: float) -> Ratings:
    """One rating more, or with a negative weight less: phi (F,), offset = e - m (2,). ValueError if it never was."""
    if state.total + weight < -1e-9 * abs(weight):
        raise ValueError("there is no such rating to take back")
    return Ratings(
        state.total + weight,
        state.gram + weight * np.outer(phi, phi),
        state.cross + weight * np.outer(offset, phi),
        state.square + weight * np.outer(offset, offset),
    )


def faded(state: Ratings, share: float) -> Ratings:
    """Every rating counts ``share`` of what it did."""
    return Ratings(share * state.total, share * state.gram, share * state.cross, share * state.square)


def posterior(prior: ListenerPrior, state: Ratings) -> Posterior:
    """W after the ratings, exactly; the noise by one step of EM from the prior's, against its count."""
    F = prior.mean.shape[1]
    precision, certainty = np.linalg.inv(prior.covariance), np.linalg.inv(prior.noise)
    covariance = np.asarray(np.linalg.inv(np.kron(certainty, state.gram) + precision), dtype=np.float64)
    information = (certainty @ state.cross).ravel() + precision @ prior.mean.ravel()
    W = (covariance @ information).reshape(2, F)
    residual = state.square - W @ state.cross.T - state.cross @ W.T + W @ state.gram @ W.T
    unsure = np.einsum("aibj,ij->ab", covariance.reshape(2, F, 2, F), state.gram)
    noise = (prior.noise_count * prior.noise + residual + unsure) / (prior.noise_count + state.total)
    return Posterior(W, covariance, (noise + noise.T) / 2)


def variance(covariance: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of W phi for W of ``covariance`` (2F, 2F): phi (..., F) -> (..., 2, 2)."""
    F = phi.shape[-1]
    return np.einsum("aibj,...i,...j->...ab", covariance.reshape(2, F, 2, F), phi, phi)


def information(prior: ListenerPrior, state: Ratings, phi: NDArray[np.float64]) -> float:
    """What a rating at phi (F,) is expected to tell about the listener, nats: mutual information of it and W."""
    spread = variance(posterior(prior, state).covariance, phi)
    return float(0.5 * np.linalg.slogdet(np.eye(2) + np.linalg.solve(prior.noise, spread))[1])
