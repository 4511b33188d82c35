"""Callbacks for TouchDesigner's OSC In DAT: the heatmap as a table and a picture, the mood that leads as a word.

1. In a terminal: valaro presets write touchdesigner, then valaro listen --config touchdesigner.toml
2. In TouchDesigner: an OSC In DAT with Network Port 10001; beside it two Table DATs named heatmap and mood. Paste this
   file into the OSC In DAT's callbacks (the docked oscin1_callbacks).
3. heatmap fills with 11 x 11 numbers from 0 to 1, the top row the most energetic, the right column the most pleasant:
   a DAT to CHOP and a CHOP to TOP make a picture of it. mood gets one row: the leading mood, its share, music or not.
   Single numbers need no script: an OSC In CHOP with Network Port 10000 has a channel for each.
"""

from collections.abc import Sequence
from typing import Any

MOODS = ("happy", "tense", "sad", "calm")


def heatmap_rows(cells: Sequence[float]) -> list[list[float]]:
    """The 121 numbers (arousal and valence from low to high) as 11 rows from the top down, the highest being 1."""
    most = max(*cells, 1e-6)
    rows = [[cell / most for cell in cells[start : start + 11]] for start in range(0, 121, 11)]
    return rows[::-1]


def leading_mood(shares: Sequence[float]) -> tuple[str, float]:
    """The name and the share of the mood that leads."""
    best = max(range(4), key=lambda index: shares[index])
    return MOODS[best], shares[best]


def onReceiveOSC(  # noqa: N802  TouchDesigner's name
    dat: Any, rowIndex: int, message: str, byteData: bytes, timeStamp: float, address: str, args: list[Any], peer: Any
) -> None:
    """Called by TouchDesigner for each message."""
    home = dat.parent()
    if address == "/valaro/heatmap":
        table = home.op("heatmap")
        table.clear()
        for row in heatmap_rows(args):
            table.appendRow(row)
    elif address == "/valaro/quadrants":
        table = home.op("mood")
        table.clear()
        table.appendRow([*leading_mood(args), home.fetch("activity", "music")])
    elif address == "/valaro/activity":
        home.store("activity", args[0])
