"""The sound of a session as a file: to report a problem with, or to analyse again."""

import logging
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..core.affect import Affect
from ..core.protocols import EngineLike
from ..errors import InputError, SinkError

log = logging.getLogger(__name__)

UNWRITABLE = (soundfile.SoundFileError, RuntimeError, AssertionError, OSError)  # all that soundfile was seen to raise


class AudioRecorder:
    """An engine that passes everything on to ``engine`` and writes each sample that it gets to ``path``.

    The file (WAV in its 64-bit form RF64, which has no limit of 4 GB; 32-bit floats, the source's own rate and
    channels) is exact: analysed later, it gives the same emissions. It is written in the session's thread, not in the
    device's. When it cannot be written any more, such as on a full disk, that is logged, saving ends there (a gap
    would falsify what follows it), ``failed`` is true and the engine is not affected.

    Parameters
    ----------
    engine : the engine that the session would use otherwise.
    path : the file to create.
    rate : samples per second.
    channels : of each block.

    Raises
    ------
    InputError
        ``path`` exists already.
    SinkError
        ``path`` cannot be created.
    """

    def __init__(self, engine: EngineLike, path: Path | str, rate: int, channels: int) -> None:
        self.path = Path(path)
        self.failed = False
        self._engine = engine
        self._frames = 0
        if self.path.exists():
            raise InputError(f"{self.path} exists already: save to another file, or remove it first")
        try:
            self._file = soundfile.SoundFile(self.path, "x", rate, channels, "FLOAT", format="RF64")
        except UNWRITABLE as fault:
            raise SinkError(f"{self.path} cannot be written: {_reason(fault)}") from fault

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
            log.warning("saving %s: %s; it ends there, and the show goes on", self.path, _reason(fault))
        self.failed = True


def _reason(fault: BaseException) -> str:
    text = getattr(fault, "error_string", None) or getattr(fault, "strerror", None) or str(fault)
    return " ".join(str(text).split()).rstrip(".").lower() or "not everything was written"
