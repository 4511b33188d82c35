"""The acoustic vector: what the last seconds of features were like, one row per block (100 ms).

Emotion lies less in a single frame than in how frames behave for a while (the "texture window" of Tzanetakis &
Cook, IEEE TSAP 10(5), 2002): running means, their deviations, and the deviations inside each block.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...kernels import texture as kernels
from .frame import BLOCK, BLOCK_COLUMNS, HOP_COLUMNS, RATE, Features

SECONDS = 2.0
_RATE = 1.0 - float(np.exp(-BLOCK / RATE / SECONDS))

_UNTOLD, _TOLD = 10, 30  # blocks until a texture says anything, and until it says all

_SLOPES = 8  # the slopes of the higher coefficients are mostly noise


def _indices(columns: dict[str, slice], names: list[str]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(columns[name].start, columns[name].stop) for name in names])


_HOP = np.sort(
    np.concatenate(
        [
            _indices(HOP_COLUMNS, ["mfcc", "shape", "onset", "level", "zero_crossings"]),
            _indices(HOP_COLUMNS, ["mfcc_slope"])[:_SLOPES],
        ]
    )
)
# Absolute pitch classes say which key, not what mood: the chroma itself stays out.
_BLOCK = _indices(BLOCK_COLUMNS, [name for name in BLOCK_COLUMNS if name != "chroma"])

SIZE = 2 * (_HOP.size + _BLOCK.size) + _HOP.size


class TextureState(NamedTuple):
    """Running statistics over the sounding blocks."""

    blocks: int  # sounding blocks so far
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    within: NDArray[np.float64]


def init() -> TextureState:
    """Nothing heard."""
    row = _HOP.size + _BLOCK.size
    return TextureState(0, np.zeros(row), np.zeros(row), np.zeros(_HOP.size))


def step(state: TextureState, features: Features) -> tuple[TextureState, NDArray[np.float32], float]:
    """Take one block; returns the acoustic vector (SIZE,) and how much it counts, 0..1.

    Until ``SECONDS`` have sounded the statistics are plain ones over all that was heard, after that exponential.
    Silence leaves the texture as it was and counts 0; so does the first second of all, whose deviations say little
    (full count from three seconds on: on 4Q that is worth 3 to 7 points of macro-F1 after five seconds of music).
    """
    weight = 0.0
    if features.active:
        mean, variance, within = state.mean.copy(), state.variance.copy(), state.within.copy()
        rate = max(_RATE, 1.0 / (state.blocks + 1))
        kernels.accumulate(features.hops, features.block, _HOP, _BLOCK, rate, mean, variance, within)
        state = TextureState(state.blocks + 1, mean, variance, within)
        weight = min(max((state.blocks - _UNTOLD) / (_TOLD - _UNTOLD), 0.0), 1.0)
    vector = np.concatenate((state.mean, np.sqrt(state.variance), state.within), dtype=np.float32, casting="same_kind")
    return state, vector, weight
