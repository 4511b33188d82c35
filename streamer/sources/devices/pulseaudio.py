"""Notices when the sound server moves a stream away from the source that PULSE_SOURCE names.

When a source goes, PulseAudio silently moves its streams to another, and does not move them back.
"""

import os
import re
import shutil
import subprocess

LOOK = 5.0  # s between two checks, which take some 4 ms


def source() -> str | None:
    """The source that PULSE_SOURCE names, when it can be watched; an alias, such as @DEFAULT_MONITOR@, may move."""
    name = os.environ.get("PULSE_SOURCE", "")
    return name if name and not name.startswith("@") and not name.isdecimal() and shutil.which("pactl") else None


class PulseSourceWatch:
    """Whether the stream of a process has been moved away from ``source``."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._number: str | None = None  # the source's number when a stream was last seen on it

    def strayed(self, pid: int) -> bool:
        """Ask the server where the process ``pid`` records from; False also when it does not answer."""
        number = recorded(_pactl("list", "source-outputs"), pid)
        if number is None or number == self._number:
            return False
        name = {
            fields[0]: fields[1]
            for line in _pactl("list", "short", "sources").splitlines()
            if len(fields := line.split("\t")) > 1
        }.get(number)
        if name == self._source:
            self._number = number
        # A server whose name for the source differs from PULSE_SOURCE has not moved the stream.
        return name is not None and name != self._source and self._number is not None


def recorded(listing: str, pid: int) -> str | None:
    """The number of the source that the process records from, by pactl's list of source outputs; None: from none."""
    for output in listing.split("Source Output #")[1:]:
        owner = re.search(r'application\.process\.id = "(\d+)"', output)
        source_number = re.search(r"^\s*Source: (\d+)$", output, re.MULTILINE)
        if owner is not None and source_number is not None and int(owner[1]) == pid:
            return source_number[1]
    return None


def _pactl(*arguments: str) -> str:
    try:
        command, environment = ["pactl", *arguments], os.environ | {"LC_ALL": "C"}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=3, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
