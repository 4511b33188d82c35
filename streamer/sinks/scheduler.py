"""Pause, delay and interpolated output, between the session and the sinks."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from ..core.affect import INTERVAL, Affect
from ..core.controls import Controls
from ..core.protocols import Sink
from ..core.standstill import LONGEST_PAUSE
from ..errors import InputError
from .interpolation import blended

log = logging.getLogger(__name__)

SLOWEST, FASTEST = 1.0, 120.0  # Hz of interpolated output

_EARLY = 0.25  # s: what comes earlier than this is not jitter, but a stream at another pace
_CREEP = 0.005  # share of the time that an emission came early, by which the schedule moves forward
_MOST = 256  # emissions that wait at most: twice the longest offset and more
_LOOK = 0.05  # s that the thread sleeps at most before it checks whether the settings changed


class Timeline:
    """The schedule of the output, without thread or clock: ``now`` is any monotonic clock in seconds.

    Everything is delayed by ``offset`` s, which may change at any time; a change applies to what waits already.

    :meth:`due` gives the emissions as they are: each once, in order, ``offset`` after it was pushed (earlier only
    when more than 256 wait).

    :meth:`at` gives one emission for any moment: from the moment that emission k is scheduled for, the output moves
    to it within 0.5 s, so that it is one emission interval late. The schedule follows the emissions' own times, which
    removes the jitter of their arrival: one that is late delays the schedule by as much (the output holds still
    meanwhile), one that is early by up to 0.25 s waits for its time, and the schedule slowly moves forward again. One
    that is earlier still restarts the schedule, as a replay at another speed does all the time.

    >>> timeline = Timeline()
    >>> timeline.push(first, 10.0); timeline.push(second, 10.5)  # doctest: +SKIP
    >>> timeline.at(10.75)  # half way from the first to the second  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self.offset = 0.0
        self._waiting: deque[tuple[float, Affect]] = deque()  # when it was pushed
        self._coming: deque[tuple[float, Affect]] = deque(maxlen=_MOST)  # when the transition to it begins
        self._zero = -float("inf")  # when the stream's time 0 was, in the schedule
        self._latest_start = -float("inf")
        self._reached = -float("inf")
        self._start = self._span = 0.0  # of the current transition
        self._older: Affect | None = None
        self._newer: Affect | None = None

    @property
    def waiting(self) -> int:
        """How many emissions are not due yet."""
        return len(self._waiting)

    @property
    def next_due(self) -> float | None:
        """When :meth:`due` will have the next emission, if one waits."""
        return self._waiting[0][0] + self.offset if self._waiting else None

    def push(self, affect: Affect, now: float) -> None:
        """Take an emission that arrives now."""
        self._waiting.append((now, affect))
        early = self._zero + affect.time - now
        if 0.0 <= early <= _EARLY:
            self._zero -= _CREEP * early
        else:
            self._zero = now - affect.time
        self._latest_start = max(self._zero + affect.time, self._latest_start)
        self._coming.append((self._latest_start, affect))

    def due(self, now: float) -> list[Affect]:
        """Take out the emissions whose time has come, oldest first."""
        due = []
        while self._waiting and (self._waiting[0][0] + self.offset <= now or len(self._waiting) > _MOST):
            due.append(self._waiting.popleft()[1])
        return due

    def leave_out(self, now: float) -> int:
        """Leave out the emissions whose time has come; return how many there were."""
        return len(self.due(now))

    def at(self, now: float) -> Affect | None:
        """The output at this moment: None before the first emission, the last one for as long as no newer one comes.

        It never goes back: a longer offset holds it still until that has passed.
        """
        self._reached = max(self._reached, now - self.offset)
        while self._coming and self._coming[0][0] <= self._reached:
            start, affect = self._coming.popleft()
            # From the current output: for a stream at its own pace that is the previous emission.
            self._older, self._newer = self._blend_at(start), affect
            self._span = min(start - self._start, INTERVAL)
            self._start = start
        return self._blend_at(self._reached)

    def _blend_at(self, moment: float) -> Affect | None:
        if self._older is None or self._newer is None or self._span <= 0.0:
            return self._newer
        return blended(self._older, self._newer, (moment - self._start) / self._span)


