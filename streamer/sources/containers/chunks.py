"""Sound in chunks (RIFF, RF64, Wave64, AIFF, CAF) or behind a plain header (AU): its stated length and its true one.

A recorder writes the length when it closes the file. One that is killed leaves 0, -1 or an old value there, and
libsndfile then hears nothing, or only what was stated. Where the stated length does not lead to the end of the file or
to another chunk, the sound goes on to the end. (EBU Tech 3285 and 3306; Sony Wave64; Apple AIFF-C and CAF 1.0; Sun AU.)
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from .splice import Section, patched

_UNKNOWN32, _UNKNOWN64 = (1 << 32) - 1, (1 << 64) - 1
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the GUIDs of all its chunks
_NO_SOUND = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")  # what other programs put behind the sound
_MOST_CHUNKS = 10_000
_BITE = 1 << 16
Order = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class _Layout:
    head: int  # bytes before the first chunk
    name: int  # bytes of a chunk's name
    width: int  # bytes of its size
    order: Order
    align: int  # chunks begin at multiples of it
    data: bytes  # the name of the chunk with the sound
    prefix: int = 0  # bytes of that chunk before the sound
    counts_itself: bool = False  # the size is with name and size


_RIFF = _Layout(12, 4, 4, "little", 2, b"data")
_RIFX = _Layout(12, 4, 4, "big", 2, b"data")
_AIFF = _Layout(12, 4, 4, "big", 2, b"SSND", prefix=8)
_CAF = _Layout(8, 4, 8, "big", 1, b"data", prefix=4)
_W64 = _Layout(40, 16, 8, "little", 8, b"data" + _W64_TAIL, counts_itself=True)


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    size_at: int  # where its size stands
    first: int  # of its contents
    size: int  # of its contents, as stated


def sections(raw: BinaryIO, first: int, end: int) -> list[Section]:
    """The sections of a file of this kind from ``first`` to ``end``; none: it is of another kind.

    Parameters
    ----------
    raw : the file.
    first : its first byte after tags of another format.
    end : the number of its bytes.
    """
    found: list[Section] = []
    while end - first >= 24:
        head = _at(raw, first, 40)
        if head[:4] in (b".snd", b"dns.") and not found:
            return [_au(head, first, end)]
        layout = _layout(head)
        if layout is None:
            break
        section, following = _in_chunks(raw, layout, head, first, end)
        if section is None:
            break
        found.append(section)
        if following is None:
            break
        first = following
    return found


def _layout(head: bytes) -> _Layout | None:
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _RIFF
    if head[:4] == b"RIFX" and head[8:12] == b"WAVE":
        return _RIFX
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if head[:4] == b"caff":
        return _CAF
    return _W64 if head[:4] == b"riff" and head[24:28] == b"wave" else None


def _au(head: bytes, first: int, end: int) -> Section:
    order: Order = "big" if head[:4] == b".snd" else "little"
    data = first + int.from_bytes(head[4:8], order)
    stated, held = int.from_bytes(head[8:12], order), max(0, end - data)
    if stated in (held, _UNKNOWN32):
        return Section(share=1.0 if stated == held else None)
    size = min(held, _UNKNOWN32)
    return Section(patched(first, end, {first + 8: size.to_bytes(4, order)}), stated / held if held else None)


def _in_chunks(raw: BinaryIO, layout: _Layout, head: bytes, first: int, end: int) -> tuple[Section | None, int | None]:
    """The section that begins at ``first``, if it has any sound, and where another joined file begins, if one does."""
    ds64: _Chunk | None = None
    common: _Chunk | None = None
    aligned, packed = 1, False
    for chunk in _walk(raw, layout, first, end):
        if chunk.name == b"ds64":
            ds64 = chunk
        elif chunk.name == b"COMM":
            common = chunk
        elif chunk.name == b"desc" and layout is _CAF:
            packed = _at(raw, chunk.first + 8, 4) != b"lpcm"
        elif chunk.name in (b"fmt ", b"fmt " + _W64_TAIL):
            aligned = max(1, int.from_bytes(_at(raw, chunk.first + 12, 2), layout.order))
        elif chunk.name == layout.data:
            break
    else:
        return None, None
    data = chunk.first + layout.prefix
    stated = chunk.size - layout.prefix
    whole = ds64 is not None and stated == _UNKNOWN32
    if whole and ds64 is not None:
        stated = int.from_bytes(_at(raw, ds64.first + 8, 8), "little")
    unknown = chunk.size in (_UNKNOWN32, _UNKNOWN64) and not whole
    follows = None if unknown else _follows(raw, layout, data, stated, end)
    if follows is not None:
        joined = _layout(_at(raw, follows, 40)) is not None
        if not joined and first == 0 and layout is not _W64:
            return Section(share=1.0), None
        last = follows if joined or layout is _W64 else end  # libsndfile takes what follows in Wave64 for sound
        return Section(((first, last - first),), 1.0), follows if joined else None
    held = max(0, end - data)
    if not unknown and abs(held - stated) < aligned:  # part of one sample frame
        return Section(((first, end - first),), 1.0), None
    size = held - held % aligned
    if layout is _RIFF:
        pieces = _riff(first, chunk, ds64, data, size)
    else:
        patches = {chunk.size_at: _size(layout, chunk, size + layout.prefix)}
        if layout is _AIFF:
            patches[first + 4] = min(data + size - first - 8, _UNKNOWN32).to_bytes(4, "big")
        if common is not None and (frame := _aiff_frame(_at(raw, common.first, 22))):
            patches[common.first + 2] = min(size // frame, _UNKNOWN32).to_bytes(4, "big")
        if layout is _W64:
            patches[first + 16] = (data + size - first).to_bytes(8, "little")
        pieces = patched(first, data + size, patches)
    if packed:  # its packets are listed elsewhere, and decide
        return Section(pieces, cut=stated > held), None
    return Section(pieces, None if unknown or not held else max(0, stated) / held), None


def _walk(raw: BinaryIO, layout: _Layout, first: int, end: int) -> Iterator[_Chunk]:
    at = first + layout.head
    for _ in range(_MOST_CHUNKS):
        head = _at(raw, at, layout.name + layout.width)
        if len(head) < layout.name + layout.width or at >= end:
            return
        size = int.from_bytes(head[layout.name :], layout.order)
        if layout.counts_itself:
            size = max(0, size - len(head))
        yield _Chunk(head[: layout.name], at + layout.name, at + len(head), size)
        at += len(head) + size
        at += -(at - first) % layout.align


def _follows(raw: BinaryIO, layout: _Layout, data: int, stated: int, end: int) -> int | None:
    """Where the sound ends as its header says, if that is the file's end or something else begins there; or None."""
    if stated < 0 or data + stated > end:
        return None
    if data + stated == end:
        return end
    for at in dict.fromkeys((data + stated, data + stated + -stated % layout.align)):  # some leave the padding out
        head = _at(raw, at, 64)
        if not head or _layout(head) is not None or head.startswith(_NO_SOUND):
            return min(at, end)
        names, rest = head[: layout.name], head[layout.name : layout.name + layout.width]
        size = int.from_bytes(rest, layout.order)
        named = names[4:] == _W64_TAIL if layout is _W64 else all(0x20 <= byte < 0x7F for byte in names)
        itself = 0 if layout.counts_itself else layout.name + layout.width
        if named and len(rest) == layout.width and at + itself + size <= end + 1:  # some leave the last padding out
            return at
    return data + stated if stated and _only_zeros(raw, data + stated, end) else None


