"""The standard streams, the environment and the home folder that the command line begins with."""

import contextlib
import os
import pty
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.streamer.app.doctor.result import Check
from valaro.streamer.app.doctor.runner import examine
from valaro.streamer.app.doctor.software import data
from valaro.streamer.cli import run
from valaro.streamer.cli._streams import _clean_environment, errors_of_output
from valaro.streamer.errors import StoreError
from valaro.streamer.listeners.schema import default_path

from ...models.synthetic_bundle import synthetic_bundle

COMMAND = [sys.executable, "-c", "from valaro.streamer.cli import main; main()"]
PATIENCE = 120.0  # s
LOUD = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "CLICOLOR_FORCE": "1", "PY_COLORS": "1", "GITHUB_ACTIONS": "true"}
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return str(path)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user without HOME and without an entry in the table of users, in a folder of their own."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoken(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | variables
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


@contextlib.contextmanager
def terminal(arguments: list[str], cwd: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command with a terminal for its output, and the terminal's other end."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, *arguments]
    with subprocess.Popen(
        command, cwd=cwd, env=os.environ | variables, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        try:
            yield running, ours
        finally:
            running.kill()
            os.close(ours)


def all_of(terminal_end: int) -> bytes:
    read = b""
    while True:
        try:
            part = os.read(terminal_end, 65_536)
        except OSError:  # Linux says so, once the other end is closed
            return read
        if not part:
            return read
        read += part


@pytest.mark.parametrize("command", ["listeners list", "plugins", "presets list", "demo", "--help"])
def test_no_screen_codes_where_nobody_has_a_screen(command: str, bundle: str, tmp_path: Path) -> None:
    more = ["--seconds", "1", "--model", bundle] if command == "demo" else []
    ended = spoken([*command.split(), *more], XDG_DATA_HOME=str(tmp_path), **LOUD)
    assert ended.returncode == 0
    assert ended.stdout
    assert b"\x1b" not in ended.stdout + ended.stderr
    if command == "demo":
        assert re.findall(rb"^ +\d:\d\d\.\d valence:", ended.stdout, re.MULTILINE) == [
            b"   0:00.5 valence:",
            b"   0:01.0 valence:",
        ]


@pytest.mark.parametrize("command", ["demo", "listen", "replay", "analyze"])
def test_it_ends_when_nobody_reads(command: str, bundle: str, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    soundfile.write(song, 0.1 * np.sin(np.arange(24_000 * 300) / 7), 24_000)
    if command == "replay":
        assert run(["analyze", str(song), "--model", bundle, "--output", str(tmp_path)]) == 0
    arguments = {
        "demo": ["demo", "--model", bundle],
        "listen": ["listen", "--file", str(song), "--model", bundle],
        "replay": ["replay", str(tmp_path / "song.wav.jsonl"), "--loop"],
        "analyze": ["analyze", str(song), "--model", bundle],
    }[command]
    with subprocess.Popen(
        [*COMMAND, *arguments], env=os.environ | LOUD, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.read(40)
            running.stdout.close()
            assert running.stderr is not None
            told = running.stderr.read()
            assert running.wait(PATIENCE) == 0
        finally:
            running.kill()
    assert b"Traceback" not in told
    assert b"unexpected" not in told


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_streams_that_the_parent_closed_are_no_fault(closed: tuple[int, ...], bundle: str, tmp_path: Path) -> None:
    record = tmp_path / "show.jsonl"
    arguments = ["demo", "--seconds", "1", "--model", bundle, "--record", str(record)]
    shell = " ".join(f"{number}>&-" for number in closed)
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *COMMAND, *arguments]
    ended = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr
    assert len(record.read_bytes().splitlines()) >= 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_a_name_that_is_no_text_is_escaped_in_a_terminal(encoding: str, bundle: str, tmp_path: Path) -> None:
    name = os.fsdecode(b"raw\xff.wav")
    soundfile.write(tmp_path / "plain.wav", 0.1 * np.sin(np.arange(24_000) / 7), 24_000)
    (tmp_path / "plain.wav").rename(tmp_path / name)
    data_home = str(tmp_path / "data")
    analyze = ["analyze", "--format", "csv", "--model", bundle, name]
    with terminal(analyze, tmp_path, PYTHONIOENCODING=encoding) as (running, end):
        told = all_of(end)
        assert running.wait(PATIENCE) == 0
    assert re.search(rb"raw(\\udcff|\?).wav,0.5", told)
    assert b"\x1b" not in told
    rate = ["rate", name, "--at", "0.7", "--valence", "0.5", "--arousal", "0", "--listener", "ana", "--model", bundle]
    rate += ["--decoder", "aeg"]
    with terminal(rate, tmp_path, PYTHONIOENCODING=encoding, XDG_DATA_HOME=data_home) as (running, end):
        told = all_of(end)
        assert running.wait(PATIENCE) == 0
    assert told.count(b"ana: valence +0.50") == 1
    assert re.search(rb"of raw(\\udcff|\?).wav", told)
    kept = spoken(["listeners", "list"], XDG_DATA_HOME=data_home)
    assert kept.stdout.split() == [b"ana", b"1", b"rating"]


def test_any_text_has_bytes() -> None:
    errors = errors_of_output()
    assert os.fsdecode(b"\xff\xe9").encode("utf-8", errors) == b"\xff\xe9"
    assert "\ud800\udcff é".encode("utf-8", errors) == b"\\ud800\xff \xc3\xa9"


@pytest.mark.parametrize(
    "variables",
    [
        {"COLUMNS": "²", "LINES": "x", "TERMINAL_WIDTH": "wide", "TERM": "\x1b[2J", "TZ": "Nowhere/Else"},
        {"COLUMNS": "9" * 400, "LANG": "xx_XX.none", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"NUMBA_NUM_THREADS": "many", "NUMBA_OPT": "x", "OMP_NUM_THREADS": "zero"},
        {"XDG_DATA_HOME": "/dev/null/x", "XDG_RUNTIME_DIR": "/nowhere", "XDG_CONFIG_HOME": "\udcff"},
        {"PULSE_SERVER": "nowhere", "JACK_DEFAULT_SERVER": "none", "ALSA_CONFIG_PATH": "/nowhere"},
    ],
    ids="-".join,
)
def test_no_variable_is_a_fault(variables: dict[str, str], bundle: str) -> None:
    demo = ["demo", "--seconds", "0.5", "--model", bundle]
    for arguments in (["listen", "--help"], demo):
        ended = spoken(arguments, **variables)
        assert ended.returncode == 0
        assert ended.stdout
        lines = ended.stderr.splitlines()
        assert all(line.startswith(b"valaro: ") for line in lines), ended.stderr


def test_a_folder_that_was_deleted_is_no_fault(bundle: str, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = 'cd gone; rmdir ../gone; exec "$@"'
    for arguments, code in (
        (["demo", "--seconds", "0.5", "--model", bundle], 0),
        (["presets", "write", "resolume"], 1),
        (["analyze", "."], 2),
        (["listen", "--config", "show.toml"], 2),
    ):
        ended = subprocess.run(
            ["sh", "-c", command, "sh", *COMMAND, *arguments],
            cwd=tmp_path,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        (tmp_path / "gone").mkdir()
        assert ended.returncode == code, ended.stderr
        assert all(line.startswith(b"valaro: ") for line in ended.stderr.splitlines()), ended.stderr
        assert b"unexpected" not in ended.stderr


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_is_told_what_to_set(capsys: Captured) -> None:
    with pytest.raises(StoreError, match="set HOME or XDG_DATA_HOME"):
        default_path()
    assert run(["listeners", "list"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "set HOME or XDG_DATA_HOME" in captured.err
    [result] = examine([Check("data", data)])
    assert result.status == "fail"
    assert "set HOME or XDG_DATA_HOME" in result.found


@pytest.mark.usefixtures("homeless")
def test_compiled_code_without_a_home_is_kept_where_nobody_else_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = tmp_path / f"valaro-{os.getuid()}"
    for name in ("XDG_CACHE_HOME", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    _clean_environment()
    assert os.environ["NUMBA_CACHE_DIR"] == str(own)
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)  # somebody else's
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    _clean_environment()
    assert os.environ["NUMBA_CACHE_DIR"] != str(own)
    assert Path(os.environ["NUMBA_CACHE_DIR"]).stat().st_mode & 0o077 == 0


def test_what_needs_no_ratings_needs_no_home(homeless: Path, bundle: str, capsys: Captured) -> None:
    soundfile.write(homeless / "song.wav", 0.1 * np.sin(np.arange(24_000) / 7), 24_000)
    assert run(["listen", "--file", "song.wav", "--model", bundle, "--no-display"]) == 0
    assert run(["analyze", "song.wav", "--model", bundle, "--output", "out"]) == 0
    assert run(["presets", "list"]) == 0
    assert sorted(path.name for path in homeless.iterdir()) == ["out", "song.wav"]
    assert "set HOME" not in capsys.readouterr().err


def test_what_native_libraries_and_other_packages_say_never_reaches_the_user() -> None:
    program = """
import logging, os, sys, warnings
from valaro.streamer import cli
from valaro.streamer.app.console import notify

def run(arguments):
    os.write(2, b"ALSA lib: no such card\\n")
    warnings.warn("for programmers")
    logging.getLogger("matplotlib").warning("for programmers, too")
    notify("for the user")
    os.write(2, b"libmpg123: not mono\\n")
    return 3

cli.run = run
cli.main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, b"", b"valaro: for the user\n")
    debugged = os.environ | {"VALARO_DEBUG": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=debugged, capture_output=True, timeout=PATIENCE, check=False
    )
    assert all(word in ended.stderr for word in (b"ALSA lib", b"for programmers", b"for the user", b"libmpg123"))
