"""An input that goes away under a running tracker: the show goes on, and it is heard again when it is back.

One ``valaro listen`` lives through all that is done here to its sound server, one thing after the other.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
from valaro.streamer.sources import microphone
from valaro.streamer.sources.demo import demo_piece

from ...jack import Jack
from ...jack import server as jack_server
from ...oscdump import PATIENCE, oscdump, wait_for
from ...pulse import SINK, Stage, stage

RATE = 48_000


@dataclass(frozen=True)
class Tracker:
    """A running ``valaro listen``, and what oscdump got of it."""

    process: subprocess.Popen[bytes]
    env: dict[str, str]
    printed: Path
    log: Path

    def told(self, address: str) -> list[str]:
        """All values that came to this address so far, without the type tag."""
        return re.findall(rf"^\S+ /valaro/{address} \S+ (.+)\n", self.printed.read_text(), re.MULTILINE)

    @property
    def activity(self) -> str:
        """The newest; empty before there is one."""
        assert self.process.poll() is None, self.log.read_text()
        return (self.told("activity") or ['""'])[-1].strip('"')

    def await_lost(self) -> None:
        wait_for(lambda: self.activity == "lost")

    def notices(self, word: str) -> int:
        """How many times it said of an input that it is lost, or back."""
        return self.log.read_text().count(f"' is {word}")

    def await_emissions(self, more: int) -> None:
        """So many of them from now on."""
        end = len(self.told("time")) + more
        wait_for(lambda: self.process.poll() is not None or len(self.told("time")) >= end)

    def workers(self) -> list[int]:
        """The processes that capture for it, found as a system administrator would."""
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and self._is_worker(path)]

    def _is_worker(self, process: Path) -> bool:
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            mine = f"VALARO_TEST={self.env['VALARO_TEST']}".encode() in (process / "environ").read_bytes().split(b"\0")
            return mine and b"capture.py" in (process / "cmdline").read_bytes() and state != "Z"
        except OSError:  # it has just ended
            return False


def listen(env: dict[str, str], device: str, folder: Path) -> Iterator[Tracker]:
    """It running from its first emission on; ended, if it still runs."""
    env = env | {"VALARO_TEST": folder.name}
    printed, log = folder / "printed.txt", folder / "log.txt"
    with oscdump(printed) as port, log.open("wb") as errors:
        command = [sys.executable, "-m", "valaro.streamer", "listen", "--device", device, "--no-display"]
        process = subprocess.Popen([*command, "--osc", f"127.0.0.1:{port}"], env=env, stderr=errors)
        tracker = Tracker(process, env, printed, log)
        try:
            wait_for(lambda: bool(tracker.activity))
            yield tracker
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
    times = [float(each) for each in tracker.told("time")]
    assert times == [0.5 * number for number in range(1, len(times) + 1)]  # none was left out, whatever happened


@pytest.fixture(scope="module")
def server() -> Iterator[Stage]:
    with stage(RATE) as running:
        yield running


@pytest.fixture(scope="module")
def tracker(server: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    yield from listen(server.env, "pulse", tmp_path_factory.mktemp("pulse"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    soundfile.write(path, demo_piece(RATE)[: 16 * RATE], RATE)
    return path


def hear_music(tracker: Tracker, server: Stage, clip: Path) -> None:
    """Play until it is heard, at most twice."""
    for _ in range(2):
        before = len(tracker.told("activity")) + 1  # the next may hold the end of what was
        with server.play(clip) as player:
            try:
                wait_for(lambda: player.poll() is not None or '"music"' in tracker.told("activity")[before:])  # noqa: B023
            finally:
                player.kill()
        if '"music"' in tracker.told("activity")[before:]:
            return
    pytest.fail(f"the clip is not heard: {tracker.log.read_text()}")


def test_a_server_that_dies_and_comes_back_at_another_rate(tracker: Tracker, server: Stage, clip: Path) -> None:
    prior = float(tracker.told("confidence")[0])
    with server.play(clip) as player:
        wait_for(lambda: tracker.activity == "music" and float(tracker.told("confidence")[-1]) > prior + 0.02)
        server.kill()
        player.kill()
    tracker.await_lost()
    wait_for(lambda: float(tracker.told("confidence")[-1]) < prior + 0.01)
    assert tracker.activity == "lost"  # sent all the time
    server.start(44_100)
    hear_music(tracker, server, clip)


def test_a_sink_that_is_unloaded_and_loaded_again(tracker: Tracker, server: Stage, clip: Path) -> None:
    server.pactl("unload-module", "module-null-sink")
    tracker.await_lost()
    tracker.await_emissions(2)
    assert tracker.activity == "lost"
    server.load_sink()
    hear_music(tracker, server, clip)


def test_a_server_that_hangs_and_goes_on(tracker: Tracker, server: Stage, clip: Path) -> None:
    server.process.send_signal(signal.SIGSTOP)
    tracker.await_lost()
    server.process.send_signal(signal.SIGCONT)
    hear_music(tracker, server, clip)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_or_hangs_is_replaced(
    tracker: Tracker, server: Stage, clip: Path, fault: signal.Signals
) -> None:
    (worker,) = tracker.workers()
    os.kill(worker, fault)
    wait_for(lambda: tracker.workers() not in ([], [worker]))
    hear_music(tracker, server, clip)
    (another,) = tracker.workers()
    assert another != worker


def test_a_tracker_that_was_suspended_goes_on(tracker: Tracker, server: Stage, clip: Path) -> None:
    losses = tracker.notices("lost")
    before = len(tracker.told("time"))
    tracker.process.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        tracker.process.wait(3)
    tracker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: len(tracker.told("time")) >= before + 5)  # in the present: tests/streamer/app/test_standstill.py
    assert "were not heard: this program stood still" in tracker.log.read_text()
    hear_music(tracker, server, clip)
    assert tracker.notices("lost") == losses  # its own pause is not the input's


def test_another_source_is_never_taken_for_it(tracker: Tracker, server: Stage, clip: Path) -> None:
    """The sound server moves the stream to the source that is left; it is to be lost instead."""
    modules = [line.split("\t") for line in server.pactl("list", "short", "modules").stdout.splitlines()]
    number = next(module[0] for module in modules if module[1] == "module-null-sink")
    other = server.load_sink("other")
    server.pactl("unload-module", number)
    wait_for(lambda: not server.pactl("list", "short", "source-outputs").stdout.strip())
    tracker.await_lost()
    tracker.await_emissions(3)
    assert tracker.activity == "lost"
    server.load_sink()
    server.pactl("set-default-source", "other.monitor")
    hear_music(tracker, server, clip)
    server.pactl("unload-module", other)


def test_each_loss_is_told_once_and_ctrl_c_ends_it_in_a_loss_too(tracker: Tracker, server: Stage) -> None:
    server.kill()
    tracker.await_lost()
    told = [int(number) for number in re.findall(r"' is lost .* \(loss (\d+)\)", tracker.log.read_text())]
    # The log lets five a minute of a kind through, and all that happened above may take less than a minute.
    assert told[:5] == [1, 2, 3, 4, 5], tracker.log.read_text()
    assert told == sorted(set(told))
    tracker.process.send_signal(signal.SIGINT)
    assert tracker.process.wait(PATIENCE) == 3  # the input was away
    assert tracker.workers() == []
    assert re.search(r"sent \d+ emissions", tracker.log.read_text().splitlines()[-1])


@pytest.fixture
def jack(tmp_path: Path) -> Iterator[Jack]:
    with jack_server(tmp_path / "jackd.log") as running:
        yield running


def test_a_jack_server_that_dies_and_comes_back_at_another_rate(jack: Jack, tmp_path: Path) -> None:
    env = jack.env | {"PULSE_SERVER": "unix:/nonexistent"}
    with contextlib.contextmanager(listen)(env, "system", tmp_path) as tracker:
        jack.kill()
        tracker.await_lost()
        tracker.await_emissions(2)
        jack.start(44_100)
        wait_for(lambda: tracker.activity == "silence")
        assert any("PortAudio" in port for port in jack.ports())
        tracker.await_emissions(2)
        assert tracker.activity == "silence"
        assert "is back after" in tracker.log.read_text()
        assert len(tracker.workers()) == 1
        tracker.process.send_signal(signal.SIGTERM)
        assert tracker.process.wait(PATIENCE) == 3  # the input was away
        assert tracker.workers() == []


TRACER = """
import ctypes, sys
held = ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None)  # PTRACE_SEIZE: its end is for nobody else
print(held, flush=True)
sys.stdin.read()
"""


def test_processes_that_are_not_let_go_do_not_pile_up(server: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "MOST_HELD", 1)
    for name in ("PULSE_SERVER", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, server.env[name])
    if server.process.poll() is not None:
        server.start()
    heard = microphone.Microphone("pulse")
    heard.start(len)
    assert heard._capture is not None
    worker = heard._capture.pid
    command = [sys.executable, "-c", TRACER, str(worker)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout is not None
        if tracer.stdout.readline() != "0\n":
            heard.stop()
            pytest.skip("this system lets no process hold another")
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: heard._delay >= 4 * microphone.FIRST)
        assert heard._capture is None
        assert [each.pid for each in heard._held] == [worker]
        tracer.communicate()
    wait_for(lambda: not heard.lost)
    heard.stop()


def test_who_is_not_there_at_the_start_is_told_at_once(server: Stage, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "valaro.streamer", "listen", "--device", "pulse"]
    env = server.env | {"PULSE_SOURCE": f"no-{SINK}.monitor"}
    if server.process.poll() is not None:
        server.start()
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("valaro: audio input 'pulse' refuses to open")
    assert ended.stderr.count("\n") == 1
