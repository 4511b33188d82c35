"""The whole live chain on real parts: a sound server plays, ``valaro listen`` captures and sends, oscdump prints."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import correlate
from valaro.streamer.cli import run
from valaro.streamer.sources.demo import demo_piece

from ...oscdump import PATIENCE, TAGS, Printed, bundles, oscdump, wait_for
from ...pulse import Stage, stage

RATE = 44_100  # what PortAudio gives for the sound server's input: at this rate nobody resamples
SECONDS = 8


@dataclass(frozen=True)
class Show:
    """What was played, and all that came of it."""

    sound: NDArray[np.float32]  # (n,), played on both channels
    saved: Path
    records: list[dict]
    bundles: list[tuple[float, Printed]]  # when it arrived (s, oscdump's own stamp) and what it held
    code: int
    said: str

    def heard(self) -> NDArray[np.float32]:
        """What ``--save-audio`` kept: (n, 2)."""
        samples, rate = soundfile.read(self.saved, dtype="float32")
        assert rate == RATE
        return samples.astype(np.float32)


def piece(_request: pytest.FixtureRequest) -> NDArray[np.float32]:
    """From the happy part of the built-in piece into the tense one."""
    return demo_piece(RATE)[11 * RATE : (11 + SECONDS) * RATE]


def recording(request: pytest.FixtureRequest) -> NDArray[np.float32]:
    """A real clip."""
    path = sorted((request.getfixturevalue("data") / "4q" / "audio").glob("*.opus"))[0]
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, RATE)[: SECONDS * RATE]


@pytest.fixture(scope="module")
def server() -> Iterator[Stage]:
    with stage(RATE) as running:
        yield running


@pytest.fixture(scope="module", params=[piece, recording], ids=lambda make: make.__name__)
def show(request: pytest.FixtureRequest, server: Stage, tmp_path_factory: pytest.TempPathFactory) -> Show:
    """``valaro listen`` from before the sound begins until after it has ended, then Ctrl-C."""
    folder = tmp_path_factory.mktemp("show")
    sound = request.param(request)
    # The server may swallow some milliseconds when a stream begins: let it be silence.
    margin = np.zeros(RATE // 4, dtype=np.float32)
    played = np.concatenate([margin, sound, margin])
    soundfile.write(folder / "played.wav", np.stack([played, played], axis=1), RATE, subtype="FLOAT")
    saved, record = folder / "heard.wav", folder / "show.jsonl"
    printed = folder / "printed.txt"
    with oscdump(printed) as port:
        command = [sys.executable, "-m", "valaro.streamer", "listen", "--device", "pulse", "--no-display"]
        command += ["--osc", f"127.0.0.1:{port}", "--record", str(record), "--save-audio", str(saved)]
        with subprocess.Popen(command, env=server.env, stderr=subprocess.PIPE, text=True) as listener:
            try:
                wait_for(lambda: listener.poll() is not None or lines_of(record) >= 1)
                assert server.play(folder / "played.wav").wait(PATIENCE) == 0
                end = lines_of(record) + 2
                wait_for(lambda: listener.poll() is not None or lines_of(record) >= end)
                listener.send_signal(signal.SIGINT)
                _, said = listener.communicate(timeout=PATIENCE)
            finally:
                listener.kill()
        records = [json.loads(line) for line in record.read_text().splitlines()]
        wait_for(lambda: printed.read_text().count("/valaro/time") >= len(records))
    return Show(sound, saved, records, bundles(printed.read_text()), listener.returncode, said)


def numbers(printed: list[str]) -> list[float]:
    return [float(value) for value in printed[1:]]


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_it_ends_in_good_order_and_has_lost_nothing(show: Show) -> None:
    assert show.code == 0, show.said
    assert show.said.endswith(f"sent {len(show.records)} emissions, lost nothing\n")
    assert len(show.said.splitlines()) <= 2  # nothing of ALSA's or PortAudio's; compiling may be told


def test_each_half_second_of_sound_comes_as_one_packet_of_all_ten_addresses(show: Show) -> None:
    assert len(show.bundles) == len(show.records)
    assert len(show.bundles) >= 2 * SECONDS
    for number, (_, printed) in enumerate(show.bundles, 1):
        assert {address: values[0] for address, values in printed.items()} == TAGS
        assert numbers(printed["/valaro/time"]) == [0.5 * number]
        assert len(printed["/valaro/heatmap"]) == 1 + 121
    arrived = [at for at, _ in show.bundles]
    assert 0.25 < (arrived[-1] - arrived[0]) / (len(arrived) - 1) < 1.0  # as it sounded, not all in the end


def test_the_cells_come_in_their_order_and_sum_to_one(show: Show) -> None:
    for _, printed in show.bundles:
        cells = numbers(printed["/valaro/heatmap"])
        assert min(cells) >= 0.0
        assert sum(cells) == pytest.approx(1.0, abs=1e-4)  # oscdump prints six decimals
        centre = [(2 * step - 10) / 11 for step in range(11)]
        mean = [
            sum(mass * centre[index % 11] for index, mass in enumerate(cells)),  # valence: the column
            sum(mass * centre[index // 11] for index, mass in enumerate(cells)),  # arousal: the row
        ]
        assert numbers(printed["/valaro/va"]) == pytest.approx(mean, abs=1e-4)
        assert numbers(printed["/valaro/gauss"])[:2] == pytest.approx(mean, abs=1e-4)
        masses = [0.0] * 4
        for index, mass in enumerate(cells):
            right, up = (np.sign(centre[step]) / 2 + 0.5 for step in (index % 11, index // 11))
            shares = (right * up, (1 - right) * up, (1 - right) * (1 - up), right * (1 - up))
            masses = [whole + mass * share for whole, share in zip(masses, shares, strict=True)]
        assert numbers(printed["/valaro/quadrants"]) == pytest.approx(masses, abs=1e-4)
    # Only where valence and arousal differ can rows be told from columns.
    apart = [np.ptp(numbers(printed["/valaro/va"])) for _, printed in show.bundles]
    assert max(apart) > 0.01


def test_what_was_sent_is_what_was_recorded(show: Show) -> None:
    for (_, printed), record in zip(show.bundles, show.records, strict=True):
        assert numbers(printed["/valaro/heatmap"]) == pytest.approx(np.ravel(record["heatmap"]), abs=1e-6)
        assert numbers(printed["/valaro/valence"]) == pytest.approx([(record["valence"] + 1) / 2], abs=1e-6)
        assert numbers(printed["/valaro/arousal"]) == pytest.approx([(record["arousal"] + 1) / 2], abs=1e-6)
        assert numbers(printed["/valaro/confidence"]) == pytest.approx([record["confidence"]], abs=1e-6)
        assert numbers(printed["/valaro/level"]) == pytest.approx([record["level"]], abs=1e-6)
        assert printed["/valaro/activity"][1] == f'"{record["activity"]}"'
    assert [record["activity"] for record in show.records[:1]] == ["silence"]
    assert sum(record["activity"] == "music" for record in show.records) >= 2 * SECONDS


def test_live_and_analyze_give_the_same_emissions_for_the_same_sound(
    show: Show, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clip with as much silence before it as the listener heard: nothing else is taken from the capture."""
    heard = show.heard()
    begin = offset(show.sound, heard[:, 0])
    alike = np.zeros_like(heard)
    alike[begin : begin + len(show.sound)] = show.sound[:, np.newaxis]
    assert np.array_equal(heard, alike)  # every sample on its way through the server, PortAudio and the ring
    soundfile.write(tmp_path / "alike.wav", alike, RATE, subtype="FLOAT")
    analyzed = analyze(tmp_path / "alike.wav", capsys)
    assert 0 <= len(analyzed) - len(show.records) <= 1  # at the end of a file the resampler gives its last back
    for live, batch in zip(show.records, analyzed, strict=False):
        assert live["time"] == batch["time"]
        assert np.array(live["heatmap"]) == pytest.approx(np.array(batch["heatmap"]), abs=1e-6)
        for number in ("valence", "arousal", "quadrants", "confidence", "level"):
            assert live[number] == pytest.approx(batch[number], abs=1e-6)
        assert np.array(live["covariance"]) == pytest.approx(np.array(batch["covariance"]), abs=1e-6)
        assert live["activity"] == batch["activity"]


def test_the_silence_before_it_makes_no_other_mood_of_the_clip(
    show: Show, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "clip.wav", show.sound, RATE, subtype="FLOAT")
    alone = analyze(tmp_path / "clip.wav", capsys)
    heard = show.heard()
    skip = round(offset(show.sound, heard[:, 0]) / (RATE / 2))  # whole emissions; the grids differ by a part of one
    same = show.records[skip : skip + len(alone)]
    for axis in ("valence", "arousal"):
        mean_alone, mean_live = (np.mean([each[axis] for each in found]) for found in (alone, same))
        assert mean_alone == pytest.approx(mean_live, abs=0.1)


def offset(sound: NDArray[np.float32], heard: NDArray[np.float32]) -> int:
    """The sample of ``heard`` at which ``sound`` begins."""
    return int(correlate(heard, sound, mode="valid", method="fft").argmax())


def analyze(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    assert run(["analyze", str(path)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]
