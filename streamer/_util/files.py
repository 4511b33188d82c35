"""A file that is replaced as a whole: whoever reads it, whenever, finds the old one or the new one."""

import os
from contextlib import suppress
from pathlib import Path

from ..errors import SinkError


class AtomicFile:
    """``write`` puts its bytes beside ``path`` and renames them to it; one thread at a time.

    ``durable``: neither kill -9 nor a power failure takes what was written (fsync of the file and of its folder).

    Raises SinkError when ``path`` is a folder, or its own is not there and cannot be made.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        try:
            if path.is_dir():
                raise ValueError("is a directory")
            self._beside = path.with_name(f".{path.name}.{os.getpid()}.new")
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{path.name}.*.new"):  # by a process that was killed
                left.unlink(missing_ok=True)
        except (OSError, ValueError) as fault:
            raise SinkError(f"{path} cannot be written: {reason(fault)}: name another file") from fault

    def write(self, data: bytes | memoryview) -> None:
        """Replace the file; OSError when that fails, which leaves the old one."""
        try:
            with self._beside.open("wb") as file:
                file.write(data)
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            self._beside.replace(self.path)
        except OSError:
            with suppress(OSError):
                self._beside.unlink()  # on a full disk it is in the way
            raise
        if self._durable and hasattr(os, "O_DIRECTORY"):  # Windows has no such call
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def reason(fault: BaseException) -> str:
    """Why the system refused, in its own words."""
    return (getattr(fault, "strerror", None) or str(fault) or type(fault).__name__).lower()


def nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next((each for each in (folder, *folder.parents) if each.exists()), Path(folder.anchor))
