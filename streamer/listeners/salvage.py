"""Reads what is left of a damaged SQLite file of ratings: page by page, whatever its header, trees and indices say.

A leaf of the table holds whole rows, so that each is found by itself, whichever other page is bad
(https://www.sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4).
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, get_args

from ..core.controls import listener_name
from ..errors import DamagedError, InputError
from .evidence import RatingOrigin, StoredRating
from .records import FIELDS, rated

PAGE = 4096  # bytes: SQLite's default, which the store keeps to
_LEAF = 0x0D  # the first byte of a leaf page of a table
_MOST_PAYLOAD = 1 << 20  # bytes of a row: far more than a rating's
_UID = re.compile("[0-9a-f]{32}")


def salvaged(path: Path) -> Iterator[StoredRating]:
    """Every rating that can be read in a damaged file and the ``-wal`` beside it, in no order, with its id.

    Nothing is written. What cannot be a rating is left out. OSError if the file cannot be read at all.
    """
    with path.open("rb") as file:
        pages = _Pages(file, _committed(path.with_name(f"{path.name}-wal")))
        for number in range(1, pages.count + 1):
            for rowid, payload in _cells(pages, number):
                with suppress(ValueError, TypeError, IndexError, InputError, DamagedError, struct.error):
                    yield _rating(rowid, payload, path)


class _Pages:
    """The pages of a file as they were last committed: those of the log stand over its own."""

    def __init__(self, file: BinaryIO, newer: dict[int, bytes]) -> None:
        self._file = file
        self._newer = newer
        length = file.seek(0, 2)
        self.count = max(-(-length // PAGE), *newer, 0) if newer else -(-length // PAGE)

    def __getitem__(self, number: int) -> bytes:
        if number in self._newer:
            return self._newer[number]
        self._file.seek((number - 1) * PAGE)
        return self._file.read(PAGE).ljust(PAGE, b"\0")  # a file that was cut ends in zeros


def _committed(log: Path) -> dict[int, bytes]:
    """The newest version of each page in a write-ahead log, up to its last whole transaction; {} without a log."""
    try:
        data = log.read_bytes()
    except OSError:
        return {}
    if len(data) < 32 or struct.unpack_from(">I", data)[0] not in (0x377F0682, 0x377F0683):
        return {}
    order = ">" if data[3] & 1 else "<"
    salt, sums = data[16:24], struct.unpack_from(">2I", data, 24)
    committed: dict[int, bytes] = {}
    waiting: dict[int, bytes] = {}
    for start in range(32, len(data) - (24 + PAGE) + 1, 24 + PAGE):
        page = data[start + 24 : start + 24 + PAGE]
        sums = _checksum(data[start : start + 8] + page, sums, order)
        if data[start + 8 : start + 16] != salt or struct.unpack_from(">2I", data, start + 16) != sums:
            break
        number, size = struct.unpack_from(">2I", data, start)
        waiting[number] = page
        if size:  # the last page of a transaction, and how many there are then
            committed |= waiting
            committed = {which: kept for which, kept in committed.items() if which <= size}
            waiting = {}
    return committed


def _checksum(data: bytes, sums: tuple[int, ...], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for left, right in zip(words[::2], words[1::2], strict=True):
        first = (first + left + second) & 0xFFFFFFFF
        second = (second + right + first) & 0xFFFFFFFF
    return first, second


def _cells(pages: _Pages, number: int) -> Iterator[tuple[int, bytes]]:
    """The rows of a leaf: rowid and payload; none for any other page."""
    page = pages[number]
    start = 100 if number == 1 else 0  # past the header of the file
    if page[start] != _LEAF:
        return
    count = min(int.from_bytes(page[start + 3 : start + 5], "big"), PAGE // 4)
    for index in range(count):
        at = int.from_bytes(page[start + 8 + 2 * index : start + 10 + 2 * index], "big")
        with suppress(ValueError, IndexError):
            length, at = _varint(page, at)
            rowid, at = _varint(page, at)
            yield rowid, _payload(pages, page, at, length)


def _payload(pages: _Pages, page: bytes, at: int, length: int) -> bytes:
    """A row's bytes, from its leaf and the chain of pages that it overflows to."""
    if not 0 < length <= _MOST_PAYLOAD:
        raise ValueError("no row is that long")
    local = length
    if length > PAGE - 35:
        least = (PAGE - 12) * 32 // 255 - 23
        local = least + (length - least) % (PAGE - 4)
        local = local if local <= PAGE - 35 else least
    parts, missing = [page[at : at + local]], length - local
    chain = int.from_bytes(page[at + local : at + local + 4], "big") if missing else 0
    while missing > 0:
        if not 1 < chain <= pages.count:
            raise ValueError("the chain of pages is broken")
        overflow = pages[chain]
        parts.append(overflow[4 : 4 + missing])
        missing -= len(parts[-1])
        chain = int.from_bytes(overflow[:4], "big")
    if chain:
        raise ValueError("the chain of pages goes on past its end")
    payload = b"".join(parts)
    if len(payload) != length:
        raise ValueError("a row that is cut short")
    return payload


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        byte = data[at + index]
        if index == 8:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at + index + 1
    raise AssertionError


def _rating(rowid: int, payload: bytes, path: Path) -> StoredRating:
    _, *values = _values(payload)[: 1 + len(FIELDS)]  # the id is not in the row: it is the rowid
    uid, name, _, time, valence, arousal, source, undone, *_ = values
    values[3:6] = floats = [float(time), float(valence), float(arousal)]
    sane = (
        _UID.fullmatch(uid) is not None
        and listener_name(name) == name != ""
        and source in get_args(RatingOrigin)
        and undone in (0, 1)
        and 0 <= floats[0] < float("inf")
        and all(-1.0 <= value <= 1.0 for value in floats[1:])
        and 0 < rowid < 2**63
    )
    if not sane:
        raise ValueError("no rating")
    return rated([*values, rowid], path)


def _values(payload: bytes) -> list[Any]:
    """The values of a row (section 2.1 of the file format)."""
    end, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if len(kinds) < 1 + len(FIELDS):
        raise ValueError("a row of another table")
    values: list[Any] = []
    for kind in kinds:
        if kind >= 12:
            data = payload[at : at + (kind - 12) // 2]
            values.append(data if kind % 2 == 0 else data.decode())
            at += (kind - 12) // 2
        elif kind == 7:
            values.append(struct.unpack_from(">d", payload, at)[0])
            at += 8
        else:
            size = (0, 1, 2, 3, 4, 6, 8)[kind] if kind < 7 else 0
            values.append(None if kind == 0 else kind - 8 if kind in (8, 9) else None)
            if size:
                values[-1] = int.from_bytes(payload[at : at + size], "big", signed=True)
            at += size
    if at != len(payload):
        raise ValueError("a row of another length than it says")
    return values
