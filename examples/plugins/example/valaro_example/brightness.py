"""A decoder: bright sound leans to one half of the plane, dull sound to the other.

``python -m valaro_example.brightness BUNDLE NEW`` writes a bundle that holds it beside the decoders of BUNDLE, with a
quarter of the fusion.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from valaro.models import Bundle, load_bundle
from valaro.models.bundle import FUSION
from valaro.models.decoders.base import Evidence
from valaro.models.decoders.fusion import Pool
from valaro.models.decoders.registry import Weights
from valaro.models.grid import CELL_AROUSAL

FORGETTING = 0.8  # of the running brightness, each half second


class Brightness:
    """Its state is the running brightness: what the upper half of the log-mel has over the lower, in nats."""

    def __init__(self, weights: Weights) -> None:
        self._slope = float(weights.arrays["slope"])
        self._offset = float(weights.settings["offset"])

    def init(self) -> float:
        return 0.0

    def step(self, state: float, evidence: Evidence) -> tuple[float, np.ndarray]:
        low, high = np.split(evidence.log_mel, 2, axis=1)
        state = FORGETTING * state + (1.0 - FORGETTING) * float(high.mean() - low.mean())
        scores = np.tanh(self._slope * (state - self._offset)) * CELL_AROUSAL  # 121 numbers, by cell
        return state, scores - np.log(np.exp(scores).sum())


def with_brightness(bundle: Bundle) -> Bundle:
    weights = Weights("brightness", arrays={"slope": np.array(0.7)}, settings={"offset": -2.5})
    fusion = bundle.pool(FUSION)
    own = fusion.exponents.sum(axis=1, keepdims=True) / 3.0
    pool = Pool(
        (*fusion.names, "brightness"), fusion.kinds, np.hstack([fusion.exponents, own]), fusion.bias, fusion.blur
    )
    return replace(bundle, others={"brightness": weights}, pools=bundle.pools | {FUSION: pool})


if __name__ == "__main__":
    with_brightness(load_bundle(sys.argv[1])).save(Path(sys.argv[2]))
