"""LIRIS-ACCEDE: the valence and arousal of film, the visual side of matching footage to music.

Baveye, Dellandréa, Chamaret & Chen, "LIRIS-ACCEDE: a video database for affective content analysis", IEEE TAFFC 6,
2015; continuous ratings of 30 films: the same authors, "Deep learning vs. kernel methods", ACII 2015. No video is read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .labels import Trace, once, within_one
from .tables import header, numeric

FeatureFile = Literal["Arousal_TAC2015", "Valence_ACII2013", "Valence_TAC2015"]
_COLUMNS = ("valenceValue", "arousalValue", "valenceVariance", "arousalVariance", "set")


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """Film clips of 8 to 12 s: arrays (clips,), VA and its standard deviations in [-1, 1] from scales of 1 to 5.

    ``official`` is 0 (test), 1 (learn) or 2 (validate), as the source numbers them; no film lies in two of
    them. ``films`` are whole films at 1 Hz.
    """

    folder: Path
    clips: tuple[str, ...]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]
    valence_std: NDArray[np.float64]
    arousal_std: NDArray[np.float64]
    official: NDArray[np.int64]
    films: tuple[Trace, ...]

    def features(self, file: FeatureFile) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Names and values (clips, features) of one published feature file, in the order of ``clips``.

        DataError if the file is absent or describes other clips.
        """
        table = self.folder / f"ACCEDEfeatures{file}.csv.gz"
        try:
            names = tuple(name for name in header(table) if name not in ("id", "name"))
            clips, values = numeric(table, "name", names)
        except FileNotFoundError as error:
            raise DataError(f"{table} is absent: fetch it again") from error
        once(clips, "clip", str(table))
        at = {clip: index for index, clip in enumerate(clips)}
        if lacking := [clip for clip in self.clips if clip not in at]:
            raise DataError(f"{table}: no features of {lacking[0]}")
        return names, values[[at[clip] for clip in self.clips]]


def read_liris(folder: Path, missing: list[str]) -> Footage:
    """``ratings.csv.gz`` and ``continuous/<film>_{Valence,Arousal}.txt``."""
    table = folder / "ratings.csv.gz"
    clips, values = numeric(table, "name", _COLUMNS)
    once(clips, "clip", str(table))
    va, variance, official = values[:, :2], values[:, 2:4], values[:, 4]
    for index in np.flatnonzero(((va < 1) | (va > 5) | (variance < 0)).any(axis=1))[:1]:
        raise DataError(f"{table}, row {index + 2}: a value outside 1..5 or a negative variance")
    for index in np.flatnonzero(~np.isin(official, (0, 1, 2)))[:1]:
        raise DataError(f"{table}, row {index + 2}: set is {official[index]:g}, expected 0, 1 or 2")
    valence, arousal = (va.T - 3.0) / 2.0
    valence_std, arousal_std = np.sqrt(variance.T) / 2.0
    films = tuple(_film(path) for path in sorted((folder / "continuous").glob("*_Valence.txt")))
    if not films:
        missing.append("liris: continuous/*_Valence.txt are absent, the films are left out")
    return Footage(folder, tuple(clips), valence, arousal, valence_std, arousal_std, official.astype(np.int64), films)


def _film(valence: Path) -> Trace:
    """Both curves of one film, cut to the shorter: in ten of the thirty they end a second or more apart."""
    name = valence.name.removesuffix("_Valence.txt")
    tables = {}
    for axis in ("Valence", "Arousal"):
        path = valence.with_name(f"{name}_{axis}.txt")
        try:
            times, curve = numeric(path, "Time", ("Time", "Mean", "Std"), delimiter="\t")
        except FileNotFoundError as error:
            raise DataError(f"{path} is absent: a film needs both axes") from error
        if not np.array_equal(curve[:, 0], np.arange(len(times))):
            raise DataError(f"{path}: the times are not 0, 1, 2, ... s")
        within_one(curve[:, 1], axis.lower(), str(path))
        if (curve[:, 2] < 0).any():
            raise DataError(f"{path}: a negative deviation")
        tables[axis] = curve
    end = min(len(curve) for curve in tables.values())
    (seconds, v, v_std), (_, a, a_std) = (tables[axis][:end].T for axis in ("Valence", "Arousal"))
    return Trace(name, "liris", None, seconds, v, a, v_std, a_std)
