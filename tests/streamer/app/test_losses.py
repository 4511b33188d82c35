"""No loss is silent: what any part of a session loses stands in closing line, status, metrics and exit code."""

import importlib
import inspect
import socket
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from prometheus_client.parser import text_string_to_metric_families
from valaro.models import Bundle
from valaro.streamer.app import application
from valaro.streamer.app.console import Notices
from valaro.streamer.app.isolation import IsolatedSink
from valaro.streamer.app.losses import ACCOUNTS, NO_LOSS, Losses
from valaro.streamer.app.monitoring.checkpoint import Checkpoint
from valaro.streamer.app.monitoring.metrics import Metrics
from valaro.streamer.app.outputs import Outputs
from valaro.streamer.app.settings import Input, OscDestination, Settings
from valaro.streamer.cli import run
from valaro.streamer.core.engine import Engine
from valaro.streamer.core.multichannel import MultichannelEngine
from valaro.streamer.core.replay import Replay
from valaro.streamer.core.session import Counters
from valaro.streamer.errors import ExitCode
from valaro.streamer.listeners.adaptation import OnlineAdaptation
from valaro.streamer.midi.receiver import MidiIn
from valaro.streamer.midi.sink import Midi
from valaro.streamer.osc.query import OscQuery
from valaro.streamer.osc.receiver import OscIn, OscInCounters
from valaro.streamer.osc.sink import Osc
from valaro.streamer.sinks.audio_recorder import AudioRecorder
from valaro.streamer.sinks.recorder import Recorder
from valaro.streamer.sinks.scheduler import OutputScheduler
from valaro.streamer.sources import AudioFile

from ...models.synthetic_bundle import full_bundle
from ..fakes import neutral
from ..oscdump import free_port

# The classes that each row is of.
PARTS: dict[str, tuple[type, ...]] = {
    "session": (Counters,),
    "file": (AudioFile,),
    "engine": (Engine, MultichannelEngine),
    "replay": (Replay,),
    "outlet": (OutputScheduler,),
    "osc": (Osc,),
    "midi": (Midi,),
    "midi_in": (MidiIn,),
    "osc_in": (OscIn,),
    "oscquery": (OscQuery,),
    "record": (Recorder,),
    "sound": (AudioRecorder,),
    "screen": (),
    "plugin": (IsolatedSink,),
    "decoder": (Bundle,),
    "ratings": (OnlineAdaptation,),
    "checkpoint": (Checkpoint,),
    "metrics": (Metrics,),
}
# What the session counts already.
ELSEWHERE = {"file": {"flags", "lost", "losses", "filled"}, "engine": {"bad_samples"}, "sound": {"bad_samples"}}
COUNTS = ("int", "bool")


def numbers_of(part: type) -> set[str]:
    """The public fields of a class that are whole numbers or flags: what it counts, or may count."""
    found = {
        name
        for name, member in inspect.getmembers(part, lambda member: isinstance(member, property))
        if str(member.fget.__annotations__.get("return")) in (*COUNTS, "<class 'int'>", "<class 'bool'>")
    }
    for name, kind in getattr(part, "__annotations__", {}).items():
        found |= {name} if str(kind) in (*COUNTS, "<class 'int'>", "<class 'bool'>") else set()
    source = inspect.getsource(part)
    for line in source.splitlines():  # `self.faults = 0`, `self.stored = self.lost = 0`, `self.port: int = ...`
        words = line.strip().replace(": int", "").split("  #")[0]
        if words.startswith("self.") and words.endswith((" = 0", " = False", "].getsockname()[1]", "getsockname()[1]")):
            found |= {word.removeprefix("self.") for word in words.split(" = ")[:-1]}
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("part", ACCOUNTS)
def test_whatever_a_part_counts_is_in_its_row_or_said_to_be_no_loss(part: str) -> None:
    known = {account.field for account in ACCOUNTS[part]} | NO_LOSS.get(part, frozenset()) | ELSEWHERE.get(part, set())
    for which in PARTS[part]:
        counted = numbers_of(which)
        if part == "osc_in":
            counted |= {f"counters.{field.name}" for field in fields(OscInCounters)}
        assert counted - known == set()
    assert (len(PARTS[part]) > 0) == (len(ACCOUNTS[part]) > 0)


