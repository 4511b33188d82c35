"""Listeners in a running engine: learnt at once, kept, and there again in the next session."""

import logging
import queue
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from valaro.models import load_bundle
from valaro.streamer import Engine
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.controls import Controls
from valaro.streamer.errors import InputError
from valaro.streamer.listeners.adaptation import OnlineAdaptation
from valaro.streamer.listeners.store import Listeners, StoreError, open_or_none

from ..oscdump import PATIENCE, wait_for

log = logging.getLogger(__name__)
RATE = 24_000
BUNDLE = load_bundle()


def music(seconds: float) -> np.ndarray:
    t = np.arange(round(RATE * seconds)) / RATE
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.2, 329.6))
    noise = np.random.default_rng(3).standard_normal(t.size)
    return (0.1 * chord * (1 + np.sin(2 * np.pi * 2 * t)) + 0.02 * noise).astype(np.float32)


class Room:
    """An engine with its listeners, as the commands wire them, on a store of the test's own."""

    def __init__(self, path: Path, listener: str = "", lag: float = 2.0) -> None:
        self.controls = Controls(listener=listener)
        self.adaptation = OnlineAdaptation(BUNDLE, self.controls, lambda: Listeners(path), lag=lag)
        self.controls.hear_ratings(self.adaptation.rate)
        self.adaptation.load()
        self.engine = Engine(BUNDLE, RATE, listener=self.adaptation)

    def play(self, seconds: float) -> list[Affect]:
        affects = self.engine.push(music(seconds))
        self.controls.newest = affects[-1]
        return affects

    def __enter__(self) -> "Room":
        return self

    def __exit__(self, *_: object) -> None:
        self.adaptation.load()  # a slow disk may need longer than close() waits
        self.adaptation.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "ratings.sqlite3"


def mean(affect: Affect) -> np.ndarray:
    return np.array([affect.valence, affect.arousal])


def test_without_ratings_a_listener_changes_nothing(store: Path) -> None:
    with Room(store, "ana") as room:
        plain = Engine(BUNDLE, RATE).push(music(4))
        for adapted, unadapted in zip(room.play(4), plain, strict=True):
            np.testing.assert_array_equal(adapted.heatmap, unadapted.heatmap)


def test_a_rating_draws_the_heatmap_towards_it_at_once_and_in_the_next_session(store: Path) -> None:
    plain = Engine(BUNDLE, RATE).push(music(12))[-1]
    target = np.array([-0.8, 0.8])
    with Room(store, "ana") as room:
        room.play(8)
        for _ in range(3):
            room.controls.rate(*target)
        adapted = room.play(12)[-1]
    assert np.linalg.norm(mean(adapted) - target) < 0.8 * np.linalg.norm(mean(plain) - target)
    assert adapted.heatmap.sum() == pytest.approx(1.0)
    assert adapted.heatmap.min() >= 0.0
    with Room(store, "ana") as room:
        again = room.play(12)[-1]
    alone = Engine(BUNDLE, RATE).push(music(12))[-1]
    assert np.linalg.norm(mean(again) - target) < 0.8 * np.linalg.norm(mean(alone) - target)
    with Room(store, "ben") as room:
        np.testing.assert_array_equal(room.play(12)[-1].heatmap, alone.heatmap)


def test_the_lag_picks_what_was_heard_before(store: Path) -> None:
    with Room(store, "ana", lag=2.0) as room:
        room.play(8)
        room.controls.rate(0.5, 0.5)
        wait_for(lambda: room.adaptation.stored == 1)
    with Listeners(store) as ratings:
        (rating,) = ratings.ratings("ana")
    assert rating.time == 6.0
    assert rating.source == "api"
    expected = Engine(BUNDLE, RATE).push(music(8))[11]  # 6.0 s
    np.testing.assert_allclose(rating.evidence.heatmap.reshape(11, 11), expected.heatmap, atol=1e-6)


