"""Ratings of one program while another one floods the port, from its own address and from the same one."""

import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from ..oscdump import free_port
from .oscin_helper import Hand, Room

RATINGS = 40

# PORT, source address, number of ports (0: a new one for each packet): 10,000 valid messages a second, until killed.
FLOOD = """
import socket, sys, time
to, source, ports = ("127.0.0.1", int(sys.argv[1])), sys.argv[2], int(sys.argv[3])
packet = b"/valaro/rate\\0\\0\\0\\0,ffs\\0\\0\\0\\0" + b"\\x3f\\0\\0\\0" * 2 + b"eve\\0"
def opened():
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind((source, 0))
    return out
outs = [opened() for _ in range(ports)]
begin, sent = time.monotonic(), 0
print("begun", flush=True)
while True:
    for _ in range(100):
        if outs:
            outs[sent % ports].sendto(packet, to)
        else:
            with opened() as out:
                out.sendto(packet, to)
        sent += 1
    time.sleep(max(0.0, begin + sent / 10_000 - time.monotonic()))
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("source", "ports"),
    [
        pytest.param("127.0.0.2", 1, id="another address"),
        pytest.param("127.0.0.2", 30, id="30 ports of another address"),
        pytest.param("127.0.0.2", 0, id="ever-new ports of another address"),
        pytest.param("127.0.0.1", 1, id="the same address"),
        pytest.param("127.0.0.1", 30, id="30 ports of the same address"),
        pytest.param("127.0.0.1", 0, id="ever-new ports of the same address"),
    ],
)
def test_a_flood_takes_no_rating_from_another(source: str, ports: int) -> None:
    port = free_port()
    with ExitStack() as stack:
        room, ana = Room("ana, eve", str(port)), Hand()
        stack.callback(room.osc.close)
        stack.callback(ana.socket.close)
        to = ("127.0.0.1", port)
        if source == "127.0.0.1":  # who was there before
            ana.say("/valaro/status", to=to)
            assert len(ana.hears()) == 1
        command = [sys.executable, "-c", FLOOD, str(port), source, str(ports)]
        flood = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        stack.callback(flood.kill)
        assert flood.stdout is not None
        flood.stdout.readline()
        time.sleep(0.5)
        before, begin = room.osc.counters, time.monotonic()
        for _ in range(RATINGS):
            ana.say("/valaro/rate", 0.5, -0.25, "ana", to=to)
            time.sleep(0.05)
        answers = ana.hears()
        elapsed, counters = time.monotonic() - begin, room.osc.counters
    came = counters.messages + counters.over - before.messages - before.over
    rate = came / elapsed
    print(f"{source}, {ports} ports: {rate:.0f} packets/s, {counters.over} over, {counters.dropped} dropped")
    assert len([name for name, _, _ in room.ratings if name == "ana"]) == RATINGS
    assert [address for address, *_ in answers] == ["/valaro/status"] * RATINGS
    assert counters.over > 0
