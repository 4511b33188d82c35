"""A listener inside a program of your own: who is here, what they rate, and the heatmap as they feel it.

python examples/rate.py song.wav ana 0.6 -0.2
"""

import sys

from valaro.models import load_bundle
from valaro.streamer import Engine
from valaro.streamer.core.controls import Controls
from valaro.streamer.listeners.adaptation import OnlineAdaptation
from valaro.streamer.sources import AudioFile


def main(path: str, name: str, valence: float, arousal: float) -> None:
    bundle = load_bundle()
    sound = AudioFile(path)
    controls = Controls(listener=name)  # may change at any time; "ana, ben" are both here
    learning = OnlineAdaptation(bundle, controls)
    controls.hear_ratings(learning.rate)
    learning.load()  # what they rated before
    engine = Engine(bundle, sound.rate, listener=learning)
    try:
        for block in sound.blocks():
            for affect in engine.push(block):
                controls.newest = affect  # what a rating is of: the sound two seconds before this
        if (felt := controls.newest) is not None:
            print(f"{name} feels  valence {felt.valence:+.2f}  arousal {felt.arousal:+.2f}")
        controls.rate(valence, arousal)  # from any thread; refused with an InputError, learnt at once, and kept
        print(f"ratings by now: {learning.ratings(name)}")
    finally:
        learning.close()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: python examples/rate.py SOUND_FILE NAME VALENCE AROUSAL, the last two from -1 to 1")
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
