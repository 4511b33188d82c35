"""Sound files: whatever libsndfile decodes (WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF ...), read block by block."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..core.protocols import Block
from ..errors import AudioFileError
from .base import ThreadedSource

log = logging.getLogger(__name__)

SHORTEST = 0.5  # s: one emission
UNDECODABLE = (soundfile.SoundFileError, RuntimeError, TypeError, ValueError)  # all that soundfile raises


class AudioFile(ThreadedSource):
    """A sound file at its own rate and with all its channels; never more than one block of it is in memory.

    A file that breaks off plays up to there, and a warning is logged; when that is before half a second,
    :meth:`blocks` raises AudioFileError.

    Parameters
    ----------
    path : the file.
    paced : each block comes when it would have sounded, as from a device; otherwise as fast as it is taken.
    block : frames of a block; by default 20 ms paced, as a device would send, and half a second otherwise.

    Raises
    ------
    AudioFileError
        The path is missing, not a regular file, unreadable, empty, not audio, without decodable sound or shorter than
        half a second, which is one emission; one line.
    ValueError
        ``block`` is below 1.
    """

    def __init__(self, path: str | Path, paced: bool = False, block: int | None = None) -> None:
        self._path = Path(path)
        if block is not None and block < 1:
            raise ValueError(f"a block has at least 1 frame, not {block}")
        with _open(self._path) as sound:
            super().__init__(str(path), sound.samplerate, sound.channels, paced)
            self._block = block or max(1, sound.samplerate // (50 if paced else 2))
            _require_sound(self._path, sound)

    def blocks(self) -> Iterator[Block]:
        """The file from its beginning, in blocks of ``block`` frames, the last one shorter. Opens it each time."""
        with _open(self._path) as sound:
            played = 0
            broken: BaseException | None = None
            while True:
                try:
                    block = np.asarray(sound.read(self._block, dtype="float32", always_2d=True), dtype=np.float32)
                except UNDECODABLE as error:
                    broken = error
                    break
                if not len(block):
                    break
                played += len(block)
                yield block
        seconds = played / self._rate
        if seconds < SHORTEST:  # its header promised more
            why = "" if broken is None else f" ({_reason(broken)})"
            raise AudioFileError(
                f"{self._path}: only {seconds:.2f} s of it can be decoded{why}: at least {SHORTEST} s are needed"
            ) from broken
        if broken is not None:
            log.warning("%s: breaks off after %.1f s (%s)", self._path, seconds, _reason(broken))


def _open(path: Path) -> soundfile.SoundFile:
    try:
        if not path.exists():
            raise AudioFileError(f"{path}: there is no such file")
        if not path.is_file():
            raise AudioFileError(f"{path}: a {'directory' if path.is_dir() else 'device or pipe'}, not a sound file")
        with path.open("rb") as raw:  # the system's own reason, which libsndfile would hide
            empty = not raw.read(1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise AudioFileError(f"{path}: cannot be read ({_reason(error)})") from error
    if empty:
        raise AudioFileError(f"{path}: is empty")
    try:
        # As bytes where the system has them: soundfile refuses a name that is not valid in the terminal's encoding.
        file: Any = path if os.name == "nt" else os.fsencode(path)
        return soundfile.SoundFile(file)
    except UNDECODABLE as error:
        raise AudioFileError(f"{path}: is not a sound file that can be decoded ({_reason(error)})") from error


def _require_sound(path: Path, sound: soundfile.SoundFile) -> None:
    try:
        frames = len(sound.read(1, dtype="float32", always_2d=True))
    except UNDECODABLE as error:
        raise AudioFileError(f"{path}: cannot be decoded ({_reason(error)})") from error
    if not frames:
        raise AudioFileError(f"{path}: holds no sound")
    seconds = sound.frames / sound.samplerate
    if seconds < SHORTEST:
        raise AudioFileError(f"{path}: is too short ({seconds:.2f} s): at least {SHORTEST} s are needed")


def _reason(error: BaseException) -> str:
    """The cause in a few words on one line, without the path that soundfile repeats."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".")
