"""The namespace that an OSCQuery client sees: the OSC methods with their types, ranges and values.

After the OSCQuery proposal (github.com/Vidvox/OSCQueryProposal), core functionality and optional attributes. No
socket and no thread here. The cells (``/valaro/cell/A/V``) are left out: ``/valaro/heatmap`` holds them all, and 121
more entries would hide the others in every browser's list. Channels that are tracked separately have an entry each
from their first emission on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from ...core.affect import ACTIVITIES, Affect
from ...core.controls import MOST_OFFSET, Controls
from ..packets import prefix, values_by_address

NO_VALUE, READ, WRITE = 0, 1, 2  # ACCESS is a mask
LISTENER = "/valaro/listener"
EXTENSIONS = ("ACCESS", "VALUE", "RANGE", "DESCRIPTION", "LISTEN")
ATTRIBUTES = ("FULL_PATH", "CONTENTS", "TYPE", "ACCESS", "VALUE", "RANGE", "DESCRIPTION")

Values = dict[str, list[float | str]]


@dataclass(frozen=True, slots=True)
class Method:
    """One OSC address: its type tags, its access mask, a description, and the range of each value."""

    tags: str
    access: int
    description: str
    ranges: tuple[dict[str, Any], ...]


_UNIT = {"MIN": 0.0, "MAX": 1.0}
_SIGNED = {"MIN": -1.0, "MAX": 1.0}

METHODS: dict[str, Method] = {
    "/valaro/valence": Method("f", READ, "valence, unpleasant 0 to pleasant 1", (_UNIT,)),
    "/valaro/arousal": Method("f", READ, "arousal, calm 0 to excited 1", (_UNIT,)),
    "/valaro/va": Method("ff", READ, "valence and arousal, each from -1 to 1", (_SIGNED,) * 2),
    "/valaro/heatmap": Method(
        "f" * 121,
        READ,
        "probability of each cell of the 11 x 11 valence-arousal plane, sum 1: rows of rising arousal, and in each "
        "row valence rises (index = 11 * arousal + valence)",
        (_UNIT,) * 121,
    ),
    "/valaro/gauss": Method(
        "fffff",
        READ,
        "mean valence, mean arousal, variance of valence, covariance, variance of arousal",
        (_SIGNED, _SIGNED, _UNIT, _SIGNED, _UNIT),
    ),
    "/valaro/quadrants": Method("ffff", READ, "shares of happy, tense, sad and calm, sum 1", (_UNIT,) * 4),
    "/valaro/confidence": Method("f", READ, "0 knows nothing, 1 is sure", (_UNIT,)),
    "/valaro/level": Method("f", READ, "loudness for a meter: 0 at -60 dBFS, 1 at full scale", (_UNIT,)),
    "/valaro/activity": Method(
        "s",
        READ,
        "what is heard: music, speech, noise, silence, or that the input is lost",
        ({"VALS": list(ACTIVITIES)},),
    ),
    "/valaro/time": Method("f", READ, "seconds of sound that were heard", ({"MIN": 0.0},)),
    "/valaro/clock": Method(
        "ii",
        READ,
        "the same exactly, for ever: whole seconds and microseconds",
        ({"MIN": 0}, {"MIN": 0, "MAX": 999_999}),
    ),
    "/valaro/rate": Method(
        "ff", WRITE, "a listener's rating of what is heard now: valence and arousal, each from -1 to 1", (_SIGNED,) * 2
    ),
    "/valaro/listener": Method(
        "s", READ | WRITE, "whose ratings they are; empty for nobody's", ({"MIN": None, "MAX": None},)
    ),
    "/valaro/offset": Method(
        "f", READ | WRITE, "seconds by which everything goes out later", ({"MIN": 0.0, "MAX": MOST_OFFSET},)
    ),
    "/valaro/pause": Method("i", READ | WRITE, "1: nothing goes out; 0: it does", ({"MIN": 0, "MAX": 1},)),
}

_EMITTED = [path for path, method in METHODS.items() if method.access == READ]
_CONTAINERS = {"/": "Valaro, a music-emotion tracker", "/valaro": "what the music feels like, and what may be set"}


@lru_cache(maxsize=16)
def methods(channels: tuple[int, ...] = ()) -> dict[str, Method]:
    """All addresses; with channels that are tracked separately, what is emitted is at ``/valaro/N/...`` of each."""
    if not channels:
        return METHODS
    own = {f"{prefix(number)}{path[len(prefix(None)) :]}": METHODS[path] for number in channels for path in _EMITTED}
    return own | {path: method for path, method in METHODS.items() if path not in _EMITTED}


def settings(controls: Controls) -> Values:
    """The current value of each address that may be read and written."""
    return {
        "/valaro/listener": [controls.listener],
        "/valaro/offset": [controls.offset],
        "/valaro/pause": [int(controls.paused)],
    }


def emitted(affect: Affect) -> Values:
    """The value of each address that is only read."""
    return {
        path: [values] if isinstance(values, str) else [v if isinstance(v, int) else float(v) for v in values]
        for path, values in values_by_address(affect).items()
    }


def host_info(name: str, address: str, osc_port: int | None) -> dict[str, Any]:
    """HOST_INFO for a client that reached this server at ``address``; ``osc_port`` is the UDP port for OSC, if any."""
    info: dict[str, Any] = {"NAME": name, "EXTENSIONS": dict.fromkeys(EXTENSIONS, True)}
    if osc_port is not None:
        info |= {"OSC_IP": address, "OSC_PORT": osc_port, "OSC_TRANSPORT": "UDP"}
    return info


def without_names(values: Values) -> Values:
    """The values for a page of another site, which learns nothing of who is here."""
    nobody: Values = {LISTENER: [""]}
    return values | nobody


def answer(
    target: str, info: dict[str, Any], values: Values, channels: tuple[int, ...] = ()
) -> tuple[int, dict[str, Any] | None]:
    """HTTP status and JSON object for a request target such as ``/valaro/va?VALUE``; never raises.

    404: no such address. 400: an attribute that is not known or not supported. 204 (without object): VALUE where none
    may be read. An attribute that this address lacks (also VALUE before the first emission) gives an empty object.
    Where ``info`` names no port for OSC, nothing can be written: clients would send to the number of the HTTP port.
    """
    path, _, query = target.partition("#")[0].partition("?")
    if query == "HOST_INFO":
        return 200, info
    path = unquote(path, errors="replace").rstrip("/") or "/"
    node = _describe(path, values, channels, READ | WRITE if "OSC_PORT" in info else READ)
    if node is None:
        return 404, None
    if not query:
        return 200, node
    if query not in ATTRIBUTES:
        return 400, None
    if query == "VALUE" and not node["ACCESS"] & READ:
        return 204, None
    known = query in node and (query != "VALUE" or path in values)
    return 200, {query: node[query]} if known else {}


def may_write(origins: Iterable[str]) -> bool:
    """Whether a WebSocket with these Origin headers may change anything: programs, and pages from this machine.

    Browsers let a page of any site open a WebSocket to this machine, and name the site in the header. Programs send
    none. "null" is refused: Firefox sends it for a page opened from disk, but so does a sandboxed frame of any site.
    """
    return all(_is_local(origin) for origin in origins)


def _is_local(origin: str) -> bool:
    if origin == "file://":  # Chromium's, for a page opened from disk
        return True
    try:
        return urlsplit(origin).hostname in ("localhost", "127.0.0.1", "::1")
    except ValueError:
        return False


def _describe(path: str, values: Values, channels: tuple[int, ...], allowed: int) -> dict[str, Any] | None:
    known = methods(channels)
    method = known.get(path)
    if method is not None:
        return {
            "FULL_PATH": path,
            "TYPE": method.tags,
            "ACCESS": method.access & allowed or READ,
            "RANGE": list(method.ranges),
            "DESCRIPTION": method.description,
            # Clients that make their controls from the values need one everywhere, also before there is any.
            "VALUE": values.get(path) or _placeholder(method),
        }
    containers = _CONTAINERS | {prefix(number): f"what channel {number} feels like" for number in channels}
    if path not in containers:
        return None
    addresses = (*containers, *known)
    children = [address for address in addresses if address != "/" and (address.rpartition("/")[0] or "/") == path]
    return {
        "FULL_PATH": path,
        "ACCESS": NO_VALUE,
        "DESCRIPTION": containers[path],
        "CONTENTS": {child.rpartition("/")[2]: _describe(child, values, channels, allowed) for child in children},
    }


def _placeholder(method: Method) -> list[float | None]:
    """What stands for a value: the middle for what is only written, null for what nobody knows yet."""
    return [None if method.access & READ else 0.0] * len(method.tags)