def test_what_was_rated_before_a_profile_is_read_is_not_counted_twice(store: Path) -> None:
    with Room(store, "ana") as room:
        room.play(8)
        room.controls.rate(-0.8, 0.8)
        wait_for(lambda: room.adaptation.stored == 1)
        room.controls.rate(-0.8, 0.8)
        adapted = room.play(4)[-1]
    with Room(store) as room:  # nobody is named: her rating comes before her profile is asked for
        room.play(8)
        room.controls.rate(0.1, 0.1, "ana")
        room.controls.listener = "ana"
        room.adaptation.load()
        assert room.adaptation.ratings("ana") == 3
    assert adapted.time == 12.0


def test_several_are_a_product_of_each(store: Path) -> None:
    with Room(store, "ana, ben") as room:
        room.play(8)
        with pytest.raises(InputError, match="say whose"):
            room.controls.rate(0.9, 0.9)
        for _ in range(4):
            room.controls.rate(0.9, 0.0, "ana")
            room.controls.rate(-0.9, 0.0, "ben")
        both = room.play(2)[-1]
    with Room(store, "ana") as room:
        ana = room.play(10)[-1]
    with Room(store, "ben") as room:
        ben = room.play(10)[-1]
    assert ben.valence < both.valence < ana.valence


def test_without_a_name_ratings_count_for_this_session_alone(store: Path) -> None:
    plain = Engine(BUNDLE, RATE).push(music(12))[-1]
    with Room(store) as room:
        room.play(8)
        for _ in range(3):
            room.controls.rate(-0.8, 0.8)
        adapted = room.play(4)[-1]
    assert adapted.valence < plain.valence
    assert not store.exists()


def test_silence_fades_to_the_neutral_heatmap_whoever_listens(store: Path) -> None:
    rest = Engine(BUNDLE, RATE).push(np.zeros(RATE, np.float32))[-1]
    with Room(store, "ana") as room:
        room.play(8)
        for _ in range(5):
            room.controls.rate(0.9, 0.9)
        quiet = room.engine.push(np.zeros(30 * RATE, np.float32))
    assert np.linalg.norm(mean(quiet[0]) - mean(rest)) > 0.4
    assert np.linalg.norm(mean(quiet[-1]) - mean(rest)) < 0.02


def test_a_rating_before_any_sound_is_refused_and_not_counted(store: Path) -> None:
    with Room(store, "ana") as room:
        with pytest.raises(InputError, match="nothing was heard"):
            room.controls.rate(0.0, 0.0)
        room.controls.newest = room.engine.push(np.zeros(RATE * 2, np.float32))[-1]
        with pytest.raises(InputError, match="nothing was heard"):
            room.controls.rate(0.0, 0.0)
        assert room.controls.ratings == 0


