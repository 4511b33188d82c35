"""A show written down as JSON lines, one record for each emission, and played back at its own pace."""

import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..errors import InputError, SinkError
from ..messages import Affect
from ..protocols import Sink

log = logging.getLogger(__name__)


class Recorder:
    """Writes each emission as one line of JSON (``Affect.record``), complete on disk or not there at all.

    ``faults`` counts the emissions that could not be written, such as on a full disk; the first of a row is logged,
    the file is cut back to its last whole line, and writing is tried again with the next emission.

    Raises InputError when ``path`` exists already, SinkError when it cannot be created.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.faults = 0
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
        """Write one line; a fault is counted and never raised."""
        if self._file.closed:
            return
        line = (json.dumps(affect.record(), separators=(",", ":")) + "\n").encode()
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes were written")
        except OSError as fault:
            self._cut(fault)
        else:
            self._end += len(line)
            self._failing = False

    def close(self) -> None:
        """Close the file, and remove it when nothing came to be recorded; may be called twice."""
        if self._file.closed:
            return
        with suppress(OSError):
            self._file.close()
            if self._end == 0:  # a show that never began must not stand in the way of the next attempt
                self.path.unlink()

    def _cut(self, fault: OSError) -> None:
        self.faults += 1
        if not self._failing:
            log.warning("recording %s: %s; recording goes on when it can", self.path, _reason(fault))
        self._failing = True
        with suppress(OSError):
            self._file.seek(self._end)
            self._file.truncate()


class Replay:
    """A recording (or ``valaro analyze --format jsonl``'s output) as emissions, at the pace of their times.

    ``speed`` 2.0 plays twice as fast. Iterating yields the emissions without waiting. The file is read as it plays,
    so that months of recording need no memory.

    Raises InputError for a missing or empty file, a speed that is not above zero and, with file and line
    number, for a line that is not a record.
    """

    def __init__(self, path: Path | str, speed: float = 1.0) -> None:
        self.path = Path(path)
        if not 0.0 < speed < float("inf"):
            raise InputError(f"a replay's speed must be above zero, not {speed}")
        self._speed = speed
        self._stopped = False
        if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):  # it might be waited for without end
            raise InputError(f"{self.path} cannot be read: a device or pipe, no recording")
        if next(iter(self), None) is None:  # a wrong file is refused before anything starts
            raise InputError(f"{self.path} holds no emission: record one with `valaro listen --record FILE`")

    def __iter__(self) -> Iterator[Affect]:
        try:
            with self.path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield _affect(line, f"{self.path}, line {number}")
        except OSError as fault:
            raise InputError(f"{self.path} cannot be read: {_reason(fault)}") from fault

    def run(self, sinks: Iterable[Sink]) -> int:
        """Send every emission to ``sinks`` when it is due, until the end or ``stop``; returns how many were sent."""
        sinks = list(sinks)
        due = time.monotonic()
        previous: float | None = None
        count = 0
        for affect in self:
            # Several recordings in one file begin again at zero: then there is nothing to wait for.
            due += max(affect.time - (affect.time if previous is None else previous), 0.0) / self._speed
            previous = affect.time
            if not self._wait_until(due):
                break
            for sink in sinks:
                sink.send(affect)
            count += 1
        return count

    def stop(self) -> None:
        """End :meth:`run` within a tenth of a second, from any thread or signal handler."""
        self._stopped = True

    def _wait_until(self, due: float) -> bool:
        """Sleep till then; False once stopped. In slices, since an Event may deadlock when a signal handler sets it."""
        while not self._stopped and (left := due - time.monotonic()) > 0.0:
            time.sleep(min(left, 0.1))
        return not self._stopped


def _affect(line: bytes, where: str) -> Affect:
    try:
        affect = Affect.from_record(json.loads(line))
        numbers = [affect.time, affect.valence, affect.arousal, affect.confidence, affect.level, *affect.tags.values()]
        arrays = [array.ravel() for array in (affect.heatmap, affect.covariance, affect.quadrants)]
        if not np.isfinite(np.concatenate([numbers, *arrays])).all():
            raise ValueError("not finite")
        return affect
    except KeyError as fault:
        raise InputError(f"{where}: the record lacks {fault}") from fault
    except (ValueError, TypeError, AttributeError, RecursionError) as fault:
        raise InputError(f"{where}: not a record that Valaro wrote") from fault


def _reason(fault: BaseException) -> str:
    return (getattr(fault, "strerror", None) or str(fault) or type(fault).__name__).lower()
