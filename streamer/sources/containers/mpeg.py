"""MP3 and its elders, frame by frame: how much sound there is, whatever its length frame says, or without one.

Without a length frame (Xing, Info) libmpg123 guesses the length from the first frame and the size of the file, and
libsndfile stops there; with a wrong one it stops where that says. Here the frames are counted, and where nothing states
their number truly, a length frame that does is put before them. (ISO 11172-3 and 13818-3, 2.4.2.3; LAME's Xing header.)
"""

from dataclasses import dataclass, field
from typing import BinaryIO

from .splice import Piece, Section

_KBITS = {  # of layer, by version (1; 2 and 2.5): bit rates by their index, from 1
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_KBITS[3, 2] = _KBITS[2, 2]
_HERTZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by the version's bits
_MONO = 3
_BITE = 1 << 16
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # behind the sound


@dataclass(frozen=True, slots=True)
class _Frame:
    size: int  # bytes
    format: tuple[int, int, int, bool]  # version's bits, layer, rate, mono
    kbits: int
    side: int  # where the length frame's mark would stand


@dataclass(slots=True)
class _Run:
    """Frames of one format."""

    format: tuple[int, int, int, bool]
    pieces: list[tuple[int, int]] = field(default_factory=list)
    frames: int = 0
    varies: bool = False  # the bit rate
    stated: int | None = None  # by its length frame
    length_frame: bytes = b""
    head: bytes = b""  # of the first frame
    cut: bool = False
    passed: int = 0  # bytes between and behind the frames that are no sound

    def add(self, at: int, size: int) -> None:
        if self.pieces and sum(self.pieces[-1]) == at:
            self.pieces[-1] = self.pieces[-1][0], self.pieces[-1][1] + size
        else:
            self.pieces.append((at, size))


def sections(raw: BinaryIO, first: int, end: int) -> list[Section]:
    """The sections of an MP3 file, one for each stretch of one format; none: it is no MP3.

    Parameters
    ----------
    raw : the file.
    first : its first byte after tags.
    end : the number of its bytes.
    """
    runs = _runs(raw, first, end)
    if len(runs) == 1 and not _needs_length(runs[0]):
        run = runs[0]
        return [Section((), run.stated / run.frames if run.stated else None, cut=run.cut, passed=run.passed)]
    return [_section(run) for run in runs]


def _needs_length(run: _Run) -> bool:
    if run.stated is None:
        return run.varies or len(run.pieces) > 1
    return len(run.pieces) > 1 or run.stated < run.frames


def _section(run: _Run) -> Section:
    share = run.stated / run.frames if run.stated else None
    pieces: list[Piece] = [*run.pieces]
    if run.format[1] == 3:
        pieces.insert(0, _mended(run) if run.length_frame else _length_frame(run))
    return Section(tuple(pieces), share, cut=run.cut, passed=run.passed)


def _runs(raw: BinaryIO, first: int, end: int) -> list[_Run]:
    runs: list[_Run] = []
    at, synced = first, False
    kbits = 0
    while at + 4 <= end:
        raw.seek(at)
        head = raw.read(4)
        frame = _parse(head)
        if frame is None or not (synced or _is_followed(raw, at, frame, end)):
            found, passed = _next_frame(raw, at, end)
            if runs:
                runs[-1].passed += passed
            if found is None:
                break
            at, synced = found, True
            continue
        synced = True
        if not runs or runs[-1].format != frame.format:
            if runs and not _is_followed(raw, at, frame, end):  # not another format but damage
                at, synced = at + 1, False
                continue
            runs.append(_Run(frame.format, head=head))
            kbits = frame.kbits
        run = runs[-1]
        if at + frame.size > end:
            run.cut = True
            break
        stated = _stated(raw, at, frame)
        if stated is None:
            run.varies |= frame.kbits != kbits and run.frames > 0
            kbits = frame.kbits if not run.frames else kbits
            run.frames += 1
            run.add(at, frame.size)
        elif not run.frames and not run.length_frame:
            raw.seek(at)
            run.length_frame, run.stated = raw.read(frame.size), stated
        at += frame.size
    for run in runs:
        if run.stated is not None and abs(run.stated - run.frames) <= 1:  # some count the length frame too
            run.stated = run.frames
    return [run for run in runs if run.frames]


def _parse(head: bytes) -> _Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    index, hertz = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or index in (0, 15) or hertz == 3:
        return None
    low = 1 if version == 3 else 2
    kbits, rate = _KBITS[layer, low][index - 1], _HERTZ[version][hertz]
    padding = head[2] >> 1 & 1
    if layer == 1:
        size = (12_000 * kbits // rate + padding) * 4
    else:
        size = (72_000 if layer == 3 and low == 2 else 144_000) * kbits // rate + padding
    mono = head[3] >> 6 == _MONO
    side = 4 + ((17 if mono else 32) if low == 1 else (9 if mono else 17))
    return _Frame(size, (version, layer, rate, mono), kbits, side)


def _is_followed(raw: BinaryIO, at: int, frame: _Frame, end: int) -> bool:
    """Whether another frame of the format, or the file's end, follows: four bytes may be a head by chance."""
    if at + frame.size + 4 > end:
        return at + frame.size == end
    raw.seek(at + frame.size)
    head = raw.read(11)
    following = _parse(head)
    return head.startswith((*_TAGS, b"ID3")) or (following is not None and following.format == frame.format)


def _next_frame(raw: BinaryIO, at: int, end: int) -> tuple[int | None, int]:
    """The next frame after ``at`` that another one follows, and how many bytes of no tag were passed over for it."""
    passed, first = 0, at  # at the first byte there is none
    while at < end:
        raw.seek(at)
        bite = raw.read(_BITE)
        if skipped := _tag_behind(bite):
            at += skipped
            continue
        place, tag = int(at == first), bite.find(b"ID3")
        while True:
            sync = bite.find(b"\xff", place)
            if tag >= 0 and (sync < 0 or tag < sync):
                raw.seek(at + tag)
                passed += tag
                at += tag + 10 + tag_size(raw.read(10).ljust(10, b"\0"))
                break
            if sync < 0:
                passed += max(1, len(bite) - 3)
                at += max(1, len(bite) - 3)
                break
            frame = _parse(bite[sync : sync + 4])
            if frame is not None and _is_followed(raw, at + sync, frame, end):
                return at + sync, passed + sync
            place = sync + 1
    return None, passed


def _tag_behind(bite: bytes) -> int:
    """The size of a tag of those that stand behind the sound, or of space that was set aside; 0: it is none."""
    if bite.startswith(b"TAG"):
        return 128
    if bite.startswith(b"APETAGEX") and len(bite) >= 32:
        is_header = bool(bite[23] & 0x20)
        return 32 + is_header * int.from_bytes(bite[12:16], "little")
    return len(bite) if not bite.strip(b"\0") else 0


def tag_size(head: bytes) -> int:
    """The size that the head of an ID3v2 tag states, without the head's own 10 bytes."""
    return sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _stated(raw: BinaryIO, at: int, frame: _Frame) -> int | None:
    """The number of frames that a length frame states; 0: none; None: it is no length frame."""
    if frame.format[1] != 3 or frame.size < frame.side + 12:
        return None
    raw.seek(at + frame.side)
    mark = raw.read(12)
    if mark[:4] not in (b"Xing", b"Info"):
        return None
    return int.from_bytes(mark[8:12], "big") if mark[7] & 1 else 0


def _mended(run: _Run) -> bytes:
    """The file's own length frame with the true number of frames, and without an end that is cut off as padding."""
    frame, side = bytearray(run.length_frame), _parsed(run.length_frame).side
    flags = frame[side + 7]
    at = side + 8
    if not flags & 1:
        return _length_frame(run)
    frame[at : at + 4] = run.frames.to_bytes(4, "big")
    at += 4
    if flags & 2:
        size = len(frame) + sum(size for _, size in run.pieces)
        frame[at : at + 4] = min(size, (1 << 32) - 1).to_bytes(4, "big")
        at += 4
    at += 100 * bool(flags & 4) + 4 * bool(flags & 8)
    if at + 24 <= len(frame):  # LAME's: 12 bits of delay, 12 bits of padding
        frame[at + 22] &= 0xF0
        frame[at + 23] = 0
    return bytes(frame)


def _length_frame(run: _Run) -> bytes:
    """A length frame of the run's format."""
    head = bytearray(run.head)
    head[1] |= 1  # no checksum
    head[2] &= 0x0D
    for index in range(1, 15):  # a bit rate with room for it
        head[2] = head[2] & 0x0F | index << 4
        if (frame := _parsed(head)).size >= 192:
            break
    else:
        frame = _parsed(head)
    body = bytes(frame.side - 4) + b"Info" + (1).to_bytes(4, "big") + run.frames.to_bytes(4, "big")
    return (bytes(head) + body).ljust(frame.size, b"\0")


def _parsed(head: bytes | bytearray) -> _Frame:
    frame = _parse(bytes(head[:4]))
    assert frame is not None
    return frame
