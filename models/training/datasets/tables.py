"""CSV tables read strictly: a wrong value is a DataError that names its file and row."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError


def rows(table: Path, columns: Sequence[str], delimiter: str = ",") -> Iterator[tuple[str, dict[str, str]]]:
    """Each row of a CSV file (or .csv.gz) with the place to name in an error; spaces around the names are dropped.

    FileNotFoundError if there is no such file.
    """
    empty = True
    with _opened(table) as file:
        reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)
        reader.fieldnames = _header(table, reader.fieldnames or (), columns)
        for row in reader:
            where = f"{table}, row {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{where}: another number of values than the header")
            empty = False
            yield where, row
    if empty:
        raise DataError(f"{table}: a header and no rows")


def header(table: Path, delimiter: str = ",") -> list[str]:
    """The names of the columns, without the spaces around them."""
    with _opened(table) as file:
        return _header(table, next(csv.reader(file, delimiter=delimiter), ()), ())


def numeric(
    table: Path, key: str, columns: Sequence[str], delimiter: str = ",", gaps: bool = False
) -> tuple[list[str], NDArray[np.float64]]:
    """The text of column ``key`` (n,) and the finite numbers of ``columns`` (n, len(columns)); fast for long tables.

    With ``gaps`` a cell may be empty or nan, and comes out as NaN.
    """
    with _opened(table) as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        names = _header(table, next(reader, ()), (key, *columns))
        places, lines = [], []
        for line in reader:
            if line:
                places.append(reader.line_num)
                lines.append(line)
                if len(line) != len(names):
                    raise DataError(f"{table}, row {places[-1]}: another number of values than the header")
    if not lines:
        raise DataError(f"{table}: a header and no rows")
    at = [names.index(column) for column in columns]
    texts = [[(line[i].strip() or "nan") if gaps else line[i] for i in at] for line in lines]
    try:
        values = np.array(texts, dtype=np.float64)
        good = not np.isinf(values).any() if gaps else bool(np.isfinite(values).all())
    except ValueError:
        values, good = np.empty(0), False
    if not good:
        for place, line in zip(places, texts, strict=True):
            for text, column in zip(line, columns, strict=True):
                if not (gaps and text.lower() == "nan"):
                    number(text, f"{table}, row {place}", column)
        raise DataError(f"{table}: a value is not a number")
    return [line[names.index(key)].strip() for line in lines], values


def number(text: str, where: str, column: str) -> float:
    """A finite number; DataError for anything else."""
    try:
        value = float(text)
    except ValueError as error:
        raise DataError(f"{where}: {column} is {text!r}, expected a number") from error
    if not math.isfinite(value):
        raise DataError(f"{where}: {column} is {text!r}, expected a number")
    return value


def whole(text: str, where: str, column: str, low: int | None = None, high: int | None = None) -> int:
    """A whole number, from ``low`` to ``high`` where they are given."""
    try:
        value = int(text)
    except ValueError as error:
        raise DataError(f"{where}: {column} is {text!r}, expected a whole number") from error
    if (low is not None and value < low) or (high is not None and value > high):
        raise DataError(f"{where}: {column} is {value}, expected {low} to {high}")
    return value


def _header(table: Path, names: Sequence[str], columns: Sequence[str]) -> list[str]:
    header = [name.strip().removeprefix("\ufeff") for name in names]
    if lacking := [column for column in columns if column not in header]:
        raise DataError(f"{table}: no column {', '.join(lacking)}")
    return header


@contextmanager
def _opened(table: Path) -> Iterator[TextIO]:
    try:
        with (
            cast(TextIO, gzip.open(table, "rt", encoding="utf-8", newline=""))
            if table.suffix == ".gz"
            else table.open(encoding="utf-8", newline="")
        ) as file:
            yield file
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a CSV file in UTF-8 ({error})") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{table} cannot be read ({error}): fetch it again") from error
