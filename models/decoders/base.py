"""What a decoder is given at each emission, and what every decoder is."""

from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..features import texture
from ..features.frame import BLOCKS, HOP_COLUMNS, HOPS

HOPS_PER_EMISSION = HOPS * BLOCKS
MELS = HOP_COLUMNS["log_mel"].stop - HOP_COLUMNS["log_mel"].start


class Evidence(NamedTuple):
    """What was heard in the 0.5 s up to an emission, at three ranges of time."""

    log_mel: NDArray[np.float32]  # (25, 64): natural log power of the hops, relative to the stream's own loudness
    texture: NDArray[np.float32]  # (163,): running statistics of the last seconds (``models.features.texture``)
    theta: NDArray[np.float64]  # (K,): the topic posterior; sums to 1


State = TypeVar("State")


class Decoder(Protocol[State]):
    """Evidence in, heatmap out. A decoder holds constants only; all that it remembers is in its state."""

    def init(self) -> State:
        """The state before any sound."""
        ...

    def step(self, state: State, evidence: Evidence) -> tuple[State, NDArray[np.float64]]:
        """Take one emission; returns the new state and the log heatmap (121,), finite, its exponential sums to 1.

        The state given is left as it was.
        """
        ...


SHAPES = {"log_mel": (HOPS_PER_EMISSION, MELS), "texture": (texture.SIZE,)}


def chain_features(evidence: Evidence) -> NDArray[np.float32]:
    """What the chain (``models.decoders.crf``) sees of the evidence: texture, then theta; (163 + K,)."""
    return np.concatenate((evidence.texture, evidence.theta), dtype=np.float32, casting="same_kind")
