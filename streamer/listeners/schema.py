"""The SQLite file of the listeners' ratings: its place, how it is opened, its versions, what its faults mean."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..errors import DamagedError, LockedError, StoreError

APPLICATION = 0x56414C41  # "VALA" in the file's header says that it is Valaro's
NO_HOME = "there is no folder for the ratings, since this user has no home: set HOME or XDG_DATA_HOME to one"
LOCK_TIMEOUT = 2.0  # s to wait for another program's lock
CHECKED_AT_ONCE = 16 << 20  # bytes of a file that is checked when it is opened: larger ones would make the start wait
PRIVATE = 0o600  # what somebody feels is nobody else's

BESIDE = "-wal", "-shm"  # what SQLite keeps beside a file, after its name
_MOST_SUSPECTS = 1000

_suspects: set[tuple[int, int]] = set()  # files in which damage was met: these are checked whole, whatever their size

# The steps from one schema version to the next, oldest first. A released step is never changed; new ones are added.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE rating (
            id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of ratings, whatever the clock did; never used again
            uid TEXT NOT NULL,                     -- the same wherever it is imported
            listener TEXT NOT NULL,
            at TEXT NOT NULL,                      -- wall time, ISO 8601, UTC
            time REAL NOT NULL,                    -- s of the stream
            valence REAL NOT NULL CHECK (valence BETWEEN -1 AND 1),
            arousal REAL NOT NULL CHECK (arousal BETWEEN -1 AND 1),
            source TEXT NOT NULL,
            undone INTEGER NOT NULL DEFAULT 0 CHECK (undone IN (0, 1)),
            bundle TEXT NOT NULL,                  -- what theta means: listeners.evidence.theta_digest
            layout TEXT NOT NULL,                  -- what the textures mean: models.features.LAYOUT
            theta BLOB NOT NULL,                   -- these three: little-endian float32
            heatmap BLOB NOT NULL,
            textures BLOB NOT NULL,                -- row by row, oldest first
            texture_count INTEGER NOT NULL CHECK (texture_count > 0),
            UNIQUE (listener, uid)
        )
        """,
        "CREATE INDEX rating_of_listener ON rating (listener, id)",
    ),
)


def default_path() -> Path:
    """The file in the user's data directory; on Linux that is XDG_DATA_HOME, or ~/.local/share.

    Raises
    ------
    StoreError
        There is no such directory: a user without a home, as services and containers have them.
    """
    import platformdirs

    try:
        folder = platformdirs.user_data_path("valaro", appauthor=False)
    except RuntimeError as fault:  # of pathlib
        raise StoreError(NO_HOME) from fault
    if folder.parts[:1] == ("~",):  # os.path's way to say so, by which a folder "~" would be made here
        raise StoreError(NO_HOME)
    return folder / "valaro.sqlite3"


