"""Work on several processors: a task each, in processes of their own."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from ..errors import DataError

# A training's part takes some 3 GB: more than eight at once are more memory than gain.
PROCESSES = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)

Task = TypeVar("Task")
Result = TypeVar("Result")


def quietly(line: str) -> None:
    """Says nothing: what a process of its own has to say, nobody would know the place of."""


def side_by_side(work: Callable[[Task], Result], tasks: Sequence[Task], processes: int = PROCESSES) -> Iterator[Result]:
    """``work(task)`` of each task, in the order of the tasks, ``processes`` of them at a time.

    ``work`` must be importable in another process (a function of a module, or a partial of one), what goes in and comes
    out picklable. One task, or one processor, is worked on in this process. Raises what ``work`` raises, and DataError
    if a process dies.
    """
    if len(tasks) < 2 or processes < 2:
        yield from map(work, tasks)
        return
    # spawn: the same on every platform, and a forked child of a process with threads may hang.
    with ProcessPoolExecutor(min(processes, len(tasks)), get_context("spawn")) as pool:
        try:
            yield from pool.map(work, tasks)
        except BrokenProcessPool as error:
            raise DataError("a process died (out of memory?): try again with less running beside it") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
