"""A minute of music made in code: four moods of a quarter of a minute each, so that there is something true to hear.

What carries each mood is what the psychology of music names for it: mode, tempo, register, articulation, loudness and
dissonance (Gabrielsson & Lindström, "The role of structure in the musical expression of emotions", 2010).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .instruments import Band
from .protocols import Block
from .sources.feed import Feed

Sound = NDArray[np.float64]


class Section(NamedTuple):
    """One mood of the piece: its times in seconds and the quadrant (1 to 4) that it is meant for."""

    name: str
    start: float
    end: float
    quadrant: int


LENGTH = 60.0
SECTIONS = (
    Section("happy", 0.0, 15.0, 1),
    Section("tense", 15.0, 30.0, 2),
    Section("sad", 30.0, 45.0, 3),
    Section("calm", 45.0, 60.0, 4),
)
_TAIL = 1.5  # seconds in which a section rings out over the beginning of the next
_LOUDNESS = {"happy": -15.0, "tense": -11.0, "sad": -25.0, "calm": -24.0}  # dB, root mean square before the mix
_REVERB = {"happy": 0.12, "tense": 0.10, "sad": 0.30, "calm": 0.30}


def demo_piece(rate: int = 24000, seed: int = 0) -> NDArray[np.float32]:
    """The piece, float32 (60 * rate,), peak 0.9. ``seed`` changes melodies and noises, not the moods.

    ``rate`` in samples per second, at least 8000 (ValueError otherwise).
    """
    if rate < 8000:
        raise ValueError(f"the piece needs 8000 samples per second or more, not {rate}")
    piece = np.zeros(round((LENGTH + _TAIL) * rate))
    for section in SECTIONS:
        # Each mood has its own stream of chance, so that none changes when another is rewritten.
        band = Band(rate, section.end - section.start + _TAIL, np.random.default_rng([seed, section.quadrant]))
        _SCORES[section.name](band)
        sound = band.mix(reverb=_REVERB[section.name])
        sound *= 10 ** (_LOUDNESS[section.name] / 20) / np.sqrt(np.mean(sound**2))
        start, tail = round(section.start * rate), round(_TAIL * rate)
        sound[-tail:] *= np.cos(np.linspace(0, np.pi / 2, tail)) ** 2
        piece[start : start + len(sound)] += sound
    piece = piece[: round(LENGTH * rate)]
    end = round(0.5 * rate)
    piece[-end:] *= np.cos(np.linspace(0, np.pi / 2, end)) ** 2  # the loop begins again without a click
    return (0.9 / np.max(np.abs(piece)) * piece).astype(np.float32)


class DemoSource(Feed):
    """The piece over and over, paced as live, as a Source."""

    def __init__(self, rate: int = 24000, paced: bool = True, repeat: bool = True) -> None:
        super().__init__("the built-in piece", rate, 1, paced)
        self._piece = demo_piece(rate)[:, np.newaxis]
        self._repeat = repeat

    def blocks(self) -> Iterator[Block]:
        """20 ms each; without end when it repeats."""
        size = self._rate // 50
        while True:
            for begin in range(0, len(self._piece), size):
                yield self._piece[begin : begin + size]
            if not self._repeat:
                return


def _happy(band: Band) -> None:
    """C major, 128 to the minute, eight bars: bright plucked runs high up, off-beat chords, a dance beat."""
    beat = 60 / 128
    chords = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)] * 2
    scale = [72, 74, 76, 79, 81, 84, 86, 88]
    place = 3
    for bar, chord in enumerate(chords):
        start = bar * 4 * beat
        for eighth in range(8):
            at = start + eighth * beat / 2
            place = int(np.clip(place + band.chance.choice([-2, -1, 1, 1, 2]), 0, len(scale) - 1))
            pitch = scale[place] if eighth % 2 else chord[(eighth // 2) % 3] + 12
            band.pluck(at, pitch, 0.35, 0.8)
            if eighth % 4 == 3:
                band.pluck(at + beat / 4, pitch + 12, 0.2, 0.5)
            if eighth % 2:  # off the beat
                for pitch in chord:
                    band.struck(at, pitch, 0.16, 0.25)
                band.hat(at, 0.22)
            band.bass(at, chord[0] - 24 + (12 if eighth % 2 else 0), beat * 0.4, 0.26)
        for quarter in range(4):
            band.kick(start + quarter * beat, 0.5)
            if quarter % 2:
                band.snare(start + quarter * beat, 0.35)


def _tense(band: Band) -> None:
    """E and its diminished fifth, 160 to the minute, ten bars: distorted low riffs, clusters, hammering drums."""
    beat = 60 / 160
    riff = [40, 40, 41, 40, 46, 40, 41, 45]  # the semitone above and the tritone: E, F, B flat, A
    for bar in range(10):
        start = bar * 4 * beat
        for eighth in range(8):
            at = start + eighth * beat / 2
            low = riff[(eighth + bar // 4) % 8]
            band.distorted(at, (low - 12, low, low + 6), beat * (0.45 if eighth % 2 else 0.5), 0.6)
            band.kick(at, 0.8 if eighth % 2 == 0 else 0.5)
            band.hat(at + beat / 4, 0.25)
            if eighth in (2, 6):
                band.snare(at, 0.8)
        top = 70 + int(band.chance.integers(0, 3))
        for pitch in (top, top + 1, top + 2, top + 6):  # a cluster that leans on every bar
            band.bowed(start, pitch, beat * 3.8, 0.22, attack=0.03, tremolo=9.0)
        if bar % 2 == 1:
            for sixteenth in range(8):  # a chromatic run towards the next bar
                band.distorted(start + (2 + sixteenth / 4) * beat, (58 + sixteenth,), beat / 4, 0.35)


def _sad(band: Band) -> None:
    """A minor, 64 to the minute, four bars: a falling line for a low string, soft chords, nothing struck hard."""
    beat = 60 / 64
    chords = [(45, 52, 57, 60), (45, 50, 53, 57), (40, 52, 55, 59), (45, 52, 57, 60)]
    line = [(64, 2), (60, 1), (59, 1), (57, 1), (62, 1), (60, 1), (57, 1), (59, 2), (55, 1), (52, 1), (57, 3), (60, 1)]
    for bar, chord in enumerate(chords):
        for pitch in chord:
            band.bowed(bar * 4 * beat, pitch, 4.4 * beat, 0.16, attack=0.9)
        for quarter, pitch in enumerate((chord[1], chord[3], chord[2], chord[3])):
            band.struck(bar * 4 * beat + quarter * beat, pitch, 1.6, 0.10, soft=True)
    at = 0.0
    for pitch, beats in line:
        band.bowed(at, pitch, beats * beat * 1.12, 0.34, attack=0.35, vibrato=0.006)
        at += beats * beat


def _calm(band: Band) -> None:
    """F major with sixths and ninths, 72 to the minute in three: pads and a slow harp that nothing disturbs."""
    beat = 60 / 72
    chords = [
        (53, 60, 65, 69, 72),  # F
        (53, 58, 65, 69, 72),  # B flat with seventh and ninth over F
        (53, 60, 65, 69, 74),
        (48, 55, 64, 67, 74),  # C with sixth and ninth
        (53, 58, 65, 67, 74),
        (53, 60, 65, 69, 72),
    ]
    for bar, chord in enumerate(chords):
        start = bar * 3 * beat
        for pitch in chord[:4]:
            band.pad(start - 0.2, pitch, 3.7 * beat, 0.22)
        for eighth, step in enumerate((0, 2, 3, 4, 3, 2)):
            band.pluck(start + eighth * beat / 2, chord[step] + (12 if step else 0), 1.8, 0.16, soft=True)
        band.bell(start + beat * (1 + int(band.chance.integers(0, 2))), chord[4] + 12, 2.5, 0.05)


_SCORES: dict[str, Callable[[Band], None]] = {"happy": _happy, "tense": _tense, "sad": _sad, "calm": _calm}
