"""The time axis of a MIDI file: quarter notes to seconds through its tempo changes."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import DataError

_DEFAULT_TEMPO = 500_000  # microseconds a quarter note: 120 a minute, until the file says otherwise


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """``tempo_quarters[i]`` (quarter notes) is where ``seconds_per_quarter[i]`` sets in; ``seconds``: the end."""

    tempo_quarters: NDArray[np.float64]
    seconds_per_quarter: NDArray[np.float64]
    seconds: float

    def seconds_at(self, quarters: ArrayLike) -> NDArray[np.float64]:
        """The time of each position given in quarter notes; beyond the end the last tempo goes on."""
        position = np.asarray(quarters, dtype=float)
        steps = np.diff(self.tempo_quarters) * self.seconds_per_quarter[:-1]
        starts = np.concatenate([[0.0], np.cumsum(steps)])
        index = np.searchsorted(self.tempo_quarters, position, side="right") - 1
        return starts[index] + (position - self.tempo_quarters[index]) * self.seconds_per_quarter[index]


def need_mido() -> None:
    """Refuse to go on without the ``mido`` package.

    Raises
    ------
    DataError
        With the pip command.
    """
    try:
        import mido  # noqa: F401
    except ImportError as error:
        raise DataError("reading MIDI needs mido: pip install 'valaro[train]'") from error


def read_score(path: Path) -> Score:
    """Tempo map and length of a MIDI file. FileNotFoundError if it is absent, DataError if it is not MIDI."""
    import mido
    from mido.midifiles.meta import KeySignatureError

    try:
        midi = mido.MidiFile(path)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, LookupError, KeySignatureError) as error:
        raise DataError(f"{path} is not a readable MIDI file ({error})") from error
    if midi.ticks_per_beat <= 0:
        raise DataError(f"{path} counts time in film frames, not in quarter notes")
    tempi = {0: _DEFAULT_TEMPO}
    end = 0
    for track in midi.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                tempi[tick] = message.tempo
        end = max(end, tick)
    changes = sorted(tempi.items())
    quarters = np.array([tick for tick, _ in changes]) / midi.ticks_per_beat
    score = Score(quarters, np.array([tempo for _, tempo in changes]) * 1e-6, math.nan)
    return replace(score, seconds=float(score.seconds_at(end / midi.ticks_per_beat)))
