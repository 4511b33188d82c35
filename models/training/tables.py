"""CSV tables read strictly: a wrong value is a DataError that names its file and row."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError


def rows(table: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row of a CSV file with the place to name in an error; FileNotFoundError if there is no such file."""
    empty = True
    try:
        with table.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if lacking := [column for column in columns if column not in (reader.fieldnames or ())]:
                raise DataError(f"{table}: no column {', '.join(lacking)}")
            for row in reader:
                where = f"{table}, row {reader.line_num}"
                if None in row or None in row.values():
                    raise DataError(f"{where}: another number of values than the header")
                empty = False
                yield where, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a CSV file in UTF-8 ({error})") from error
    if empty:
        raise DataError(f"{table}: a header and no rows")


def number(text: str, where: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise DataError(f"{where}: {column} is {text!r}, expected a number") from error
    if not math.isfinite(value):
        raise DataError(f"{where}: {column} is {text!r}, expected a number")
    return value


def whole(text: str, where: str, column: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DataError(f"{where}: {column} is {text!r}, expected a whole number") from error
