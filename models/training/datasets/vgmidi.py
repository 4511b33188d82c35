"""VGMIDI: piano pieces from games, each rated bar by bar by some thirty listeners.

Source: Ferreira & Whitehead, "Learning to generate music with sentiment", ISMIR 2019.
"""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .labels import Piece, name_some, report, within_one
from .midi_score import Score, need_mido, read_score
from .tables import rows, whole


def read_vgmidi(folder: Path, missing: list[str]) -> tuple[Piece, ...]:
    """``traces.json.gz``, ``folds.csv`` and ``midi/``; the scores are opened for their bar times."""
    traces = folder / "traces.json.gz"
    try:
        with gzip.open(traces, "rt", encoding="utf-8") as file:
            need_mido()  # not before: who has no such set needs no mido
            records: dict[str, Any] = json.load(file)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{traces} cannot be read ({error}): fetch it again") from error
    folds = {
        row["piece"]: whole(row["fold"], where, "fold") for where, row in rows(folder / "folds.csv", ("piece", "fold"))
    }
    if strangers := sorted(records.keys() - folds.keys()):
        raise DataError(f"{folder / 'folds.csv'}: no fold for {name_some(strangers)}")
    pieces, absent, broken = [], [], []
    for name, record in records.items():
        path, valence, arousal = _piece_labels(folder, name, record)
        try:
            score = read_score(path)
        except FileNotFoundError:
            absent.append(path.name)
        except DataError:
            broken.append(path.name)
        else:
            edges = _bar_edges(score, valence.shape[1])
            pieces.append(Piece(name, path, folds[name], score.seconds, edges, valence, arousal))
    report("vgmidi", "MIDI files are absent", absent, len(records), missing)
    report("vgmidi", "MIDI files cannot be read", broken, len(records), missing)
    return tuple(pieces)


def _piece_labels(folder: Path, name: str, record: Any) -> tuple[Path, NDArray[np.float64], NDArray[np.float64]]:
    """MIDI path, valence and arousal (raters, bars) of one entry of traces.json.gz."""
    where = f"{folder / 'traces.json.gz'}, piece {name}"
    try:
        return (
            folder / "midi" / record["midi"],
            _rater_bars(record, "valence", where),
            _rater_bars(record, "arousal", where),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not a piece with midi, bar_seconds and raters ({error!r})") from error


def _bar_edges(score: Score, bars: int) -> NDArray[np.float64]:
    """Bar lines (bars + 1,) in seconds: VGMIDI's "bars" are four quarter notes each, whatever the time signature.

    The number of values a rater gave is the piece's length in quarters / 4, rounded up, for 162 of 170 pieces (off by
    one in 7, by three in 1). The ``bar_seconds`` in the file follow the notated bars instead and put the ratings of a
    piece in 3/4 up to a minute early. In 4/4 both are the same; within the 42 pieces where they differ by over half
    a second, the arousal correlates with the notes played 4 s before at r = .41 on the lines used here, .23 on those.
    """
    return score.seconds_at(4.0 * np.arange(bars + 1))


def _rater_bars(record: dict[str, Any], axis: str, where: str) -> NDArray[np.float64]:
    bars = len(record["bar_seconds"])
    given = [rater[axis] for rater in record["raters"]]
    for index, row in enumerate(given):
        if len(row) != bars:
            raise DataError(f"{where}, rater {index}: {len(row)} values of {axis} for {bars} bars")
    if bars == 0 or not given:
        raise DataError(f"{where}: no bars or no raters")
    return within_one(np.array(given, dtype=float), axis, where)
