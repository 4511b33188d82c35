"""The running chain: a source fills a ring from its own thread, the session empties it into engine and sinks."""

import copy
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from ..errors import DeviceError, ValaroError
from .affect import Affect
from .protocols import EngineLike, Sink, Source
from .ring import Ring
from .standstill import Standstill

log = logging.getLogger(__name__)

LOOK = 0.05  # s that the session sleeps at most before it checks whether to stop
BITE = 0.1  # s of sound that it gives to the engine at most before it checks


@dataclass(frozen=True, slots=True)
class Counters:
    """What a session did up to one moment, all since its start.

    Parameters
    ----------
    frames : that went to the engine.
    dropped : frames that were lost because the engine was behind, or the whole program stood still.
    flags : faults that the device reported.
    bad_samples : that were NaN or infinite.
    emissions : that were made.
    sink_faults : how many times a sink failed.
    losses : how many times the input went away.
    filled : how many of ``frames`` are the silence that replaced it.
    bad_emissions : that held numbers that were none; such a number went nowhere.
    """

    frames: int
    dropped: int
    flags: int
    bad_samples: int
    emissions: int
    sink_faults: int
    losses: int = 0
    filled: int = 0
    bad_emissions: int = 0


class Session:
    """Runs ``source`` through ``engine`` to ``sinks``, once: :meth:`run` here and now, or :meth:`start` in a thread.

    However it ends (the source's end, :meth:`stop`, a signal, an error), the source is stopped and every sink closed;
    the engine is finished when the source ended by itself. A sink that raises is logged the first time, counted each
    time, and does not affect the others. As a context manager it runs in a thread:

    >>> with Session(source, engine, sinks) as session:  # doctest: +SKIP
    ...     session.wait()
    """

    def __init__(self, source: Source, engine: EngineLike, sinks: Sequence[Sink], *, ring_seconds: float = 2.0) -> None:
        """Prepare the session; ``ring_seconds`` the engine may fall behind a live source before frames are dropped."""
        self._source = source
        self._engine = engine
        self._sinks = tuple(sinks)
        self._ring = Ring(max(1, round(ring_seconds * source.rate)), source.channels)
        self._bite = max(1, round(BITE * source.rate))
        self._stopping = False
        self._begun = False
        self._closed = False
        self._emissions = 0
        self._sink_faults = 0
        self._bad_emissions = 0
        self._discarded = self._missed = 0  # frames: not given to the engine, and never offered
        self._offered = 0  # frames, at the last look
        self._reported: set[int] = set()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def counters(self) -> Counters:
        """A snapshot; may be read from any thread, at any time."""
        return Counters(
            frames=self._ring.taken - self._discarded,
            dropped=self._ring.dropped + self._discarded + self._missed,
            flags=self._source.flags,
            bad_samples=self._engine.bad_samples,
            emissions=self._emissions,
            sink_faults=self._sink_faults,
            losses=self._source.losses,
            filled=self._source.filled,
            bad_emissions=self._bad_emissions,
        )

    def run(self) -> None:
        """Run until the source is finished or :meth:`stop`; everything is closed when it returns or raises.

        Raises
        ------
        DeviceError
            The source failed later than at its start; or the source's own ValaroError. What it raises at its start, and
            what the engine raises, is passed on.
        """
        self._open()
        self._work()

    def start(self) -> None:
        """Open the source here, which may raise, and run in a thread. :meth:`close` ends it."""
        self._open()
        self._thread = threading.Thread(target=self._work_in_thread, name="session", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the session to end; returns at once. Safe from any thread and from a signal handler."""
        self._stopping = True  # a plain flag: an event's lock may be held by the very code that a signal interrupts

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a started session to end by itself, at most ``timeout`` seconds; return whether it has."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._closed

    def close(self) -> None:
        """Stop, wait, and raise what ended a started session too early; may be called twice, and before the start."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
        self._shut_down()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self.close()
        except Exception:
            if error is None:  # the error that is already being raised is the first cause
                raise

    def _open(self) -> None:
        if self._begun:
            raise RuntimeError("a session runs once: create another")
        self._begun = True
        # A device cannot offer its sound again; anything else waits for space, so that nothing of it is lost.
        write = self._ring.write_or_drop if self._source.live else self._ring.write
        try:
            self._engine.warm_up()  # before the source opens, or the first sound would wait in the ring for it
            if not self._stopping:
                self._source.start(write)
        except BaseException:
            self._shut_down()
            raise

    def _work(self) -> None:
        try:
            if self._pump():
                self._deliver(self._engine.finish())
                wait_until_sent(self._sinks, lambda: self._stopping)
        finally:
            self._shut_down()

    def _work_in_thread(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  kept for close(), which raises it in the owner's thread
            self._error = error

    def _pump(self) -> bool:
        """Feed the engine until the source ends by itself (True) or the session is stopped (False)."""
        standstill = Standstill()
        while not self._stopping:
            self._resume_in_the_present(standstill)
            ended = self._source.finished  # asked before reading: what it wrote last is then in the ring
            block = self._ring.read(self._bite)
            if len(block):
                self._deliver(self._engine.push(block))
            elif ended:
                self._raise_failure()
                return True
            else:
                self._ring.wait(LOOK)
        return False

    def _resume_in_the_present(self, standstill: Standstill) -> None:
        """After a standstill of the program leave out what the ring holds of before, and count what was not heard.

        An engine that is slow is no standstill: the source goes on meanwhile, and what it offers is in the ring.
        """
        before, self._offered = self._offered, self._ring.written + self._ring.dropped
        if not self._source.live:
            return  # what cannot be missed waits
        missed = standstill.seconds((self._offered - before) / self._source.rate)
        if missed:
            self._missed += round(missed * self._source.rate)
            self._discarded += self._ring.discard()
            log.warning("%s: %.1f s were not heard: this program stood still", self._source.name, missed)

    def _raise_failure(self) -> None:
        failure = self._source.failure
        if isinstance(failure, ValaroError):
            # A copy: the source keeps its own, whose traceback would keep the engine alive as long as the source.
            raise copy.copy(failure) from failure
        if failure is not None:
            raise DeviceError(f"{self._source.name}: failed ({_one_line(failure)})") from failure

    def _deliver(self, affects: list[Affect]) -> None:
        if self._source.lost:
            affects = [replace(affect, activity="lost") for affect in affects]
        for made in affects:
            affect = made.finite()  # whoever made it: no sink has to look
            self._emissions += 1
            self._bad_emissions += affect is not made
            for sink in self._sinks:
                try:
                    sink.send(affect)
                except Exception as error:  # noqa: BLE001  a sink may be any code, and the session goes on
                    self._fault(sink, error)

    def _fault(self, sink: Sink, error: Exception) -> None:
        self._sink_faults += 1
        if id(sink) not in self._reported:
            self._reported.add(id(sink))
            log.warning("sink %s: %s (told once, counted from here on)", type(sink).__name__, _one_line(error))

    def _shut_down(self) -> None:
        if self._closed:
            return
        try:
            self._source.stop()
        except Exception as error:  # noqa: BLE001  the sinks still have to be closed
            log.warning("source %s does not stop: %s", self._source.name, _one_line(error))
        finally:
            for sink in self._sinks:
                try:
                    sink.close()
                except Exception as error:  # noqa: BLE001  the other sinks still have to be closed
                    self._fault(sink, error)
            self._closed = True


def wait_until_sent(sinks: Sequence[Sink], stopped: Callable[[], bool]) -> None:
    """At the end of what was sent wait for sinks that send it later, such as with an offset, unless ``stopped``."""
    while not stopped() and any(getattr(sink, "not_due", 0) for sink in sinks):
        time.sleep(LOOK)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
