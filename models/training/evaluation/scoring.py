"""What a decoder's streams are worth: figures of one fold, from heatmaps and labels alone.

A *stream* is the (emissions, 121) array of heatmaps that a decoder gives for one clip, each from what was heard so
far. Every function takes the items of a fold and their streams in the same order, and returns {figure: value}.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...decoders.fusion import smoothing
from ...grid import CELL_AROUSAL, CELL_VALENCE, CELLS, SIDE, quadrants
from ..corpus.items import Item, Stream
from ..corpus.targets import STD_OF_CELL, cells_of, counts_of, course_cells
from ..datasets.folder import EMISSION_SECONDS, Points
from . import metrics

HEARD = (5.0, 10.0, 15.0)  # s of listening after which clips are scored as well

Scores: TypeAlias = dict[str, float]
Panels: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]  # valence, arousal: (raters, T) each

_AXES = ("valence", "arousal")
_METRICS = {"r": metrics.pearson, "ccc": metrics.ccc, "rmse": metrics.rmse}
_PLACES: dict[str, Callable[[metrics.Metric, ArrayLike, ArrayLike, ArrayLike], float]] = {
    "overall": lambda metric, truth, predicted, _: metric(np.asarray(truth), np.asarray(predicted)),
    "between": metrics.between_groups,
    "within": metrics.within_groups,
}
_BLUR, _PSEUDO_COUNT = 1.0, 15.0  # of the heatmap that a moment's other raters make
_HALVINGS = 20


def score_clips(items: Sequence[Item], streams: Sequence[Stream], heard: Sequence[float] = HEARD) -> Scores:
    """Quadrants from the mass averaged over the clip: ``macro_f1``, ``accuracy``, ``valence`` and ``arousal`` (signs).

    The same after each number of seconds in ``heard``, from the heatmaps until then (``macro_f1_5s``, ...); none for a
    prediction that knows the whole clip from its start.
    """
    truth = np.array([item.quadrant for item in items], dtype=np.intp)
    mass = [quadrants(stream) for stream in streams]
    figures = _quadrant_figures(truth, np.stack([m.mean(axis=0) for m in mass]))
    for seconds in heard:
        emissions = max(round(seconds / EMISSION_SECONDS), 1)
        early = _quadrant_figures(truth, np.stack([m[:emissions].mean(axis=0) for m in mass]))
        figures |= {f"{name}_{seconds:g}s": value for name, value in early.items()}
    return figures


def _quadrant_figures(truth: NDArray[np.intp], mass: NDArray[np.float64]) -> Scores:
    valence, arousal = metrics.valence_arousal_accuracy(truth, mass)
    predicted = mass.argmax(axis=1)
    return {
        "macro_f1": metrics.macro_f1(truth, predicted),
        "accuracy": metrics.accuracy(truth, predicted),
        "valence": valence,
        "arousal": arousal,
    }


def score_points(items: Sequence[Item], streams: Sequence[Stream], known_cells: ArrayLike) -> Scores:
    """Heatmaps against the ratings of every rater at every moment.

    ``log_likelihood`` is the mean over pieces of the mean over a piece's ratings, nats. ``known_cells`` (n,), the cells
    of the ratings that were trained on, make the global histogram; ``share_of_way`` is how far the likelihood has come
    from it (0) to that of the moment's other raters (1). ``r``, ``ccc`` and ``rmse`` compare the heatmap's mean with
    the raters' mean, between pieces (their means) and within them (their means taken out).
    """
    histogram = metrics.prior_heatmap(known_cells, blur=0.0)
    heatmaps = {"prior": metrics.prior_heatmap(known_cells), "histogram": histogram}
    figures = {"log_likelihood": _points_likelihood(items, streams)}
    for name, heatmap in heatmaps.items():
        figures[f"{name}_log_likelihood"] = _points_likelihood(items, [heatmap] * len(items))
    figures["uniform_log_likelihood"] = -float(np.log(CELLS))
    start = figures["histogram_log_likelihood"]
    way = _others_likelihood(items, histogram) - start
    # One rater alone has no others, and so no way to go.
    figures["share_of_way"] = (figures["log_likelihood"] - start) / way if way else float("nan")
    pairs = []
    for item, stream in zip(items, streams, strict=True):
        rated, panels = _panels(_points(item))
        pairs.append(_Pair([_panel_mean(panel) for panel in panels], _means(stream[rated])))
    return figures | _course_figures(pairs, ("between", "within"))


def rater_agreement(items: Sequence[Item], known_cells: ArrayLike, seed: int = 0) -> dict[str, Scores]:
    """What people reach on the same figures: rows to stand beside the decoders', {row: {figure: value}}.

    "one rater" against the mean of all others and "half of the raters" against the other half (the mean over raters,
    over random halvings); "the moment's other raters": the likelihood of a rating under the histogram of the ratings
    that others gave at that moment, blurred by one cell, on 15 pseudo-counts of the global histogram. No row where
    every item has one rater only.
    """
    rng = np.random.default_rng(seed)
    panels = [_panels(_points(item))[1] for item in items]
    most = max(valence.shape[0] for valence, _ in panels)
    if most < 2:
        return {}
    one, half = [], []
    for rater in range(most):
        alone = [np.arange(v.shape[0]) == rater for v, _ in panels]
        one.append(_course_figures(_parted(panels, alone), ("between", "within")))
    for _ in range(_HALVINGS):
        halves = [rng.permutation(v.shape[0]) < v.shape[0] // 2 for v, _ in panels]
        half.append(_course_figures(_parted(panels, halves), ("between", "within")))
    likelihood = _others_likelihood(items, metrics.prior_heatmap(known_cells, blur=0.0))
    return {
        "one rater": _mean_figures(one),
        "half of the raters": _mean_figures(half),
        "the moment's other raters": {"log_likelihood": likelihood, "share_of_way": 1.0},
    }


def score_traces(items: Sequence[Item], streams: Sequence[Stream]) -> Scores:
    """Heatmaps against means over raters: ``clips`` (how many), ``log_likelihood``, RMSE, r and CCC of the means.

    The likelihood is the mean over clips of sum_c q_c log h_c, with q the raters' Gaussian on the cells
    (``targets.course_cells``); the others are taken over all moments (``overall``), between clips and within them.
    """
    pairs, likelihoods = [], []
    for item, stream in zip(items, streams, strict=True):
        assert item.trace is not None
        rated = stream[item.trace.emission]
        pairs.append(_Pair([item.trace.valence, item.trace.arousal], _means(rated)))
        target = course_cells(item.trace, STD_OF_CELL)
        likelihoods.append(np.mean(np.sum(target * np.log(np.maximum(rated, np.finfo(float).tiny)), axis=1)))
    figures = {"clips": float(len(items)), "log_likelihood": float(np.mean(likelihoods))}
    return figures | _course_figures(pairs, ("overall", "between", "within"))


class _Pair(NamedTuple):
    """(valence, arousal), each (n,), of one clip: as they were given, as they were predicted."""

    truth: Sequence[NDArray[np.float64]]
    predicted: Sequence[NDArray[np.float64]]


def _course_figures(pairs: Sequence[_Pair], where: Sequence[str]) -> Scores:
    clip = np.repeat(np.arange(len(pairs)), [pair.truth[0].size for pair in pairs])
    figures: Scores = {}
    for k, axis in enumerate(_AXES):
        truth = np.concatenate([pair.truth[k] for pair in pairs])
        predicted = np.concatenate([pair.predicted[k] for pair in pairs])
        for place, (name, metric) in product(where, _METRICS.items()):
            figures[f"{name}_{axis}_{place}"] = _PLACES[place](metric, truth, predicted, clip)
    return figures


def _points(item: Item) -> Points:
    assert item.points is not None
    return item.points


def _means(stream: Stream) -> list[NDArray[np.float64]]:
    return [stream @ CELL_VALENCE, stream @ CELL_AROUSAL]


def _points_likelihood(items: Sequence[Item], heatmaps: Iterable[NDArray[np.float64]]) -> float:
    means = []
    for item, heatmap in zip(items, heatmaps, strict=True):
        points = _points(item)
        means.append(metrics.log_likelihood(heatmap, points.emission, cells_of(points)).mean())
    return float(np.mean(means))


def _others_likelihood(items: Sequence[Item], histogram: NDArray[np.float64]) -> float:
    """Mean over pieces of the ratings' log-likelihood under what the others said at that moment."""
    kernel = smoothing(_BLUR)
    kept = np.outer(np.diag(kernel), np.diag(kernel)).ravel()  # what a rating leaves in its own cell
    means = []
    for item in items:
        points = _points(item)
        cells = cells_of(points)
        counts = counts_of(points, int(points.emission.max()) + 1)
        blurred = (kernel @ counts.reshape(-1, SIDE, SIDE) @ kernel.T).reshape(-1, CELLS)
        others = blurred[points.emission, cells] - kept[cells] + _PSEUDO_COUNT * histogram[cells]
        total = counts.sum(axis=1)[points.emission] - 1 + _PSEUDO_COUNT
        means.append(np.log(others / total).mean())
    return float(np.mean(means))


