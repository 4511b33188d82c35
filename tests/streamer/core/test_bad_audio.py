"""Files that no one should have made: one clear line each, or, for what can be played, all that can be played."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.models import load_bundle
from valaro.models.tracker import Tracker
from valaro.streamer.cli import run
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.engine import Engine
from valaro.streamer.core.session import Counters, Session
from valaro.streamer.errors import AudioFileError
from valaro.streamer.sources import AudioFile

from ..fakes import Collect

RATE = 24_000
BUNDLE = load_bundle()


def tone(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.4 * np.sin(2 * np.pi * 220 * time) + 0.2 * np.sin(2 * np.pi * 330 * time)
    return np.repeat(wave[:, np.newaxis], channels, axis=1).astype(np.float32)


def missing(_path: Path) -> None:
    pass


def directory(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("Dear diary,\n" * 50)


def header_only(path: Path) -> None:
    soundfile.write(path, np.zeros((0, 1), dtype=np.float32), RATE)


def broken_header(path: Path) -> None:
    soundfile.write(path, tone(1), RATE)
    path.write_bytes(path.read_bytes()[:20])


def too_short(path: Path) -> None:
    soundfile.write(path, tone(0.1), RATE)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(4_096))


def pipe(path: Path) -> None:
    os.mkfifo(path)


NOT_PLAYABLE: list[tuple[Callable[[Path], None], str, str]] = [
    (missing, "wav", "no such file"),
    (directory, "wav", "a directory"),
    (empty, "wav", "is empty"),
    (text, "mp3", "not a sound file"),
    (text, "raw", "not a sound file"),
    (text, "", "not a sound file"),
    (zeros, "wav", "not a sound file"),
    (header_only, "wav", "holds no sound"),
    (too_short, "wav", "0.10 s"),
    (broken_header, "wav", "sound"),
    (broken_header, "flac", "not a sound file"),
    (broken_header, "mp3", "sound"),
]


@pytest.mark.parametrize(("make", "suffix", "told"), NOT_PLAYABLE)
def test_what_cannot_be_played_is_told_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], suffix: str, told: str
) -> None:
    path = tmp_path / f"a file.{suffix}"
    make(path)
    with pytest.raises(AudioFileError) as caught:
        AudioFile(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert told in message
    assert "\n" not in message


@pytest.mark.parametrize("command", [["analyze"], ["listen", "--no-display", "--file"]])
@pytest.mark.parametrize(("make", "suffix", "told"), NOT_PLAYABLE)
def test_the_command_line_tells_the_same_line_and_says_bad_input(
    tmp_path: Path,
    make: Callable[[Path], None],
    suffix: str,
    told: str,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / f"a file.{suffix}"
    make(path)
    assert run([*command, str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"valaro: {path}: ")
    assert told in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    pipe(path)
    with pytest.raises(AudioFileError, match="device or pipe"):
        AudioFile(path)


def test_an_unreadable_file_gives_the_system_s_reason(tmp_path: Path) -> None:
    path = tmp_path / "locked.wav"
    soundfile.write(path, tone(0.1), RATE)
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser reads all: become nobody for it
        code = (
            "import os, sys; from valaro.streamer.sources import AudioFile\n"
            "from valaro.streamer.errors import AudioFileError\nos.chdir(sys.argv[1]); os.setuid(65534)\n"
            "try:\n    AudioFile('locked.wav')\nexcept AudioFileError as error:\n    print(error)"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.stdout == "locked.wav: cannot be read (Permission denied)\n", ended.stderr
    else:
        with pytest.raises(AudioFileError, match="cannot be read"):
            AudioFile(path)


def test_a_null_in_the_path_is_one_line_too() -> None:
    with pytest.raises(AudioFileError, match=r"^a.b\.wav: [^\n]+$"):
        AudioFile("a\0b.wav")


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", None), ("flac", None), ("mp3", None), ("ogg", "VORBIS"), ("opus", "OPUS")]
)
def test_a_truncated_file_plays_to_where_it_breaks_off(
    tmp_path: Path, suffix: str, subtype: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    rate = 48_000
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(3).normal(scale=0.1, size=(6 * rate, 1)).astype(np.float32)
    soundfile.write(path, noise, rate, subtype, format="OGG" if suffix in ("ogg", "opus") else None)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        heard = np.concatenate(list(AudioFile(path).blocks()))
    assert 1.5 * rate < len(heard) < 4.5 * rate  # half of it, within a block or an Ogg page of a second
    assert np.all(np.isfinite(heard))
    assert len(caplog.records) <= 1
    assert f"{path}: breaks off after " in caplog.text


def listen(path: Path) -> tuple[list[Affect], Counters]:
    """The whole chain on a file: what comes out, and what was counted."""
    source, sink = AudioFile(path), Collect()
    session = Session(source, Engine(BUNDLE, source.rate), [sink])
    session.run()
    return sink.affects, session.counters


def prior() -> np.ndarray:
    tracker = Tracker(BUNDLE)
    return tracker.heatmap(tracker.init()).reshape(11, 11)


def with_bad(value: float) -> np.ndarray:
    samples = tone(3)
    samples[10_000:10_500] = value
    return samples


PLAYABLE: dict[str, tuple[np.ndarray, int, int]] = {  # samples, rate, bad samples
    "half a second": (tone(0.5), RATE, 0),
    "8 kHz": (tone(3, 8_000), 8_000, 0),
    "192 kHz": (tone(3, 192_000), 192_000, 0),
    "7 channels": (tone(3, channels=7), RATE, 0),
    "zeros": (np.zeros((3 * RATE, 1), dtype=np.float32), RATE, 0),
    "DC": (np.full((3 * RATE, 2), 0.5, dtype=np.float32), RATE, 0),
    "clipped": (np.clip(50 * tone(3), -1, 1), RATE, 0),
    "NaN": (with_bad(np.nan), RATE, 500),
    "infinity": (with_bad(-np.inf), RATE, 500),
    "all NaN": (np.full((3 * RATE, 1), np.nan, dtype=np.float32), RATE, 3 * RATE),
}


@pytest.mark.parametrize("what", PLAYABLE)
def test_whatever_can_be_played_gives_finite_heatmaps(tmp_path: Path, what: str) -> None:
    samples, rate, bad = PLAYABLE[what]
    path = tmp_path / "odd.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    affects, counters = listen(path)
    assert [affect.time for affect in affects] == [0.5 * (k + 1) for k in range(2 * len(samples) // rate)]
    for affect in affects:
        assert np.all(np.isfinite(affect.heatmap))
        assert affect.heatmap.min() >= 0
        assert affect.heatmap.sum() == pytest.approx(1)
        assert np.all(np.isfinite([*affect.covariance.ravel(), *affect.quadrants, affect.confidence, affect.level]))
    assert (counters.frames, counters.dropped, counters.bad_samples) == (len(samples), 0, bad)


@pytest.mark.parametrize("what", PLAYABLE)
def test_the_command_line_gives_the_same_as_strict_json(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    samples, rate, bad = PLAYABLE[what]
    path = tmp_path / "odd.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    assert run(["analyze", str(path)]) == (3 if bad else 0)
    captured = capsys.readouterr()
    told = f"{bad:,} of {samples.size:,} samples are no sound (not numbers, or far over full scale)"
    assert captured.err == (f"valaro: {path}: {told}, and were taken as silence\n" if bad else "")
    heatmaps = [json.loads(line, parse_constant=refuse)["heatmap"] for line in captured.out.splitlines()]
    np.testing.assert_allclose(heatmaps, [affect.heatmap for affect in listen(path)[0]], atol=1e-9)


def test_a_name_that_would_write_to_the_terminal_is_told_without_its_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "\x1b]0;owned\x07\x9b2J.wav"
    path.touch()
    assert run(["analyze", str(path)]) == 2
    assert capsys.readouterr().err == f"valaro: {tmp_path}/\ufffd]0;owned\ufffd\ufffd2J.wav: is empty\n"


@pytest.mark.parametrize("what", ["zeros", "all NaN"])
def test_no_sound_at_all_is_silence_and_the_neutral_prior(tmp_path: Path, what: str) -> None:
    samples, rate, _ = PLAYABLE[what]
    path = tmp_path / "still.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    for affect in listen(path)[0]:
        assert (affect.activity, affect.level) == ("silence", 0.0)
        np.testing.assert_allclose(affect.heatmap, prior(), atol=1e-9)


def test_a_constant_voltage_ends_as_silence(tmp_path: Path) -> None:
    samples, rate, _ = PLAYABLE["DC"]
    path = tmp_path / "dc.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    assert all(affect.activity == "silence" for affect in listen(path)[0][2:])  # switching it on may click


def test_when_the_music_stops_the_heatmap_drifts_to_the_neutral_prior(tmp_path: Path) -> None:
    path = tmp_path / "stops.flac"
    soundfile.write(path, np.concatenate([tone(5), np.zeros((60 * RATE, 1), dtype=np.float32)]), RATE)
    affects, _ = listen(path)
    distances = [np.abs(affect.heatmap - prior()).sum() for affect in affects]
    assert [affect.activity for affect in affects[2:9]] == ["music"] * 7
    assert [affect.activity for affect in affects[12:]] == ["silence"] * (len(affects) - 12)
    assert distances[-1] < 0.1 * distances[9]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(distances[12:]))


def test_a_truncated_file_gives_the_emissions_of_what_there_is(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.wav", tmp_path / "cut.wav"
    soundfile.write(whole, tone(6), RATE)
    cut.write_bytes(whole.read_bytes()[: 44 + 2 * 3 * RATE])
    expected, heard = listen(whole)[0][:6], listen(cut)[0]
    assert len(heard) == 6
    for one, other in zip(expected, heard, strict=True):
        np.testing.assert_array_equal(one.heatmap, other.heatmap)
