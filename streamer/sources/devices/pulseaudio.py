"""What the sound server (PulseAudio, or PipeWire in its place) says of the source behind one of its inputs.

When a source goes, PulseAudio silently moves its streams to another, and does not move them back. And it gives as many
channels as are asked for, copies where the source has fewer.
"""

import os
import re
import shutil
import subprocess

INPUTS = ("pulse", "pipewire", "default")  # ALSA's names of the inputs that a sound server may be behind
LOOK = 5.0  # s between two checks, which take some 4 ms


def source() -> str | None:
    """The source that PULSE_SOURCE names, when it can be watched; an alias, such as @DEFAULT_MONITOR@, may move."""
    name = os.environ.get("PULSE_SOURCE", "")
    return name if name and not name.startswith("@") and not name.isdecimal() and shutil.which("pactl") else None


def source_behind(device: str) -> tuple[str, int] | None:
    """The name of the source that ALSA's input ``device`` records from now, and how many channels it really has.

    None when it is no input of the server's, or nobody can tell.
    """
    if device not in INPUTS or shutil.which("pactl") is None:
        return None
    chosen = os.environ.get("PULSE_SOURCE", "") if device != "pipewire" else ""
    if not chosen or chosen.startswith("@"):
        defaults = dict(re.findall(r"^Default (Sink|Source): (.+)$", _pactl("info"), re.MULTILINE))
        chosen = f"{defaults.get('Sink', '')}.monitor" if "MONITOR" in chosen else defaults.get("Source", "")
    for line in _pactl("list", "short", "sources").splitlines():
        fields = line.split("\t")
        if chosen in fields[:2] and (channels := re.search(r"\b(\d+)ch\b", line)) is not None:
            return fields[1], int(channels[1])
    return None


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
