"""Listeners in a running engine: learnt at once, kept, and there again in the next session."""

import logging
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
    monkeypatch.setattr("valaro.streamer.listeners.adaptation._RETRY_INTERVAL", float("inf"))
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
    adaptation._open_at = 0.0  # as if a minute had passed
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


def test_a_fault_is_told_whatever_was_lost_before_it(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Room(store, "ana") as room:
        room.play(8)
        room.adaptation.lost = 1
        connection = sqlite3.connect(store, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        room.controls.rate(-0.8, 0.8)
        wait_for(lambda: room.adaptation.lost == 2)
        connection.execute("ROLLBACK")
        connection.close()
        room.controls.rate(-0.8, 0.8)  # the lock passed: from now on ratings are kept again
        wait_for(lambda: room.adaptation.stored == 1)
        assert room.adaptation.ratings("ana") == 2
    assert [record.message for record in caplog.records if "locked by another program" in record.message] == [
        f"{store} is locked by another program: try again when that is done; "
        "tracking goes on (told once, counted from here on)"
    ]


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
    assert (adaptation.lost, adaptation.stored, adaptation.ratings("ana")) == (1, 1, 2)
    with Listeners(store) as ratings:
        assert ratings.count("ana") == 1
        assert len(ratings.set_aside_files()) == 1
    messages = [record.message for record in caplog.records if "damaged" in record.message]
    assert messages[0] == f"{store} is damaged; tracking goes on (told once, counted from here on)"
    assert messages[1].endswith("and a new one is begun")
    assert len(messages) == 2


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
        assert set(room.adaptation._states) == {"ana"}
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
