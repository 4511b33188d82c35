"""The evidence of a moment of a sound file, for a rating of it: the file is analysed up to there."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...models import Bundle
    from ..core.affect import Affect
    from ..core.protocols import Block
    from ..sources import AudioFile
    from .evidence import RatedEvidence

log = logging.getLogger(__name__)


def evidence_at(path: Path, at: float, bundle: "Bundle", decoder: str = "fusion") -> "tuple[Affect, RatedEvidence]":
    """The last emission of a sound file up to a time, and its evidence.

    Parameters
    ----------
    path : the sound file.
    at : s from its beginning.
    bundle : the model.
    decoder : whose heatmap it is.

    Raises
    ------
    AudioFileError
        The file cannot be used.
    InputError
        The time is after its end, or before any sound.
    """
    from ..core.engine import Engine
    from ..core.signals import between_steps
    from ..errors import InputError
    from ..sources.audio_file import AudioFile, no_sound

    sound = AudioFile(path)
    recorder = EvidenceRecorder(bundle)
    engine = Engine(bundle, sound.rate, decoder, recorder)
    last_affect: Affect | None = None
    frames = samples = 0
    with between_steps() as let_signals_through:
        for block, file_frames in _small_blocks(sound):
            frames += file_frames
            samples += file_frames * sound.channels
            for affect in engine.push(block):
                if affect.time <= at:
                    last_affect = affect
            let_signals_through()
            if frames > (at + 2.0) * sound.rate:
                break
    if engine.bad_samples:
        log.warning("%s: %s", path, no_sound(engine.bad_samples, samples))
    if at > frames / sound.rate:
        raise InputError(f"{path}: ends at {frames / sound.rate:.2f} s: --at must lie before")
    evidence = recorder.history.at(at)
    if last_affect is None or evidence is None:
        raise InputError(f"{path}: nothing was heard yet at {at:g} s that could be rated")
    return last_affect, evidence


def _small_blocks(sound: "AudioFile") -> "Iterator[tuple[Block, int]]":
    """A file in blocks of 20 ms, each of which completes at most one emission, with its number of the file's frames.

    Two seconds of silence follow its end: the resampler is some hundredths of a second behind.
    """
    import numpy as np

    size = max(1, sound.rate // 50)
    for block in sound.blocks():
        for start in range(0, len(block), size):
            part = block[start : start + size]
            yield part, len(part)
    for _ in range(100):
        yield np.zeros((size, sound.channels), dtype=np.float32), 0


class EvidenceRecorder:
    """An engine's listener that records the evidence of the last minute in ``history`` and adapts nothing."""

    def __init__(self, bundle: "Bundle") -> None:
        from .evidence import EvidenceHistory

        self.history = EvidenceHistory(bundle)

    def hear(
        self,
        time: float,
        theta: "NDArray[np.float64]",
        heatmap: "NDArray[np.float64]",
        texture: "NDArray[np.float32]",
    ) -> "NDArray[np.float64]":
        """Record an emission; the heatmap is returned as it is."""
        self.history.take(time, theta, heatmap, texture)
        return heatmap
