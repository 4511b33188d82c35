"""What the program says beside its output: single lines on stderr, held back while a picture has the screen."""

import logging
import sys
from contextlib import suppress


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
