"""``valaro listen`` as a service: what systemd, Prometheus and the journal get of it, and how it goes on if killed."""

import configparser
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from prometheus_client.parser import text_string_to_metric_families
from valaro.streamer.app.config.schema import load_config
from valaro.streamer.cli import run
from valaro.streamer.errors import ExitCode
from valaro.streamer.sources.demo import demo_piece

from ....models.synthetic_bundle import full_bundle
from ....places import EXAMPLES
from ...oscdump import PATIENCE, wait_for

RATE = 24_000
SERVICE = EXAMPLES / "service"
UNITS = ("valaro.service", "valaro-user.service")


class Served:
    """The program as systemd starts it."""

    def __init__(self, folder: Path, options: list[str]) -> None:
        self.notices: list[str] = []
        # A socket's path may have 108 characters: pytest's own temporary folders can be too deep for that.
        self._socket_folder = tempfile.mkdtemp(prefix="notify-")
        address = f"{self._socket_folder}/socket"
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(address)
        self._manager.setblocking(False)
        self._log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "valaro.streamer", "listen", "--no-display", "--log", "json", *options],
            env=os.environ | {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"},
            stderr=self._log,
        )

    def notifications(self) -> list[str]:
        """All that the manager heard so far, line by line."""
        while True:
            try:
                self.notices += self._manager.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.notices

    def log(self) -> list[dict]:
        self._log.seek(0)
        return [json.loads(line) for line in self._log.read().splitlines()]

    def wait_for_life(self, count: int) -> None:
        wait_for(lambda: self.process.poll() is not None or self.notifications().count("WATCHDOG=1") >= count)
        assert self.process.poll() is None, self.log()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._manager.close()
        self._log.close()
        shutil.rmtree(self._socket_folder)


@contextmanager
def served(folder: Path, *options: object) -> Iterator[Served]:
    service = Served(folder, [str(option) for option in options])
    try:
        yield service
    finally:
        service.close()


def heatmaps(record: Path) -> list[np.ndarray]:
    return [np.array(json.loads(line)["heatmap"]) for line in record.read_text().splitlines()]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd is Linux only")
@pytest.mark.long
def test_it_tells_how_it_is_and_goes_on_where_it_was_when_it_is_killed(tmp_path: Path) -> None:
    full_bundle().save(tmp_path / "model")
    soundfile.write(tmp_path / "song.wav", demo_piece(RATE)[: 60 * RATE], RATE, subtype="FLOAT")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    always = ["--file", tmp_path / "song.wav", "--model", tmp_path / "model", "--checkpoint", tmp_path / "state.npz"]
    with served(tmp_path, *always, "--record", tmp_path / "one.jsonl", "--metrics", port) as service:
        service.wait_for_life(8)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            page = answer.read().decode()
        assert service.notifications()[:2] == ["READY=1", "WATCHDOG=1"]
        wait_for((tmp_path / "state.npz").exists)
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    samples = {sample.name: sample for family in text_string_to_metric_families(page) for sample in family.samples}
    assert samples["valaro_emissions_total"].value >= 7
    assert samples["valaro_build_info"].labels["decoder"] == "fusion"
    assert -1 <= samples["valaro_valence"].value <= 1

    with served(tmp_path, *always, "--record", tmp_path / "two.jsonl", "--metrics", tmp_path / "v.prom") as service:
        service.wait_for_life(1)
        wait_for((tmp_path / "v.prom").exists)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE) == 0
        assert service.notifications()[-2:] == ["STOPPING=1", "STATUS=ending"]
        records = service.log()
    assert {"time", "level", "logger", "message"} <= set(records[0])
    assert any(record["message"].startswith("going on from the checkpoint") for record in records)
    starts = [record for record in records if record.get("event") == "start"]
    assert [(record["input"], Path(record["source"]).name) for record in starts] == [("file", "song.wav")]
    assert records[-1]["message"].endswith("lost nothing")
    assert {key: records[-1][key] for key in ("event", "exit_code", "lost")} == {
        "event": "stop",
        "exit_code": 0,
        "lost": {},
    }
    assert not (tmp_path / "v.prom").exists()
    (prior, *_), (first, *_) = heatmaps(tmp_path / "one.jsonl"), heatmaps(tmp_path / "two.jsonl")
    assert np.abs(first - prior).sum() > 0.1


def test_what_cannot_be_meant_is_refused_before_anything_opens(capsys: pytest.CaptureFixture[str]) -> None:
    for options, message in (
        (["--log", "xml"], "choose one of text, json"),
        (["--metrics", "everywhere"], "write PORT, HOST:PORT, or a file that ends in .prom"),
    ):
        assert run(["listen", *options]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--config", "gone.toml"], ["--replay", "gone.jsonl"], ["--file", "gone.wav"]])
def test_a_fault_before_it_begins_is_json_too(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["listen", "--log", "json", *wrong]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "gone" in json.loads(line)["message"]


def test_the_sample_config_is_one() -> None:
    config = load_config(SERVICE / "valaro.toml")
    assert (config.device, config.channels) == ("USB", (1,))
    assert [destination.to for destination in config.osc] == ["192.168.1.20:9000"]
    assert config.osc_in is not None


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_a_command_that_there_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((SERVICE / name).read_text().replace("\\\n", " "))
    program, command, *options = unit["Service"]["ExecStart"].split()
    assert (program.rpartition("/")[2], command) == ("valaro", "listen")
    assert run(["listen", "--help"]) == 0
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert {option for option in options if option.startswith("--")} <= known
    assert (unit["Service"]["Type"], unit["Service"]["Restart"]) == ("notify", "always")
    assert unit["Service"]["SuccessExitStatus"] == f"{128 + signal.SIGTERM} {ExitCode.LOST}"  # both are no failures
    assert "MemoryDenyWriteExecute" not in unit["Service"]  # the kernels could not be compiled
    assert "PrivateDevices" not in unit["Service"]  # there would be no sound card


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_fault_with_a_unit(name: str, tmp_path: Path) -> None:
    there = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", (SERVICE / name).read_text())
    (tmp_path / name).write_text(there)
    kind = ["--user"] if "user" in name else []
    checked = subprocess.run(
        ["systemd-analyze", *kind, "verify", "--man=no", str(tmp_path / name)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
