"""The configuration reference, from the schema itself: every table, key, type, default and meaning.

python docs/builder/generate_configuration.py             writes docs/configuration.md (after a change of the schema)
python docs/builder/generate_configuration.py --print     prints it instead

The meaning of a key is the docstring below its field in ``streamer/app/config/schema.py``; a field without one is
refused here, and so by the tests.
"""

import ast
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from valaro.streamer.app.config import schema

OUTPUT = Path(__file__).parent.parent / "configuration.md"

HEAD = """\
<!-- Written by docs/builder/generate_configuration.py from streamer/app/config/schema.py: change it there. -->

# Configuration reference

A configuration is a TOML file: `valaro listen --config FILE` reads it, and so do `valaro demo` and `valaro replay`.
What an option says goes before what the file says, except that `--osc` adds a destination to the file's; `--osc-rate`
and `--osc-messages` are for the destinations of `--osc`. A relative path in it counts from the file's own folder. An
unknown key, a value of another kind and a contradiction are refused before anything starts, with file, line and what
was meant. The presets (`valaro presets list`) are examples; one to begin with:

```toml
[[osc]]
to = "127.0.0.1:7000"
rate = 60                                        # flows: 60 a second, half a second later
[[osc.map]]
from = "q1 - q3"                                 # happy less sad; also cell(10, 8), tag("..."), min, max, abs ...
to = "/composition/layers/1/video/opacity"
in = [-0.5, 0.5]
out = [0.2, 1.0]
curve = 2.0                                      # stays low longer
attack = 0.2                                     # seconds to cover 63 % of a rise
release = 1.5                                    # ... and of a fall
```
"""

TAIL = """\
## Expressions

The `from` of a map is a value of the emission, or arithmetic over several. Nothing of it is ever run as a program.

| written | is | range |
|---|---|---|
| `valence`, `arousal` | the mean of the heatmap | -1 to 1 |
| `confidence`, `level` | as sent over OSC | 0 to 1 |
| `q1` `q2` `q3` `q4`, or `happy` `tense` `sad` `calm` | the share of a quadrant | 0 to 1 |
| `cell(a, v)` | one cell of the heatmap, row `a` of arousal and column `v` of valence, each 0 to 10 | 0 to 1 |
| `tag("name")` | a tag, 0 where it is absent | 0 to 1 |
| `time` | seconds of sound; it has no end, so `in` must be given | |
| `+ - * /`, `( )`, `min(a, b)`, `max(a, b)`, `abs(a)` | arithmetic; a division by zero gives 0 | 0 to 1, or `in` |
"""

MEANINGS = {str: "text", bool: "true or false", int: "whole number", float: "number", Path: "file"}


def render() -> str:
    """The whole page, in Markdown."""
    parts = [HEAD]
    for path, table in schema.TABLES.items():
        parts.append("\n".join([f"## {_title(path)}", "", *_summary(path, table), *_rows(table), ""]))
    return "\n".join([*parts, TAIL])


def written_keys() -> list[str]:
    """Every key of the schema as it is written in a file: ``osc.map.from``, ``midi.channel``, ``device`` ..."""
    return [".".join((*path, _key(*field))) for path, table in schema.TABLES.items() for field in _fields(table)]


def _fields(table: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    yield from table.model_fields.items()


def _key(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _title(path: tuple[str, ...]) -> str:
    if not path:
        return "Top of the file"
    fields = {_key(name, field): field for name, field in _fields(schema.TABLES[path[:-1]])}
    name = ".".join(path)
    return f"`[[{name}]]`" if _is_list(fields[path[-1]].annotation) else f"`[{name}]`"


def _is_list(annotation: Any) -> bool:
    return get_origin(_bare(annotation)) is tuple


def _summary(path: tuple[str, ...], table: type[BaseModel]) -> list[str]:
    if not path:
        return []
    text = inspect.getdoc(table) or ""
    _, _, said = " ".join(text.split("\n\n")[0].split()).replace("``", "`").partition(": ")
    first, _, _ = said.partition(". ")
    return [f"{first[:1].upper()}{first[1:].rstrip('.')}.", ""]


def _rows(table: type[BaseModel]) -> list[str]:
    meanings = field_docstrings(table)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in _fields(table):
        if name not in meanings:
            raise SystemExit(f"{table.__name__}.{name} has no docstring in {schema.__file__}: say what it means")
        cells = (f"`{_key(name, field)}`", _type(field), _default(field), meanings[name])
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def field_docstrings(table: type[BaseModel]) -> dict[str, str]:
    """The string that stands below each field of the class, on one line."""
    (definition,) = ast.parse(inspect.getsource(table)).body
    assert isinstance(definition, ast.ClassDef)
    meanings = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str() as text)),
            ):
                meanings[name] = " ".join(text.split())
    return meanings


def _bare(annotation: Any) -> Any:
    """Without ``None`` and without what is only checked."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        (only,) = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _bare(only)
    return annotation


def _checks(annotation: Any, metadata: list[Any]) -> Iterator[Callable[..., Any]]:
    """The functions that validate a value, those inside of ``X | None`` and ``tuple[X, ...]`` too."""
    yield from (check.func for check in metadata if isinstance(check, AfterValidator))
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from _checks(inner, more)
    elif get_origin(annotation) in (Union, types.UnionType, tuple):
        for inner in get_args(annotation):
            yield from _checks(inner, [])


def _type(field: FieldInfo) -> str:
    bare = _bare(field.annotation)
    if get_origin(bare) is Literal:
        return " or ".join(f'`"{choice}"`' for choice in get_args(bare))
    if inspect.isclass(bare) and issubclass(bare, BaseModel):
        return "table"
    if get_origin(bare) is dict:
        return "tables, by name"
    many = get_origin(bare) is tuple
    kind = _bare(get_args(bare)[0]) if many else bare
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return "tables"
    name = MEANINGS.get(kind, "any value")
    for check in _checks(field.annotation, field.metadata):
        limits = inspect.getclosurevars(check).nonlocals
        if {"low", "high"} <= limits.keys():
            name += f", {limits['low']:g} to {limits['high']:g}"
    return f"list: {name}" if many else name


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    default = field.default
    if default in (None, PydanticUndefined, (), "", {}):
        return "none"
    if isinstance(default, tuple):
        return f"`{list(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print(render(), end="")
    else:
        OUTPUT.write_text(render(), encoding="utf-8")
