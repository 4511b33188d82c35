"""What an analysis writes: JSON lines, a table or arrays, each file written atomically."""

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


class OutputFormat(StrEnum):
    """How records are written."""

    JSONL = "jsonl"
    CSV = "csv"
    NPZ = "npz"


COLUMNS = (
    *("file", "time", "valence", "arousal", "var_valence", "covariance", "var_arousal"),
    *("q1", "q2", "q3", "q4", "confidence", "level", "activity"),
    *(f"h{index}" for index in range(121)),  # index = 11 * arousal row + valence column
)


def write(
    affects: "Iterable[Affect]", file: str, output_format: OutputFormat, stream: IO[str], header: bool = True
) -> None:
    """Write each emission as it comes, as a line of JSON or of a table, flushed for a reader of a pipe.

    Parameters
    ----------
    affects : the emissions.
    file : its name in the records.
    output_format : JSON lines or a table.
    stream : takes the text.
    header : whether a table begins with the names of its columns; ``channel`` is one of them where channels are
        tracked separately.
    """
    if output_format is OutputFormat.JSONL:
        for affect in affects:
            stream.write(json.dumps(affect.record(file)) + "\n")
            stream.flush()
        return
    # With "\n" as the end of a line, the writer leaves a "\r" in a name unquoted, which ends the line for its reader.
    quoting = csv.QUOTE_NONNUMERIC if "\r" in file else csv.QUOTE_MINIMAL
    table = csv.writer(stream, lineterminator="\n", quoting=quoting)
    for affect in affects:
        separate = affect.channel is not None
        if header:
            table.writerow(_with_channel(COLUMNS, "channel") if separate else COLUMNS)
            header = False
        row = _row(affect, file)
        table.writerow(_with_channel(row, affect.channel) if separate else row)
        stream.flush()


def save_text(affects: "Iterable[Affect]", file: str, output_format: OutputFormat, path: Path) -> None:
    """As :func:`write`, to a file, the same on every platform; any bytes in a name are preserved."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        write(affects, file, output_format, stream)


def copy_text(path: Path, output_format: OutputFormat, stream: IO[str], header: bool) -> None:
    """Write to ``stream`` what :func:`save_text` wrote, a table with or without its header."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        if output_format is OutputFormat.CSV and not header:
            text.readline()
        shutil.copyfileobj(text, stream)
    stream.flush()


def save_npz(affects: "Sequence[Affect]", file: str, path: Path) -> None:
    """All emissions as NumPy arrays, a row each, by the names of the records, and ``path``, the sound file's name."""
    import numpy as np

    names = ["time", "valence", "arousal", "covariance", "heatmap", "quadrants", "confidence", "level", "activity"]
    if affects and affects[0].channel is not None:
        names.append("channel")
    arrays: dict[str, Any] = {name: np.array([getattr(affect, name) for affect in affects]) for name in names}
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, path=np.array(file), **arrays)


def write_atomically(path: Path, save: Callable[[Path], None]) -> None:
    """Write a file beside ``path`` and rename it when it is whole, so that no partial file is taken for a result.

    Missing folders are created.

    Parameters
    ----------
    path : the file.
    save : writes the path that it is given.

    Raises
    ------
    SinkError
        It cannot be written.
    """
    partial = partial_path(path, os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(partial)
        partial.replace(path)
    except OSError as fault:
        raise SinkError(f"{path} cannot be written: {(fault.strerror or str(fault)).lower()}") from fault
    finally:
        with suppress(OSError):  # there is none after success, nor where it could not be created
            partial.unlink()


def partial_path(path: Path, process: int) -> Path:
    """The path that a process writes until the file is whole; another analysis may write the same file.

    A long name is cut, since what is added could make it too long for the system. A process writes one at a time.
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
