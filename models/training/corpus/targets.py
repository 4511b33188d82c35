"""One target for all labels: what a heatmap is worth once a label is known.

Every label becomes rows of (emission, mass over the 121 cells, weight), and a target's log-likelihood under heatmaps h
is the weighted sum over its rows of one of two things, which ``kind`` names:

- ``"region"``: log sum_c mask_c h_c, the mass in a region. For a quadrant: one weak label says where the feeling was,
  not how it was spread, so it asks for nothing inside its quadrant.
- ``"distribution"``: sum_c q_c log h_c, the cross-entropy of a distribution q over cells, which sums to 1. For a
  rater's point (q is the point, softened) and for a mean with a standard deviation (q is the panel, as a Gaussian).

Both are log-likelihoods in nats, so they add; with q all in one cell the two are the same. Rows count their ratings: a
moment that thirty raters labelled weighs thirty, an emission of a clip or a trace one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ...errors import DataError
from ...grid import CELL_WIDTH, CELLS, EDGES, QUADRANT_SHARE, SIDE
from ..datasets.labels import Clip, Overall, Piece, Points, RatedSong, Trace, emission_of

STD_FLOOR = CELL_WIDTH / 2  # less than this no cell could show
STD_UNKNOWN = 0.33  # of a set that gives none: the mean over emoMusic's songs and moments

Kind = Literal["region", "distribution"]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Rows (n,): ``emission``, ``mass`` (n, 121) of the kind's mask (0..1) or distribution (sums to 1), ``weight``."""

    kind: Kind
    emission: NDArray[np.intp]
    mass: NDArray[np.float64]
    weight: NDArray[np.float64]

    def log_likelihood(self, log_heatmaps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Nats of each row, not yet weighted: normalised log heatmaps (emissions, 121) -> (n,).

        DataError if a row belongs to an emission that the stream does not have.
        """
        if self.emission.size and self.emission.max() >= len(log_heatmaps):
            raise DataError(f"a label at emission {self.emission.max()} of a stream of {len(log_heatmaps)}")
        rows = log_heatmaps[self.emission]
        if self.kind == "distribution":
            return np.einsum("nc,nc->n", self.mass, rows)
        with np.errstate(divide="ignore"):
            masked = np.where(self.mass > 0, rows + np.log(self.mass), -np.inf)
        top = masked.max(axis=1, keepdims=True)  # a quadrant may hold e^-900 of the mass
        return top[:, 0] + np.log(np.exp(masked - top).sum(axis=1))

    def total(self, log_heatmaps: NDArray[np.float64]) -> float:
        """The weighted sum over the rows, in nats."""
        return float(self.weight @ self.log_likelihood(log_heatmaps))

    def pooled(self) -> "Target":
        """A row an emission, with the same total under any heatmaps: the mean distribution, the sum of the weights."""
        if self.kind == "region":
            raise ValueError("regions do not pool: the log of a sum is no mean of logs")
        emission, row = np.unique(self.emission, return_inverse=True)
        weight = np.bincount(row, self.weight, emission.size).astype(np.float64)
        mass = np.zeros((emission.size, CELLS))
        np.add.at(mass, row, self.weight[:, None] * self.mass)
        return Target("distribution", emission, mass / weight[:, None], weight)


def of_clip(clip: Clip, emissions: int) -> Target:
    """One quadrant for every emission of a clip."""
    mask = np.broadcast_to(QUADRANT_SHARE[:, clip.quadrant], (emissions, CELLS))
    return Target("region", np.arange(emissions), mask, np.ones(emissions))


def of_points(points: Points, width: float = 0.0) -> Target:
    """A row a rating; ``width`` as in soft_cells."""
    mass = soft_cells(points.valence, points.arousal, width)
    return Target("distribution", points.emission, mass, np.ones(points.emission.size))


def of_piece(piece: Piece | RatedSong, emissions: int, annotator_lag: float = 0.0, width: float = 0.0) -> Target:
    """All raters of a piece, pooled: a row an emission; ``annotator_lag`` (s) as in the piece's points()."""
    return of_points(piece.points(annotator_lag, emissions), width).pooled()


def of_trace(trace: Trace, emissions: int, annotator_lag: float = 0.0) -> Target:
    """The panel at each moment as a Gaussian; what was said at t is about the music at t - ``annotator_lag`` (s).

    Moments outside the ``emissions`` of the audio are left out; unknown deviations are STD_UNKNOWN.
    """
    at = emission_of(trace.times, annotator_lag)
    heard = (at >= 0) & (at < emissions)
    va = np.stack([trace.valence, trace.arousal], axis=1)[heard]
    std = np.stack([trace.valence_std, trace.arousal_std], axis=1)[heard]
    return Target("distribution", at[heard], gaussian_cells(va, std), np.ones(int(heard.sum())))


def of_overall(overall: Overall, emissions: int) -> Target:
    """One Gaussian, that of the whole song, for each of its emissions."""
    va = np.array([[overall.valence, overall.arousal]])
    mass = gaussian_cells(va, np.array([[overall.valence_std, overall.arousal_std]]))
    return Target(
        "distribution", np.arange(emissions), np.broadcast_to(mass[0], (emissions, CELLS)), np.ones(emissions)
    )


def soft_cells(valence: NDArray[np.float64], arousal: NDArray[np.float64], width: float = 0.0) -> NDArray[np.float64]:
    """Points (n,) in [-1, 1] -> distributions over cells (n, 121), each summing to 1.

    ``width`` 0: shared among the four nearest centres by bilinear weights, which keeps the point's position as the mean
    (up to the outermost centres, beyond which all goes to the last row or column). Above 0: a Gaussian of that standard
    deviation around the point, integrated over the cells.
    """
    va = np.stack([valence, arousal], axis=1)
    _refuse_outside(va)
    if width > 0:
        return gaussian_cells(va, np.full_like(va, width), floor=0.0)
    position = np.clip((va + 1.0) / CELL_WIDTH - 0.5, 0.0, SIDE - 1.0)
    low = np.minimum(position.astype(np.intp), SIDE - 2)
    share = position - low
    axes = np.zeros((*va.shape, SIDE))
    np.put_along_axis(axes, low[..., None], 1.0 - share[..., None], axis=-1)
    np.put_along_axis(axes, low[..., None] + 1, share[..., None], axis=-1)
    return _outer(axes)


def gaussian_cells(
    mean: NDArray[np.float64], std: NDArray[np.float64], floor: float = STD_FLOOR
) -> NDArray[np.float64]:
    """Bivariate Gaussians integrated over each cell and cut off at the plane's border: (n, 121), each summing to 1.

    ``mean`` and ``std`` are (n, 2): valence, arousal. The axes are taken as independent: no set publishes how its
    raters' valence goes with their arousal. A deviation below ``floor`` counts as it, NaN as STD_UNKNOWN.
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
