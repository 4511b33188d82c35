"""What was heard, as a sound file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.streamer.core.session import Session
from valaro.streamer.errors import InputError, SinkError
from valaro.streamer.sinks.audio_recorder import AudioRecorder
from valaro.streamer.sources import Memory

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
print(count, saving.failed)
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
    assert done.stdout.split() == ["20", "True"]  # all of 240,000 frames
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"saving {path}: ")
    kept, _ = soundfile.read(path)
    assert len(kept) > 70_000  # 280,000 bytes of floats, of the 300,000 that there was room for
    assert np.all(kept == 0.5)
