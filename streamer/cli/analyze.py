"""``valaro analyze``: files in, one record for each half second out, the very same numbers as live."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from .._util.stderr import libraries_silenced
from ..app.settings import DEFAULT_DECODER
from ..catalogue.analysis import Plan, Task
from ..catalogue.writers import OutputFormat, copy_text
from ..errors import ExitCode
from ._options import DecoderOption, ListenerOption, ModelOption

if TYPE_CHECKING:
    from ..catalogue.analysis import FileAnalyzer, FileResult
    from ..catalogue.discovery import DiscoveredFiles
    from ..catalogue.progress import Progress
    from ..catalogue.results import Named

AHEAD = 16  # files per process that may wait on disk for an earlier one to be done

SeparateOption = Annotated[
    bool,
    typer.Option("--separate", metavar="", help="Track each channel by itself; every record says which it is of."),
]


def analyze(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Sound files (WAV, FLAC, MP3, Ogg, Opus, AIFF ...), and folders, with all that are in them.",
        ),
    ],
    format: Annotated[  # noqa: A002  the option's name
        OutputFormat, typer.Option("--format", help="JSON lines, a table, or NumPy arrays (npz needs --output).")
    ] = OutputFormat.JSONL,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="One file each in this directory, instead of standard output.")
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", metavar="", help="Leave out what has its file in DIR already.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, help="Files at a time, each in a process; as many as processors."),
    ] = None,
    plot: Annotated[
        bool,
        typer.Option(
            "--plot", metavar="", help="Also draw a PNG of each file, in DIR or here. Needs the extra 'plot'."
        ),
    ] = False,
    separate: SeparateOption = False,
    model: ModelOption = None,
    decoder: DecoderOption = None,
    listener: ListenerOption = None,
) -> None:
    """Say of sound files what they feel like, every half second.

    A file that cannot be used is named on stderr, and the others go on. The exit code is 0 when all is done, 3 when
    some file or a part of one was lost, 2 when none could be used (1 for a failure). Of a folder the results are
    ordered in DIR as it is. Ctrl-C keeps the files that are done.
    """
    from ..app.console import Notices, compiling_told, notify
    from ..catalogue.analysis import FileAnalyzer
    from ..catalogue.discovery import discover
    from ..catalogue.results import name_results
    from ..errors import InputError, SinkError

    if format is OutputFormat.NPZ and output is None:
        raise InputError("--format npz writes files: say where with --output DIR")
    if skip_existing and output is None:
        raise InputError("--skip-existing is about the files in a directory: say where with --output DIR")
    if separate and (plot or listener):
        raise InputError(f"--separate has no {'--plot' if plot else '--listener'}: leave one of them out")
    if plot:
        from ..catalogue.plot import require_matplotlib

        require_matplotlib()
    plan = Plan(model, decoder or DEFAULT_DECODER, listener or "", format, plot, separate)
    with libraries_silenced(), Notices():
        with compiling_told():
            analyzer = FileAnalyzer(plan)
        if output is not None:
            try:
                output.mkdir(parents=True, exist_ok=True)
            except OSError as fault:
                raise SinkError(f"{output} cannot be made: {(fault.strerror or str(fault)).lower()}") from fault
        discovered = discover(paths)
        suffixes = [f".{format}"] * (output is not None) + [".png"] * plot
        named = name_results(discovered.files, output, suffixes)
        tasks = [_task(number, file, plan, output) for number, file in enumerate(named)]
        for line in _left_out_lines(discovered):
            notify(line)
        planned = len(tasks)
        if skip_existing:
            tasks = [task for task in tasks if not all(map(os.path.exists, task.outputs))]
            if planned > len(tasks):
                notify(f"{planned - len(tasks)} files have their results in {output} already")
        codes = [0] * (planned - len(tasks)) + [int(InputError.exit_code)] * len(discovered.faults)
        with _progress(paths, tasks, output) as progress, ExitStack() as stack:
            for result in _results(analyzer, plan, tasks, jobs, stack):
                for line in (*result.notices, result.fault):
                    if line:
                        notify(line)
                codes.append(result.exit_code)
                progress.take(result)
    if code := _exit_code(codes):
        raise typer.Exit(code)


def _exit_code(codes: list[int]) -> int:
    """The command's, of all files': one that was lost among others that were not is a loss and no refusal."""
    failed = [code for code in codes if code not in (ExitCode.DONE, ExitCode.LOST)]
    if failed and len(failed) == len(codes):
        return min(failed)
    return ExitCode.LOST if any(codes) else ExitCode.DONE


def _task(number: int, file: "Named", plan: Plan, output: Path | None) -> Task:
    picture = (output or Path()) / f"{file.name}.png" if plan.plot else None
    result = None if output is None else output / f"{file.name}.{plan.output_format}"
    return Task(number, file.path, result, picture)


def _left_out_lines(discovered: "DiscoveredFiles") -> Iterator[str]:
    """Lines about unreadable folders, and about what was left out."""
    yield from discovered.faults
    if discovered.left_out:
        kinds = ", ".join(f"{count} {kind}" for kind, count in discovered.left_out.most_common(4))
        more = ", ..." if len(discovered.left_out) > 4 else ""
        yield f"left out, being no sound by name or only linked, {discovered.left_out.total()} in all: {kinds}{more}"


def _progress(paths: list[Path], tasks: list[Task], output: Path | None) -> "Progress":
    from ..catalogue.progress import Progress

    onto_screen = output is None and sys.stdout.isatty()  # the records would break a bar up
    return Progress(len(tasks), bar=not onto_screen, summary=any(map(os.path.isdir, paths)))


def _results(
    analyzer: "FileAnalyzer", plan: Plan, tasks: list[Task], jobs: int | None, stack: ExitStack
) -> "Iterator[FileResult]":
    """The result of each task: in this process, or in several where they are worth their start-up.

    For standard output the processes write temporary files, which are copied in order.
    """
    from ..catalogue.analysis import in_order, in_turn, worth_processes
    from ..catalogue.workers import in_parallel
    from ..core.signals import between_steps

    processes = min(jobs or _processors(), len(tasks))
    if processes < 2 or (jobs is None and not worth_processes([task.path for task in tasks])):
        between = stack.enter_context(between_steps())
        yield from (result for _, result in in_turn(analyzer, tasks, sys.stdout, between))
    elif all(task.output is not None for task in tasks):
        finished = stack.enter_context(closing(in_parallel(plan, tasks, processes)))
        yield from (result for _, result in finished)
    else:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="valaro-", ignore_cleanup_errors=True)))
        waiting = [task._replace(number=k, output=folder / f"{k}.{plan.output_format}") for k, task in enumerate(tasks)]
        finished = stack.enter_context(closing(in_parallel(plan, waiting, processes, AHEAD * processes)))
        header = True
        for task, result in in_order(finished):
            if not result.fault and task.output is not None:
                copy_text(task.output, plan.output_format, sys.stdout, header)
                task.output.unlink()
                header = False
            yield result


def _processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
