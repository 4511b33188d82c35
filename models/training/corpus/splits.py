"""Train and test sets that share no artist, song or piece.

The folds are fixed by the data sets, so that figures compare. Random splits flatter: two clips of one artist sound
alike, and a model that has learnt the artist seems to have learnt the emotion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Indices into the items: ``test`` (one fold's), ``train`` (all others')."""

    number: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def joined_in_pairs(folds: ArrayLike) -> NDArray[np.intp]:
    """Ten folds to five: 0 and 1 -> 0, 2 and 3 -> 1, ... (4q)."""
    return np.asarray(folds, dtype=np.intp) // 2


def grouped_folds(folds: ArrayLike, groups: Sequence[str]) -> list[Fold]:
    """One Fold for each distinct number in ``folds`` (n,), rising; ``groups`` (n,) name what must not be split.

    Raises
    ------
    DataError
        If a group lies in two folds, if there are fewer than two groups or folds, or if a fold is negative (a clip that
        is not for training).
    """
    number = np.asarray(folds, dtype=np.intp)
    if number.shape != (len(groups),):
        raise DataError(f"{number.size} fold numbers for {len(groups)} groups: one each is needed")
    if len(set(groups)) < 2:
        raise DataError("fewer than two groups (artists, songs or pieces): nothing to test on that was not trained on")
    if number.min() < 0:
        raise DataError(f"fold {number.min()} of group {groups[int(number.argmin())]!r}: a clip not meant for training")
    home: dict[str, int] = {}
    for group, fold in zip(groups, number.tolist(), strict=True):
        if home.setdefault(group, fold) != fold:
            raise DataError(
                f"group {group!r} lies in folds {home[group]} and {fold}: it would be trained and tested on"
            )
    distinct = np.unique(number)
    if distinct.size < 2:
        raise DataError(f"all clips are in fold {distinct[0]}: nothing is left to train on")
    return [Fold(int(k), np.flatnonzero(number != k), np.flatnonzero(number == k)) for k in distinct]
