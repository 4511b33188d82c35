"""A day of sound as a room may bring it in months: music, speech, tones, silence, and everything that goes wrong.

Recordings and the built-in piece come in random order, each at a level of its own and from a clock of its own (up to
0.5 % fast or slow), with gaps of silence between. On top of that pieces are missing, clicks and full-scale square
waves break in, and samples are no numbers. All of it is counted, and the same from run to run.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from valaro.streamer.core.protocols import Block
from valaro.streamer.sources.base import ThreadedSource
from valaro.streamer.sources.demo import demo_piece

Sound = NDArray[Any]

RATE = 48_000  # of two channels, as a sound card gives it
OFTEN = 0.02  # of all half seconds meet each kind of trouble
_HALF = RATE // 2
_WOBBLE = 0.005
_NO_NUMBERS = (np.nan, np.inf, -np.inf, 1e30)  # the last one is a number, and yet no sound
_SUFFIXES = {".ogg", ".mp3", ".flac", ".wav"}


def recordings() -> list[Path]:
    """The open recordings in the folder of data ($VALARO_DATA, or shared/data beside the checkout); none elsewhere."""
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("VALARO_DATA", beside)) / "open_music"
    return sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES)


class Programme(ThreadedSource):
    """``hours`` of it, as fast as it is taken, float32 (n, 2) at 48 kHz.

    ``troubles`` counts what was broken, by kind; ``bad_samples`` the samples among them that are no sound.
    """

    def __init__(self, hours: float, songs: list[Path]) -> None:
        super().__init__(f"{hours:g} h of sound", RATE, 2)
        self.troubles: Counter[str] = Counter()
        self.bad_samples = 0
        self._frames = round(hours * 3600 * RATE)
        self._songs = songs
        self._piece = demo_piece()
        self._chance = np.random.default_rng(0)
        self._kinds: dict[str, Callable[[Block], Block]] = {
            "pieces missing": self._drop,
            "clicks": self._click,
            "square waves": self._square,
            "runs of no numbers": self._no_numbers,
        }

    def blocks(self) -> Iterator[Block]:
        """About half a second each, exactly ``hours`` in all."""
        left = self._frames
        for block in self._rooms():
            spoilt = self._spoilt(block[:left])
            left -= len(spoilt)
            yield spoilt
            if left <= 0:
                return

    def _rooms(self) -> Iterator[Block]:
        items = [*(self._song(path) for path in self._songs), self._demo, self._tones, self._noise]
        while True:
            for index in self._chance.permutation(len(items)):
                yield from self._from_elsewhere(*items[index]())
                yield from self._gap()

    def _from_elsewhere(self, rate: int, sound: Iterator[Sound]) -> Iterator[Block]:
        """Sound (n, channels) at ``rate`` by another clock, in stereo, at levels that change; clipped at full scale."""
        clock = soxr.ResampleStream(rate * (1.0 + self._chance.uniform(-_WOBBLE, _WOBBLE)), RATE, 2, "float32", "LQ")
        gain = self._gain()
        for block in sound:
            if self._chance.random() < OFTEN:
                gain = self._gain()
            stereo = np.ascontiguousarray(np.broadcast_to(block, (len(block), 2)), dtype=np.float32)
            yield np.clip(gain * clock.resample_chunk(stereo), -1.0, 1.0)

    def _gain(self) -> np.float32:
        return np.float32(10 ** (self._chance.uniform(-40.0, 6.0) / 20))

    def _song(self, path: Path) -> Callable[[], tuple[int, Iterator[Sound]]]:
        def opened() -> tuple[int, Iterator[Sound]]:
            rate = soundfile.info(path).samplerate
            return rate, (block[:, :2] for block in soundfile.blocks(path, rate // 2, dtype="float32", always_2d=True))

        return opened

    def _demo(self) -> tuple[int, Iterator[Sound]]:
        return 24_000, (self._piece[start : start + 12_000, None] for start in range(0, len(self._piece), 12_000))

    def _tones(self) -> tuple[int, Iterator[Sound]]:
        """A minute of chords, a new one each half second, that swell and fade."""

        def chords() -> Iterator[Sound]:
            time = np.arange(12_000) / 24_000
            for _ in range(120):
                pitches = 110.0 * 2 ** (self._chance.integers(0, 48, 4) / 12)
                chord = np.sin(2 * np.pi * pitches[:, None] * time).mean(axis=0)
                yield (chord * np.sin(2 * np.pi * time) ** 2)[:, None]

        return 24_000, chords()

    def _noise(self) -> tuple[int, Iterator[Sound]]:
        """Half a minute of noise, as of rain or a fan."""
        return 24_000, (0.1 * self._chance.standard_normal((12_000, 1)) for _ in range(60))

    def _gap(self) -> Iterator[Block]:
        """Silence, of zeros or of a room far below hearing; ten seconds on average."""
        room = self._chance.choice([0.0, 1e-5])
        for _ in range(1 + int(self._chance.exponential(20))):
            yield (room * self._chance.standard_normal((_HALF, 2))).astype(np.float32)

    def _spoilt(self, block: Block) -> Block:
        if len(block) < 2_400:
            return block
        for kind, spoil in self._kinds.items():
            if self._chance.random() < OFTEN:
                block = spoil(block.copy())
                self.troubles[kind] += 1
        return block

    def _piece_of(self, block: Block) -> slice:
        """Up to a tenth of a second of it; less than the whole."""
        length = int(self._chance.integers(1, min(4_800, len(block))))
        start = int(self._chance.integers(0, len(block) - length))
        return slice(start, start + length)

    def _drop(self, block: Block) -> Block:
        missing = self._piece_of(block)
        return np.delete(block, missing, axis=0)

    def _click(self, block: Block) -> Block:
        block[self._chance.integers(0, len(block))] = self._chance.choice([-1.0, 1.0])
        return block

    def _square(self, block: Block) -> Block:
        burst = self._piece_of(block)
        pitch = self._chance.uniform(30.0, 5_000.0)
        time = np.arange(burst.stop - burst.start) / RATE
        block[burst] = np.where(np.sin(2 * np.pi * pitch * time) < 0.0, -1.0, 1.0)[:, None]
        return block

    def _no_numbers(self, block: Block) -> Block:
        burst = self._piece_of(block)
        channels = [[0], [1], [0, 1]][self._chance.integers(0, 3)]
        block[burst, channels] = self._chance.choice(_NO_NUMBERS)
        self.bad_samples += (burst.stop - burst.start) * len(channels)
        return block
