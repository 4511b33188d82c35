"""Labels as targets: what heatmaps are fitted to and scored against. Every label becomes a target here and only here.

A target's log-likelihood under a heatmap h is one of two things:

- of a *region*, log sum_c mask_c h_c, the mass in it. For a quadrant: one weak label says where the feeling was, not
  how it was spread, so it asks for nothing inside its quadrant.
- of a *distribution* over cells, sum_c q_c log h_c. For raters' points (q is their histogram) and for a mean with a
  standard deviation (q is the panel, as a Gaussian).

Both are log-likelihoods in nats, so they add; with q all in one cell the two are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ...errors import DataError
from ...grid import CELL_WIDTH, CELLS, EDGES, QUADRANT_SHARE, cell_of
from ..datasets.labels import Points, Trace, emission_of
from .items import Course, Item

STD_FLOOR = CELL_WIDTH / 2  # less than this no cell could show
STD_OF_CELL = CELL_WIDTH / np.sqrt(12)  # of a point that lies anywhere in its cell
STD_UNKNOWN = 0.33  # of a set that gives none: the mean over emoMusic's songs and moments


def quadrant_region(quadrant: int, emissions: int) -> NDArray[np.float64]:
    """One quadrant (0..3) for every emission of a clip: how much of each cell agrees, (emissions, 121), read-only."""
    return np.broadcast_to(QUADRANT_SHARE[:, quadrant], (emissions, CELLS))


def quadrant_shares(quadrant: int | None, points: Points | None) -> NDArray[np.float64]:
    """What a clip's label says about the quadrants: (4,), sums to 1; raters' points are counted.

    Raises
    ------
    DataError
        There is neither a quadrant nor a point.
    """
    if points is not None:
        return QUADRANT_SHARE[cells_of(points)].mean(axis=0)
    if quadrant is None:
        raise DataError("a clip has neither a quadrant nor raters' points")
    return np.eye(4)[quadrant]


def cells_of(points: Points) -> NDArray[np.intp]:
    """The cell of each rating: (n,)."""
    return cell_of(points.valence, points.arousal)


def counts_of(points: Points, emissions: int) -> NDArray[np.float64]:
    """How many ratings fell in each cell at each emission: (emissions, 121)."""
    flat = points.emission * CELLS + cells_of(points)
    return np.bincount(flat, minlength=emissions * CELLS).reshape(emissions, CELLS).astype(np.float64)


def paths_of(points: Points) -> NDArray[np.intp]:
    """Each rater's cells, emission by emission: (raters, emissions up to the last rated one)."""
    paths = np.zeros((int(points.rater.max()) + 1, int(points.emission.max()) + 1), dtype=np.intp)
    paths[points.rater, points.emission] = cells_of(points)
    return paths


