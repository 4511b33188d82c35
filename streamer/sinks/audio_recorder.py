"""The sound of a session as a file: to report a problem with, or to analyse again."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from .._util.files import reason
from ..core.affect import Affect
from ..core.protocols import EngineLike
from ..errors import InputError, SinkError
from .wave_writer import WaveWriter

log = logging.getLogger(__name__)

UPDATE = 1.0  # s of sound after which the header of a WAV is written afresh
UNWRITABLE = (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, AssertionError, OSError)  # by soundfile
_FORMATS = {  # by suffix: of libsndfile, in the finest form that each has
    ".w64": ("W64", "FLOAT"),
    ".aif": ("AIFF", "FLOAT"),
    ".aiff": ("AIFF", "FLOAT"),
    ".aifc": ("AIFF", "FLOAT"),
    ".au": ("AU", "FLOAT"),
    ".caf": ("CAF", "FLOAT"),
    ".flac": ("FLAC", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".oga": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
_WAVE = (".wav", ".wave", ".rf64")


class _Writer(Protocol):
    @property
    def closed(self) -> bool: ...

    def write(self, samples: NDArray[np.float32]) -> None: ...

    def update(self) -> None: ...

    def close(self) -> None: ...


class AudioRecorder:
    """An engine that passes everything on to ``engine`` and writes each sample that it gets to ``path``.

    The suffix says in which format. A WAV (32-bit floats, the source's own rate and channels) is exact: analysed later,
    it gives the same emissions. Its header is written afresh each second, so that after a crash or a kill any program
    reads what was heard up to then; beyond 4 GB it is an RF64. FLAC (24 bits) and the compressed formats hold ±1 at
    most, and what is no number is 0 there.

    It is written in the session's thread, not in the device's, and given to the system at once; only at its end is the
    disk waited for. When it cannot be written any more, such as on a full disk, that is logged, saving ends there (a
    gap would falsify what follows it), ``failed`` is true and the engine is not affected.

    Parameters
    ----------
    engine : the engine that the session would use otherwise.
    path : the file to create.
    rate : samples per second.
    channels : of each block.

    Attributes
    ----------
    failed : whether something could not be written.
    fault : why, in a few words; "" as long as all is well.

    Raises
    ------
    InputError
        ``path`` exists already, or its suffix is of no format that can be written, or not at this rate or with so many
        channels.
    SinkError
        ``path`` cannot be created.
    """

    def __init__(self, engine: EngineLike, path: Path | str, rate: int, channels: int) -> None:
        self.path = Path(path)
        self.failed = False
        self.fault = ""
        self._engine = engine
        self._frames = 0
        self._rate = rate
        self._updated = 0  # the number of frames that the header states
        if self.path.exists():
            raise InputError(f"{self.path} exists already: save to another file, or remove it first")
        self._file = _writer(self.path, rate, channels)

    @property
    def bad_samples(self) -> int:
        """The engine's count; the file has these samples as they came."""
        return self._engine.bad_samples

    def warm_up(self) -> None:
        """Warm the engine up."""
        self._engine.warm_up()

    def push(self, samples: NDArray[np.float32]) -> list[Affect]:
        """Write samples (n, channels), and pass them to the engine."""
        if not self._file.closed and not self.failed:
            try:
                self._file.write(samples)
                self._frames += len(samples)
                if self._frames - self._updated >= UPDATE * self._rate:
                    self._file.update()
                    self._updated = self._frames
            except UNWRITABLE as fault:
                self._give_up(fault)
        return self._engine.push(samples)

    def finish(self) -> list[Affect]:
        """Finish the engine's stream."""
        return self._engine.finish()

    def close(self) -> None:
        """Close the file, and remove it when it is empty; may be called twice."""
        if self._file.closed:
            return
        try:
            self._file.close()
        except UNWRITABLE as fault:
            self._give_up(fault)
        if not self._frames:  # a session that never began must not block the next attempt
            with suppress(OSError):
                self.path.unlink()

    def _give_up(self, fault: BaseException) -> None:
        if not self.failed:
            self.fault = _reason(fault)
            log.warning("saving %s: %s; it ends there, and the show goes on", self.path, self.fault)
        self.failed = True


class _Encoder:
    """What libsndfile writes: an open file of another format than WAV."""

    def __init__(self, path: Path, rate: int, channels: int, form: tuple[str, str]) -> None:
        self._whole = form[1] != "FLOAT"
        file: Any = path if os.name == "nt" else os.fsencode(path)  # whatever it is called
        self._file = soundfile.SoundFile(file, "x", rate, channels, form[1], format=form[0])

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, samples: NDArray[np.float32]) -> None:
        if self._whole:  # what is no number has no place there, and what is too large would turn over
            samples = np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0)
        self._file.write(samples)

    def update(self) -> None:
        """Nothing: these formats state their length at the end, or not at all."""

    def close(self) -> None:
        self._file.close()


def _writer(path: Path, rate: int, channels: int) -> _Writer:
    suffix = path.suffix.lower()
    form = _FORMATS.get(suffix)
    if form is None and suffix not in _WAVE:
        raise InputError(
            f"{path}: the sound cannot be saved {f'as {suffix}' if suffix else 'without a suffix'}: "
            "name it .wav, .flac, .ogg, .opus, .mp3, .aiff, .caf or .w64"
        )
    try:
        if form is None:
            return WaveWriter(path, rate, channels, **({"most": 0} if suffix == ".rf64" else {}))
        path.open("xb").close()  # the system's own reason, which libsndfile would hide
        path.unlink()
    except (OSError, ValueError) as fault:
        raise SinkError(f"{path} cannot be written: {reason(fault)}") from fault
    try:
        return _Encoder(path, rate, channels, form)
    except UNWRITABLE as fault:
        with suppress(OSError):
            path.unlink()
        what = f"{channels} channel{'s' if channels > 1 else ''} at {rate} Hz"
        raise InputError(f"{path}: {suffix} cannot hold {what}: name it .wav") from fault


def _reason(fault: BaseException) -> str:
    text = getattr(fault, "error_string", None) or getattr(fault, "strerror", None) or str(fault)
    return " ".join(str(text).split()).rstrip(".").lower() or "not everything was written"
