"""A sink of one's own: a lamp whose colour follows the mood and whose brightness follows the arousal.

python examples/own_sink.py         the built-in piece, until Ctrl-C
"""

import colorsys

from valaro.models import load_bundle
from valaro.streamer import Affect, Engine, Session
from valaro.streamer.core.signals import stop_on_signals
from valaro.streamer.sources.demo import DemoSource

HUES = (0.12, 0.0, 0.62, 0.38)  # of the quadrants: yellow joy, red tension, blue sadness, green calm


class Lamp:
    """Any class with these two methods is a sink; no base class is needed."""

    def send(self, affect: Affect) -> None:
        """Called twice a second, in the session's thread: hand on and return, wait for nobody."""
        hue = HUES[int(affect.quadrants.argmax())]
        brightness = 0.6 + 0.4 * affect.arousal
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, brightness))
        print(f"{affect.time:6.1f} s  #{red:02x}{green:02x}{blue:02x}", flush=True)

    def close(self) -> None:
        """Called once the session ends, however it does."""
        print("lights out", flush=True)


def main() -> None:
    source = DemoSource()  # or sources.Microphone("pulse"), sources.AudioFile("song.wav", paced=True)
    session = Session(source, Engine(load_bundle(), source.rate), [Lamp()])
    with stop_on_signals(session):
        session.run()


if __name__ == "__main__":
    main()
