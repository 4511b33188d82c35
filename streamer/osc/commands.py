"""Parses incoming OSC: bytes in, checked commands out, without a socket, a thread or a clock.

python-osc reads the values. Its packet classes are not used: a bundle with an element of negative size is an endless
loop for them, each unknown type tag is a line in the program's log, and a float that is cut short becomes 0.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pythonosc.parsing import osc_types

from ..core.controls import MOST_OFFSET
from .pattern import is_pattern, matching

LARGEST = 1_472  # bytes: what one Ethernet frame carries; several times what any message here needs
MOST_ECHO = 64  # characters of a wrong address that go back in an error

_BUNDLE = b"#bundle\x00"


@dataclass(frozen=True, slots=True)
class Command:
    """A message of the right form, its numbers within range (T is 1, F is 0)."""

    address: str
    values: tuple[float | str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message for Valaro that is wrong, and what was expected."""

    address: str
    expected: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Input that is for others, or not OSC at all.

    Parameters
    ----------
    why : which of the two.
    address : of a message for another program; "" for what is no OSC, and for an answer of another Valaro.
    """

    why: Literal["foreign", "malformed"]
    address: str = ""


Message = Command | Refusal | Ignored


@dataclass(frozen=True, slots=True)
class _Form:
    tags: re.Pattern[str]
    expected: str
    low: float = 0.0
    high: float = 1.0


_SWITCH = re.compile("[ifhdTF]")
_NUMBER = re.compile("[ifhd]")
_RATING = re.compile("[ifhd]{2}s?")
_TOUCH = _Form(re.compile("[ifhdTF]s?"), "expected 0 when the finger lifts, 1 when it touches, and a name if any")
_FORMS = {
    "/valaro/rate": _Form(_RATING, "expected valence and arousal, two numbers from -1 to 1, and a name if any", -1.0),
    "/valaro/rate/xy": _Form(_RATING, "expected x and y of a pad, two numbers from 0 to 1, and a name if any"),
    "/valaro/rate/z": _TOUCH,
    "/valaro/rate/xy/z": _TOUCH,
    "/valaro/listener": _Form(re.compile("s"), "expected the listener's name, one string"),
    "/valaro/offset": _Form(_NUMBER, f"expected a number of seconds from 0 to {MOST_OFFSET:g}", 0.0, MOST_OFFSET),
    "/valaro/pause": _Form(_SWITCH, "expected 1 or T to pause, 0 or F to go on"),
    "/valaro/reply": _Form(_NUMBER, "expected the port for answers, a number from 1 to 65535", 1.0, 65_535.0),
    "/valaro/status": _Form(re.compile(".*", re.DOTALL), "expected no argument"),  # a button sends its 1 along
}
_STATUS = "/valaro/status"
_ANSWER = "ssffiii"  # the type tags of another Valaro's status
_NO_TEXT = "expected text, such as a name, in UTF-8"
UNKNOWN = f"unknown address; there are {', '.join(_FORMS)}"
_READERS: dict[str, Callable[[bytes, int], tuple[float | str, int]]] = {
    "i": osc_types.get_int,
    "h": osc_types.get_int64,
    "f": osc_types.get_float,
    "d": osc_types.get_double,
    "s": osc_types.get_string,
}


def handle(packet: bytes) -> list[Message]:
    """The messages of one packet, in order; never raises.

    A packet above LARGEST bytes is malformed, whatever it holds, and so is a whole bundle whose framing is broken. A
    message whose address is a pattern becomes one for each address that it matches and its arguments fit.
    """
    if len(packet) > LARGEST:
        return [Ignored("malformed")]
    try:
        return [message for element in list(_elements(packet)) for message in _read(element)]
    except (osc_types.ParseError, struct.error):
        return [Ignored("malformed")]


def _elements(packet: bytes) -> Iterator[bytes]:
    """The messages in ``packet``, those of nested bundles too, whose depth LARGEST bounds."""
    if not packet.startswith(_BUNDLE):
        yield packet
        return
    offset = len(_BUNDLE) + 8  # past the timetag
    if len(packet) < offset:
        raise osc_types.ParseError("a bundle without a timetag")
    while offset < len(packet):
        (size,) = struct.unpack_from(">i", packet, offset)
        offset += 4
        if not 0 < size <= len(packet) - offset:
            raise osc_types.ParseError("a bundle with an element of an impossible size")
        yield from _elements(packet[offset : offset + size])
        offset += size


def _read(element: bytes) -> list[Message]:
    try:
        address, offset = osc_types.get_string(element, 0)
        if not address.startswith("/"):
            return [Ignored("malformed")]
        # Old senders leave the type tags out where there are no arguments.
        tags, offset = osc_types.get_string(element, offset) if offset < len(element) else (",", offset)
        if not tags.startswith(","):
            return [Ignored("malformed")]
        arguments = _Arguments(element, tags[1:], offset)
        return _matched(address, arguments) if is_pattern(address) else [_understood(address, arguments)]
    except (osc_types.ParseError, UnicodeDecodeError):
        return [Ignored("malformed")]


def _matched(pattern: str, arguments: "_Arguments") -> list[Message]:
    """The commands of a pattern, or why there is none."""
    addresses = matching(pattern, list(_FORMS))
    if not addresses:
        return [_unknown(pattern)]
    if arguments.tags:
        addresses = [address for address in addresses if address != _STATUS] or addresses
    found = [_understood(address, arguments) for address in addresses]
    return [message for message in found if isinstance(message, Command)] or found[:1]


def _understood(address: str, arguments: "_Arguments") -> Message:
    if address == "/valaro/error" or (address == _STATUS and arguments.tags == _ANSWER):
        return Ignored("foreign")  # an answer: two Valaros that answered each other's would never end
    form = _FORMS.get(address)
    if form is None:
        return _unknown(address)
    if not form.tags.fullmatch(arguments.tags):
        return Refusal(address, form.expected)
    if address == _STATUS:
        return Command(address, ())
    try:
        values = arguments.values()
    except UnicodeDecodeError:
        return Refusal(address, _NO_TEXT)
    if not all(isinstance(value, str) or form.low <= value <= form.high for value in values):  # NaN is never within
        return Refusal(address, form.expected)
    return Command(address, values)


def _unknown(address: str) -> Message:
    if not address.startswith("/valaro/"):
        return Ignored("foreign", address[:MOST_ECHO])
    return Refusal(address[:MOST_ECHO], UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Arguments:
    """The arguments of one message: its bytes, its type tags, and where in the bytes the first one is."""

    element: bytes
    tags: str
    offset: int

    def values(self) -> tuple[float | str, ...]:
        """Their values. Raises osc_types.ParseError where they are cut short, and UnicodeDecodeError for text."""
        values: list[float | str] = []
        offset = self.offset
        for tag in self.tags:
            if tag in "TF":
                values.append(float(tag == "T"))
            else:
                value, offset = _READERS[tag](self.element, offset)
                values.append(value if isinstance(value, str) else float(value))
        if offset > len(self.element):
            raise osc_types.ParseError("cut short")
        return tuple(values)
