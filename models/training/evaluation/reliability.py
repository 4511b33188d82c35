"""Whether the heatmaps' probabilities mean what they say.

A heatmap states a mass for each cell, each quadrant and each sign of an axis; reliability compares the mass
stated with the share of labels that fell there, coverage does the same for highest-density regions. What is kept are
sums, so that folds can be added up: the calibration error of few labels is mostly noise, and its mean over folds is
biased upwards (Kumar, Liang & Ma, NeurIPS 2019), that of all folds together far less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...grid import CELLS, quadrants
from ..corpus.items import Item, Stream
from ..corpus.targets import counts_of, quadrant_shares
from ..fit.fusion import _TINY

LEVELS: NDArray[np.float64] = np.arange(1, 10) / 10  # nominal coverage of the regions that are tested
SHARES: NDArray[np.float64] = np.linspace(0, 1, 11)  # edges of the bins of quadrant and sign masses
CELL_SHARES: NDArray[np.float64] = np.concatenate([[0.0], np.logspace(-4, 0, 21)])  # of cell masses, mostly near 1/121

_POSITIVE = {"valence": [0, 3], "arousal": [0, 1]}  # the quadrants on the positive side of each axis


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Statements sorted into bins by the mass stated: arrays (bins,) of sums over the statements.

    ``count`` of statements (weighted), of the masses ``predicted``, and of what came true, ``observed``.
    """

    count: NDArray[np.float64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(self.count + other.count, self.predicted + other.predicted, self.observed + other.observed)

    @property
    def error(self) -> float:
        """Expected calibration error: mean over statements of |share that came true - mass stated| of their bin."""
        return float(np.abs(self.observed - self.predicted).sum() / self.count.sum())

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean mass stated, share that came true and share of the statements, of each bin that is not empty."""
        some = self.count > 0
        count = self.count[some]
        return self.predicted[some] / count, self.observed[some] / count, count / count.sum()


Calibration: TypeAlias = dict[str, Reliability]


def reliability(predicted: ArrayLike, observed: ArrayLike, weights: ArrayLike, edges: ArrayLike) -> Reliability:
    """Bin statements of mass ``predicted`` (any shape, 0..1), true to the share ``observed`` (same shape, 0..1).

    ``weights`` is broadcast to them; ``edges`` (bins + 1,) rise from 0 to 1.
    """
    p, o = np.asarray(predicted, dtype=float), np.asarray(observed, dtype=float)
    w = np.broadcast_to(np.asarray(weights, dtype=float), p.shape)
    bins = np.size(edges) - 1
    index = np.clip(np.searchsorted(np.asarray(edges), p.ravel(), side="right") - 1, 0, bins - 1)
    count, stated, true = (np.bincount(index, v.ravel(), bins).astype(np.float64) for v in (w, w * p, w * o))
    return Reliability(count, stated, true)


def densest(mass: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """How much of each outcome belongs to the smallest set that holds ``level`` of the mass: (n, K) -> (n, K), 0..1.

    The last outcome to enter belongs to it in part (as if by lot), so that a calibrated forecast covers exactly
    ``level`` although its outcomes are few.
    """
    order = np.argsort(-mass, axis=1, kind="stable")
    falling = np.take_along_axis(mass, order, axis=1)
    room = level - (np.cumsum(falling, axis=1) - falling)
    share = np.clip(room / np.maximum(falling, _TINY), 0.0, 1.0)
    belonging = np.empty_like(share)
    np.put_along_axis(belonging, order, share, axis=1)
    return belonging


def coverage(mass: NDArray[np.float64], counts: NDArray[np.float64]) -> Reliability:
    """Highest-density regions of the forecasts ``mass`` (n, K) at all LEVELS against ``counts`` (n, K) of labels."""
    total = np.full(LEVELS.size, counts.sum())
    hits = np.array([np.sum(counts * densest(mass, level)) for level in LEVELS])
    return Reliability(total, LEVELS * total, hits)


def calibrate(items: Sequence[Item], streams: Sequence[Stream]) -> Calibration:
    """Reliability of the streams of items with points or with a quadrant: {"cells", "quadrants", ...: Reliability}.

    Points: "cells", "quadrants", "valence", "arousal" (the mass on the positive side) and "regions" (coverage); each
    rating counts the same. Clips: the mass averaged over the clip in "quadrants", "valence", "arousal" and "regions"
    (sets of quadrants), and the same of each single emission under "..._live".
    """
    parts = [_of_points(i, s) if i.points is not None else _of_clip(i, s) for i, s in zip(items, streams, strict=True)]
    return merged(parts)


def merged(parts: Sequence[Calibration]) -> Calibration:
    """All parts' statements together; a kind of statement that some parts lack is that of the others."""
    total: Calibration = {}
    for part in parts:
        total |= {name: total[name] + statements if name in total else statements for name, statements in part.items()}
    return total


def calibration_figures(calibration: Calibration) -> dict[str, float]:
    """``ece_cells``, ``ece_quadrants``, ...: expected calibration errors; ``coverage_50``, ``coverage_90``: shares.

    ``ece_cells`` is the error of one cell, times 121, halved: the share of a heatmap's mass that is in the wrong place.
    """
    figures = {}
    for name, statements in calibration.items():
        if name.startswith("regions"):
            covered = statements.observed / statements.count
            for level in (50, 90):
                figures[f"coverage_{level}{name.removeprefix('regions')}"] = float(covered[level // 10 - 1])
        else:
            figures[f"ece_{name}"] = statements.error * (CELLS / 2 if name == "cells" else 1.0)
    return figures


def joined_figures(folds: Sequence[Calibration]) -> dict[str, dict[str, object]]:
    """Figures of all folds together, standard errors by leaving one fold out (jackknife), and each fold's own.

    {figure: {"mean", "se" (None for one fold), "folds"}}, as ``report.join`` gives them.
    """
    whole = calibration_figures(merged(folds))
    single = [calibration_figures(fold) for fold in folds]
    k = len(folds)
    without = [calibration_figures(merged([*folds[:i], *folds[i + 1 :]])) for i in range(k)] if k > 1 else []
    joined = {}
    for name, value in whole.items():
        left = np.array([row[name] for row in without])
        error = float(np.sqrt((k - 1) / k * np.sum((left - left.mean()) ** 2))) if k > 1 else None
        joined[name] = {"mean": value, "se": error, "folds": [row[name] for row in single]}
    return joined


def _of_points(item: Item, stream: Stream) -> Calibration:
    assert item.points is not None
    counts = counts_of(item.points, len(stream))
    rated = counts.sum(axis=1) > 0
    mass, counts = stream[rated], counts[rated]
    ratings = counts.sum(axis=1, keepdims=True)
    calibration = {"cells": reliability(mass, counts / ratings, ratings, CELL_SHARES)}
    calibration |= _of_quadrants(quadrants(mass), quadrants(counts / ratings), ratings)
    return calibration | {"regions": coverage(mass, counts)}


def _of_clip(item: Item, stream: Stream) -> Calibration:
    assert item.quadrant is not None
    live = quadrants(stream)
    calibration: Calibration = {}
    for mass, suffix in ((live.mean(axis=0, keepdims=True), ""), (live, "_live")):
        truth = np.tile(quadrant_shares(item.quadrant, None), (len(mass), 1))
        weights = np.full((len(mass), 1), 1.0 / len(mass))  # a clip counts once
        parts = _of_quadrants(mass, truth, weights) | {"regions": coverage(mass, weights * truth)}
        calibration |= {name + suffix: part for name, part in parts.items()}
    return calibration


def _of_quadrants(mass: NDArray[np.float64], truth: NDArray[np.float64], weights: NDArray[np.float64]) -> Calibration:
    """Of quadrants and signs: masses and shares that came true (n, 4), weights (n, 1)."""
    calibration = {"quadrants": reliability(mass, truth, weights, SHARES)}
    for axis, side in _POSITIVE.items():
        calibration[axis] = reliability(mass[:, side].sum(axis=1), truth[:, side].sum(axis=1), weights[:, 0], SHARES)
    return calibration
