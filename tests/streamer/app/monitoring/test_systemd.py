"""What systemd is told, received on real datagram sockets as its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from valaro.streamer.app.monitoring.systemd import Watchdog
from valaro.streamer.core.session import Session

from ...fakes import Collect, CountingEngine, Endless, neutral
from ...oscdump import PATIENCE, wait_for

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd is Linux only")


class Manager:
    """The end that systemd has."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def received(self) -> list[list[str]]:
        """The lines of each datagram since the last time."""
        datagrams = []
        while True:
            try:
                datagrams.append(self.socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return datagrams

    def kinds(self) -> list[list[str]]:
        return [[line.partition("=")[0] for line in lines] for lines in self.received()]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["file", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return os.path.relpath(tmp_path / "notify")  # a path may have 108 bytes at most
    if sys.platform != "linux":
        pytest.skip("the abstract namespace is Linux only")
    return f"@valaro-{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    manager = Manager("\0" + address[1:] if address.startswith("@") else address)
    yield manager
    manager.socket.close()


def test_ready_comes_with_the_first_emission_and_life_twice_an_interval(manager: Manager, address: str) -> None:
    clock = Clock()
    watchdog = Watchdog({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "6000000"}, clock)
    assert manager.received() == []
    watchdog.send(neutral(0.5))
    assert manager.received() == [
        ["READY=1", "WATCHDOG=1", "STATUS=music, valence +0.00, arousal +0.00; 1 emissions"],
    ]
    sent = []
    for number in range(1, 61):  # half a minute
        clock.now += 0.5
        watchdog.send(neutral(0.5 + 0.5 * number))
        sent += [(0.5 * number, kinds) for kinds in manager.kinds()]
    assert [at for at, kinds in sent if "WATCHDOG" in kinds] == [3.0 * k for k in range(1, 11)]
    assert [at for at, kinds in sent if "STATUS" in kinds] == [10.0, 20.0, 30.0]
    assert not any("READY" in kinds for _, kinds in sent)
    watchdog.close()
    watchdog.close()
    assert manager.received() == [["STOPPING=1", "STATUS=ending"]]
    watchdog.send(neutral(99.0))
    assert manager.received() == []


def test_without_a_watchdog_only_ready_and_status_are_told(manager: Manager, address: str) -> None:
    for usec, pid in (("", ""), ("0", ""), ("x", ""), ("6000000", "1")):
        watchdog = Watchdog({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid})
        watchdog.send(neutral(0.5))
        assert manager.kinds() == [["READY", "STATUS"]]
    own = Watchdog({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())})
    own.send(neutral(0.5))
    assert manager.kinds() == [["READY", "WATCHDOG", "STATUS"]]


def test_where_nobody_asked_nothing_is_done() -> None:
    watchdog = Watchdog({"WATCHDOG_USEC": "6000000"})
    watchdog.send(neutral(0.5))
    watchdog.close()


def test_a_manager_that_does_not_answer_is_tried_again_and_never_waited_for(manager: Manager, address: str) -> None:
    clock = Clock()
    watchdog = Watchdog({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100"}, clock)
    while True:  # until its queue is full
        clock.now += 1.0
        try:
            watchdog.send(neutral(0.5))
        except BlockingIOError:
            break
    assert manager.received()
    watchdog.send(neutral(0.5))
    assert manager.kinds() == [["WATCHDOG"]]


def test_a_manager_that_comes_late_still_hears_that_it_is_ready(address: str) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": address})
    with pytest.raises(OSError, match=r"refused|No such file"):
        watchdog.send(neutral(0.5))
    late = Manager("\0" + address[1:] if address.startswith("@") else address)
    watchdog.send(neutral(1.0))
    assert late.kinds() == [["READY", "STATUS"]]
    late.socket.close()


def test_a_session_goes_on_without_its_manager(tmp_path: Path) -> None:
    sink = Collect()
    session = Session(Endless(), CountingEngine(), [sink, Watchdog({"NOTIFY_SOCKET": str(tmp_path / "gone")})])
    with session:
        wait_for(lambda: len(sink.affects) >= 3)
    assert session.counters.sink_faults >= 3


def test_a_manager_that_is_gone_is_no_fault_of_the_end(tmp_path: Path) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    watchdog.close()
    watchdog.close()


def test_it_needs_no_more_than_a_socket() -> None:
    code = (
        "import sys; from valaro.streamer.app.monitoring.systemd import Watchdog; "
        "print(sorted(set(sys.modules) & {'numba', 'rich'}))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert ended.stdout == "[]\n"
