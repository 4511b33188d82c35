"""MoodSwings Turk: popular songs labelled second by second by workers of Mechanical Turk.

Speck, Schmidt, Morton & Kim, "A comparative study of collaborative vs. traditional musical mood annotation", ISMIR
2011: 240 clips of 15 s (30 s in the task), about 17 workers each. The authors' page describes the labels and their
number, not the files of the archive, and the format could not be checked against a copy: convert yours to the one
table read here, ``labels.csv`` with a row a label: song, worker, second, valence, arousal, in -1..1. Audio:
``<song>.mp3`` (or .wav, .ogg, .opus, .flac) anywhere below the same folder.
"""

from pathlib import Path

import numpy as np

from ...errors import DataError
from .labels import RatedSong
from .tables import number, rows
from .traces import audio_below


def read_moodswings(folder: Path, missing: list[str]) -> tuple[RatedSong, ...]:
    """All songs of ``labels.csv``. DataError for a label outside -1..1, or one worker's second given twice."""
    table = folder / "labels.csv"
    songs: dict[str, dict[tuple[str, float], tuple[float, float]]] = {}
    for where, row in rows(table, ("song", "worker", "second", "valence", "arousal")):
        second, valence, arousal = (number(row[name], where, name) for name in ("second", "valence", "arousal"))
        if second < 0:
            raise DataError(f"{where}: second is {second:g}, before the song")
        if not (abs(valence) <= 1.0 and abs(arousal) <= 1.0):
            raise DataError(f"{where}: valence or arousal outside -1..1")
        labels = songs.setdefault(row["song"], {})
        if (row["worker"], second) in labels:
            raise DataError(f"{where}: worker {row['worker']} has labelled second {second:g} before")
        labels[row["worker"], second] = valence, arousal
    audio = audio_below(folder)
    rated = []
    for song, labels in songs.items():
        workers = {worker: index for index, worker in enumerate(dict.fromkeys(worker for worker, _ in labels))}
        times = np.array(sorted({second for _, second in labels}))
        va = np.full((2, len(workers), times.size), np.nan)
        for (worker, second), point in labels.items():
            va[:, workers[worker], np.searchsorted(times, second)] = point
        rated.append(RatedSong(song, "moodswings", audio.get(song), times, va[0], va[1]))
    if silent := sum(song.path is None for song in rated):
        missing.append(f"moodswings: {silent} of {len(rated)} songs have labels but no audio")
    return tuple(rated)
