"""The engine inside a program of your own: samples go in, what they feel like comes out, twice for each second.

python examples/embed.py song.wav
"""

import sys

from valaro.models import load_bundle
from valaro.streamer import Affect, Engine
from valaro.streamer.sources import AudioFile


def show(affects: list[Affect]) -> None:
    for affect in affects:
        print(f"{affect.time:6.1f} s  valence {affect.valence:+.2f}  arousal {affect.arousal:+.2f}")


def main(path: str) -> None:
    sound = AudioFile(path, block=1024)
    engine = Engine(load_bundle(), sound.rate)
    # float32 samples from anywhere, (n,) or (n, channels), in blocks of any length: the emissions are the same.
    for block in sound.blocks():
        show(engine.push(block))
    show(engine.finish())  # the end of the sound: what the resampler still held


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/embed.py SOUND_FILE")
    main(sys.argv[1])
