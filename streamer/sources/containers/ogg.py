"""Ogg (Vorbis, Opus, FLAC): it may be a chain of streams, of which libsndfile decodes the first alone (RFC 3533)."""

from typing import BinaryIO

from .splice import Section

_PAGE = b"OggS"
_BEGINS, _ENDS = 2, 4  # flags of a page: its stream's first, its stream's last
_BITE = 1 << 16


def sections(raw: BinaryIO, first: int, end: int) -> list[Section]:
    """The sections of an Ogg file, one for each link of the chain; none: it is no Ogg.

    Parameters
    ----------
    raw : the file.
    first : its first byte after tags of another format.
    end : the number of its bytes.
    """
    raw.seek(first)
    if raw.read(4) != _PAGE:
        return []
    links: list[tuple[int, int]] = []  # where each begins, and the flags of its last page
    at, flags, heads, cut = first, 0, True, False
    while at < end:
        raw.seek(at)
        head = raw.read(27)
        if head[:4] != _PAGE or len(head) < 27:
            following = _next_page(raw, at + 1, end)
            cut = following is None and any(head)  # what is left is part of a page; or space that was set aside
            if following is None:
                break
            at = following
            continue
        flags = head[5]
        if flags & _BEGINS and (not links or not heads):  # several streams that begin together are one link
            links.append((at, 0))
        heads = bool(flags & _BEGINS)
        if not links:
            links.append((at, 0))
        links[-1] = links[-1][0], links[-1][1] | flags & _ENDS
        size = 27 + head[26] + sum(raw.read(head[26]))
        cut = at + size > end
        at += size
    if len(links) == 1:
        ended = bool(links[0][1] & _ENDS) and not cut
        return [Section(cut=not ended)]
    stops = [*(start for start, _ in links[1:]), end]
    return [
        Section(((start, stop - start),), cut=not ended & _ENDS)
        for (start, ended), stop in zip(links, stops, strict=True)
    ]


def _next_page(raw: BinaryIO, at: int, end: int) -> int | None:
    while at < end:
        raw.seek(at)
        place = raw.read(_BITE + 3).find(_PAGE)
        if place >= 0:
            return at + place
        at += _BITE
    return None
