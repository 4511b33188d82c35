"""What was heard, as a sound file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.streamer.core.session import Session
from valaro.streamer.errors import InputError, SinkError
from valaro.streamer.sinks.audio_recorder import AudioRecorder
from valaro.streamer.sinks.wave_writer import WaveWriter
from valaro.streamer.sources import AudioFile, Memory

from ...places import ROOT
from ..fakes import Collect, CountingEngine


def test_the_file_is_what_the_engine_was_given_to_the_last_bit(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 2, (50_001, 3)).astype(np.float32)  # beyond full scale too
    sound[100] = np.nan
    engine, sink = CountingEngine(11_025), Collect()
    saving = AudioRecorder(engine, tmp_path / "heard.wav", 11_025, 3)
    Session(Memory(sound, 11_025), saving, [sink]).run()
    saving.close()
    saving.close()
    found, rate = soundfile.read(tmp_path / "heard.wav", dtype="float32")
    assert rate == 11_025
    np.testing.assert_array_equal(found, sound)
    np.testing.assert_array_equal(engine.heard, sound)
    assert engine.warm
    assert engine.finishes == 1
    assert len(sink.affects) == 5
    assert saving.bad_samples == 3


def test_a_file_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"heard\.wav exists already"):
        AudioRecorder(CountingEngine(), path, 24_000, 1)
    assert path.read_text() == "mine"


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"heard\.wav cannot be written: .") as caught:
        AudioRecorder(CountingEngine(), tmp_path / "nowhere" / "heard.wav", 24_000, 1)
    assert "\n" not in str(caught.value)


def test_nothing_heard_leaves_no_file(tmp_path: Path) -> None:
    AudioRecorder(CountingEngine(), tmp_path / "heard.wav", 24_000, 1).close()
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import logging, resource, sys
import numpy as np
from tests.streamer.fakes import CountingEngine
from valaro.streamer.sinks.audio_recorder import AudioRecorder

logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
saving = AudioRecorder(CountingEngine(), sys.argv[1], 24_000, 1)
count = sum(len(saving.push(np.full((2_400, 1), 0.5, dtype=np.float32))) for _ in range(100))
saving.close()
print(count, saving.failed, saving.fault)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a full disk is stood in for by a limit that Windows lacks")
def test_a_full_disk_ends_the_file_and_not_the_show(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["20 True file too large"]  # all of 240,000 frames
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"saving {path}: ")
    kept, _ = soundfile.read(path)
    assert len(kept) > 70_000  # 280,000 bytes of floats, of the 300,000 that there was room for
    assert np.all(kept == 0.5)


KILLED = """
import os, signal, sys
import numpy as np
from tests.streamer.fakes import CountingEngine
from valaro.streamer.sinks.audio_recorder import AudioRecorder

saving = AudioRecorder(CountingEngine(), sys.argv[1], 24_000, 2)
sound = np.random.default_rng(0).normal(0, 0.1, (60_000, 2)).astype(np.float32)
for start in range(0, len(sound), 1_200):
    saving.push(sound[start : start + 1_200])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("suffix", ["wav", "rf64", "flac", "aiff", "ogg"])
