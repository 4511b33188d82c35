"""The expressions in a map's ``from``: arithmetic over an emission's values, such as ``max(q1, level) / 2``.

Python's own parser reads it; a whitelist allows only names, numbers, the four operations and a few functions, which are
compiled to a closure once. Nothing of the text is ever run as Python.
"""

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..core.affect import Affect
from ..errors import InputError

Value = Callable[[Affect], float]
Range = tuple[float, float]

LONGEST = 1000  # characters
DEEPEST = 100  # operations within each other: a sum of so many terms
SIDE = 11  # cells on a side of the heatmap

SIGNED: Range = (-1.0, 1.0)
UNIT: Range = (0.0, 1.0)


class Expression(NamedTuple):
    """A compiled expression.

    Parameters
    ----------
    value : gives a finite number for any emission.
    natural : the range of a bare name, else [0, 1]; None for ``time`` alone, which is unbounded.
    """

    value: Value
    natural: Range | None


def compile_expression(text: str) -> Expression:
    """Read ``text`` once, so that each emission costs only the arithmetic.

    Names: valence and arousal (-1..1); confidence and level (0..1); time (s); q1..q4 or happy, tense, sad and calm (the
    mass of the quadrants, 0..1). ``cell(a, v)`` is one cell of the heatmap, row a = arousal low to high, column v =
    valence low to high, each 0..10; ``tag("name")`` a tag, 0 where it is absent. Numbers, ``+ - * /``, unary minus,
    parentheses, ``min()``, ``max()``, ``abs()``. A division by zero and whatever is not finite give 0.

    Raises
    ------
    InputError
        The text is anything else; one line.
    """
    tree = _parse(text)
    value = _compile(tree, DEEPEST)
    natural = UNIT
    if isinstance(tree, ast.Name):
        natural = _NAMES[tree.id][1]
    return Expression(lambda affect: _finite(value(affect)), natural)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "attack"?``, or nothing when no known word is near."""
    import difflib

    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _parse(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise InputError(f"an expression has at most {LONGEST} characters, not {len(text)}")
    line = re.sub(r"\s*[\r\n]\s*", " ", text).strip()
    if not line:
        raise InputError('an expression is missing: write a name, such as "valence"')
    try:
        with warnings.catch_warnings():  # Python's opinions on style are not the user's concern
            warnings.simplefilter("ignore")
            return ast.parse(line, mode="eval").body
    except SyntaxError as fault:
        raise InputError(f'the expression "{_short(line)}" cannot be read: {fault.msg}') from fault
    except (ValueError, RecursionError, MemoryError) as fault:  # a null character; parentheses without end
        raise InputError(f'the expression "{_short(line)}" cannot be read') from fault


def _compile(node: ast.expr, depth: int) -> Value:
    if depth == 0:
        raise InputError(f"an expression has at most {DEEPEST} operations within each other")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _number(number)
        case ast.Name(id=name):
            return _named(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _compile(operand, depth - 1)
            return lambda affect: -inner(affect)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            operation, first, second = _OPERATIONS[type(op)], _compile(left, depth - 1), _compile(right, depth - 1)
            return lambda affect: operation(first(affect), second(affect))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, arguments, depth)
    raise InputError(
        f"{_word(node)} has no place in an expression: there are names, numbers, + - * /, min(), max(), abs(), "
        'cell(a, v) and tag("name")'
    )


def _number(number: float) -> Value:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError("a number in the expression is too large")
    return lambda _: value


def _named(name: str) -> Value:
    if name in _FORMS:
        raise InputError(f'"{name}" needs its arguments: write {_FORMS[name]}')
    if name not in _NAMES:
        near = did_you_mean(name, (*_NAMES, *_FORMS))
        raise InputError(f'unknown name "{_short(name)}"{near or ": there are " + ", ".join(_NAMES)}')
    read = _NAMES[name][0]
    return lambda affect: _finite(float(read(affect)))


def _call(name: str, arguments: list[ast.expr], depth: int) -> Value:
    match name, arguments:
        case "cell", [ast.Constant(value=int() as a), ast.Constant(value=int() as v)] if _index(a) and _index(v):
            return lambda affect: _finite(float(affect.heatmap[a, v]))
        case "tag", [ast.Constant(value=str() as tag)]:
            return lambda affect: _finite(float(affect.tags.get(tag, 0.0)))
        case "abs", [only]:
            inner = _compile(only, depth - 1)
            return lambda affect: abs(inner(affect))
        case (("min" | "max"), [_, _, *_]):
            choose = min if name == "min" else max
            values = [_compile(argument, depth - 1) for argument in arguments]
            return lambda affect: choose(value(affect) for value in values)
    if name in _FORMS:
        raise InputError(f"{name}() is written {_FORMS[name]}")
    if name in _NAMES:
        raise InputError(f'"{name}" takes no arguments: leave the parentheses out')
    near = did_you_mean(name, _FORMS)
    raise InputError(f'unknown function "{_short(name)}"{near or ": there are " + ", ".join(_FORMS)}')


def _index(number: int) -> bool:
    return not isinstance(number, bool) and 0 <= number < SIDE


def _divide(dividend: float, divisor: float) -> float:
    return dividend / divisor if divisor else 0.0


def _finite(number: float) -> float:
    return number if math.isfinite(number) else 0.0


def _quadrant(index: int) -> tuple[Value, Range]:
    return lambda affect: affect.quadrants[index], UNIT


def _word(node: ast.AST) -> str:
    """The construct in words, for an error message."""
    words: dict[type[ast.AST], str] = {
        ast.Pow: '"**"',
        ast.FloorDiv: '"//"',
        ast.Mod: '"%"',
        ast.BitXor: '"^"',
        ast.Attribute: "a dot between names",
        ast.Compare: "a comparison",
        ast.Subscript: "an index in [brackets]",
        ast.Constant: "text or truth by itself",
        ast.Call: "such a call",
    }
    kind = type(node.op if isinstance(node, ast.BinOp) else node)
    return words.get(kind, f"a Python {kind.__name__.lower()}")


def _short(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:41])
    return plain if len(plain) <= 40 else f"{plain[:37]}..."


_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
}
_NAMES: dict[str, tuple[Value, Range | None]] = {
    "valence": (lambda affect: affect.valence, SIGNED),
    "arousal": (lambda affect: affect.arousal, SIGNED),
    "confidence": (lambda affect: affect.confidence, UNIT),
    "level": (lambda affect: affect.level, UNIT),
    "time": (lambda affect: affect.time, None),
    **{name: _quadrant(index) for index, name in enumerate(("q1", "q2", "q3", "q4"))},
    **{name: _quadrant(index) for index, name in enumerate(("happy", "tense", "sad", "calm"))},
}
_FORMS = {
    "cell": "cell(a, v), two whole numbers from 0 to 10: the row of arousal, then the column of valence",
    "tag": 'tag("name")',
    "min": "min(a, b)",
    "max": "max(a, b)",
    "abs": "abs(a)",
}
