"""``valaro calibrate`` as a user meets it: asked on a terminal, or driven through a pipe."""

import io
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.models import load_bundle
from valaro.streamer.catalogue.analysis import emissions
from valaro.streamer.cli import run
from valaro.streamer.cli.calibrate import MAX_FILES, _pieces, excerpt
from valaro.streamer.errors import AudioFileError
from valaro.streamer.listeners.evidence import StoredRating
from valaro.streamer.listeners.schema import default_path
from valaro.streamer.listeners.store import Listeners
from valaro.streamer.sources import AudioFile
from valaro.streamer.sources.demo import demo_piece

from ...models.synthetic_bundle import synthetic_bundle
from ..oscdump import wait_for
from ..pulse import stage

RATE = 24_000
COMMAND = [sys.executable, "-c", "from valaro.streamer.cli import main; main()"]
HINT = "write two numbers from -1 to 1, valence and arousal"

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return str(path)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("music") / "song.wav"
    soundfile.write(path, demo_piece(RATE)[: 32 * RATE], RATE)
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of the test's own, and where its files go."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "data"))  # macOS
    assert default_path().is_relative_to(tmp_path)
    return tmp_path


def one_line(text: str) -> str:
    assert text.startswith("valaro: ")
    assert text.count("\n") == 1
    return text


def answer(monkeypatch: pytest.MonkeyPatch, lines: str, *arguments: str, name: str = "ana") -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    return run(["calibrate", *arguments, "--listener", name, "--silent"])


def stored(name: str = "ana") -> list[StoredRating]:
    with Listeners() as store:
        return list(store.ratings(name))


