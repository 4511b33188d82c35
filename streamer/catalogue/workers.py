"""A pool of processes that analyse files in parallel, one file each at a time; a crash loses only its own file.

Each worker has a pipe of its own: so it is known which file a worker was at when it crashed, and when this process
ends, in whatever way, the workers see their pipes closed between two blocks of sound, clean up and end too. Only this
process handles signals, since Ctrl-C and a service's stop reach all of them at once.
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

from .._util.stderr import libraries_silenced
from ..errors import ValaroError
from .analysis import FileAnalyzer, FileResult, Plan, Task
from .writers import partial_path

_EXIT_TIMEOUT = 5.0  # s for a process to end by itself: a plot takes a second
# The processes use all cores; a library's own threads would only compete with them.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def in_parallel(
    plan: Plan, tasks: Sequence[Task], processes: int, ahead: int | None = None
) -> Generator[tuple[Task, FileResult], None, None]:
    """Run tasks in several processes, and give each result as it is done.

    When this ends early, all processes end; finished files stay, and unfinished ones are removed. A crash of a process
    is the fault in the :class:`FileResult` of its file, and another process takes its place.

    Parameters
    ----------
    plan : for all tasks.
    tasks : each with an ``output``.
    processes : how many.
    ahead : how many tasks may be started, counted from the oldest unfinished one; None: any number.

    Raises
    ------
    ValaroError
        No process starts.
    """
    pool = _WorkerPool(plan)
    try:
        yield from pool.run(deque(tasks), processes, ahead)
    finally:
        pool.close()


@dataclass(eq=False, slots=True)
class _Worker:
    pipe: Connection
    process: SpawnProcess
    ready: bool = False  # for a task
    task: Task | None = None


class _WorkerPool:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._workers: list[_Worker] = []
        self._start_fault = ""  # of a worker that could not start

    def run(self, pending: deque[Task], processes: int, ahead: int | None) -> Iterator[tuple[Task, FileResult]]:
        for _ in range(min(processes, len(pending))):
            self._spawn()
        while pending or any(worker.task for worker in self._workers):
            if not self._workers:
                raise ValaroError(f"no process for the analysis comes up{self._start_fault}: try --jobs 1")
            for pipe in wait([worker.pipe for worker in self._workers]):
                worker = next(candidate for candidate in self._workers if candidate.pipe is pipe)
                task = worker.task
                result = self._receive(worker)
                if task is not None and not worker.ready and pending:
                    self._spawn()
                self._hand_out(pending, ahead)
                if task is not None:
                    yield task, result

    def close(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.pipe.close()
        deadline = time.monotonic() + _EXIT_TIMEOUT
        for worker in self._workers:
            _reap(worker, deadline)
        self._workers.clear()

    def _spawn(self) -> None:
        context = get_context("spawn")  # the same on every platform, and a forked child of threads may hang
        ours, theirs = context.Pipe()
        process = context.Process(target=worker_main, args=(theirs, self._plan), name="valaro analysis", daemon=True)
        before = {name: os.environ.get(name) for name in _ONE_THREAD}
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        try:
            process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        theirs.close()  # or the end of the process would not be seen
        self._workers.append(_Worker(ours, process))

    def _receive(self, worker: _Worker) -> FileResult:
        """Take a worker's message: ready, a result, or why it cannot start; the end of its pipe is a crash."""
        task, worker.task = worker.task, None
        worker.ready = False
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._workers.remove(worker)
            worker.task = task
            _reap(worker, time.monotonic() + _EXIT_TIMEOUT)
            return FileResult() if task is None else _crashed(task, worker.process.exitcode)
        if isinstance(message, str):
            self._start_fault = f" ({message})"
            return FileResult()
        worker.ready = True
        return message

    def _hand_out(self, pending: deque[Task], ahead: int | None) -> None:
        for worker in self._workers:
            if not pending:
                return
            oldest = min((busy.task.number for busy in self._workers if busy.task), default=pending[0].number)
            if worker.ready and (ahead is None or pending[0].number < oldest + ahead):
                worker.ready, worker.task = False, pending.popleft()
                with suppress(OSError):  # it crashed meanwhile: its closed pipe shows it
                    worker.pipe.send(worker.task)


def _reap(worker: _Worker, deadline: float) -> None:
    """Wait until a worker has ended, or kill it; its partial files are removed."""
    worker.pipe.close()
    worker.process.join(max(0.0, deadline - time.monotonic()))
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    for path in worker.task.outputs if worker.task is not None else ():
        with suppress(OSError):
            partial_path(path, worker.process.pid or 0).unlink()


def _crashed(task: Task, code: int | None) -> FileResult:
    if code == -getattr(signal, "SIGKILL", 9):
        why = "was killed, perhaps because the memory was full"
    else:
        why = f"crashed ({signal.Signals(-code).name if code is not None and code < 0 else f'code {code}'})"
    return FileResult(fault=f"{task.path}: the process that analysed it {why}; the others go on", exit_code=1)


class _Notices(logging.Handler):
    """Collects the log's lines for the main process to print."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def worker_main(pipe: Connection, plan: Plan) -> None:
    """Run one worker: send None when ready, then a :class:`FileResult` for each :class:`Task`.

    Sends a text when it cannot start. Ends when the other end of the pipe is closed.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has not all
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    notices = _Notices()
    logger = logging.getLogger("valaro")
    logger.addHandler(notices)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    with suppress(EOFError, OSError), libraries_silenced():
        try:
            analyzer = FileAnalyzer(plan)
        except Exception as fault:  # noqa: BLE001  whatever it is, the main process reports it
            pipe.send(f"{type(fault).__name__}: {fault}")
            return
        notices.lines.clear()  # the main process has printed those of the plan already
        pipe.send(None)
        while True:
            result = analyzer.analyze(pipe.recv(), between=lambda: _end_if_closed(pipe))
            pipe.send(result._replace(notices=tuple(notices.lines)))
            notices.lines.clear()


def _end_if_closed(pipe: Connection) -> None:
    try:
        closed = pipe.poll()  # nothing is sent while it works
    except OSError:
        closed = True
    if closed:
        raise SystemExit
