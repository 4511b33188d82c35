"""How far raters trail the music: the lag at which their traces follow the sound best.

A rater hears, feels, decides and moves: what is entered at t is about the music some seconds before (1 to 6 s in the
literature; Schubert, Music Perception 21, 2004; Mariooryad & Busso, IEEE TAFFC 6, 2015, who pick the lag by the peak
of a dependence between features and traces, as here). The ``annotator_lag`` of ``labels`` and ``targets`` moves a set
by it; by default nothing is moved, see ``labels.Piece.bar_at_emissions``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..datasets.labels import EMISSION_SECONDS

_FOLDS = 2
_BOOTSTRAPS = 200
_FEWEST = 10  # moments that a piece must have at every lag for a correlation

_Pair = tuple[NDArray[np.float64], NDArray[np.float64]]  # features (n, D), traces (n, A)


class Lag(NamedTuple):
    """``seconds`` that the traces trail the features, its standard ``error`` over pieces, and what it comes from.

    ``curve`` (lags,) is the correlation within pieces, averaged, at ``lags`` (lags,) seconds; ``pieces`` counted.
    """

    seconds: float
    error: float
    lags: NDArray[np.float64]
    curve: NDArray[np.float64]
    pieces: int


def annotator_lag(
    features: Sequence[NDArray[np.floating]],
    traces: Sequence[NDArray[np.float64]],
    longest: float = 8.0,
    ridge: float = 0.1,
    seed: int = 0,
) -> Lag:
    """Where the correlation of sound and traces peaks as the traces are drawn back in time.

    ``features``: of each piece (n, D), a row an emission; ``traces``: (n, A), what the panel said at the same emissions
    on A axes, over which the correlation is averaged. With D = 1 the column is correlated with the trace as it is,
    within the piece, and its sign does not matter. With more, a ridge regression (penalty ``ridge`` x the number of
    moments) predicts the traces at each lag, from pieces that are not the one predicted. The peak is refined by a
    parabola, the error is the deviation of the peak over resampled pieces.

    A feature that is itself late (a running mean over 2 s) hides so much of the lag: this is the lag behind the
    features. Pieces that are shorter than ``longest`` seconds and five more, or do not move, are left out.

    Raises
    ------
    DataError
        Features and traces out of step, values that are not finite, or fewer than two pieces to go by.
    """
    steps = round(longest / EMISSION_SECONDS)
    pieces = _moving(features, traces, steps)
    alone = pieces[0][0].shape[1] == 1
    by_axis = np.stack([_plain(pieces, k) if alone else _predicted(pieces, k, ridge) for k in range(steps + 1)], axis=1)
    if alone:
        mean = by_axis.mean(axis=0)  # (lags, axes)
        strongest = np.take_along_axis(mean, np.abs(mean).argmax(axis=0)[None], axis=0)
        by_axis = by_axis * np.sign(strongest)
    curves = by_axis.mean(axis=2)  # (pieces, lags)
    picks = np.random.default_rng(seed).integers(0, len(curves), (_BOOTSTRAPS, len(curves)))
    peaks = [_peak(curves[pick].mean(axis=0)) for pick in picks]
    curve = curves.mean(axis=0)
    lags = EMISSION_SECONDS * np.arange(steps + 1, dtype=np.float64)
    return Lag(_peak(curve) * EMISSION_SECONDS, float(np.std(peaks)) * EMISSION_SECONDS, lags, curve, len(curves))


def _moving(features: Sequence[NDArray[np.floating]], traces: Sequence[NDArray[np.float64]], steps: int) -> list[_Pair]:
    """The pieces that can be correlated at every lag."""
    if len(features) != len(traces):
        raise DataError(f"{len(features)} pieces of features and {len(traces)} of traces")
    pieces = []
    for index, (x, y) in enumerate(zip(features, traces, strict=True)):
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
            raise DataError(f"piece {index}: features {x.shape} and traces {y.shape}, expected (n, D) and (n, A)")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise DataError(f"piece {index}: a feature or a label is not a number")
        if len(y) >= steps + _FEWEST and np.ptp(y, axis=0).min() > 0:
            pieces.append((x.astype(np.float64), y.astype(np.float64)))
    if len(pieces) < 2:
        raise DataError(f"{len(pieces)} pieces that move and last {steps * EMISSION_SECONDS:g} s: a lag needs two")
    return pieces


def _shifted(pieces: list[_Pair], k: int) -> list[_Pair]:
    """Each sound with the trace of ``k`` emissions later, both less their means in that piece."""
    cut = [(x[: len(x) - k], y[k:]) for x, y in pieces]
    return [(x - x.mean(axis=0), y - y.mean(axis=0)) for x, y in cut]


def _plain(pieces: list[_Pair], k: int) -> NDArray[np.float64]:
    """Correlation (pieces, axes) of the one feature and the traces ``k`` emissions later."""
    return np.array([_correlations(x, y) for x, y in _shifted(pieces, k)])


def _predicted(pieces: list[_Pair], k: int, ridge: float) -> NDArray[np.float64]:
    """Correlation (pieces, axes) of traces ``k`` emissions later with what the other half of the pieces predicts."""
    pairs = _shifted(pieces, k)
    scale = np.sqrt(np.mean([np.mean(x**2, axis=0) for x, _ in pairs], axis=0))
    scale[scale == 0] = 1.0
    pairs = [(x / scale, y) for x, y in pairs]
    r = np.empty((len(pairs), pairs[0][1].shape[1]))
    for test in range(_FOLDS):
        known = [pair for index, pair in enumerate(pairs) if index % _FOLDS != test]
        moments = sum(len(y) for _, y in known)
        gram = np.sum([x.T @ x for x, _ in known], axis=0) + ridge * moments * np.eye(scale.size)
        slopes = np.linalg.solve(gram, np.sum([x.T @ y for x, y in known], axis=0))
        for index in range(test, len(pairs), _FOLDS):
            x, y = pairs[index]
            r[index] = _correlations(x @ slopes, y)
    return r


def _correlations(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Column by column; 0 where one does not move."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    norm = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.where(norm > 1e-12, (x * y).sum(axis=0) / np.maximum(norm, 1e-12), 0.0)


def _peak(curve: NDArray[np.float64]) -> float:
    """Position of the maximum, between samples by the parabola through it and its neighbours."""
    top = int(np.argmax(curve))
    if top in (0, len(curve) - 1):
        return float(top)
    left, centre, right = curve[top - 1 : top + 2]
    bend = left - 2 * centre + right
    return top + (0.5 * (left - right) / bend if bend < 0 else 0.0)
