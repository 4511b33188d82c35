"""liblo's ``oscdump``, a receiver that is not ours: what it prints is what any OSC program would get."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pythonosc.osc_message_builder import OscMessageBuilder

PATIENCE = 60.0  # s for a program to come up on a busy machine
TAGS = {
    "/valaro/valence": "f",
    "/valaro/arousal": "f",
    "/valaro/va": "ff",
    "/valaro/heatmap": "f" * 121,
    "/valaro/gauss": "fffff",
    "/valaro/quadrants": "ffff",
    "/valaro/confidence": "f",
    "/valaro/level": "f",
    "/valaro/activity": "s",
    "/valaro/time": "f",
    "/valaro/clock": "ii",
}

Printed = dict[str, list[str]]  # address -> type tags, values


@contextlib.contextmanager
def oscdump(printed: Path) -> Iterator[int]:
    """It running, once it listens: gives its port, and prints into the file ``printed``.

    Where it is not installed: skips.
    """
    program = shutil.which("oscdump")
    if program is None:
        reason = "oscdump is not installed (Debian: liblo-tools)"
        pytest.skip(reason)
    port = free_port()
    with printed.open("w") as output, subprocess.Popen([program, "-L", str(port)], stdout=output) as dump:
        try:
            knock = OscMessageBuilder("/knock").build().dgram
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

                def answered() -> bool:
                    sender.sendto(knock, ("127.0.0.1", port))
                    return "/knock" in printed.read_text()

                wait_for(answered)
            yield port
        finally:
            dump.terminate()


def bundles(printed: str) -> list[tuple[float, Printed]]:
    """oscdump's lines (arrival in NTP's hexadecimal seconds, address, types, values), joined where one packet came."""
    found: list[tuple[float, Printed]] = []
    for line in printed.splitlines():
        stamp, address, *rest = line.split()
        if address == "/knock":
            continue
        whole, fraction = stamp.split(".")
        at = int(whole, 16) + int(fraction, 16) / 2**32
        if not found or found[-1][0] != at:
            found.append((at, {}))
        assert address not in found[-1][1]
        found[-1][1][address] = rest
    return found


def free_port() -> int:
    """A UDP port of this machine that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(done: Callable[[], bool]) -> None:
    """Look until it is so; fails when it does not come to be for a very long time."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.05)
