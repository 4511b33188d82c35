"""Sound files: whatever libsndfile decodes (WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF ...), read block by block.

The sound decides, not the header: all that is there is heard, and where the header states otherwise, that is told.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile

from .._util.stderr import quiet_stderr
from ..core.protocols import Block
from ..errors import AudioFileError
from .base import ThreadedSource
from .cancelling import Polarity
from .containers.foreign import kind
from .containers.sections import sections
from .containers.splice import Section, Splice
from .refit import Refit

log = logging.getLogger(__name__)

SHORTEST = 0.5  # s: one emission
RATES = (1_000, 768_000)  # Hz: what the engine takes
MOST_JUNK = 1_500  # bytes within a file that are not worth a word: less than a frame of MP3
UNDECODABLE = (soundfile.SoundFileError, RuntimeError, TypeError, ValueError)  # all that soundfile raises


class AudioFile(ThreadedSource):
    """A sound file at its own rate and with all its channels; never more than one block of it is in memory.

    All the sound that there is comes out, whatever the header states: of an unfinished WAV, an MP3 without a length
    frame, a FLAC of unknown length, a chained Ogg, joined files (those of another format are converted to the first
    one's). Where the header states another length, a warning is logged. A file that breaks off plays up to there, with
    a warning, and ``broke_off`` is true then; when that is before half a second, :meth:`blocks` raises AudioFileError.
    Where the channels cancel each other when they are mixed, those against the first loud one have their sign turned,
    with a warning.

    Parameters
    ----------
    path : the file.
    paced : each block comes when it would have sounded, as from a device; otherwise as fast as it is taken.
    block : frames of a block; by default 20 ms paced, as a device would send, and half a second otherwise.

    Attributes
    ----------
    broke_off : sound that its header promises was not there when it was played last.

    Raises
    ------
    AudioFileError
        The path is missing, not a regular file, unreadable, empty, not audio, without decodable sound, of a rate that
        is out of range, or shorter than half a second, which is one emission; one line.
    ValueError
        ``block`` is below 1.
    """

    def __init__(self, path: str | Path, paced: bool = False, block: int | None = None) -> None:
        self._path = Path(path)
        self.broke_off = False
        if block is not None and block < 1:
            raise ValueError(f"a block has at least 1 frame, not {block}")
        self._sections = _sections(self._path)
        self._polarity: Polarity | None = None
        with _opened(self._path, self._sections[0]) as sound:
            super().__init__(str(path), sound.samplerate, sound.channels, paced)
            self._block = block or max(1, sound.samplerate // (50 if paced else 2))
            if not RATES[0] <= sound.samplerate <= RATES[1]:
                raise AudioFileError(
                    f"{path}: a sample rate of {sound.samplerate} Hz: Valaro takes {RATES[0]} to {RATES[1]} Hz"
                )
            _require_sound(self._path, sound, whole=len(self._sections) == 1)

    def blocks(self) -> Iterator[Block]:
        """The file from its beginning, in blocks of ``block`` frames, the last of a section shorter. Opens it anew."""
        self.broke_off = False
        if self._polarity is None:
            self._polarity = self._measured()
            if self._polarity.words:
                log.warning("%s: %s", self._path, self._polarity.words)
        played = 0
        why = ""
        if len(self._sections) > 1:
            log.warning("%s: is %d stretches of sound joined; all are heard", self._path, len(self._sections))
        for section in self._sections:
            before = played
            try:
                for block in self._of(section, self._block):
                    if isinstance(block, _End):
                        why = self._tell(section, block, before / self._rate) or why
                    else:
                        played += len(block)
                        yield self._polarity.turned(block)
            except AudioFileError:  # a later section that is none; the first one was tried before
                if not played:
                    raise
                self._break_off(played / self._rate, "what follows cannot be decoded")
        if played / self._rate < SHORTEST:  # its header promised more
            raise AudioFileError(
                f"{self._path}: only {played / self._rate:.2f} s of it can be decoded{why}: "
                f"at least {SHORTEST} s are needed"
            )

    def _of(self, section: Section, size: int) -> "Iterator[Block | _End]":
        """The blocks of a section at the file's rate and channels, and how it ended."""
        with _opened(self._path, section) as sound:
            refit = None
            if (sound.samplerate, sound.channels) != (self._rate, self._channels):
                refit = Refit(sound.samplerate, self._rate, self._channels)
            stated = section.frames
            if not section.pieces and section.share is None and not section.cut and sound.frames < 1 << 62:
                stated = sound.frames if sound.format not in ("MP3", "OGG") else None
            played, fault = 0, ""
            while not fault:
                block, fault = _read(sound, size)
                if not len(block):
                    break
                played += len(block)
                yield block if refit is None else refit(block)
            if refit is not None:
                yield refit.rest()
            yield _End(played, sound.samplerate, stated, fault)

    def _tell(self, section: Section, end: "_End", before: float) -> str:
        """Compare what was decoded, what the header states and what is left; returns the fault in brackets."""
        stated = round(end.frames * section.share) if section.share is not None else end.stated
        reason = f" ({end.fault})" if end.fault else ""
        if section.passed > MOST_JUNK:
            log.warning(
                "%s: %d bytes up to %.1f s are no sound, and were passed over",
                *(self._path, section.passed, before + end.frames / end.rate),
            )
        seconds, where = end.frames / end.rate, before + end.frames / end.rate
        if stated is not None and end.frames < stated:
            self._break_off(where, f"its header says {before + stated / end.rate:.1f} s{reason}")
        elif stated is None and (section.cut or end.fault):
            self._break_off(where, end.fault or "its last part is not whole")
        elif stated is not None and end.frames > stated:
            log.warning(
                "%s: its header says %.1f s, but its sound goes on to %.1f s: all of it is heard",
                *(self._path, before + stated / end.rate, before + seconds),
            )
        elif end.fault:
            log.warning("%s: what follows its sound at %.1f s cannot be decoded%s", self._path, where, reason)
        return reason

    def _break_off(self, seconds: float, why: str) -> None:
        self.broke_off = True
        if seconds >= SHORTEST:  # below it is an error
            log.warning("%s: breaks off after %.1f s (%s)", self._path, seconds, why)

    def _measured(self) -> Polarity:
        """How the channels lie to each other, from the first sound of the file."""
        polarity = Polarity(self._channels, self._rate)
        if self._channels > 1:
            for block in self._of(self._sections[0], max(1, self._rate // 2)):
                if isinstance(block, _End) or not polarity.wants(block):
                    break
        return polarity


def no_sound(bad: int, samples: int) -> str:
    """What is said of samples that are NaN, infinite or far over full scale."""
    what = "no sound (not numbers, or far over full scale), and were taken as silence"
    return f"{bad:,} of {samples:,} samples are {what}"


class _End:
    """How a section ended: the frames that were decoded, their rate, what was stated, the decoder's fault."""

    def __init__(self, frames: int, rate: int, stated: int | None, fault: str) -> None:
        self.frames, self.rate, self.stated, self.fault = frames, rate, stated, fault


class _Decoder(soundfile.SoundFile):
    """A sound file that is read from its beginning to its end.

    soundfile seeks after each read in what is seekable, and reads up to the stated end alone: in an MP3 the one changes
    the samples, in a FLAC of unknown length it fails at the end, and the other loses sound.
    """

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(path: Path, section: Section) -> Iterator[soundfile.SoundFile]:
    """The decoder of a section."""
    try:
        with path.open("rb") as raw:
            # As bytes where the system has them: soundfile refuses a name that is not valid in the terminal's encoding.
            file: Any = path if os.name == "nt" else os.fsencode(path)
            with quiet_stderr():
                sound = _Decoder(cast(Any, Splice(raw, section.pieces)) if section.pieces else file)
            with sound:
                yield sound
    except UNDECODABLE as error:
        with path.open("rb") as raw:
            known = kind(raw.read(512))
        what = "not a sound file that can be decoded"
        if path.suffix.lower() == ".mp3":
            told = f"is no MP3, but {known}" if known else f"is {what}: there is no MP3 in it"
        else:
            told = f"is {what}, but {known}" if known else f"is {what} ({_reason(error)})"
        raise AudioFileError(f"{path}: {told}") from error
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read ({_reason(error)})") from error


def _read(sound: soundfile.SoundFile, size: int) -> tuple[Block, str]:
    """The next frames, fewer at the end, and the decoder's fault, before which some may have come."""
    out = np.full((size, sound.channels), np.nan, dtype=np.float32)
    try:
        return out[: len(sound.read(out=out))], ""
    except UNDECODABLE as error:
        came = np.isfinite(out).all(axis=1)
        return out[: size if came.all() else int(came.argmin())], _reason(error)


def _sections(path: Path) -> list[Section]:
    try:
        if not path.exists():
            raise AudioFileError(f"{path}: there is no such file")
        if not path.is_file():
            raise AudioFileError(f"{path}: a {'directory' if path.is_dir() else 'device or pipe'}, not a sound file")
        with path.open("rb") as raw:  # the system's own reason, which libsndfile would hide
            if not raw.read(1):
                raise AudioFileError(f"{path}: is empty")
            return sections(raw, path.suffix.lower())
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error, AudioFileError):
            raise
        raise AudioFileError(f"{path}: cannot be read ({_reason(error)})") from error


def _require_sound(path: Path, sound: soundfile.SoundFile, whole: bool) -> None:
    block, fault = _read(sound, 1)
    if fault:
        raise AudioFileError(f"{path}: cannot be decoded ({fault})")
    if not len(block):
        raise AudioFileError(f"{path}: holds no sound")
    seconds = sound.frames / sound.samplerate
    if seconds < SHORTEST and whole:
        raise AudioFileError(f"{path}: is too short ({seconds:.2f} s): at least {SHORTEST} s are needed")


def _reason(error: BaseException) -> str:
    """The cause in a few words on one line, without the path that soundfile repeats."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".")
