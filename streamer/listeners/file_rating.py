"""A rating of a moment of a file: hear the file up to there."""

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


def heard_at(path: Path, at: float, bundle: "Bundle", decoder: str = "fusion") -> "tuple[Affect, RatedEvidence]":
    """The last emission of a sound file up to ``at`` s, and its evidence.

    Raises AudioFileError for a file that cannot be used, InputError for a time after its end, or before any sound.
    """
    from ..core.engine import Engine
    from ..core.signals import between_steps
    from ..errors import InputError
    from ..sources import AudioFile

    sound = AudioFile(path)
    ear = EvidenceRecorder(bundle)
    engine = Engine(bundle, sound.rate, decoder, ear)
    found: Affect | None = None
    frames = 0
    with between_steps() as let_signals_through:
        for block, of_the_file in _small_blocks(sound):
            frames += of_the_file
            for affect in engine.push(block):
                if affect.time <= at:
                    found = affect
            let_signals_through()
            if frames > (at + 2.0) * sound.rate:
                break
    if at > frames / sound.rate:
        raise InputError(f"{path}: ends at {frames / sound.rate:.2f} s: --at must lie before")
    heard = ear.history.at(at)
    if found is None or heard is None:
        raise InputError(f"{path}: nothing was heard yet at {at:g} s that could be rated")
    return found, heard


def _small_blocks(sound: "AudioFile") -> "Iterator[tuple[Block, int]]":
    """A file in blocks of 20 ms, so that no more than one emission comes of each, and of how many frames they are.

    Two seconds of silence come after its end: the resampler is some hundredths behind, and may owe an emission.
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
    """Listens along with an engine, and keeps the evidence of the last minute in ``history``."""

    def __init__(self, bundle: "Bundle") -> None:
        from .evidence import History

        self.history = History(bundle)

    def hear(
        self,
        time: float,
        theta: "NDArray[np.float64]",
        heatmap: "NDArray[np.float64]",
        texture: "NDArray[np.float32]",
    ) -> "NDArray[np.float64]":
        """Keep what was heard; the heatmap stays everybody's."""
        self.history.take(time, theta, heatmap, texture)
        return heatmap