def _panels(points: Points) -> tuple[NDArray[np.intp], Panels]:
    """The rated emissions (T,), and valence and arousal as (raters, T); NaN where a rater said nothing."""
    rated, column = np.unique(points.emission, return_inverse=True)
    raters, row = np.unique(points.rater, return_inverse=True)
    valence, arousal = (np.full((raters.size, rated.size), np.nan) for _ in _AXES)
    valence[row, column], arousal[row, column] = points.valence, points.arousal
    return rated, (valence, arousal)


def _panel_mean(panel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over those who rated: (raters, T) -> (T,), NaN where nobody did."""
    given = np.isfinite(panel)
    count = given.sum(axis=0)
    return np.where(count > 0, np.where(given, panel, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _parted(panels: Sequence[Panels], chosen: Sequence[NDArray[np.bool_]]) -> list[_Pair]:
    """The means of the chosen raters as predictions of the means of the rest; pieces that lack either are left out."""
    pairs = []
    for axes, some in zip(panels, chosen, strict=True):
        predicted = [_panel_mean(axis[some]) for axis in axes]
        truth = [_panel_mean(axis[~some]) for axis in axes]
        both = np.isfinite(predicted[0]) & np.isfinite(truth[0])
        if both.any():
            pairs.append(_Pair([t[both] for t in truth], [p[both] for p in predicted]))
    return pairs


def _mean_figures(rows: Sequence[Mapping[str, float]]) -> Scores:
    """Over draws; a figure that no draw defines is NaN."""
    draws = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {
        name: float(v[np.isfinite(v)].mean()) if np.isfinite(v).any() else float("nan") for name, v in draws.items()
    }
