"""The topic posterior theta (AEG Eq. 3), kept as the stream goes, with exponential forgetting."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...kernels.gmm import add_forgetting


class TopicState(NamedTuple):
    """What has been heard and not yet forgotten."""

    mass: NDArray[np.float64]  # S (K,): forgotten sum of the weighted posteriors
    total: float  # N: forgotten sum of the weights, in frames


@dataclass(frozen=True, eq=False)
class Topics:
    """theta = (S + tau pi) / (N + tau): Eq. 3's mean of frame posteriors, made online.

    For each frame S <- d S + w p(A | x) and N <- d N + w, with d = 2 ** (-frame_period / half_life). A frame of
    weight 0 (silence) adds nothing while forgetting goes on, so that theta drifts to the prior pi by itself.
    Without forgetting (half_life infinite) and with tau = 0 this is Eq. 3 itself.

    Parameters
    ----------
    prior
        pi (K,), sums to 1: the acoustic mixture's weights.
    half_life
        Seconds of stream after which a frame counts half; may be infinite.
    frame_period
        Seconds from one frame to the next.
    tau
        Prior count in frames: how much music outweighs the prior.

    Examples
    --------
    >>> topics = Topics(np.array([0.5, 0.5]), half_life=0.02, frame_period=0.02, tau=1.0)
    >>> state = topics.step(topics.init(), np.array([[1.0, 0.0]]), np.array([1.0]))
    >>> topics.theta(state).tolist()
    [0.75, 0.25]
    >>> topics.theta(topics.step(state, np.array([[1.0, 0.0]] * 60), np.zeros(60))).tolist()
    [0.5, 0.5]
    """

    prior: NDArray[np.float64]
    half_life: float
    frame_period: float
    tau: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", np.ascontiguousarray(self.prior, dtype=np.float64))
        if not (self.half_life > 0 and self.frame_period > 0 and self.tau >= 0):
            raise ValueError("half_life and frame_period must be positive and tau not negative")

    @property
    def decay(self) -> float:
        """What remains of a frame after the next one, in (0, 1]."""
        return 2.0 ** (-self.frame_period / self.half_life)

    def init(self) -> TopicState:
        """Nothing heard: theta is the prior."""
        return TopicState(np.zeros(self.prior.size), 0.0)

    def step(self, state: TopicState, posteriors: NDArray[np.float64], weights: NDArray[np.float64]) -> TopicState:
        """Take in frames, oldest first: posteriors (n, K), weights (n,) in [0, 1]; state is not changed.

        Any grouping of the same frames gives the same state, bit for bit.
        """
        n = posteriors.shape[0]
        if posteriors.shape != (n, self.prior.size) or weights.shape != (n,):
            raise ValueError(f"posteriors {posteriors.shape} and weights {weights.shape} do not belong together")
        mass, total = state.mass.copy(), np.array([state.total])
        add_forgetting(
            np.ascontiguousarray(posteriors, dtype=np.float64),
            np.ascontiguousarray(weights, dtype=np.float64),
            self.decay,
            mass,
            total,
        )
        return TopicState(mass, float(total[0]))

    def theta(self, state: TopicState) -> NDArray[np.float64]:
        """The topic posterior (K,): non-negative, sums to 1."""
        count = state.total + self.tau
        if count <= 0:
            return self.prior.copy()
        return (state.mass + self.tau * self.prior) / count
