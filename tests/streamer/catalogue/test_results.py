"""Each file's results have a name of their own, and what is written is read back the same whatever a file is called."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from valaro.models import Bundle
from valaro.streamer.catalogue.analysis import Heard, emissions
from valaro.streamer.catalogue.discovery import Found, discover
from valaro.streamer.catalogue.results import name_results
from valaro.streamer.catalogue.writers import OutputFormat, copy_text, save_npz, save_text
from valaro.streamer.cli import run

from ...models.synthetic_bundle import synthetic_bundle
from ..fakes import neutral

RATE = 8_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return path


@pytest.fixture
def albums(tmp_path: Path) -> list[Path]:
    """Three folders, each with a track of one name."""
    folders = [tmp_path / f"cd{k}" for k in range(3)]
    for k, folder in enumerate(folders):
        folder.mkdir()
        soundfile.write(folder / "01.wav", np.full((k + 2) * RATE, 0.1), RATE)
    return folders


def analysed(out: Path) -> dict[str, str]:
    """The file that each result is of."""
    return {path.name: json.loads(path.read_text().splitlines()[0])["file"] for path in out.iterdir()}


def names(files: Sequence[Path], folder: Path, suffix: str = ".jsonl") -> dict[Path, str]:
    return {path: str(name) for path, name in name_results(discover(files).files, folder, [suffix])}


def test_each_track_of_one_name_is_analysed_once(albums: list[Path], bundle: Path, tmp_path: Path) -> None:
    out, expected = tmp_path / "out", {str(folder / "01.wav") for folder in albums}
    analyze = ["analyze", "--model", str(bundle), "--output", str(out)]
    assert run([*analyze, *map(str, albums[1:])]) == 0
    first = analysed(out)
    assert set(first.values()) == expected - {str(albums[0] / "01.wav")}
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert run([*analyze, *map(str, albums), "--skip-existing"]) == 0
    assert len(analysed(out)) == 3
    assert set(analysed(out).values()) == expected
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert run([*analyze, str(albums[2]), "--skip-existing"]) == 0  # alone it is found again, too
    assert len(analysed(out)) == 3


def test_runs_one_after_the_other_overwrite_no_other_file_s_result(
    albums: list[Path], bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for turn in range(2):
        for folder in albums:
            more = ["--skip-existing"] * turn
            assert run(["analyze", str(folder), "--model", str(bundle), "--output", str(out), *more]) == 0
    found = analysed(out)
    assert len(found) == 3
    assert sorted(found.values()) == [str(folder / "01.wav") for folder in albums]
    assert found["01.wav.jsonl"] == str(albums[0] / "01.wav")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".npz"])
def test_results_of_the_version_before_are_known(albums: list[Path], tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for folder, name in zip(albums, ("01.wav", "01.wav-2", "01.wav-3"), strict=True):
        save(suffix, str(folder / "01.wav"), out / f"{name}{suffix}")
    given_in = names(list(reversed(albums)), out, suffix)
    assert given_in == {
        albums[0] / "01.wav": "01.wav",
        albums[1] / "01.wav": "01.wav-2",
        albums[2] / "01.wav": "01.wav-3",
    }
    assert names([albums[1]], out, suffix) == {albums[1] / "01.wav": "01.wav-2"}


def save(suffix: str, file: str, path: Path) -> None:
    if suffix == ".npz":
        save_npz([neutral(0.5)], file, path)
    else:
        save_text([neutral(0.5)], file, OutputFormat(suffix[1:]), path)


def test_names_depend_on_no_order(albums: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert names(albums, out) == names(list(reversed(albums)), out)
    assert names([albums[0]], out) == {albums[0] / "01.wav": "01.wav"}
    assert len(set(names(albums, out).values())) == 3
    assert names([albums[0], albums[0] / "01.wav", albums[0] / "." / "01.wav"], out).popitem()[1] == "01.wav"


def test_names_that_meet_on_other_systems_are_kept_apart(tmp_path: Path) -> None:
    files = [Found(Path(f"/m/{k}"), Path(name)) for k, name in enumerate(MEETING)]
    named = [str(name) for _, name in name_results(files, tmp_path, [".jsonl"])]
    assert len({name.casefold() for name in named}) == len(files)
    assert named[0] == "a.wav"
    assert named[1] == "a.mp3"
    assert all("-" in name for name in named[2:6])
    assert named[6] == "_con.wav"


MEETING = ("a.wav", "a.mp3", "B.wav", "b.WAV", "caf\u00e9.wav", "cafe\u0301.wav", "con.wav")


@pytest.mark.parametrize("letter", ["x", "ü", "\udcff", "😀"])
def test_a_name_too_long_for_a_result_is_shortened(tmp_path: Path, letter: str) -> None:
    count = 251 // len(os.fsencode(letter))
    files = [Found(Path(f"/m/{letter * count}{k}.wav"), Path(f"{letter * count}{k}.wav")) for k in range(2)]
    named = [name for _, name in name_results(files, tmp_path, [".jsonl", ".png"])]
    assert named[0] != named[1]
    for name in named:
        assert len(os.fsencode(f"{name}.jsonl")) <= 255
        (tmp_path / f"{name}.jsonl").touch()


def test_a_long_name_is_saved_and_found_again(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song, out = tmp_path / ("x" * 247 + ".wav"), tmp_path / "out"
    soundfile.write(song, np.full(RATE, 0.1), RATE)
    analyze = ["analyze", str(song), "--model", str(bundle), "--output", str(out)]
    assert run(analyze) == 0
    assert list(analysed(out).values()) == [str(song)]
    assert run([*analyze, "--skip-existing"]) == 0
    assert "1 files have their results" in capsys.readouterr().err
    assert len(analysed(out)) == 1


def test_thousands_of_one_name_are_named_at_once(tmp_path: Path) -> None:
    files = [Found(Path(f"/m/album {number}/track01.wav"), Path("track01.wav")) for number in range(3_000)]
    assert len({name for _, name in name_results(files, tmp_path, [".jsonl"])}) == 3_000


# Bytes as a file system holds them; text that is odd in tables, in JSON or in spreadsheets comes up often.
ODD = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b'"', b",", b";", b"'", b"=", b"+", b"-", b"@", b"\t", b"\\", b"\xff", b"a"]
    ),
    min_size=1,
    max_size=8,
).map(b"".join)
NAMES = st.one_of(ODD, st.binary(min_size=1, max_size=30)).map(
    lambda name: name.replace(b"\0", b"").replace(b"/", b"_")
)


@settings(max_examples=150, deadline=None)
@given(name=NAMES.filter(bool))
def test_whatever_a_file_is_called_is_read_back_by_the_standard_reader(
    tmp_path_factory: pytest.TempPathFactory, name: bytes
) -> None:
    file, folder = os.fsdecode(name), tmp_path_factory.mktemp("results")
    affects = [neutral(0.5), neutral(1.0)]
    save_text(affects, file, OutputFormat.JSONL, folder / "a.jsonl")
    records = [json.loads(line) for line in (folder / "a.jsonl").read_text("utf-8").splitlines()]
    assert [record["file"] for record in records] == [file] * 2
    assert records == json.loads(json.dumps([affect.record(file) for affect in affects]))
    save_text(affects, file, OutputFormat.CSV, folder / "a.csv")
    with (folder / "a.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        rows = list(csv.DictReader(text))
    assert [(row["file"], float(row["time"]), float(row["h60"])) for row in rows] == [
        (file, affect.time, affect.heatmap[5, 5]) for affect in affects
    ]
    with (folder / "b.csv").open("w", encoding="utf-8", errors="surrogateescape", newline="") as copy:
        copy_text(folder / "a.csv", OutputFormat.CSV, copy, header=True)
        copy_text(folder / "a.csv", OutputFormat.CSV, copy, header=False)
    with (folder / "b.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        assert list(csv.DictReader(text)) == rows * 2
    save_npz(affects, file, folder / "a.npz")
    with np.load(folder / "a.npz", allow_pickle=False) as arrays:
        assert str(arrays["path"]) == file
        np.testing.assert_array_equal(arrays["heatmap"], [affect.heatmap for affect in affects])


def test_what_a_file_lost_is_told_and_is_in_the_exit_code_in_one_process_and_in_two(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = np.full((2 * RATE, 1), 0.1, dtype=np.float32)
    odd, cut, whole = tmp_path / "a odd.wav", tmp_path / "b cut.wav", tmp_path / "c whole.wav"
    soundfile.write(odd, np.where(np.arange(2 * RATE)[:, np.newaxis] % 4 == 1, np.nan, quiet), RATE, "FLOAT")
    soundfile.write(whole, quiet, RATE)
    cut.write_bytes(whole.read_bytes()[: RATE * 2])
    told = [
        f"valaro: {odd}: 4,000 of 16,000 samples are no sound (not numbers, or far over full scale), "
        "and were taken as silence",
        f"valaro: {cut}: breaks off after 1.0 s (its header says 2.0 s)",
    ]
    for jobs in ("1", "2"):
        analyze = ["analyze", "--model", str(bundle), "--jobs", jobs, "--output", str(tmp_path / f"out{jobs}")]
        assert run([*analyze, *map(str, (odd, cut, whole))]) == 3
        assert sorted(capsys.readouterr().err.splitlines()) == told
    assert run([*analyze, str(cut)]) == 3
    assert run([*analyze, str(odd), str(whole), "--jobs", "1"]) == 3  # as of a show of it
    assert run([*analyze, str(whole)]) == 0
    gone = str(tmp_path / "gone.wav")
    assert run([*analyze, gone, str(whole), "--skip-existing"]) == 3  # that one is done
    assert run([*analyze, gone]) == 2
    assert analysed(tmp_path / "out1") == analysed(tmp_path / "out2")


def test_heatmaps_and_decoders_that_failed_are_told_of_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The counts of a show, in an analysis, which has no closing line."""
    sound, bundle = tmp_path / "a.wav", synthetic_bundle()
    soundfile.write(sound, np.full(RATE, 0.1), RATE)
    heard = Heard()
    assert len(list(emissions(sound, bundle, heard=heard))) == 2
    assert (heard.lost, caplog.text) == (False, "")
    counts = iter([3, 5])
    monkeypatch.setattr(Bundle, "decoder_faults", property(lambda _: next(counts)))
    monkeypatch.setattr("valaro.streamer.core.engine._is_heatmap", lambda _: False)
    list(emissions(sound, bundle, heard=heard))
    assert heard.lost
    assert f"{sound}: 2 heatmaps were no numbers: others stand for them" in caplog.text
    assert f"{sound}: a decoder failed 2 times: its weight went to the others" in caplog.text


