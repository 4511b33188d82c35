"""A tracker that is stopped and goes on, as when the machine sleeps: it resumes in the present.

No burst comes, and what was not heard is counted as lost sound.
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..fakes import neutral
from ..oscdump import PATIENCE, wait_for
from ..pulse import Stage, stage

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows has no such signal"),
]

STOPPED = 6.0  # s
BEFORE = 6  # emissions
MOST = 4  # emissions in the first half second: one is due, and a busy machine is a second behind


@pytest.fixture(scope="module")
def server() -> Iterator[Stage]:
    with stage(48_000) as running:
        yield running


def stopped(folder: Path, words: list[str], env: dict[str, str] | None = None) -> tuple[list[float], str]:
    """Run it, stop it for six seconds, let it go on for some emissions; when each was sent, and what it said."""
    show, log = folder / "show.jsonl", folder / "log.txt"
    command = [sys.executable, "-m", "valaro.streamer", *words, "--no-display", "--record", str(show)]
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors, env=env) as running:
        try:
            wait_for(lambda: show.exists() and show.read_text().count("\n") >= BEFORE)
            running.send_signal(signal.SIGSTOP)
            before = show.read_text().count("\n")
            time.sleep(STOPPED)
            running.send_signal(signal.SIGCONT)
            wait_for(lambda: show.read_text().count("\n") >= before + 6)
            running.send_signal(signal.SIGINT)
            code = running.wait(PATIENCE)
        finally:
            running.kill()
    said = log.read_text()
    assert code == (3 if "lost nothing" not in said else 0), said
    records = [json.loads(line) for line in show.read_text().splitlines()]
    times = [record["time"] for record in records]
    assert times == sorted(set(times))
    return [record["sent"] for record in records], said


def burst(sent: list[float]) -> int:
    """How many came within half a second of the first after the stop."""
    resumed = next(k for k in range(1, len(sent)) if sent[k] - sent[k - 1] > STOPPED / 2)
    return sum(each - sent[resumed] < 0.5 for each in sent[resumed:])


def test_an_input_goes_on_in_the_present_and_what_was_not_heard_is_counted(server: Stage, tmp_path: Path) -> None:
    sent, said = stopped(tmp_path, ["listen", "--device", "pulse"], server.env)
    assert burst(sent) <= MOST
    told = re.search(r"([\d.]+) s were not heard: this program stood still", said)
    assert told is not None, said
    assert float(told[1]) > STOPPED - 1.0
    lost = re.search(r"lost ([\d.]+) s of sound", said)
    assert lost is not None, said
    assert float(lost[1]) > STOPPED - 1.0
    assert "device faults" not in said
    assert "is lost" not in said


def test_a_piece_goes_on_where_it_was(tmp_path: Path) -> None:
    sent, said = stopped(tmp_path, ["demo"])
    assert burst(sent) <= MOST
    assert "lost nothing" in said


def test_what_was_to_go_out_meanwhile_is_stale(tmp_path: Path) -> None:
    sent, said = stopped(tmp_path, ["demo", "--offset", "2"])
    assert burst(sent) <= MOST
    assert re.search(r"\d emissions whose time passed while the program stood still", said), said


def test_a_replay_goes_on_where_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    lines = [neutral(0.5 * k).record() | {"sent": 0.5 * k} for k in range(1, 100)]
    old.write_text("".join(json.dumps(line) + "\n" for line in lines))
    log = tmp_path / "log.txt"
    command = [sys.executable, "-u", "-m", "valaro.streamer", "replay", str(old)]
    with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as running:
        assert running.stdout is not None
        try:
            for _ in range(BEFORE):
                running.stdout.readline()
            running.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED)
            running.send_signal(signal.SIGCONT)
            arrived = []
            for _ in range(MOST + 4):
                running.stdout.readline()
                arrived.append(time.monotonic())
            running.send_signal(signal.SIGINT)
            assert running.wait(PATIENCE) == 0
        finally:
            running.kill()
    assert arrived[-1] - arrived[0] > 1.0  # and not all at once
