"""Address patterns of OSC 1.0: ``?``, ``*``, ``[a-z]``, ``[!a-z]`` and ``{one,two}`` within a part of an address.

``//`` stands for any parts in between, as in OSC 1.1. A pattern is followed through the address position by position,
all ways at once, so that none takes more steps than the product of the two lengths: as a regular expression it may take
centuries.
"""

import re
from collections.abc import Callable

_TOKEN = re.compile(r"//|\*|\?|\[(?P<chars>[^\]/]*)\]|\{(?P<words>[^}/]*)\}|[^*?\[\]{}]")
LONGEST = 64  # characters of a pattern, several times what any address here has
_SPECIAL = re.compile(r"[*?\[\]{}]|//")

Step = Callable[[str, set[int]], set[int]]  # address and positions in it -> the positions after the token


def is_pattern(address: str) -> bool:
    """Whether it may match several addresses."""
    return _SPECIAL.search(address) is not None


def matching(pattern: str, addresses: list[str]) -> list[str]:
    """The addresses that a pattern matches; none for a pattern that is too long or not well formed."""
    if len(pattern) > LONGEST:
        return []
    steps: list[Step] = []
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            return []
        steps.append(_step(token))
        at = token.end()
    return [address for address in addresses if _leads_through(steps, address)]


def _leads_through(steps: list[Step], address: str) -> bool:
    places = {0}
    for step in steps:
        places = step(address, places)
        if not places:
            return False
    return len(address) in places


def _step(token: re.Match[str]) -> Step:
    text, chars, words = token[0], token["chars"], token["words"]
    if chars is not None:
        return _one(_members(chars))
    if words is not None:
        alternatives = words.split(",")
        return lambda address, places: {
            at + len(word) for at in places for word in alternatives if address.startswith(word, at)
        }
    if text == "*":
        return _rest_of_part
    if text == "//":
        return _after_any_slash
    return _one(lambda char: char != "/") if text == "?" else _one(lambda char: char == text)


def _one(member: Callable[[str], bool]) -> Step:
    return lambda address, places: {at + 1 for at in places if at < len(address) and member(address[at])}


def _rest_of_part(address: str, places: set[int]) -> set[int]:
    found: set[int] = set()
    for start in sorted(places):
        at = start
        while at not in found:
            found.add(at)
            at += at < len(address) and address[at] != "/"
    return found


def _after_any_slash(address: str, places: set[int]) -> set[int]:
    first = min((at for at in places if address.startswith("/", at)), default=len(address))
    return {at + 1 for at in range(first, len(address)) if address[at] == "/"}


def _members(chars: str) -> Callable[[str], bool]:
    """The characters of a list such as ``a-z_`` or, with ``!`` before, all others; a "-" at its end is itself."""
    listed = chars.removeprefix("!")
    spans = re.findall(r"(.)-(.)|(.)", listed, re.DOTALL)
    ordered = [(min(low, high), max(low, high)) if low else (only, only) for low, high, only in spans]
    wanted = listed == chars
    return lambda char: char != "/" and any(low <= char <= high for low, high in ordered) == wanted
