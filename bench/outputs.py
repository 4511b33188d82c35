"""From the last sample of a hop to the last packet, with all outputs of a big show on: four OSC destinations and MIDI.

``python -m bench.outputs`` runs an hour of stereo in a fresh process, as fast as it goes, and prints what it saw as
JSON. The four are of four kinds: a bundle, plain messages, a bundle with all cells, and a map of sixteen lines.
JACK's dummy driver stands in for a MIDI interface; where there is no MIDI at all, the figures say so. Beside the time
on the clock stand the outputs' share of it and the CPU time of the same stretch, which other programs bend less.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from valaro.models import load_bundle
from valaro.streamer import Engine
from valaro.streamer.core.controls import Controls
from valaro.streamer.errors import ValaroError
from valaro.streamer.midi.messages import MidiSettings
from valaro.streamer.midi.sink import Midi
from valaro.streamer.sinks import Osc
from valaro.streamer.sinks.mapping import Mapped
from valaro.streamer.sinks.scheduler import OutputScheduler

from .chain import resident, stereo

_MINUTES = 60
_SERVER = "valaro-bench"  # a JACK server of our own, beside one that may be running
_SOURCES = ["valence", "arousal", "confidence", "level", "q1", "q2", "q3", "q4"]


class Destinations:
    """Four OSC sinks of four kinds, and a socket on the loopback for each of them."""

    def __init__(self) -> None:
        self._receivers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        for receiver in self._receivers:
            receiver.bind(("127.0.0.1", 0))
            receiver.setblocking(False)
        to = [f"127.0.0.1:{receiver.getsockname()[1]}" for receiver in self._receivers]
        lines = [
            Mapped(source, f"/composition/layers/{k}/{source}", curve=2.0, attack=0.2 * k, release=1.5)
            for source in _SOURCES
            for k in (1, 2)
        ]
        self.sinks = [Osc(to[0]), Osc(to[1], False), Osc(to[2], cells=True), Osc(to[3], contract=False, maps=lines)]

    def receive(self) -> int:
        """Take what came; how many packets."""
        packets = 0
        for receiver in self._receivers:
            with contextlib.suppress(BlockingIOError):
                while receiver.recv(65536):
                    packets += 1
        return packets

    def close(self) -> None:
        """Close the sockets; the sinks are the outlet's to close."""
        for receiver in self._receivers:
            receiver.close()


@contextlib.contextmanager
def jack() -> Iterator[bool]:
    """A JACK server with the dummy driver while this lasts; whether there is one."""
    program = shutil.which("jackd")
    if program is None:
        yield False
        return
    arguments = ["--no-realtime", "-n", _SERVER, "-d", "dummy", "-r", "48000", "-p", "512"]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        os.environ["JACK_DEFAULT_SERVER"] = _SERVER
        try:
            yield True
        finally:
            server.terminate()


def midi(on_jack: bool) -> tuple[list[Midi], str]:
    """The MIDI sink on a virtual port, and in words what was opened; no sink where none can be."""
    name, deadline = "jack:valaro-bench" if on_jack else "valaro-bench", time.monotonic() + 10
    while True:
        try:
            sink = Midi(None, MidiSettings(fine=True), virtual=name)
            return [sink], f"14-bit controllers and notes to {'JACK' if on_jack else 'the system'}"
        except ValaroError as fault:
            if not on_jack or time.monotonic() > deadline:  # the server takes a moment to come up
                return [], f"without MIDI: {fault}"
        time.sleep(0.2)


def hour(minutes: int = _MINUTES) -> dict[str, Any]:
    """Milliseconds of each emission, from the push that completes it until the last packet is out and MIDI has it."""
    samples, size = stereo(48_000), 960
    engine = Engine(load_bundle(), 48_000)
    engine.warm_up()
    destinations = Destinations()
    latency, sending, cpu = array("d"), array("d"), array("d")  # small, for the memory is looked at
    memory, packets = [], 0
    with jack() as on_jack:
        notes, words = midi(on_jack)
        outlet = OutputScheduler([(sink, None) for sink in (*destinations.sinks, *notes)], Controls())
        for _ in range(minutes):
            for start in range(0, len(samples), size):
                began, began_cpu = time.perf_counter(), time.thread_time()
                emissions = engine.push(samples[start : start + size])
                pushed = time.perf_counter()
                for emission in emissions:
                    outlet.send(emission)
                if emissions:
                    sending.append(1e3 * (time.perf_counter() - pushed))
                    latency.append(1e3 * (time.perf_counter() - began))
                    cpu.append(1e3 * (time.thread_time() - began_cpu))
                    packets += destinations.receive()
            memory.append(resident())
        outlet.close()
    destinations.close()
    return {
        "midi": words,
        "emissions": len(latency),
        "packets": packets,
        "faults": outlet.faults + sum(sink.faults for sink in (*destinations.sinks, *notes)),
        "overtaken": sum(sink.skipped for sink in notes),  # by a newer emission before MIDI had sent them
        "latency_ms": _percentiles(latency),
        "sending_ms": _percentiles(sending),
        "cpu_ms": _percentiles(cpu),
        "growth_mb": memory[-1] - memory[min(9, len(memory) - 1)],
    }


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    p50, p99, p999 = np.percentile(milliseconds, [50, 99, 99.9])
    return {"p50": p50, "p99": p99, "p99.9": p999, "max": max(milliseconds)}


if __name__ == "__main__":
    print(json.dumps(hour()))
