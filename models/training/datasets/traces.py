"""Songs with the mean of their raters over time: emoMusic, DEAM, the MediaEval tasks and PMEmo.

Each set is read from the archive that its authors publish, unpacked below one folder, or from the shorter form of it
that comes with this project's notes. What identifies a set are its tables, wherever they lie below the folder:

- wide, one song a row, columns ``sample_15000ms``, ..., -1..1: ``{valence,arousal}_cont_average.csv`` with
  ``_cont_std.csv`` beside them (emoMusic, which is MediaEval 2013: ``annotations/``, ``clips_45sec/``), or
  ``valence.csv`` and ``arousal.csv`` (DEAM: ``annotations/annotations averaged per song/dynamic (per second
  annotations)/``, audio ``MEMD_audio/N.mp3``). DEAM holds all songs of the MediaEval tasks of 2013 to 2015; the
  archives that the tasks of 2014 and 2015 gave to their participants could not be checked against a copy: they are
  read if they hold tables of these names.
- long, one moment a row, columns musicId, frameTime, Arousal(mean), Valence(mean), 0..1: PMEmo2019's
  ``annotations/dynamic_annotations.csv`` with ``dynamic_annotations_std.csv``, audio ``chorus/N.mp3``.

Sources: Soleymani et al., CrowdMM 2013 (emoMusic); Aljanaki, Yang & Soleymani, PLoS ONE 12(3), 2017 (DEAM);
Zhang et al., ICMR 2018 (PMEmo).
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .labels import Trace, once, report, same, within_one
from .tables import header, numeric

_AUDIO = (".mp3", ".wav", ".ogg", ".opus", ".flac", ".m4a")
_WIDE = (("{}_cont_average.csv", "{}_cont_std.csv"), ("{}.csv", ""))
_LONG = (
    ("dynamic_annotations.csv", "dynamic_annotations_std.csv"),
    ("dynamic.csv", ""),
    ("dynamic_mean_0to1.csv.gz", ""),
)
_MEAN, _STD = ("Valence(mean)", "Arousal(mean)"), ("Valence(std)", "Arousal(std)")


def read_traces(folder: Path, name: str, missing: list[str]) -> tuple[Trace, ...]:
    """Every song of the tables below ``folder``; FileNotFoundError if there are none, or one axis is lacking.

    DataError for values out of range, a gap within a song, or tables that do not hold the same songs. A song in two
    tables (the tasks repeat each other's) is taken from the first.
    """
    audio = audio_below(folder)
    songs: dict[str, Trace] = {}
    empty: list[str] = []
    for place, files in _walk(folder):
        traces: list[Trace] = []
        for mean, std in _WIDE:
            if mean.format("valence") in files or mean.format("arousal") in files:
                traces += _wide(place, mean, std if std.format("valence") in files else "", name, audio, empty)
        for mean, std in _LONG:
            if mean in files:
                traces += _long(place / mean, place / std if std in files else None, name, audio)
        for trace in traces:
            songs.setdefault(trace.id, trace)
    if not songs:
        raise FileNotFoundError(2, "absent", str(folder / "the table of dynamic annotations"))
    report(name, "songs have no labels at all", empty, len(songs) + len(empty), missing)
    silent = [trace.id for trace in songs.values() if trace.path is None]
    report(name, "clips have labels but no audio", silent, len(songs), missing)
    return tuple(songs.values())


def audio_below(folder: Path) -> dict[str, Path]:
    """Every audio file below ``folder`` by its name without the ending."""
    return {
        Path(file).stem: place / file
        for place, files in _walk(folder)
        for file in files
        if file.lower().endswith(_AUDIO)
    }


def tables_below(folder: Path, pattern: str) -> list[Path]:
    """The files below ``folder`` whose whole name matches the regular expression ``pattern``."""
    return [place / file for place, files in _walk(folder) for file in files if re.fullmatch(pattern, file)]


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    for place, inner, files in os.walk(folder):
        inner.sort()
        yield Path(place), sorted(files)


def _wide(place: Path, mean: str, std: str, name: str, audio: dict[str, Path], empty: list[str]) -> Iterator[Trace]:
    tables = [place / mean.format(axis) for axis in ("valence", "arousal")]
    tables += [place / std.format(axis) for axis in ("valence", "arousal") if std]
    read = [_samples(table) for table in tables]
    for table, (_, songs) in zip(tables[1:], read[1:], strict=True):
        same(songs, read[0][1], f"{table} and {tables[0].name}")
    # DEAM's two axes do not end at the same sample.
    times = sorted(set.intersection(*(set(columns) for columns, _ in read)))
    if not times:
        raise DataError(f"{tables[1]}: no sample at a time that {tables[0].name} has")
    picks = [[columns.index(time) for time in times] for columns, _ in read]
    for song in read[0][1]:
        curves = np.array([songs[song][pick] for (_, songs), pick in zip(read, picks, strict=True)])
        heard = np.flatnonzero(np.isfinite(curves).all(axis=0))
        if heard.size == 0:
            empty.append(song)
            continue
        span = slice(heard[0], heard[-1] + 1)
        for table, curve in zip(tables, curves, strict=True):
            if not np.isfinite(curve[span]).all():
                raise DataError(f"{table}, song {song}: a gap between two values")
            within_one(curve[span], table.name.partition("_")[0].removesuffix(".csv"), f"{table}, song {song}")
        # A set without deviations: NaN for both.
        v, a, v_std, a_std = (*curves[:, span], *np.full((4 - len(curves), heard[-1] + 1 - heard[0]), np.nan))
        yield Trace(song, name, audio.get(song), np.array(times[span]), v, a, v_std, a_std)


def _samples(table: Path) -> tuple[list[float], dict[str, NDArray[np.float64]]]:
    """Times (s) of the columns ``sample_<ms>ms`` and each song's values there, NaN where it has none."""
    names = [column for column in header(table) if re.fullmatch(r"sample_\d+ms", column)]
    songs, values = numeric(table, "song_id", names, gaps=True)
    once(songs, "song", str(table))
    return [int(column[7:-2]) / 1000 for column in names], dict(zip(songs, values, strict=True))


def _long(table: Path, deviations: Path | None, name: str, audio: dict[str, Path]) -> Iterator[Trace]:
    both = set(_STD) <= set(header(table))
    songs, values = numeric(table, "musicId", ("frameTime", *_MEAN, *(_STD if both else ())))
    if deviations is not None:
        other, std = numeric(deviations, "musicId", ("frameTime", *_STD))
        if other != songs or not np.allclose(std[:, 0], values[:, 0], atol=1e-3):
            raise DataError(f"{deviations}: not the same songs and times, row by row, as {table.name}")
        values = np.hstack([values, std[:, 1:]])
    for row in np.flatnonzero(((values[:, 1:] < 0) | (values[:, 1:] > 1)).any(axis=1))[:1]:
        raise DataError(f"{table}, row {row + 2}: a valence, arousal or deviation is outside 0..1")
    order: dict[str, list[int]] = {}
    for row, song in enumerate(songs):
        order.setdefault(song, []).append(row)
    for song, at in order.items():
        time, v, a, *std = values[at].T
        if np.any(np.diff(time) <= 0):
            raise DataError(f"{table}: the times of song {song} do not rise")
        v_std, a_std = (2 * one for one in std) if std else (np.full_like(time, np.nan),) * 2
        yield Trace(song, name, audio.get(song), time, 2 * v - 1, 2 * a - 1, v_std, a_std)