def test_a_store_that_fails_is_told_once_and_the_session_still_learns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Listeners:
        raise StoreError("the disk is full")

    controls = Controls(listener="ana")
    adaptation = OnlineAdaptation(BUNDLE, controls, broken)
    controls.hear_ratings(adaptation.rate)
    adaptation.load()
    engine = Engine(BUNDLE, RATE, listener=adaptation)
    controls.newest = engine.push(music(8))[-1]
    for _ in range(3):
        controls.rate(-0.8, 0.8)
    adapted = engine.push(music(8)[: RATE // 2])[-1]
    adaptation.close()
    assert adaptation.ratings("ana") == 3
    assert adaptation.lost >= 3
    assert adapted.valence < Engine(BUNDLE, RATE).push(music(8))[-1].valence
    assert [record.message for record in caplog.records if "the disk is full" in record.message] == [
        "the disk is full; tracking goes on (told once, counted from here on)"
    ]


def test_a_store_that_could_not_be_opened_is_tried_again_and_what_it_holds_is_learnt_then(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("valaro.streamer.listeners.writer._REPORTED_AFTER", 1e6)
    with Room(store, "ana") as room:
        room.play(8)
        room.controls.rate(-0.8, 0.8)
    attempts: list[Path] = []

    def opened() -> Listeners | None:
        attempts.append(store)
        return Listeners(store) if len(attempts) > 1 else None

    controls = Controls(listener="ana")
    adaptation = OnlineAdaptation(BUNDLE, controls, opened)
    controls.hear_ratings(adaptation.rate)
    adaptation.load()
    controls.newest = Engine(BUNDLE, RATE, listener=adaptation).push(music(8))[-1]
    controls.rate(-0.8, 0.8)
    adaptation.load()
    assert (len(attempts), adaptation.stored, adaptation.lost, adaptation.ratings("ana")) == (1, 0, 1, 1)
    adaptation._writer._open_at = 0.0  # as if a minute had passed
    with caplog.at_level(logging.INFO, "valaro"):
        controls.rate(-0.8, 0.8)
        adaptation.load()
    adaptation.close()
    assert (len(attempts), adaptation.stored, adaptation.lost, adaptation.ratings("ana")) == (2, 1, 1, 3)
    assert [record.message for record in caplog.records] == ["listener ana: 1 rating"]
    with Listeners(store) as ratings:
        assert ratings.count("ana") == 2


def test_without_a_store_nothing_is_said_of_what_it_may_hold(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "valaro"):
        adaptation = OnlineAdaptation(BUNDLE, Controls(listener="ana"), lambda: None)
        adaptation.load()
        adaptation.close()
    assert caplog.records == []


def answered(room: Room, valence: float, arousal: float) -> "queue.Queue[BaseException | None]":
    """Rate, and where the answer will be."""
    answers: queue.Queue[BaseException | None] = queue.Queue()
    room.controls.rate(valence, arousal, answer=answers.put)
    return answers


def test_a_rating_is_answered_when_it_is_on_the_disk(store: Path) -> None:
    with Room(store, "ana") as room:
        room.play(8)
        assert answered(room, -0.8, 0.8).get(timeout=PATIENCE) is None
        assert (room.adaptation.stored, room.adaptation.lost, room.adaptation.pending) == (1, 0, 0)
        assert raw_count(store) == 1


def raw_count(store: Path) -> int:
    """How many ratings another program finds."""
    connection = sqlite3.connect(store)
    try:
        return connection.execute("SELECT count(*) FROM rating").fetchone()[0]
    finally:
        connection.close()


def test_a_rating_of_nobody_is_answered_at_once(store: Path) -> None:
    with Room(store) as room:
        room.play(8)
        assert answered(room, -0.8, 0.8).get_nowait() is None


def test_while_another_program_holds_the_store_a_rating_is_tried_again_until_it_is_stored(store: Path) -> None:
    with Room(store, "ana") as room:
        room.play(8)
        connection = sqlite3.connect(store, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        answers = answered(room, -0.8, 0.8)
        with pytest.raises(queue.Empty):
            answers.get(timeout=0.2)
        assert room.adaptation.pending == 1
        connection.execute("ROLLBACK")
        connection.close()
        assert answers.get(timeout=PATIENCE) is None
    assert (room.adaptation.stored, room.adaptation.lost) == (1, 0)


def test_what_stays_locked_is_lost_with_its_reason_told_once_and_answered(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("valaro.streamer.listeners.writer.PATIENCE", 0.1)
    monkeypatch.setattr("valaro.streamer.listeners.schema.LOCK_TIMEOUT", 0.05)
    reason = f"{store} is locked by another program: try again when that is done"
    with Room(store, "ana") as room:
        room.play(8)
        connection = sqlite3.connect(store, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            assert str(answered(room, -0.8, 0.8).get(timeout=PATIENCE)) == reason
        assert (room.adaptation.lost, room.adaptation.losses) == (2, {reason: 2})
        connection.execute("ROLLBACK")
        connection.close()
        assert answered(room, -0.8, 0.8).get(timeout=PATIENCE) is None  # from now on ratings are kept again
        assert room.adaptation.ratings("ana") == 3
    assert [record.message for record in caplog.records if "locked by another program" in record.message] == [
        f"{reason}; tracking goes on (told once, counted from here on)"
    ]


def test_a_queue_that_is_full_is_answered_with_an_error_and_each_rating_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valaro.streamer.listeners.writer.MOST_PENDING", 2)
    answers: queue.Queue[BaseException | None] = queue.Queue()
    with Room(store, "ana") as room:
        room.play(8)
        connection = sqlite3.connect(store, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            room.controls.rate(-0.8, 0.8, answer=answers.put)
        assert [str(answers.get_nowait()) for _ in range(3)] == ["2 ratings wait for the disk already"] * 3
        connection.execute("ROLLBACK")
        connection.close()
        assert [answers.get(timeout=PATIENCE) for _ in range(2)] == [None, None]
    assert answers.empty()
    assert (room.adaptation.stored, room.adaptation.lost) == (2, 3)


def test_at_the_end_every_rating_is_answered_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valaro.streamer.listeners.adaptation._CLOSE_TIMEOUT", 0.1)
    with Room(store, "ana") as room:
        room.play(8)
        connection = sqlite3.connect(store, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        answers = answered(room, -0.8, 0.8)
        room.adaptation.close()
        assert "ended before" in str(answers.get_nowait())
        connection.execute("ROLLBACK")
        connection.close()
        assert "is over" in str(answered(room, -0.8, 0.8).get_nowait())
        room.adaptation._writer._thread.join(PATIENCE)
    assert answers.empty()
    assert (room.adaptation.stored, room.adaptation.lost, room.adaptation.pending) == (0, 2, 0)


@pytest.mark.parametrize("how", ["deleted", "folder deleted", "moved", "log deleted"])
def test_a_store_that_is_gone_is_begun_afresh_before_a_rating_is_answered(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "data" / "ratings.sqlite3"
    with Room(store, "ana") as room:
        room.play(8)
        assert answered(room, -0.8, 0.8).get(timeout=PATIENCE) is None
        room.adaptation.load()
        room.adaptation._writer._backing_up.join(PATIENCE)  # pyright: ignore[reportOptionalMemberAccess]
        if how == "folder deleted":
            shutil.rmtree(store.parent)
        elif how == "moved":
            store.rename(tmp_path / "elsewhere.sqlite3")
        elif how == "log deleted":
            store.with_name(f"{store.name}-wal").unlink()
        else:
            for file in store.parent.iterdir():
                file.unlink()
        for _ in range(2):
            assert answered(room, -0.8, 0.8).get(timeout=PATIENCE) is None
        assert raw_count(store) == (3 if how == "log deleted" else 2)
        assert room.adaptation.ratings("ana") == 3
    gone = f"{store} was deleted, moved or replaced while it was open"
    assert [record.message.split(":")[0] for record in caplog.records if gone in record.message] == [gone]


def test_profiles_in_memory_are_bounded_and_read_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valaro.streamer.listeners.adaptation._MOST_PROFILES", 5)
    with Room(store, "ana") as room:
        room.play(8)
        room.controls.rate(-0.8, 0.8)
        for number in range(100):
            room.controls.listener = f"visitor {number}"
            room.adaptation.hear(*emission(10.0 + number))
        assert len(room.adaptation._profiles) <= 6
        assert "ana" not in room.adaptation._profiles
        room.controls.listener = "ana"
        room.adaptation.load()
        assert room.adaptation.ratings("ana") == 1


def emission(time: float) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    theta = np.full(BUNDLE.acoustic.components, 1.0 / BUNDLE.acoustic.components)
    return time, theta, np.full(121, 1.0 / 121.0), np.ones(163, np.float32)


def test_a_store_that_is_damaged_while_it_runs_is_kept_aside_and_the_session_goes_on(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    controls = Controls(listener="ana")
    adaptation = OnlineAdaptation(BUNDLE, controls, lambda: open_or_none(store, log.warning))
    controls.hear_ratings(adaptation.rate)
    adaptation.load()
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'rating'")
        connection.execute("PRAGMA schema_version = 99")
    connection.close()
    engine = Engine(BUNDLE, RATE, listener=adaptation)
    for _ in range(2):
        controls.newest = engine.push(music(8))[-1]
        controls.rate(-0.8, 0.8)
        adaptation.load()
    adaptation.close()
    assert (adaptation.lost, adaptation.stored, adaptation.ratings("ana")) == (0, 2, 2)
    with Listeners(store) as ratings:
        assert ratings.count("ana") == 2
        assert len(ratings.set_aside_files()) == 1
    messages = [record.message for record in caplog.records if "damaged" in record.message]
    assert len(messages) == 1
    assert messages[0].endswith("; no ratings could be read, and a new one is begun")


def test_a_rating_that_cannot_be_read_takes_no_other_along(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Room(store, "ana") as room:
        room.play(8)
        for _ in range(3):
            room.controls.rate(-0.8, 0.8)
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE rating SET theta = x'00' WHERE id = 2")
    connection.close()
    with Room(store, "ana") as room:
        assert room.adaptation.ratings("ana") == 2
        room.play(8)
        room.controls.rate(-0.8, 0.8)
        wait_for(lambda: room.adaptation.stored == 1)
    assert [record.message for record in caplog.records if "damaged" in record.message] == [
        f"{store} is damaged: rating 2 cannot be read; tracking goes on (told once, counted from here on)"
    ]


def test_of_a_flood_no_more_is_learnt_than_is_kept(store: Path) -> None:
    refused = 0
    with Room(store, "ana") as room:
        room.play(8)
        for _ in range(1_000):
            try:
                room.controls.rate(-0.8, 0.8)
            except InputError:
                refused += 1
        room.controls.rate(0.5, 0.5, "ben")  # one listener's flood is nobody else's
        counted = room.adaptation.ratings("ana")
    assert 20 <= counted == 1_000 - refused < 1_000
    assert (room.adaptation.stored, room.adaptation.lost) == (counted + 1, 0)


def test_of_a_flood_under_ever_new_names_as_little_is_kept_and_nothing_is_remembered(store: Path) -> None:
    refused = 0
    with Room(store, "ana") as room:
        room.play(8)
        for number in range(1_000):
            try:
                room.controls.rate(-0.8, 0.8, f"stranger {number}")
            except InputError:
                refused += 1
        room.controls.rate(-0.8, 0.8)  # who is here is heard all the same
        assert set(room.adaptation._profiles) == {"ana"}
        room.controls.listener = "stranger 0"
        room.adaptation.load()
        assert room.adaptation.ratings("stranger 0") == 1
    assert 20 <= 1_000 - refused < 1_000
    with Listeners(store) as ratings:
        assert ratings.names() == {"ana": 1} | dict.fromkeys(ratings.names(), 1)
        assert len(ratings.names()) == 1_001 - refused


def test_what_is_rated_after_the_end_is_counted_as_lost(store: Path) -> None:
    with Room(store, "ana") as room:
        room.play(8)
    room.controls.rate(-0.8, 0.8)
    room.adaptation.close()
    assert (room.adaptation.stored, room.adaptation.lost) == (0, 1)


def test_after_the_end_nothing_is_waited_for(store: Path) -> None:
    with Room(store, "ana") as room:
        room.play(8)
    waiting = threading.Thread(target=room.adaptation.load, daemon=True)
    waiting.start()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


def test_a_heatmap_of_one_cell_survives(store: Path) -> None:
    with Room(store, "ana") as room:
        affect = room.play(8)[-1]
        room.controls.rate(-0.8, 0.8)
        heatmap = np.zeros(121)
        heatmap[5] = 1.0
        theta = np.full(BUNDLE.acoustic.components, 1.0 / BUNDLE.acoustic.components)
        adapted = room.adaptation.hear(affect.time + 0.5, theta, heatmap, np.ones(163, np.float32))
    assert np.isfinite(adapted).all()
    assert adapted.sum() == pytest.approx(1.0)


def test_a_lag_out_of_range_is_refused(store: Path) -> None:
    with pytest.raises(InputError, match="lag"):
        OnlineAdaptation(BUNDLE, Controls(), lag=-1.0)
