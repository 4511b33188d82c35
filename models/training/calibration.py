"""Whether the heatmaps' probabilities mean what they say, and the scalars that make them do so.

Measuring: a heatmap states a mass for each cell, each quadrant and each sign of an axis; reliability compares the mass
stated with the share of labels that fell there, coverage does the same for highest-density regions. What is kept are
sums, so that folds can be added up: the calibration error of few labels is mostly noise, and its mean over folds is
biased upwards (Kumar, Liang & Ma, NeurIPS 2019), that of all folds together far less.

Fitting: a temperature (Guo et al., ICML 2017) and a log-linear pool (Genest & Zidek, Statistical Science 1986).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp

from ..errors import DataError
from ..grid import CELLS, QUADRANT_SHARE, quadrants
from .scoring import Item, Stream, counts_of, gaussian_cells

LEVELS: NDArray[np.float64] = np.arange(1, 10) / 10  # nominal coverage of the regions that are tested
SHARES: NDArray[np.float64] = np.linspace(0, 1, 11)  # edges of the bins of quadrant and sign masses
CELL_SHARES: NDArray[np.float64] = np.concatenate([[0.0], np.logspace(-4, 0, 21)])  # of cell masses, mostly near 1/121

_TINY = np.finfo(float).tiny
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
    found = np.empty_like(share)
    np.put_along_axis(found, order, share, axis=1)
    return found


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
        total |= {name: total[name] + found if name in total else found for name, found in part.items()}
    return total


def calibration_figures(calibration: Calibration) -> dict[str, float]:
    """``ece_cells``, ``ece_quadrants``, ...: expected calibration errors; ``coverage_50``, ``coverage_90``: shares.

    ``ece_cells`` is the error of one cell, times 121, halved: the share of a heatmap's mass that is in the wrong place.
    """
    figures = {}
    for name, found in calibration.items():
        if name.startswith("regions"):
            covered = found.observed / found.count
            for level in (50, 90):
                figures[f"coverage_{level}{name.removeprefix('regions')}"] = float(covered[level // 10 - 1])
        else:
            figures[f"ece_{name}"] = found.error * (CELLS / 2 if name == "cells" else 1.0)
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
    found = {"cells": reliability(mass, counts / ratings, ratings, CELL_SHARES)}
    found |= _of_quadrants(quadrants(mass), quadrants(counts / ratings), ratings)
    return found | {"regions": coverage(mass, counts)}


def _of_clip(item: Item, stream: Stream) -> Calibration:
    assert item.quadrant is not None
    live = quadrants(stream)
    found: Calibration = {}
    for mass, suffix in ((live.mean(axis=0, keepdims=True), ""), (live, "_live")):
        truth = np.tile(np.eye(4)[item.quadrant], (len(mass), 1))
        each = np.full((len(mass), 1), 1.0 / len(mass))  # a clip counts once
        parts = _of_quadrants(mass, truth, each) | {"regions": coverage(mass, each * truth)}
        found |= {name + suffix: part for name, part in parts.items()}
    return found


def _of_quadrants(mass: NDArray[np.float64], truth: NDArray[np.float64], weights: NDArray[np.float64]) -> Calibration:
    """Of quadrants and signs: masses and shares that came true (n, 4), weights (n, 1)."""
    found = {"quadrants": reliability(mass, truth, weights, SHARES)}
    for axis, side in _POSITIVE.items():
        found[axis] = reliability(mass[:, side].sum(axis=1), truth[:, side].sum(axis=1), weights[:, 0], SHARES)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What n heatmaps should have said. Row i of ``mask`` (n, 121), non-negative, is either

    - a region (``region[i]``): the label lies somewhere in it, log-likelihood log sum_c mask_c h_c; or
    - a distribution over the cells, sums to 1: log-likelihood sum_c mask_c log h_c;

    and counts ``weight[i]`` >= 0.
    """

    mask: NDArray[np.float64]
    region: NDArray[np.bool_]
    weight: NDArray[np.float64]


def targets_of(item: Item, emissions: int, weight: float = 1.0) -> Targets:
    """The label of one item as Targets of its whole stream (emissions rows), which together count ``weight``.

    Ratings of one emission are its histogram; emissions without a rating count nothing.
    """
    if item.quadrant is not None:
        mask = np.tile(QUADRANT_SHARE[:, item.quadrant], (emissions, 1))
        return Targets(mask, np.ones(emissions, dtype=bool), np.full(emissions, weight / max(emissions, 1)))
    mask, counts = np.full((emissions, CELLS), 1.0 / CELLS), np.zeros(emissions)
    if item.points is not None:
        histogram = counts_of(item.points, emissions)
        counts = histogram.sum(axis=1)
        mask[counts > 0] = histogram[counts > 0] / counts[counts > 0, None]
    elif item.trace is not None:
        mask[item.trace.emission] = gaussian_cells(*item.trace[1:])
        counts[item.trace.emission] = 1.0
    return Targets(mask, np.zeros(emissions, dtype=bool), weight * counts / max(counts.sum(), 1.0))


def all_targets(parts: Sequence[Targets]) -> Targets:
    """Several items' rows, one after the other."""
    mask, region, weight = ([getattr(p, name) for p in parts] for name in ("mask", "region", "weight"))
    return Targets(np.concatenate(mask), np.concatenate(region), np.concatenate(weight))


