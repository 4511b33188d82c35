"""What an analysis writes: JSON lines, a table, arrays or a picture, each file whole or not there at all."""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import SinkError

if TYPE_CHECKING:
    from ..core.affect import Affect


class Form(StrEnum):
    """How records are written."""

    JSONL = "jsonl"
    CSV = "csv"
    NPZ = "npz"


COLUMNS = (
    *("file", "time", "valence", "arousal", "var_valence", "covariance", "var_arousal"),
    *("q1", "q2", "q3", "q4", "confidence", "level", "activity"),
    *(f"h{index}" for index in range(121)),  # index = 11 * arousal row + valence column
)


def write(affects: "Iterable[Affect]", file: str, form: Form, stream: IO[str], header: bool = True) -> None:
    """Each emission as it comes, as a line of JSON or of a table, flushed for a reader at the other end of a pipe.

    ``header``: whether a table's first emission is preceded by the names of the columns; ``channel`` is one of them
    where channels are tracked separately.
    """
    if form is Form.JSONL:
        for affect in affects:
            stream.write(json.dumps(affect.record(file)) + "\n")
            stream.flush()
        return
    table = csv.writer(stream, lineterminator="\n")
    for affect in affects:
        separate = affect.channel is not None
        if header:
            table.writerow(_with_channel(COLUMNS, "channel") if separate else COLUMNS)
            header = False
        row = _row(affect, file)
        table.writerow(_with_channel(row, affect.channel) if separate else row)
        stream.flush()


def save_text(affects: "Iterable[Affect]", file: str, form: Form, path: Path) -> None:
    """As :func:`write`, the same on every platform; names of any bytes come out as they went in."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        write(affects, file, form, stream)


def copy_text(path: Path, form: Form, stream: IO[str], header: bool) -> None:
    """Write to ``stream`` what :func:`save_text` wrote, a table with or without its header."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        if form is Form.CSV and not header:
            text.readline()
        shutil.copyfileobj(text, stream)
    stream.flush()


def save_npz(affects: "Sequence[Affect]", file: str, path: Path) -> None:
    """All emissions as NumPy arrays of as many rows, by the names of the records, and ``path``."""
    import numpy as np

    names = ["time", "valence", "arousal", "covariance", "heatmap", "quadrants", "confidence", "level", "activity"]
    if affects and affects[0].channel is not None:
        names.append("channel")
    arrays: dict[str, Any] = {name: np.array([getattr(affect, name) for affect in affects]) for name in names}
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, path=np.array(file), **arrays)


def into(path: Path, save: Callable[[Path], None]) -> None:
    """Save beside ``path`` and rename to it what is whole, so that no half file is ever taken for a result.

    Folders that are missing are made. Raises SinkError for what cannot be written.
    """
    beside = part(path, os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(beside)
        beside.replace(path)
    except OSError as fault:
        raise SinkError(f"{path} cannot be written: {(fault.strerror or str(fault)).lower()}") from fault
    finally:
        with suppress(OSError):  # the reason why there is none was said
            beside.unlink()


def part(path: Path, process: int) -> Path:
    """Where ``path`` is written by a process until it is whole; another analysis may write the same file.

    A long name is cut: with what is added here it could be too long for the system. A process writes one at a time.
    """
    return path.with_name(f".{path.name[:40]}.{process}.part{path.suffix}")


def _row(affect: "Affect", file: str) -> list[Any]:
    (vv, va), (_, aa) = affect.covariance.tolist()
    return [
        *(file, affect.time, affect.valence, affect.arousal, vv, va, aa),
        *affect.quadrants.tolist(),
        *(affect.confidence, affect.level, affect.activity),
        *affect.heatmap.ravel().tolist(),
    ]


def _with_channel(row: Sequence[Any], channel: object) -> list[Any]:
    return [row[0], channel, *row[1:]]
