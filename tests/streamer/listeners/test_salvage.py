"""Damaged files of ratings: one bad page hides no rating but its own."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from valaro.streamer.listeners import schema
from valaro.streamer.listeners.backup import back_up
from valaro.streamer.listeners.salvage import PAGE, salvaged
from valaro.streamer.listeners.store import DamagedError, Listeners, open_listeners

from ..ratings import added, plain, some_heard

COUNT = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, tuple]]:
    """The bytes of a good file, and its ratings by uid."""
    path = tmp_path_factory.mktemp("whole") / "valaro.sqlite3"
    with Listeners(path) as store:
        for seed in range(COUNT):
            added(store, f"listener {seed % 3}", valence=seed / COUNT, seed=seed)
        ratings = {each.uid: plain(each) for name in store.names() for each in store.ratings(name)}
    return path.read_bytes(), ratings


def rows_of(data: bytes, folder: Path) -> dict[str, tuple]:
    file = folder / "bad"
    file.write_bytes(data)
    return {rating.uid: plain(rating) for rating in salvaged(file)}


def test_all_of_a_good_file_is_read_with_its_ids(whole: tuple[bytes, dict[str, tuple]], tmp_path: Path) -> None:
    data, ratings = whole
    assert rows_of(data, tmp_path) == ratings
    assert sorted(rating.id for rating in salvaged(tmp_path / "bad")) == list(range(1, COUNT + 1))


def test_whichever_page_is_bad_only_what_is_on_it_is_lost(
    whole: tuple[bytes, dict[str, tuple]], tmp_path: Path
) -> None:
    data, ratings = whole
    noise = np.random.default_rng(7).bytes(PAGE)
    lost: list[int] = []
    for number in range(len(data) // PAGE):
        found = rows_of(data[: number * PAGE] + noise + data[(number + 1) * PAGE :], tmp_path)
        assert all(ratings.get(uid, (None,))[:9] == row[:9] for uid, row in found.items())
        lost.append(COUNT - len(found))
    assert max(lost) <= PAGE // 489  # a leaf holds at least 489 bytes of each of its rows
    assert lost.count(0) >= 3  # the header, the root of the table, the indices


def test_wherever_a_byte_is_flipped_no_rating_is_made_up_and_few_are_lost(
    whole: tuple[bytes, dict[str, tuple]], tmp_path: Path
) -> None:
    data, ratings = whole
    chance = np.random.default_rng(11)
    for position in chance.integers(0, len(data), 120):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(chance.integers(8))
        found = rows_of(bytes(flipped), tmp_path)
        assert len(found) >= COUNT - PAGE // 489
        changed = [uid for uid, row in found.items() if ratings.get(uid) != row]
        assert len(changed) <= 1  # a bit of a number in it cannot be told from another number


@pytest.mark.parametrize("seed", range(6))
def test_a_file_of_noise_of_any_kind_is_no_fault(
    whole: tuple[bytes, dict[str, tuple]], tmp_path: Path, seed: int
) -> None:
    data, _ = whole
    chance = np.random.default_rng(seed)
    spoilt = np.frombuffer(data, np.uint8).copy()
    where = chance.integers(0, spoilt.size, 20_000)
    spoilt[where] = chance.integers(0, 256, where.size)
    assert len(rows_of(spoilt.tobytes()[: chance.integers(1, spoilt.size)], tmp_path)) <= COUNT


def test_what_the_log_holds_is_read_too_up_to_its_last_whole_transaction(tmp_path: Path) -> None:
    path = tmp_path / "valaro.sqlite3"
    with Listeners(path) as store:
        added(store)
    bad, log = tmp_path / "bad", tmp_path / "bad-wal"
    with Listeners(path) as store:
        for seed in (1, 2):
            added(store, valence=-0.5, seed=seed)
        bad.write_bytes(b"somebody's diary " * 1_000)
        log.write_bytes(path.with_name(f"{path.name}-wal").read_bytes())
    assert sorted(rating.id for rating in salvaged(bad)) == [1, 2, 3]  # a leaf that was changed stands there whole
    log.write_bytes(log.read_bytes()[:-100])
    assert sorted(rating.id for rating in salvaged(bad)) == [1, 2]


def test_what_was_forgotten_is_not_found_again(tmp_path: Path) -> None:
    path = tmp_path / "valaro.sqlite3"
    with Listeners(path) as store:
        for seed in range(COUNT):
            added(store, f"listener {seed % 3}", seed=seed)
        store.forget("listener 1")
    assert {rating.listener for rating in salvaged(path)} == {"listener 0", "listener 2"}


def test_a_damaged_store_begins_anew_with_what_was_read_and_what_the_backup_has(tmp_path: Path) -> None:
    path = tmp_path / "valaro.sqlite3"
    with Listeners(path) as store:
        for seed in range(COUNT):
            added(store, seed=seed % 20, name=f"listener {seed % 3}")
        assert back_up(path)
        before = {plain(each) for name in store.names() for each in store.ratings(name)}
    data = path.read_bytes()
    leaf = max(n for n in range(2, len(data) // PAGE) if data[n * PAGE] == 0x0D)
    path.write_bytes(data[: leaf * PAGE] + b"\xff" * PAGE + data[(leaf + 1) * PAGE :])
    messages: list[str] = []
    with open_listeners(path, messages.append) as store:
        assert {plain(each) for name in store.names() for each in store.ratings(name)} == before
        assert [each.id for each in store.ratings("listener 0")] == list(range(1, COUNT + 1, 3))
    [line] = messages
    assert "ratings could be read, " in line
    assert "more were in the backup, and a new one is begun with them" in line


def test_a_large_file_is_not_read_at_the_start_and_its_damage_found_when_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECKED_AT_ONCE", 0)
    path = tmp_path / "valaro.sqlite3"
    with Listeners(path) as store:
        for seed in range(COUNT):
            added(store, f"listener {seed % 3}", seed=seed)
    data = path.read_bytes()
    with sqlite3.connect(path) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'rating'").fetchone()
    connection.close()
    path.write_bytes(data[: (root - 1) * PAGE] + b"\xff" * PAGE + data[root * PAGE :])
    messages: list[str] = []
    with open_listeners(path, messages.append, quick=True) as store, pytest.raises(DamagedError):
        store.add("listener 0", 0.0, 0.0, some_heard(), time=1.0)
    assert messages == []
    with open_listeners(path, messages.append, quick=True) as store:
        assert store.names() == dict.fromkeys(("listener 0", "listener 1", "listener 2"), COUNT // 3)
    assert len(messages) == 1
