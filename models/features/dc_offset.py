"""What a sound card adds to the sound: a constant, which is no sound.

The features leave 0 Hz out of their spectra, yet an offset shifts the zero crossings and makes a step where the stream
begins. It is tracked over seconds, and taken out where it is more than a hundredth of the sound: what is less harms
nothing, and music without an offset goes through bit for bit.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .frame import BLOCK, RATE

_SECONDS = 3.0
_RATE = 1.0 - float(np.exp(-BLOCK / RATE / _SECONDS))
_MATTERS = 1e-2  # of the sound's root mean square
_NOTHING = 1e-12  # power, 120 dB under full scale: kept from fading into subnormal numbers
_ONES = np.ones(BLOCK, dtype=np.float32)
_RAMP = np.linspace(1 / BLOCK, 1, BLOCK, dtype=np.float32)


class DCOffsetState(NamedTuple):
    """The running offset."""

    blocks: int  # so far, up to 1 / _MATTERS
    mean: float
    power: float  # mean square of the rest
    removed: float  # what was taken from the last sample


def init() -> DCOffsetState:
    """Nothing heard."""
    return DCOffsetState(0, 0.0, 0.0, 0.0)


def step(state: DCOffsetState, block: NDArray[np.float32]) -> tuple[DCOffsetState, NDArray[np.float32]]:
    """Take 100 ms (BLOCK,) float32; returns the same without the offset: the array itself where there is none."""
    blocks = min(state.blocks + 1, round(1 / _MATTERS))
    rate = max(_RATE, 1.0 / blocks)
    now = float(np.dot(block, _ONES)) / BLOCK
    mean = state.mean + rate * (now - state.mean)
    rest = max(float(np.dot(block, block)) / BLOCK - now * now, 0.0)
    power = state.power + rate * (rest - state.power)
    # The mean of n blocks of music without an offset is up to about 1 / n of its RMS.
    offset = mean if mean * mean > max(power / blocks**2, _NOTHING) else 0.0
    if mean * mean < _NOTHING:
        mean = 0.0
    before = state.removed if state.blocks else offset
    new = DCOffsetState(blocks, mean, power if power > _NOTHING else 0.0, offset)
    if offset == 0.0 and before == 0.0:
        return new, block
    return new, np.subtract(block, before + (offset - before) * _RAMP, dtype=np.float32)
