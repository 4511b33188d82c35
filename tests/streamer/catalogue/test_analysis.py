"""Many files at once: folders, several processes, and what happens to those and to the files when one dies."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.streamer.catalogue.analysis import MIN_PARALLEL_SECONDS, FileResult, Plan, Task, in_order, worth_processes
from valaro.streamer.catalogue.discovery import discover
from valaro.streamer.catalogue.workers import in_parallel
from valaro.streamer.cli import run
from valaro.streamer.errors import ValaroError
from valaro.streamer.sources.demo import demo_piece

from ...models.synthetic_bundle import synthetic_bundle
from ..oscdump import wait_for

RATE = 24_000
COMMAND = [sys.executable, "-c", "from valaro.streamer.cli import main; main()", "analyze"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return path


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five short pieces, one that breaks off, one that is no sound, and things that are not asked for."""
    folder = tmp_path_factory.mktemp("all") / "music"
    (folder / "b side" / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    piece = demo_piece(RATE)
    for k, name in enumerate(("a.wav", "c.WAV", "b side/a.wav", "b side/deep/z.flac", ".hidden/h.wav", ".dot.wav")):
        soundfile.write(folder / name, piece[k * 9 * RATE : (k * 9 + 2) * RATE], RATE)
    stereo = np.stack([piece[: 2 * RATE], piece[30 * RATE : 32 * RATE]], axis=1)
    soundfile.write(folder / "band.wav", stereo, RATE, subtype="FLOAT")
    cut = folder / "cut.flac"
    soundfile.write(cut, np.random.default_rng(0).normal(0, 0.1, 6 * RATE), RATE)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (folder / "bad.wav").write_text("no sound")
    (folder / "b side" / "circle").symlink_to("..")
    for name in ("notes.txt", "cover.JPG", "b side/cover.jpg", "b side/README"):
        (folder / name).touch()
    return folder


NAMES = ["a.wav", "bad.wav", "band.wav", "c.WAV", "cut.flac", "b side/a.wav", "b side/deep/z.flac"]


def test_a_folder_s_sound_files_are_found_in_order_and_the_others_counted(music: Path) -> None:
    discovered = discover([music])
    assert discovered.files == [(music / name, Path(name)) for name in NAMES]
    assert discovered.left_out == {".txt": 1, ".jpg": 2, "no suffix": 1, "hidden": 1, "linked folder": 1}
    assert discovered.faults == []


def test_a_file_that_is_named_is_taken_whatever_it_is_called(music: Path) -> None:
    single = music / "notes.txt"
    assert discover([single, music / "a.wav"]).files == [(single, Path("notes.txt")), (music / "a.wav", Path("a.wav"))]


def test_a_name_that_the_system_refuses_is_said_and_the_others_go_on(
    music: Path, bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    long = "x" * 300 + ".wav"
    analyze = ["analyze", long, str(music / "a.wav"), "--model", str(bundle), "--output", str(tmp_path)]
    for more in ([], ["--skip-existing"]):
        assert run([*analyze, *more]) == 3
        assert re.search(r"x{300}\.wav.* cannot be .*[Ff]ile name too long", capsys.readouterr().err)
    assert list(written(tmp_path)) == ["a.wav.jsonl"]


def test_a_file_of_as_long_a_name_as_its_result_may_have_is_analysed(
    music: Path, bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    name = "ü" * 122 + ".wav"  # 248 bytes, and 254 of the result
    (tmp_path / name).write_bytes((music / "a.wav").read_bytes())
    assert run(["analyze", str(tmp_path / name), "--model", str(bundle), "--output", str(tmp_path / "out")]) == 0
    assert list(written(tmp_path / "out")) == [f"{name}.jsonl"]


def test_a_result_s_folder_that_cannot_be_made_is_one_line(
    music: Path, bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "deep").touch()
    folder, analyze = str(music / "b side"), ["analyze", "--model", str(bundle), "--output", str(tmp_path)]
    assert run([*analyze, folder]) == 3
    assert f"{tmp_path / 'deep' / 'z.flac.jsonl'} cannot be written: file exists" in capsys.readouterr().err
    assert (tmp_path / "a.wav.jsonl").exists()


def test_a_folder_without_sound_is_named(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "song.m4a").touch()
    assert run(["analyze", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"valaro: {tmp_path}: a directory without sound files",
        "valaro: left out, being no sound by name or only linked, 1 in all: 1 .m4a",
    ]


def test_processes_are_worth_it_for_much_sound_only(music: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    soundfile.write(long, np.zeros(int(MIN_PARALLEL_SECONDS / 2) * 1000 + 1000, dtype=np.int16), 1000)
    assert not worth_processes([music / name for name in NAMES] + [long, tmp_path / "missing", music])
    assert worth_processes([long, music / "bad.wav", long, tmp_path / "never looked at"])


def test_what_is_done_early_waits_for_its_turn() -> None:
    tasks = [Task(k, Path(str(k)), None) for k in range(5)]
    finished = ((tasks[k], FileResult(seconds=k)) for k in (2, 0, 1, 4, 3))
    assert [(task.number, result.seconds) for task, result in in_order(finished)] == [(k, k) for k in range(5)]


def test_several_processes_print_the_very_bytes_of_one(music: Path, bundle: Path, capsys: Captured) -> None:
    outputs = []
    for jobs in ("1", "2"):
        assert run(["analyze", str(music), "--model", str(bundle), "--format", "csv", "--jobs", jobs]) == 3
        outputs.append(capsys.readouterr())
    assert outputs[0].out == outputs[1].out
    files = [row["file"] for row in csv.DictReader(io.StringIO(outputs[0].out))]
    assert list(dict.fromkeys(files)) == [str(music / name) for name in NAMES if name != "bad.wav"]
    for captured in outputs:
        lines = lines_of(captured.err)
        left_out = "6 in all: 2 .jpg, 1 hidden, 1 .txt, 1 linked folder, ..."
        assert lines[0] == f"valaro: left out, being no sound by name or only linked, {left_out}"
        assert lines[1].startswith(f"valaro: {music / 'bad.wav'}: is not a sound file")
        assert lines[2].startswith(f"valaro: {music / 'cut.flac'}: breaks off after")
        assert re.fullmatch(r"valaro: 7 files, 1\d s of sound in .* x real time; 1 could not be used", lines[3])
        assert len(lines) == 4


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_s_results_are_ordered_as_it_is_and_not_done_twice(
    music: Path, bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    analyze = ["analyze", str(music), "--model", str(bundle), "--format", "csv"]
    assert run([*analyze, "--jobs", "1", "--output", str(one)]) == 3
    assert run([*analyze, "--jobs", "2", "--output", str(two)]) == 3
    assert written(one) == written(two)
    assert sorted(written(one)) == sorted(f"{name}.csv" for name in NAMES if name != "bad.wav")
    existing = two / "b side" / "deep" / "z.flac.csv"
    existing.write_text("mine")
    (two / "a.wav.csv").unlink()
    capsys.readouterr()
    assert run([*analyze, "--skip-existing", "--output", str(two)]) == 3
    assert f"valaro: 5 files have their results in {two} already" in capsys.readouterr().err
    assert existing.read_text() == "mine"
    assert (two / "a.wav.csv").read_bytes() == (one / "a.wav.csv").read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--jobs", "0"],
        ["--jobs", "two"],
        ["--skip-existing"],
        ["--separate", "--plot"],
        ["--separate", "--listener", "ana"],
    ],
)
def test_what_cannot_be_meant_is_one_line(arguments: list[str], music: Path, capsys: Captured) -> None:
    assert run(["analyze", str(music), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("valaro: ")
    assert captured.err.count("\n") == 1


def test_each_channel_of_a_file_by_itself(music: Path, bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    band, alone = music / "band.wav", tmp_path / "alone.wav"
    analyze = ["analyze", "--model", str(bundle), "--separate"]
    assert run([*analyze, str(band)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["time"], record["channel"]) for record in records] == [
        (0.5 * k, n) for k in range(1, 5) for n in (1, 2)
    ]
    for number in (1, 2):
        soundfile.write(alone, soundfile.read(band)[0][:, number - 1], RATE, subtype="FLOAT")
        assert run(["analyze", str(alone), "--model", str(bundle)]) == 0
        expected = [json.loads(line)["heatmap"] for line in capsys.readouterr().out.splitlines()]
        assert [record["heatmap"] for record in records if record["channel"] == number] == expected
    for output_format in ("csv", "npz"):
        assert run([*analyze, str(band), "--format", output_format, "--output", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "band.wav.csv").open()))
    assert [int(row["channel"]) for row in rows] == [1, 2] * 4
    assert [float(row["h13"]) for row in rows] == [record["heatmap"][1][2] for record in records]
    with np.load(tmp_path / "band.wav.npz", allow_pickle=False) as arrays:
        assert arrays["channel"].tolist() == [1, 2] * 4


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files that take long, a short one before them and some after."""
    folder = tmp_path_factory.mktemp("all") / "hours"
    folder.mkdir()
    quiet = np.zeros(3600 * 8000, dtype=np.int16)
    for name in ("a.wav", "x.wav", "y.wav", "z.wav"):
        soundfile.write(folder / name, quiet[: 2 * 8000], 8000)
    for name in ("long1.flac", "long2.flac"):
        soundfile.write(folder / name, quiet, 8000)
    return folder


def lines_of(stderr: str) -> list[str]:
    """What was told, but for how far it is, which a slow machine says too."""
    return [line for line in stderr.splitlines() if not line.endswith(" left")]


@contextmanager
def analysis(folder: Path, bundle: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """Two processes at it, in a process group of their own as a terminal's command; killed in any case."""
    command = [*COMMAND, str(folder), "--model", str(bundle), "--jobs", "2", "--output", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        try:
            yield running
        finally:
            running.kill()


def at_work(out: Path, name: str) -> int:
    """The process that writes the result of the file ``name``, once one does."""
    processes: list[int] = []

    def begun() -> bool:
        processes.extend(int(path.name.split(".")[-3]) for path in out.glob(f".{name}.*.part*"))
        return bool(processes)

    wait_for(begun)
    return processes[0]


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.long
def test_a_process_that_dies_takes_its_file_along_and_nothing_else(hours: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with analysis(hours, bundle, out) as running:
        os.kill(at_work(out, "long1.flac"), signal.SIGKILL)
        os.kill(at_work(out, "long2.flac"), signal.SIGSEGV)
        _, stderr = running.communicate(timeout=240)
    assert running.returncode == 3
    assert sorted(written(out)) == [f"{name}.wav.jsonl" for name in "axyz"]
    *lines, last = lines_of(stderr)
    for name, why in (("long1", "was killed, perhaps because the memory was full"), ("long2", "crashed (SIGSEGV)")):
        lines.remove(f"valaro: {hours}/{name}.flac: the process that analysed it {why}; the others go on")
    assert lines == []
    assert last.endswith("2 could not be used")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_no_process_stays_and_what_is_done_is_kept(
    hours: Path, bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    with analysis(hours, bundle, out) as running:
        workers = [at_work(out, name) for name in ("long1.flac", "long2.flac")]
        if number == signal.SIGINT:
            os.killpg(running.pid, number)  # as Ctrl-C does
        else:
            running.send_signal(number)
        _, stderr = running.communicate(timeout=60)
        wait_for(lambda: all(map(gone, workers)))
    codes = {signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}
    assert (running.returncode, lines_of(stderr)) == (codes[number], [])
    assert sorted(written(out)) == ["a.wav.jsonl"]


def test_that_no_process_comes_up_is_said_and_not_tried_for_ever(tmp_path: Path) -> None:
    tasks = [Task(k, tmp_path / f"{k}.wav", tmp_path / f"{k}.jsonl") for k in range(3)]
    with (
        closing(in_parallel(Plan(model=tmp_path / "no bundle"), tasks, 2)) as finished,
        pytest.raises(ValaroError, match=r"no process .* comes up \(BundleError: .*no model bundle here.*--jobs 1"),
    ):
        list(finished)


def test_in_a_terminal_a_bar_says_how_far_it_is(music: Path, bundle: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, str(music), "--model", str(bundle), "--output", str(tmp_path)]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "24"}
    with subprocess.Popen(command, stderr=theirs, env=environment) as running:
        os.close(theirs)
        drawn = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                drawn += os.read(ours, 65536)
            except OSError:  # how Linux says that nobody writes there any more
                break
        assert running.wait(timeout=60) == 3
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    assert "7/7 files" in text
    assert "x real time" in text
    assert re.search(r"bad\.wav: is not a sound\s+file", text)