def test_the_check_sees_what_was_left_out() -> None:
    assert numbers_of(Recorder) == {"faults"}
    assert numbers_of(OnlineAdaptation) >= {"stored", "lost"}
    assert numbers_of(MidiIn) >= {"ratings", "refused", "faults", "connected"}
    assert numbers_of(Counters) >= {"frames", "sink_faults", "bad_emissions"}


def test_every_class_that_is_closed_at_the_end_comes_in_by_one_door() -> None:
    """An output that is not held is neither closed nor told: nothing else in here opens any."""
    module = importlib.import_module("valaro.streamer.app.outputs")
    made = [line for line in inspect.getsource(module).splitlines() if "plugins.own(" in line]
    assert len(made) == 5
    assert inspect.getsource(Outputs).count("self.hold(") >= len(made) + 5


def faulty(part: str) -> Any:
    """What a part looks like once everything in its row went wrong."""
    found = SimpleNamespace(counters=SimpleNamespace())
    for account in ACCOUNTS[part]:
        *outer, name = account.field.split(".")
        setattr(found.counters if outer else found, name, {"x": "gone"} if account.field == "missing" else 7)
    return found


@pytest.mark.parametrize("part", [part for part in ACCOUNTS if ACCOUNTS[part]])
@pytest.mark.usefixtures("nobody")
def test_a_part_with_faults_appears_in_all_four(part: str, tmp_path: Path) -> None:
    outputs = Outputs(Settings(Input("demo"), display=False), Notices())
    outputs.losses.watch(part, lambda: faulty(part), "the name of it")
    outcome = outputs.losses.outcome("heard 1.0 s")
    assert outcome.exit_code is ExitCode.LOST
    told = [line for line in outputs.status() if line.startswith(("lost: ", "told: "))]
    metrics = Metrics(str(tmp_path / "v.prom"), lambda: None, outputs.losses)
    page = metrics.text()
    metrics.close()
    samples = [
        sample
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.labels.get("part") == part
    ]
    status = outputs.numbers()
    assert status.faults == sum(
        1 if account.field == "missing" else 7 for account in ACCOUNTS[part] if account.lost and account.unit == "times"
    )
    assert status.lost == sum(7 for account in ACCOUNTS[part] if account.lost and account.unit == "frames")
    for account in ACCOUNTS[part]:
        words = account.words.format(n=1 if account.field == "missing" else 7, of="the name of it")
        assert words in outcome.line
        assert any(words in line for line in told)
        name = account.field.rpartition(".")[2]
        (sample,) = (sample for sample in samples if sample.labels["what"] == name)
        assert sample.name == ("valaro_lost_total" if account.lost else "valaro_told_total")
        assert sample.value == (1.0 if account.field == "missing" else 7.0)


@pytest.fixture
def nobody() -> Iterator[None]:
    """After the test no thread of it goes on."""
    before = threading.active_count()
    yield
    assert threading.active_count() <= before


def test_nothing_lost_is_said_so_and_code_0() -> None:
    losses = Losses(24_000)
    losses.watch("osc", lambda: SimpleNamespace(faults=0), "127.0.0.1:9000")
    losses.watch("session", lambda: None)  # not there yet
    outcome = losses.outcome("sent 3 emissions")
    assert (outcome.line, outcome.exit_code) == ("sent 3 emissions, lost nothing", ExitCode.DONE)
    with pytest.raises(KeyError):
        losses.watch("lamp", lambda: None)


def test_what_was_refused_and_answered_is_told_and_no_loss() -> None:
    losses = Losses()
    losses.watch("osc_in", lambda: SimpleNamespace(counters=OscInCounters(refused=2)))
    outcome = losses.outcome("sent 3 emissions")
    assert outcome.line == "sent 3 emissions, lost nothing; 2 OSC messages that asked for what cannot be"
    assert outcome.exit_code is ExitCode.DONE


def test_where_nobody_asked_for_a_destination_nothing_is_lost() -> None:
    losses = Losses()
    losses.watch("osc", lambda: SimpleNamespace(faults=2), "127.0.0.1:9000", wanted=False)
    outcome = losses.outcome("sent 3 emissions")
    assert outcome.line == "sent 3 emissions, lost nothing; 2 sendings to OSC 127.0.0.1:9000 found nobody there"
    assert outcome.exit_code is ExitCode.DONE


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    full_bundle().save(tmp_path / "bundle")
    return tmp_path / "bundle"


Captured = pytest.CaptureFixture[str]


