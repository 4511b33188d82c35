"""The faults of a config file, as one line with the file, the line and the key that its author wrote."""

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
from . import presets
from .syntax import syntax_fault
from .toml_lines import key_lines

MAX_BYTES = 256 * 1024  # bytes of a config: a map of every cell, for ten destinations
MAX_DOTS = 500  # in a line: for a key a.a.a... of n parts tomllib takes memory and time as n squared
MAX_MESSAGE = 500  # characters of a message

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
    "dict_type": "must be a table",
}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


class Misplaced(ValueError):  # noqa: N818  caught by refusal()
    """A fault of a whole table that is to be reported at ``key``."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and what it holds. Raises InputError for a file that cannot be read or is not TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _fault(path, None, f"there is no such file{_meant_file(path)}") from error
    except IsADirectoryError as error:
        raise _fault(path, None, "is a folder: name the config file in it") from error
    except OSError as error:
        raise _fault(path, None, f"cannot be read ({error.strerror})") from error
    except ValueError as error:  # a null character
        raise _fault(path, None, "is no name of a file") from error
    if len(raw) > MAX_BYTES:
        raise _fault(path, None, f"is larger than {MAX_BYTES // 1024} KB: is it a config file?")
    try:
        text = raw.decode("utf-8-sig")  # editors on Windows may write a byte order mark
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        raise _fault(path, number, "is not UTF-8 text: save it as UTF-8") from error
    for number, line_text in enumerate(text.split("\n"), 1):
        if line_text.count(".") > MAX_DOTS:
            raise _fault(path, number, f"holds more than {MAX_DOTS} dots: is it a config file?")
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _fault(path, *syntax_fault(text, str(error))) from error
    except RecursionError as error:
        raise _fault(path, None, "is nested too deeply") from error
    except ValueError as error:  # Python reads whole numbers of at most some thousand digits
        raise _fault(path, None, "holds a number that is too long") from error


def _meant_file(path: Path) -> str:
    """What the name of a file that is not there may stand for: a preset, or a file without its ending."""
    written = Path(f"{path}.toml")
    if path.name and written.is_file():
        return f": did you mean {written}?"
    name = path.name.removesuffix(".toml")
    return f"; `valaro presets write {name}` makes {name}.toml" if name in presets.names() else ""


def refusal(path: Path, text: str, invalid: ValidationError, tables: Tables) -> InputError:
    """The error for an invalid config: the first fault in the order of the file, and how many more there are.

    Parameters
    ----------
    path : the file.
    text : its content.
    invalid : the faults.
    tables : the model of each table, by its path.
    """
    lines = key_lines(text)
    faults = []
    for error in invalid.errors(include_url=False):
        loc, what = _explain(error, tables)
        faults.append((_line(lines, loc), loc, what))
    line, loc, what = min(faults, key=lambda fault: fault[0])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    where = ".".join(_key(key) for key in loc if isinstance(key, str))
    return _fault(path, line, f"{where}: {what}{more}")


def _explain(error: ErrorDetails, tables: Tables) -> tuple[Loc, str]:
    """The location of a fault, and its message."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    table = tuple(key for key in loc if isinstance(key, str))
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
    wanted = _KINDS.get(kind, error["msg"])
    if isinstance(value, str) and kind in {"int_type", "float_type"} and _DECIMAL_COMMA.fullmatch(value.strip()):
        wanted += " with a point and no quotes"
    return loc, f"{wanted}, not {as_toml(value)}"


def _unknown(path: tuple[str, ...], tables: Tables) -> str:
    """A message for an unknown key, with a similar name, or the table that has this key."""
    *table, key = path
    names = _names(tables[tuple(table)])
    tables_with_key = [candidate for candidate in ((), ("osc", "map")) if key in _names(tables[candidate])]
    if tables_with_key == [()]:
        return "unknown key here; it belongs at the top of the file, before the first [table]"
    if tables_with_key:
        return f"unknown key here; it belongs under {_header(tables_with_key[0], double=True)}"
    return f"unknown key{did_you_mean(key, names) or ': there are ' + ', '.join(names)}"


def _names(table: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in table.model_fields.items()]


def _header(table: tuple[str, ...], double: bool) -> str:
    name = ".".join(table)
    return f"[[{name}]]" if double else f"[{name}]"


def _line(lines: Mapping[Loc, int], loc: Loc) -> int:
    """The line of the value, or of the nearest enclosing table in the file."""
    while loc and loc not in lines:
        loc = loc[:-1]
    return lines.get(loc, 1)


def _fault(path: Path, line: int | None, what: str) -> InputError:
    what = what if len(what) <= MAX_MESSAGE else f"{what[: MAX_MESSAGE - 3]}..."
    message = f"{path}: {what}" if line is None else f"{path}, line {line}: {what}"
    return InputError("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in message))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key) else as_toml(key)


def as_toml(value: object) -> str:
    """A value roughly as TOML writes it, shortened."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number so large"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