TERMINAL = """
import os, pty, sys
code = pty.spawn([sys.executable, "-m", "valaro.streamer", *os.fsdecode(os.environb[b"ARGS"]).split("|")])
sys.exit(os.waitstatus_to_exitcode(code))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
@pytest.mark.parametrize("command", ["analyze", "rate"])
def test_a_name_that_is_no_text_is_escaped_in_a_strict_terminal(bundle: Path, tmp_path: Path, command: str) -> None:
    name = b"raw\xff.wav"
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 3 * RATE), RATE)
    os.rename(tmp_path / "a.wav", tmp_path / os.fsdecode(name))
    arguments = {
        "analyze": [b"analyze", b"--format", b"csv", name],
        "rate": [*b"rate|--at|1.5|--valence|0.5|--arousal|0.5|--listener|ana".split(b"|"), name],
    }[command]
    environment = {
        **os.environb,
        b"ARGS": b"|".join([*arguments, b"--model", os.fsencode(bundle)]),
        b"PYTHONIOENCODING": b"utf-8:strict",
        b"XDG_DATA_HOME": os.fsencode(tmp_path / "data"),
    }
    command_line = [sys.executable, "-c", TERMINAL]
    with open(os.devnull) as nothing:
        ended = subprocess.run(
            command_line, cwd=tmp_path, env=environment, stdin=nothing, capture_output=True, check=False
        )
    assert ended.returncode == 0, ended.stdout
    assert b"raw\\udcff.wav" in ended.stdout
    assert b"fault" not in ended.stdout
