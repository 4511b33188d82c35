"""The doctor on a machine that is well, and on one where things are wrong on purpose."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from valaro.streamer.app.doctor import machine, software
from valaro.streamer.app.doctor.result import Check, Result
from valaro.streamer.app.doctor.runner import checks, examine, in_process
from valaro.streamer.listeners.store import Listeners

from ....models.synthetic_bundle import synthetic_bundle
from ....places import ROOT
from ...oscdump import PATIENCE, free_port

COMMAND = [
    *(sys.executable, "-c"),
    "import typer; from valaro.streamer.cli.doctor import doctor; a = typer.Typer(); a.command()(doctor); a()",
]
NAMES = [
    *("python", "packages", "runtime", "kernels", "model", "audio", "midi", "osc", "data", "listeners"),
    *("disk", "memory", "clock", "realtime", "power", "text", "session"),
]


def only(results: list[Result]) -> Result:
    (result,) = results
    assert "\n" not in result.found + result.advice
    assert bool(result.advice) == (result.status != "ok") or result.name in ("model", "audio")
    return result


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "valaro"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        yield other.getsockname()[1]


def run(*options: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    ended = subprocess.run(
        [*COMMAND, *options], env=os.environ | (env or {}), capture_output=True, text=True, timeout=400, check=False
    )
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def test_it_looks_at_everything_and_prints_one_line_each(home: Path, bundle: Path) -> None:
    code, printed = run("--model", str(bundle))
    lines = printed.splitlines()
    assert [line.split()[1] for line in lines] == NAMES
    statuses = {line.split()[1]: line.split()[0] for line in lines}
    assert set(statuses.values()) <= {"ok", "warn", "fail"}
    assert code == (1 if "fail" in statuses.values() else 0)
    assert {statuses[name] for name in ("python", "packages", "runtime", "model", "data")} == {"ok"}
    assert "fail" not in {statuses[name] for name in ("osc", "clock")}  # 9001 may be taken, and the time not set by NTP
    assert not home.exists()  # it only looks


def test_what_is_wrong_is_found_all_at_once_and_for_programs(tmp_path: Path, bundle: Path) -> None:
    """No PortAudio, an altered bundle, a damaged database, two ONNX Runtimes."""
    (tmp_path / "path").mkdir()
    hidden = "import ctypes.util\nctypes.util.find_library = lambda name: None\n"
    (tmp_path / "path" / "sitecustomize.py").write_text(hidden)
    for number, name in enumerate(("onnxruntime", "onnxruntime_gpu")):
        folder = tmp_path / "path" / f"{name}-{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.{number}\n")
    altered = tmp_path / "altered"
    altered.mkdir()
    for file in bundle.iterdir():
        (altered / file.name).write_bytes(file.read_bytes())
    (altered / "aeg.npz").write_bytes((altered / "aeg.npz").read_bytes()[:-1] + b"x")
    database = tmp_path / "data" / "valaro" / "valaro.sqlite3"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no database at all, but long enough" * 100)
    env = {"PYTHONPATH": str(tmp_path / "path"), "XDG_DATA_HOME": str(tmp_path / "data")}
    code, printed = run("--json", "--model", str(altered), env=env)
    assert code == 1
    results = {result["name"]: Result(**result) for result in json.loads(printed)}
    assert [*results] == NAMES
    assert {name for name, result in results.items() if result.status == "fail"} == {
        *("runtime", "model", "audio", "listeners")
    }
    assert "onnxruntime 9.0, onnxruntime-gpu" in results["runtime"].found
    assert results["runtime"].advice.startswith("pip uninstall --yes onnxruntime onnxruntime-gpu; pip install onnx")
    assert "aeg.npz: altered since it was trained" in results["model"].found
    assert results["audio"].found.startswith("the PortAudio library is missing: install it")
    assert "is damaged" in results["listeners"].found


def test_a_check_that_hangs_or_fails_holds_up_no_other() -> None:
    over = threading.Event()

    def hang() -> list[Result]:
        over.wait()
        return []

    def break_down() -> list[Result]:
        raise OSError(5, "Input/output\nerror")

    well = [Result("well", "ok", "as ever")]
    results = list(examine([Check("a", hang, 0.2), Check("b", break_down), Check("c", lambda: well)]))
    over.set()
    assert results == [
        Result("a", "fail", "no answer within 0.2 s", "look again, or restart it"),
        Result("b", "fail", "could not be looked at (OSError: [Errno 5] Input/output error)", "please report it"),
        *well,
    ]


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("import time; time.sleep(1000)", "no answer within 3 s"),
        ("import os; os.abort()", "ended with signal 6: "),
        ("raise SystemExit('no such driver')", "ended with code 1: no such driver"),
        ("import os; os._exit(7)", "ended with code 7: it said nothing"),
    ],
)
def test_native_code_that_hangs_or_crashes_takes_only_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, finding: str
) -> None:
    (tmp_path / "rtmidi.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = only(in_process("midi", [], 3.0 if "sleep" in code else PATIENCE))
    assert (result.status, result.found[: len(finding)]) == ("fail", finding)


def test_every_check_has_a_time_and_a_name_once() -> None:
    selected = checks()
    assert len({check.name for check in selected}) == len(selected)
    assert all(0 < check.limit < 600 for check in selected)


def test_the_packages_are_those_of_the_project() -> None:
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}  # type: ignore[index]
    assert names - {"onnxruntime", "onnxruntime-gpu"} == set(software.PACKAGES)


def test_ports_that_are_taken_and_free(taken: int) -> None:
    free = free_port()
    well = only(software.osc(receiver=taken, own=free))
    assert well.found.startswith(f"UDP works; somebody listens on {taken}")
    assert only(software.osc(receiver=free, own=free)).status == "ok"
    result = only(software.osc(receiver=free, own=taken))
    assert (result.status, result.advice) == ("warn", "give --osc-in another port than that one")
    assert result.found.endswith(f"nobody listens yet on {free}, where OSC goes by default; {taken} is taken")


def test_a_data_folder_that_cannot_be_written(home: Path) -> None:
    assert only(software.data()).status == "ok"
    home.parent.write_text("a file in its place")
    result = only(software.data())
    assert result.status == "fail"
    assert result.found == f"{home} cannot be written: not a directory"
    assert "XDG_DATA_HOME" in result.advice


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_of_another_user(home: Path) -> None:
    home.mkdir(parents=True)
    home.chmod(0o500)
    assert "permission denied" in only(software.data()).found


def test_the_listeners_file_is_read_and_left_as_it_is(home: Path) -> None:
    assert only(software.listeners()).found == "no ratings yet"
    path = home / "valaro.sqlite3"
    with closing(Listeners(path)):
        assert only(software.listeners()) == Result("listeners", "ok", f"0 ratings in {path}")  # while it is in use
    before = path.read_bytes()
    assert only(software.listeners()).status == "ok"
    assert path.read_bytes() == before
    path.write_bytes(before[:100] + os.urandom(len(before) - 100))
    result = only(software.listeners())
    assert result.status == "fail"
    assert str(path) in result.found
    path.unlink()
    path.mkdir()
    assert "cannot be read" in only(software.listeners()).found


def test_a_database_of_another_program(home: Path) -> None:
    import sqlite3

    home.mkdir(parents=True)
    with closing(sqlite3.connect(home / "valaro.sqlite3")) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()
    assert only(software.listeners()).found.endswith("is another program's")


def test_the_kernels_say_where_they_are_kept(bundle: Path) -> None:
    warm = in_process("model", [str(bundle)], 400.0)
    assert [result.name for result in warm] == ["kernels", "model"]
    assert [result.status for result in warm] == ["ok", "ok"]
    assert "from the cache in " in warm[0].found or "compiled just now, kept in " in warm[0].found


def program(folder: Path, name: str, prints: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{prints}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_a_clock_that_nobody_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = only(machine.clock(lambda: 3600.0))
    assert (result.status, result.found) == ("fail", "1970-01-01 01:00 UTC, which cannot be")
    program(tmp_path, "timedatectl", "echo no", monkeypatch)
    assert (only(machine.clock()).status, only(machine.clock()).found[-18:]) == ("warn", ", not synchronised")
    program(tmp_path, "timedatectl", "echo yes", monkeypatch)
    assert (only(machine.clock()).status, only(machine.clock()).found[-14:]) == ("ok", ", synchronised")
    program(tmp_path, "timedatectl", "echo yes; exit 1", monkeypatch)
    assert only(machine.clock()).found.endswith(" UTC")


def test_a_program_that_is_asked_and_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_COMMAND_TIMEOUT", 0.2)
    program(tmp_path, "timedatectl", "exec sleep 1000", monkeypatch)
    began = time.monotonic()
    assert only(machine.clock()).status == "ok"
    assert time.monotonic() - began < PATIENCE


def test_a_processor_that_is_kept_slow_and_a_battery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(machine.power(tmp_path)).found == "nothing to be read"
    cpu = tmp_path / "devices" / "system" / "cpu" / "cpu0" / "cpufreq"
    cpu.mkdir(parents=True)
    (cpu / "scaling_governor").write_text("powersave\n")
    (cpu / "scaling_driver").write_text("intel_pstate\n")
    assert only(machine.power(tmp_path)) == Result("power", "ok", "governor powersave")
    (cpu / "scaling_driver").write_text("cpufreq-dt\n")
    battery = tmp_path / "class" / "power_supply" / "BAT0"
    battery.mkdir(parents=True)
    (battery / "type").write_text("Battery\n")
    (battery / "status").write_text("Discharging\n")
    program(tmp_path, "vcgencmd", "echo throttled=0x50005", monkeypatch)
    result = only(machine.power(tmp_path))
    assert (result.status, result.found) == ("warn", "governor powersave, on battery, throttled=0x50005")
    assert result.advice.count(";") == 2


def test_too_little_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 900000 kB\nMemAvailable: 200000 kB\n")
    assert only(machine.memory(tmp_path / "meminfo")).found == "0.20 GB available"
    assert only(machine.memory(tmp_path / "meminfo")).status == "warn"
    assert only(machine.memory(tmp_path / "none")).status == "ok"


def test_a_terminal_that_knows_no_utf_8() -> None:
    code = "from valaro.streamer.app.doctor.machine import text; print(text()[0].status, text()[0].advice)"
    for env, status in (
        ({"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, "warn"),
        ({"PYTHONUTF8": "1"}, "ok"),
    ):
        ended = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True, timeout=60, check=True
        )
        assert ended.stdout.split()[0] == status


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_RUNTIME_DIR is Linux's")
def test_a_session_without_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert only(machine.session()).status == "ok"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert only(machine.session()).found.endswith("gone: no such file or directory")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/1" if os.geteuid() else str(_another_user_s(tmp_path)))
    assert only(machine.session()).found.endswith("another user's")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert "is not set" in only(machine.session()).found


def _another_user_s(folder: Path) -> Path:
    path = folder / "theirs"
    path.mkdir()
    os.chown(path, 12345, 12345)
    return path
