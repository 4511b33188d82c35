"""The command line. Every fault becomes one line on stderr and an exit code: 2 for bad input, 1 for failure.

- ``live``: ``valaro demo`` and ``valaro listen``.
- ``replay``: ``valaro replay``.
- ``presets``: ``valaro presets``.
- ``devices``: ``valaro devices``.
- ``plugins``: ``valaro plugins``.
- ``doctor``: ``valaro doctor``.
- ``analyze``: ``valaro analyze``.
- ``rate``: ``valaro rate``.
- ``calibrate``: ``valaro calibrate``.
- ``listeners``: ``valaro listeners``.
- ``training``: ``valaro train`` and ``valaro evaluate``.
- ``_options``: Options that several commands share.
- ``_streams``: The standard streams and the environment that a command begins with.
- ``_usage``: The one line for words that make no command line.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Annotated, NoReturn

import typer

from ..errors import ExitCode
from . import analyze, calibrate, devices, doctor, listeners, live, plugins, presets, rate, replay, training
from ._options import UsageError, with_plugin_options
from ._streams import prepare
from ._usage import usage_line

app = typer.Typer(
    name="valaro",
    help="Listens to music as it plays and says twice a second what it feels like: a heatmap over valence and arousal.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(live.demo)
app.command()(live.listen)
app.command()(replay.replay)
app.add_typer(presets.app)
app.command()(devices.devices)
app.command()(plugins.plugins)
app.command()(doctor.doctor)
app.command()(analyze.analyze)
app.command()(rate.rate)
app.command()(calibrate.calibrate)
app.add_typer(listeners.app)
app.command()(training.train)
app.command()(training.evaluate)


def _version(requested: bool) -> None:
    if requested:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"valaro {version('valaro')}")
        except PackageNotFoundError:
            typer.echo("valaro (not installed)")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", metavar="", help="Say which version this is.", callback=_version, is_eager=True)
]


@app.callback()
def _options(version: VersionOption = False) -> None:
    pass


def main() -> None:
    """Entry point of ``valaro``."""
    from .._util.stderr import libraries_silenced

    prepare()
    signal.signal(signal.SIGTERM, _terminate)
    with libraries_silenced():
        code = run(sys.argv[1:])
    # Python would report a closed pipe once more when it flushes at exit.
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    """Raise SIGTERM as an exception, so that partial files are removed and the processes of a training end."""
    raise SystemExit(128 + number)  # as the shell has it


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code. With VALARO_DEBUG set, a fault raises instead."""
    from ..app.console import notify, set_notice_format

    set_notice_format("text")
    if any("\0" in word for word in arguments):  # no shell has it, and each library has its own word for it
        notify("an argument holds a null byte, which is in no name, number or address: leave it out")
        return ExitCode.BAD_INPUT
    try:
        result = app(with_plugin_options(arguments) or ["--help"], prog_name="valaro", standalone_mode=False)
        return int(result) if isinstance(result, int) else 0
    except KeyboardInterrupt:
        return 130  # as the shell has it for Ctrl-C
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # how click reports a closed pipe: no fault
            return 0
        return end.code if isinstance(end.code, int) else 1
    except typer.Abort:
        return 1
    except UsageError as fault:
        notify(usage_line(fault, arguments, typer.main.get_command(app)))
        return ExitCode.BAD_INPUT
    except Exception as fault:
        if os.environ.get("VALARO_DEBUG"):
            raise
        return _report(fault)


def _report(fault: Exception) -> int:
    from ..app.console import notify
    from ..errors import ValaroError

    if isinstance(fault, ValaroError):
        notify(str(fault), logging.ERROR)
        return fault.exit_code
    if isinstance(fault, OSError) and fault.strerror:  # a fault of the system: a full disk, a closed terminal
        notify(f"{fault.filename or 'the output'} cannot be used: {fault.strerror.lower()}", logging.ERROR)
        return 1
    if isinstance(fault, UnicodeError):  # of whatever writes a name that is no text
        notify(f"{getattr(fault, 'object', 'a name')!r} cannot be written in this encoding: rename it", logging.ERROR)
        return ExitCode.BROKE_OFF
    if isinstance(fault, MemoryError):
        notify("there is not enough memory: close other programs, or analyse shorter files", logging.ERROR)
        return ExitCode.BROKE_OFF
    text = f"unexpected fault, please report it: {type(fault).__name__}: {fault} (VALARO_DEBUG=1 shows where)"
    notify(text, logging.ERROR)
    return 1
