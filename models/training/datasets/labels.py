"""What a label can be, in the project's own terms, and the checks that all readers of data sets share.

Valence and arousal lie in [-1, 1]; quadrants are 0..3 for Q1 V+A+, Q2 V-A+, Q3 V-A-, Q4 V+A-. Emission k is the
tracker's word at (k + 1) / 2 seconds.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError

EMISSION_SECONDS = 0.5
QUADRANTS = ("Q1", "Q2", "Q3", "Q4")


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip with one quadrant for its whole length.

    ``path`` is audio (4q) or MIDI (emopia); clips of one ``group`` (artist, song) share one ``fold``. ``moods`` and
    ``genres`` are AllMusic's tags (4q only).
    """

    id: str
    path: Path
    quadrant: int
    group: str
    fold: int
    set: str
    moods: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()


class Points(NamedTuple):
    """One row a rating: at emission ``emission`` (time (emission + 1) / 2 s) rater ``rater`` stood at (v, a)."""

    emission: NDArray[np.intp]
    rater: NDArray[np.intp]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A MIDI piece rated bar by bar: ``valence`` and ``arousal`` are (raters, bars), ``bar_edges`` (bars + 1,) seconds.

    ``seconds`` is the length of the MIDI file; the piece's id is its group.
    """

    id: str
    path: Path
    fold: int
    seconds: float
    bar_edges: NDArray[np.float64]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]

    def bar_at_emissions(self, annotator_lag: float = 0.0) -> NDArray[np.intp]:
        """The bar being rated at emission times 0.5, 1.0, ... s, to the last bar's end: (emissions,), always < bars.

        ``annotator_lag`` (seconds) pairs the music at t with the rating entered at t + lag. The raters of VGMIDI trail
        the music by about 4 s (the notes played correlate best with the arousal entered then), but so does a causal
        tracker, which at t knows the seconds before t: hence 0 by default, what is felt now from what was heard so far.
        """
        end = min(float(self.bar_edges[-1]), self.seconds) - annotator_lag
        times = EMISSION_SECONDS * np.arange(1, int(end / EMISSION_SECONDS) + 1) + annotator_lag
        # side="left": an emission exactly on a bar line has heard the bar before it and nothing of the next one.
        return np.clip(np.searchsorted(self.bar_edges, times, side="left") - 1, 0, self.valence.shape[1] - 1)

    def points(self, annotator_lag: float = 0.0, emissions: int | None = None) -> Points:
        """Every rater's position at every rated emission, emission by emission: arrays (emissions * raters,).

        ``emissions`` (how many the audio gave) leaves out ratings of silence after the last sound.
        """
        bars = self.bar_at_emissions(annotator_lag)[:emissions]
        raters = self.valence.shape[0]
        return Points(
            np.repeat(np.arange(bars.size), raters),
            np.tile(np.arange(raters), bars.size),
            self.valence[:, bars].T.ravel(),
            self.arousal[:, bars].T.ravel(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class RatedSong:
    """A song rated by each worker as it played: ``times`` (n,) in seconds; ``valence``, ``arousal`` (workers, n).

    NaN where a worker gave nothing. ``path`` is the audio, or None. The song's id is its group.
    """

    id: str
    set: str
    path: Path | None
    times: NDArray[np.float64]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]

    def points(self, annotator_lag: float = 0.0, emissions: int | None = None) -> Points:
        """Each label once, at the emission of its time less ``annotator_lag`` (s), those before the start left out."""
        at = emission_of(self.times, annotator_lag)
        heard = (at >= 0) & (at < (np.iinfo(np.intp).max if emissions is None else emissions))
        given = heard[:, None] & np.isfinite(self.valence.T) & np.isfinite(self.arousal.T)
        moment, rater = np.nonzero(given)
        return Points(at[moment], rater.astype(np.intp), self.valence[rater, moment], self.arousal[rater, moment])


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Mean and standard deviation over raters of VA in [-1, 1] over time: arrays (n,), ``times`` in seconds.

    ``path`` is the audio, or None: most of these clips are here as labels only. The deviations are NaN where the set
    publishes none (DEAM).
    """

    id: str
    set: str
    path: Path | None
    times: NDArray[np.float64]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]
    valence_std: NDArray[np.float64]
    arousal_std: NDArray[np.float64]

    @property
    def group(self) -> str:
        """What a split may not cut: DEAM and the MediaEval tasks hold emoMusic's songs under the same numbers."""
        return song_group(self.set, self.id)


@dataclass(frozen=True, slots=True)
class Overall:
    """One judgement of a whole song: mean and standard deviation over raters of VA in [-1, 1]."""

    id: str
    set: str
    path: Path | None
    valence: float
    arousal: float
    valence_std: float
    arousal_std: float

    @property
    def group(self) -> str:
        """As Trace.group."""
        return song_group(self.set, self.id)


def song_group(name: str, song: str) -> str:
    """What must not be split over folds: the song, under the name of the archive that several sets draw from."""
    family = "fma" if name in ("emomusic", "deam", "mediaeval") else name
    return f"{family} {song}"


def emission_of(times: NDArray[np.float64], annotator_lag: float = 0.0) -> NDArray[np.intp]:
    """The emission whose time is nearest to ``times`` (seconds) less the lag: (n,), negative before the first one."""
    # Half a microsecond below the half way: a decimal 15.25 must not fall on either side by its last bit.
    return np.floor((times - annotator_lag) / EMISSION_SECONDS + 0.5 - 1e-6).astype(np.intp) - 1


def within_one(values: NDArray[np.float64], what: str, where: str) -> NDArray[np.float64]:
    """The values as they are; DataError if one lies outside -1..1 or is missing."""
    if not np.all(np.abs(values) <= 1.0):  # so written, NaN is refused too
        raise DataError(f"{where}: {what} outside -1..1 (or missing)")
    return values


def quadrant_of(text: str, where: str) -> int:
    """``Q1`` to ``Q4`` -> 0..3; DataError for anything else."""
    if text not in QUADRANTS:
        raise DataError(f"{where}: quadrant is {text!r}, expected one of {', '.join(QUADRANTS)}")
    return QUADRANTS.index(text)


def present(clips: list[Clip], name: str, missing: list[str]) -> tuple[Clip, ...]:
    """The clips whose file is there; the others are reported."""
    absent = [clip.path.name for clip in clips if not clip.path.is_file()]
    report(name, "files are absent", absent, len(clips), missing)
    return tuple(clip for clip in clips if clip.path.is_file()) if absent else tuple(clips)


def report(name: str, what: str, absent: Sequence[str], total: int, missing: list[str]) -> None:
    """Add a line on what is absent to ``missing``, if anything is."""
    if absent:
        missing.append(f"{name}: {len(absent)} of {total} {what} ({name_some(absent)})")


def name_some(names: Iterable[str]) -> str:
    """The first three names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:3]) + (f" and {len(every) - 3} more" if len(every) > 3 else "")


def once(names: Sequence[str], what: str, where: str) -> None:
    """DataError if a name comes twice."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where}: {what} {twice} comes twice")


def same(one: Collection[str], other: Collection[str], where: str) -> None:
    """DataError unless both name the same things."""
    if strangers := sorted(set(one) ^ set(other)):
        raise DataError(f"{where}: not the same songs ({name_some(strangers)})")