def connect(path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> sqlite3.Connection:
    """Open the file, created if missing, and migrate it to the newest version; usable from any one thread.

    What is committed is on the disk (WAL with synchronous = FULL; F_FULLFSYNC where the system has it), so that kill -9
    or a power failure loses at most the rating that is being written. What is deleted is overwritten. The file is
    private to its owner, and so are its -wal and -shm. One above 16 MB is not checked here, unless damage was met in it
    before: that is what :func:`check` is for.

    Parameters
    ----------
    path : the file.
    migrations : the statements of each version, oldest first.

    Raises
    ------
    DamagedError
        The file is not whole.
    StoreError
        It cannot be used for any other reason.
    """
    with faults(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in (path, *set_aside_files(path)):  # those of an earlier version too
            make_private(file)
        connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            _check_owner(connection, path)
            _write_ahead(connection)
            # The cache, in KB, would grow to 2 MB of pages that are never read again.
            for setting in ("synchronous = FULL", "fullfsync = ON", "secure_delete = ON", "cache_size = -256"):
                connection.execute(f"PRAGMA {setting}")
            _migrate(connection, migrations, path)
            if path.stat().st_size <= CHECKED_AT_ONCE or identity(path) in _suspects:
                check(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def make_private(path: Path) -> None:
    """Let only its owner read a file, which is created if missing, and what SQLite keeps beside it."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
    for file in (path, *(path.with_name(path.name + suffix) for suffix in BESIDE)):
        with suppress(OSError):  # another user's file, or a disk without modes
            if file.stat().st_mode & 0o077:
                file.chmod(PRIVATE)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Read the whole file; DamagedError if it is not whole."""
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        suspect(path)
        raise DamagedError(_damaged(path))


def suspect(path: Path) -> None:
    """Have the file that is at ``path`` now checked whole when it is next opened."""
    which = identity(path)
    if which is not None and len(_suspects) < _MOST_SUSPECTS:
        _suspects.add(which)


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if owner != APPLICATION and not (owner == 0 and empty):
        raise StoreError(f"{path} is another program's database: move it elsewhere")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # This statement alone does not wait for a lock by itself when two programs create the file at the same time.
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as fault:
            if _result_code(fault) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]], path: Path) -> None:
    if _version(connection) == len(migrations):
        return
    with transaction(connection):
        version = _version(connection)  # another program may have been faster
        if version > len(migrations):
            raise StoreError(f"{path} was written by a newer Valaro (version {version}): update this one")
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction: all that is written within it is committed, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has had SQLite roll back already
            connection.execute("ROLLBACK")
        raise


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Within it errors of SQLite and the system are raised as a StoreError of one line."""
    try:
        yield
    except sqlite3.Error as fault:
        code = _result_code(fault)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            suspect(path)
            raise DamagedError(_damaged(path)) from fault
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LockedError(f"{path} is locked by another program: try again when that is done") from fault
        if code == sqlite3.SQLITE_FULL or (
            code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _disk_full(path)
        ):
            raise StoreError(f"{path} cannot be written: the disk is full") from fault
        if not writable(path):
            raise StoreError(f"{path} cannot be written: it, or its folder, is read-only") from fault
        raise StoreError(f"{path} cannot be used: {fault}") from fault
    except OSError as fault:
        raise StoreError(f"{path} cannot be used: {(fault.strerror or str(fault)).lower()}") from fault


def _disk_full(path: Path) -> bool:
    """Whether the disk has no room for the 32 KB of shared memory beside the file: SQLite does not say so."""
    try:
        return shutil.disk_usage(path.parent).free < 32_768
    except OSError:
        return False


def writable(path: Path) -> bool:
    """Whether this user may write the file, if there is one, and into its folder."""
    return os.access(path.parent, os.W_OK) and (os.access(path, os.W_OK) or not path.exists())


def _result_code(fault: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for errors that Python's module raises by itself."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF


def _damaged(path: Path) -> str:
    return f"{path} is damaged"


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at ``path``; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


Place = tuple[tuple[int, int] | None, tuple[int, int] | None]


def place(path: Path) -> Place:
    """The identities of the file at ``path`` and of its log of what was committed last (``-wal``).

    Where they are others than when the file was opened, what is committed through that connection is in no file that
    the next one to open ``path`` reads.
    """
    return identity(path), identity(path.with_name(f"{path.name}-wal"))


def set_aside(path: Path) -> Path:
    """Rename a damaged file, and its -wal and -shm files with it, so that nothing is lost; returns its new path.

    Raises
    ------
    StoreError
        It cannot be renamed.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    damaged = path.with_name(f"{path.name}.damaged-{stamp}")
    with faults(path):
        # These first: beside a new file they would be taken for its own.
        for suffix in BESIDE:
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(damaged.with_name(damaged.name + suffix))
        path.rename(damaged)
    make_private(damaged)
    return damaged


def set_aside_files(path: Path) -> list[Path]:
    """The damaged files that were set aside, oldest first: they may still hold ratings of any listener."""
    prefix = f"{path.name}.damaged-"
    with suppress(OSError):
        return sorted(
            file for file in path.parent.iterdir() if file.name.startswith(prefix) and not file.name.endswith(BESIDE)
        )
    return []
