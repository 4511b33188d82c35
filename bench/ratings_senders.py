"""Programs that rate over OSC, each rating another place of the plane, and what is found of them in the store."""

import contextlib
import random
import shutil
import socket
import sqlite3
import tempfile
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

PERIOD = 0.1  # s between two ratings of a sender: as many as are taken of one listener
SOCKETS = 6  # of each sender, so that an answer is that of one rating: the next from the same socket is 0.6 s later
LISTENERS = ("ana", "ben", "cleo", "dan")
Key = tuple[str, float, float]  # listener, valence, arousal


@dataclass(slots=True)
class Sent:
    """A rating, when it was sent (monotonic, s), and its answers: when, the address, and what it says."""

    key: Key
    at: float
    answers: list[tuple[float, str, str]] = field(default_factory=list)


class Sender(threading.Thread):
    """Rates as one listener ten times a second from several sockets, until :meth:`stop`."""

    def __init__(self, listener: str, port: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.sent: list[Sent] = []
        self.unasked = 0  # answers to nothing
        self._listener = listener
        self._to = ("127.0.0.1", port)
        self._chance = random.Random(f"{listener} {seed}")
        self._over = threading.Event()
        self._waiting: dict[socket.socket, deque[Sent]] = {}

    def run(self) -> None:
        """Send and hear."""
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(SOCKETS)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
                each.setblocking(False)
                self._waiting[each] = deque()
            due, number = time.monotonic(), 0
            while not self._over.is_set() or (any(self._waiting.values()) and time.monotonic() < self._until):
                now = time.monotonic()
                if now >= due and not self._over.is_set():
                    self._rate(sockets[number % SOCKETS])
                    number += 1
                    due = max(due + PERIOD, now - PERIOD)
                self._hear()
                time.sleep(0.002)
            self._hear()

    def stop(self, patience: float = 0.0) -> None:
        """Send no more, and wait for answers that are still to come, for so many s at most."""
        self._until = time.monotonic() + patience
        self._over.set()
        self.join()

    def _rate(self, from_: socket.socket) -> None:
        valence, arousal = (float(np.float32(self._chance.uniform(-1, 1))) for _ in range(2))
        builder = OscMessageBuilder("/valaro/rate")
        for value in (valence, arousal, self._listener):
            builder.add_arg(value)
        sent = Sent((self._listener, valence, arousal), time.monotonic())
        self._waiting[from_].append(sent)
        self.sent.append(sent)
        with contextlib.suppress(OSError):
            from_.sendto(builder.build().dgram, self._to)

    def _hear(self) -> None:
        for each, waiting in self._waiting.items():
            while True:
                try:
                    answer = OscMessage(each.recv(4096))
                except OSError:  # nothing more, or nobody is there
                    break
                if not waiting:
                    self.unasked += 1
                    continue
                says = str(answer.params[1]) if answer.address == "/valaro/error" else ""
                waiting.popleft().answers.append((time.monotonic(), answer.address, says))


@dataclass(slots=True)
class Tally:
    """What became of all ratings that were sent.

    Parameters
    ----------
    sent : all.
    unasked : answers to nothing.
    """

    sent: list[Sent] = field(default_factory=list)
    unasked: int = 0

    def add(self, senders: list[Sender]) -> None:
        """Count those of some senders that have stopped."""
        for sender in senders:
            self.sent += sender.sent
            self.unasked += sender.unasked

    def acknowledged(self, outside: tuple[float, float] = (0.0, 0.0)) -> set[Key]:
        """Those that were answered with the status, but for what was answered between two times."""
        return {
            sent.key
            for sent in self.sent
            for at, address, _ in sent.answers
            if address == "/valaro/status" and not outside[0] <= at <= outside[1]
        }

    def figures(self, kept: "Counter[Key]", acknowledged: set[Key] | None = None) -> dict[str, float | int]:
        """In numbers, with what the store has."""
        answers = [answer for sent in self.sent for answer in sent.answers]
        delays = [at - sent.at for sent in self.sent for at, *_ in sent.answers]
        known = self.acknowledged() if acknowledged is None else acknowledged
        status = sum(address == "/valaro/status" for _, address, _ in answers)
        return {
            "sent": len(self.sent),
            "status": status,
            "errors": len(answers) - status,
            "unanswered": sum(not sent.answers for sent in self.sent),
            "answered twice": self.unasked,
            "kept": sum(kept.values()),
            "acknowledged but lost": len(known - set(kept)),
            "kept twice": sum(count - 1 for count in kept.values()),
            "status, %": round(100 * status / max(len(self.sent), 1), 1),
            "p50, ms": round(1000 * float(np.quantile(delays, 0.5)), 1) if delays else 0,
            "p99, ms": round(1000 * float(np.quantile(delays, 0.99)), 1) if delays else 0,
        }

    def reasons(self) -> "Counter[str]":
        """What the errors said."""
        return Counter(says for sent in self.sent for _, address, says in sent.answers if address == "/valaro/error")


def kept(store: Path) -> "Counter[Key]":
    """What another program finds in the store as it lies there: of a copy, so that nothing is mended by looking."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(store.with_name(store.name + suffix), Path(folder) / f"copy{suffix}")
        connection = sqlite3.connect(Path(folder) / "copy")
        try:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return Counter(connection.execute("SELECT listener, valence, arousal FROM rating").fetchall())
        finally:
            connection.close()
