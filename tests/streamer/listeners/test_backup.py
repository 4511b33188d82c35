"""Backups of the ratings: whole at any moment, without those who were forgotten, and never worse than what is there."""

import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from valaro.streamer.errors import InputError
from valaro.streamer.listeners import backup
from valaro.streamer.listeners import store as store_module
from valaro.streamer.listeners.backup import MOST_OLDER, back_up, backups, newest_backup, unsaved
from valaro.streamer.listeners.store import Listeners, Restored, StoreError

from ..ratings import added, plain, values


def test_a_backup_is_one_whole_private_file(store: Listeners, path: Path) -> None:
    for seed in range(3):
        added(store, valence=seed / 10, seed=seed)
    assert unsaved(path) is None
    assert back_up(path)
    [saved] = backups(path)
    assert saved == newest_backup(path)
    assert saved.stat().st_mode & 0o777 == 0o600
    assert unsaved(path) == 0
    added(store)
    assert unsaved(path) == 1
    shutil.copy(saved, path.parent / "copy.sqlite3")
    with Listeners(path.parent / "copy.sqlite3") as copy:
        assert [plain(each) for each in copy.ratings("ana")] == [plain(each) for each in store.ratings("ana")][:3]
    assert not list(path.parent.glob(".*"))


def test_what_was_lost_comes_back_and_nothing_is_doubled_or_undone(store: Listeners, path: Path) -> None:
    ids = [added(store, valence=value / 10, seed=value) for value in range(4)]
    back_up(path)
    store.undo(ids[3])
    added(store, valence=0.9)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM rating WHERE id <= 2")
    connection.close()
    assert store.restore() == Restored(added=2, known=2, refused=0)
    assert values(store) == [0.0, 0.1, 0.2, 0.9]  # in their places, and what was taken back stays so
    assert store.restore() == Restored(added=0, known=4, refused=0)


def test_a_file_that_was_deleted_is_restored(store: Listeners, path: Path) -> None:
    added(store)
    back_up(path)
    path.unlink()
    added(store, "bo")
    assert store.restore().added == 1
    assert store.names() == {"ana": 1, "bo": 1}


def test_a_backup_that_holds_more_is_kept_beside_and_their_number_is_bounded(store: Listeners, path: Path) -> None:
    for number in range(MOST_OLDER + 3):
        added(store, f"listener {number}")
        back_up(path)
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM rating")
        connection.close()
    assert len(backups(path)) == 1 + MOST_OLDER
    store.restore()
    assert sorted(store.names()) == ["listener 2", "listener 3", "listener 4"]


def test_while_nothing_is_lost_there_is_one_backup(store: Listeners, path: Path) -> None:
    for _ in range(3):
        added(store)
        back_up(path)
    assert backups(path) == [newest_backup(path)]


def test_who_is_forgotten_is_gone_from_the_backups_too(store: Listeners, path: Path) -> None:
    for round_ in range(2):
        for seed in range(5):
            added(store, "anastasia the first", seed=seed)
            added(store, "bo", seed=seed)
        back_up(path)
        if not round_:
            with sqlite3.connect(path) as connection:
                connection.execute("DELETE FROM rating WHERE listener = 'bo'")
            connection.close()
    assert len(backups(path)) == 2
    unfinished = path.with_name(f".{path.name}.0123456789ab.backup")  # as another program would be writing now
    shutil.copy(newest_backup(path), unfinished)
    assert store.forget("anastasia the first") == 10
    assert not any(b"anastasia" in file.read_bytes() for file in path.parent.iterdir())
    assert not unfinished.exists()
    store.restore()
    assert store.names() == {"bo": 10}