def test_after_a_kill_what_was_heard_is_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"heard.{suffix}"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False)
    assert killed.returncode < 0
    sound = np.random.default_rng(0).normal(0, 0.1, (60_000, 2)).astype(np.float32)
    if suffix in ("wav", "rf64"):  # by any program: all but the last second at most
        found, _ = soundfile.read(path, dtype="float32")
        assert len(found) >= 36_000
        np.testing.assert_array_equal(found, sound[: len(found)])
    heard = np.concatenate(list(AudioFile(path).blocks()))
    assert len(heard) == (60_000 if suffix in ("wav", "rf64", "aiff") else pytest.approx(60_000, abs=12_000))
    if suffix != "ogg":
        np.testing.assert_allclose(heard, sound[: len(heard)], atol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "form", "tolerance"),
    [
        ("wav", "WAV", 0.0),
        ("WAV", "WAV", 0.0),
        ("rf64", "RF64", 0.0),
        ("w64", "W64", 0.0),
        ("aiff", "AIFF", 0.0),
        ("caf", "CAF", 0.0),
        ("flac", "FLAC", 1e-6),
        ("ogg", "OGG", 0.1),
        ("opus", "OGG", 0.1),
        ("mp3", "MP3", None),
    ],
)
def test_the_suffix_says_the_format(tmp_path: Path, suffix: str, form: str, tolerance: float | None) -> None:
    path = tmp_path / os.fsdecode(b"h\xffeard." + suffix.encode() if sys.platform == "linux" else b"heard.flac")
    sound = (0.3 * np.sin(np.arange(48_000) / 20)).astype(np.float32)[:, np.newaxis] * np.ones((1, 2), np.float32)
    saving = AudioRecorder(CountingEngine(), path, 24_000, 2)
    for start in range(0, len(sound), 2_400):
        saving.push(sound[start : start + 2_400])
    saving.close()
    with path.open("rb") as file, soundfile.SoundFile(file) as found:
        assert (found.format, found.samplerate, found.channels) == (form, 24_000, 2)
        if tolerance is not None:
            samples = found.read()
            assert len(samples) == len(sound)
            np.testing.assert_allclose(samples[:47_000], sound[:47_000], atol=tolerance)  # the end of Opus rings
        else:
            assert found.frames == pytest.approx(48_000, abs=2_400)


def test_what_is_no_number_or_too_large_fits_a_format_of_whole_numbers(tmp_path: Path) -> None:
    sound = np.array([[np.nan], [np.inf], [-np.inf], [7.0], [-7.0], [0.5]], dtype=np.float32)
    saving = AudioRecorder(CountingEngine(), tmp_path / "heard.flac", 24_000, 1)
    saving.push(sound)
    saving.close()
    assert soundfile.read(tmp_path / "heard.flac")[0] == pytest.approx([0, 1, -1, 1, -1, 0.5], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "rate", "channels", "told"),
    [
        ("heard.m4a", 48_000, 2, r"cannot be saved as \.m4a: name it \.wav"),
        ("heard", 48_000, 2, r"cannot be saved without a suffix: name it \.wav"),
        ("heard.opus", 44_100, 2, r"\.opus cannot hold 2 channels at 44100 Hz: name it \.wav"),
        ("heard.mp3", 48_000, 3, r"\.mp3 cannot hold 3 channels at 48000 Hz: name it \.wav"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, rate: int, channels: int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        AudioRecorder(CountingEngine(), tmp_path / name, rate, channels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_beyond_its_size_a_wav_becomes_an_rf64(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "heard.wav"
    sound = np.random.default_rng(0).normal(0, 1, (400, channels)).astype(np.float32)
    writer = WaveWriter(path, 24_000, channels, most=2_000)
    for count in range(1, 11):
        writer.write(sound[40 * (count - 1) : 40 * count])
        writer.update()
        with soundfile.SoundFile(path) as found:
            plain = path.stat().st_size <= 2_000
            assert found.format == (("WAV" if channels < 3 else "WAVEX") if plain else "RF64")
            np.testing.assert_array_equal(found.read(dtype="float32", always_2d=True), sound[: 40 * count])
    writer.close()
    assert path.stat().st_size > 1_600


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
@pytest.mark.parametrize("name", [os.fsdecode(b"raw\xff.wav"), "-.wav"])
def test_a_name_that_is_no_text_and_one_that_looks_like_a_stream_are_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saving = AudioRecorder(CountingEngine(8_000), Path(name), 8_000, 1)
    saving.push(np.zeros((800, 1), dtype=np.float32))
    saving.close()
    assert os.listdir() == [name]
    with open(name, "rb") as file:
        assert soundfile.info(file).frames == 800
