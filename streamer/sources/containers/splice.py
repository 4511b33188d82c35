"""A file that is put together of parts of another and of bytes of one's own, such as a mended header."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import SEEK_CUR, SEEK_END, SEEK_SET
from typing import BinaryIO

Piece = bytes | tuple[int, int]  # bytes of one's own, or (first byte, number of bytes) of the file


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a file that is decoded by itself.

    Parameters
    ----------
    pieces : what the decoder is given; empty: the file as it is.
    share : what its header states, as a share of what is there; None: it states nothing.
    frames : how many sample frames its header states, where that is known beforehand; None: it states nothing.
    cut : it ends in the middle of something, or without its end mark.
    passed : bytes within and behind it that are neither sound nor a tag.
    """

    pieces: tuple[Piece, ...] = ()
    share: float | None = None
    frames: int | None = None
    cut: bool = False
    passed: int = 0


class Splice:
    """The pieces one after the other, to read and to seek in, as ``soundfile`` needs it.

    Parameters
    ----------
    raw : the file, open; whoever opened it closes it.
    pieces : what is read, in order.
    """

    def __init__(self, raw: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._raw = raw
        self._pieces = pieces
        self._starts = [0]
        for piece in pieces:
            self._starts.append(self._starts[-1] + (len(piece) if isinstance(piece, bytes) else piece[1]))
        self._at = 0
        self._piece = 0  # the one that holds _at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go to ``offset``, from the beginning, from here or from the end; return the place."""
        base = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        self._piece = 0
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, all that are left by default; fewer at the end, or where the file cannot be read."""
        left = self._starts[-1] - self._at if size < 0 else size
        parts: list[bytes] = []
        while left > 0 and self._piece < len(self._pieces):
            inside = self._at - self._starts[self._piece]
            room = self._starts[self._piece + 1] - self._at
            if room <= 0:
                self._piece += 1
                continue
            part = self._part(inside, min(left, room))
            if not part:
                break
            parts.append(part)
            self._at += len(part)
            left -= len(part)
        return b"".join(parts)

    def _part(self, inside: int, size: int) -> bytes:
        piece = self._pieces[self._piece]
        if isinstance(piece, bytes):
            return piece[inside : inside + size]
        try:
            self._raw.seek(piece[0] + inside)
            return self._raw.read(size)
        except OSError:  # within a callback of libsndfile nothing may be raised: it sees the end of the file
            return b""


def patched(first: int, end: int, patches: dict[int, bytes]) -> tuple[Piece, ...]:
    """The file's bytes from ``first`` to ``end``, of which those at the keys of ``patches`` are replaced."""
    pieces: list[Piece] = []
    at = first
    for offset, new in sorted(patches.items()):
        pieces += [(at, offset - at), new]
        at = offset + len(new)
    return (*pieces, (at, end - at))
