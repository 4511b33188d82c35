"""What is told of a file that is not TOML: where it breaks, and what its author meant."""

import contextlib
import re
import tomllib

MAX_ATTEMPTS = 1000  # lines above the end to search for an open quote: the text is parsed for each
MAX_PARSED = 4_000_000  # characters to parse for it: about a second

# The messages of tomllib, and plainer ones.
_PLAIN = {
    "Invalid value": 'a value that cannot be read: text stands in "quotes", and truth is true or false',
    "Cannot overwrite a value": "a key or table that is there already",
    "Cannot declare": "a table that is there already; of [[double brackets]] there may be several",
}
PATHS = "write paths with / or in 'single quotes'"
# What stands in a line that cannot be read, and what was meant. `value`: what stands to the right of the =.
_KEY = r"\s*(?P<key>[\w.-]+|\"[^\"]*\")\s*=\s*"
_ADDRESS = re.compile(
    rf"{_KEY}(?P<value>\*?[A-Za-z0-9._-]*:\d+|\[[0-9A-Fa-f:.%]*\]:\d+|\d+\.\d+\.\d+[\d.]*)\s*(?:#.*)?"
)
_COMMA = re.compile(rf"{_KEY}(?P<value>[+-]?\d+,\d+)\s*(?:#.*)?")
_BACKSLASH = re.compile(r'=[^"\'#]*"[^"]*\\|=\s*(?:[A-Za-z]:)?[^"\'#\s]*\\')
_CURLY = re.compile(r"=[^\"'#]*[“”„‟‘’«»]")


def syntax_fault(text: str, message: str) -> tuple[int, str]:
    """The line where a text is no TOML, and what to do.

    Parameters
    ----------
    text : of the file.
    message : tomllib's, which ends with the place.
    """
    what, _, position = message.rpartition(" (at ")
    match = re.match(r"line (\d+)", position)
    # The only other position is "end of document", even where the open quote or bracket is far above it.
    number = int(match[1]) if match else _unfinished(text)
    lines = text.split("\n")
    meant = _meant(lines[number - 1]) if number <= len(lines) else None
    plain = meant or next((plain for start, plain in _PLAIN.items() if what.startswith(start)), None)
    if meant is None and not match and not what.startswith("Cannot"):
        plain = "what begins here is not finished: is a quote, a bracket or the value missing?"
    return number, f"not TOML: {plain or what[:1].lower() + what[1:]}"


def _meant(line: str) -> str | None:
    """What the author of a line that cannot be read has to write; None: that cannot be guessed."""
    if matched := _ADDRESS.fullmatch(line):
        address = matched["value"]
        if matched["key"] == "osc":
            return f'an address is text, of a table: write [[osc]], and below it to = "{address}"'
        return f'an address is text: write "{address}", in quotes'
    if matched := _COMMA.fullmatch(line):
        return f"a number has a point, not a comma: write {matched['value'].replace(',', '.')}"
    if _BACKSLASH.search(line):
        return f"a lone \\ in text: {PATHS}"
    if _CURLY.search(line):
        return 'text stands in straight "quotes", not in curly ones'
    return None


def _unfinished(text: str) -> int:
    """The line after the longest beginning of the text that is valid TOML."""
    lines = text.rstrip().split("\n")
    attempts = min(MAX_ATTEMPTS, MAX_PARSED // len(text))
    for whole in range(len(lines) - 1, max(len(lines) - attempts, 0), -1):
        with contextlib.suppress(ValueError):
            tomllib.loads("\n".join(lines[:whole]))
            return whole + 1
    return 1 if len(lines) <= attempts else len(lines)