def test_answers_are_kept_with_what_was_heard_at_the_moments_asked_about(
    song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert answer(monkeypatch, "0.5 0.4\n-1, .25\n", str(song), "--model", bundle) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    first, second = stored()
    assert [(rating.valence, rating.arousal, rating.source) for rating in (first, second)] == [
        (0.5, 0.4, "cli"),
        (-1.0, 0.25, "cli"),
    ]
    assert abs(first.time - second.time) >= 10
    assert min(first.time, second.time) >= 5
    live = {affect.time: affect for affect in emissions(song, load_bundle(bundle))}
    for rating in (first, second):
        np.testing.assert_allclose(rating.evidence.heatmap, live[rating.time].heatmap.ravel(), rtol=1e-5)
    lines = captured.out.splitlines()
    begin = max(0.0, first.time - 6)
    assert lines[1] == f"1 of 6: song.wav, 0:{begin:04.1f} to 0:{first.time:04.1f}"
    assert lines[-1].startswith("ana: 2 ratings by now; this music moves by valence ")


def test_no_more_is_asked_than_was_wanted(song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(monkeypatch, "0.1 0\n0.2 0\n0.3 0\n", str(song), "--model", bundle, "--count", "2") == 0
    assert [rating.valence for rating in stored()] == [0.1, 0.2]


def test_a_moment_is_skipped_and_heard_again_and_the_end_is_when_it_is_said(
    song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert answer(monkeypatch, "r\nS\nr\n0.1 0.2\nq\n0.3 0.3\n", str(song), "--model", bundle) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    [rating] = stored()
    asked = [line for line in captured.out.splitlines() if " of 6: " in line]
    assert [line[0] for line in asked] == ["1", "1", "2"]
    assert len(set(asked)) == 3
    assert asked[1].endswith(f"0:{rating.time:04.1f}")  # the one that was not skipped


def test_when_everything_was_asked_it_ends(
    song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert answer(monkeypatch, "s\n" * 50, str(song), "--model", bundle) == 0
    out = capsys.readouterr().out
    assert "there is no other moment to ask about" in out
    assert out.splitlines()[-1].startswith("ana: 0 ratings by now")


def test_what_is_no_answer_is_said_in_one_line_and_asked_again(
    song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    lines = ["", "0.5", "0.5 0.5 0.5", "1.01 0", "0 -2", "nan 0", "0 nan", "inf 0", "so so", "1e999 0"]
    endless = "x" * 2500  # is taken in three parts
    assert answer(monkeypatch, "\n".join([*lines, endless, "0.5 0.5\n"]), str(song), "--model", bundle) == 0
    assert capsys.readouterr().err.splitlines() == [f"valaro: {HINT}, such as: 0.5 -0.2"] * (len(lines) + 3)
    assert [rating.valence for rating in stored()] == [0.5]


def test_bytes_that_are_no_text_are_no_answer(song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n0.5 0.5\n"), encoding="utf-8"))
    assert run(["calibrate", str(song), "--listener", "ana", "--silent", "--model", bundle]) == 0
    assert len(stored()) == 1


@pytest.mark.parametrize("word", ["y", "r"])
def test_answers_without_end_are_no_answer(
    song: Path, bundle: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert answer(monkeypatch, "0.5 0.5\n" + f"{word}\n" * 1000, str(song), "--model", bundle) == 2
    assert "20 answers, and none is a rating" in capsys.readouterr().err.splitlines()[-1]
    assert len(stored()) == 1  # what was said before is kept


def test_without_a_terminal_nobody_answers(song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run(["calibrate", str(song), "--listener", "ana", "--silent", "--model", bundle]) == 0
    assert stored() == []


def test_what_is_known_already_changes_what_is_asked(
    song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    stranger = "ana: 0 ratings by now; this music moves by valence +0.00 ± 0.1"
    assert answer(monkeypatch, "", str(song), "--model", bundle) == 0
    assert stranger in capsys.readouterr().out
    assert answer(monkeypatch, "1 1\n1 1\n1 1\n", str(song), "--model", bundle) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "3 ratings by now; this music moves by valence +0.2" in last or "valence +0.3" in last
    assert answer(monkeypatch, "", str(song), "--model", bundle) == 0
    assert capsys.readouterr().out.splitlines()[-1] == last  # learnt anew from the store


def test_a_rating_that_cannot_be_read_is_left_out(
    song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert answer(monkeypatch, "1 1\n1 1\n", str(song), "--model", bundle) == 0
    with sqlite3.connect(default_path()) as other:
        other.execute("UPDATE rating SET theta = x'00' WHERE id = 1")
    other.close()
    capsys.readouterr()
    assert answer(monkeypatch, "", str(song), "--model", bundle) == 0
    captured = capsys.readouterr()
    assert one_line(captured.err).endswith("is damaged: rating 1 cannot be read; left out\n")
    assert "this music moves by valence +0.00" not in captured.out  # the other one counts


def test_the_built_in_piece_is_there_when_nothing_is_named(
    bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert answer(monkeypatch, "0.5 0.5\n", "--model", bundle, "--decoder", "aeg") == 0
    assert "1 of 6: the built-in piece, 0:" in capsys.readouterr().out
    assert len(stored()) == 1


def test_a_folder_is_heard_whole_but_for_what_is_no_music(
    home: Path, song: Path, bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    folder = home / "music" / "deep"
    folder.mkdir(parents=True)
    (folder / "song.WAV").symlink_to(song)
    (folder / "._song.wav").write_bytes(b"what macOS leaves")
    (folder / "cover.jpg").write_bytes(b"no sound")
    (folder / "broken.mp3").write_bytes(b"dear diary")
    assert answer(monkeypatch, "0.5 0.5\n", str(home / "music"), "--model", bundle) == 3  # one file was lost
    captured = capsys.readouterr()
    message = one_line(captured.err)
    assert "broken.mp3: is not a sound file" in message
    assert "it is left out" in message
    assert "1 of 6: song.WAV, " in captured.out


def test_of_a_large_folder_some_are_heard_from_all_over_it(home: Path, capsys: Captured) -> None:
    for number in range(3 * MAX_FILES):
        soundfile.write(home / f"{number:03}.wav", np.zeros(8000), 8000)
    names = [Path(path).name for path in _pieces([home], [])]
    assert names == [f"{number:03}.wav" for number in range(0, 3 * MAX_FILES, 3)]
    assert one_line(capsys.readouterr().err) == "valaro: 30 of 90 files are heard, spread over all of them\n"


def test_a_file_that_was_named_twice_is_heard_once(song: Path) -> None:
    assert list(_pieces([song, song.parent, song], [])) == [str(song)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--count", "0"], "--count must be from 1 to 20, not 0"),
        (["--count", "21"], "--count must be from 1 to 20, not 21"),
        (["--count", "few"], "--count"),
        (["--listener", ""], "name"),
        (["--listener", "x" * 10_000], "at most 64 printable characters"),
        (["--listener", "../a\nb"], "printable"),
        (["no-such-file.wav"], "there is no such file"),
        (["no-such\0file.wav"], "null byte"),
        (["{home}/empty"], "there is no sound file in this folder"),
        (["{home}/diary.wav"], "is not a sound file"),
        (["{home}/quiet.wav"], "none of it sounds for 5 s on end"),
        (["{home}/short.wav"], "none of it sounds for 5 s on end"),
        (["--decoder", "lstm"], "lstm"),
        (["--model", "no-such-bundle"], "no-such-bundle"),
    ],
)
def test_bad_input_is_one_line(
    home: Path, song: Path, bundle: str, change: list[str], message: str, capsys: Captured
) -> None:
    (home / "empty").mkdir()
    (home / "diary.wav").write_text("dear diary")
    soundfile.write(home / "quiet.wav", np.zeros(20 * RATE), RATE)
    soundfile.write(home / "short.wav", soundfile.read(song, frames=4 * RATE)[0], RATE)
    change = [argument.format(home=home) for argument in change]
    music = [] if not change[0].startswith("--") else [str(song)]
    assert run(["calibrate", *music, "--listener", "ana", "--silent", "--model", bundle, *change]) == 2
    captured = capsys.readouterr()
    assert message in one_line(captured.err)
    assert captured.out == ""
    with Listeners() as store:
        assert store.names() == {}


def test_nobody_is_not_asked(song: Path, capsys: Captured) -> None:
    assert run(["calibrate", str(song), "--silent"]) == 2
    assert "--listener" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(("end", "length"), [(20.0, 6.0), (4.0, 4.0), (32.0, 6.0)])
def test_what_is_played_is_what_was_heard_before_the_moment(song: Path, end: float, length: float) -> None:
    whole, _ = soundfile.read(song, dtype="float32", always_2d=True)
    expected = whole[round((end - length) * RATE) : round(end * RATE)]
    np.testing.assert_array_equal(excerpt(AudioFile(song), end), expected)


def test_a_file_that_shrank_meanwhile_is_one_line(song: Path) -> None:
    with pytest.raises(AudioFileError, match=r"song\.wav: is not what it was any more"):
        excerpt(AudioFile(song), 60.0)


def asked_aloud(song: Path, bundle: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "calibrate", str(song), "--listener", "ana", "--model", bundle, "--count", "1"]
    return subprocess.run(command, input="0.5 0.5\n", env=env, capture_output=True, text=True, timeout=200, check=False)


def test_without_an_audio_output_it_says_what_to_listen_to(song: Path, bundle: str) -> None:
    env = {**os.environ, "PULSE_SERVER": "unix:/nowhere"}
    output = [sys.executable, "-c", "import sounddevice; sounddevice.query_devices(kind='output')"]
    if subprocess.run(output, env=env, capture_output=True, check=False).returncode == 0:
        pytest.skip("there is an audio output here")
    done = asked_aloud(song, bundle, env)
    assert done.returncode == 0, done.stderr
    assert "listen elsewhere, to what is named here" in one_line(done.stderr)
    assert "1 of 1: song.wav, 0:" in done.stdout
    assert len(stored()) == 1


def test_the_moment_is_played(home: Path, song: Path, bundle: str) -> None:
    with stage() as server:
        recorded = home / "recorded.raw"
        command = ["parec", "--device=stage.monitor", "--format=float32le", f"--rate={RATE}", "--channels=1"]
        with recorded.open("wb") as file, subprocess.Popen(command, env=server.env, stdout=file) as recorder:
            try:
                wait_for(lambda: recorded.stat().st_size > 0)
                done = asked_aloud(song, bundle, server.env)
                size = recorded.stat().st_size
                wait_for(lambda: recorded.stat().st_size > size + 4 * RATE)  # a second more: it is all written
            finally:
                recorder.terminate()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    [rating] = stored()
    played = excerpt(AudioFile(song), rating.time)[:, 0]
    data = recorded.read_bytes()
    recording = np.frombuffer(data[: len(data) // 4 * 4], dtype="<f4")
    # In parts, for a busy machine may stutter between them: each is there as it was, at its own level.
    parts = np.split(played, 12)
    assert sum(contains(part, recording) for part in parts) >= 8


def contains(part: np.ndarray, recording: np.ndarray) -> bool:
    size = 1 << (len(recording) + len(part)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(recording, size) * np.conj(np.fft.rfft(part, size)), size)
    return bool(correlation.max() > 0.9 * float(part @ part))
