"""One command feeds every kind of output at once, as options and config ask: real receivers, a looped recording."""

import json
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage

from ..fakes import neutral
from ..jack import Jack, jack, received
from ..oscdump import PATIENCE, TAGS, wait_for

__all__ = ["jack"]

CONFIG = """
[[osc]]
to = "127.0.0.1:MAPPED"
bundle = false
contract = false
rate = 60
map = [{ from = "level", to = "/light", out = [0.0, 255.0] }]

[[osc]]
to = "127.0.0.1:CELLS"
contract = false
cells = true

[midi]
virtual = "stage"
channel = 3
notes = []

[oscquery]
name = "NAME"
"""


@pytest.fixture
def receivers() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(4)]
        for receiver in opened:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(PATIENCE)
        yield opened


def plain(receiver: socket.socket) -> tuple[str, Any]:
    message = OscMessage(receiver.recv(65536))
    return message.address, message.params[0]


def in_bundle(receiver: socket.socket) -> set[str]:
    return {message.address for message in OscBundle(receiver.recv(65536)) if isinstance(message, OscMessage)}


def test_one_command_feeds_all_that_it_was_asked_for(
    receivers: list[socket.socket], jack: Jack, tmp_path: Path
) -> None:
    pytest.importorskip("zeroconf")
    mapped, cells, one, other = receivers
    show, config, log, printed = (tmp_path / name for name in ("show.jsonl", "show.toml", "said", "printed"))
    two = [replace(neutral(0.5, level=0.25), valence=-1.0), replace(neutral(1.0, level=0.75), valence=1.0)]
    show.write_text("".join(json.dumps(affect.record()) + "\n" for affect in two))
    substitutions = {
        "MAPPED": mapped.getsockname()[1],
        "CELLS": cells.getsockname()[1],
        "NAME": f"Valaro {uuid.uuid4().hex}",
    }
    text = CONFIG
    for word, value in substitutions.items():
        text = text.replace(word, str(value))
    config.write_text(text)
    command = [sys.executable, "-m", "valaro.streamer", "replay", str(show), "--loop", "--no-display"]
    command += ["--config", str(config), "--osc-messages"]
    for receiver in (one, other):
        command += ["--osc", f"127.0.0.1:{receiver.getsockname()[1]}"]
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors, env=jack.env) as running:
        try:
            for receiver in (one, other):
                assert {plain(receiver)[0] for _ in TAGS} == set(TAGS)
            assert in_bundle(cells) <= {f"/valaro/cell/{a}/{v}" for a in range(11) for v in range(11)}
            seen: set[float] = set()
            while not any(0.25 * 255 < value < 0.75 * 255 for value in seen):  # between the two emissions
                address, value = plain(mapped)
                assert address == "/light"
                seen.add(value)
            assert all(0.25 * 255 <= value <= 0.75 * 255 for value in seen)
            with jack.receiver("synth", printed) as port:
                jack.connect("Valaro:stage", port)
                wait_for(lambda: {bytes([0xB2, 20, 0]), bytes([0xB2, 20, 127])} <= set(received(printed)))
                # It came late, and has the rest too, which stays as it is.
                assert {bytes([0xB2, number]) for number in range(20, 27)} <= {
                    midi_message[:2] for midi_message in received(printed)
                }
            url = re.findall(r"OSCQuery on (\S+)", log.read_text())[0]
            with urlopen(f"{url}valaro/level?VALUE", timeout=PATIENCE) as answer:
                assert json.load(answer)["VALUE"] in ([0.25], [0.75])
            running.send_signal(signal.SIGINT)
            assert running.wait(PATIENCE) == 0
        finally:
            running.kill()
    assert re.search(r"sent \d+ emissions, lost nothing[^\n]*\n$", log.read_text()), log.read_text()
