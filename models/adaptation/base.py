"""What every way of adapting to a listener offers."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..decoders.aeg import AffectiveGMM
from ..decoders.fusion import normalised

State = TypeVar("State")


class Adaptation(Protocol[State]):
    """How a listener's ratings become a listener's Gaussians. It holds constants only, as a decoder does.

    A state is sums over ratings: their order does not matter, and any of them can be taken back.
    """

    @property
    def background(self) -> AffectiveGMM:
        """What a listener is adapted from."""
        ...

    def init(self) -> State:
        """The state before any rating: the background."""
        ...

    def rate(self, state: State, theta: NDArray[np.float64], va: NDArray[np.float64], weight: float = 1.0) -> State:
        """Take in one rating: theta (K,) of what was heard, sums to 1; va (2,) in [-1, 1]; the state is not changed.

        Raises
        ------
        ValueError
            For a rating outside the plane or a theta that is not a distribution of K components.
        """
        ...

    def undo(self, state: State, theta: NDArray[np.float64], va: NDArray[np.float64], weight: float = 1.0) -> State:
        """Take a rating back; ``weight`` is what is left of it. ValueError if so much was never rated."""
        ...

    def faded(self, state: State, share: float) -> State:
        """Every rating so far counts ``share`` (0..1) of what it did: forgetting."""
        ...

    def affective(self, state: State) -> AffectiveGMM:
        """The listener's Gaussians."""
        ...

    def weights(self, state: State) -> NDArray[np.float64]:
        """What each component's share of theta is multiplied by for this listener: (K,), positive."""
        ...


class Listening(Protocol[State]):
    """How a listener's ratings change any heatmap: what the live chain asks for. States are sums, as above."""

    def init(self) -> State:
        """The state before any rating."""
        ...

    def rate(
        self,
        state: State,
        theta: NDArray[np.float64],
        log_heatmap: NDArray[np.float64],
        va: NDArray[np.float64],
        weight: float = 1.0,
    ) -> State:
        """Take in one rating of what was heard: theta (K,), its log heatmap (121,) before the listener's own part."""
        ...

    def undo(
        self,
        state: State,
        theta: NDArray[np.float64],
        log_heatmap: NDArray[np.float64],
        va: NDArray[np.float64],
        weight: float = 1.0,
    ) -> State:
        """Take a rating back."""
        ...

    def faded(self, state: State, share: float) -> State:
        """Every rating so far counts ``share`` of what it did."""
        ...

    def heatmap(
        self, state: State, theta: NDArray[np.float64], log_heatmap: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The listener's log heatmap: theta (..., K), log_heatmap (..., 121) -> (..., 121)."""
        ...


def check_rating(theta: NDArray[np.float64], va: NDArray[np.float64], weight: float, components: int) -> None:
    """Refuse what cannot be a rating.

    Raises
    ------
    ValueError
        For a theta that is no distribution of ``components``, VA outside the plane, or a weight that is not positive.
    """
    if theta.shape != (components,) or not (np.isfinite(theta).all() and theta.min() >= 0):
        raise ValueError(f"the theta of a rating must be ({components},), finite and not negative")
    if abs(float(theta.sum()) - 1.0) > 1e-3:
        raise ValueError("the theta of a rating must sum to 1")
    if va.shape != (2,) or not np.abs(va).max() <= 1:
        raise ValueError("valence and arousal of a rating must lie in [-1, 1]")
    if not 0 < weight < np.inf:
        raise ValueError("the weight of a rating must be positive")


def together(log_heatmaps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Several listeners in one room: the product of their heatmaps, each to the power of one over their number.

    Sequence of (121,), at least one -> (121,), finite; its exponential sums to 1. What all of them share, the music
    itself, so counts once, and a room of like-minded listeners feels what each of them does.
    """
    return normalised(np.mean(np.stack(log_heatmaps), axis=0))
