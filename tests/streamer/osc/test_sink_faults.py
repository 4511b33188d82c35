"""The OSC sink where things fail: receivers, names and cables of real networks, made of Linux's network namespaces."""

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from valaro.streamer.osc.sink import Osc

from ...places import ROOT
from ..oscdump import free_port, wait_for
from .test_sink import an_affect, messages_of

OURS, THEIRS = "10.77.0.1", "10.77.0.2"  # the two ends of the cable
SENDER = """
import logging, sys, threading
from tests.streamer.fakes import neutral
from valaro.streamer.osc.sink import Osc
logging.basicConfig(format="%(levelname)s %(message)s", level="INFO")
sinks = [Osc(destination) for destination in sys.argv[1:]]
print("looking", sum(thread.name == "host look-up" for thread in threading.enumerate()), flush=True)
over, time = threading.Event(), 0.0
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while not over.wait(0.02):
    time += 0.5
    for sink in sinks:
        sink.send(neutral(time))
print("faults", *(sink.faults for sink in sinks))
"""


def listener(port: int = 0, buffer: int | None = None) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if buffer is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    opened.bind(("127.0.0.1", port))
    opened.settimeout(10)
    return opened


def time_in(packet: bytes) -> float:
    return messages_of(packet)["/valaro/time"].params[0]


