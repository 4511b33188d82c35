"""Files of listeners that are locked, damaged, of another version, or on a full disk."""

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from valaro.streamer.listeners import schema
from valaro.streamer.listeners.schema import MIGRATIONS, connect
from valaro.streamer.listeners.store import DamagedError, Listeners, StoreError, open_listeners, open_or_none

from ..ratings import added, plain

rng = np.random.default_rng(5)


def test_a_lock_of_another_program_is_one_line_and_passes(store: Listeners, path: Path) -> None:
    added(store)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another program"):
        added(store)
    assert store.names() == {"ana": 1}
    connection.execute("ROLLBACK")
    connection.close()
    added(store)
    assert store.names() == {"ana": 2}


def test_tracking_goes_on_without_a_store_that_stays_locked(path: Path) -> None:
    Listeners(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    messages: list[str] = []
    assert open_or_none(path, messages.append) is None
    assert messages == [f"{path} is locked by another program: try again when that is done; ratings are not kept"]
    connection.close()
    opened = open_or_none(path, messages.append)
    assert opened is not None
    opened.close()
    assert len(messages) == 1


def written(path: Path, count: int = 15) -> bytes:
    """The bytes of a good file with some ratings."""
    with Listeners(path) as store:
        for seed in range(count):
            added(store, seed=seed)
    return path.read_bytes()


def page_destroyed(whole: bytes) -> bytes:
    page = int.from_bytes(whole[16:18], "big")
    return whole[: 2 * page] + rng.bytes(page) + whole[3 * page :]


DAMAGES = {
    "no database": lambda whole: b"this was never a database, but somebody's diary " * 100,
    "header": lambda whole: rng.bytes(100) + whole[100:],
    "page": page_destroyed,
    "cut": lambda whole: whole[: len(whole) // 2],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(path: Path, damage: str) -> None:
    bad = DAMAGES[damage](written(path))
    path.write_bytes(bad)
    with pytest.raises(DamagedError, match="is damaged"):
        Listeners(path)
    assert path.read_bytes() == bad
    messages: list[str] = []
    with open_listeners(path, messages.append) as store:
        count = sum(store.names().values())
        added(store, "bo")
        [damaged] = store.set_aside_files()
        assert damaged.read_bytes() == bad
        begun = "a new one is begun with them" if count else "a new one is begun"
        words = f"{count or 'no'} ratings could be read, and {begun}"
        assert messages == [f"{path} is damaged: kept as {damaged.name}; {words}"]
    with open_listeners(path, messages.append) as store:
        assert sum(store.names().values()) == count + 1
    assert len(messages) == 1
    assert count == {"no database": 0, "header": 15, "page": 15}.get(damage, count) <= 15


def test_what_a_damaged_files_log_holds_is_kept_too_and_read(path: Path) -> None:
    written(path)
    with Listeners(path) as store:  # this one is not yet in the file itself, as after a power failure
        added(store, "zoe in the log")
        log = path.with_name(f"{path.name}-wal").read_bytes()
    path.write_bytes(b"somebody's diary " * 1_000)
    path.with_name(f"{path.name}-wal").write_bytes(log)
    with open_listeners(path, lambda _: None) as store:
        assert store.names() == {"zoe in the log": 1}
        [damaged] = store.set_aside_files()
    assert b"zoe in the log" in b"".join(file.read_bytes() for file in path.parent.glob(f"{damaged.name}*"))


def test_a_closed_store_stays_closed(path: Path) -> None:
    store = Listeners(path)
    store.close()
    with pytest.raises(StoreError):
        added(store)
    with Listeners(path) as again:
        assert again.names() == {}


def test_what_belongs_to_a_file_is_set_aside_with_it(tmp_path: Path) -> None:
    path = tmp_path / "valaro.sqlite3"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).write_text(f"file{suffix}")
    damaged = schema.set_aside(path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        f"{damaged.name}{suffix}": f"file{suffix}" for suffix in ("", "-wal", "-shm")
    }
    assert schema.set_aside_files(path) == [damaged]


def test_a_row_that_makes_no_sense_is_damage(store: Listeners, path: Path) -> None:
    added(store)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE rating SET theta = x'00'")
    connection.close()
    with pytest.raises(DamagedError, match="rating 1 cannot be read"):
        list(store.ratings("ana"))


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE diary (words TEXT)")
    connection.close()
    before = path.read_bytes()
    messages: list[str] = []
    assert open_or_none(path, messages.append) is None
    assert messages == [f"{path} is another program's database: move it elsewhere; ratings are not kept"]
    assert path.read_bytes() == before


def test_a_newer_versions_file_is_left_alone(path: Path) -> None:
    written(path)
    connect(path, (*MIGRATIONS, ("CREATE TABLE mood (name TEXT)",))).close()
    with pytest.raises(StoreError, match=r"newer Valaro \(version 2\)"):
        Listeners(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("where", ["a-file/valaro.sqlite3", "a-folder"])
def test_a_place_that_cannot_be_is_one_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "a-folder").mkdir()
    messages: list[str] = []
    assert open_or_none(tmp_path / where, messages.append) is None
    assert len(messages) == 1
    assert "\n" not in messages[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; where none can be mounted, no such test."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "valaro", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here (that takes root on Linux)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def rate_until_full(store: Listeners) -> tuple[int, str]:
    """How many ratings there was room for, and what was said then."""
    for number in range(5_000):
        try:
            added(store, f"listener {number % 500}")
        except StoreError as fault:
            return number, str(fault)
    pytest.fail("there is no end to this disk")


def test_a_full_disk_is_one_line_and_loses_nothing(small_disk: Path) -> None:
    path, film = small_disk / "valaro.sqlite3", small_disk / "a film"
    with Listeners(path) as store:
        film.write_bytes(b"film" * 65_536)
        count, messages = rate_until_full(store)
        assert messages == f"{path} cannot be written: the disk is full"
        assert sum(store.names().values()) == count > 0
        film.unlink()
        added(store)
    with Listeners(path) as store:
        assert sum(store.names().values()) == count + 1


@pytest.mark.parametrize("there_already", [False, True])
def test_tracking_goes_on_where_the_disk_is_full_from_the_start(small_disk: Path, there_already: bool) -> None:
    path = small_disk / "valaro.sqlite3"
    if there_already:
        written(path)
    with (small_disk / "a film").open("wb", buffering=0) as film:
        for size in (4_096, 1):
            with suppress(OSError):
                while film.write(b"f" * size):
                    pass
    messages: list[str] = []
    assert open_or_none(path, messages.append) is None
    assert messages == [f"{path} cannot be written: the disk is full; ratings are not kept"]


def test_what_sqlite_has_no_room_for_is_one_line_and_loses_nothing(path: Path) -> None:
    """The same where no small disk can be mounted."""
    with Listeners(path) as store:
        store._connection.execute("PRAGMA max_page_count = 40")
        count, messages = rate_until_full(store)
        assert messages == f"{path} cannot be written: the disk is full"
        assert sum(store.names().values()) == count > 0
        store._connection.execute("PRAGMA max_page_count = 1000000")
        added(store)
    with Listeners(path) as store:
        assert sum(store.names().values()) == count + 1


@pytest.fixture
def strangers() -> Iterator[Path]:
    """A folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data" / "valaro.sqlite3"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no other user on this system")
@pytest.mark.parametrize("there_already", [False, True])
def test_what_another_user_owns_is_one_line(strangers: Path, there_already: bool) -> None:
    """Root passes a chmod: a child becomes somebody else."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    strangers.parent.mkdir(mode=0o755)
    if there_already:
        written(strangers)
        strangers.chmod(0o644)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setuid(12345)
            with Listeners(strangers) as store:
                added(store)
            os.write(writer, b"stored")
        except StoreError as fault:
            os.write(writer, str(fault).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        words = said.read().decode()
    assert words in (
        f"{strangers} cannot be written: it, or its folder, is read-only",
        f"{strangers} cannot be used: permission denied",
    )
    if there_already:
        with Listeners(strangers) as store:
            assert store.names() == {"ana": 15}


NEXT = ("ALTER TABLE rating ADD COLUMN place TEXT NOT NULL DEFAULT 'here'", "CREATE TABLE mood (name TEXT)")


def test_an_older_file_is_brought_to_the_newest_version_with_all_that_is_in_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path, 5)
    with Listeners(path) as store:
        before = [plain(rated) for rated in store.ratings("ana")]
    newest = (*MIGRATIONS, NEXT, ("UPDATE rating SET place = 'there' WHERE id = 2",))
    connect(path, newest).close()
    connection = connect(path, newest)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 2,)
    places = connection.execute("SELECT place FROM rating ORDER BY id").fetchall()
    assert places == [("here",), ("there",), ("here",), ("here",), ("here",)]
    connection.close()
    monkeypatch.setattr(schema.connect, "__defaults__", (newest,))
    with Listeners(path) as store:
        assert [plain(rated) for rated in store.ratings("ana")] == before
        added(store)


def test_a_step_to_a_newer_version_that_fails_changes_nothing(path: Path) -> None:
    written(path, 5)
    with pytest.raises(StoreError):
        connect(path, (*MIGRATIONS, NEXT, ("CREATE TABLE rating (id)",)))
    with Listeners(path) as store:
        assert store.count("ana") == 5
        added(store)
