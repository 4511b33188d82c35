"""The process that captures: it says what there is, passes on what comes, and does not outlive who started it."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from valaro.streamer.sources.devices.capture import CLOSING, SOUND, Blocks, Capture, Sound, _message

from ...oscdump import PATIENCE, wait_for

CLEAN, FAULTY = None, SimpleNamespace(input_overflow=True, input_underflow=False)


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capture]:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
    running = Capture()
    yield running
    running.end()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")


@needs_proc
def test_it_says_what_there_is_and_ends_by_itself_when_it_is_let_go(capture: Capture) -> None:
    told = capture.messages.get(timeout=PATIENCE)
    assert isinstance(told, dict)
    assert set(told) == {"inputs", "default"}
    assert capture.end(PATIENCE)
    assert capture.messages.get(timeout=PATIENCE) is None
    assert not alive(capture.pid)
    assert capture.end()  # again


def test_what_does_not_open_is_a_fault_and_then_the_end(capture: Capture) -> None:
    capture.messages.get(timeout=PATIENCE)
    capture.open(9_999, 2, 48_000)
    told = capture.messages.get(timeout=PATIENCE)
    assert isinstance(told, dict)
    assert set(told) == {"fault", "code"}
    assert capture.messages.get(timeout=PATIENCE) is None
    capture.open(0, 2, 48_000)  # nobody is there: nothing happens


@needs_proc
def test_signals_for_the_show_are_not_for_it_but_it_can_be_killed(capture: Capture) -> None:
    capture.messages.get(timeout=PATIENCE)
    for each in (signal.SIGINT, signal.SIGTERM):
        os.kill(capture.pid, each)
    assert os.getsid(capture.pid) == capture.pid  # Ctrl-C does not even reach it
    capture.open(9_999, 2, 48_000)
    assert isinstance(capture.messages.get(timeout=PATIENCE), dict)  # it still answers


@needs_proc
@pytest.mark.parametrize("patience", [0.0, CLOSING])
def test_one_that_hangs_is_ended_by_force(capture: Capture, patience: float) -> None:
    capture.messages.get(timeout=PATIENCE)
    os.kill(capture.pid, signal.SIGSTOP)
    assert not capture.end(patience)
    assert capture.messages.get(timeout=PATIENCE) is None
    assert not alive(capture.pid)


PARENT = """
import time
from valaro.streamer.sources.devices.capture import Capture
capture = Capture()
capture.messages.get()
print(capture.pid, flush=True)
time.sleep(600)
"""


@needs_proc
def test_it_does_not_outlive_who_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    wait_for(lambda: not alive(pid))


FOREIGN = """
import runpy, sys
runpy.run_path({path!r}, run_name="not main")
foreign = [name for name in sys.modules if name.partition(".")[0] in ("valaro", "numpy", "sounddevice")]
print(foreign)
"""


def test_it_costs_no_numpy_and_nothing_of_ours() -> None:
    path = sys.modules[Capture.__module__].__file__
    done = subprocess.run([sys.executable, "-P", "-c", FOREIGN.format(path=path)], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def read(pipe: io.BytesIO) -> list[Sound]:
    pipe.seek(0)
    found = []
    while isinstance(message := _message(pipe), Sound):
        found.append(message)
    return found


def test_blocks_pass_in_order_and_what_finds_no_room_is_counted() -> None:
    blocks, pipe = Blocks(capacity=20), io.BytesIO()
    for number in range(4):
        blocks.take(bytes([number] * 8), 1, None, FAULTY if number == 1 else CLEAN)
    blocks.closing = True
    blocks.end()
    blocks.write(pipe)
    blocks.take(bytes([9] * 8), 1, None, CLEAN)  # there is room again
    blocks.end()
    blocks.write(pipe)
    passed = read(pipe)
    assert [each.samples[0] for each in passed] == [0, 1, 9]
    assert [(each.overflows, each.underflows, each.dropped) for each in passed] == [(0, 0, 0), (1, 0, 0), (1, 0, 2)]
    assert passed[0].at <= passed[1].at <= passed[2].at


@pytest.mark.parametrize("cut", [0, 1, 5, 20, 44])
def test_a_message_that_breaks_off_is_the_end(cut: int) -> None:
    blocks, pipe = Blocks(capacity=100), io.BytesIO()
    blocks.take(bytes(8), 1, None, CLEAN)
    blocks.closing = True
    blocks.end()
    blocks.write(pipe)
    whole = pipe.getvalue()
    assert whole[:1] == SOUND
    assert len(whole) == 45
    assert _message(io.BytesIO(whole)) is not None
    assert _message(io.BytesIO(whole[:cut])) is None
