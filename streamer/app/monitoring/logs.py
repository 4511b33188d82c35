"""A log for months without a hand: one line an event for people or machines, repeats held back, a sign of life."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from ..._util.process import resident_bytes
from ...core.affect import Affect
from ...core.session import Counters

log = logging.getLogger(__name__)

FORMS = ("text", "json")
HOUR = 3600.0

_WINDOW = 60.0  # s in which the same is told once
_DIFFERENT = 5  # lines of one template in that time, when they differ: two outputs may fail at once, a hundred not
_TEMPLATES = 256  # that are remembered
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object: ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``, and what ``extra`` added."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, ASCII only."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        added = {key: value for key, value in vars(record).items() if key not in _OWN}
        return json.dumps(added | line, default=str)


@dataclass(slots=True)
class _Told:
    since: float
    lines: set[str]
    held: int = 0


@dataclass(slots=True)
class Repeats:
    """Holds back what was told within the last minute; for one thread at a time, as a logging handler's ``emit`` is.

    Of one template (the message before its arguments are put in) five different lines a minute are let through, each
    once; the first of the next minute says how many were not.

    >>> repeats, again = Repeats(), logging.makeLogRecord({"msg": "%s is gone", "args": ("it",)})
    >>> [repeats.words(again), repeats.words(again)]
    ['it is gone', '']
    """

    clock: Callable[[], float] = time.monotonic
    _told: dict[tuple[str, str], _Told] = field(default_factory=dict)

    def words(self, record: logging.LogRecord) -> str:
        """What to say of it, in one line; "" when it is one too many."""
        words = " ".join(record.getMessage().split())
        now, key = self.clock(), (record.name, str(record.msg))
        told = self._told.get(key)
        if told is not None and now - told.since < _WINDOW:
            if words in told.lines or len(told.lines) >= _DIFFERENT:
                told.held += 1
                return ""
            told.lines.add(words)
            return words
        self._told.pop(key, None)  # the newest goes to the end
        self._told[key] = _Told(now, {words})
        if len(self._told) > _TEMPLATES:
            del self._told[next(iter(self._told))]
        if told is None or not told.held:
            return words
        return f"{words} ({told.held} more in the last {max(1, round((now - told.since) / 60))} min)"


class Heartbeat:
    """A sink that logs the session's numbers once an hour, so that a journal shows that it ran, and how.

    ``counters`` and ``faults`` (times each kind of output failed) are asked then. The numbers are fields of the
    record too: those of ``core.session.Counters``, ``uptime_seconds``, ``resident_bytes`` and ``faults``.
    """

    def __init__(
        self,
        counters: Callable[[], Counters | None],
        faults: Callable[[], dict[str, int]] = dict,
        every: float = HOUR,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._faults = faults
        self._every = every
        self._clock = clock
        self._began = clock()
        self._due = self._began + every

    def send(self, affect: Affect) -> None:
        """Look whether an hour is over."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + self._every
        counters, resident = self._counters(), resident_bytes()
        numbers = {} if counters is None else asdict(counters)
        faults = {kind: count for kind, count in self._faults().items() if count}
        words = [f"{name.replace('_', ' ')} {value:.10g}" for name, value in numbers.items()]
        words += [f"{kind} faults {count}" for kind, count in faults.items()]
        words += [] if resident is None else [f"{resident / 1e6:.0f} MB resident"]
        hours = (now - self._began) / HOUR
        fields = numbers | {
            "uptime_seconds": round(now - self._began, 1),
            "resident_bytes": resident,
            "faults": faults,
        }
        log.info("alive for %.4g h, %s: %s", hours, affect.activity, ", ".join(words), extra=fields)

    def close(self) -> None:
        """Nothing to release."""
