"""Clips as they are scored: one kind of label each."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..datasets.labels import Points

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