def closing(capsys: Captured) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_a_destination_that_refused_every_packet(bundle: Path, capsys: Captured) -> None:
    port = free_port()
    demo = ["demo", "--seconds", "1.5", "--no-display", "--model", str(bundle)]
    assert run([*demo, "--osc", f"127.0.0.1:{port}"]) == 3
    assert closing(capsys).endswith(f"sent 3 emissions, lost 3 sendings to OSC 127.0.0.1:{port}")


def test_a_destination_that_cannot_be_found(bundle: Path, capsys: Captured) -> None:
    demo = ["demo", "--seconds", "1", "--no-display", "--model", str(bundle)]
    assert run([*demo, "--osc", "no-such-host.invalid:9000"]) == 3
    assert closing(capsys).endswith("lost 2 sendings to OSC no-such-host.invalid:9000")


def test_the_demos_own_destination_is_nobodys_loss(
    bundle: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valaro.streamer.app.merge.DEFAULT_OSC", f"127.0.0.1:{free_port()}")
    assert run(["demo", "--seconds", "1", "--no-display", "--model", str(bundle)]) == 0
    assert "lost nothing; 2 sendings to OSC 127.0.0.1:" in closing(capsys)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk(bundle: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording, from its first line on: what is written goes to a device that is always full."""
    made = Path.open

    def on_full_disk(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        return made(Path("/dev/full"), "wb", *args, **options) if mode == "xb" else made(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", on_full_disk)
    monkeypatch.setattr(Path, "unlink", lambda *_args, **_options: None)
    show = tmp_path / "show.jsonl"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        osc = f"127.0.0.1:{receiver.getsockname()[1]}"
        demo = ["demo", "--seconds", "1.5", "--no-display", "--model", str(bundle), "--osc", osc]
        assert run([*demo, "--record", str(show)]) == 3
    assert closing(capsys).endswith(f"sent 3 emissions, lost 3 lines of {show}")


def test_a_checkpoint_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    losses = Losses()
    engine: Any = SimpleNamespace(state=(0.0,), resume=lambda _: None)
    checkpoint = Checkpoint(tmp_path / "state.npz", engine, "0" * 64, "fusion")
    monkeypatch.setattr(checkpoint._file, "write", full)
    losses.watch("checkpoint", lambda: checkpoint, "state.npz")
    checkpoint.send(neutral(0.5))
    checkpoint.close()
    assert losses.outcome("done").exit_code is ExitCode.LOST
    assert "times the checkpoint state.npz was not written" in losses.outcome("done").line


def test_a_file_that_breaks_off(bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    cut = tmp_path / "cut.wav"
    soundfile.write(cut, np.full(16_000, 0.1), 8_000)
    cut.write_bytes(cut.read_bytes()[: 44 + 2 * 8_000])
    assert run(["listen", "--file", str(cut), "--no-display", "--model", str(bundle)]) == 3
    assert closing(capsys).endswith(f"heard 1.0 s, sent 2 emissions, lost the end of {cut}, which breaks off")


def test_with_an_offset_a_file_is_sent_to_its_end_and_who_ends_it_earlier_lost_nothing(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    sound, show = tmp_path / "sound.wav", tmp_path / "show.jsonl"
    soundfile.write(sound, np.full(8_000, 0.1), 8_000)
    late = ["--offset", "0.7", "--no-display"]
    model = ["--model", str(bundle)]
    assert run(["listen", "--file", str(sound), "--record", str(show), *late, *model]) == 0
    assert closing(capsys).endswith("heard 1.0 s, sent 2 emissions, lost nothing")
    assert len(show.read_text().splitlines()) == 2
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        osc = ["--osc", f"127.0.0.1:{receiver.getsockname()[1]}"]
        assert run(["replay", str(show), *late, *osc]) == 0
        assert closing(capsys).endswith("sent 2 emissions, lost nothing")
        assert run(["demo", "--seconds", "1", "--offset", "30", "--no-display", *osc, *model]) == 0
    assert closing(capsys).endswith("lost nothing; 2 emissions were to go out later when it was ended")


def test_run_returns_line_and_code(bundle: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        to = OscDestination(f"127.0.0.1:{receiver.getsockname()[1]}")
        outcome = application.run(Settings(Input("demo"), osc=(to,), display=False, seconds=1.0, model=bundle))
    assert outcome.line == "heard 1.0 s, sent 2 emissions, lost nothing"
    assert (outcome.exit_code, outcome.lost) == (ExitCode.DONE, {})
