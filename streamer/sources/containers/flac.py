"""FLAC: the length that its header states is not asked for: one that was written to a pipe knows none (RFC 9639)."""

from typing import BinaryIO

from .splice import Section, patched

_BEGINS = b"fLaC"
_INFO = b"\x00\x00\x00\x22"  # the first block's head: stream information, 34 bytes
_LENGTH = 21  # where the length's 36 bits begin, the first four in the lower half of the byte
_BITE = 1 << 20


def sections(raw: BinaryIO, first: int, end: int) -> list[Section]:
    """The sections of a FLAC file, one for each of the files that were joined; none: it is no FLAC.

    Parameters
    ----------
    raw : the file.
    first : its first byte after tags of another format.
    end : the number of its bytes.
    """
    raw.seek(first)
    if raw.read(4) != _BEGINS:
        return []
    raw.seek(max(first, end - 128))
    if raw.read(3) == b"TAG":  # ID3v1, which some programs put behind any sound
        end -= 128
    starts = _starts(raw, first, end)
    return [_section(raw, start, stop) for start, stop in zip(starts, [*starts[1:], end], strict=True)]


def _section(raw: BinaryIO, first: int, end: int) -> Section:
    raw.seek(first + _LENGTH)
    length = raw.read(5)
    if len(length) < 5:
        return Section(((first, end - first),))
    stated = int.from_bytes(length, "big") & (1 << 36) - 1
    unknown = bytes([length[0] & 0xF0, 0, 0, 0, 0])
    return Section(patched(first, end, {first + _LENGTH: unknown}), frames=stated or None)


def _starts(raw: BinaryIO, first: int, end: int) -> list[int]:
    """Where each of the joined files begins; the mark is of 8 bytes, which no sound holds by chance."""
    starts = [first]
    mark = _BEGINS + _INFO
    at = first + len(mark)
    while at < end:
        raw.seek(at)
        bite = raw.read(_BITE + len(mark) - 1)
        place = bite.find(mark)
        while place >= 0:
            starts.append(at + place)
            place = bite.find(mark, place + 1)
        at += _BITE
    return list(dict.fromkeys(starts))
