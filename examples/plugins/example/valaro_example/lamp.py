"""A sink: the leading mood as a colour, one line in a file for each change. Another would speak to a lamp."""

from pathlib import Path

from valaro.streamer import Affect

COLOURS = ("gold", "red", "blue", "green")  # happy, tense, sad, calm


class Lamp:
    option_key = "path"  # --lamp FILE says it, or path = "FILE" in a config's [sinks.lamp]

    def __init__(self, path: str = "lamp.txt") -> None:
        self._path = Path(path)
        self._path.write_text("", encoding="utf-8")
        self._shown = ""

    def send(self, affect: Affect) -> None:
        colour = COLOURS[int(affect.quadrants.argmax())]
        if colour != self._shown:
            with self._path.open("a", encoding="utf-8") as lines:
                lines.write(f"{affect.time:g} s: {colour}\n")
        self._shown = colour

    def close(self) -> None:
        """Nothing is held."""
