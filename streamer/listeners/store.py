"""The store of ratings: one row a rating, from which each listener's profile can be rebuilt at any time."""

import logging
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from .._util.rate_limit import Allowance
from ..core.controls import listener_name
from ..errors import DamagedError, InputError, LockedError, StoreError
from . import backup
from .evidence import EvidenceHistory, RatedEvidence, RatingOrigin, StoredRating, theta_digest, theta_for
from .records import COLUMNS, FIELDS, INSERT, new_rating, rated, row
from .salvage import salvaged
from .schema import (
    CHECKED_AT_ONCE,
    Place,
    check,
    connect,
    default_path,
    faults,
    identity,
    place,
    set_aside,
    set_aside_files,
    transaction,
)

log = logging.getLogger(__name__)

MOST_RATINGS = 20_000  # of one listener: some 160 MB, should a stuck fader rate for days
MOST_NAMES = 1_000  # listeners: more are a program's that makes names up
MOST_BYTES = 512 << 20  # of the file: some 65,000 ratings
NEWCOMERS_BYTES = 384 << 20  # of the file, from which on nobody new is taken, so that those who are known go on
MOST_LIKE = 10  # ratings copied from another listener at most: their own soon outweigh them

_COPY_NEWEST = f"""
    INSERT INTO rating ({COLUMNS})
    SELECT uid, ?, at, time, valence, arousal, 'like', 0, bundle, layout, theta, heatmap, textures, texture_count
    FROM (SELECT * FROM rating WHERE listener = ? AND NOT undone ORDER BY id DESC LIMIT ?)
    WHERE true ORDER BY id ON CONFLICT (listener, uid) DO NOTHING
"""
_SELECT = f"""
    SELECT {COLUMNS}, id FROM rating WHERE listener = ? AND id > ? AND id <= ? AND undone <= ? ORDER BY id LIMIT ?
"""
_MERGE = f"""
    INSERT INTO rating (id, {COLUMNS})
    SELECT CASE WHEN EXISTS (SELECT 1 FROM rating WHERE id = ?1) THEN NULL ELSE ?1 END,
        {", ".join(f"?{number}" for number in range(2, 2 + len(FIELDS)))}
    WHERE true ON CONFLICT (listener, uid) DO NOTHING
"""
_KNOWN = "SELECT EXISTS (SELECT 1 FROM rating WHERE listener = ? AND uid = ?)"
# The listeners one by one by the index: counting distinct ones would read all of it.
_MANY_NAMES = """
    WITH RECURSIVE names (name) AS (
        SELECT min(listener) FROM rating
        UNION ALL SELECT (SELECT min(listener) FROM rating WHERE listener > name) FROM names WHERE name IS NOT NULL
    )
    SELECT count(*) FROM (SELECT name FROM names WHERE name IS NOT NULL LIMIT ?)
"""
_INSTEAD = "`valaro listeners export`, then `valaro listeners forget`"
_PAGE = 256  # ratings that are read at once
_LAST = 2**63 - 1
_MERGED_AT_ONCE = 256  # ratings: others want to write meanwhile
_MOST_REPLACED = 3  # times that the file may be replaced while one transaction is tried
T = TypeVar("T")


class Restored(NamedTuple):
    """How many ratings were added, how many were there already, and how many there was no room for."""

    added: int = 0
    known: int = 0
    refused: int = 0

    def plus(self, other: "Restored") -> "Restored":
        """The sum."""
        return Restored(*(one + another for one, another in zip(self, other, strict=True)))


