"""An emission as OSC packets.

python-osc writes the head of each message (address and type tags) once; the numbers are appended here. Its own builder
adds and checks them one by one, which for all cells costs more than the decoders do.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from ..core.affect import Affect

_LARGEST_INT = 2**31 - 1  # of OSC's type i
MOST_BYTES = 1_400  # a packet stays below it: an Ethernet frame carries it in one piece, even through a tunnel

# Some receivers hold a message with a later timetag back for ever.
_BUNDLE = OscBundleBuilder(IMMEDIATELY).build().dgram


def packets(affect: Affect, bundle: bool = True) -> list[bytes]:
    """The UDP packets of one emission with every address of the contract: one bundle, or one message each."""
    return bundles(contract(affect)) if bundle else list(contract(affect))


@lru_cache(maxsize=4)  # of the same emission for several destinations; with interpolation, two emissions take turns
def contract(affect: Affect) -> tuple[bytes, ...]:
    """One message for each address of :func:`values_by_address`. The arrays of ``affect`` must not change later."""
    return tuple(message(address, values) for address, values in values_by_address(affect).items())


@lru_cache(maxsize=4)
def cells(affect: Affect) -> tuple[bytes, ...]:
    """One message for each cell: ``/valaro/cell/A/V`` f, A the row of arousal, V the column of valence, 0 to 10."""
    floats = affect.heatmap.astype(">f4").tobytes()
    return tuple(head + floats[4 * k : 4 * k + 4] for k, head in enumerate(_cell_heads(prefix(affect.channel))))


def bundles(messages: Iterable[bytes]) -> list[bytes]:
    """The messages in as few bundles as they fit in, in order, each below ``MOST_BYTES`` (or one longer message)."""
    full: list[bytes] = []
    parts, size = [_BUNDLE], len(_BUNDLE)
    for element in messages:
        if size + 4 + len(element) >= MOST_BYTES and len(parts) > 1:
            full.append(b"".join(parts))
            parts, size = [_BUNDLE], len(_BUNDLE)
        parts += (len(element).to_bytes(4, "big"), element)
        size += 4 + len(element)
    return [*full, b"".join(parts)] if len(parts) > 1 else full


Values = list[float] | list[int] | str


def message(address: str, values: Values) -> bytes:
    """One message: floats, whole numbers of 32 bits (of which the first decides), or one string.

    Raises
    ------
    OverflowError
        A value is beyond the range of a 32-bit float.
    """
    if isinstance(values, str):
        return _text(address, values)
    if isinstance(values[0], int):
        return _head(address, len(values), OscMessageBuilder.ARG_TYPE_INT) + struct.pack(f">{len(values)}i", *values)
    return _head(address, len(values)) + struct.pack(f">{len(values)}f", *values)


def prefix(channel: int | None) -> str:
    """The addresses' prefix: "/valaro", and "/valaro/N" for a channel that is tracked separately."""
    return "/valaro" if channel is None else f"/valaro/{channel}"


def values_by_address(affect: Affect) -> dict[str, Values]:
    """The values of each address; valence and arousal appear twice, since VJ hosts clip to 0..1."""
    covariance = affect.covariance
    start = prefix(affect.channel)
    return {
        f"{start}/valence": [_unit(affect.valence)],
        f"{start}/arousal": [_unit(affect.arousal)],
        f"{start}/va": [affect.valence, affect.arousal],
        f"{start}/heatmap": affect.heatmap.ravel().tolist(),
        f"{start}/gauss": [
            affect.valence,
            affect.arousal,
            covariance[0, 0],
            covariance[0, 1],
            covariance[1, 1],
        ],
        f"{start}/quadrants": affect.quadrants.tolist(),
        f"{start}/confidence": [affect.confidence],
        f"{start}/level": [affect.level],
        f"{start}/activity": affect.activity,
        f"{start}/time": [affect.time],
        f"{start}/clock": clock(affect.time),
    }


def clock(time: float) -> list[int]:
    """Seconds of the stream as whole seconds and microseconds, exact for 68 years.

    A 32-bit float, as ``/valaro/time`` is, tells two moments a 60th of a second apart for three days.

    >>> clock(300_000.016)
    [300000, 16000]
    """
    seconds, microseconds = divmod(round(time * 1e6), 1_000_000)
    return [min(seconds, _LARGEST_INT), microseconds]


@lru_cache(maxsize=1024)  # far more than a show has addresses
def _head(address: str, numbers: int, tag: str = OscMessageBuilder.ARG_TYPE_FLOAT) -> bytes:
    builder = OscMessageBuilder(address)
    for _ in range(numbers):
        builder.add_arg(0, tag)
    return builder.build().dgram[: -4 * numbers]


@lru_cache(maxsize=64)  # channels
def _cell_heads(start: str) -> list[bytes]:
    return [_head.__wrapped__(f"{start}/cell/{a}/{v}", 1) for a in range(11) for v in range(11)]


@lru_cache(maxsize=512)  # the activities of many channels
def _text(address: str, text: str) -> bytes:
    builder = OscMessageBuilder(address)
    builder.add_arg(text, builder.ARG_TYPE_STRING)
    return builder.build().dgram


def _unit(value: float) -> float:
    return min(max((value + 1.0) / 2.0, 0.0), 1.0)
