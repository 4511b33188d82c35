"""A session as JSON lines, one record for each emission and each rating."""

import json
import logging
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.affect import Affect
from ..core.controls import Rating
from ..errors import InputError, SinkError

log = logging.getLogger(__name__)


class Recorder:
    """Writes each emission as one line of JSON (``Affect.record``), complete on disk or not at all.

    Each line also holds ``sent``: seconds since the recorder was created, to the millisecond, by which a replay keeps
    the session's pace. A rating is a line ``{"rating": {"time", "valence", "arousal", "listener"}, "sent"}``, which a
    replay skips.

    Parameters
    ----------
    path : the file to create.

    Attributes
    ----------
    faults : how many lines could not be written, such as on a full disk; the first of a row is logged, the file is cut
        back to its last whole line, and writing is tried again with the next one.

    Raises
    ------
    InputError
        ``path`` exists already.
    SinkError
        ``path`` cannot be created.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.faults = 0
        self._lock = threading.Lock()  # ratings come from other threads than emissions
        self._began = time.monotonic()
        self._end = 0  # bytes of whole lines
        self._failing = False
        try:
            # Unbuffered: nothing is left in a buffer by a fault, to come out later in the middle of another line.
            self._file = self.path.open("xb", buffering=0)
        except FileExistsError as fault:
            raise InputError(f"{self.path} exists already: record to another file, or remove it first") from fault
        except (OSError, ValueError) as fault:
            raise SinkError(f"{self.path} cannot be written: {_reason(fault)}") from fault

    def send(self, affect: Affect) -> None:
        """Write one emission's line; a fault is counted and never raised."""
        self._write(affect.record())

    def rate(self, rating: Rating) -> None:
        """Write one rating's line, from any thread; a fault is counted and never raised."""
        record = asdict(rating)
        del record["sender"]  # an address on the network of that evening is nothing to keep
        self._write({"rating": record})

    def close(self) -> None:
        """Close the file, and remove it when it is empty; may be called twice."""
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.close()
            except OSError as fault:  # where the disk is behind a network, it is full only now
                self.faults += 1
                log.warning("recording to %s: %s at its end: its last lines may be missing", self.path, _reason(fault))
            if self._end == 0:  # a session that never began must not block the next attempt
                with suppress(OSError):
                    self.path.unlink()

    def _write(self, record: dict[str, Any]) -> None:
        with self._lock:
            if self._file.closed:
                return
            stamped = record | {"sent": round(time.monotonic() - self._began, 3)}
            try:
                line = (json.dumps(stamped, separators=(",", ":"), allow_nan=False) + "\n").encode()
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(f"only {written} of {len(line)} bytes were written")
            except (OSError, ValueError) as fault:  # ValueError: a number that is none, which no reader takes
                self._cut(fault)
            else:
                self._end += len(line)
                self._failing = False

    def _cut(self, fault: OSError | ValueError) -> None:
        self.faults += 1
        if not self._failing:
            log.warning("recording %s: %s; recording goes on when it can", self.path, _reason(fault))
        self._failing = True
        with suppress(OSError):
            self._file.seek(self._end)
            self._file.truncate()


def _reason(fault: BaseException) -> str:
    return (getattr(fault, "strerror", None) or str(fault) or type(fault).__name__).lower()
