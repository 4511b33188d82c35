"""A file that is replaced atomically: a reader sees the old one or the new one, never a part."""

import os
from contextlib import suppress
from pathlib import Path

from ..errors import SinkError


class AtomicFile:
    """``write`` writes to a temporary file beside ``path`` and renames it; one thread at a time.

    Parameters
    ----------
    path : the file.
    durable : what was written survives kill -9 and a power failure (fsync of the file and of its folder).

    Raises
    ------
    SinkError
        ``path`` is a folder, a device or a pipe, or its own folder does not exist and cannot be created.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        try:
            if path.is_dir():
                raise ValueError("is a directory")
            if path.exists() and not path.is_file():  # root may replace /dev/null itself, for the whole machine
                raise ValueError("is a device or a pipe")
            self._temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
            path.parent.mkdir(parents=True, exist_ok=True)
            for leftover in path.parent.glob(f".{path.name}.*.new"):  # of a process that was killed
                leftover.unlink(missing_ok=True)
        except (OSError, ValueError) as fault:
            raise SinkError(f"{path} cannot be written: {reason(fault)}: name another file") from fault

    def write(self, data: bytes | memoryview) -> None:
        """Replace the file. Raises OSError when that fails, which leaves the old one."""
        try:
            with self._temporary.open("wb") as file:
                file.write(data)
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            self._temporary.replace(self.path)
        except OSError:
            with suppress(OSError):
                self._temporary.unlink()  # on a full disk it takes up space
            raise
        if self._durable and hasattr(os, "O_DIRECTORY"):  # Windows has no such call
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def reason(fault: BaseException) -> str:
    """The system's own description of a fault, in lower case."""
    return (getattr(fault, "strerror", None) or str(fault) or type(fault).__name__).lower()


def nearest(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next((candidate for candidate in (folder, *folder.parents) if candidate.exists()), Path(folder.anchor))
