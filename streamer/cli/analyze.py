"""``valaro analyze``: files in, one record for each half second out, the very same numbers as live."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from .live import ModelOption

if TYPE_CHECKING:
    from ...models import Bundle
    from ..messages import Affect


class Format(StrEnum):
    """How records are written."""

    JSONL = "jsonl"
    CSV = "csv"
    NPZ = "npz"


COLUMNS = (
    *("file", "time", "valence", "arousal", "var_valence", "covariance", "var_arousal"),
    *("q1", "q2", "q3", "q4", "confidence", "level", "activity"),
    *(f"h{index}" for index in range(121)),  # index = 11 * arousal row + valence column
)


def analyze(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Sound files: WAV, FLAC, MP3, Ogg, AIFF ...")],
    format: Annotated[  # noqa: A002  the option's name
        Format, typer.Option("--format", help="JSON lines, a table, or NumPy arrays (npz needs --output).")
    ] = Format.JSONL,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="One file each in this directory, instead of standard output.")
    ] = None,
    plot: Annotated[
        bool,
        typer.Option(
            "--plot", metavar="", help="Also draw a PNG of each file, in DIR or here. Needs the extra 'plot'."
        ),
    ] = False,
    model: ModelOption = None,
) -> None:
    """Say of sound files what they feel like, every half second.

    A file that cannot be used is named on stderr, the others go on, and the exit code is then 2.
    """
    from ..errors import InputError, SinkError, ValaroError
    from ._notices import Notices, compiling_told, tell

    if format is Format.NPZ and output is None:
        raise InputError("--format npz writes files: say where with --output DIR")
    if plot:
        from ..plot import require_matplotlib

        require_matplotlib()
    code = 0
    with Notices():
        with compiling_told():
            from ...models import load_bundle
        bundle = load_bundle(model)
        if output is not None:
            try:
                output.mkdir(parents=True, exist_ok=True)
            except OSError as fault:
                raise SinkError(f"{output} cannot be made: {(fault.strerror or str(fault)).lower()}") from fault
        names = _names(files)
        header = True
        for path, name in zip(files, names, strict=True):
            try:
                _one(path, bundle, format, output, name, plot, header)
                header = False
            except ValaroError as fault:
                tell(str(fault))
                code = max(code, fault.exit_code)
    if code:
        raise typer.Exit(code)


def emissions(path: Path, bundle: "Bundle") -> "Iterator[Affect]":
    """The emissions of one file, each as soon as its sound is read; raises AudioFileError when there are none."""
    from ..engine import Engine
    from ..errors import AudioFileError
    from ..sources import AudioFile
    from ._signals import between_steps

    sound = AudioFile(path)
    engine = Engine(bundle, sound.rate)
    count = 0
    with between_steps() as let_signals_through:
        for block in sound.blocks():
            for affect in engine.push(block):
                count += 1
                yield affect
            let_signals_through()
        for affect in engine.finish():
            count += 1
            yield affect
    if not count:
        raise AudioFileError(f"{path}: is shorter than half a second, the least that an emission needs")


def _one(path: Path, bundle: "Bundle", form: Format, output: Path | None, name: str, plot: bool, header: bool) -> None:
    heard = emissions(path, bundle)
    kept: list[Affect] | None = [] if plot or form is Format.NPZ else None
    if kept is not None:
        heard = _keeping(heard, kept)
    if output is None:
        _write(heard, str(path), form, sys.stdout, header)
    elif form is Format.NPZ:
        for _ in heard:
            pass
        _into(output / f"{name}.npz", lambda part: _save_npz(kept or [], str(path), part))
    else:
        _into(output / f"{name}.{form}", lambda part: _save_text(heard, str(path), form, part))
    if plot and kept:
        from ..plot import plot as draw

        _into((output or Path()) / f"{name}.png", lambda part: draw(kept, path.name, part))


def _keeping(heard: "Iterator[Affect]", kept: "list[Affect]") -> "Iterator[Affect]":
    for affect in heard:
        kept.append(affect)
        yield affect


def _write(heard: "Iterator[Affect]", file: str, form: Format, stream: IO[str], header: bool) -> None:
    """Each emission as it comes, flushed, so that a reader at the other end of a pipe can follow."""
    if form is Format.JSONL:
        for affect in heard:
            stream.write(json.dumps(affect.record(file)) + "\n")
            stream.flush()
        return
    table = csv.writer(stream, lineterminator="\n")
    for affect in heard:
        if header:
            table.writerow(COLUMNS)
            header = False
        table.writerow(_row(affect, file))
        stream.flush()


def _row(affect: "Affect", file: str) -> list[Any]:
    (vv, va), (_, aa) = affect.covariance.tolist()
    return [
        *(file, affect.time, affect.valence, affect.arousal, vv, va, aa),
        *affect.quadrants.tolist(),
        *(affect.confidence, affect.level, affect.activity),
        *affect.heatmap.ravel().tolist(),
    ]


def _save_text(heard: "Iterator[Affect]", file: str, form: Format, part: Path) -> None:
    with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        _write(heard, file, form, stream, header=True)


def _save_npz(affects: "Sequence[Affect]", file: str, part: Path) -> None:
    import numpy as np

    arrays: dict[str, Any] = {"path": np.array(file)} | {
        name: np.array([getattr(affect, name) for affect in affects])
        for name in (
            *("time", "valence", "arousal", "covariance", "heatmap"),
            *("quadrants", "confidence", "level", "activity"),
        )
    }
    with part.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _into(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside ``path`` and move it there when it is whole, so that no half file is ever taken for a result."""
    from ..errors import SinkError

    part = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")  # another analysis may write the same
    try:
        write(part)
        part.replace(path)
    except OSError as fault:
        raise SinkError(f"{path} cannot be written: {(fault.strerror or str(fault)).lower()}") from fault
    finally:
        part.unlink(missing_ok=True)


def _names(files: Sequence[Path]) -> list[str]:
    """A name for each file's results: its own with the suffix, numbered where two files share it."""
    taken: set[str] = set()
    names = []
    for path in files:
        name, number = path.name, 2
        while name in taken:
            name, number = f"{path.name}-{number}", number + 1
        taken.add(name)
        names.append(name)
    return names