class Listeners:
    """The ratings of all listeners in one SQLite file.

    Threads may share it, and several programs may have the same file open. Every method may block: for the disk, or up
    to 2 s for another program. A file that is deleted, moved or replaced meanwhile is noticed by whoever writes, and
    what is at ``path`` is opened afresh, or begun. Names are those of ``controls.listener_name``, composed (NFC), and
    never empty: InputError for another.

    Parameters
    ----------
    path : the file; None: the one in the user's data directory.

    Attributes
    ----------
    refused : how many ratings were too many: of one listener 20 at once and 10 a second after that are stored.

    Raises
    ------
    DamagedError
        The file is not whole.
    LockedError
        As every method: another program holds it.
    StoreError
        As every method: it is unwritable, on a full disk or of a newer version.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_path() if path is None else path
        self.refused = 0
        self._lock = threading.Lock()
        self._allowance = Allowance()
        self._written = 0  # ratings, since the file was opened
        self._closed = False
        self._connection = connect(self.path)
        self._place: Place | None = place(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock, faults(self.path):
            self._closed = True
            self._connection.close()

    def add(
        self,
        name: str,
        valence: float,
        arousal: float,
        evidence: RatedEvidence,
        *,
        time: float,
        source: RatingOrigin = "api",
        limited: bool = True,
    ) -> int | None:
        """Store a rating; once it returns, it is on the disk.

        Parameters
        ----------
        name : the listener's.
        valence, arousal : in [-1, 1].
        evidence : what was heard.
        time : s of the stream.
        source : which way it came.
        limited : whether to refuse too many; False where the caller has asked an ``Allowance`` before.

        Returns
        -------
        int or None
            Its id, larger than that of every earlier rating; None, counted in ``refused``, for one too many.

        Raises
        ------
        InputError
            A value is out of range.
        """
        rating = new_rating(_named(name), valence, arousal, evidence, time=time, source=source)
        if limited:
            with self._lock:
                allowed = self._allowance.take(rating.listener)
                self.refused += not allowed
            if not allowed:
                return None
        [outcome] = self.add_all([rating])
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def add_all(self, ratings: Sequence[StoredRating]) -> list[int | StoreError]:
        """Store several ratings in one transaction; once it returns, they are on the disk.

        One that is there already, as after an attempt that failed late, is not doubled.

        Parameters
        ----------
        ratings : their listeners' names have passed ``controls.listener_name``.

        Returns
        -------
        list
            For each its id; or, where one of the bounds is reached, why it is not kept.
        """
        outcomes = self._commit(lambda: [self._insert(rating) for rating in ratings])
        with self._lock:
            self._written += sum(not isinstance(outcome, StoreError) for outcome in outcomes)
        return outcomes

    def _commit(self, work: Callable[[], T]) -> T:
        """Do some work within a transaction, in the file that is at ``path`` when it is committed."""
        with self._lock, faults(self.path):
            for _ in range(_MOST_REPLACED):
                self._find_again()
                with transaction(self._connection):
                    result = work()
                # Asked again after it is committed: what went to a file that is gone was not stored.
                if place(self.path) == self._place:
                    return result
        raise StoreError(f"{self.path} is replaced again and again: leave it in its place")

    def _insert(self, rating: StoredRating) -> int | StoreError:
        refusal = self._refusal(rating.listener)
        if refusal is not None:
            return refusal
        self._connection.execute(f"{INSERT} ON CONFLICT (listener, uid) DO NOTHING", row(rating))
        query = "SELECT id FROM rating WHERE listener = ? AND uid = ?"
        return self._connection.execute(query, (rating.listener, rating.uid)).fetchone()[0]

    def _refusal(self, name: str) -> StoreError | None:
        """Why no rating of this listener is kept now; None where there is room."""
        count = self._count(name)
        if count >= MOST_RATINGS:
            return StoreError(f"{name} has {MOST_RATINGS} ratings, the most that are kept: {_INSTEAD}")
        return self._no_room(known=count > 0)

    def _no_room(self, *, known: bool) -> StoreError | None:
        size = self._size()
        if size >= MOST_BYTES:
            return StoreError(f"{self.path} has {MOST_BYTES >> 20} MB, the most that are kept: {_INSTEAD}")
        if known:
            return None
        if size >= NEWCOMERS_BYTES:
            return StoreError(f"{self.path} has {NEWCOMERS_BYTES >> 20} MB, so that nobody new is kept: {_INSTEAD}")
        if self._connection.execute(_MANY_NAMES, (MOST_NAMES,)).fetchone()[0] >= MOST_NAMES:
            return StoreError(f"{MOST_NAMES} listeners are known, the most that are kept: {_INSTEAD} who left")
        return None

    def _size(self) -> int:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {what}").fetchone()[0]
            for what in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _find_again(self) -> None:
        """Open the file at ``path`` afresh, if it is not the one that is open."""
        if self._closed or place(self.path) == self._place:
            return
        written, self._written = self._written, 0
        self._place = None
        with suppress(StoreError), faults(self.path):
            self._connection.close()
        self._connection = connect(self.path)
        self._place = place(self.path)
        log.warning(
            "%s was deleted, moved or replaced while it was open: it is opened afresh, and %s",
            self.path,
            f"{written} ratings that this session stored went with the other one" if written else "nothing was lost",
        )

    def ratings(
        self, name: str, *, undone: bool = False, unreadable: Callable[[DamagedError], None] | None = None
    ) -> Iterator[StoredRating]:
        """A listener's ratings, in the order in which they came (their ``at`` is the wall clock's, which may jump).

        They are read as they are needed, some at a time.

        Parameters
        ----------
        name : the listener's.
        undone : also those that were taken back.
        unreadable : called with the fault of each rating that cannot be read, which is then left out; None: the first
            such fault is raised.
        """
        return self._pages(_named(name), undone, unreadable)

    def _pages(
        self, name: str, undone: bool, unreadable: Callable[[DamagedError], None] | None
    ) -> Iterator[StoredRating]:
        after = 0
        while True:
            page, after = self.page(name, after, undone=undone, unreadable=unreadable)
            yield from page
            if not after:
                return

    def page(
        self,
        name: str,
        after: int = 0,
        last: int = _LAST,
        count: int = _PAGE,
        *,
        undone: bool = False,
        unreadable: Callable[[DamagedError], None] | None = None,
    ) -> tuple[list[StoredRating], int]:
        """Read some of a listener's ratings.

        Parameters
        ----------
        name : the listener's, composed.
        after, last : ids: those above ``after``, up to ``last``.
        count : how many at most.
        undone, unreadable : as in :meth:`ratings`.

        Returns
        -------
        tuple[list[StoredRating], int]
            They, and the id from which to go on; 0 where there are no more.
        """
        with self._lock, faults(self.path):
            rows = self._connection.execute(_SELECT, (name, after, last, int(undone), count)).fetchall()
        page: list[StoredRating] = []
        for values in rows:
            try:
                page.append(rated(values, self.path))
            except DamagedError as fault:
                if unreadable is None:
                    raise
                unreadable(fault)
        return page, rows[-1][-1] if rows else 0

    def newest(self) -> int:
        """The id of the newest rating, 0 without any."""
        with self._lock, faults(self.path):
            return self._connection.execute("SELECT coalesce(max(id), 0) FROM rating").fetchone()[0]

    def check(self) -> None:
        """Read the whole file, which is done at the start only for small ones. DamagedError if it is not whole."""
        with self._lock, faults(self.path):
            check(self._connection, self.path)

    def names(self) -> dict[str, int]:
        """Each listener and how many ratings count, by name."""
        query = "SELECT listener, sum(1 - undone) FROM rating GROUP BY listener ORDER BY listener"
        with self._lock, faults(self.path):
            return dict(self._connection.execute(query).fetchall())

    def count(self, name: str) -> int:
        """How many of a listener's ratings count: 0 for one who is not known."""
        query = "SELECT count(*) FROM rating WHERE listener = ? AND NOT undone"
        with self._lock, faults(self.path):
            return self._connection.execute(query, (_named(name),)).fetchone()[0]

    def undo(self, id: int) -> bool:  # noqa: A002  what the column and the field are called
        """Take a rating back; False if there is none of that id that counts."""
        if not 0 < id < 2**63:
            return False
        query = "UPDATE rating SET undone = 1 WHERE id = ? AND NOT undone"
        return self._commit(lambda: self._connection.execute(query, (id,)).rowcount > 0)

    def like(self, other: str, name: str, *, add: bool = False) -> int:
        """Copy the newest ratings of ``other``, 10 at most, to ``name``; returns how many.

        Parameters
        ----------
        other : the listener to copy from.
        name : the listener to copy to.
        add : also to a listener who has ratings already; what was copied before is not doubled.

        Raises
        ------
        InputError
            There is nothing to copy, both are the same listener, or, without ``add``, ``name`` has rated already.
        """
        other, name = _named(other), _named(name)
        if other == name:
            raise InputError(f"{name} is like {name} already: name another listener")
        self.require(other)
        return self._commit(lambda: self._copy_newest(other, name, add=add))

    def _copy_newest(self, other: str, name: str, *, add: bool) -> int:
        if not add and self._counting(name):
            raise InputError(f"{name} has rated already: add {other}'s ratings to that with --add")
        if not self._counting(other):
            raise InputError(f"{other} has no ratings that count: there is nothing to begin with")
        full = self._no_room(known=self._count(name) > 0)
        copied = self._connection.execute(_COPY_NEWEST, (name, other, MOST_LIKE)).rowcount
        if copied and full is not None:
            raise full
        if self._count(name) > MOST_RATINGS:
            raise InputError(f"{name} would have more than {MOST_RATINGS} ratings, the most that are kept")
        return copied

    def copies(self, name: str) -> list[str]:
        """Other listeners who have copies of this one's ratings, by :meth:`like` or an import under another name."""
        query = """
            SELECT DISTINCT listener FROM rating
            WHERE listener != ?1 AND uid IN (SELECT uid FROM rating WHERE listener = ?1 AND source != 'like')
            ORDER BY listener
        """
        with self._lock, faults(self.path):
            return [row[0] for row in self._connection.execute(query, (_named(name),))]

    def forget(self, name: str) -> int:
        """Delete a listener's ratings, in the backups too, and rewrite the files so that no byte is left; how many.

        Damaged files that were set aside are not changed: ``set_aside_files`` names them.

        Raises
        ------
        StoreError
            Another program is reading, or a backup cannot be changed; the ratings are deleted from the store then, and
            forgetting again clears the last traces.
        """
        name = _named(name)
        with self._lock, faults(self.path):
            self._find_again()
            with transaction(self._connection):
                count = self._connection.execute("DELETE FROM rating WHERE listener = ?", (name,)).rowcount
            saved, left = backup.erase(self.path, name)
            self._connection.execute("VACUUM")
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if left:
            files = ", ".join(map(str, left))
            raise StoreError(f"{name} is deleted, but not from {files}: forget {name} again, or delete that file")
        if busy:
            raise StoreError(
                f"{self.path}: {name} is deleted, but traces stay until other programs let go: forget {name} again then"
            )
        return max(count, saved)

    def merge(self, ratings: Iterable[StoredRating]) -> Restored:
        """Add ratings of a backup or a damaged file; what is here already stays as it is, also what was taken back.

        They keep their places in the order, where these are free. The bounds hold.
        """
        total, waiting = Restored(), iter(ratings)
        while part := list(islice(waiting, _MERGED_AT_ONCE)):
            total = total.plus(self._commit(lambda part=part: self._merge(part)))
        return total

    def _merge(self, ratings: Sequence[StoredRating]) -> Restored:
        added = known = refused = 0
        for rating in ratings:
            if self._connection.execute(_KNOWN, (rating.listener, rating.uid)).fetchone()[0]:
                known += 1
            elif self._refusal(rating.listener) is not None:
                refused += 1
            else:
                added += self._connection.execute(_MERGE, (rating.id or None, *row(rating))).rowcount
        return Restored(added, known, refused)

    def restore(self, file: Path | None = None) -> Restored:
        """Add what a backup holds and this does not.

        Parameters
        ----------
        file : a backup, another store, or a damaged one that was set aside; None: every backup beside this one.

        Raises
        ------
        InputError
            There is no such file, or no rating can be read in it.
        """
        files = backup.backups(self.path) if file is None else [file]
        if not files:
            raise InputError(f"there is no backup beside {self.path}: one is made once there are ratings")
        total = Restored()
        for each in files:
            found = self.merge(backup.ratings_of(each))
            if file is not None and not any(found):
                raise InputError(f"{each}: no rating can be read in it")
            total = total.plus(found)
        return total

    def set_aside_files(self) -> list[Path]:
        """Damaged files beside this one, oldest first, which may still hold ratings of any listener."""
        return set_aside_files(self.path)

    def export(self, name: str) -> dict[str, Any]:
        """All ratings of a listener, ready for JSON. Raises InputError for a listener without any."""
        from .export import to_json

        self.require(name)
        return to_json(_named(name), self.ratings(name, undone=True))

    def require(self, name: str) -> None:
        """Raise InputError for a listener without any rating."""
        query = "SELECT EXISTS (SELECT 1 FROM rating WHERE listener = ?)"
        with self._lock, faults(self.path):
            known = bool(self._connection.execute(query, (_named(name),)).fetchone()[0])
        if not known:
            raise InputError(f"there is no listener {_named(name)}: `valaro listeners list` has the names")

    def import_(self, data: object) -> tuple[str, int]:
        """Add what :meth:`export` returned, here or elsewhere.

        Ratings that are here already are not doubled, and are taken back if either is. With another name in
        ``listener`` it is a copy.

        Returns
        -------
        tuple[str, int]
            The listener, and how many ratings were new.

        Raises
        ------
        InputError
            It is not such an export; nothing is changed.
        """
        from .export import from_json

        exported_name, ratings = from_json(data)
        name = _named(exported_name)
        return name, self._commit(lambda: self._import(name, ratings))

    def _import(self, name: str, ratings: Sequence[StoredRating]) -> int:
        before = self._count(name)
        full = self._no_room(known=before > 0)
        self._connection.executemany(
            INSERT + " ON CONFLICT (listener, uid) DO UPDATE SET undone = max(undone, excluded.undone)",
            (row(rating, name) for rating in ratings),
        )
        after = self._count(name)
        if after > MOST_RATINGS:
            raise InputError(f"{name} would have {after} ratings: {MOST_RATINGS} are the most that are kept")
        full = full or self._no_room(known=True)
        if after > before and full is not None:
            raise full
        return after - before

    def _count(self, name: str) -> int:
        return self._connection.execute("SELECT count(*) FROM rating WHERE listener = ?", (name,)).fetchone()[0]

    def _counting(self, name: str) -> bool:
        query = "SELECT EXISTS (SELECT 1 FROM rating WHERE listener = ? AND NOT undone)"
        return bool(self._connection.execute(query, (name,)).fetchone()[0])


