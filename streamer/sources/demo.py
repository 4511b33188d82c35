"""The built-in piece: a minute of music made in code, in four moods of a quarter of a minute each.

Each mood is expressed by the means that the psychology of music names for it: mode, tempo, register, articulation,
loudness and dissonance (Gabrielsson & Lindström, "The role of structure in the musical expression of emotions", 2010).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.protocols import Block
from .base import ThreadedSource
from .demo_synth import Synthesizer

Sound = NDArray[np.float64]


class Section(NamedTuple):
    """One mood of the piece: its times in seconds and the quadrant (1 to 4) that it is meant for."""

    name: str
    start: float
    end: float
    quadrant: int


LENGTH = 64.0
SECTIONS = (
    Section("happy", 0.0, 16.0, 1),
    Section("tense", 16.0, 32.0, 2),
    Section("sad", 32.0, 48.0, 3),
    Section("calm", 48.0, 64.0, 4),
)
_RATE, _PEAK = (
    24_000,
    0.788130480406185,
)  # the source's usual rate, and the largest value of the piece at it before its level is set
_TAIL = 1.5  # seconds in which a section fades out over the beginning of the next
_LOUDNESS = {"happy": -14.0, "tense": -11.0, "sad": -22.5, "calm": -21.0}  # dB, root mean square before the mix
# Reverb, noise and drive, as in Synthesizer.mix.
_MIX = {
    "happy": (0.12, 0.02, 0.4),
    "tense": (0.10, 0.15, 0.4),
    "sad": (0.30, 0.03, 0.1),
    "calm": (0.30, 0.03, 0.1),
}


def demo_piece(rate: int = 24000, seed: int = 0) -> NDArray[np.float32]:
    """Render the piece.

    Parameters
    ----------
    rate : samples per second, at least 8000.
    seed : changes every noise and the players' timing, but no note.

    Returns
    -------
    ndarray
        float32 (64 * rate,), peak 0.9.

    Raises
    ------
    ValueError
        The rate is below 8000.
    """
    if rate < 8000:
        raise ValueError(f"the piece needs 8000 samples per second or more, not {rate}")
    piece = np.concatenate(list(_sections(rate, seed)))
    return (0.9 / np.max(np.abs(piece)) * piece).astype(np.float32)


def _sections(rate: int, seed: int = 0) -> Iterator[Sound]:
    """The piece's sections one after the other, before its level is set; each holds the end of the one before."""
    tail, end = round(_TAIL * rate), round(0.5 * rate)
    ringing = np.zeros(tail)
    for section in SECTIONS:
        # Each mood has its own random numbers, so that none changes when another is rewritten; RandomState's are those
        # that NumPy guarantees to stay the same (NEP 19).
        synth = Synthesizer(rate, section.end - section.start + _TAIL, np.random.RandomState([seed, section.quadrant]))
        _SCORES[section.name](synth)
        sound = 10 ** (_LOUDNESS[section.name] / 20) * synth.mix(*_MIX[section.name])
        sound[: rate // 200] *= np.linspace(0, 1, rate // 200)  # its noise does not begin with a click
        sound[-tail:] *= np.cos(np.linspace(0, np.pi / 2, tail)) ** 2
        sound[:tail] += ringing
        length = round(section.end * rate) - round(section.start * rate)
        sound, ringing = sound[:length], sound[length:]
        if section is SECTIONS[-1]:
            sound[-end:] *= np.cos(np.linspace(0, np.pi / 2, end)) ** 2  # the loop begins again without a click
        yield sound


class DemoSource(ThreadedSource):
    """The piece as a source, by default repeated and paced as if live."""

    def __init__(self, rate: int = _RATE, paced: bool = True, repeat: bool = True) -> None:
        super().__init__("the built-in piece", rate, 1, paced)
        self._repeat = repeat
        # The other sections are made while the first plays, so that it begins at once.
        self._first = _at_level(next(_sections(rate))) if rate == _RATE else demo_piece(rate)[:, np.newaxis]

    def blocks(self) -> Iterator[Block]:
        """Blocks of 20 ms; without end when it repeats."""
        size = self._rate // 50
        played: list[Block] = []
        for part in self._parts():
            played.append(part)
            for begin in range(0, len(part), size):
                yield part[begin : begin + size]
        while self._repeat:
            for part in played:
                for begin in range(0, len(part), size):
                    yield part[begin : begin + size]

    def _parts(self) -> Iterator[Block]:
        """The piece's parts, each made while the one before plays."""
        rest = islice(_sections(self._rate), 1, None) if self._rate == _RATE else iter(())
        pool = ThreadPoolExecutor(1, "built-in piece")
        try:
            following = pool.submit(next, rest, None)
            yield self._first
            while (sound := following.result()) is not None:
                following = pool.submit(next, rest, None)
                yield _at_level(sound)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _at_level(section: Sound) -> Block:
    """A section at the level that it has in the whole piece, at the rate for which its peak is known."""
    return (0.9 / _PEAK * section).astype(np.float32)[:, np.newaxis]


def _happy(synth: Synthesizer) -> None:
    """C major, 150 to the minute, ten bars: rock and roll with a leaping bass, brass, claps and a shouted hook."""
    beat = 0.4
    for at, pitch, beats in _HOOK:
        vowels = ("oa", "ei", "ao", "ea")[int(2 * at) % 4]
        synth.sung(at * beat, pitch, beats * beat * 0.9, 0.45, vowels, rough=0.35)
        synth.sung(at * beat + 0.012, pitch + 12, beats * beat * 0.9, 0.12, vowels)
    for half, name in enumerate("CCFFCCGGCCFFGGCCFGCC"):
        start = half * 2 * beat
        root = {"C": 48, "F": 53, "G": 55}[name]
        walk = ((0, 12, 7, 12), (0, 12, 4, 7))[half % 2]
        for eighth in range(4):
            at = start + eighth * beat / 2
            synth.distorted(at, (root, root + (7, 7, 9, 7)[eighth]), beat * 0.45, 0.12)
            synth.strum(at, (root, root + 4, root + 7, root + 12, root + 16), 0.3, 0.22, up=eighth % 2 == 1)
            synth.bass(at, root - 12 + walk[eighth], beat * 0.48, 0.35)
            synth.cymbal(at, 0.25 if eighth % 2 else 0.2, 14 if eighth % 2 else 50)
        for place in ((0, 1.5), (1,))[half % 2]:
            for pitch in (root + 12, root + 16, root + 19, root + 28):
                synth.brass(start + place * beat, pitch, beat * 0.45, 0.2)
        for place, gain in ((0, 1.5), (1, 1.5), (1.5, 0.8)):
            synth.kick(start + place * beat, gain)
        synth.snare(start + beat, 1.3)
        synth.clap(start + beat, 0.4)


_HOOK = [  # beat, pitch, beats
    (0, 64, 1), (1, 67, 1), (2, 67, 0.5), (2.5, 69, 0.5), (3, 67, 1),
    (4, 69, 1), (5, 72, 1), (6, 69, 0.5), (6.5, 67, 0.5), (7, 65, 1),
    (8, 64, 1), (9, 67, 1), (10, 72, 1), (11, 71, 0.5), (11.5, 72, 0.5),
    (12, 74, 1.5), (13.5, 71, 0.5), (14, 67, 1.5),
    (16, 72, 1), (17, 72, 0.5), (17.5, 71, 0.5), (18, 67, 1), (19, 64, 1),
    (20, 65, 1), (21, 69, 1), (22, 72, 1), (23, 69, 1),
    (24, 67, 1), (25, 71, 1), (26, 74, 1), (27, 71, 1),
    (28, 72, 2), (30, 76, 0.5), (30.5, 74, 0.5), (31, 72, 1),
    (32, 69, 1), (33, 72, 1), (34, 71, 1), (35, 74, 1), (36, 76, 3),
]  # fmt: skip


def _tense(synth: Synthesizer) -> None:
    """Round the diminished sevenths, 180 to the minute, twelve bars: riffs of semitones and tritones, and a scream."""
    beat = 1 / 3
    for bar, root in enumerate((40, 46, 43, 49, 41, 47, 44, 38, 40, 46, 43, 37)):
        start = bar * 4 * beat
        for eighth, step in enumerate(_RIFFS[bar % 4]):
            at = start + eighth * beat / 2 + 0.004 * synth.chance.uniform(-1, 1)
            low = root + step
            stab = eighth % 4 == 2
            chord = (low, low + 1, low + 6) if stab else (low, low + 7, low + 12)
            synth.distorted(at, chord, beat * 0.52, 0.35, muted=step == 0 and eighth % 4 != 0)
            synth.bass(at, low - 12, beat * 0.5, 0.2)
            synth.kick(at, 5.0)
            if (3 * bar + 5 * eighth) % 7 < 4:  # no two bars alike: an even pulse would sound like a dance
                synth.kick(at + beat / 4, 1.8)
            synth.cymbal(at, 0.2, 12)
            if eighth in ((2, 6), (3, 6), (2, 5, 7), (0, 2, 4, 6, 7))[bar % 4]:
                synth.snare(at, 0.3, 14)
        if bar % 2 == 0:
            synth.cymbal(start, 0.25, 3)
        for pitch in (13, 14, 15, 18, 19, 20, 21):  # a cluster held through every bar
            synth.brass(start, root + pitch, beat * 3.9, 1.5)
        for turn, (place, beats) in enumerate(((0, 0.8), (1, 0.4), (1.5, 0.4), (2, 0.8), (3, 0.3))):
            cry = (52, 53, 51, 58)[bar % 4] + turn % 2
            vowels = ("oa", "ei", "ao", "ua")[(bar + turn) % 4]
            synth.sung(start + place * beat, cry, beats * beat, 0.2, vowels, rough=0.9)
        if bar % 4 in (0, 3):
            for place in range(16):  # picked as fast as possible: a semitone that is not resolved
                synth.distorted(start + place * beat / 4, ((64, 65, 70, 69)[place % 4],), beat / 4, 0.1)


_RIFFS = [  # semitones over the root, in eighths
    (0, 0, 1, 0, 0, 6, 0, 5),
    (0, 0, 1, 0, 3, 2, 1, -1),
    (0, 1, 0, 6, 5, 0, 1, 0),
    (0, -1, -2, -3, -4, -5, -6, -5),
]


def _sad(synth: Synthesizer) -> None:
    """A minor, 60 to the minute, four bars: the chromatic lament bass, a soft piano, and a voice that only sighs."""
    lament = [
        ((45, 57, 60, 64), 77, 76),  # A minor; the voice leans on the note above and falls
        ((44, 56, 59, 64), 72, 71),  # E
        ((43, 57, 60, 64), 71, 69),  # A minor
        ((42, 57, 60, 64), 65, 64),  # F sharp, half diminished
        ((41, 57, 60, 65), 70, 69),  # F
        ((40, 57, 60, 64), 62, 60),  # A minor over E
        ((40, 56, 59, 62), 60, 59),  # E with its seventh
        ((45, 57, 60, 64), 59, 57),  # A minor
    ]
    for half, (chord, leaning, resolved) in enumerate(lament):
        start = 2.0 * half
        for pitch in chord[:3]:
            synth.bowed(start, pitch, 2.3, 0.05)
        for eighth, pitch in enumerate(chord):
            synth.struck(start + eighth / 2, pitch, 1.9, 0.17 if eighth else 0.26)
        synth.sung(start + 0.05, leaning, 0.55, 0.11, "ao")
        synth.sung(start + 0.6, resolved, 0.95, 0.10, "ou")


def _calm(synth: Synthesizer) -> None:
    """F major with ninths, 60 to the minute in twelve eighths: a warm pad, a slow guitar, a bell now and then."""
    chords = [
        (41, 53, 57, 60, 67),  # F with its ninth
        (46, 53, 58, 62, 65),  # B flat
        (41, 53, 57, 60, 65),
        (48, 52, 55, 60, 67),  # C
    ]
    for half, chord in enumerate([*chords, *chords[:2], chords[3], chords[2]]):
        start = 2.0 * half
        for pitch in chord[1:4]:
            synth.pad(start, pitch, 3.0, 0.2)
        synth.bass(start, chord[0], 1.8, 0.22)
        for eighth, step in enumerate((1, 2, 3, 4, 3, 2)):
            synth.pluck(start + eighth / 3, chord[step] + 12, 1.6, 0.15)
        synth.bell(start + 1.0, chord[4] + 12, 2.5, 0.05)


_SCORES: dict[str, Callable[[Synthesizer], None]] = {"happy": _happy, "tense": _tense, "sad": _sad, "calm": _calm}
