"""A checkpoint of the engine's state on disk, from which a restart within a minute resumes."""

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

from ....models import regular_file, snapshot
from ....models.bundle import default_path
from ....models.features.frame import LAYOUT
from ..._util.files import AtomicFile, reason
from ..._util.process import version
from ...core.affect import Affect
from ...core.protocols import Resumable

log = logging.getLogger(__name__)

SCHEMA = 1
WRITE_INTERVAL = 10.0  # s from one writing to the next
MAX_AGE = 60.0  # s; the music has moved on since an older state
_MAX_BYTES = 4_000_000  # bytes: a hundred times what is written
_CLOSE_TIMEOUT = 5.0  # s that a disk may take for the last one
_METADATA = "about"  # the array with the metadata, as JSON

Table = dict[str, NDArray[Any]]


def bundle_digest(path: Path | None = None) -> str:
    """The identity of a bundle: the sha256 of its manifest, which holds the digest of every file.

    Parameters
    ----------
    path : the bundle; None: the default one.

    Raises
    ------
    OSError
        There is none.
    """
    root = default_path() if path is None else path
    return sha256(regular_file.read(root / "manifest.json", _MAX_BYTES)).hexdigest()


class Checkpoint:
    """A sink that writes the engine's state to a file every 10 s and when it is closed; :meth:`resume` reads it.

    ``send`` copies some tens of kilobytes and leaves the writing to a thread; on a slow disk the newest state is
    written next. The file is replaced atomically (written beside it, fsync, rename): neither kill -9 nor a power
    failure leaves a broken one.

    Parameters
    ----------
    path : the file.
    engine : it must not have heard anything yet.
    digest, decoder : the bundle (:func:`bundle_digest`) and the decoder that the state belongs to.
    interval : s between two writings.
    wall : the wall clock, s since 1970, which continues over a restart.

    Attributes
    ----------
    faults : how many writings failed; the first of consecutive ones is logged.

    Raises
    ------
    SinkError
        The folder of ``path`` does not exist and cannot be created.
    """

    def __init__(
        self,
        path: Path | str,
        engine: Resumable,
        digest: str,
        decoder: str,
        *,
        interval: float = WRITE_INTERVAL,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.faults = 0
        self._engine = engine
        self._template = engine.state
        self._metadata = {
            "schema": SCHEMA,
            "valaro": version(),
            "layout": LAYOUT,
            "bundle": digest,
            "decoder": decoder,
        }
        self._interval = interval
        self._wall = wall
        self._due = -float("inf")
        self._sent = False
        self._failing = False
        self._pending: Table | None = None
        self._closed = False
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._file = AtomicFile(self.path, durable=True)

    def resume(self) -> bool:
        """Resume the engine from the file, if it is of this bundle and less than a minute old; returns whether it was.

        One line is logged. A file that cannot be used, or whose state leads to no heatmap, is renamed to end in
        ``.bad``, so that it does not fail twice.
        """
        try:
            data = regular_file.read(self.path, _MAX_BYTES)
        except FileNotFoundError:
            return False
        except OSError as fault:
            self._set_aside(reason(fault))
            return False
        try:
            metadata, table = _unpack(data)
            age = self._wall() - float(metadata["written"])
            if not 0.0 <= age <= MAX_AGE:  # NaN is not
                when = f"{age:.0f} s old" if age > 0 else "from the future, by this machine's clock"
                log.info("the checkpoint %s is %s: beginning afresh", self.path, when)
                return False
            self._check(metadata)
            self._engine.resume(snapshot.restored(self._template, table))
        except ValueError as fault:
            self._set_aside(str(fault))
            return False
        log.info("going on from the checkpoint %s, %.0f s old", self.path, age)
        return True

    def send(self, affect: Affect) -> None:
        """Every 10 s, copy the engine's state for the thread to write; never blocks."""
        now = time.monotonic()
        if now >= self._due and not self._closed:
            self._due = now + self._interval
            self._enqueue()
        self._sent = True

    def close(self) -> None:
        """Write the last state, if there was an emission; waits 5 s at most. May be called twice."""
        if self._closed:
            return
        if self._sent:
            self._enqueue()
        with self._ready:
            self._closed = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT)
            if self._thread.is_alive():
                self.faults += 1
                log.warning(
                    "the checkpoint %s is not written within %g s and is left behind", self.path, _CLOSE_TIMEOUT
                )

    def _enqueue(self) -> None:
        table = snapshot.snapshot(self._template, self._engine.state)
        table[_METADATA] = np.array(json.dumps(self._metadata | {"written": self._wall()}))
        with self._ready:
            self._pending = table
            self._ready.notify()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._pending is not None or self._closed)
                table, self._pending = self._pending, None
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

    def _check(self, metadata: dict[str, Any]) -> None:
        for key, value in self._metadata.items():
            if metadata.get(key) != value:
                raise ValueError(f"of another {key if key in ('bundle', 'decoder') else 'version of Valaro'}")

    def _set_aside(self, why: str) -> None:
        renamed = self.path.with_name(f"{self.path.name}.bad")  # one only: a crash an hour must not fill the disk
        try:
            self.path.replace(renamed)
            where = f"kept as {renamed.name}"
        except OSError as error:
            where = f"not renamed: {reason(error)}"
        log.warning("the checkpoint %s cannot be used (%s), %s: beginning afresh", self.path, why, where)


def _unpack(data: bytes) -> tuple[dict[str, Any], Table]:
    """The metadata and the arrays of a checkpoint. Raises ValueError, one line, for any other content."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(data) > _MAX_BYTES or sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
                raise ValueError("too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            table = {key: file[key] for key in file.files}
        metadata = json.loads(str(table.pop(_METADATA)))
        float(metadata["written"])
    except Exception as fault:  # zipfile, zlib, numpy and json raise various errors on damaged bytes
        raise ValueError("damaged") from fault
    return metadata, table
