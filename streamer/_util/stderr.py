"""Silences what native libraries print on file descriptor 2."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what C libraries print on file descriptor 2 off the terminal, for as long as a device is set up.

    PortAudio, ALSA and JACK print a line for each card that is missing; what matters comes as an error code as well.
    The stderr of every thread is silenced meanwhile, so keep it short.
    """
    try:
        original = os.dup(2)
    except OSError:  # no stderr at all: a windowed program
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Within it what C libraries print on file descriptor 2 is discarded; Python's ``sys.stderr`` still works.

    PortAudio and ALSA print lines when a device goes away, in the middle of the terminal's picture.
    """
    python_stderr = sys.stderr
    try:
        if os.environ.get("VALARO_DEBUG") or python_stderr.fileno() != 2:
            raise OSError("not wanted, or not the libraries' stream")
        python_stderr.flush()
        original = os.dup(2)
    except (OSError, ValueError):  # ValueError: closed, or in memory
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        with open(original, "w", 1, python_stderr.encoding, "backslashreplace", closefd=False) as sys.stderr:
            yield
    finally:
        sys.stderr = python_stderr
        os.dup2(original, 2)
        os.close(original)
