"""Clips as they are scored: their labels, and the cells that these fall in."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...grid import CELL_WIDTH, CELLS, cell_of
from ..datasets.folder import Points, Trace
from ..datasets.labels import emission_of
from . import targets

Stream: TypeAlias = NDArray[np.float64]


class Course(NamedTuple):
    """Mean and standard deviation of VA over a clip's raters, at the emissions ``emission``: arrays (n,)."""

    emission: NDArray[np.intp]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]
    valence_std: NDArray[np.float64]
    arousal_std: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A clip to be scored, with one kind of label: ``quadrant`` (0..3), ``points`` (ratings) or ``trace`` (means)."""

    id: str
    set: str
    group: str
    fold: int
    quadrant: int | None = None
    points: Points | None = None
    trace: Course | None = None


def course(trace: Trace, emissions: int) -> Course:
    """The means of a Trace that were given at the times of ``emissions`` emissions (0.5, 1.0, ... s)."""
    emission = emission_of(trace.times)
    heard = (emission >= 0) & (emission < emissions)
    labels = (trace.valence, trace.arousal, trace.valence_std, trace.arousal_std)
    return Course(emission[heard], *(label[heard] for label in labels))


def cells_of(points: Points) -> NDArray[np.intp]:
    """The cell of each rating: (n,)."""
    return cell_of(points.valence, points.arousal)


def counts_of(points: Points, emissions: int) -> NDArray[np.float64]:
    """How many ratings fell in each cell at each emission: (emissions, 121)."""
    flat = points.emission * CELLS + cells_of(points)
    return np.bincount(flat, minlength=emissions * CELLS).reshape(emissions, CELLS).astype(np.float64)


def gaussian_cells(
    valence: ArrayLike, arousal: ArrayLike, valence_std: ArrayLike, arousal_std: ArrayLike
) -> NDArray[np.float64]:
    """The mass of a Gaussian in each cell: (n,) each -> (n, 121), rows sum to 1 (what lies off the plane is left out).

    No deviation counts for less than that of a point that lies anywhere in its cell; one that a set does not publish
    (NaN) is that of ``targets.STD_UNKNOWN``.
    """
    mean, deviation = (
        np.stack(pair, axis=1).astype(np.float64) for pair in ((valence, arousal), (valence_std, arousal_std))
    )
    return targets.gaussian_cells(mean, deviation, floor=CELL_WIDTH / np.sqrt(12))
