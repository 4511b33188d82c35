"""Files that no one should have made: one clear line each, or, for what can be played, all that can be played."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.streamer.errors import AudioFileError
from valaro.streamer.sources import AudioFile

RATE = 24_000


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