@pytest.mark.parametrize("bundle", [True, False])
def test_a_receiver_that_starts_late_gets_its_share_and_nobody_else_misses_any(
    bundle: bool, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with listener() as well, caplog.at_level(logging.INFO, logger="valaro"):
        absent, present = Osc(f"127.0.0.1:{port}", bundle), Osc(f"127.0.0.1:{well.getsockname()[1]}")
        sent, deadline = 0.0, time.monotonic() + 10
        while absent.faults < 3 and time.monotonic() < deadline:  # the kernel reports a refusal a little later
            sent += 0.5
            for sink in (absent, present):
                sink.send(an_affect(time=sent))
            assert time_in(well.recv(65536)) == sent
        with listener(port) as late:
            for sink in (absent, present):
                sink.send(an_affect(time=sent + 0.5))
            assert late.recv(65536).startswith(b"#bundle\0" if bundle else b"/valaro/valence\0")
        absent.close()
        present.close()
    assert present.faults == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"127.0.0.1:{port}: nobody listens there" in caplog.text


def test_a_receiver_that_does_not_read_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    with listener(buffer=4096) as stuck, listener() as well:
        sinks = [Osc(f"127.0.0.1:{each.getsockname()[1]}", cells=each is stuck) for each in (stuck, well)]
        for k in range(1, 501):
            for sink in sinks:
                sink.send(an_affect(time=0.5 * k))
            assert time_in(well.recv(65536)) == 0.5 * k
        kept = []
        stuck.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                kept.append(stuck.recv(65536))
        assert 0 < len(kept) < 500  # its buffer was full, and what did not fit was lost to it alone
        stuck.settimeout(10)
        sinks[0].send(an_affect(time=999.0))
        assert time_in(stuck.recv(65536)) == 999.0
        for sink in sinks:
            sink.close()
    assert caplog.text == ""


def test_a_host_that_is_not_found_is_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    sink = Osc("no-such-host.invalid:9000")
    for _ in range(3):
        sink.send(an_affect())
    sink.close()
    assert sink.faults == 3
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("OSC no-such-host.invalid:9000: ")
    assert "cannot be found" in told


class Stage:
    """Two machines and a cable: ours, in which names are looked up as its own files say, and theirs."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = f"valaro-{os.getpid()}-a", f"valaro-{os.getpid()}-b"
        self._etc = Path("/etc/netns") / self.ours  # ip binds these files over those in /etc
        self._folder = folder
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Stage":
        ip("netns", "add", self.ours)
        ip("netns", "add", self.theirs)
        ip(
            "link",
            "add",
            "name",
            "cable",
            "netns",
            self.ours,
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            self.theirs,
        )
        for machine, address in ((self.ours, OURS), (self.theirs, THEIRS)):
            ip("-n", machine, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", machine, "link", "set", "cable", "up")
            ip("-n", machine, "link", "set", "lo", "up")
        self._etc.mkdir(parents=True)
        self.names("")
        self.name_server("127.0.0.1")  # where none runs: a look-up fails at once
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.communicate()
        for machine in (self.ours, self.theirs):
            subprocess.run(["ip", "netns", "delete", machine], capture_output=True, check=False)
        shutil.rmtree(self._etc, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._etc.parent.rmdir()  # somebody else's may be in there

    def names(self, hosts: str) -> None:
        """What our machine's hosts file says from now on."""
        (self._etc / "hosts").write_text(hosts)

    def name_server(self, address: str) -> None:
        """Where our machine asks for other names, for a minute at a time; for programs that start later."""
        (self._etc / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:30 attempts:2\n")

    def plug(self, machine: str, state: str) -> None:
        """Set one end of the cable "up" or "down"."""
        ip("-n", machine, "link", "set", "cable", state)

    def receiver(self, port: int) -> Path:
        """oscdump on their machine: the file that it prints into."""
        printed = self._folder / f"{port}.txt"
        with printed.open("w") as output:
            self._start(self.theirs, ["oscdump", "-L", str(port)], stdout=output)
        return printed

    def sender(self, *destinations: str) -> tuple["subprocess.Popen[str]", Path]:
        """A program on our machine that sends all the time until its input ends, and the file with its log."""
        told = self._folder / "told.txt"
        with told.open("w") as log:
            command = [sys.executable, "-c", SENDER, *destinations]
            return self._start(self.ours, command, stdout=subprocess.PIPE, stderr=log), told

    def _start(
        self, machine: str, command: list[str], stdout: IO[str] | int, stderr: IO[str] | None = None
    ) -> "subprocess.Popen[str]":
        inside = ["ip", "netns", "exec", machine, *command]
        process = subprocess.Popen(inside, cwd=ROOT, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, text=True)
        self._running.append(process)
        return process


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    for program, package in (("ip", "iproute2"), ("oscdump", "liblo-tools")):
        if sys.platform != "linux" or shutil.which(program) is None:
            reason = f"{program} is not installed (Debian: {package})"
            pytest.skip(reason)
    if os.geteuid() != 0:
        pytest.skip("only root makes networks")
    with contextlib.ExitStack() as opened:
        try:
            made = opened.enter_context(Stage(tmp_path))
        except subprocess.CalledProcessError as fault:
            pytest.skip(f"no networks can be made here: {fault.stderr.strip()}")
        yield made


def last_time(printed: Path) -> float:
    """The newest ``/valaro/time`` that oscdump has heard of; 0 before the first."""
    lines = [line.split() for line in printed.read_text().splitlines() if " /valaro/time " in line]
    return float(lines[-1][3]) if lines and len(lines[-1]) == 4 else 0.0


def unchanged(printed: Path) -> bool:
    before = last_time(printed)
    time.sleep(0.3)
    return last_time(printed) == before


def levels(told: Path) -> list[str]:
    return [line.split()[0] for line in told.read_text().splitlines()]


def test_output_resumes_when_the_network_is_back(stage: Stage) -> None:
    heard = stage.receiver(9000)
    sender, told = stage.sender(f"{THEIRS}:9000")
    wait_for(lambda: last_time(heard) > 0)
    stage.plug(stage.ours, "down")
    wait_for(lambda: "unreachable" in told.read_text())
    # It is given another address than the one that the socket was opened on.
    ip("-n", stage.ours, "address", "delete", f"{OURS}/24", "dev", "cable")
    ip("-n", stage.ours, "address", "add", "10.77.0.7/24", "dev", "cable")
    before = last_time(heard)
    stage.plug(stage.ours, "up")
    wait_for(lambda: last_time(heard) > before)
    wait_for(lambda: "works again" in told.read_text())
    printed, _ = sender.communicate()
    assert levels(told) == ["WARNING", "INFO"]
    assert int(printed.split()[-1]) > 0


def test_output_resumes_when_their_cable_is_plugged_in_again(stage: Stage) -> None:
    heard = stage.receiver(9000)
    sender, told = stage.sender(f"{THEIRS}:9000")
    wait_for(lambda: last_time(heard) > 0)
    stage.plug(stage.theirs, "down")
    wait_for(lambda: unchanged(heard))
    before = last_time(heard)
    stage.plug(stage.theirs, "up")
    wait_for(lambda: last_time(heard) > before + 5.0)
    sender.communicate()
    assert levels(told) in ([], ["WARNING"])


def test_a_machine_that_refuses_now_and_then_is_told_of_once(stage: Stage) -> None:
    sender, told = stage.sender(f"{THEIRS}:9000")  # Linux refuses some packets at first, then one a second
    wait_for(lambda: told.read_text() != "")
    time.sleep(3)
    printed, _ = sender.communicate()
    assert int(printed.split()[-1]) > 1
    assert levels(told) == ["WARNING"]
    assert "nobody listens there" in told.read_text()


def test_a_host_that_appears_late_or_moves_is_found(stage: Stage) -> None:
    late, moved = stage.receiver(9000), stage.receiver(9001)
    stage.names(f"{OURS} moves.test\n")  # where nobody listens
    sender, told = stage.sender("late.test:9000", "moves.test:9001")
    wait_for(lambda: len(levels(told)) == 2)
    assert "late.test:9000: the host cannot be found" in told.read_text()
    assert "moves.test:9001: nobody listens there" in told.read_text()
    stage.names(f"{THEIRS} late.test moves.test\n")
    wait_for(lambda: last_time(late) > 0 and last_time(moved) > 0)
    wait_for(lambda: len(levels(told)) == 4)
    printed, _ = sender.communicate()
    assert levels(told) == ["WARNING", "WARNING", "INFO", "INFO"]
    assert all(int(faults) > 0 for faults in printed.split()[-2:])


def test_a_name_server_that_does_not_answer_delays_nothing_else(stage: Stage) -> None:
    stage.name_server("10.77.0.99")
    stage.names(f"{THEIRS} there.test\n")
    heard = stage.receiver(9000)
    sender, told = stage.sender("not-there.test:9000", "there.test:9000")
    wait_for(lambda: last_time(heard) > 20.0)
    printed, _ = sender.communicate()
    assert "looking 1" in printed  # the constructor has not waited for the answer
    assert int(printed.split()[-2]) >= 40
    assert int(printed.split()[-1]) == 0
    assert levels(told) == ["WARNING"]
