"""``valaro replay`` as a user meets it: a real process, a real UDP receiver."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.streamer.cli import run

from ..fakes import neutral
from ..oscdump import PATIENCE, free_port, wait_for

COMMAND = [sys.executable, "-m", "valaro.streamer", "replay"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "show.jsonl"
    lines = [neutral(0.5 * k, level=0.125 * k).record() | {"sent": 3.0 + 0.5 * k} for k in range(1, 6)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(PATIENCE)
        yield opened


def osc(receiver: socket.socket) -> list[str]:
    return ["--osc", f"127.0.0.1:{receiver.getsockname()[1]}"]


def bundle(receiver: socket.socket) -> dict[str, list[Any]]:
    packet = receiver.recv(65536)
    return {message.address: message.params for message in OscBundle(packet) if isinstance(message, OscMessage)}


def one_line(text: str) -> str:
    assert text.startswith("valaro: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


def test_a_show_is_sent_again_to_the_end(recording: Path, receiver: socket.socket) -> None:
    command = [*COMMAND, str(recording), "--speed", "1000", *osc(receiver)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, one_line(done.stderr)) == (0, "valaro: sent 5 emissions, lost nothing\n")
    assert len(done.stdout.splitlines()) == 5
    for k in range(1, 6):
        messages = bundle(receiver)
        assert messages["/valaro/time"] == [0.5 * k]
        assert messages["/valaro/level"] == [0.125 * k]
        assert messages["/valaro/heatmap"] == pytest.approx([1 / 121] * 121)


def test_plain_messages_and_no_display(recording: Path, receiver: socket.socket) -> None:
    command = [*COMMAND, str(recording), "--speed", "100", *osc(receiver), "--osc-messages", "--no-display"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    times = []
    while len(times) < 5:
        message = OscMessage(receiver.recv(65536))
        times += message.params if message.address == "/valaro/time" else []
    assert times == [0.5, 1.0, 1.5, 2.0, 2.5]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_loop_goes_on_until_ctrl_c(recording: Path, receiver: socket.socket, number: signal.Signals) -> None:
    command = [*COMMAND, str(recording), "--loop", "--speed", "50", "--no-display", *osc(receiver)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            times = [bundle(receiver)["/valaro/time"][0] for _ in range(12)]
            running.send_signal(number)
            _, err = running.communicate(timeout=PATIENCE)
        finally:
            running.kill()
    assert times == ([0.5, 1.0, 1.5, 2.0, 2.5] * 3)[:12]
    assert running.returncode == 0
    assert int(one_line(err).split()[2]) >= 12


def test_a_recording_that_a_crash_cut_off_plays_without_its_last_line(recording: Path, receiver: socket.socket) -> None:
    recording.write_bytes(recording.read_bytes()[:-40])
    command = [*COMMAND, str(recording), "--speed", "1000", "--no-display", *osc(receiver)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    cut, summary = done.stderr.splitlines()
    assert done.returncode == 3
    assert summary == "valaro: sent 4 emissions, lost 1 lines of the recording that are no records"
    assert cut == f"valaro: {recording}, line 5: not a record that Valaro wrote: passed over"
    assert [bundle(receiver)["/valaro/time"] for _ in range(4)] == [[0.5], [1.0], [1.5], [2.0]]


def test_a_bad_line_is_told_and_the_show_goes_on(recording: Path, capsys: Captured) -> None:
    """A day that was cut off by a crash, and the next day recorded after it."""
    lines = recording.read_text().splitlines()
    recording.write_text("\n".join([*lines[:2], lines[2][:300] + lines[0], *lines[1:]]) + "\n")
    assert run(["replay", str(recording), "--speed", "1000"]) == 3
    captured = capsys.readouterr()
    told, summary = captured.err.splitlines()
    assert told == f"valaro: {recording}, line 3: not a record that Valaro wrote: passed over"
    assert summary == "valaro: sent 6 emissions, lost 1 lines of the recording that are no records"
    assert len(captured.out.splitlines()) == 6


def test_a_recording_without_any_record_is_bad_input(recording: Path, capsys: Captured) -> None:
    recording.write_text("scribble\n" * 3)
    assert run(["replay", str(recording)]) == 2
    assert f"{recording}, line 1: not a record that Valaro wrote" in one_line(capsys.readouterr().err)


def test_the_config_that_a_show_was_recorded_with_plays_it_again(
    recording: Path, receiver: socket.socket, capsys: Captured
) -> None:
    before = recording.read_bytes()
    config = recording.with_name("show.toml")
    config.write_text(f'record = "{recording.name}"\n[[osc]]\nto = "127.0.0.1:{receiver.getsockname()[1]}"\n')
    assert run(["replay", str(recording), "--speed", "1000", "--no-display", "--config", str(config)]) == 0
    assert one_line(capsys.readouterr().err) == "valaro: sent 5 emissions, lost nothing\n"
    assert [bundle(receiver)["/valaro/time"] for _ in range(5)] == [[0.5], [1.0], [1.5], [2.0], [2.5]]
    assert recording.read_bytes() == before


def test_what_goes_out_later_goes_out_first(recording: Path, receiver: socket.socket, capsys: Captured) -> None:
    command = ["replay", str(recording), "--speed", "1000", "--no-display", "--offset", "0.5", *osc(receiver)]
    assert run(command) == 0
    assert one_line(capsys.readouterr().err) == "valaro: sent 5 emissions, lost nothing\n"


def test_status_counts_what_is_replayed_and_what_nobody_took(recording: Path) -> None:
    port, silent = free_port(), free_port()
    command = [*COMMAND, str(recording), "--loop", "--speed", "50", "--no-display"]
    command += ["--osc", f"127.0.0.1:{silent}", "--osc-in", str(port)]
    ask = OscMessageBuilder("/valaro/status").build().dgram
    answer: list[Any] = []

    def asked() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, suppress(OSError):
            asking.settimeout(0.5)
            asking.connect(("127.0.0.1", port))
            asking.send(ask)
            answer[:] = OscMessage(asking.recv(65536)).params
        return bool(answer) and answer[4] > 4 and answer[6] > 0

    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        try:
            wait_for(asked)
        finally:
            running.kill()
    assert answer[:3] == ["listening", "", 0.0]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-file.jsonl"],
        ["FILE", "--speed", "0"],
        ["FILE", "--speed", "-1"],
        ["FILE", "--speed", "0.09"],
        ["FILE", "--speed", "1001"],
        ["FILE", "--speed", "nan"],
        ["FILE", "--speed", "fast"],
        ["FILE", "--osc", "nowhere"],
        ["FILE", "--device", "1"],
        ["FILE", "--osc-rate", "60"],
        ["FILE", "--osc-messages"],
        ["FILE", "FILE"],
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments: list[str], recording: Path, capsys: Captured) -> None:
    given = [str(recording) if argument == "FILE" else argument for argument in arguments]
    assert run(["replay", *given]) == 2
    captured = capsys.readouterr()
    one_line(captured.err)
    assert captured.out == ""
