"""The version, the memory and the open files of this process."""

import os
from contextlib import suppress
from pathlib import Path


def version() -> str:
    """Valaro's version; ``unknown`` where it runs without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("valaro")
    except PackageNotFoundError:
        return "unknown"


def resident_bytes() -> int | None:
    """Resident memory in bytes; None on systems without /proc."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def open_files() -> int | None:
    """Open files and sockets; None on systems without /proc."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/fd")) - 1  # but for the one that lists them
    return None
