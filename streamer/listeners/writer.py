"""The thread that brings ratings to the disk: several in a transaction, each answered when it is committed or lost."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from .backup import back_up, unsaved
from .evidence import StoredRating
from .store import DamagedError, Listeners, LockedError, StoreError

log = logging.getLogger(__name__)

PATIENCE = 4.0  # s for which a rating is tried again while another program holds the file
MOST_PENDING = 256  # ratings that wait for the disk at most: further ones are refused
BACKED_UP_AFTER = 50  # ratings, and at the first one of a session
_PAUSE = 0.02  # s between two attempts
_REOPENED_AFTER = 1.0  # s after which a store that could not be opened is tried again, when there is something for it
_RELOCKED_AFTER = 0.25  # s, the same where another program held it
_REPORTED_AFTER = 60.0  # s, the same where whoever opens it reports each time by itself
_READ_AT_ONCE = 64  # earlier ratings that are read before the new ones have their turn
_MOST_FAULTS = 32  # different faults that are logged, and kept apart


class NoStoreError(StoreError):
    """There is no store, as whoever should have opened it has reported already."""


@dataclass(slots=True, eq=False)
class _Pending:
    """A rating on its way to the disk."""

    rating: StoredRating
    stored: "Future[None]"
    until: float  # on the monotonic clock: when it is given up
    settled: bool = False


@dataclass(slots=True, eq=False)
class EarlierRatings:
    """A request for a listener's ratings up to now.

    Parameters
    ----------
    name : the listener's.
    take : called with some of them at a time, in the writing thread.
    finish : called once when all that can be read was taken.
    """

    name: str
    take: Callable[[list[StoredRating]], None]
    finish: Callable[[], None]
    after: int = 0
    last: int | None = None  # the newest of them: what is rated from now on is not earlier
    damaged: bool = False  # met once while they were read


class RatingWriter:
    """Writes ratings to the store in a thread of its own, in the order in which they come.

    Parameters
    ----------
    open_store : opens the store, in the writing thread, when it is first needed. What it raises is logged once. It may
        return None after it has reported why there is none. It is called again a second later at the earliest, or a
        minute where it reports by itself.

    Attributes
    ----------
    stored, lost : how many ratings were written, and how many could not be.
    losses : why ratings were lost, in words, and how many for each reason.
    """

    def __init__(self, open_store: Callable[[], Listeners | None]) -> None:
        self.stored = self.lost = 0
        self.losses: dict[str, int] = {}
        self._open_store = open_store
        self._store: Listeners | None = None
        self._open_at = 0.0  # not before; on the monotonic clock
        self._unopened: StoreError = NoStoreError("there is no store of ratings")
        self._new = threading.Condition()
        self._jobs: deque[_Pending | EarlierRatings] = deque()  # in the order in which they came
        self._writing: list[_Pending] = []
        self._reading: list[EarlierRatings] = []
        self._waiting: list[threading.Event] = []
        self._asked = self._done = 0  # ratings that were ever taken, and that were settled
        self._logged: set[str] = set()
        self._unsaved: int | None = None  # ratings since the last backup; None: not known yet
        self._backing_up: threading.Thread | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="ratings", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many ratings are not answered yet."""
        with self._new:
            return self._asked - self._done

    def write(self, rating: StoredRating) -> "Future[None]":
        """Have a rating stored; the future is done when it is committed, or raises why it is lost."""
        entry = _Pending(rating, Future(), time.monotonic() + PATIENCE)
        entry.stored.set_running_or_notify_cancel()  # it cannot be called back
        with self._new:
            ended, full = self._ending, self._asked - self._done >= MOST_PENDING
            self._asked += 1
            if not (ended or full):
                self._jobs.append(entry)
                self._new.notify()
        if ended or full:
            why = "the session is over" if ended else f"{MOST_PENDING} ratings wait for the disk already"
            self._settle(entry, StoreError(why))
        return entry.stored

    def read(self, request: EarlierRatings) -> None:
        """Have a listener's ratings read up to now, before anything new of theirs is written."""
        with self._new:
            self._jobs.append(request)
            self._new.notify()

    def drop(self, request: EarlierRatings) -> None:
        """Read no more of these."""
        with self._new:
            self._jobs = deque(job for job in self._jobs if job is not request)
            self._reading = [each for each in self._reading if each is not request]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all that was asked for so far is read and written; False when that takes longer, in s."""
        done = threading.Event()
        with self._new:
            if self._ending:
                return True
            self._waiting.append(done)
            self._new.notify()
        return done.wait(timeout)

    def close(self, timeout: float) -> None:
        """Write what waits, for ``timeout`` s at most, and close the store; may be called twice.

        What is not written by then is answered as lost.
        """
        with self._new:
            self._ending = True
            self._new.notify()
        self._thread.join(timeout)
        with self._new:
            left = [*self._writing, *(job for job in self._jobs if isinstance(job, _Pending))]
            self._jobs.clear()
        for entry in left:
            self._settle(entry, StoreError("the session ended before it was written"))
        if self._backing_up is not None:
            self._backing_up.join(timeout)

    def _run(self) -> None:
        while self._turn():
            pass
        self._close_store()
        self._release()

    def _turn(self) -> bool:
        """Write what waits, or else read a little; False at the end."""
        request = None
        with self._new:
            if not (self._jobs or self._can_read() or self._waiting or self._ending):
                self._new.wait(self._idle())
            while self._jobs and isinstance(job := self._jobs[0], _Pending):
                self._writing.append(job)
                self._jobs.popleft()
            # A request for earlier ratings stands between those that were given before it and after it.
            if self._jobs and not self._writing:
                request = self._jobs.popleft()
            writing, ended = self._writing, self._ending and not (self._writing or request)
        if writing:
            self._write_all(writing)
            with self._new:
                self._writing = []
        elif isinstance(request, EarlierRatings):
            self._reading.append(request)
            self._attempt(self._ready)
        elif ended:
            return False
        elif self._can_read():
            self._attempt(self._read_some)
        elif self._waiting:
            self._release()
        elif self._reading and time.monotonic() >= self._open_at:
            self._attempt(self._ready)
        return True

    def _idle(self) -> float | None:
        """How long, in s, there is nothing to do by itself; None: for ever."""
        return min(max(self._open_at - time.monotonic(), 0.0), _REPORTED_AFTER) if self._reading else None

    def _can_read(self) -> bool:
        return self._store is not None and bool(self._reading)

    def _release(self) -> None:
        """Let those go on who wait until everything is done."""
        with self._new:
            waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()

    def _attempt(self, step: Callable[[], object]) -> None:
        """Do something with the store that nobody is answered for."""
        try:
            step()
        except DamagedError:
            self._close_store()  # opened again, it is mended, and that is told
            try:
                self._ready()
            except Exception as fault:  # noqa: BLE001  whatever it is, the tracker goes on
                self._tell(fault)
        except Exception as fault:  # noqa: BLE001  the same
            self._tell(fault)

    def _ready(self) -> Listeners:
        """The open store. Raises why there is none."""
        if self._store is None:
            if time.monotonic() < self._open_at:
                raise self._unopened
            try:
                self._store = self._open_store()
                self._unopened = NoStoreError("there is no store of ratings")
                pause = _REPORTED_AFTER
            except StoreError as fault:
                self._unopened = fault
                pause = _RELOCKED_AFTER if isinstance(fault, LockedError) else _REOPENED_AFTER
            self._open_at = time.monotonic() + pause
            if self._store is None:
                raise self._unopened
        for request in self._reading:
            if request.last is None:  # before anything new of theirs is written
                request.last = self._store.newest()
        return self._store

    def _read_some(self) -> None:
        request = self._reading[0]
        try:
            store = self._ready()
            page, request.after = store.page(
                request.name, request.after, request.last or 0, _READ_AT_ONCE, unreadable=self._tell
            )
            request.take(page)
        except Exception as fault:
            if isinstance(fault, DamagedError) and not request.damaged:
                request.damaged = True  # it goes on in the mended store
            else:
                self._finish(request)
            raise
        if not request.after:
            self._finish(request)

    def _finish(self, request: EarlierRatings) -> None:
        self.drop(request)
        request.finish()

    def _write_all(self, entries: Iterable[_Pending]) -> None:
        """Commit ratings, and answer each."""
        waiting, mended = [entry for entry in entries if not entry.settled], False
        while waiting:
            try:
                outcomes = self._ready().add_all([entry.rating for entry in waiting])
            except LockedError as fault:
                waiting = self._those_with_time(waiting, fault)
            except Exception as fault:  # noqa: BLE001  whatever it is, the tracker goes on
                if isinstance(fault, DamagedError) and not mended:
                    self._close_store()  # opened again, it is mended, and that is told
                    mended = True
                    continue
                self._tell(fault)
                for entry in waiting:
                    self._settle(entry, fault)
                return
            else:
                for entry, outcome in zip(waiting, outcomes, strict=True):
                    if isinstance(outcome, StoreError):
                        self._tell(outcome)
                        self._settle(entry, outcome)
                    else:
                        self._settle(entry, None)
                self._save(len(outcomes))
                return

    def _those_with_time(self, entries: list[_Pending], fault: LockedError) -> list[_Pending]:
        """Give up those that were tried for long enough, and wait a little for the others."""
        now = time.monotonic()
        late = [entry for entry in entries if now >= entry.until]
        if late:
            self._tell(fault)
        for entry in late:
            self._settle(entry, fault)
        time.sleep(_PAUSE)
        return [entry for entry in entries if not entry.settled]

    def _settle(self, entry: _Pending, fault: Exception | None) -> None:
        """Count and answer a rating, once."""
        with self._new:
            if entry.settled:
                return
            entry.settled = True
            self._done += 1
            self.stored += fault is None
            self.lost += fault is not None
            if fault is not None:
                words = _words(fault)
                reason = words if words in self.losses or len(self.losses) < _MOST_FAULTS else "other reasons"
                self.losses[reason] = self.losses.get(reason, 0) + 1
        if fault is None:
            entry.stored.set_result(None)
        else:
            entry.stored.set_exception(fault)

    def _tell(self, fault: Exception) -> None:
        words = _words(fault)
        if not isinstance(fault, NoStoreError) and words not in self._logged and len(self._logged) < _MOST_FAULTS:
            self._logged.add(words)
            log.warning("%s; tracking goes on (told once, counted from here on)", words)

    def _close_store(self) -> None:
        store, self._store, self._open_at = self._store, None, 0.0
        if store is not None:
            with suppress(StoreError):
                store.close()

    def _save(self, count: int) -> None:
        """Back the store up beside all this, at the first rating and after every 50."""
        busy = self._backing_up is not None and self._backing_up.is_alive()
        self._unsaved = BACKED_UP_AFTER if self._unsaved is None else self._unsaved + count
        if self._store is not None and self._unsaved >= BACKED_UP_AFTER and not busy:
            self._unsaved = 0
            saving = threading.Thread(target=self._back_up, args=(self._store,), name="ratings backup", daemon=True)
            try:
                saving.start()
            except RuntimeError as fault:  # the system allows no more threads: ratings come first
                log.info("no backup of the ratings: %s", fault)
            else:
                self._backing_up = saving

    def _back_up(self, store: Listeners) -> None:
        try:
            if unsaved(store.path) != 0:
                back_up(store.path)
        except StoreError as fault:
            log.info("no backup of the ratings: %s", fault)


def _words(fault: Exception) -> str:
    return str(fault) if isinstance(fault, StoreError) else f"{type(fault).__name__}: {fault}"
