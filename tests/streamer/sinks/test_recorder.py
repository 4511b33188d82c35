"""Recording a show."""

import io
import json
import resource
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from valaro.models import grid
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.controls import Controls, Rating
from valaro.streamer.core.replay import Replay
from valaro.streamer.errors import InputError, SinkError
from valaro.streamer.sinks.recorder import Recorder


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


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_recording_holds_each_emission_at_once_and_exactly(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    recorder = Recorder(path)
    sent = emissions(3)
    for count, affect in enumerate(sent, 1):
        recorder.send(affect)
        found = lines(path)  # before any close: a crash loses nothing that was sent
        assert len(found) == count
        assert found[-1] == affect.record() | {"sent": found[-1]["sent"]}
    recorder.close()
    recorder.close()
    recorder.send(sent[0])
    assert all(map(same, Replay(path), sent))
    assert len(list(Replay(path))) == 3
    assert recorder.faults == 0


def test_each_line_says_when_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    before = time.monotonic()
    recorder = Recorder(path)
    for affect in emissions(3):
        time.sleep(0.02)
        recorder.send(affect)
    recorder.close()
    stamps = [line["sent"] for line in lines(path)]
    assert stamps[0] >= 0.02 - 0.001
    assert all(later - earlier >= 0.02 - 0.001 for earlier, later in pairwise(stamps))
    assert stamps[-1] <= time.monotonic() - before + 0.001
    assert stamps == [round(stamp, 3) for stamp in stamps]


def test_ratings_are_lines_that_a_replay_passes_over(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    recorder, controls = Recorder(path), Controls(listener="ana")
    controls.hear_ratings(recorder.rate)
    first, second = emissions(2)
    recorder.send(first)
    controls.newest = first
    controls.rate(-0.5, 0.75)
    recorder.send(second)
    recorder.rate(Rating(1.0, 1.0, 1.0, ""))
    recorder.close()
    recorder.rate(Rating(1.5, 1.0, 1.0, ""))
    found = lines(path)
    assert len(found) == 4
    assert found[1] == {
        "rating": {"time": 0.5, "valence": -0.5, "arousal": 0.75, "listener": "ana", "source": "api"},
        "sent": found[1]["sent"],
    }
    assert found[0]["sent"] <= found[1]["sent"] <= found[2]["sent"]
    assert [affect.time for affect in Replay(path)] == [0.5, 1.0]


def test_ratings_and_emissions_from_two_threads_are_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "show.jsonl"
    recorder, sent = Recorder(path), emissions(1)[0]
    rater = threading.Thread(target=lambda: [recorder.rate(Rating(0.5, 0.0, 0.0, "")) for _ in range(500)])
    rater.start()
    for _ in range(200):
        recorder.send(sent)
    rater.join()
    recorder.close()
    found = lines(path)
    assert sum("rating" in line for line in found) == 500
    assert len(list(Replay(path))) == 200
    stamps = [line["sent"] for line in found]
    assert stamps == sorted(stamps)


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
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))  # room for a torn line only
        recorder.send(sent[1])
        recorder.rate(Rating(1.0, 0.0, 0.0, "somebody with a long name"))
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


def test_a_disk_that_says_at_the_end_that_it_is_full_is_told_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Remote(io.FileIO):
        def close(self) -> None:
            whole = not self.closed
            super().close()
            if whole:
                raise OSError(28, "No space left on device")

    path = tmp_path / "show.jsonl"
    monkeypatch.setattr(Path, "open", lambda path, *_args, **_options: Remote(path, "xb"))
    recorder = Recorder(path)
    recorder.send(emissions(1)[0])
    recorder.close()
    recorder.close()
    assert recorder.faults == 1
    (record,) = caplog.records
    told = f"recording to {path}: no space left on device at its end: its last lines may be missing"
    assert record.getMessage() == told
