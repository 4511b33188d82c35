"""How good a model is: quadrants, heatmaps against raters' points, and traces over time.

Conventions: quadrants are 0..3 (Q1 V+A+, Q2 V-A+, Q3 V-A-, Q4 V+A-); a heatmap is (121,) as in ``models.grid``.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...decoders.fusion import smoothing
from ...grid import CELLS, SIDE

Metric: TypeAlias = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Share of the n labels that are right, 0..1."""
    return float(np.mean(np.asarray(truth) == np.asarray(predicted)))


def confusion(truth: ArrayLike, predicted: ArrayLike, classes: int = 4) -> NDArray[np.intp]:
    """Counts (classes, classes): row = truth, column = prediction."""
    counts = np.zeros((classes, classes), dtype=np.intp)
    np.add.at(counts, (np.asarray(truth, dtype=np.intp), np.asarray(predicted, dtype=np.intp)), 1)
    return counts


def macro_f1(truth: ArrayLike, predicted: ArrayLike, classes: int = 4) -> float:
    """The mean of the classes' F1 = 2 TP / (2 TP + FP + FN), 0..1; a class that never occurs at all counts 0."""
    counts = confusion(truth, predicted, classes)
    hits = np.diag(counts)
    return float(np.mean(2 * hits / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1)))


def valence_arousal_accuracy(truth: ArrayLike, mass: ArrayLike) -> tuple[float, float]:
    """Binary accuracies (valence, arousal) of quadrant masses (n, 4) against true quadrants (n,).

    Valence is taken as positive if Q1 and Q4 hold more than Q2 and Q3, arousal if Q1 and Q2 do more than Q3 and Q4.
    """
    quadrant, m = np.asarray(truth), np.asarray(mass, dtype=float)
    valence = m[:, 0] + m[:, 3] > m[:, 1] + m[:, 2]
    arousal = m[:, 0] + m[:, 1] > m[:, 2] + m[:, 3]
    return accuracy(np.isin(quadrant, (0, 3)), valence), accuracy(np.isin(quadrant, (0, 1)), arousal)


def log_likelihood(heatmaps: ArrayLike, emission: ArrayLike, cell: ArrayLike) -> NDArray[np.float64]:
    """Log of the mass that each rating's cell got: (n,), nats, at most 0; its mean is the figure to report.

    ``heatmaps`` (emissions, 121) or one (121,) for all; rating i was given at ``emission[i]`` in ``cell[i]``
    (``grid.cell_of``). A cell with no mass gives -inf. A uniform heatmap gives -log 121 = -4.796 everywhere.
    """
    mass = np.asarray(heatmaps, dtype=np.float64)
    hit = np.asarray(cell, dtype=np.intp)
    chosen = mass[hit] if mass.ndim == 1 else mass[np.asarray(emission, dtype=np.intp), hit]
    with np.errstate(divide="ignore"):
        return np.log(chosen)


def prior_heatmap(cell: ArrayLike, blur: float = 1.0, pseudo_count: float = 1.0) -> NDArray[np.float64]:
    """Where ratings lie at all: (121,), sums to 1, positive everywhere.

    The histogram of the points' cells (n,), blurred by a Gaussian of ``blur`` cells (each point's mass stays on the
    plane), with ``pseudo_count`` points spread evenly over it. What a model must beat.
    """
    histogram = np.bincount(np.asarray(cell, dtype=np.intp).ravel(), minlength=CELLS).astype(float)
    kernel = smoothing(blur)
    blurred = (kernel @ histogram.reshape(SIDE, SIDE) @ kernel.T).ravel() + pseudo_count / CELLS
    return blurred / blurred.sum()


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Correlation of two series (n,), -1..1; NaN if either is constant."""
    dx, dy = _centred(x), _centred(y)
    scale = np.sqrt(np.sum(dx * dx) * np.sum(dy * dy))
    return float(np.clip(np.sum(dx * dy) / scale, -1, 1)) if scale > 0 else float("nan")


def ccc(x: ArrayLike, y: ArrayLike) -> float:
    """Concordance correlation 2 cov / (var x + var y + (mean x - mean y)^2) (Lin 1989), -1..1.

    NaN if both series are one and the same constant.
    """
    dx, dy = _centred(x), _centred(y)
    shift = float(np.asarray(x, dtype=float).mean() - np.asarray(y, dtype=float).mean())
    spread = np.mean(dx * dx) + np.mean(dy * dy) + shift**2
    return float(2 * np.mean(dx * dy) / spread) if spread > 0 else float("nan")


def rmse(x: ArrayLike, y: ArrayLike) -> float:
    """Root of the mean squared difference, in the units of x and y."""
    return float(np.sqrt(np.mean((np.asarray(x, dtype=float) - np.asarray(y, dtype=float)) ** 2)))


def between_groups(metric: Metric, x: ArrayLike, y: ArrayLike, groups: ArrayLike) -> float:
    """``metric`` of the groups' means: does the model order the pieces? x, y, groups: (n,)."""
    pairs = _by_group(x, y, groups)
    return metric(np.array([a.mean() for a, _ in pairs]), np.array([b.mean() for _, b in pairs]))


def within_groups(metric: Metric, x: ArrayLike, y: ArrayLike, groups: ArrayLike) -> float:
    """Mean over the groups of ``metric`` with the group's own means taken out.

    Does the model follow a piece's course?

    Groups where the metric is undefined (NaN) are left out; NaN if it is so in all.
    """
    values = np.array([metric(_centred(a), _centred(b)) for a, b in _by_group(x, y, groups)])
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if defined.size else float("nan")


def standard_error(values: ArrayLike) -> float:
    """Of the mean of a figure over k folds: sample deviation / sqrt k; NaN for fewer than two."""
    v = np.asarray(values, dtype=float)
    return float(v.std(ddof=1) / np.sqrt(v.size)) if v.size > 1 else float("nan")


def _centred(x: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(x, dtype=np.float64)
    # A constant series must come out as exact zeros: its rounding errors would correlate with anything.
    if values.size and np.ptp(values) <= 1e-12 * np.abs(values).max():
        return np.zeros_like(values)
    return values - values.mean()


def _by_group(x: ArrayLike, y: ArrayLike, groups: ArrayLike) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(member, kind="stable")
    cuts = np.cumsum(np.bincount(member))[:-1]
    split_x, split_y = (np.split(np.asarray(v, dtype=np.float64)[order], cuts) for v in (x, y))
    return list(zip(split_x, split_y, strict=True))