def _named(name: str) -> str:
    name = listener_name(unicodedata.normalize("NFC", name))
    if not name:
        raise InputError("a rating needs the name of its listener")
    return name


def open_listeners(path: Path | None, notify: Callable[[str], None], *, quick: bool = False) -> Listeners:
    """Open the store; a damaged file is set aside, and what can be read of it and of the backups begins a new one.

    Parameters
    ----------
    path : the file; None: the one in the user's data directory.
    notify : called with one line when a damaged file was set aside.
    quick : leave a large file unread: damage of it is found when it is met.

    Raises
    ------
    StoreError
        The store cannot be opened.
    """
    path = default_path() if path is None else path
    which = identity(path)
    try:
        store = Listeners(path)
        if not quick and path.stat().st_size > CHECKED_AT_ONCE:
            store.check()
    except DamagedError:
        pass
    else:
        return store
    aside = set_aside(path) if identity(path) == which else None  # or else another program has just done it
    store = Listeners(path)
    if aside is not None:
        notify(f"{path} is damaged: kept as {aside.name}; {_mended(store, aside)}")
    return store


def _mended(store: Listeners, aside: Path) -> str:
    """Bring what can be read of a damaged file, and of the backups, into a new store; what became of it, in words."""
    try:
        read = store.merge(salvaged(aside))
        saved = store.restore() if backup.backups(store.path) else Restored()
    except (StoreError, OSError) as fault:
        return f"a new one is begun, without its ratings ({fault}): `valaro listeners restore {aside}`"
    more = f", {saved.added} more were in the backup" if saved.added else ""
    begun = "a new one is begun" + (" with them" if read.added or saved.added else "")
    return f"{_ratings(read.added)} could be read{more}, and {begun}"


def _ratings(count: int) -> str:
    return "1 rating" if count == 1 else f"{count or 'no'} ratings"


def open_or_none(path: Path | None, notify: Callable[[str], None]) -> Listeners | None:
    """As :func:`open_listeners`; None, after ``notify`` was called with the reason, where it cannot be opened."""
    try:
        return open_listeners(path, notify)
    except StoreError as fault:
        notify(f"{fault}; ratings are not kept")
        return None


__all__ = [
    "DamagedError",
    "EvidenceHistory",
    "Listeners",
    "LockedError",
    "RatedEvidence",
    "StoreError",
    "StoredRating",
    "default_path",
    "open_listeners",
    "open_or_none",
    "theta_digest",
    "theta_for",
]
