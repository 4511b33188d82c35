"""Sends a recording to the sinks again, at its original pace."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError
from .affect import INTERVAL, Affect
from .protocols import Sink
from .session import wait_until_sent

log = logging.getLogger(__name__)

_LONGEST_LINE = 1 << 20  # bytes: a record takes some 3,000
_MOST_BEHIND = 1.0  # s: after a longer stop it goes on from there, without a burst of what was missed
_LONGEST_SEARCH = 64 << 20  # bytes in which the end of a longer line is looked for
_LONGEST_GAP = 86_400.0  # s from one record to the next: nobody waits for what comes later
_MOST_TOLD = 10  # bad lines that are logged
_TOLERANCE = 1e-3  # of sums and ranges: other programs round


class Replay:
    """A recording (or ``valaro analyze --format jsonl``'s output) as emissions, at the pace at which they were made.

    The pace is that of the records' ``sent``, which includes the pauses of the session, or of their ``time`` where they
    have none. Iterating yields the emissions once, without waiting. Ratings are skipped. The file is read as it plays,
    so that a recording of months needs no memory.

    Each record is held to what an engine emits: finite numbers in their ranges, heatmap and quadrants that sum to 1, a
    time that goes on, or begins again. A line that is no such record (one that was cut off by a crash, or scribbled
    over) is passed over and counted; the first ten are logged with their numbers.

    Parameters
    ----------
    path : the recording.
    speed : above 0; 2.0 plays twice as fast.
    loop : begin again after the end, one emission interval later, until stopped.

    Attributes
    ----------
    sent : how many emissions :meth:`run` has sent so far.
    passed_over : how many lines of the file, as far as it was read, are no records.

    Raises
    ------
    InputError
        A missing or empty file, one without any record, a speed that is not above zero.
    """

    def __init__(self, path: Path | str, speed: float = 1.0, *, loop: bool = False) -> None:
        self.path = Path(path)
        if not 0.0 < speed < float("inf"):
            raise InputError(f"a replay's speed must be above zero, not {speed}")
        self._speed = speed
        self._loop = loop
        self.sent = 0
        self.passed_over = 0
        self._number = 0  # of the line that was read last
        self._read = 0  # the last bad line that was counted, in any round of a loop
        self._stopped = False
        if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):  # reading it might block for ever
            raise InputError(f"{self.path} cannot be read: a device or pipe, no recording")
        bad: list[InputError] = []
        if next(self._records(bad.append), None) is None:  # a wrong file is refused before anything starts
            raise bad[0] if bad else self._empty()

    def __iter__(self) -> Iterator[Affect]:
        return (affect for affect, _ in self._records(self._pass_over))

    def run(self, sinks: Iterable[Sink]) -> int:
        """Send every emission to ``sinks`` when it is due, until the end or ``stop``; return how many were sent."""
        sinks = list(sinks)
        due = time.monotonic()
        self.sent = 0
        while True:
            before = self.sent
            previous: tuple[float, float | None] | None = None
            for affect, sent in self._records(self._pass_over):
                moment = affect.time, sent
                due += 0.0 if previous is None else _gap(previous, moment) / self._speed
                now = time.monotonic()
                due = now if due < now - _MOST_BEHIND else due
                previous = moment
                if not self._wait_until(due):
                    return self.sent
                for sink in sinks:
                    sink.send(affect)
                self.sent += 1
            if not self._loop:
                wait_until_sent(sinks, lambda: self._stopped)
                return self.sent
            if self.sent == before:  # somebody emptied it meanwhile
                raise self._empty()
            due += INTERVAL / self._speed

    def stop(self) -> None:
        """End :meth:`run` within a tenth of a second, from any thread or signal handler."""
        self._stopped = True

    def _records(self, bad: Callable[[InputError], None]) -> Iterator[tuple[Affect, float | None]]:
        """Each emission, and when it was sent; ``bad`` is called for each other line."""
        before: dict[int | None, tuple[float, float | None]] = {}  # by channel
        try:
            with self.path.open("rb") as lines:
                for number, line in enumerate(_lines(lines), 1):
                    self._number = number
                    if not line.strip():
                        continue
                    try:
                        record = _parsed(line, f"{self.path}, line {number}")
                        if isinstance(record, dict) and "rating" in record:
                            continue
                        affect, sent = _emission(record, f"{self.path}, line {number}")
                        moment = affect.time, sent
                        if not _follows(before.get(affect.channel), moment):
                            raise InputError(f"{self.path}, line {number}: its time does not follow the line before")
                    except InputError as fault:
                        bad(fault)
                        before.clear()  # behind it another session may have begun at any time
                        continue
                    before[affect.channel] = moment
                    yield affect, sent
        except OSError as fault:
            reason = (fault.strerror or type(fault).__name__).lower()
            raise InputError(f"{self.path} cannot be read: {reason}") from fault

    def _pass_over(self, fault: InputError) -> None:
        """Count a bad line, in the first round of a loop."""
        if self._number <= self._read:
            return
        self._read = self._number
        self.passed_over += 1
        if self.passed_over <= _MOST_TOLD:
            last = " (further ones are counted)" if self.passed_over == _MOST_TOLD else ""
            log.warning("%s: passed over%s", fault, last)

    def _wait_until(self, due: float) -> bool:
        """Sleep until ``due``; False once stopped. In slices: an Event may deadlock when a signal handler sets it."""
        while not self._stopped and (left := due - time.monotonic()) > 0.0:
            time.sleep(min(left, 0.1))
        return not self._stopped

    def _empty(self) -> InputError:
        return InputError(f"{self.path} holds no emission: record one with `valaro listen --record FILE`")


def _gap(earlier: tuple[float, float | None], later: tuple[float, float | None]) -> float:
    """Seconds from one (time, sent) to the next; 0 where another recording begins, whose time starts at 0 again."""
    (time_before, sent_before), (time_now, sent_now) = earlier, later
    gap = time_now - time_before if sent_before is None or sent_now is None else sent_now - sent_before
    return max(gap, 0.0)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines, of which those that are too long are cut; where such a one has no end, they are over."""
    while line := file.readline(_LONGEST_LINE):
        yield line
        skipped = 0
        rest = line
        while rest and not rest.endswith(b"\n") and len(rest) == _LONGEST_LINE:
            rest = file.readline(_LONGEST_LINE)
            skipped += len(rest)
            if skipped > _LONGEST_SEARCH:
                return


def _parsed(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise InputError(f"{where}: not a record that Valaro wrote") from fault


def _follows(before: tuple[float, float | None] | None, now: tuple[float, float | None]) -> bool:
    """Whether a record of this time may come next: later, but not in days, or the beginning of another session."""
    if before is None or now[0] < before[0]:
        return True
    if now[0] == before[0]:
        return now[0] <= INTERVAL
    return _gap(before, now) <= _LONGEST_GAP


def _emission(record: dict, where: str) -> tuple[Affect, float | None]:
    try:
        affect = Affect.from_record(record)
        sent = float(record["sent"]) if "sent" in record else None
        _check(affect, 0.0 if sent is None else sent)
        return affect, sent
    except KeyError as fault:
        raise InputError(f"{where}: the record lacks {fault}") from fault
    except (ValueError, TypeError, AttributeError, OverflowError) as fault:
        raise InputError(f"{where}: not a record that Valaro wrote") from fault


def _check(affect: Affect, sent: float) -> None:
    """ValueError, unless an engine may have emitted it."""
    numbers = np.array([affect.time, sent, *affect.tags.values()])
    with np.errstate(over="ignore"):
        if not np.isfinite(numbers.astype(np.float32)).all() or min(affect.time, sent) < 0.0:  # as they go out over OSC
            raise ValueError("not finite")
    covariance = affect.covariance
    right = (
        all(abs(value) <= 1.0 + _TOLERANCE for value in (affect.valence, affect.arousal)),
        all(-_TOLERANCE <= value <= 1.0 + _TOLERANCE for value in (affect.confidence, affect.level)),
        all(
            bool(part.min() >= 0.0) and abs(part.sum() - 1.0) <= _TOLERANCE
            for part in (affect.heatmap, affect.quadrants)
        ),
        bool(np.abs(covariance).max() <= 1.0 + _TOLERANCE),
        bool(min(covariance[0, 0], covariance[1, 1]) >= 0.0),
        abs(covariance[0, 1] - covariance[1, 0]) <= _TOLERANCE,
    )
    if not all(right):  # NaN is in none of these ranges
        raise ValueError("out of range")
