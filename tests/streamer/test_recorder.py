"""Recording a show and playing it back."""

import json
import math
import os
import resource
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from valaro.models import grid
from valaro.streamer.errors import InputError, SinkError
from valaro.streamer.messages import Affect
from valaro.streamer.sinks.recorder import Recorder, Replay


class Memory:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[Affect] = []

    def send(self, affect: Affect) -> None:
        self.kept.append(affect)

    def close(self) -> None:
        pass


def emissions(count: int) -> list[Affect]:
    random = np.random.default_rng(7)
    result = []
    for k in range(count):
        heatmap = random.dirichlet(np.full(121, 0.3)).reshape(11, 11)
        mean, covariance = grid.moments(heatmap)
        result.append(
            Affect(
                0.5 * (k + 1),
                float(mean[0]),
                float(mean[1]),
                covariance,
                heatmap,
                grid.quadrants(heatmap),
                float(grid.confidence(heatmap)),
                0.5,
                "music",
                {"calm": 0.125 * k},
            )
        )
    return result


def same(one: Affect, other: Affect) -> bool:
    return one.record() == other.record()


def test_a_recording_holds_each_emission_at_once_and_exactly(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    recorder = Recorder(path)
    sent = emissions(3)
    for count, affect in enumerate(sent, 1):
        recorder.send(affect)
        lines = path.read_text().splitlines()  # before any close: a crash loses nothing that was sent
        assert len(lines) == count
        assert json.loads(lines[-1]) == affect.record()
    recorder.close()
    recorder.close()
    recorder.send(sent[0])
    assert all(map(same, Replay(path), sent))
    assert len(list(Replay(path))) == 3
    assert recorder.faults == 0


def test_a_show_that_never_began_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    for _ in range(2):
        recorder = Recorder(path)
        recorder.close()
        assert not path.exists()


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    path.write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        Recorder(path)
    assert path.read_text() == "precious"


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be written"):
        Recorder(tmp_path / "missing" / "show.jsonl")


def test_a_full_disk_is_logged_once_and_leaves_whole_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "show.jsonl"
    recorder = Recorder(path)
    sent = emissions(4)
    recorder.send(sent[0])
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))  # room for a torn line only
        recorder.send(sent[1])
        recorder.send(sent[2])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert recorder.faults == 2
    assert len(caplog.records) == 1
    recorder.send(sent[3])  # there is room again
    recorder.close()
    kept = list(Replay(path))
    assert len(kept) == 2
    assert same(kept[0], sent[0])
    assert same(kept[1], sent[3])


def test_a_replay_sends_all_in_order_to_every_sink(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    recorder = Recorder(path)
    sent = emissions(5)
    for affect in sent:
        recorder.send(affect)
    recorder.close()
    one, other = Memory(), Memory()
    assert Replay(path, speed=1e6).run([one, other]) == 5
    assert all(map(same, one.kept, sent))
    assert len(one.kept) == len(other.kept) == 5


def test_a_replay_keeps_the_pace_until_it_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    recorder = Recorder(path)
    for affect in emissions(3):
        recorder.send(affect)
    recorder.close()
    replay = Replay(path, speed=1e-6)  # the second emission is due in days
    sink = Memory()
    player = threading.Thread(target=replay.run, args=([sink],))
    player.start()
    replay.stop()
    player.join(timeout=10)
    assert not player.is_alive()
    assert len(sink.kept) <= 1


def test_a_second_show_in_one_file_begins_again_at_its_own_pace(tmp_path: Path) -> None:
    path = tmp_path / "shows.jsonl"
    first, second, third = (affect.record() for affect in emissions(3))
    path.write_text("".join(json.dumps(each) + "\n" for each in (third, first, second)))
    replay, sink = Replay(path, speed=1e-6), Memory()  # the third is due in days, and not before
    player = threading.Thread(target=replay.run, args=([sink],))
    player.start()
    while len(sink.kept) < 2:
        time.sleep(0.001)
    replay.stop()
    player.join(timeout=10)
    assert [affect.time for affect in sink.kept] == [1.5, 0.5]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not a record"),
        ("[]", "not a record"),
        ("null", "not a record"),
        ('{"time": 1.0}', "lacks 'covariance'"),
        ("\x00\xff", "not a record"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "show.jsonl"
    good = json.dumps(emissions(1)[0].record())
    path.write_text(f"{good}\n\n{line}\n", encoding="latin-1")
    with pytest.raises(InputError, match=r"show\.jsonl, line 3: .*" + says):
        Replay(path, speed=1e6).run([Memory()])


@pytest.mark.parametrize("key", ["heatmap", "valence", "quadrants", "activity", "tags"])
def test_a_record_with_a_wrong_value_is_refused_before_anything_starts(tmp_path: Path, key: str) -> None:
    path = tmp_path / "show.jsonl"
    path.write_text(json.dumps(emissions(1)[0].record() | {key: "loud"}))
    with pytest.raises(InputError, match="line 1"):
        Replay(path)


@pytest.mark.parametrize(
    "change", [{"valence": math.nan}, {"time": math.inf}, {"quadrants": [math.nan] * 4}, {"tags": {"calm": math.nan}}]
)
def test_a_record_that_is_not_finite_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "show.jsonl"
    path.write_text(json.dumps(emissions(1)[0].record() | change))
    with pytest.raises(InputError, match="line 1"):
        Replay(path)


def test_missing_empty_and_directory_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, says in [("missing", "cannot be read"), ("empty", "no emission"), (".", "cannot be read")]:
        with pytest.raises(InputError, match=says):
            Replay(tmp_path / name)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "show.jsonl")
    with pytest.raises(InputError, match="device or pipe"):
        Replay(tmp_path / "show.jsonl")


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_must_be_above_zero(tmp_path: Path, speed: float) -> None:
    with pytest.raises(InputError, match="speed"):
        Replay(tmp_path / "any", speed=speed)
