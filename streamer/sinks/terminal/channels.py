"""The table of channels that are tracked separately: a line for each."""

from collections.abc import Sequence

import numpy as np
from rich.style import Style

from ...core.affect import Affect
from ..colormap import QUADRANT_NAMES
from .widgets import DIM, QUADRANT, TEXT, Row, bar, needle, text

_NUMBER, _MOOD, _VALUE, _GAP = 9, 17, 6, 2  # columns
_SMALLEST = 5  # columns of a gauge


def channel_rows(newest: Sequence[Affect], width: int, height: int) -> list[Row]:
    """A header line, then number, mood, valence, arousal and level of each, in at most ``height`` lines (2 or more)."""
    fixed = 2 + _NUMBER + _MOOD + 2 * (_VALUE + _GAP) + _GAP
    size = max(_SMALLEST, (width - fixed) // 3)
    titles = f"  {'channel':<{_NUMBER}}{'mood':<{_MOOD}}" + "".join(
        f"{name:<{size + extra}}"
        for name, extra in (("valence", _VALUE + _GAP), ("arousal", _VALUE + _GAP), ("level", 0))
    )
    available = max(height - 1, 1)
    shown = list(newest) if len(newest) <= available else list(newest)[: max(available - 1, 0)]
    rows = [text(titles.rstrip(), DIM), *(_row(affect, size) for affect in shown)]
    if len(shown) < len(newest):
        rows.append(text(f"  and {len(newest) - len(shown)} more", DIM))
    return rows


def _row(affect: Affect, size: int) -> Row:
    dominant = int(np.argmax(affect.quadrants))
    music = affect.activity == "music"
    mood = QUADRANT_NAMES[dominant] if music else affect.activity
    style = QUADRANT[dominant] + Style(bold=True) if music else DIM
    return [
        *text(f"  {affect.channel!s:<{_NUMBER}}", TEXT),
        *text(f"{mood:<{_MOOD}}", style),
        *(*needle(affect.valence, size), *text(f"{affect.valence:+{_VALUE}.2f}{'':{_GAP}}", TEXT)),
        *(*needle(affect.arousal, size), *text(f"{affect.arousal:+{_VALUE}.2f}{'':{_GAP}}", TEXT)),
        *bar(affect.level, size, TEXT),
    ]