def _only_zeros(raw: BinaryIO, first: int, end: int) -> bool:
    """Whether there are only zeros: space that was set aside, and no sound."""
    return not any(_at(raw, at, min(_BITE, end - at)).strip(b"\0") for at in range(first, end, _BITE))


def _size(layout: _Layout, chunk: _Chunk, size: int) -> bytes:
    size += chunk.first - (chunk.size_at - layout.name) if layout.counts_itself else 0
    return min(size, (1 << 8 * layout.width) - 1).to_bytes(layout.width, layout.order)


def _riff(first: int, chunk: _Chunk, ds64: _Chunk | None, data: int, size: int) -> tuple[bytes | tuple[int, int], ...]:
    """A WAV file with its true sizes, as RF64 where 32 bits are too few for them."""
    end = data + size
    total = end - first - 8
    if ds64 is None and total < _UNKNOWN32:
        sizes = {first: b"RIFF", first + 4: total.to_bytes(4, "little"), chunk.size_at: size.to_bytes(4, "little")}
        return patched(first, end, {first: sizes[first] + sizes[first + 4], chunk.size_at: sizes[chunk.size_at]})
    unknown = _UNKNOWN32.to_bytes(4, "little")
    if ds64 is not None:
        long = total.to_bytes(8, "little") + size.to_bytes(8, "little")
        return patched(first, end, {first + 4: unknown, ds64.first: long, chunk.size_at: unknown})
    long = (total + 36).to_bytes(8, "little") + size.to_bytes(8, "little") + bytes(12)
    new = b"ds64" + (28).to_bytes(4, "little") + long
    head = b"RF64" + unknown + b"WAVE" + new
    return (head, (first + 12, chunk.size_at - first - 12), unknown, (data, size))


def _aiff_frame(common: bytes) -> int:
    """Bytes of a sample frame of uncompressed AIFF; 0: it is compressed."""
    if (
        len(common) >= 22
        and common[18:22].isalnum()
        and common[18:22]
        not in (
            *(
                b"sowt",
                b"NONE",
                b"twos",
                b"fl32",
                b"FL32",
                b"fl64",
                b"FL64",
                b"in24",
                b"in32",
                b"SSND",
                b"42ni",
                b"23ni",
            ),
        )
    ):
        return 0
    return int.from_bytes(common[:2], "big") * -(-int.from_bytes(common[6:8], "big") // 8)


def _at(raw: BinaryIO, at: int, size: int) -> bytes:
    raw.seek(at, os.SEEK_SET)
    return raw.read(size)
