"""One judgement of a whole song, beside its curves: the static annotations of emoMusic, DEAM and PMEmo.

Tables, wherever they lie below the set's folder: DEAM ``song_level/static_annotations_averaged_songs_*.csv`` (names
with leading spaces), emoMusic ``static_annotations.csv``, both 1..9; PMEmo2019 ``static_annotations.csv`` with
``static_annotations_std.csv``, 0..1.

DEAM's files cross the axes in the copies that are about (their valence is emoMusic's arousal, r = .9998), so no name is
believed: a table whose song means agree better with the other axis of the same songs' curves is uncrossed, with a note.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .labels import Overall, Trace, once
from .tables import header, numeric
from .traces import audio_below, tables_below

FEWEST = 10  # songs with curves, below which no correlation tells which axis is which


class _Form(NamedTuple):
    key: str
    columns: tuple[str, str, str, str]  # valence, arousal, and their deviations
    low: float
    high: float


_FORMS = (
    _Form("song_id", ("valence_mean", "arousal_mean", "valence_std", "arousal_std"), 1, 9),
    _Form("song_id", ("mean_valence", "mean_arousal", "std_valence", "std_arousal"), 1, 9),
    _Form("musicId", ("Valence(mean)", "Arousal(mean)", "Valence(std)", "Arousal(std)"), 0, 1),
)


def read_overall(folder: Path, name: str, traces: Sequence[Trace], missing: list[str]) -> tuple[Overall, ...]:
    """The static annotations below ``folder``, () if there are none; ``traces`` (of the same set) tell the axes.

    DataError for a value outside its scale, or a song that comes twice. With fewer than FEWEST songs that have curves
    too, the table is left out and that is reported.
    """
    songs: list[str] = []
    parts: list[NDArray[np.float64]] = []
    for table in tables_below(folder, r"static_annotations(_averaged_songs_\w+)?\.csv"):
        if not table.name.endswith("_std.csv"):
            names, values = _read(table)
            songs += names
            parts.append(values)
    if not songs:
        return ()
    once(songs, "song", f"{folder}, static annotations")
    values = np.concatenate(parts)
    curves = {trace.id: (trace.valence.mean(), trace.arousal.mean()) for trace in traces}
    shared = [index for index, song in enumerate(songs) if song in curves]
    if len(shared) < FEWEST:
        missing.append(f"{name}: static annotations are left out: no curves tell which of their axes is valence")
        return ()
    if _crossed(values[shared, :2], np.array([curves[songs[index]] for index in shared])):
        missing.append(f"{name}: static annotations name valence what the curves name arousal: exchanged")
        values = values[:, [1, 0, 3, 2]]
    audio = audio_below(folder)
    return tuple(Overall(song, name, audio.get(song), *row) for song, row in zip(songs, values.tolist(), strict=True))


def _read(table: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Songs and (songs, 4): valence, arousal and their deviations in -1..1, NaN without deviations."""
    names = header(table)
    form = next((form for form in _FORMS if set(form.columns[:2]) <= set(names)), None)
    if form is None:
        raise DataError(f"{table}: no columns of valence and arousal under a name that a published set uses")
    inside = set(form.columns) <= set(names)
    songs, values = numeric(table, form.key, form.columns if inside else form.columns[:2])
    beside = table.with_name(f"{table.stem}_std.csv")
    if not inside and beside.is_file():
        other, std = numeric(beside, form.key, form.columns[2:])
        if other != songs:
            raise DataError(f"{beside}: not the same songs, row by row, as {table.name}")
        values = np.hstack([values, std])
    means, stds = values[:, :2], values[:, 2:]
    wrong = ((means < form.low) | (means > form.high)).any(axis=1) | (stds < 0).any(axis=1)
    for row in np.flatnonzero(wrong)[:1]:
        raise DataError(f"{table}, row {row + 2}: outside {form.low:g}..{form.high:g}, or a negative deviation")
    half = (form.high - form.low) / 2
    scaled = np.full((len(songs), 4), np.nan)
    scaled[:, :2], scaled[:, 2 : 2 + stds.shape[1]] = (means - form.low) / half - 1, stds / half
    return songs, scaled


def _crossed(static: NDArray[np.float64], curves: NDArray[np.float64]) -> bool:
    """Whether (songs, 2) and (songs, 2) agree better with their columns exchanged."""
    r = np.corrcoef(static.T, curves.T)[:2, 2:]
    return bool(r[0, 1] + r[1, 0] > r[0, 0] + r[1, 1])