def test_who_is_in_a_backup_alone_can_be_forgotten(store: Listeners, path: Path) -> None:
    added(store, "anastasia")
    back_up(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM rating")
    connection.close()
    assert store.forget("anastasia") == 1
    assert b"anastasia" not in newest_backup(path).read_bytes()


def test_what_cannot_be_cleared_is_named(store: Listeners, path: Path) -> None:
    added(store, "anastasia")
    newest_backup(path).write_bytes(b"somebody's diary " * 1_000)
    with pytest.raises(StoreError, match=r"deleted, but not from .*\.backup: forget anastasia again"):
        store.forget("anastasia")
    assert store.names() == {}


def test_who_is_forgotten_while_a_backup_is_made_is_not_in_it(
    store: Listeners, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(store, "anastasia")
    added(store, "bo")
    copy = backup._copy

    def copy_and_then_forget(source: Path, target: Path) -> None:
        copy(source, target)
        store.forget("anastasia")

    monkeypatch.setattr(backup, "_copy", copy_and_then_forget)
    assert not back_up(path)
    assert not any(b"anastasia" in file.read_bytes() for file in path.parent.iterdir())


def test_ratings_are_stored_while_a_backup_is_made(store: Listeners, path: Path) -> None:
    for seed in range(10):
        added(store, f"listener {seed}", seed=seed)
    over = threading.Event()

    def save() -> None:
        for _ in range(10):
            back_up(path)
        over.set()

    saving = threading.Thread(target=save)
    saving.start()
    count = 10
    while not over.is_set() or count < 20:
        added(store, f"listener {count % 1000}")
        count += 1
    saving.join()
    assert sum(store.names().values()) == count


def test_a_damaged_store_replaces_no_backup(store: Listeners, path: Path) -> None:
    for seed in range(10):
        added(store, seed=seed)
    back_up(path)
    before = newest_backup(path).read_bytes()
    store.close()
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xff" * 4096 + data[12288:])
    with pytest.raises(StoreError, match="is damaged"):
        back_up(path)
    assert newest_backup(path).read_bytes() == before


def test_ratings_come_before_a_backup_where_the_disk_is_nearly_full(
    store: Listeners, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(store)
    monkeypatch.setattr(backup, "ROOM", 1 << 62)
    assert not back_up(path)
    assert backups(path) == []


def test_there_is_nothing_to_restore(store: Listeners, path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no backup"):
        store.restore()
    with pytest.raises(InputError, match="is no file"):
        store.restore(tmp_path / "nothing")
    diary = tmp_path / "diary"
    diary.write_bytes(b"somebody's diary " * 1_000)
    with pytest.raises(InputError, match="no rating can be read"):
        store.restore(diary)
    with sqlite3.connect(tmp_path / "other.sqlite3") as connection:
        connection.execute("CREATE TABLE diary (words TEXT)")
    connection.close()
    with pytest.raises(InputError, match="another program's"):
        store.restore(tmp_path / "other.sqlite3")


def test_a_damaged_file_can_be_restored_from(store: Listeners, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite3"
    with Listeners(other) as lost:
        for seed in range(10):
            added(lost, seed=seed)
    data = other.read_bytes()
    other.write_bytes(b"\xff" * 4096 + data[4096:])
    assert store.restore(other).added >= 8


def test_the_bounds_hold_for_what_is_restored(store: Listeners, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(4):
        added(store, seed=seed)
    back_up(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM rating WHERE id > 1")
    connection.close()
    monkeypatch.setattr(store_module, "MOST_RATINGS", 2)
    assert store.restore() == Restored(added=1, known=1, refused=2)


@pytest.mark.skipif(os.name == "nt", reason="modes of files mean nothing there")
def test_all_files_are_private_and_those_of_an_earlier_version_become_so(path: Path) -> None:
    with Listeners(path) as store:
        added(store)
        back_up(path)
        assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
            f"{path.name}{suffix}": 0o600 for suffix in ("", "-wal", "-shm", ".backup")
        }
        assert path.parent.stat().st_mode & 0o777 == 0o700
        newest_backup(path).rename(path.with_name(f"{path.name}.damaged-20260101T000000.000000Z"))
        for file in path.parent.iterdir():
            file.chmod(0o644)
        with Listeners(path):
            assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_there_is_a_most_of_listeners_and_those_who_are_known_go_on(
    store: Listeners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_NAMES", 3)
    for number in range(3):
        added(store, f"listener {number}")
    with pytest.raises(StoreError, match="3 listeners are known, the most that are kept"):
        added(store, "one more")
    added(store, "listener 1")
    with pytest.raises(StoreError, match="3 listeners are known"):
        store.like("listener 1", "one more")
    assert store.names() == {"listener 0": 1, "listener 1": 2, "listener 2": 1}


def test_there_is_a_most_that_the_file_holds(store: Listeners, monkeypatch: pytest.MonkeyPatch) -> None:
    added(store)
    monkeypatch.setattr(store_module, "NEWCOMERS_BYTES", 4096)
    with pytest.raises(StoreError, match="nobody new is kept"):
        added(store, "one more")
    added(store)
    monkeypatch.setattr(store_module, "MOST_BYTES", 4096)
    with pytest.raises(StoreError, match="the most that are kept"):
        added(store)
    assert store.names() == {"ana": 2}
    store.add_all([])
    assert [type(outcome) for outcome in store.add_all(list(store.ratings("ana")))] == [StoreError] * 2


def test_a_forgetting_that_was_killed_leaves_nothing_that_harms_the_next_backup(store: Listeners, path: Path) -> None:
    for seed in range(6):
        added(store, "ana" if seed % 2 else "bo", seed=seed)
    back_up(path)
    saved = newest_backup(path)
    journal = saved.with_name(f"{saved.name}-journal")
    forgetting = sqlite3.connect(saved, isolation_level=None)
    forgetting.execute("PRAGMA cache_size = 1")  # so that the file is changed before the end
    forgetting.execute("BEGIN")
    forgetting.execute("DELETE FROM rating WHERE listener = 'bo'")
    left = saved.read_bytes(), journal.read_bytes()
    forgetting.execute("ROLLBACK")
    forgetting.close()

    def killed() -> None:
        saved.write_bytes(left[0])
        journal.write_bytes(left[1])

    killed()
    assert len(list(backup.ratings_of(saved))) == 6
    killed()
    added(store, seed=6)
    assert unsaved(path) == 1
    killed()
    assert back_up(path)
    assert not journal.exists()
    assert len(list(backup.ratings_of(saved))) == 7
    assert backup.erase(path, "bo") == (3, [])
    assert len(list(backup.ratings_of(saved))) == 4