def path_shares(paths: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of the raters' paths (R, T) in each cell at each step: (T, 121), rows sum to 1."""
    raters, steps = paths.shape
    flat = CELLS * np.arange(steps) + paths
    return np.bincount(flat.ravel(), minlength=steps * CELLS).reshape(steps, CELLS) / raters


def course(trace: Trace, emissions: int) -> Course:
    """The means of a Trace that were given at the times of ``emissions`` emissions (0.5, 1.0, ... s)."""
    emission = emission_of(trace.times)
    within = (emission >= 0) & (emission < emissions)
    labels = (trace.valence, trace.arousal, trace.valence_std, trace.arousal_std)
    return Course(emission[within], *(label[within] for label in labels))


def course_cells(means: Course, floor: float = STD_FLOOR) -> NDArray[np.float64]:
    """The panel at each moment of a course as a Gaussian: (n, 121), rows sum to 1; ``floor`` as in gaussian_cells."""
    mean = np.stack([means.valence, means.arousal], axis=1).astype(np.float64)
    std = np.stack([means.valence_std, means.arousal_std], axis=1).astype(np.float64)
    return gaussian_cells(mean, std, floor)


def histogram(emissions: int, points: Points | None, trace: Trace | None) -> NDArray[np.float32]:
    """The raters' shares of the cells at each emission: (emissions, 121); rows sum to 1, or 0 if nobody rated.

    Where only the raters' mean and deviation are known, those of the Gaussian.
    """
    counts = np.zeros((emissions, CELLS), np.float32)
    if trace is not None:
        means = course(trace, emissions)
        counts[means.emission] = course_cells(means)
    if points is not None:
        np.add.at(counts, (points.emission, cells_of(points)), 1.0)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What n heatmaps should have said.

    Row i of ``mask`` (n, 121), non-negative, is either

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
        mask = np.array(quadrant_region(item.quadrant, emissions))
        return Targets(mask, np.ones(emissions, dtype=bool), np.full(emissions, weight / max(emissions, 1)))
    mask, counts = np.full((emissions, CELLS), 1.0 / CELLS), np.zeros(emissions)
    if item.points is not None:
        ratings = counts_of(item.points, emissions)
        counts = ratings.sum(axis=1)
        mask[counts > 0] = ratings[counts > 0] / counts[counts > 0, None]
    elif item.trace is not None:
        mask[item.trace.emission] = course_cells(item.trace, STD_OF_CELL)
        counts[item.trace.emission] = 1.0
    return Targets(mask, np.zeros(emissions, dtype=bool), weight * counts / max(counts.sum(), 1.0))


def all_targets(parts: Sequence[Targets]) -> Targets:
    """Several items' rows, one after the other."""
    mask, region, weight = ([getattr(p, name) for p in parts] for name in ("mask", "region", "weight"))
    return Targets(np.concatenate(mask), np.concatenate(region), np.concatenate(weight))


class WeightedPoints(NamedTuple):
    """Points of the plane, one a rater, of clips that are known by a row of theta: p(e | theta) is AEG Eq. 4."""

    clip: NDArray[np.intp]  # (N,): row of theta; raters of one clip share it
    va: NDArray[np.float64]  # (N, 2): valence, arousal in [-1, 1]
    weight: NDArray[np.float64]  # (N,), non-negative: how many raters it counts as


class Regions(NamedTuple):
    """Shares of each cell, of clips that are known by a row of theta: p(target | theta) = sum_c target_c mass(c)."""

    clip: NDArray[np.intp]  # (N,): row of theta
    target: NDArray[np.intp]  # (N,): row of targets
    weight: NDArray[np.float64]  # (N,), non-negative
    targets: NDArray[np.float64]  # (R, 121), in [0, 1]: how much of each cell agrees with the label


def quadrant_regions(clip: NDArray[np.intp], quadrant: NDArray[np.intp], weight: NDArray[np.float64]) -> Regions:
    """Clips known only by quadrant: quadrant (N,) of 0..3 = Q1 V+A+, Q2 V-A+, Q3 V-A-, Q4 V+A-."""
    return Regions(clip, quadrant, weight, np.ascontiguousarray(QUADRANT_SHARE.T))


def points_at(points: Points, emissions: NDArray[np.intp], first: int, weight: float) -> WeightedPoints:
    """A clip's ratings at the ``emissions`` (n,), rising, that theta is taken at; they share ``weight``.

    ``first``: the row of theta that stands for ``emissions[0]``.
    """
    rated = np.isin(points.emission, emissions)
    emission = points.emission[rated]
    va = np.stack([points.valence[rated], points.arousal[rated]], axis=1)
    clip = first + np.searchsorted(emissions, emission)
    return WeightedPoints(clip, va, np.full(emission.size, weight / max(emission.size, 1)))


def gaussian_cells(
    mean: NDArray[np.float64], std: NDArray[np.float64], floor: float = STD_FLOOR
) -> NDArray[np.float64]:
    """Bivariate Gaussians integrated over each cell and cut off at the plane's border: (n, 121), each summing to 1.

    The axes are taken as independent: no set publishes how its raters' valence goes with their arousal.

    Parameters
    ----------
    mean, std
        (n, 2): valence, arousal.
    floor
        A deviation below it counts as it; NaN counts as STD_UNKNOWN.

    Raises
    ------
    DataError
        A mean that does not lie on the plane.
    """
    _refuse_outside(mean)
    spread = np.maximum(np.where(np.isnan(std), STD_UNKNOWN, std), floor)
    # The raters' scale ends where the plane does: what would lie beyond is shared out, not heaped on the border.
    below = ndtr((EDGES - mean[..., None]) / spread[..., None])
    axes = np.diff(below, axis=-1)
    return _outer(axes / axes.sum(axis=-1, keepdims=True))


def _outer(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2, 11) over columns (valence) and rows (arousal) -> (n, 121)."""
    return (axes[:, 1, :, None] * axes[:, 0, None, :]).reshape(-1, CELLS)


def _refuse_outside(va: NDArray[np.float64]) -> None:
    for row in np.flatnonzero(~(np.abs(va) <= 1.0).all(axis=1))[:1]:
        raise DataError(f"label {row}: valence {va[row, 0]:g}, arousal {va[row, 1]:g}, expected -1..1")
