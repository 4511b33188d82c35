"""Backups of the store of ratings, beside it, by SQLite's own backup API.

``NAME.backup`` is the newest. One that holds ratings which the store no longer has, as after a file was lost, is not
replaced: it is kept beside as ``NAME.backup-TIME``, the newest two of such.
"""

import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..errors import DamagedError, InputError, StoreError
from .evidence import StoredRating
from .records import COLUMNS, rated
from .salvage import salvaged
from .schema import APPLICATION, BESIDE, LOCK_TIMEOUT, check, faults, make_private, suspect

MOST_OLDER = 2  # backups beside the newest
ROOM = 16 << 20  # bytes that must be left on the disk beside a backup: ratings come first


def backups(path: Path) -> list[Path]:
    """The backups of a store that are there, newest first."""
    newest = newest_backup(path)
    return [*([newest] if newest.exists() else []), *_older(path)]


def newest_backup(path: Path) -> Path:
    """Where the newest backup of a store is."""
    return path.with_name(f"{path.name}.backup")


def _older(path: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(
            (
                file
                for file in path.parent.iterdir()
                if file.name.startswith(f"{path.name}.backup-") and not file.name.endswith((*BESIDE, "-journal"))
            ),
            reverse=True,
        )
    return []


def unsaved(path: Path) -> int | None:
    """How many ratings the store has had since its newest backup; None without a backup that can be read."""
    try:
        with _open(newest_backup(path), write=True) as saved, _open(path, write=True) as store:
            return _newest(store) - _newest(saved)
    except StoreError:
        return None


def back_up(path: Path) -> bool:
    """Copy the store, as it is committed now, and replace the newest backup by that; False where there is no room.

    Other connections read and write meanwhile. Killed at any moment, this leaves a whole backup, the old or the new.

    Raises
    ------
    DamagedError
        The store is not whole; the backups are left as they are.
    StoreError
        It cannot be read, or the copy not written.
    """
    with faults(path):
        if shutil.disk_usage(path.parent).free < 2 * path.stat().st_size + ROOM:
            return False
        for leftover in _unfinished(path):  # of a program that was killed
            leftover.unlink(missing_ok=True)
        copy = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.backup")
        make_private(copy)  # first of all: whoever is forgotten from now on takes it away
        try:
            _copy(path, copy)
            _keep_what_is_nowhere_else(path, copy)
            _journal(newest_backup(path)).unlink(missing_ok=True)  # or it would be played back into the new one
            copy.rename(newest_backup(path))  # fails if somebody was forgotten meanwhile
        except FileNotFoundError:
            return False
        finally:
            copy.unlink(missing_ok=True)
        _sync(path.parent)
    return True


def erase(path: Path, name: str) -> tuple[int, list[Path]]:
    """Delete a listener from every backup: how many ratings at most, and the backups where that could not be done."""
    for unfinished in _unfinished(path):
        unfinished.unlink(missing_ok=True)
    count, left = 0, []
    for file in backups(path):
        try:
            with _open(file, write=True) as connection:
                connection.execute("PRAGMA secure_delete = ON")
                deleted = connection.execute("DELETE FROM rating WHERE listener = ?", (name,)).rowcount
                if deleted:
                    connection.execute("VACUUM")
        except StoreError:
            left.append(file)
        else:
            count = max(count, deleted)
    return count, left


def ratings_of(file: Path) -> Iterator[StoredRating]:
    """The ratings of a backup or of another store, in their order; of a damaged one those that can be read.

    Raises
    ------
    InputError
        There is no such file, or it is another program's.
    """
    try:
        with _open(file, write=_journal(file).exists()) as connection:
            check(connection, file)
            rows = connection.execute(f"SELECT {COLUMNS}, id FROM rating ORDER BY id")
            while some := rows.fetchmany(256):
                for values in some:
                    with suppress(DamagedError):
                        yield rated(values, file)
        return
    except StoreError as fault:
        if isinstance(fault, _ForeignError) or not file.is_file():
            reason = "is another program's" if file.is_file() else "is no file"
            raise InputError(f"{file}: {reason}") from fault
    try:
        yield from salvaged(file)
    except OSError as fault:
        raise InputError(f"{file}: cannot be read: {(fault.strerror or str(fault)).lower()}") from fault


class _ForeignError(StoreError):
    """A database of another program."""


def _copy(path: Path, copy: Path) -> None:
    with _open(path, write=True) as source, _open(copy, write=True) as target:
        target.execute("PRAGMA synchronous = OFF")  # it is brought to the disk as a whole
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, complete by itself
        try:
            check(target, copy)
        except DamagedError as fault:
            suspect(path)
            raise DamagedError(f"{path} is damaged") from fault
    descriptor = os.open(copy, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep_what_is_nowhere_else(path: Path, copy: Path) -> None:
    """Keep the newest backup beside, if it holds ratings that the new one does not."""
    newest = newest_backup(path)
    if not newest.exists():
        return
    try:
        with _open(newest, write=True) as connection:
            connection.execute("ATTACH ? AS new", (copy.absolute().as_uri() + "?mode=ro",))
            query = "SELECT EXISTS (SELECT listener, uid FROM rating EXCEPT SELECT listener, uid FROM new.rating)"
            alone = bool(connection.execute(query).fetchone()[0])
    except StoreError:
        return  # it cannot be read: there is nothing in it to keep
    if alone:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        newest.rename(path.with_name(f"{newest.name}-{stamp}"))
        for surplus in _older(path)[MOST_OLDER:]:
            surplus.unlink(missing_ok=True)


def _journal(backup: Path) -> Path:
    """What SQLite rolls a backup back from, if whoever changed it was killed: only where it may write."""
    return backup.with_name(f"{backup.name}-journal")


def _unfinished(path: Path) -> list[Path]:
    with suppress(OSError):
        return list(path.parent.glob(f".{path.name}.*.backup*"))
    return []


@contextmanager
def _open(path: Path, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """An existing file of ratings, or an empty one to copy to."""
    address = f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}"
    with (
        faults(path),
        closing(sqlite3.connect(address, timeout=LOCK_TIMEOUT, isolation_level=None, uri=True)) as opened,
    ):
        owner = opened.execute("PRAGMA application_id").fetchone()[0]
        empty = opened.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if owner != APPLICATION and not (owner == 0 and empty):
            raise _ForeignError(f"{path} is another program's database")
        yield opened


def _newest(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'rating'").fetchone()[0]


def _sync(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # Windows has no such call
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
