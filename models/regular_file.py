"""Reading a whole file that came from elsewhere: at once, or not at all."""

import os
import stat
from pathlib import Path


def read(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most ``most`` bytes.

    What a file is, and how large, is asked before anything is read: a pipe, a device behind a link, a folder or a file
    of many gigabytes neither blocks nor fills the memory.

    Raises
    ------
    OSError
        There is none, it cannot be read, or it is none of that kind; ``strerror`` says it.
    """
    _check(path, path.stat(), most)  # before it is opened: opening some devices does something
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        _check(path, os.fstat(handle), most)  # it may be another by now
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(0, f"larger than {most:,} bytes", str(path))
    return data


def _check(path: Path, found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "a device, pipe or socket"
        raise OSError(0, f"is {kind}, not a file", str(path))
    if found.st_size > most:
        raise OSError(0, f"larger than {most:,} bytes", str(path))
