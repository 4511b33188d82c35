"""Which sections a sound file has, by its kind."""

import os
from typing import BinaryIO

from . import chunks, flac, mpeg, ogg
from .splice import Section

_CHUNKS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b"caff", b".snd", b"dns.")
_AT_ONCE = 64  # tags one behind the other


def sections(raw: BinaryIO, suffix: str) -> list[Section]:
    """The sections of a sound file, at least one; a file of an unknown kind is one section as it is.

    Parameters
    ----------
    raw : the file.
    suffix : of its name, in lower case: by it, or by its first bytes, an MP3 is known.

    Raises
    ------
    OSError
        It cannot be read.
    """
    end = raw.seek(0, os.SEEK_END)
    first, tagged = _behind_tags(raw)
    raw.seek(first)
    head = raw.read(12)
    found: list[Section] = []
    if head[:4] in _CHUNKS:
        found = chunks.sections(raw, first, end)
    elif head[:4] == b"fLaC":
        found = flac.sections(raw, first, end)
    elif head[:4] == b"OggS":
        found = ogg.sections(raw, first, end)
    elif tagged or suffix in (".mp3", ".mp2", ".mp1", ".mpga") or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        found = mpeg.sections(raw, first, end)
    if not found and (suffix == ".mp3"):
        return [Section(((0, end),))]  # or libmpg123 would search it for frames
    return found or [Section()]


def _behind_tags(raw: BinaryIO) -> tuple[int, bool]:
    """The first byte after the ID3v2 tags that the file begins with, and whether there are any."""
    at = 0
    for _ in range(_AT_ONCE):
        raw.seek(at)
        head = raw.read(10)
        if head[:3] != b"ID3" or len(head) < 10:
            break
        at += 10 + mpeg.tag_size(head) + (10 if head[5] & 0x10 else 0)
    return at, at > 0
