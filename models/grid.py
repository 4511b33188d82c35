"""The valence-arousal plane as Valaro cuts it: an 11 x 11 grid on [-1, 1] x [-1, 1].

``heatmap[a, v]``: row = arousal low to high, column = valence low to high; flattened in C order, so that the
index of a cell is ``11 * a + v``. A heatmap is non-negative and sums to 1.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDE = 11
CELLS = SIDE * SIDE
CELL_WIDTH = 2.0 / SIDE
EDGES: NDArray[np.float64] = np.linspace(-1.0, 1.0, SIDE + 1)
CENTRES: NDArray[np.float64] = (EDGES[:-1] + EDGES[1:]) / 2

# Flat (121,) coordinates of the cells' centres, in the order of a flattened heatmap.
CELL_AROUSAL, CELL_VALENCE = (axis.ravel() for axis in np.meshgrid(CENTRES, CENTRES, indexing="ij"))

_low, _mid, _high = (np.sign(CENTRES) < 0) * 1.0, (np.sign(CENTRES) == 0) * 0.5, (np.sign(CENTRES) > 0) * 1.0
_negative, _positive = _low + _mid, _high + _mid  # the middle row and column are shared out by halves

# (121, 4): how much of each cell belongs to Q1 V+A+, Q2 V-A+, Q3 V-A-, Q4 V+A-.
QUADRANT_SHARE: NDArray[np.float64] = np.stack(
    [
        np.outer(_positive, _positive).ravel(),
        np.outer(_positive, _negative).ravel(),
        np.outer(_negative, _negative).ravel(),
        np.outer(_negative, _positive).ravel(),
    ],
    axis=1,
)


_MOST_ENTROPY = float(np.log(CELLS))
_WITHIN = CELL_WIDTH**2 / 12  # variance of a mass that fills one cell evenly, along either axis

# (121, 6): what a heatmap is summed with for its mass, its mean and its second moments about zero.
_MONOMIALS: NDArray[np.float64] = np.stack(
    [
        np.ones(CELLS),
        CELL_VALENCE,
        CELL_AROUSAL,
        CELL_VALENCE * CELL_VALENCE,
        CELL_VALENCE * CELL_AROUSAL,
        CELL_AROUSAL * CELL_AROUSAL,
    ],
    axis=1,
)


def quadrants(heatmap: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mass of Q1, Q2, Q3, Q4: (..., 11, 11) or (..., 121) -> (..., 4), which sums to the heatmap's sum."""
    return _flat(heatmap) @ QUADRANT_SHARE


def confidence(heatmap: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - entropy / log 121: 0 for a uniform heatmap, 1 for all mass in one cell; (..., 11, 11) -> (...)."""
    p = _flat(heatmap)
    return 1.0 + np.vecdot(p, np.log(np.maximum(p, 1e-300))) / _MOST_ENTROPY


def moments(heatmap: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (..., 2) and covariance (..., 2, 2) of (valence, arousal), mass taken as uniform inside a cell."""
    sums = _flat(heatmap) @ _MONOMIALS
    mean = sums[..., 1:3]
    # Moments about the mean from those about zero: next to the variance inside a cell nothing is lost to cancellation.
    rest = 2.0 - sums[..., :1]
    covariance = np.empty((*mean.shape, 2))
    covariance[..., 0, :] = sums[..., 3:5] - rest * mean[..., :1] * mean
    covariance[..., 1, :] = sums[..., 4:6] - rest * mean[..., 1:] * mean
    covariance[..., 0, 0] += _WITHIN
    covariance[..., 1, 1] += _WITHIN
    return mean, covariance


def cell_of(valence: ArrayLike, arousal: ArrayLike) -> NDArray[np.intp]:
    """Flat index of the cell that holds each point of [-1, 1] x [-1, 1]; a point on an edge joins the upper cell."""
    column, row = (
        np.clip(np.floor((np.asarray(x, dtype=float) + 1.0) / CELL_WIDTH).astype(np.intp), 0, SIDE - 1)
        for x in (valence, arousal)
    )
    return SIDE * row + column


def _flat(heatmap: NDArray[np.floating]) -> NDArray[np.float64]:
    heatmap = np.asarray(heatmap, dtype=np.float64)
    if heatmap.shape[-1] == CELLS:
        return heatmap
    return heatmap.reshape(*heatmap.shape[:-2], CELLS)
