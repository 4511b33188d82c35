"""What the program says beside its output: single lines on stderr, held back while a picture has the screen."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def tell(words: str) -> None:
    """One line on stderr."""
    with suppress(OSError, ValueError):  # nobody may be there to read it
        print("valaro:", " ".join(words.split()), file=sys.stderr, flush=True)


class Notices(logging.Handler):
    """The package's log as lines on stderr, from ``with`` to its end.

    While ``held``, the newest is kept in ``latest`` for the picture's foot, and all are told at the end.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.held = False
        self.latest = ""
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of the log."""
        words = record.getMessage()
        if not self.held:
            tell(words)
            return
        self.latest = words
        self._kept = [*self._kept[-19:], words]  # a show of months must not pile them up

    def __enter__(self) -> "Notices":
        logger = logging.getLogger("valaro")
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("valaro").removeHandler(self)
        for words in self._kept:
            tell(words)


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


@contextmanager
def compiling_told() -> Iterator[None]:
    """Within it, what imports the models says so before it compiles anything: on a machine's first run only."""
    from numba.core import event

    class Tell(event.Listener):
        told = False

        def on_start(self, event: object) -> None:  # not reached for code that the cache holds
            if not self.told:
                tell("compiling for this machine, once: about 15 s")
            self.told = True

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", Tell()):
        yield
