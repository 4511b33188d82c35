"""A MIDI interface's stand-in: a JACK server of the tests' own without sound card, and ``jack_midi_dump`` to receive.

``with server() as jack:`` runs it; programs that are started with ``jack.env`` find it, and no other. The receiver is
not ours: the bytes that it prints are those that any JACK program would get. As a fixture: ``from .jack import jack``.

JACK's servers share one registry in the machine's memory, with eight places, and with several test runs side by side
clients were now and then told that their server does not run. So there is one at a time, whoever runs tests, and always
of the same name, for it then takes back what a crash left.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("jackd", "jack_lsp", "jack_connect", "jack_midi_dump", "jack_midiseq", "stdbuf", "setpriv")
PATIENCE = 60.0  # s for a program to come up on a busy machine

NAME = "valaro-tests"

# Synchronous: each cycle waits for its clients. Else a cycle that they do not finish in time takes its messages with
# it: every fifth one with six busy programs on two cores.
COMMAND = ["jackd", "-n", NAME, "--sync", "--no-realtime", "-d", "dummy", "-p", "1024"]
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # for a test run that is killed cannot end what it started

Process = subprocess.Popen[bytes]


@dataclass(slots=True)
class Jack:
    """A server, which writes what it has to say into ``log``."""

    log: Path
    process: Process | None = field(default=None, init=False)

    @property
    def env(self) -> dict[str, str]:
        """This process's environment, with the way to this server."""
        return os.environ | {"JACK_DEFAULT_SERVER": NAME, "JACK_NO_START_SERVER": "1"}

    def start(self, rate: int = 48_000) -> None:
        """Run it, until it answers."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:  # also when the one before is not quite gone
                with self.log.open("wb") as log:
                    self.process = _run(*COMMAND, "-r", str(rate), stdout=log)
            if self._ask("jack_lsp").returncode == 0:
                return
            time.sleep(0.05)
        pytest.fail(f"jackd does not answer: {self.log.read_text(errors='replace')}")

    def kill(self) -> None:
        """End it as if it had crashed; may be called twice."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it in order.

        A server that crashed keeps one of the machine's eight places, and 110 MB of shared memory, until one of the
        same name has run: that is done here.
        """
        if self.process is not None and self.process.poll() is not None:
            self.start()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for left in Path("/dev/shm").glob(f"jack_sem.*_{NAME}_*"):  # of clients that were killed
            left.unlink(missing_ok=True)

    def ports(self) -> list[str]:
        """All ports, "client:port"."""
        return self._ask("jack_lsp").stdout.splitlines()

    def connect(self, source: str, target: str) -> None:
        """Draw a cable."""
        done = self._ask("jack_connect", source, target)
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def receiver(self, client: str, printed: Path) -> Iterator[str]:
        """``jack_midi_dump`` as the JACK client ``client``, printing into a file; gives its port's name."""
        port = f"{client}:input"
        with printed.open("wb") as output:
            # Line by line, or what it prints stays in its buffer.
            dump = _run("stdbuf", "-oL", "jack_midi_dump", client, env=self.env, stdout=output)
        try:
            self._await_reader(port)
            yield port
        finally:
            self._end(dump)
            self._await_gone(port)

    def _await_reader(self, port: str) -> None:
        """Until the port's client runs: before, JACK shows the port, but connects nothing to it."""
        knock = "knock:out"
        # A sequencer whose only note would come in half a day.
        knocker = _run("jack_midiseq", "knock", "2000000000", "1999999999", "60", "1", env=self.env)
        try:
            deadline = time.monotonic() + PATIENCE
            while self._ask("jack_connect", knock, port).returncode != 0:
                assert time.monotonic() < deadline, f"{port} does not come up"
                time.sleep(0.05)
        finally:
            knocker.terminate()  # it takes its leave
            knocker.wait()

    def _end(self, client: Process) -> None:
        """Have a client take its leave, which it can as long as there is a server: that waits 5 s for a killed one."""
        if self._runs():
            client.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(PATIENCE / 4)
        client.kill()
        client.wait()

    def _await_gone(self, port: str) -> None:
        """Until the server has noticed: one that is ended before waits long for its client's answer."""
        while self._runs() and port in self.ports():
            time.sleep(0.05)

    def _runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False)


def _run(*command: str, stdout: Any = subprocess.DEVNULL, env: dict[str, str] | None = None) -> Process:
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*DIES_WITH_US, *command], stdin=quiet, stdout=stdout, stderr=subprocess.STDOUT, env=env)


def received(printed: Path) -> list[bytes]:
    """The messages that ``jack_midi_dump`` printed so far, whole lines only: ``time: b0 14 40 control change ...``."""
    lines = printed.read_text().split("\n")[:-1]
    found = [re.match(r"\s*\d+:((?: [0-9a-f]{2})+)\b", line) for line in lines]
    return [bytes.fromhex(each[1]) for each in found if each is not None]


def why_not() -> str | None:
    """Why there can be no server here; None when there can."""
    if not sys.platform.startswith("linux"):
        return "JACK's dummy driver stands in for a MIDI interface on Linux only"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"{', '.join(absent)} missing: apt install jackd2" if absent else None


@contextlib.contextmanager
def server(log: Path) -> Iterator[Jack]:
    """A running server until the block ends. Where it cannot be: skips."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    import fcntl  # not on Windows

    jack = Jack(log)
    with open(Path(tempfile.gettempdir(), f"valaro-jack-{os.getuid()}.lock"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            jack.start()
            yield jack
        finally:
            jack.stop()


@pytest.fixture
def jack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jack]:
    """A server that this process finds too."""
    with server(tmp_path / "jackd.log") as running:
        for name in ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER"):
            monkeypatch.setenv(name, running.env[name])
        yield running
