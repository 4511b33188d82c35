"""What this process knows of itself: its version, and how much memory it holds."""

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
    """Memory that is resident now, in bytes; None where the system does not tell without a package for it."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None
