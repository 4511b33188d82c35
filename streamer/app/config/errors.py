"""A config file's faults, each in the words and on the line of the person who wrote it."""

import contextlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ...errors import InputError
from ...sinks.expressions import did_you_mean
from .toml_lines import key_lines

LARGEST = 256 * 1024  # bytes of a config: a map of every cell, for ten destinations
MOST_DOTS = 500  # in a line: for a key a.a.a... of n parts tomllib takes memory and time as n squared
MOST_TRIES = 1000  # lines above the end in which an open quote is sought: each costs a reading
MOST_READ = 4_000_000  # characters that are read for it: a second's worth
LONGEST = 500  # characters of a message

Loc = tuple[str | int, ...]
Tables = Mapping[tuple[str, ...], type[BaseModel]]

_KINDS = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": 'must be text in "quotes"',
    "path_type": 'must be text in "quotes"',
    "tuple_type": "must be a list in [brackets]",
    "model_type": "must be a table",
}
# What tomllib says, and what it means to people.
_SYNTAX = {
    "Invalid value": 'a value that cannot be read: text stands in "quotes", and truth is true or false',
    "Unescaped '\\' in a string": "a lone \\ in text: write paths with / or in 'single quotes'",
    "Cannot overwrite a value": "a key or table that is there already",
    "Cannot declare": "a table that is there already; of [[double brackets]] there may be several",
}


class Misplaced(ValueError):  # noqa: N818  a note to refusal(), never seen outside
    """A fault of a whole table for which ``key`` is to be blamed."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and what it holds. Raises InputError for a file that cannot be read or is not TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise _fault(path, None, "there is no such file") from error
    except IsADirectoryError as error:
        raise _fault(path, None, "is a folder: name the config file in it") from error
    except OSError as error:
        raise _fault(path, None, f"cannot be read ({error.strerror})") from error
    except ValueError as error:  # a null character
        raise _fault(path, None, "is no name of a file") from error
    if len(raw) > LARGEST:
        raise _fault(path, None, f"is larger than {LARGEST // 1024} KB: is it a config file?")
    try:
        text = raw.decode("utf-8-sig")  # Windows' editors like to begin with a mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _fault(path, line, "is not UTF-8 text: save it as UTF-8") from error
    for line, words in enumerate(text.split("\n"), 1):
        if words.count(".") > MOST_DOTS:
            raise _fault(path, line, f"holds more than {MOST_DOTS} dots: is it a config file?")
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_fault(path, text, str(error)) from error
    except RecursionError as error:
        raise _fault(path, None, "is nested too deeply") from error
    except ValueError as error:  # Python reads whole numbers of at most some thousand digits
        raise _fault(path, None, "holds a number that is too long") from error


def refusal(path: Path, text: str, invalid: ValidationError, tables: Tables) -> InputError:
    """The first fault in the order of the file, and how many more there are."""
    lines = key_lines(text)
    faults = []
    for error in invalid.errors(include_url=False):
        loc, what = _explain(error, tables)
        faults.append((_line(lines, loc), loc, what))
    line, loc, what = min(faults, key=lambda fault: fault[0])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    where = ".".join(_key(each) for each in loc if isinstance(each, str))
    return _fault(path, line, f"{where}: {what}{more}")


def _explain(error: ErrorDetails, tables: Tables) -> tuple[Loc, str]:
    """The place to blame, and what is wrong there."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    table = tuple(each for each in loc if isinstance(each, str))
    if kind == "extra_forbidden":
        return loc, _unknown(table, tables)
    if kind == "missing":
        return loc, "is missing"
    if kind == "tuple_type" and isinstance(value, dict) and table in tables:
        return loc, f"there may be several: write {_header(table, double=True)}"
    if kind == "tuple_type" and table in tables:
        return loc, f"must be a table: write {_header(table, double=True)}, and the rest below it"
    if kind == "model_type" and isinstance(value, list):
        return loc, f"there is only one: write {_header(table, double=False)}"
    if kind == "value_error":
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, Misplaced):
            return (*loc, cause.key), str(cause)
        return loc, str(cause)
    return loc, f"{_KINDS.get(kind, error['msg'])}, not {shown(value)}"


def _unknown(path: tuple[str, ...], tables: Tables) -> str:
    """What may have been meant by an unknown key: a name near it, or another table's key."""
    *table, key = path
    known = _names(tables[tuple(table)])
    homes = [other for other in ((), ("osc", "map")) if key in _names(tables[other])]
    if homes == [()]:
        return "unknown key here; it belongs at the top of the file, before the first [table]"
    if homes:
        return f"unknown key here; it belongs under {_header(homes[0], double=True)}"
    return f"unknown key{did_you_mean(key, known) or ': there are ' + ', '.join(known)}"


def _names(table: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in table.model_fields.items()]


def _header(table: tuple[str, ...], double: bool) -> str:
    name = ".".join(table)
    return f"[[{name}]]" if double else f"[{name}]"


def _line(lines: Mapping[Loc, int], loc: Loc) -> int:
    """The line of the value, or of the nearest table around it that is written down."""
    while loc and loc not in lines:
        loc = loc[:-1]
    return lines.get(loc, 1)


def _syntax_fault(path: Path, text: str, message: str) -> InputError:
    what, _, place = message.rpartition(" (at ")
    found = re.match(r"line (\d+)", place)
    # The other place is "end of document", however far above it the open quote or bracket stands.
    line = int(found[1]) if found else _unfinished(text)
    plain = next((plain for start, plain in _SYNTAX.items() if what.startswith(start)), None)
    if not found and not what.startswith("Cannot"):
        plain = "what begins here is not finished: is a quote, a bracket or the value missing?"
    return _fault(path, line, f"not TOML: {plain or what[:1].lower() + what[1:]}")


def _unfinished(text: str) -> int:
    """The line after the longest beginning that is whole."""
    lines = text.rstrip().split("\n")
    tries = min(MOST_TRIES, MOST_READ // len(text))
    for whole in range(len(lines) - 1, max(len(lines) - tries, 0), -1):
        with contextlib.suppress(ValueError):
            tomllib.loads("\n".join(lines[:whole]))
            return whole + 1
    return 1 if len(lines) <= tries else len(lines)


def _fault(path: Path, line: int | None, what: str) -> InputError:
    what = what if len(what) <= LONGEST else f"{what[: LONGEST - 3]}..."
    message = f"{path}: {what}" if line is None else f"{path}, line {line}: {what}"
    return InputError("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in message))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key) else shown(key)


def shown(value: object) -> str:
    """A value as TOML would write it, or nearly so, and not too long."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number so large"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