class Pool(NamedTuple):
    """h proportional to exp(bias + sum_d exponents_d log h_d): ``exponents`` (D,) >= 0, ``bias`` (121,)."""

    exponents: NDArray[np.float64]
    bias: NDArray[np.float64]

    def __call__(self, log_heatmaps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """D log heatmaps (..., 121) -> their pool, log and normalised (..., 121)."""
        mixed = self.bias + np.tensordot(self.exponents, np.stack(log_heatmaps), axes=1)
        return mixed - logsumexp(mixed, axis=-1, keepdims=True)


def fit_temperature(
    log_heatmaps: NDArray[np.float64], targets: Targets, bounds: tuple[float, float] = (0.1, 10.0)
) -> float:
    """The T within ``bounds`` for which heatmaps proportional to h^(1/T), from ``log_heatmaps`` (n, 121), fit best.

    Above 1: the heatmaps were too sure of themselves.

    Raises:
        DataError: no row counts, or rows that do not match.
    """
    stack, counting = _counting([log_heatmaps], targets)
    bias = np.zeros(CELLS)

    def loss(log_temperature: float) -> float:
        return _loss(np.array([np.exp(-log_temperature)]), bias, stack, counting)[0]

    found = minimize_scalar(
        loss, bounds=(np.log(bounds[0]), np.log(bounds[1])), method="bounded", options={"xatol": 1e-4}
    )
    return float(np.exp(found.x))


def fit_pool(
    log_heatmaps: Sequence[NDArray[np.float64]],
    targets: Targets,
    *,
    start: ArrayLike | None = None,
    ridge: float = 1e-3,
    bias_ridge: float | None = None,
) -> Pool:
    """The log-linear pool of D decoders' ``log_heatmaps``, (n, 121) each, that gives ``targets`` the most likelihood.

    L-BFGS-B on the weighted mean loss in nats, exact gradient, plus ``ridge`` times the squared distance of the
    exponents from ``start`` (1/D each unless given). With ``bias_ridge`` a bias map is fitted too, held to zero by it;
    without, it is zero.
    Raises:
        DataError: no row counts, or rows that do not match.
    """
    stack, counting = _counting(log_heatmaps, targets)
    count = len(stack)
    first = np.full(count, 1.0 / count) if start is None else np.asarray(start, dtype=float)
    free = CELLS if bias_ridge is not None else 0
    stiffness = np.concatenate([np.full(count, ridge), np.full(free, bias_ridge or 0.0)])
    origin = np.concatenate([first, np.zeros(free)])

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        bias = x[count:] if free else np.zeros(CELLS)
        value, exponents_slope, bias_slope = _loss(x[:count], bias, stack, counting)
        slope = np.concatenate([exponents_slope, bias_slope[:free]])
        away = x - origin
        return value + float(np.sum(stiffness * away**2)), slope + 2 * stiffness * away

    bounds = [(0.0, None)] * count + [(None, None)] * free
    found = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300})
    return Pool(found.x[:count], found.x[count:] if free else np.zeros(CELLS))


def _counting(log_heatmaps: Sequence[NDArray[np.float64]], targets: Targets) -> tuple[NDArray[np.float64], Targets]:
    """The rows that count, regions first, stacked (D, n, 121), and their targets with weights that sum to 1."""
    if any(rows.shape != targets.mask.shape for rows in log_heatmaps):
        shapes = ", ".join(str(rows.shape) for rows in log_heatmaps)
        raise DataError(f"heatmaps of shape {shapes} for targets of shape {targets.mask.shape}: one row each is needed")
    some = targets.weight > 0
    if not some.any():
        raise DataError("no label counts: give the targets a positive weight")
    order = np.concatenate([np.flatnonzero(some & targets.region), np.flatnonzero(some & ~targets.region)])
    weight = targets.weight[order]
    stack = np.stack([rows[order] for rows in log_heatmaps])
    return stack, Targets(targets.mask[order], targets.region[order], weight / weight.sum())


def _loss(
    exponents: NDArray[np.float64], bias: NDArray[np.float64], stack: NDArray[np.float64], targets: Targets
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean of the negative log-likelihood, and its slopes: (D,) of the exponents, (121,) of the bias.

    For both kinds of row the slope of the likelihood in the unnormalised log heatmap is target - heatmap: the target
    of a region is the heatmap as it is once one knows that the label lies there. Rows as ``_counting`` orders them.
    """
    mixed = bias + np.tensordot(exponents, stack, axes=1)
    mixed -= mixed.max(axis=1, keepdims=True)
    heatmap = np.exp(mixed)
    total = heatmap.sum(axis=1, keepdims=True)
    heatmap /= total
    regions = np.count_nonzero(targets.region)
    mask, spots = targets.mask[:regions], targets.mask[regions:]
    inside = np.maximum(np.einsum("ij,ij->i", mask, heatmap[:regions]), _TINY)
    at_spots = np.einsum("ij,ij->i", spots, mixed[regions:]) - np.log(total[regions:, 0])
    likelihood = np.concatenate([np.log(inside), at_spots])
    heatmap[:regions] *= 1.0 - mask / inside[:, None]
    heatmap[regions:] -= spots
    heatmap *= targets.weight[:, None]  # now the slope of the loss
    slopes = stack.reshape(len(stack), -1) @ heatmap.ravel()
    return -float(targets.weight @ likelihood), slopes, heatmap.sum(axis=0)
