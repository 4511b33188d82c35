"""The standard streams and the environment that the command line begins with, whatever the parent left of them."""

import codecs
import logging
import os
import stat
import sys
import tempfile
import warnings
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

ERRORS = "valaro"  # the name of `encodable` among Python's handlers of what an encoding has no bytes for
_WIDEST = 10_000  # columns or lines of a terminal

# What makes rich and typer paint although nobody looks at a terminal.
_COLOUR = ("FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "GITHUB_ACTIONS", "CLICOLOR_FORCE")
_SIZES = ("COLUMNS", "LINES", "TERMINAL_WIDTH")  # numbers, for the libraries that read them


def prepare() -> None:
    """Make the standard streams usable: open, able to take any name, and without what libraries say of themselves."""
    _open_descriptors()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process, or a program without a console
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  as long as the program
    if isinstance(sys.stdout, TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="backslashreplace")  # raw bytes might be a command to the terminal
        else:
            # As the files of --output: the same on every platform, and any bytes in a name are preserved.
            sys.stdout.reconfigure(encoding="utf-8", errors=errors_of_output())
    _clean_environment()
    if not os.environ.get("VALARO_DEBUG"):
        _hush_libraries()


def _open_descriptors() -> None:
    """Have 0, 1 and 2 open: the next file or socket would be given the number of one that the parent closed."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _clean_environment() -> None:
    """Take away the variables that would have a library write screen codes into a file, or fail."""
    if not sys.stdout.isatty():
        for name in _COLOUR:
            os.environ.pop(name, None)
    for name in _SIZES:
        text = os.environ.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= _WIDEST):
            del os.environ[name]
    _keep_compiled_code_private()


def _keep_compiled_code_private() -> None:
    """Without a home Numba would make a folder called ~ in the current one: give it this user's own, for their eyes.

    Compiled code is run as it is read, so nobody else may have written it: in the temporary folder anybody may.
    """
    if os.path.expanduser("~") != "~" or os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME"):
        return
    folder = Path(tempfile.gettempdir()) / f"valaro-{os.getuid()}"
    with suppress(OSError):  # nowhere to write: Numba says that itself
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
        else:
            os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="valaro-")


def _hush_libraries() -> None:
    """Leave out the warnings and the log of other packages, which are for programmers; Valaro's own stay."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if logging.lastResort is not None:
        logging.lastResort.addFilter(lambda record: record.name.partition(".")[0] == "valaro")


def errors_of_output() -> str:
    """The name of :func:`encodable` for ``errors=`` of a file that is written."""
    codecs.register_error(ERRORS, encodable)
    return ERRORS


def encodable(fault: UnicodeError) -> tuple[str | bytes, int]:
    r"""The byte of a file name that is no UTF-8 as it was (surrogateescape); any other letter as ``\uxxxx``.

    Half a surrogate pair, as JSON may hold one, stands for no byte.
    """
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    code, after = ord(fault.object[fault.start]), fault.start + 1
    return (bytes([code - 0xDC00]) if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"), after
