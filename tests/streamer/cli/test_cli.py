"""The command line as a user meets it: what it prints, where, and what it exits with."""

import csv
import gc
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from valaro.models import load_bundle
from valaro.models.tracker import POLICIES
from valaro.models.training.synthesis.noises import NOISES
from valaro.streamer.app.console import Notices
from valaro.streamer.app.losses import Losses
from valaro.streamer.cli import run
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.engine import Engine
from valaro.streamer.core.session import Session
from valaro.streamer.sources.demo import demo_piece

from ...models.synthetic_bundle import synthetic_bundle
from ..fakes import CountingEngine, Endless
from ..oscdump import free_port, wait_for

RATE = 24000
FIELDS = [
    *("file", "time", "valence", "arousal", "covariance", "heatmap"),
    *("quadrants", "confidence", "level", "activity", "tags"),
]
COMMAND = [sys.executable, "-c", "from valaro.streamer.cli import main; main()"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return path


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("music") / "song.wav"
    soundfile.write(path, demo_piece(RATE)[: 3 * RATE + 1000], RATE, subtype="FLOAT")
    return path


Captured = pytest.CaptureFixture[str]


def one_line(text: str) -> str:
    """The single line that a fault may be told in."""
    assert text.startswith("valaro: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_help_names_every_command(capsys: Captured) -> None:
    assert run([]) == 0
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for command in (
        *("demo", "listen", "replay", "presets", "devices", "analyze", "rate", "calibrate", "listeners"),
        *("doctor", "train", "evaluate"),
    ):
        assert command in text
        assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    for option in (
        *("--seconds", "--osc", "--device", "--channels", "--file", "--record", "--replay", "--model", "--no-display"),
        *("--config", "--midi", "--midi-in", "--osc-in", "--oscquery", "--osc-rate", "--offset", "--speed", "--loop"),
        *("--save-audio", "--format", "--output", "--plot", "--data", "--json", "--checkpoint", "--metrics", "--log"),
        *("--separate", "--jobs", "--skip-existing"),
    ):
        assert option in text


def test_version(capsys: Captured) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("valaro ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["analyze"],
        ["analyze", "--format", "xml", "song.wav"],
        ["analyze", "--format", "npz", "song.wav"],
        ["demo", "--seconds", "soon"],
        ["demo", "--seconds", "0"],
        ["demo", "--seconds", "nan"],
        ["demo", "--osc", "nowhere"],
        ["listen", "--device"],
        ["listen", "--file", "a.wav", "--replay", "b.jsonl"],
        ["listen", "--file", "a.wav", "--channels", "1"],
        ["listen", "--channels", "0"],
        ["listen", "--channels", "left"],
        ["listen", "--channels", "9" * 5000],
        ["listen", "--file", "no-such-file.wav"],
        ["listen", "--replay", "no-such-file.jsonl"],
        ["listen", "--replay", "a.jsonl", "--model", "b"],
        ["listen", "--replay", "a.jsonl", "--midi-in", "knobs"],
        ["listen", "--replay", "a.jsonl", "--save-audio", "b.wav"],
        ["listen", "--replay", "a.jsonl", "--decoder", "aeg"],
        ["listen", "--osc", "127.0.0.1:99999"],
        ["demo", "--seconds", "1", "--model", "no-such-bundle"],
        ["train"],
        ["train", "--data", "no-such-folder", "--output", "new-bundle"],
        ["evaluate", "--data"],
        ["evaluate", "--data", "no-such-folder"],
        ["evaluate", "--data", ".", "--model", "no-such-bundle", "--json"],
        ["evaluate", "--data", ".", "--json", "--markdown"],
        ["evaluate", "--data", ".", "--model", "a-bundle", "--components"],
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments: list[str], capsys: Captured) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    one_line(captured.err)
    assert captured.out == ""


@pytest.mark.parametrize("below", ["", "new/bundle"])
def test_a_model_that_could_not_be_written_is_refused_before_the_training(
    below: str, song: Path, capsys: Captured
) -> None:
    assert run(["train", "--data", str(song.parent), "--output", str(song / below)]) == 2
    assert f"{song} is a file" in one_line(capsys.readouterr().err)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a folder where nobody can make another: /proc")
def test_a_folder_where_not_even_root_can_make_the_model_is_refused_before_the_training(
    song: Path, capsys: Captured
) -> None:
    assert run(["train", "--data", str(song.parent), "--output", "/proc/new-model"]) == 2
    assert "/proc cannot be written to" in one_line(capsys.readouterr().err)


def test_an_unresolvable_host_is_one_line_and_the_show_goes_on(bundle: Path, capsys: Captured) -> None:
    host = "no-such-host.invalid:9000"
    assert run(["demo", "--seconds", "1", "--osc", host, "--model", str(bundle), "--no-display"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines[:-1] if host in line] == [
        f"valaro: OSC {host}: the host cannot be found, check its name; sending goes on"
    ]
    assert lines[-1].endswith(f"sent 2 emissions, lost 2 sendings to OSC {host}")


def test_analyze_gives_the_numbers_of_live(song: Path, bundle: Path, capsys: Captured) -> None:
    assert run(["analyze", str(song), "--model", str(bundle)]) == 0
    emissions = records(capsys.readouterr().out)
    assert all(list(record) == FIELDS for record in emissions)
    sound, rate = soundfile.read(song, dtype="float32")
    engine = Engine(load_bundle(bundle), rate)
    sound = sound.astype(np.float32)
    live = [affect for block in np.array_split(sound, 137) for affect in engine.push(block)] + engine.finish()
    assert len(emissions) == len(live) == 6
    for record, affect in zip(emissions, live, strict=True):
        assert record["file"] == str(song)
        assert record["time"] == affect.time
        assert np.array(record["heatmap"]) == pytest.approx(affect.heatmap, abs=1e-6)
        assert sum(map(sum, record["heatmap"])) == pytest.approx(1.0)
        assert Affect.from_record(record).valence == record["valence"]


def test_each_decoder_can_be_asked_alone(song: Path, capsys: Captured) -> None:
    heatmaps = {}
    for decoder in ("fusion", "aeg", "crf", "lstm"):
        assert run(["analyze", str(song), "--decoder", decoder]) == 0
        heatmaps[decoder] = np.array([record["heatmap"] for record in records(capsys.readouterr().out)])
        assert heatmaps[decoder].sum(axis=(1, 2)) == pytest.approx(1.0)
    assert len({array.tobytes() for array in heatmaps.values()}) == len(heatmaps)
    assert run(["analyze", str(song)]) == 0
    plain = np.array([record["heatmap"] for record in records(capsys.readouterr().out)])
    assert np.array_equal(plain, heatmaps["fusion"])  # the default


@pytest.mark.parametrize("command", [["analyze", "song"], ["demo", "--seconds", "1"], ["listen", "--file", "song"]])
def test_a_decoder_that_is_not_there_is_one_line_that_names_those_that_are(
    command: list[str], song: Path, capsys: Captured
) -> None:
    arguments = [str(song) if word == "song" else word for word in command]
    assert run([*arguments, "--decoder", "oracle"]) == 2
    line = one_line(capsys.readouterr().err)
    assert "'oracle'" in line
    assert "fusion, aeg, crf, lstm" in line


def test_the_config_says_what_noise_may_do(tmp_path: Path, capsys: Captured) -> None:
    hiss = NOISES["hiss"](7 * RATE, np.random.default_rng(4))
    sound = np.concatenate([demo_piece(RATE)[: 4 * RATE], 0.1 * hiss]).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", sound, RATE, subtype="FLOAT")
    config, record = tmp_path / "show.toml", tmp_path / "show.jsonl"
    config.write_text('policy = "hold"\n')
    arguments = ["listen", "--file", str(tmp_path / "song.wav"), "--config", str(config), "--no-display"]
    assert run([*arguments, "--record", str(record)]) == 0
    capsys.readouterr()
    heatmaps = np.array([emission["heatmap"] for emission in records(record.read_text())])
    expected = {}
    for policy in POLICIES:
        engine = Engine(load_bundle(), RATE, policy=policy)
        expected[policy] = np.array([affect.heatmap for affect in engine.push(sound) + engine.finish()])
    assert heatmaps == pytest.approx(expected["hold"], abs=1e-6)
    for policy in ("drift", "pass"):
        assert np.abs(heatmaps[-1] - expected[policy][-1]).sum() > 0.01
    assert run([*arguments, "--policy", "dance"]) == 2
    assert "--policy 'dance': choose drift, hold or pass" in one_line(capsys.readouterr().err)


def test_csv_and_npz_say_the_same(song: Path, bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "new" / "folder"
    for form in ("jsonl", "csv", "npz"):
        assert run(["analyze", str(song), "--model", str(bundle), "--format", form, "--output", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in out.iterdir()) == ["song.wav.csv", "song.wav.jsonl", "song.wav.npz"]
    emissions = records((out / "song.wav.jsonl").read_text())
    with np.load(out / "song.wav.npz", allow_pickle=False) as arrays:
        assert arrays["heatmap"].tolist() == [record["heatmap"] for record in emissions]
        assert arrays["covariance"].shape == (6, 2, 2)
        assert arrays["activity"].tolist() == [record["activity"] for record in emissions]
        assert str(arrays["path"]) == str(song)
    rows = list(csv.DictReader((out / "song.wav.csv").open()))
    assert [float(row["valence"]) for row in rows] == [record["valence"] for record in emissions]
    assert [float(row["h13"]) for row in rows] == [record["heatmap"][1][2] for record in emissions]
    assert run(["analyze", str(song), str(song), "--model", str(bundle), "--format", "csv"]) == 0
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(lines) == 13  # one header for both
    assert all(len(line) == len(lines[0]) for line in lines)


def test_one_bad_file_does_not_stop_the_others(song: Path, bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(RATE // 10), RATE)
    (tmp_path / "empty.wav").touch()
    names = [str(tmp_path / "missing.wav"), str(song), str(short), str(tmp_path / "empty.wav"), str(song)]
    assert run(["analyze", *names, "--model", str(bundle)]) == 3
    captured = capsys.readouterr()
    assert len(records(captured.out)) == 12
    errors = captured.err.splitlines()
    assert len(errors) == 3
    for line, name in zip(errors, ("missing.wav", "short.wav", "empty.wav"), strict=True):
        assert line.startswith("valaro: ")
        assert name in line


def test_the_worst_of_several_files_decides_the_code(song: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "song.wav.jsonl").mkdir()  # in the way of the result: a failure, code 1
    analyze = ["analyze", "--model", str(bundle), "--output", str(tmp_path)]
    assert run([*analyze, str(song)]) == 1
    assert run([*analyze, "missing.wav", str(song)]) == run([*analyze, str(song), "missing.wav"]) == 1
    (tmp_path / "song.wav.jsonl").rmdir()
    assert run([*analyze, "missing.wav", str(song)]) == run([*analyze, str(song), "missing.wav"]) == 3
    assert run([*analyze, "missing.wav", str(tmp_path / "gone.wav")]) == run([*analyze, "missing.wav"]) == 2


def test_notices_wait_while_the_picture_has_the_screen(capsys: Captured) -> None:
    log = logging.getLogger("valaro.streamer.test")
    with Notices() as notices:
        log.warning("first")
        notices.held = True
        for number in range(30):
            log.warning("held %d", number)
        assert capsys.readouterr().err == "valaro: first\n"
        assert notices.latest == "held 29"
    assert capsys.readouterr().err == "".join(f"valaro: held {number}\n" for number in range(10, 30))
    log.warning("nobody")
    assert "valaro: nobody" not in capsys.readouterr().err


def test_the_device_s_faults_are_told() -> None:
    source = Endless()
    source.flags = 4370
    session, losses = Session(source, CountingEngine(), []), Losses(source.rate)
    losses.watch("session", lambda: session.counters)
    assert losses.lost() == ["4370 device faults"]


def test_a_file_that_is_named_twice_has_one_result(song: Path, bundle: Path, tmp_path: Path) -> None:
    assert run(["analyze", str(song), str(song), "--model", str(bundle), "--output", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav.jsonl"]


def test_an_output_that_is_no_directory_is_one_line(song: Path, bundle: Path, capsys: Captured) -> None:
    assert run(["analyze", str(song), "--model", str(bundle), "--output", str(song)]) == 1
    one_line(capsys.readouterr().err)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_name_of_any_bytes_is_analyzed_and_comes_out_as_it_went_in(
    song: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    name = b"\xffalt \xe9\xa0\xb3\n.wav"  # no UTF-8, a letter that no Latin font has, a line feed
    (tmp_path / os.fsdecode(name)).write_bytes(song.read_bytes())
    analyze = [*map(os.fsencode, COMMAND), b"analyze", name, b"--model", os.fsencode(bundle), b"--format"]
    table = subprocess.run([*analyze, b"csv"], cwd=tmp_path, capture_output=True, check=True)
    assert table.stdout.split(b"\n", 1)[1].startswith(b'"' + name + b'",0.5,')
    lines = subprocess.run([*analyze, b"jsonl"], cwd=tmp_path, capture_output=True, check=True).stdout.splitlines()
    assert [os.fsencode(json.loads(line)["file"]) for line in lines] == [name] * 6
    plot = [*analyze, b"npz", b"--output", b"out", b"--plot"]
    done = subprocess.run(plot, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    monkeypatch.chdir(tmp_path)
    for form in ("csv", "jsonl"):  # the same words as above, in this process
        arguments = ["analyze", os.fsdecode(name), "--model", str(bundle), "--format", form, "--output", "out"]
        assert run(arguments) == 0
        assert capsys.readouterr() == ("", "")
    assert (tmp_path / "out" / os.fsdecode(name + b".csv")).read_bytes() == table.stdout
    assert sorted(os.listdir(os.fsencode(tmp_path / "out"))) == [
        name + suffix for suffix in (b".csv", b".jsonl", b".npz", b".png")
    ]


def test_a_plot_is_a_picture(song: Path, bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib")
    assert run(["analyze", str(song), "--model", str(bundle), "--output", str(tmp_path), "--plot"]) == 0
    assert (tmp_path / "song.wav.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err == ""


def test_a_missing_plot_extra_is_named_with_its_command(song: Path) -> None:
    code = "import sys; sys.modules['matplotlib.figure'] = None; from valaro.streamer.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "analyze", str(song), "--plot"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'valaro[plot]'" in one_line(done.stderr)


def test_an_altered_bundle_is_one_line(song: Path, bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    altered = tmp_path / "altered"
    altered.mkdir()
    for part in bundle.iterdir():
        (altered / part.name).write_bytes(part.read_bytes())
    arrays = next(altered.glob("*.npz"))
    data = bytearray(arrays.read_bytes())
    data[len(data) // 2] ^= 1
    arrays.write_bytes(bytes(data))
    assert run(["analyze", str(song), "--model", str(altered)]) == 2
    one_line(capsys.readouterr().err)


def test_demo_prints_sends_and_records_the_same(bundle: Path, tmp_path: Path) -> None:
    recording = tmp_path / "show.jsonl"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        command = [*COMMAND, "demo", "--seconds", "1.5", "--model", str(bundle), "--record", str(recording)]
        command += ["--osc", f"127.0.0.1:{receiver.getsockname()[1]}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0
        packets = [receiver.recv(65536) for _ in range(3)]
    assert len(done.stdout.splitlines()) == 3
    assert "sent 3 emissions, lost nothing" in one_line(done.stderr)
    emissions = records(recording.read_text())
    assert [record["time"] for record in emissions] == [0.5, 1.0, 1.5]
    assert [list(record) for record in emissions] == [[*FIELDS[1:], "sent"]] * 3
    for packet, record in zip(packets, emissions, strict=True):
        messages = {message.address: message.params for message in OscBundle(packet) if isinstance(message, OscMessage)}
        assert messages["/valaro/time"] == [record["time"]]
        assert messages["/valaro/va"] == pytest.approx([record["valence"], record["arousal"]], abs=1e-6)


def test_a_file_is_heard_to_its_end_and_a_replay_repeats_it(
    song: Path, bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert run(["listen", "--file", str(song), "--model", str(bundle), "--record", str(first), "--no-display"]) == 0
    assert capsys.readouterr().out == ""
    assert run(["analyze", str(song), "--model", str(bundle)]) == 0
    analyzed = records(capsys.readouterr().out)
    sent = records(first.read_text())
    paces = [record.pop("sent") for record in sent]
    assert paces == sorted(paces)
    assert [{"file": str(song)} | record for record in sent] == analyzed
    assert run(["listen", "--replay", str(first), "--record", str(second)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(sent)
    again = records(second.read_text())
    assert [{name: value for name, value in record.items() if name != "sent"} for record in again] == sent
    assert run(["listen", "--replay", str(first), "--record", str(second)]) == 2
    assert "exists already" in one_line(capsys.readouterr().err)


def test_a_bad_recording_is_named_by_line(tmp_path: Path, capsys: Captured) -> None:
    recording = tmp_path / "show.jsonl"
    recording.write_text("not json\n")
    assert run(["listen", "--replay", str(recording)]) == 2
    assert f"{recording}, line 1" in one_line(capsys.readouterr().err)


def test_a_file_of_a_tenth_of_a_second_is_one_line(bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(RATE // 10), RATE)
    assert run(["listen", "--file", str(short), "--model", str(bundle)]) == 2
    assert "0.5 s" in one_line(capsys.readouterr().err)


def test_ctrl_c_while_it_still_loads_ends_it_quietly() -> None:
    loading = """
import os, signal, sys
class Impatience:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Impatience())
from valaro.streamer.__main__ import start
start()
"""
    done = subprocess.run([sys.executable, "-c", loading], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_in_good_order(bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    recording = tmp_path / "show.jsonl"
    command = [*COMMAND, "demo", "--model", str(bundle), "--record", str(recording)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        running.stdout.readline()  # the first emission
        running.send_signal(number)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 0
    assert "Traceback" not in err
    assert "emissions, lost nothing" in err
    assert len(records(recording.read_text())) == 1 + len(out.splitlines())


def test_sigterm_leaves_no_half_file_behind(bundle: Path, tmp_path: Path) -> None:
    long, out = tmp_path / "long.flac", tmp_path / "out"
    soundfile.write(long, np.zeros(3600 * 8000, dtype=np.int16), 8000)
    command = [*COMMAND, "analyze", str(long), "--model", str(bundle), "--output", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        wait_for(lambda: running.poll() is not None or (out.exists() and any(out.iterdir())))
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (128 + signal.SIGTERM, "")
    assert list(out.iterdir()) == []


def without_stdout(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)


def test_without_a_standard_output_it_runs_all_the_same(song: Path, bundle: Path) -> None:
    done = without_stdout("analyze", str(song), "--model", str(bundle))
    assert (done.returncode, done.stderr) == (0, "")
    done = without_stdout("demo", "--seconds", "1", "--model", str(bundle))
    assert done.returncode == 0
    assert "sent 2 emissions" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_standard_output_is_one_line_and_does_not_end_a_show(song: Path, bundle: Path) -> None:
    with Path("/dev/full").open("w") as full:
        arguments = ["--model", str(bundle)]
        done = subprocess.run(
            [*COMMAND, "analyze", str(song), *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
        assert done.returncode == 1
        assert "no space left" in one_line(done.stderr)
        done = subprocess.run(
            [*COMMAND, "demo", "--seconds", "1.5", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert "sent 3 emissions" in done.stderr


def test_nobody_at_the_osc_destination_is_one_line_and_the_show_goes_on(bundle: Path, capsys: Captured) -> None:
    port = free_port()
    arguments = ["demo", "--seconds", "2", "--model", str(bundle), "--no-display", "--osc", f"127.0.0.1:{port}"]
    assert run(arguments) == 3
    refused, summary = capsys.readouterr().err.splitlines()
    assert refused == f"valaro: OSC 127.0.0.1:{port}: nobody listens there; sending goes on"
    assert summary.endswith(f"sent 4 emissions, lost 4 sendings to OSC 127.0.0.1:{port}")


@pytest.mark.parametrize("command", ["analyze", "demo"])
def test_a_pipe_that_nobody_reads_ends_it_quietly(song: Path, bundle: Path, command: str) -> None:
    arguments = [str(song)] if command == "analyze" else ["--seconds", "40"]
    with subprocess.Popen(
        [*COMMAND, command, *arguments, "--model", str(bundle)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        err = running.stderr.read()
        assert running.wait(timeout=50) == 0
    assert "Broken" not in err
    assert "Traceback" not in err
    if command == "demo":
        assert "sent 1 emissions" in err  # not all forty seconds


def test_devices_says_what_there_is(capsys: Captured) -> None:
    code = run(["devices"])
    captured = capsys.readouterr()
    assert "Audio inputs" in captured.out
    assert "MIDI ports" in captured.out
    assert code == (1 if captured.err else 0)  # without the PortAudio library: one line that says so
    if captured.err:
        one_line(captured.err)


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from valaro.streamer.cli import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "valaro.streamer.cli" in loaded
    heavy = {"numpy", "scipy", "numba", "soxr", "matplotlib", "soundfile", "sounddevice", "rtmidi", "pythonosc"}
    assert not loaded & heavy


def test_as_a_module_it_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "valaro.streamer", "--version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"valaro ")


def test_compiling_is_told_once_and_only_where_it_happens(capsys: Captured) -> None:
    from numba import njit
    from valaro.streamer.app.console import compiling_told

    def compile_one(module: str) -> None:
        def plus(x: float) -> float:
            return x + 1.0

        plus.__module__ = module
        njit("float64(float64)")(plus)

    with compiling_told():
        compile_one("another.package")
        assert capsys.readouterr().err == ""
        for _ in range(2):
            compile_one("valaro.kernels.new")
    assert "compiling, as at each start: no cache" in one_line(capsys.readouterr().err)
    assert gc.isenabled()
    compile_one("valaro.kernels.new")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", [["analyze"], ["listen", "--no-display", "--file"]])
def test_a_file_that_holds_less_than_it_says_is_one_line(
    command: list[str], bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    cut = tmp_path / "cut.flac"
    soundfile.write(cut, np.random.default_rng(0).normal(0, 0.1, 10 * RATE), RATE)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 30])  # a third of a second of ten
    assert run([*command, str(cut), "--model", str(bundle)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "0.5 s are needed" in one_line(captured.err)


def test_what_was_heard_is_kept_and_analyzes_alike(song: Path, bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    shown, sound = tmp_path / "show.jsonl", tmp_path / "heard.wav"
    listen = ["listen", "--file", str(song), "--model", str(bundle), "--no-display"]
    assert run([*listen, "--record", str(shown), "--save-audio", str(sound)]) == 0
    assert np.array_equal(soundfile.read(sound, dtype="float32")[0], soundfile.read(song, dtype="float32")[0])
    capsys.readouterr()
    assert run(["analyze", str(sound), "--model", str(bundle)]) == 0
    analyzed = records(capsys.readouterr().out)
    assert [record["heatmap"] for record in analyzed] == [record["heatmap"] for record in records(shown.read_text())]
    assert run([*listen, "--save-audio", str(sound)]) == 2
    assert "exists already" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("option", ["--personal", "--activity"])
def test_an_evaluation_of_a_part_stands_alone(option: str, tmp_path: Path, capsys: Captured) -> None:
    assert run(["evaluate", "--data", str(tmp_path), option, "--components"]) == 2
    assert f"{option} stands alone" in one_line(capsys.readouterr().err)
    assert run(["evaluate", "--data", str(tmp_path), option]) == 2
    stderr = capsys.readouterr().err
    assert str(tmp_path) in stderr or "install espeak-ng" in stderr
