"""The chain's memory on disk: picked up after a restart, never broken, never in the way."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from valaro.models import load_bundle
from valaro.streamer.app.monitoring.checkpoint import Checkpoint, bundle_digest
from valaro.streamer.core.engine import Engine
from valaro.streamer.errors import SinkError
from valaro.streamer.sources.demo import demo_piece

from ....models.synthetic_bundle import full_bundle
from ...fakes import neutral
from ...oscdump import PATIENCE, wait_for

RATE = 24_000
DIGEST, DECODER = "0" * 64, "fusion"
Log = pytest.LogCaptureFixture


class Memory:
    """The least engine: what it remembers is a number and an array."""

    def __init__(self, number: float = 0.0) -> None:
        self.state: Any = (number, np.full(100, number, np.float32))
        self.resumed: Any = None

    def resume(self, state: Any) -> None:
        self.resumed = state


def written(path: Path, number: float = 7.0, **options: Any) -> Path:
    """A checkpoint of an engine that remembers ``number``."""
    engine = Memory()
    checkpoint = Checkpoint(path, engine, options.pop("digest", DIGEST), options.pop("decoder", DECODER), **options)
    engine.state = (number, np.full(100, number, np.float32))
    checkpoint.send(neutral(0.5))
    checkpoint.close()
    assert checkpoint.faults == 0
    return path


def resumed(path: Path, **options: Any) -> Any:
    """What an engine that starts now goes on from; None when it begins afresh."""
    engine = Memory()
    was_resumed = Checkpoint(
        path, engine, options.pop("digest", DIGEST), options.pop("decoder", DECODER), **options
    ).resume()
    assert was_resumed == (engine.resumed is not None)
    return engine.resumed


def only_line(caplog: Log, level: int) -> str:
    assert [record.levelno for record in caplog.records] == [level]
    message = caplog.records[0].getMessage()
    caplog.clear()
    return message


@pytest.fixture(autouse=True)
def all_levels(caplog: Log) -> None:
    caplog.set_level(logging.INFO, "valaro")


def test_a_restart_within_a_minute_goes_on_and_says_so(tmp_path: Path, caplog: Log) -> None:
    path = written(tmp_path / "made" / "state.npz", wall=lambda: 1000.0)
    for now in (1000.0, 1012.0, 1060.0):
        number, array = resumed(path, wall=lambda now=now: now)
        assert number == 7.0
        assert array.tolist() == [7.0] * 100
        assert only_line(caplog, logging.INFO) == f"going on from the checkpoint {path}, {now - 1000:.0f} s old"


def test_the_first_start_finds_nothing_and_says_nothing(tmp_path: Path, caplog: Log) -> None:
    assert resumed(tmp_path / "state.npz") is None
    assert not caplog.records


@pytest.mark.parametrize(("now", "when"), [(1060.5, "60 s old"), (9e9, "s old"), (999.0, "from the future")])
def test_what_is_old_or_from_the_future_is_left_alone(tmp_path: Path, caplog: Log, now: float, when: str) -> None:
    path = written(tmp_path / "state.npz", wall=lambda: 1000.0)
    assert resumed(path, wall=lambda: now) is None
    line = only_line(caplog, logging.INFO)
    assert when in line
    assert line.endswith(": beginning afresh")
    assert [file.name for file in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize(("other", "what"), [({"digest": "1" * 64}, "bundle"), ({"decoder": "aeg"}, "decoder")])
def test_the_memory_of_another_model_is_set_aside(
    tmp_path: Path, caplog: Log, other: dict[str, str], what: str
) -> None:
    path = written(tmp_path / "state.npz")
    assert resumed(path, **other) is None
    assert only_line(caplog, logging.WARNING) == (
        f"the checkpoint {path} cannot be used (of another {what}), kept as state.npz.bad: beginning afresh"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["state.npz.bad"]


def test_another_structure_is_set_aside_and_only_one_is_kept(tmp_path: Path, caplog: Log) -> None:
    path = tmp_path / "state.npz"
    for size in (3, 4):
        written(path)
        engine = Memory()
        engine.state = (0.0, np.zeros(size, np.float32))
        assert not Checkpoint(path, engine, DIGEST, DECODER).resume()
        assert f"(1 is float32(100,), expected float32({size},))" in only_line(caplog, logging.WARNING)
    assert [file.name for file in tmp_path.iterdir()] == ["state.npz.bad"]


def test_whatever_lies_there_it_begins(tmp_path: Path, caplog: Log) -> None:
    path = tmp_path / "state.npz"
    whole = written(path).read_bytes()
    rng = np.random.default_rng(1)
    np.save(tmp_path / "plain.npy", np.zeros(3))
    wrong = [b"", b"PK", b"\x00" * 5_000_000, whole[:-1], whole[: len(whole) // 2], b"x" + whole]
    wrong.append((tmp_path / "plain.npy").read_bytes())
    for place in rng.integers(0, len(whole), 200):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        wrong.append(bytes(flipped))
    damaged = 0
    for content in wrong:
        path.write_bytes(content)
        state = resumed(path)
        if state is None:
            line = only_line(caplog, logging.WARNING)
            assert line.count("\n") == 0
            assert "cannot be used" in line
            damaged += 1
        else:  # a flipped bit that nobody reads: a time stamp of the archive
            assert (state[0], state[1].tolist()) == (7.0, [7.0] * 100)
            caplog.clear()
    assert damaged > len(wrong) / 2


def test_what_can_never_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "state.npz", Path(""), tmp_path):
        with pytest.raises(SinkError, match="cannot be written"):
            Checkpoint(path, Memory(), DIGEST, DECODER)


def test_it_is_written_every_so_often_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    engine = Memory()
    checkpoint = Checkpoint(path, engine, DIGEST, DECODER, interval=0.2)
    seen = set()
    began = time.monotonic()
    while len(seen) < 3:
        assert time.monotonic() < began + PATIENCE
        engine.state = (time.monotonic() - began, np.ones(100, np.float32))
        checkpoint.send(neutral(0.5))
        time.sleep(0.01)
        if path.exists():
            seen.add(resumed(path)[0])
    times = sorted(seen)
    assert np.diff(times).min() >= 0.1  # not at every look; a busy machine may pause between the time and the sending
    engine.state = (1e6, np.ones(100, np.float32))
    checkpoint.send(neutral(1.0))
    checkpoint.close()
    checkpoint.close()
    checkpoint.send(neutral(1.5))
    assert resumed(path)[0] == 1e6
    assert [file.name for file in tmp_path.iterdir()] == ["state.npz"]


def test_a_session_that_never_began_leaves_the_old_one(tmp_path: Path) -> None:
    path = written(tmp_path / "state.npz", wall=lambda: 1000.0)
    Checkpoint(path, Memory(), DIGEST, DECODER).close()
    assert resumed(path, wall=lambda: 1001.0)[0] == 7.0


def test_a_disk_that_fails_is_told_once_and_counted_and_may_come_back(tmp_path: Path, caplog: Log) -> None:
    folder = tmp_path / "disk"
    engine = Memory()
    checkpoint = Checkpoint(folder / "state.npz", engine, DIGEST, DECODER, interval=0.0)
    folder.rmdir()
    while checkpoint.faults < 3:
        checkpoint.send(neutral(0.5))
        time.sleep(0.01)
    assert "is not written: no such file or directory; tried again later" in only_line(caplog, logging.WARNING)
    folder.mkdir()
    checkpoint.send(neutral(0.5))
    wait_for((folder / "state.npz").exists)
    checkpoint.close()
    assert resumed(folder / "state.npz")[0] == 0.0


def test_send_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """The file beside is a pipe that nobody reads yet: its opening waits as long as a disk that hangs."""
    path = tmp_path / "state.npz"
    engine = Memory()
    checkpoint = Checkpoint(path, engine, DIGEST, DECODER, interval=0.0)
    pipe = tmp_path / f".state.npz.{os.getpid()}.new"
    os.mkfifo(pipe)
    for number in range(1, 6):
        engine.state = (float(number), np.ones(100, np.float32))
        checkpoint.send(neutral(0.5))
    assert not path.exists()
    assert "checkpoint" in [thread.name for thread in threading.enumerate()]
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    wait_for(lambda: not pipe.exists())
    os.close(reader)
    path.unlink(missing_ok=True)  # the pipe, renamed
    checkpoint.close()
    assert resumed(path)[0] == 5.0


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from valaro.streamer.app.monitoring.checkpoint import Checkpoint
from valaro.streamer.core.affect import Affect

class Memory:
    def __init__(self): self.state = (0.0, np.zeros(6000, np.float32))
    def resume(self, state): self.resumed = state

path, random_ = Path(sys.argv[1]), random.Random(3)
rounds = torn = 0
newest = -1.0
while torn < 10 or rounds < 60 or newest < 0:
    rounds += 1
    assert rounds < 3000, f"only {torn} were killed while writing"
    child = os.fork()
    if not child:
        engine = Memory()
        checkpoint = Checkpoint(path, engine, "d", "fusion", interval=0.0)
        while True:
            number = time.monotonic()
            engine.state = (number, np.full(6000, number, np.float32))
            checkpoint.send(None)
    time.sleep(random_.uniform(0.0, 0.02 + 0.0005 * rounds))  # a slow disk takes longer for one file
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    torn += len(list(path.parent.glob(".*.new")))
    found = Memory()
    if Checkpoint(path, found, "d", "fusion").resume():
        number, array = found.resumed
        assert number >= newest and (array == np.float32(number)).all(), (newest, number)
        newest = number
    else:
        assert not path.exists() and newest < 0, "a broken file"
assert newest > 0 and [each.name for each in path.parent.iterdir()] == [path.name]
print("rounds", rounds, "torn", torn)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that were forked")
@pytest.mark.long
def test_kill_9_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, timeout=4 * PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"rounds \d+ torn \d+\n", ended.stdout)


def test_an_engine_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    bundle = full_bundle()
    sound = demo_piece(RATE)[: 8 * RATE]
    half = 4 * RATE
    whole, fresh = Engine(bundle, RATE), Engine(bundle, RATE)
    checkpoint = Checkpoint(tmp_path / "state.npz", whole, DIGEST, DECODER)
    for affect in whole.push(sound[:half]):
        checkpoint.send(affect)
    checkpoint.close()
    again = Engine(bundle, RATE)
    assert Checkpoint(tmp_path / "state.npz", again, DIGEST, DECODER).resume()
    later = [engine.push(sound[half:]) for engine in (whole, again, fresh)]
    for one, other, new in zip(*later, strict=True):
        assert np.array_equal(one.heatmap, other.heatmap)
        assert not np.allclose(one.heatmap, new.heatmap, atol=1e-4)
    assert (tmp_path / "state.npz").stat().st_size < 64_000


def test_a_bundle_is_told_by_its_manifest(tmp_path: Path) -> None:
    full_bundle().save(tmp_path / "one")
    assert re.fullmatch("[0-9a-f]{64}", bundle_digest())
    assert bundle_digest(tmp_path / "one") != bundle_digest()


SESSION = """
import json, sys, time
from pathlib import Path
from valaro.models import load_bundle
from valaro.streamer import Engine, Session
from valaro.streamer.app.monitoring.checkpoint import Checkpoint, bundle_digest
from valaro.streamer.sources import AudioFile

