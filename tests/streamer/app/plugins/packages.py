"""Packages with plugins that misbehave, as an installer would leave them in a folder of Python's path."""

import socket
from pathlib import Path
from textwrap import dedent

from pythonosc.osc_bundle import OscBundle

SINK_BASE = """
class Base:
    def send(self, affect):
        pass
    def close(self):
        pass
"""


def install(folder: Path, package: str, code: str, **doors: str) -> None:
    """Write a package of one module: ``sinks="name = Class"`` lines by door, separated by new lines."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(dedent(code))
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for door, entries in doors.items():
        lines.append(f"[valaro.{door}]")
        for entry in entries.splitlines():
            name, _, target = entry.partition("=")
            lines.append(f"{name.strip()} = {module}:{target.strip()}")
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def times(receiver: socket.socket) -> list[float]:
    """The stream times of all emissions that came."""
    found = []
    receiver.setblocking(False)
    while True:
        try:
            bundle = OscBundle(receiver.recv(65_536))
        except BlockingIOError:
            return found
        found += [message.params[0] for message in bundle if message.address == "/valaro/time"]  # type: ignore[union-attr]
