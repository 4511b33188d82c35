"""From sound to heatmaps: the stateful chain that the engine steps through."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import texture
from .aeg import AEG
from .bundle import Bundle
from .features import FeatureExtractor, Features, FeatureState
from .texture import TextureState
from .topics import TopicState


class TrackerState(NamedTuple):
    """All that the chain remembers."""

    features: FeatureState
    texture: TextureState
    topics: TopicState


class Tracker:
    """``init() -> state``, ``step(state, block) -> (state, Features)``, and ``heatmap(state)`` whenever one is due."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._extractor = FeatureExtractor()
        self._decoder = AEG(bundle.affective)

    def init(self) -> TrackerState:
        """Nothing heard: the heatmap is the neutral prior."""
        return TrackerState(self._extractor.init(), texture.init(), self._bundle.topics.init())

    def step(self, state: TrackerState, block: NDArray[np.float32]) -> tuple[TrackerState, Features]:
        """Take the next 100 ms of 24 kHz mono sound, (2400,) float32, finite."""
        extracted, features = self._extractor.step(state.features, block)
        textured, vector, weight = texture.step(state.texture, features)
        posteriors = self._bundle.acoustic.posteriors(self._bundle.projection(vector[None, :]))
        topics = self._bundle.topics.step(state.topics, posteriors, np.array([weight]))
        return TrackerState(extracted, textured, topics), features

    def theta(self, state: TrackerState) -> NDArray[np.float64]:
        """The topic posterior (K,) now (AEG Eq. 3, with forgetting)."""
        return self._bundle.topics.theta(state.topics)

    def heatmap(self, state: TrackerState) -> NDArray[np.float64]:
        """The heatmap (121,) now: non-negative, sums to 1."""
        _, log_heatmap = self._decoder.step((), self.theta(state))
        return np.exp(log_heatmap)