class OutputScheduler:
    """A sink that passes emissions on to others, according to ``controls``.

    Parameters
    ----------
    sinks : each with the rate in Hz (1 to 120) at which it is sent interpolated output, or None for the emissions as
        they are. An interpolated one gets blends of the two last emissions, one emission interval (0.5 s) late; when
        no newer one comes, it goes on getting the last. Channels that are tracked separately are blended separately.
    controls : ``offset`` delays everything. While ``paused`` nothing goes out, and what was due in that time never
        does: the output resumes with the present. ``newest`` is set to each emission that comes.
    clock : monotonic, in seconds.

    Attributes
    ----------
    faults : how many times a sink raised.
    unsent : how many emissions were not due yet when it was closed.
    stale : how many waited while the program stood still until their time had passed: they are not sent.

    Raises
    ------
    InputError
        A rate is out of range.

    Notes
    -----
    With no offset an emission that is passed on as it is goes straight through, in the caller's thread. Delayed and
    interpolated output has a thread that begins when it is first needed. A sink is never called by both at once. One
    that raises is logged the first time, counted each time, and does not affect the others.
    """

    def __init__(
        self,
        sinks: Sequence[tuple[Sink, float | None]],
        controls: Controls,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.faults = 0
        self.unsent = 0
        self.stale = 0
        self._sinks = [sink for sink, _ in sinks]
        self._as_emitted = [sink for sink, rate in sinks if rate is None]
        self._rated: dict[float, list[Sink]] = {}
        for sink, rate in sinks:
            if rate is None:
                continue
            if not SLOWEST <= rate <= FASTEST:
                raise InputError(f"interpolated output goes at {SLOWEST:g} to {FASTEST:g} Hz, not {rate:g}")
            self._rated.setdefault(rate, []).append(sink)
        self._controls = controls
        self._clock = clock
        self._timelines: dict[int | None, Timeline] = {}  # by channel
        self._looked = clock()  # whether anything is due; every 50 ms while something waits
        self._some_wait = False
        self._lock = threading.Lock()  # of the timelines and the counts; never held while a sink is called
        self._passing = threading.Lock()  # of the order in which emissions are passed on
        self._reported: set[int] = set()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closed = False

    @property
    def not_due(self) -> int:
        """How many emissions wait for their time."""
        with self._lock:
            return sum(timeline.waiting for timeline in self._timelines.values()) if self._sinks else 0

    def send(self, affect: Affect) -> None:
        """Take one emission; what the sinks raise is counted and never raised here."""
        if self._closed:
            return
        self._controls.newest = affect
        with self._lock:
            self._timelines.setdefault(affect.channel, Timeline()).push(affect, self._clock())
        next_due = self._pass_on()
        if self._thread is None and (self._rated or next_due is not None):
            self._thread = threading.Thread(target=self._run, name="output scheduler", daemon=True)
            self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """End the thread, drop what is not due yet, and close the sinks; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.unsent = self.not_due
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001  the others still have to be closed
                self._fault(sink, error)

    def _run(self) -> None:
        now = self._clock()
        frames = dict.fromkeys(self._rated, now)  # when the next one of each rate is due
        while True:
            self._wake.clear()
            if self._closed:  # checked after clearing: otherwise what close() sets in between would be lost
                return
            next_due = self._pass_on()
            now = self._clock()
            for rate, sinks in self._rated.items():
                if frames[rate] <= now:
                    self._frame(sinks)
                    frames[rate] += 1.0 / rate
                    if frames[rate] <= now:  # the machine was busy: missed frames are not sent in a burst
                        frames[rate] = now + 1.0 / rate
            moments = [*frames.values()] if next_due is None else [*frames.values(), next_due]
            if not moments:
                self._wake.wait()
            elif (left := min(moments) - self._clock()) > 0.0:
                time.sleep(min(left, _LOOK))  # finer than an event's wait, which Windows rounds to 16 ms

    def _pass_on(self) -> float | None:
        """Send what is due to the sinks of emissions as they are, from either thread; return when more will be due."""
        with self._passing:
            with self._lock:
                now, due, moments = self._clock(), [], []
                self._leave_out_stale(now)
                for timeline in self._timelines.values():
                    timeline.offset = self._controls.offset
                    due += timeline.due(now)
                    if timeline.next_due is not None:
                        moments.append(timeline.next_due)
                self._looked, self._some_wait = now, bool(moments)
            for affect in due:
                self._deliver(affect, self._as_emitted)
        return min(moments, default=None)

    def _leave_out_stale(self, now: float) -> None:
        """After a standstill of the program: what was due meanwhile is of no use, and would come all at once."""
        if self._some_wait and now - self._looked > LONGEST_PAUSE:
            # Those of the present came just now, and wait for as long as the offset is.
            self.stale += sum(timeline.leave_out(now) for timeline in self._timelines.values())

    def _frame(self, sinks: Sequence[Sink]) -> None:
        affects = []
        with self._lock:
            now = self._clock()
            for timeline in self._timelines.values():
                timeline.offset = self._controls.offset
                affects.append(timeline.at(now))
        for affect in affects:
            if affect is not None:
                self._deliver(affect, sinks)

    def _deliver(self, affect: Affect, sinks: Sequence[Sink]) -> None:
        if self._controls.paused:
            return
        for sink in sinks:
            try:
                sink.send(affect)
            except Exception as error:  # noqa: BLE001  a sink may be any code, and the session goes on
                self._fault(sink, error)

    def _fault(self, sink: Sink, error: Exception) -> None:
        with self._lock:
            self.faults += 1
            reported = id(sink) in self._reported
            self._reported.add(id(sink))
        if not reported:
            reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
            log.warning("sink %s: %s (told once, counted from here on)", type(sink).__name__, reason)
