"""The store of ratings: one row a rating, from which each listener's profile can be rebuilt at any time."""

import math
import threading
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from .._util.rate_limit import Allowance
from ..core.controls import listener_name
from ..errors import InputError
from .evidence import EvidenceHistory, RatedEvidence, RatingOrigin, StoredRating, theta_digest, theta_for
from .schema import (
    DamagedError,
    StoreError,
    connect,
    default_path,
    faults,
    identity,
    set_aside,
    set_aside_files,
    transaction,
)

MOST_RATINGS = 20_000  # of one listener: some 160 MB, should a stuck fader rate for days
MOST_LIKE = 10  # ratings copied from another listener at most: their own soon outweigh them

_INSERT = """
    INSERT INTO rating (uid, listener, at, time, valence, arousal, source, undone, bundle, layout, theta, heatmap,
        textures, texture_count)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COPY_NEWEST = """
    INSERT INTO rating (uid, listener, at, time, valence, arousal, source, undone, bundle, layout, theta, heatmap,
        textures, texture_count)
    SELECT uid, ?, at, time, valence, arousal, 'like', 0, bundle, layout, theta, heatmap, textures, texture_count
    FROM (SELECT * FROM rating WHERE listener = ? AND NOT undone ORDER BY id DESC LIMIT ?)
    WHERE true ORDER BY id ON CONFLICT (listener, uid) DO NOTHING
"""
_SELECT = """
    SELECT uid, listener, at, time, valence, arousal, source, undone, bundle, layout, theta, heatmap, textures,
        texture_count, id
    FROM rating WHERE listener = ? AND id > ? AND undone <= ? ORDER BY id LIMIT 256
