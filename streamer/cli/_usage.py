"""The one line for words that make no command line: what was meant instead, and where the help is."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_PORT = "the name of a port, as `valaro devices` lists them, or virtual"
# What an option without its value is told; any other is told the word that stands for it in the help.
_VALUES = {
    "--midi": _PORT,
    "--midi-in": _PORT,
    "--device": "a name or a number, as `valaro devices` lists them",
    "--osc": "HOST:PORT, such as 127.0.0.1:9000",
    "--osc-in": "a port, such as 9001",
    "--config": "a file, such as `valaro presets write NAME` makes",
    "--source": "a name that `valaro plugins` lists",
    "--sink": "a name that `valaro plugins` lists",
}
# The words of typer, and plainer ones.
_PLAIN = (
    ("Value error, ", ""),
    ("Input should be a valid number, unable to parse string as a number", "must be a number, such as 0.5"),
    ("Input should be a valid integer, unable to parse string as an integer", "must be a whole number"),
    ("Input should be", "must be"),
)
_OF_ONE_OPTION = re.compile(r"Invalid value for '([^']*)'(?: / '[^']*')*: (.*)", re.DOTALL)


def usage_line(fault: Any, words: Sequence[str], command: Any) -> str:
    """The line for typer's UsageError.

    Parameters
    ----------
    fault : the error.
    words : the command line without the program's name.
    command : the whole program, as ``typer.main.get_command`` gives it.
    """
    names, innermost = _path(words, command)
    path = " ".join(["valaro", *names])
    return f"{_what(fault, innermost).rstrip('.')}: see `{path} --help`"


def _path(words: Sequence[str], command: Any) -> tuple[list[str], Any]:
    """The commands that the words begin with, and the innermost of them."""
    names = []
    for word in words:
        commands: Mapping[str, Any] = getattr(command, "commands", {})
        if word not in commands:
            break
        names.append(word)
        command = commands[word]
    return names, command


def _what(fault: Any, command: Any) -> str:
    text: str = fault.format_message()
    if hasattr(fault, "possibilities") and (option := getattr(fault, "option_name", None)):
        similar = f" (did you mean {' or '.join(fault.possibilities)}?)" if fault.possibilities else ""
        return f"No such option: {option}{similar}"
    if "requires an argument" in text and (option := getattr(fault, "option_name", None)):
        return f"{option} needs a value: {_VALUES.get(option) or _placeholder(option, command)}"
    matched = _OF_ONE_OPTION.fullmatch(text)
    if matched is None:
        return text
    option, why = matched.groups()
    for start, plain in _PLAIN:
        why = why.replace(start, plain)
    if option == "--format" and "'csv'" in why:
        why = f"{why.rstrip('.')} (a spreadsheet opens csv)"
    return f"{option}: {why}"


def _placeholder(option: str, command: Any) -> str:
    """The word that stands for an option's value in the help."""
    found = (parameter for parameter in command.params if option in parameter.opts)
    return getattr(next(found, None), "metavar", None) or "see the help"