class Told:
    def send(self, affect): print(json.dumps(affect.record()), flush=True)
    def close(self): pass

song, model, state = map(Path, sys.argv[1:])
source = AudioFile(song, paced=True)
engine = Engine(load_bundle(model), source.rate)
checkpoint = Checkpoint(state, engine, bundle_digest(model), "fusion", interval=1.0)
print(json.dumps(checkpoint.resume()), flush=True)
Session(source, engine, [Told(), checkpoint]).run()
"""


@pytest.mark.long
def test_a_program_that_is_killed_goes_on_from_the_old_heatmap(tmp_path: Path) -> None:
    model, song, state = tmp_path / "model", tmp_path / "song.wav", tmp_path / "state.npz"
    full_bundle().save(model)
    soundfile.write(song, demo_piece(RATE)[: 40 * RATE], RATE, subtype="FLOAT")
    emissions: list[Any] = []
    for count in (8, 2):
        command = [sys.executable, "-c", SESSION, *map(str, (song, model, state))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            try:
                emissions.append([json.loads(program.stdout.readline()) for _ in range(1 + count)])
            finally:
                program.send_signal(signal.SIGKILL)
    (afresh, *before), (went_on, *after) = emissions
    assert (afresh, went_on) == (False, True)
    assert after[0]["time"] == 0.5
    old, prior, new = (np.array(emission["heatmap"]) for emission in (before[-1], before[0], after[0]))
    assert np.abs(old - prior).sum() > 0.1
    assert np.abs(new - old).sum() < 0.5 * np.abs(new - prior).sum()


def test_the_default_bundle_takes_some_tens_of_kilobytes(tmp_path: Path) -> None:
    bundle = load_bundle()
    engine = Engine(bundle, RATE)
    checkpoint = Checkpoint(tmp_path / "state.npz", engine, bundle_digest(), DECODER)
    for affect in engine.push(demo_piece(RATE)[: 3 * RATE]):
        checkpoint.send(affect)
    checkpoint.close()
    assert 10_000 < (tmp_path / "state.npz").stat().st_size < 64_000
    other = Engine(bundle, RATE)
    assert Checkpoint(tmp_path / "state.npz", other, bundle_digest(), DECODER).resume()
    assert np.array_equal(other.state.heatmap, engine.state.heatmap)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_its_place_is_refused_and_stays_and_is_never_waited_for(tmp_path: Path) -> None:
    """Set aside, /dev/null would be gone for the whole machine where root asks for it."""
    path = tmp_path / "state.npz"
    os.mkfifo(path)
    with pytest.raises(SinkError, match="is a device or a pipe: name another file"):
        resumed(path)
    assert path.is_fifo()


def test_a_state_that_leads_to_nothing_is_set_aside_and_never_tried_again(tmp_path: Path, caplog: Log) -> None:
    """Each part of the memory altered: the show goes on from it, or begins afresh; it never ends, nor says NaN."""
    bundle, path = full_bundle(), tmp_path / "state.npz"
    second = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    engine = Engine(bundle, RATE)
    first = Checkpoint(path, engine, DIGEST, DECODER)
    engine.push(np.tile(second, 3))
    first.send(neutral(0.5))
    first.close()
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file.items())
    rng = np.random.default_rng(0)
    refused = 0
    for name, array in arrays.items():
        if name == "about" or not array.size:
            continue
        for alter in (1e30, -1e300, 1e38, "shape", "negative"):
            bad: Any = array
            match alter:
                case "shape":
                    bad = np.zeros((2, 3), array.dtype)
                case "negative":
                    bad = -array if array.dtype.kind == "f" else array
                case float(value):
                    bad = array.copy()
                    if array.dtype.kind == "f":
                        with np.errstate(over="ignore"):
                            bad.flat[rng.integers(bad.size)] = value
            np.savez(path, **(arrays | {name: bad}))
            later = Engine(bundle, RATE)
            taken = Checkpoint(path, later, DIGEST, DECODER).resume()
            assert path.exists() == taken
            refused += not taken
            with np.errstate(all="ignore"):
                emissions = later.push(second)
            assert len(emissions) == 2
            assert all(affect.is_finite for affect in emissions)
            assert later.bad_heatmaps == 0
    assert refused > len(arrays)
    path.write_bytes(whole)
    assert Checkpoint(path, Engine(bundle, RATE), DIGEST, DECODER).resume()
    assert "unexpected" not in caplog.text