"""


class Listeners:
    """The ratings of all listeners in one SQLite file.

    Threads may share it, and several programs may have the same file open. Every method may block: for the disk, or up
    to 2 s for another program. Names are those of ``controls.listener_name``, composed (NFC), and never empty:
    InputError for another.

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
    StoreError
        As every method: it is locked, unwritable, on a full disk or of a newer version.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_path() if path is None else path
        self.refused = 0
        self._lock = threading.Lock()
        self._allowance = Allowance()
        self._connection = connect(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock, faults(self.path):
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
        name = _named(name)
        for what, value in (("valence", valence), ("arousal", arousal)):
            if not (math.isfinite(value) and -1.0 <= value <= 1.0):
                raise InputError(f"a rating's {what} must be from -1 to 1, not {value:g}")
        if not (math.isfinite(time) and time >= 0.0):
            raise InputError(f"a rating is of a time from 0 s on, not {time:g}")
        if source not in get_args(RatingOrigin):
            raise InputError(f"a rating comes from one of {', '.join(get_args(RatingOrigin))}, not {source}")
        rating = StoredRating(
            uuid.uuid4().hex, name, datetime.now(UTC), float(time), float(valence), float(arousal), source, evidence
        )
        with self._lock:
            if limited and not self._allowance.take(name):
                self.refused += 1
                return None
            with faults(self.path), transaction(self._connection):
                if self._count(name) >= MOST_RATINGS:
                    raise StoreError(
                        f"{name} has {MOST_RATINGS} ratings, the most that are kept: "
                        f"`valaro listeners export`, then `valaro listeners forget`"
                    )
                return self._connection.execute(_INSERT, _row(rating)).lastrowid

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
        newest = 0
        while True:
            with self._lock, faults(self.path):
                rows = self._connection.execute(_SELECT, (name, newest, int(undone))).fetchall()
            for row in rows:
                try:
                    rating = self._rated(row)
                except DamagedError as fault:
                    if unreadable is None:
                        raise
                    unreadable(fault)
                else:
                    yield rating
            if not rows:
                return
            newest = rows[-1][-1]

    def names(self) -> dict[str, int]:
        """Each listener and how many ratings count, by name."""
        query = "SELECT listener, sum(1 - undone) FROM rating GROUP BY listener ORDER BY listener"
        with self._lock, faults(self.path):
            return dict(self._connection.execute(query).fetchall())

    def count(self, name: str) -> int:
        """How many of a listener's ratings count: 0 for one who is not known."""
        return self.names().get(_named(name), 0)

    def undo(self, id: int) -> bool:  # noqa: A002  what the column and the field are called
        """Take a rating back; False if there is none of that id that counts."""
        if not 0 < id < 2**63:
            return False
        with self._lock, faults(self.path), transaction(self._connection):
            return (
                self._connection.execute("UPDATE rating SET undone = 1 WHERE id = ? AND NOT undone", (id,)).rowcount > 0
            )

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
        with self._lock, faults(self.path), transaction(self._connection):
            if not add and self._counting(name):
                raise InputError(f"{name} has rated already: add {other}'s ratings to that with --add")
            if not self._counting(other):
                raise InputError(f"{other} has no ratings that count: there is nothing to begin with")
            copied = self._connection.execute(_COPY_NEWEST, (name, other, MOST_LIKE)).rowcount
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
        """Delete a listener's ratings, and rewrite the file so that no byte is left; returns how many.

        Damaged files that were set aside are not changed: ``set_aside_files`` names them.

        Raises
        ------
        StoreError
            Another program is reading; the ratings are deleted then, and forgetting again clears the last traces.
        """
        name = _named(name)
        with self._lock, faults(self.path):
            with transaction(self._connection):
                count = self._connection.execute("DELETE FROM rating WHERE listener = ?", (name,)).rowcount
            self._connection.execute("VACUUM")
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise StoreError(
                f"{self.path}: {name} is deleted, but traces stay until other programs let go: forget {name} again then"
            )
        return count

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
        if _named(name) not in self.names():
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
        with self._lock, faults(self.path), transaction(self._connection):
            before = self._count(name)
            self._connection.executemany(
                _INSERT + " ON CONFLICT (listener, uid) DO UPDATE SET undone = max(undone, excluded.undone)",
                (_row(rating, name) for rating in ratings),
            )
            after = self._count(name)
            if after > MOST_RATINGS:
                raise InputError(f"{name} would have {after} ratings: {MOST_RATINGS} are the most that are kept")
        return name, after - before

    def _count(self, name: str) -> int:
        return self._connection.execute("SELECT count(*) FROM rating WHERE listener = ?", (name,)).fetchone()[0]

    def _counting(self, name: str) -> bool:
        query = "SELECT EXISTS (SELECT 1 FROM rating WHERE listener = ? AND NOT undone)"
        return bool(self._connection.execute(query, (name,)).fetchone()[0])

    def _rated(self, row: tuple[Any, ...]) -> StoredRating:
        uid, listener, at, time, valence, arousal, source, undone, bundle, layout, *blobs, count, number = row
        try:
            theta, heatmap, textures = (np.frombuffer(blob, dtype="<f4") for blob in blobs)
            evidence = RatedEvidence(theta, heatmap, textures.reshape(count, -1), bundle, layout)
            when = datetime.fromisoformat(at)
        except (InputError, TypeError, ValueError) as fault:
            raise DamagedError(f"{self.path} is damaged: rating {number} cannot be read") from fault
        return StoredRating(uid, listener, when, time, valence, arousal, source, evidence, bool(undone), number)


def _named(name: str) -> str:
    name = listener_name(unicodedata.normalize("NFC", name))
    if not name:
        raise InputError("a rating needs the name of its listener")
    return name


def _row(rating: StoredRating, name: str | None = None) -> tuple[Any, ...]:
    evidence = rating.evidence
    return (
        *(rating.uid, name or rating.listener, rating.at.isoformat(), rating.time, rating.valence, rating.arousal),
        *(rating.source, int(rating.undone), evidence.bundle, evidence.layout),
        *(_blob(evidence.theta), _blob(evidence.heatmap), _blob(evidence.textures), len(evidence.textures)),
    )


def _blob(array: NDArray[np.float32]) -> bytes:
    return array.astype("<f4").tobytes()


def open_listeners(path: Path | None, notify: Callable[[str], None]) -> Listeners:
    """Open the store; a damaged file is set aside and a new one is begun.

    Parameters
    ----------
    path : the file; None: the one in the user's data directory.
    notify : called with one line when a damaged file was set aside.

    Raises
    ------
    StoreError
        The store cannot be opened.
    """
    path = default_path() if path is None else path
    which = identity(path)
    try:
        return Listeners(path)
    except DamagedError:
        if identity(path) == which:  # or else another program has just done it
            notify(f"{path} is damaged: kept as {set_aside(path).name}, and a new one is begun")
        return Listeners(path)


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
    "RatedEvidence",
    "StoreError",
    "StoredRating",
    "default_path",
    "open_listeners",
    "open_or_none",
    "theta_digest",
    "theta_for",
]
