"""Who looks on while a session runs for a simulated day: every emission, every packet, and the memory now and then."""

import ctypes
import gc
import socket
import sys
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket, ParseError
from valaro.streamer import Affect

from .chain import resident

PATIENCE = 30.0  # s that a packet may take over the loopback
Values = Mapping[str, Sequence[float] | str]

_RATED = 60.0  # s of stream between two ratings: enough of them for SQLite's cache to fill up early


class Sample(NamedTuple):
    """What the process holds at ``time`` s of the stream.

    ``resident`` MB are the system's measure. ``heap`` MB are what was asked of the C library and not given back (NaN
    where it does not tell), ``objects`` what Python holds: these two have no noise of pages and arenas.
    """

    time: float
    resident: float
    heap: float
    objects: float
    files: float
    threads: float


def sample(time: float) -> Sample:
    """Look now, when what only waits for Python to collect it is gone."""
    gc.collect()
    handles = Path("/proc/self/fd")
    files = len(list(handles.iterdir())) if handles.is_dir() else 0
    return Sample(time, resident(), _heap(), sys.getallocatedblocks(), files, threading.active_count())


_MALLINFO = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _MALLINFO]


def _heap() -> float:
    with suppress(AttributeError, OSError, TypeError):  # glibc 2.33 and later have it
        ask = ctypes.CDLL(None).mallinfo2
        ask.restype = _Mallinfo
        found = ask()
        return (found.uordblks + found.hblkhd) / 1e6
    return float("nan")


class Receipt:
    """The far end of the OSC destination: takes each emission's packet back before the next one is made.

    So nothing is lost at hundreds of times real time but what a fault loses. python-osc reads the packets, and each
    must say what ``meant`` gives for the emission, by address, and nothing else. ``received`` were read, ``lost`` did
    not come, ``wrong`` said something else.
    """

    def __init__(self, meant: Callable[[Affect], Values]) -> None:
        self.received = self.lost = self.wrong = 0
        self._meant = meant
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)

    @property
    def destination(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def send(self, affect: Affect) -> None:
        """Wait for the packet of ``affect`` and compare."""
        try:
            packet = self._socket.recv(65_536)
        except OSError:
            self.lost += 1
            self._socket.settimeout(0.01)  # one is enough to fail: do not wait hours for the rest
            return
        self.received += 1
        try:
            said = {timed.message.address: list(timed.message.params) for timed in OscPacket(packet).messages}
        except ParseError:
            self.wrong += 1
            return
        meant = self._meant(affect)
        self.wrong += said.keys() != meant.keys() or not all(_same(said[each], meant[each]) for each in meant)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _same(said: list[float | str], meant: Sequence[float] | str) -> bool:
    if isinstance(meant, str):
        return said == [meant]
    return np.array_equal(np.array(said, dtype=np.float32), np.array(meant, dtype=np.float32))


class Rater:
    """Somebody in the room, who rates over OSC every minute of the stream, and waits for the answer.

    ``sent`` were sent, ``answered`` was taken note of; ``refused`` are those that were answered with an error.
    """

    def __init__(self, port: int) -> None:
        self.sent = self.answered = self.refused = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(("127.0.0.1", port))
        self._chance = np.random.default_rng(1)

    def send(self, affect: Affect) -> None:
        """Rate, if it is time."""
        if affect.time % _RATED:
            return
        builder = OscMessageBuilder("/valaro/rate")
        for place in self._chance.uniform(-1.0, 1.0, 2):
            builder.add_arg(float(place), builder.ARG_TYPE_FLOAT)
        self._socket.send(builder.build().dgram)
        self.sent += 1
        with suppress(OSError):
            reply = self._socket.recv(65_536)
            self.answered += 1
            self.refused += not reply.startswith(b"/valaro/status")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Watch:
    """Looks at every emission as it leaves: whether it is due, whole and in step with the sound; and at the memory.

    ``frames`` says how many frames the session has given to its engine, of ``rate`` a second. ``ahead`` is by how
    many seconds of sound that was ahead of the emissions, at least and at most: what waits in the resampler and in the
    bite that is being pushed, and no more after a day than at first. ``late`` emissions had another time than
    k * 0.5 s, ``broken`` ones a heatmap that is not finite or does not sum to 1. The memory is looked at ``every`` so
    many seconds of stream.
    """

    def __init__(self, frames: Callable[[], int], rate: int, every: float) -> None:
        self.emissions = self.late = self.broken = 0
        self.ahead = (float("inf"), -float("inf"))
        self._samples = array("d")  # what looks must not grow itself
        self._frames = frames
        self._rate = rate
        self._every = every

    def send(self, affect: Affect) -> None:
        """Take one emission."""
        self.emissions += 1
        self.late += affect.time != 0.5 * self.emissions
        heatmap = affect.heatmap
        whole = np.isfinite(heatmap).all() and heatmap.min() >= 0.0 and abs(float(heatmap.sum()) - 1.0) < 1e-9
        numbers = [affect.valence, affect.arousal, affect.confidence, affect.level, *affect.covariance.ravel()]
        self.broken += not (whole and np.isfinite(numbers).all())
        ahead = self._frames() / self._rate - 0.5 * self.emissions
        self.ahead = min(self.ahead[0], ahead), max(self.ahead[1], ahead)
        if affect.time % self._every == 0.0:
            self._samples.extend(sample(affect.time))

    @property
    def samples(self) -> list[Sample]:
        """The looks at the memory so far."""
        width = len(Sample._fields)
        return [Sample(*self._samples[k : k + width]) for k in range(0, len(self._samples), width)]

    def close(self) -> None:
        """Nothing to close."""


def free_port() -> int:
    """A UDP port of this machine that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
