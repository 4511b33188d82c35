"""Native libraries' own words on file descriptor 2."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what C libraries print on file descriptor 2 off the terminal, for as long as a device is set up.

    PortAudio, ALSA and JACK report each card that is not there in lines of their own; what matters comes as an error
    code as well. Any thread's stderr is silenced meanwhile, so keep it short.
    """
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all: a windowed program
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Within it what C libraries print on file descriptor 2 is lost; Python's ``sys.stderr`` still speaks.

    PortAudio and ALSA tell of each device that goes away in lines of their own, in the middle of the picture.
    """
    ours = sys.stderr
    try:
        if os.environ.get("VALARO_DEBUG") or ours.fileno() != 2:
            raise OSError("not wanted, or not the libraries' stream")
        ours.flush()
        kept = os.dup(2)
    except (OSError, ValueError):  # ValueError: closed, or in memory
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        with open(kept, "w", 1, ours.encoding, "backslashreplace", closefd=False) as sys.stderr:
            yield
    finally:
        sys.stderr = ours
        os.dup2(kept, 2)
        os.close(kept)
