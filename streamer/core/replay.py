"""Sends a recording to the sinks again, at its original pace."""

import json
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError
from .affect import INTERVAL, Affect
from .protocols import Sink

log = logging.getLogger(__name__)

_LONGEST_LINE = 1 << 20  # bytes: a record takes some 3,000
_MOST_BEHIND = 1.0  # s: after a longer stop it goes on from there, without a burst of what was missed


class Replay:
    """A recording (or ``valaro analyze --format jsonl``'s output) as emissions, at the pace at which they were made.

    The pace is that of the records' ``sent``, which includes the pauses of the session, or of their ``time`` where they
    have none. Iterating yields the emissions once, without waiting. Ratings are skipped. The file is read as it plays,
    so that a recording of months needs no memory. A last line that was cut off (a crash while it was written) is left
    out, and logged once.

    Parameters
    ----------
    path : the recording.
    speed : above 0; 2.0 plays twice as fast.
    loop : begin again after the end, one emission interval later, until stopped.

    Attributes
    ----------
    sent : how many emissions :meth:`run` has sent so far.

    Raises
    ------
    InputError
        A missing or empty file, a speed that is not above zero and, with file and line number, on reaching any other
        line that is not a record.
    """

    def __init__(self, path: Path | str, speed: float = 1.0, *, loop: bool = False) -> None:
        self.path = Path(path)
        if not 0.0 < speed < float("inf"):
            raise InputError(f"a replay's speed must be above zero, not {speed}")
        self._speed = speed
        self._loop = loop
        self.sent = 0
        self._stopped = False
        self._cut_reported = False
        if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):  # reading it might block for ever
            raise InputError(f"{self.path} cannot be read: a device or pipe, no recording")
        if next(iter(self), None) is None:  # a wrong file is refused before anything starts
            raise self._empty()

    def __iter__(self) -> Iterator[Affect]:
        return (affect for affect, _ in self._records())

    def run(self, sinks: Iterable[Sink]) -> int:
        """Send every emission to ``sinks`` when it is due, until the end or ``stop``; return how many were sent."""
        sinks = list(sinks)
        due = time.monotonic()
        self.sent = 0
        while True:
            before = self.sent
            previous: tuple[float, float | None] | None = None
            for affect, sent in self._records():
                moment = affect.time, sent
                due += 0.0 if previous is None else _gap(previous, moment) / self._speed
                due = max(due, time.monotonic() - _MOST_BEHIND)
                previous = moment
                if not self._wait_until(due):
                    return self.sent
                for sink in sinks:
                    sink.send(affect)
                self.sent += 1
            if not self._loop:
                return self.sent
            if self.sent == before:  # somebody emptied it meanwhile
                raise self._empty()
            due += INTERVAL / self._speed

    def stop(self) -> None:
        """End :meth:`run` within a tenth of a second, from any thread or signal handler."""
        self._stopped = True

    def _records(self) -> Iterator[tuple[Affect, float | None]]:
        """Each emission, and when it was sent."""
        any_record = False
        try:
            with self.path.open("rb") as lines:
                for number, line in enumerate(iter(lambda: lines.readline(_LONGEST_LINE), b""), 1):
                    if not line.strip():
                        continue
                    where = f"{self.path}, line {number}"
                    try:
                        record = json.loads(line)
                    except (ValueError, RecursionError) as fault:
                        if any_record and not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                            self._report_cut(where)
                            return
                        raise InputError(f"{where}: not a record that Valaro wrote") from fault
                    if isinstance(record, dict) and "rating" in record:
                        continue
                    yield _emission(record, where)
                    any_record = True
        except OSError as fault:
            reason = (fault.strerror or type(fault).__name__).lower()
            raise InputError(f"{self.path} cannot be read: {reason}") from fault

    def _wait_until(self, due: float) -> bool:
        """Sleep until ``due``; False once stopped. In slices: an Event may deadlock when a signal handler sets it."""
        while not self._stopped and (left := due - time.monotonic()) > 0.0:
            time.sleep(min(left, 0.1))
        return not self._stopped

    def _report_cut(self, where: str) -> None:
        if not self._cut_reported:
            log.warning("%s was cut off as it was written: left out", where)
        self._cut_reported = True

    def _empty(self) -> InputError:
        return InputError(f"{self.path} holds no emission: record one with `valaro listen --record FILE`")


def _gap(earlier: tuple[float, float | None], later: tuple[float, float | None]) -> float:
    """Seconds from one (time, sent) to the next; 0 where another recording begins, whose time starts at 0 again."""
    (time_before, sent_before), (time_now, sent_now) = earlier, later
    gap = time_now - time_before if sent_before is None or sent_now is None else sent_now - sent_before
    return max(gap, 0.0)


def _emission(record: dict, where: str) -> tuple[Affect, float | None]:
    try:
        affect = Affect.from_record(record)
        sent = float(record["sent"]) if "sent" in record else None
        numbers = [affect.time, affect.valence, affect.arousal, affect.confidence, affect.level, *affect.tags.values()]
        arrays = [array.ravel() for array in (affect.heatmap, affect.covariance, affect.quadrants)]
        with np.errstate(over="ignore"):
            values = np.concatenate([numbers, [sent or 0.0], *arrays]).astype(np.float32)  # as they go out over OSC
        if not np.isfinite(values).all():
            raise ValueError("not finite")
        return affect, sent
    except KeyError as fault:
        raise InputError(f"{where}: the record lacks {fault}") from fault
    except (ValueError, TypeError, AttributeError, OverflowError) as fault:
        raise InputError(f"{where}: not a record that Valaro wrote") from fault
