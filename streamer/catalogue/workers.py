"""Processes that analyse files side by side, one file each at a time; one that dies takes only its own file along.

Each has a pipe of its own: so it is known which file a process was at when it crashed, and where this process ends, in
whatever way, the others see the end of their pipes between two blocks of sound, clean up and end too. Signals are left
to this process alone, for Ctrl-C and a service's stop reach all of them at once.
"""

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from ..errors import ValaroError
from .analysis import Done, FileAnalyzer, Plan, Task
from .writers import part

_PATIENCE = 5.0  # s for a process to end by itself: a plot takes a second
# The processes share out the cores; a library's threads on top would only take turns with them.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def in_parallel(
    plan: Plan, tasks: Sequence[Task], processes: int, ahead: int | None = None
) -> Generator[tuple[Task, Done], None, None]:
    """Do the tasks, which all have an ``into``, in so many processes; each as it is done.

    ``ahead``: how many tasks may be begun from the oldest one on that is not done; None: any number. When this ends
    early, all processes end, what they were at leaves nothing, and what was done stays.

    A process that crashes is said in the :class:`Done` of its file, and another takes its place. Raises ValaroError
    when none comes up.
    """
    crew = _WorkerPool(plan)
    try:
        yield from crew.run(deque(tasks), processes, ahead)
    finally:
        crew.end()


@dataclass(eq=False, slots=True)
class _Worker:
    pipe: Connection
    process: SpawnProcess
    ready: bool = False  # for a task
    task: Task | None = None


class _WorkerPool:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._members: list[_Worker] = []
        self._words = ""  # of one that could not begin

    def run(self, left: deque[Task], processes: int, ahead: int | None) -> Iterator[tuple[Task, Done]]:
        for _ in range(min(processes, len(left))):
            self._spawn()
        while left or any(member.task for member in self._members):
            if not self._members:
                raise ValaroError(f"no process for the analysis comes up{self._words}: try --jobs 1")
            for pipe in wait([member.pipe for member in self._members]):
                member = next(each for each in self._members if each.pipe is pipe)
                task = member.task
                done = self._receive(member)
                if task is not None and not member.ready and left:
                    self._spawn()
                self._hand_out(left, ahead)
                if task is not None:
                    yield task, done

    def end(self) -> None:
        """Have all end at once."""
        for member in self._members:
            member.pipe.close()
        deadline = time.monotonic() + _PATIENCE
        for member in self._members:
            _reap(member, deadline)
        self._members.clear()

    def _spawn(self) -> None:
        context = get_context("spawn")  # the same on every platform, and a forked child of threads may hang
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._plan), name="valaro analysis", daemon=True)
        before = {name: os.environ.get(name) for name in _ONE_THREAD}
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        try:
            process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        theirs.close()  # or its end would not be seen
        self._members.append(_Worker(ours, process))

    def _receive(self, member: _Worker) -> Done:
        """What it says: that it is ready, how it went, why it cannot begin, or, without a word, that it is gone."""
        task, member.task = member.task, None
        member.ready = False
        try:
            said = member.pipe.recv()
        except (EOFError, OSError):
            self._members.remove(member)
            member.task = task
            _reap(member, time.monotonic() + _PATIENCE)
            return Done() if task is None else _crashed(task, member.process.exitcode)
        if isinstance(said, str):
            self._words = f" ({said})"
            return Done()
        member.ready = True
        return said

    def _hand_out(self, left: deque[Task], ahead: int | None) -> None:
        for member in self._members:
            if not left:
                return
            oldest = min((each.task.number for each in self._members if each.task), default=left[0].number)
            if member.ready and (ahead is None or left[0].number < oldest + ahead):
                member.ready, member.task = False, left.popleft()
                with suppress(OSError):  # it died meanwhile: its pipe tells
                    member.pipe.send(member.task)


def _reap(member: _Worker, deadline: float) -> None:
    """Wait until a process is gone, or end it; what it had half written goes too."""
    member.pipe.close()
    member.process.join(max(0.0, deadline - time.monotonic()))
    if member.process.is_alive():
        member.process.kill()
        member.process.join()
    for path in member.task.outputs if member.task is not None else ():
        with suppress(OSError):
            part(path, member.process.pid or 0).unlink()


def _crashed(task: Task, code: int | None) -> Done:
    if code == -getattr(signal, "SIGKILL", 9):
        why = "was killed, perhaps because the memory was full"
    else:
        why = f"crashed ({signal.Signals(-code).name if code is not None and code < 0 else f'code {code}'})"
    return Done(fault=f"{task.path}: the process that analysed it {why}; the others go on", exit_code=1)


class _Notices(logging.Handler):
    """Keeps the log's lines for the process that tells them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def work(pipe: Connection, plan: Plan) -> None:
    """The whole life of one of the processes: says None when it is ready, and a :class:`Done` for each :class:`Task`.

    Says a text when it cannot begin. Ends when the other end of the pipe is closed.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has not all
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    notices = _Notices()
    logger = logging.getLogger("valaro")
    logger.addHandler(notices)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    with suppress(EOFError, OSError):
        try:
            analyst = FileAnalyzer(plan)
        except Exception as fault:  # noqa: BLE001  whatever it is, the other process tells it
            pipe.send(f"{type(fault).__name__}: {fault}")
            return
        notices.lines.clear()  # what there is to tell of the plan was told already
        pipe.send(None)
        while True:
            done = analyst.do(pipe.recv(), between=lambda: _end_if_closed(pipe))
            pipe.send(done._replace(notices=tuple(notices.lines)))
            notices.lines.clear()


def _end_if_closed(pipe: Connection) -> None:
    try:
        closed = pipe.poll()  # nothing else is said while it works
    except OSError:
        closed = True
    if closed:
        raise SystemExit
