"""What the chain remembers of the music, kept on disk so that a restart within a minute goes on from there."""

import io
import json
import logging
import threading
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....models import snapshot
from ....models.bundle import default_path
from ....models.features.frame import LAYOUT
from ..._util.files import AtomicFile, reason
from ..._util.process import version
from ...core.affect import Affect
from ...core.protocols import Resumable

log = logging.getLogger(__name__)

SCHEMA = 1
EVERY = 10.0  # s from one writing to the next
FRESH = 60.0  # s after which the music has gone on without us, and what was felt then says nothing
_MOST = 4_000_000  # bytes: a hundred times what is written
_CLOSING = 5.0  # s that a disk may take for the last one
_ABOUT = "about"  # the array that tells of the others

Table = dict[str, NDArray[Any]]


def bundle_digest(path: Path | None = None) -> str:
    """What a bundle is told by: the sha256 of its manifest, which vouches for every file. None: the default one.

    Raises OSError where there is none.
    """
    root = default_path() if path is None else path
    return sha256((root / "manifest.json").read_bytes()).hexdigest()


class Checkpoint:
    """A sink that writes the engine's memory to ``path`` every 10 s and when it is closed; :meth:`resume` reads it.

    ``engine`` must not have heard anything yet; ``digest`` (:func:`bundle_digest`) and ``decoder`` say whose memory it
    is. ``send`` copies some tens of kilobytes and leaves the writing to a thread; when a disk is slow, what is newest
    is written next. The file is replaced as a whole (written beside it, fsync, rename): neither kill -9 nor a power
    failure leaves a broken one. ``faults`` counts what could not be written; the first of a row is logged.

    Raises SinkError when the folder of ``path`` is not there and cannot be made.
    """

    def __init__(
        self,
        path: Path | str,
        engine: Resumable,
        digest: str,
        decoder: str,
        *,
        every: float = EVERY,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``every``: s between two writings. ``wall``: the clock that outlives a restart, s since 1970."""
        self.path = Path(path)
        self.faults = 0
        self._engine = engine
        self._template = engine.state
        self._about = {
            "schema": SCHEMA,
            "valaro": version(),
            "layout": LAYOUT,
            "bundle": digest,
            "decoder": decoder,
        }
        self._every = every
        self._wall = wall
        self._due = -float("inf")
        self._sent = False
        self._failing = False
        self._next: Table | None = None
        self._closed = False
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._file = AtomicFile(self.path, durable=True)

    def resume(self) -> bool:
        """Have the engine go on from the file, if it is of this bundle and less than a minute old; whether it does.

        What was done is logged in one line. A file that cannot be used is renamed to end in ``.bad``.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(_MOST + 1)
        except FileNotFoundError:
            return False
        except OSError as fault:
            log.warning("the checkpoint %s cannot be read: %s; beginning afresh", self.path, reason(fault))
            return False
        try:
            about, table = _unpacked(data)
            age = self._wall() - float(about["written"])
            if not 0.0 <= age <= FRESH:  # NaN is not
                when = f"{age:.0f} s old" if age > 0 else "from the future, by this machine's clock"
                log.info("the checkpoint %s is %s: beginning afresh", self.path, when)
                return False
            self._check(about)
            state = snapshot.restored(self._template, table)
        except ValueError as fault:
            self._set_aside(fault)
            return False
        self._engine.resume(state)
        log.info("going on from the checkpoint %s, %.0f s old", self.path, age)
        return True

    def send(self, affect: Affect) -> None:
        """Every 10 s, copy what the engine remembers for the thread to write; never waits."""
        now = time.monotonic()
        if now >= self._due and not self._closed:
            self._due = now + self._every
            self._offer()
        self._sent = True

    def close(self) -> None:
        """Write what is remembered last, if anything came; a disk that hangs is left behind. May be called twice."""
        if self._closed:
            return
        if self._sent:
            self._offer()
        with self._ready:
            self._closed = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(_CLOSING)
            if self._thread.is_alive():
                log.warning("the checkpoint %s is not written within %g s and is left behind", self.path, _CLOSING)

    def _offer(self) -> None:
        table = snapshot.snapshot(self._template, self._engine.state)
        table[_ABOUT] = np.array(json.dumps(self._about | {"written": self._wall()}))
        with self._ready:
            self._next = table
            self._ready.notify()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._next is not None or self._closed)
                table, self._next = self._next, None
            if table is None:
                return
            try:
                self._write(table)
            except OSError as fault:
                self.faults += 1
                if not self._failing:
                    log.warning("the checkpoint %s is not written: %s; tried again later", self.path, reason(fault))
                self._failing = True
            else:
                self._failing = False

    def _write(self, table: Table) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **table)
        self._file.write(buffer.getbuffer())

    def _check(self, about: dict[str, Any]) -> None:
        for key, value in self._about.items():
            if about.get(key) != value:
                raise ValueError(f"of another {key if key in ('bundle', 'decoder') else 'version of Valaro'}")

    def _set_aside(self, fault: ValueError) -> None:
        kept = self.path.with_name(f"{self.path.name}.bad")  # one only: a crash an hour must not fill the disk
        try:
            self.path.replace(kept)
            where = f"kept as {kept.name}"
        except OSError as error:
            where = f"not renamed: {reason(error)}"
        log.warning("the checkpoint %s cannot be used (%s), %s: beginning afresh", self.path, fault, where)


def _unpacked(data: bytes) -> tuple[dict[str, Any], Table]:
    """What the file tells of itself, and its arrays. Raises ValueError, one line, for anything but such a file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(data) > _MOST or sum(each.file_size for each in archive.infolist()) > _MOST:
                raise ValueError("too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            table = {key: file[key] for key in file.files}
        about = json.loads(str(table.pop(_ABOUT)))
        float(about["written"])
    except Exception as fault:  # zipfile, zlib, numpy and json raise whatever on damaged bytes, and the show must begin
        raise ValueError("damaged") from fault
    return about, table
