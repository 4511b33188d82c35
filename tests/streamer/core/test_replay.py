"""Playing a recording back."""

import json
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.replay import Replay
from valaro.streamer.errors import InputError
from valaro.streamer.sinks.recorder import Recorder

from ..fakes import Collect, neutral
from ..oscdump import wait_for

DAYS = 1e-6  # a speed at which half a second takes days


def record(time: float, sent: float | None = None) -> dict[str, Any]:
    return neutral(time).record() | ({} if sent is None else {"sent": sent})


def written(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "show.jsonl"


def played(replay: Replay, enough: Callable[[list[float]], bool]) -> list[float]:
    """The times that were sent when it was ``enough``; a moment later, so that what should not come might."""
    sink = Collect()
    player = threading.Thread(target=replay.run, args=([sink],))
    player.start()
    wait_for(lambda: enough([affect.time for affect in list(sink.affects)]))
    time.sleep(0.05)
    replay.stop()
    player.join(timeout=60)
    assert not player.is_alive()
    return [affect.time for affect in sink.affects]


def test_the_channel_of_what_was_tracked_separately_comes_back(path: Path) -> None:
    recorder = Recorder(path)
    sent = [replace(neutral(time), channel=number) for time in (0.5, 1.0) for number in (1, 5)]
    for affect in sent:
        recorder.send(affect)
    recorder.close()
    assert [json.loads(line)["channel"] for line in path.read_text().splitlines()] == [1, 5, 1, 5]
    assert [(each.time, each.channel) for each in Replay(path)] == [(0.5, 1), (0.5, 5), (1.0, 1), (1.0, 5)]


@pytest.mark.parametrize("channel", [0, -1, 1.0, "1", True, 10_000, [1]])
def test_a_channel_that_cannot_be_is_refused(path: Path, channel: object) -> None:
    with pytest.raises(InputError, match="line 1: not a record"):
        Replay(written(path, record(0.5) | {"channel": channel}))


def test_all_is_sent_in_order_to_every_sink(path: Path) -> None:
    recorder = Recorder(path)
    sent = [neutral(0.5 * k, level=0.1 * k) for k in range(1, 6)]
    for affect in sent:
        recorder.send(affect)
    recorder.close()
    one, other = Collect(), Collect()
    assert Replay(path, speed=1e6).run([one, other]) == 5
    assert [affect.record() for affect in one.affects] == [affect.record() for affect in sent]
    assert len(other.affects) == 5
    assert one.closings == 0


def test_it_keeps_the_pace_until_it_is_stopped(path: Path) -> None:
    written(path, record(0.5), record(1.0), record(1.5))
    assert played(Replay(path, speed=DAYS), lambda times: len(times) == 1) == [0.5]


def test_the_pace_is_the_shows_own_and_not_the_streams(path: Path) -> None:
    written(path, record(0.5, 0.0), record(1e9, 0.001), record(2e9, 0.002), record(2e9 + 0.5, 8e4))
    assert played(Replay(path), lambda times: len(times) == 3) == [0.5, 1e9, 2e9]


def test_where_the_show_has_no_stamps_the_pace_is_the_streams(path: Path) -> None:
    written(path, record(0.5, 7.0), record(0.5), record(0.5, 1e9), record(0.5), record(8e4))
    assert played(Replay(path), lambda times: len(times) == 4) == [0.5] * 4


def test_what_analyze_wrote_is_played_too(path: Path) -> None:
    written(path, *(neutral(0.5 * k).record("song.wav") for k in range(1, 4)))
    assert Replay(path, speed=1e6).run([Collect()]) == 3


@pytest.mark.parametrize("stamps", [(None, None, None), (3.0, 0.5, 1.0)])
def test_a_second_show_in_one_file_begins_again_at_its_own_pace(path: Path, stamps: tuple[float | None, ...]) -> None:
    written(path, *map(record, (1.5, 0.5, 1.0), stamps))  # the third is due in days, and not before
    assert played(Replay(path, speed=DAYS), lambda times: len(times) == 2) == [1.5, 0.5]


def test_a_loop_begins_again_until_it_is_stopped(path: Path) -> None:
    written(path, record(0.5, 0.0), record(1.0, 0.5), {"rating": {}}, record(1.5, 1.0))
    times = played(Replay(path, speed=1e6, loop=True), lambda times: len(times) >= 7)
    assert times == ([0.5, 1.0, 1.5] * len(times))[: len(times)]


def test_the_loops_seam_waits_as_long_as_one_emission_takes(path: Path) -> None:
    written(path, record(0.5))
    assert played(Replay(path, speed=DAYS, loop=True), lambda times: len(times) == 1) == [0.5]


def test_a_looped_file_that_somebody_empties_ends_it(path: Path) -> None:
    written(path, record(0.5))

    class Emptier(Collect):
        def send(self, affect: Affect) -> None:
            super().send(affect)
            path.write_text("\n")

    sink = Emptier()
    with pytest.raises(InputError, match="no emission"):
        Replay(path, speed=1e6, loop=True).run([sink])
    assert len(sink.affects) == 1


def test_after_a_long_stop_it_goes_on_from_there(path: Path) -> None:
    """A computer that slept, or a sink that hung: what was missed does not come as a flood."""
    written(path, record(0.5, 0.0), record(1.0, 0.1), record(1.5, 2.9))
    arrived: list[float] = []

    class Hangs(Collect):
        def send(self, affect: Affect) -> None:
            if not arrived:
                time.sleep(3.0)
            arrived.append(time.monotonic())

    Replay(path).run([Hangs()])
    assert len(arrived) == 3
    assert arrived[2] - arrived[1] > 0.2  # of the 2.8 s between them, 1 s at most is made up for


@pytest.mark.parametrize("cut", [b'{"time": 1.5, "val', b"\x00" * 4096, b'{"rating": {"ti', "é".encode()[:1]])
def test_a_last_line_that_was_cut_off_is_left_out_and_told_once(
    path: Path, cut: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    written(path, record(0.5), record(1.0))
    path.write_bytes(path.read_bytes() + cut)
    with caplog.at_level(logging.INFO):
        times = played(Replay(path, speed=1e6, loop=True), lambda times: len(times) >= 6)
    assert times[:6] == [0.5, 1.0] * 3
    assert [entry.getMessage() for entry in caplog.records] == [
        f"{path}, line 3: not a record that Valaro wrote: passed over"
    ]


def test_a_whole_last_line_needs_no_line_feed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(path, record(0.5), record(1.0))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert [affect.time for affect in Replay(path)] == [0.5, 1.0]
    assert not caplog.records


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not a record"),
        ("[]", "not a record"),
        ("null", "not a record"),
        ("17", "not a record"),
        ('"rating"', "not a record"),
        ("[" * 100_000, "not a record"),
        ('{"time": 1.0}', "lacks 'covariance'"),
        ("\x00\xff", "not a record"),
    ],
)
def test_a_bad_line_is_told_by_file_and_number_and_passed_over(
    path: Path, line: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = json.dumps(record(0.5))
    path.write_text(f"{good}\n\n{line}\n{good}\n", encoding="latin-1")
    sink, replay = Collect(), Replay(path, speed=1e6)
    assert replay.run([sink]) == len(sink.affects) == 2
    assert replay.passed_over == 1
    (told,) = (entry.getMessage() for entry in caplog.records)
    assert re.fullmatch(r".*show\.jsonl, line 3: .*" + says + ".*: passed over", told)
    path.write_text(f"{line}\n", encoding="latin-1")
    with pytest.raises(InputError, match=r"show\.jsonl, line 1: .*" + says):  # no good line at all
        Replay(path)


def test_many_bad_lines_are_counted_once_each_and_ten_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = json.dumps(record(0.5))
    path.write_text("scribble\n" * 15 + f"{good}\n" + "scribble\n" * 15)
    replay = Replay(path, speed=1e6, loop=True)
    played(replay, lambda times: len(times) >= 4)
    assert replay.passed_over == 30
    assert len(caplog.records) == 10
    assert caplog.messages[-1].endswith("passed over (further ones are counted)")


@pytest.mark.parametrize(
    "change",
    [
        {"valence": 1.5},
        {"arousal": -7.0},
        {"confidence": 2.0},
        {"level": -1.0},
        {"heatmap": [[0.5] * 11] * 11},
        {"heatmap": [[-1.0] + [0.0] * 10] * 10 + [[1.0] * 11]},
        {"heatmap": [[1.0]]},
        {"quadrants": [1.0, 1.0, 0.0, 0.0]},
        {"covariance": [[-0.5, 0.0], [0.0, 0.5]]},
        {"covariance": [[0.5, 0.4], [-0.4, 0.5]]},
        {"time": -1.0},
        {"time": 1.0},  # that of the line before
        {"time": 1e9},  # nobody waits for it
        {"channel": 0},
        {"activity": "loud"},
        {"tags": [1.0]},
        {"tags": {"calm": "much"}},
    ],
)
def test_what_no_engine_emits_is_passed_over(path: Path, change: dict[str, object]) -> None:
    written(path, record(1.0), record(1.5) | change, record(2.0))
    replay = Replay(path, speed=1e6)
    assert [affect.time for affect in replay] == [1.0, 2.0]
    assert replay.passed_over == 1


def test_a_line_without_end_is_not_read_to_its_end(path: Path) -> None:
    written(path, record(0.5))
    size = path.stat().st_size
    os.truncate(path, size + 10**12)  # a hole: it takes no space on the disk, and would not fit into memory
    replay = Replay(path)
    assert [affect.time for affect in replay] == [0.5]
    assert replay.passed_over == 1


@pytest.mark.parametrize("key", ["heatmap", "valence", "quadrants", "activity", "tags", "sent"])
def test_a_record_with_a_wrong_value_is_refused_before_anything_starts(path: Path, key: str) -> None:
    path.write_text(json.dumps(record(0.5) | {key: "loud"}))
    with pytest.raises(InputError, match="line 1"):
        Replay(path)


@pytest.mark.parametrize(
    "change",
    [
        {"valence": math.nan},
        {"time": math.inf},
        {"quadrants": [math.nan] * 4},
        {"tags": {"calm": math.nan}},
        {"sent": math.nan},
        {"sent": 10**400},
        {"sent": None},
    ],
)
def test_a_record_that_is_not_finite_is_refused(path: Path, change: dict[str, object]) -> None:
    path.write_text(json.dumps(record(0.5) | change))
    with pytest.raises(InputError, match="line 1"):
        Replay(path)


def test_missing_empty_and_directory_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    written(tmp_path / "ratings", {"rating": {}})
    for name, says in [
        ("missing", "cannot be read"),
        ("empty", "no emission"),
        ("ratings", "no emission"),
        (".", "cannot be read"),
    ]:
        with pytest.raises(InputError, match=says):
            Replay(tmp_path / name)


def test_a_pipe_is_refused_instead_of_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(InputError, match="device or pipe"):
        Replay(path)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_must_be_above_zero(tmp_path: Path, speed: float) -> None:
    with pytest.raises(InputError, match="speed"):
        Replay(tmp_path / "any", speed=speed)
