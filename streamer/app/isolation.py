"""Other packages' sinks, held at arm's length: whatever they do, emissions go on and stay on time."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.affect import Affect
from ..core.protocols import Sink
from ..errors import InputError, PluginError
from . import plugins
from .plugins import Plugin, words

if TYPE_CHECKING:
    from ..core.controls import Controls
    from ..osc.receiver import Status
    from .settings import Settings

log = logging.getLogger(__name__)

LOADING = 3.0  # s that a sink's import may hold up the start; one that takes longer joins the show when it is ready
MOST_WAITING = 64  # emissions that wait for a slow sink; then the oldest are passed over
CLOSING = 2.0  # s that it may take to end
_BLOCKED = 2.0  # s in one ``send`` after which the foot says so


@dataclass(frozen=True, slots=True)
class Running:
    """A running session, as a plugin may see and steer it.

    ``controls`` may be set at any time, from any thread. ``status`` gives the session's numbers now, ``lines`` what
    the foot of the picture says; ``stop`` asks the session to end, and returns at once.
    """

    settings: "Settings"
    controls: "Controls"
    status: "Callable[[], Status]"
    lines: Callable[[], list[str]]
    stop: Callable[[], None]


class IsolatedSink:
    """A plugin's sink in a thread of its own, where it is loaded, made, given emissions and closed.

    ``faults`` counts what it raised, the first of a row of which is logged; ``skipped`` the emissions that it never
    took, because it was not ready, was too slow, or is stuck. Nothing here waits for it but
    :meth:`await_ready` and :meth:`close`, each for a bounded time.
    """

    def __init__(self, plugin: Plugin, table: Mapping[str, Any], value: str | None = None) -> None:
        self.name = plugin.name
        self.faults = 0
        self.skipped = 0
        self._plugin = plugin
        self._table = table
        self._value = value
        self._waiting: deque[Affect] = deque()
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._refusal: InputError | None = None  # raised by await_ready(), unless it came too late for that
        self._begun = False  # the show has
        self._failure = ""
        self._since: float | None = None  # when the ``send`` that is under way began
        self._failing = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def begin(self, running: Running) -> None:
        """Begin to load it; returns at once."""
        self._thread = threading.Thread(target=self._run, args=(running,), name=f"sink {self.name}", daemon=True)
        self._thread.start()

    def await_ready(self, seconds: float) -> None:
        """Return when it is ready, or has failed, or after so many seconds; then the show begins without it.

        Raises
        ------
        InputError
            It was told what it cannot mean.
        """
        self._ready.wait(seconds)
        with self._changed:
            self._begun = True
            if self._refusal is not None:
                raise self._refusal
        if not self._ready.is_set():
            log.warning("the sink %s is still loading after %g s: the show begins without it", self.name, LOADING)

    @property
    def state(self) -> str:
        """In a word or two, for the foot of the picture: ``loading``, ``ready``, ``stuck`` or ``failed: why``."""
        if self._failure:
            return f"failed: {self._failure}"
        if not self._ready.is_set():
            return "loading"
        since = self._since
        return "stuck" if since is not None and time.monotonic() - since > _BLOCKED else "ready"

    def send(self, affect: Affect) -> None:
        """Leave it for the thread; never waits."""
        with self._changed:
            if self._failure or self._closed:
                self.skipped += 1
                return
            self._waiting.append(affect)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self.skipped += 1
            self._changed.notify()

    def close(self) -> None:
        """Have it take what waits, and end; after 2 s it is left behind. May be called twice."""
        with self._changed:
            closed, self._closed = self._closed, True
            self._changed.notify()
        if closed or self._thread is None:
            return
        self._thread.join(CLOSING)
        if self._thread.is_alive():
            self.faults += 1
            log.warning("the sink %s does not end within %g s and is left behind", self.name, CLOSING)
        with self._changed:
            self.skipped += len(self._waiting) + (self._thread.is_alive() and self._since is not None)
            self._waiting.clear()

    def _run(self, running: Running) -> None:
        try:
            sink: Sink = plugins.make(self._plugin, self._table, self._value)
        except BaseException as fault:  # noqa: BLE001  it may be anyone's code, and the show goes on
            self._drop(fault)
            return
        try:
            if hasattr(sink, "attach"):
                sink.attach(running)  # type: ignore[attr-defined]  only some have it
        except BaseException as fault:  # noqa: BLE001  the same
            self._drop(fault)
        else:
            self._ready.set()
            while (affect := self._next()) is not None:
                self._pass_on(sink, affect)
        try:
            sink.close()
        except BaseException as fault:  # noqa: BLE001  the same
            self._fault(fault)

    def _drop(self, fault: BaseException) -> None:
        """It cannot be had: refused, if it was told so and the show has not begun; else the show goes on without it."""
        with self._changed:
            refused = isinstance(fault, InputError) and not self._begun
            self._refusal = fault if isinstance(fault, InputError) else None
        if not refused:
            self.faults += 1
            self._fail(str(fault) if isinstance(fault, (PluginError, InputError)) else words(fault))
        self._ready.set()

    def _next(self) -> Affect | None:
        """The oldest that waits; None when there will be no other."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting else None

    def _pass_on(self, sink: Sink, affect: Affect) -> None:
        self._since = time.monotonic()
        try:
            sink.send(affect)
            self._failing = False
        except BaseException as fault:  # noqa: BLE001  the same
            self._fault(fault)
        finally:
            self._since = None

    def _fault(self, fault: BaseException) -> None:
        self.faults += 1
        if not self._failing:
            log.warning("the sink %s: %s (told once, counted from here on)", self.name, words(fault))
        self._failing = True

    def _fail(self, why: str) -> None:
        log.warning("%s: the show goes on without the sink %s", why, self.name)
        with self._changed:
            self._failure = why
            self.skipped += len(self._waiting)
            self._waiting.clear()
        self._ready.set()


def begin_together(sinks: Sequence[IsolatedSink], running: Running) -> None:
    """Load several sinks side by side; returns when all are ready, or after 3 s.

    Raises
    ------
    InputError
        One was told what it cannot mean.
    """
    for sink in sinks:
        sink.begin(running)
    deadline = time.monotonic() + LOADING
    for sink in sinks:
        sink.await_ready(max(0.0, deadline - time.monotonic()))
