"""Gauges, bars and sparklines: rows of rich's segments."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style

from ..colormap import QUADRANT_COLOURS

Row = list[Segment]

HISTORY = 120  # emissions: a minute
SPARKS = "▁▂▃▄▅▆▇█"
DIM, TEXT, BRIGHT = Style(color="#7d7a8c"), Style(color="#c9c5d6"), Style(color="#ffffff", bold=True)
TRACK = Style(color="#2b2838")
QUADRANT = [Style(color=colour) for colour in QUADRANT_COLOURS]
VALENCE, AROUSAL = Style(color="#b58cf2"), Style(color="#f28f6b")


def printable(words: str) -> str:
    """Replace what is not printable: line feeds and escapes in a file's name would break the picture."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)


def text(words: str, style: Style) -> Row:
    """Words in one style."""
    return [Segment(words, style)]


def gauge(name: str, body: Row, value: str) -> Row:
    """A line of 19 columns beside its body."""
    return [Segment(f"{name:<12}", DIM), *body, Segment(f" {value:>6}" if value else "", TEXT)]


def bar(share: float, width: int, style: Style) -> Row:
    """A share of 0 to 1 as a line from the left."""
    halves = round(min(max(share, 0.0), 1.0) * 2 * width)
    full, half = divmod(halves, 2)
    return [Segment("━" * full + "╸" * half, style), Segment("━" * (width - full - half), TRACK)]


def needle(value: float, width: int) -> Row:
    """A line from -1 to 1 with its middle marked and a needle at ``value``."""
    place = round((min(max(value, -1.0), 1.0) + 1.0) / 2 * (width - 1))
    line = ["─"] * width
    line[width // 2] = "┼"
    before, after = "".join(line[:place]), "".join(line[place + 1 :])
    return [Segment(before, DIM), Segment("●", BRIGHT), Segment(after, DIM)]


def sparkline(values: Sequence[float], width: int, style: Style) -> Row:
    """The last ``HISTORY`` values, the newest at the right, from -0.8 to 0.8, where means of heatmaps move."""
    per_column = HISTORY / width
    marks = ""
    for column in range(width):
        end = len(values) - round((width - 1 - column) * per_column)
        part = values[max(end - round(per_column), 0) : max(end, 0)]
        marks += " " if not part else SPARKS[min(max(int((sum(part) / len(part) / 0.8 + 1) * 4), 0), 7)]
    return text(marks, style)


def decibels(level: float) -> str:
    """A level of 0 to 1 (-60 dBFS to full scale) as text."""
    return "-∞ dB" if level <= 0.0 else f"{60 * (level - 1):.0f} dB"


def clock_face(seconds: float) -> str:
    """A stream's time as text, to a tenth of a second."""
    minutes, rest = divmod(seconds, 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
