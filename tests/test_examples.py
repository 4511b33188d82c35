"""The examples run as their first lines say, and stay small enough to be read at a glance."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.models import load_bundle
from valaro.streamer import Engine
from valaro.streamer.sinks import Osc
from valaro.streamer.sources.demo import demo_piece

EXAMPLES = Path(__file__).parent.parent / "examples"
PATIENCE = 60.0  # s


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_it_is_short_says_how_to_run_it_and_is_tested_here(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") < 60
    assert f"python examples/{path.name}" in text
    assert f'"{path.name}"' in Path(__file__).read_text()


@contextlib.contextmanager
def example(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """It running; ended at the end of the block whatever it does."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def read_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline()


def test_embed_prints_what_the_engine_says(tmp_path: Path) -> None:
    piece = demo_piece(44_100)[: 3 * 44_100]
    soundfile.write(tmp_path / "song.wav", np.stack([piece, piece], axis=1), 44_100, subtype="FLOAT")
    with example("embed.py", str(tmp_path / "song.wav")) as running:
        out, err = running.communicate(timeout=PATIENCE)
    assert err == ""
    engine = Engine(load_bundle(), 44_100)
    affects = engine.push(piece) + engine.finish()
    printed = [re.findall(r"[-+.\d]+", line) for line in out.splitlines()]
    assert len(printed) == len(affects) == 6
    for (at, valence, arousal), affect in zip(printed, affects, strict=True):
        assert float(at) == affect.time
        assert (float(valence), float(arousal)) == pytest.approx((affect.valence, affect.arousal), abs=0.006)


def test_what_is_rated_once_is_felt_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "data"))  # macOS
    soundfile.write(tmp_path / "song.wav", demo_piece(24_000)[: 6 * 24_000], 24_000)
    valences = []
    for count in (1, 2):
        with example("rate.py", str(tmp_path / "song.wav"), "ana", "-1.0", "0.5") as running:
            out, err = running.communicate(timeout=PATIENCE)
        assert err == ""
        felt, rated = out.splitlines()
        assert felt.startswith("ana feels ")
        assert rated == f"ratings by now: {count}"
        valences.append(float(re.findall(r"[-+][.\d]+", felt)[0]))
    assert valences[1] < valences[0]


def test_osc_print_prints_what_is_sent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    piece = demo_piece(24_000)[: 3 * 24_000]
    affect = Engine(load_bundle(), 24_000).push(piece)[-1]
    with example("osc_print.py", str(port)) as running:
        assert read_line(running) == f"listening on port {port}, until Ctrl-C\n"
        sink = Osc(f"127.0.0.1:{port}")
        sink.send(affect)
        sink.close()
        assert read_line(running) == f"valence {affect.valence:+.2f}  arousal {affect.arousal:+.2f}\n"
        row, column = np.unravel_index(affect.heatmap.argmax(), affect.heatmap.shape)
        line = read_line(running)
        assert f"row {row} of arousal, column {column} of valence" in line
        assert f"{affect.heatmap.max():.1%}" in line
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, err) == (0, "")


def test_own_sink_shows_a_colour_for_each_half_second_and_ends_in_good_order() -> None:
    with example("own_sink.py") as running:
        for number in (1, 2, 3):
            assert re.fullmatch(rf" +{number / 2} s  #[0-9a-f]{{6}}\n", read_line(running))
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
    assert out.splitlines()[-1] == "lights out"
    assert (running.returncode, err) == (0, "")


@pytest.mark.parametrize("name", ["embed.py", "rate.py"])
def test_without_its_arguments_it_says_how_it_is_called(name: str) -> None:
    with example(name) as running:
        out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out) == (1, "")
    assert err.startswith(f"usage: python examples/{name} SOUND_FILE")
    assert err.count("\n") == 1
