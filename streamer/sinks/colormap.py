"""A heatmap as a picture: enlarged, scaled in brightness, and coloured."""

import numpy as np
from numpy.typing import NDArray

from ...models.grid import SIDE

# Q1 V+A+, Q2 V-A+, Q3 V-A-, Q4 V+A- in plain words, and the colour of each in every picture.
QUADRANT_NAMES = ("happy · excited", "tense · angry", "sad · gloomy", "calm · tender")
QUADRANT_COLOURS = ("#ffb648", "#f2545b", "#5d8df5", "#46c9a2")

# matplotlib's "magma" (CC0) at 17 even steps: perceptually uniform, dark to light, safe for the colour-blind.
_MAGMA = np.array(
    [
        (0, 0, 4),
        (11, 9, 36),
        (32, 17, 75),
        (59, 15, 112),
        (87, 21, 126),
        (114, 31, 129),
        (140, 41, 129),
        (168, 50, 125),
        (196, 60, 117),
        (222, 73, 104),
        (241, 96, 93),
        (250, 127, 94),
        (254, 159, 109),
        (254, 191, 132),
        (253, 222, 160),
        (252, 240, 179),
        (252, 253, 191),
    ],
    dtype=np.float64,
)


def colours(brightness: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Magma's colours of values in 0..1 (others are clipped): (...) -> (..., 3), red, green, blue."""
    position = np.clip(brightness, 0.0, 1.0) * (len(_MAGMA) - 1)
    low = np.minimum(position.astype(np.intp), len(_MAGMA) - 2)
    part = (position - low)[..., None]
    return np.rint(_MAGMA[low] * (1 - part) + _MAGMA[low + 1] * part).astype(np.uint8)


def enlarge(heatmap: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """Cubic interpolation (Catmull-Rom) of (11, 11) to (size, size), row = arousal low to high, never below zero.

    The values stay those of cells, so that a picture's maximum is about the heatmap's.
    """
    weights = _interpolation(size)
    return np.maximum(weights @ np.asarray(heatmap, dtype=np.float64) @ weights.T, 0.0)


def _interpolation(size: int) -> NDArray[np.float64]:
    """(size, 11): the weight of each cell of an axis in each pixel; the outer cells are repeated beyond the edge."""
    position = (np.arange(size) + 0.5) * SIDE / size - 0.5
    base = np.floor(position).astype(np.intp)
    t = position - base
    taps = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (-(t**2) + t**3) / 2,
    )
    weights = np.zeros((size, SIDE))
    for offset, tap in enumerate(taps, start=-1):
        np.add.at(weights, (np.arange(size), np.clip(base + offset, 0, SIDE - 1)), tap)
    return weights


class Exposure:
    """The white level: the peak of the heatmaps so far, which rises at once and falls slowly.

    A picture scaled by its own maximum would look as sure in doubt as in certainty; a fixed scale would be dark most
    of the time.

    Parameters
    ----------
    release : seconds after which a peak counts for 1/e.
    """

    def __init__(self, release: float = 8.0) -> None:
        self._release = release
        self._white = 0.0

    def __call__(self, heatmap: NDArray[np.floating], elapsed: float) -> NDArray[np.float64]:
        """Brightness in 0..1 of ``heatmap``, ``elapsed`` seconds after the one before."""
        peak = float(np.max(heatmap))
        self._white = max(peak, peak + (self._white - peak) * float(np.exp(-elapsed / self._release)))
        return np.asarray(heatmap, dtype=np.float64) / max(self._white, 1e-12)
