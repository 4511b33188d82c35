"""Checks of the machine: disk, memory, clock, limits, power, text, the user's session."""

import locale
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ..._util.files import nearest
from .result import Result

_EARLIEST_YEAR = 2025  # an earlier clock was never set
_COMMAND_TIMEOUT = 5.0  # s that a program may take to answer
_NEEDED_BYTES = 320e6  # of memory


def disk() -> list[Result]:
    """Free space where ratings are stored."""
    from ...listeners.schema import default_path

    folder = nearest(default_path().parent)
    free = shutil.disk_usage(folder).free
    status = "ok" if free > 1e9 else "warn" if free > 100e6 else "fail"
    advice = "" if status == "ok" else "make room: ratings, recordings and caches need it"
    return [Result("disk", status, f"{free / 1e9:.1f} GB free in {folder}", advice)]


def memory(meminfo: Path = Path("/proc/meminfo")) -> list[Result]:
    """Whether the tracker fits into what is free."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return [Result("memory", "ok", "not told by this system; Valaro takes about 300 MB")]
    enough = free > _NEEDED_BYTES
    advice = "" if enough else "close other programs: Valaro takes about 300 MB"
    return [Result("memory", "ok" if enough else "warn", f"{free / 1e9:.2f} GB available", advice)]


def clock(wall: Callable[[], float] = time.time) -> list[Result]:
    """The wall clock, which stamps ratings and checkpoints, and the monotonic one, which paces the output."""
    before = time.monotonic()
    time.sleep(0.02)
    if time.monotonic() <= before:
        return [Result("clock", "fail", "the monotonic clock stands still", "restart this machine")]
    now = datetime.fromtimestamp(wall(), UTC)
    description = f"{now:%Y-%m-%d %H:%M} UTC"
    advice = "set it, best by the network: timedatectl set-ntp true"
    if now.year < _EARLIEST_YEAR:
        return [Result("clock", "fail", f"{description}, which cannot be", advice)]
    synchronised = command_output("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if synchronised == "no":
        return [Result("clock", "warn", f"{description}, not synchronised", advice)]
    return [Result("clock", "ok", description + (", synchronised" if synchronised == "yes" else ""))]


def realtime() -> list[Result]:
    """The limits of real-time priority and locked memory; only JACK needs them."""
    try:
        import resource

        priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    except (ImportError, AttributeError):
        return [Result("realtime", "ok", "not limited by this system")]
    unlimited = resource.RLIM_INFINITY
    lockable = "memory without limit" if locked == unlimited else f"{locked / 1e6:.0f} MB of memory"
    description = f"priority {'without limit' if priority == unlimited else priority}, {lockable} may be locked"
    if priority == 0 and shutil.which("jackd") and os.geteuid() != 0:
        return [Result("realtime", "warn", description, "for JACK: usermod -aG audio USER, then log in again")]
    return [Result("realtime", "ok", description)]


def power(root: Path = Path("/sys")) -> list[Result]:
    """The processor's governor, the battery, a Raspberry Pi's supply."""
    findings, advice = [], []
    governors = {_read(path) for path in root.glob("devices/system/cpu/cpu*/cpufreq/scaling_governor")} - {""}
    drivers = {_read(path) for path in root.glob("devices/system/cpu/cpu*/cpufreq/scaling_driver")}
    if governors:
        findings.append(f"governor {', '.join(sorted(governors))}")
    # For Intel's and AMD's own drivers powersave means as fast as is needed.
    if "powersave" in governors and not any("pstate" in driver for driver in drivers):
        advice.append("let the processor speed up: cpupower frequency-set --governor schedutil")
    supplies = [(_read(path / "type"), _read(path / "status")) for path in root.glob("class/power_supply/*")]
    if ("Battery", "Discharging") in supplies:
        findings.append("on battery")
        advice.append("plug it in for a show")
    throttled = command_output("vcgencmd", "get_throttled")  # a Raspberry Pi's own
    if throttled.startswith("throttled=") and throttled != "throttled=0x0":
        findings.append(throttled)
        advice.append("give it a stronger supply or more air: it was slowed down")
    description = ", ".join(findings) or "nothing to be read"
    return [Result("power", "warn" if advice else "ok", description, "; ".join(advice))]


def text() -> list[Result]:
    """Whether the encodings represent all names of devices and files."""
    encodings = [locale.getpreferredencoding(False), sys.getfilesystemencoding()]
    good = all(encoding.casefold().replace("-", "") == "utf8" for encoding in encodings)
    advice = "" if good else "names that are not English may be garbled: set LANG=C.UTF-8, or PYTHONUTF8=1"
    return [Result("text", "ok" if good else "warn", f"{encodings[0]}, file names {encodings[1]}", advice)]


def session() -> list[Result]:
    """The folder in which a user's sound server is found, on Linux."""
    if not sys.platform.startswith("linux"):
        return [Result("session", "ok", "no matter on this system")]
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    advice = "without it the user's sound server is not found: log in, or `loginctl enable-linger` for a user service"
    if not folder:
        return [Result("session", "warn", "XDG_RUNTIME_DIR is not set", advice)]
    try:
        status = os.stat(folder)
    except OSError as fault:
        why = (fault.strerror or str(fault)).lower()
        return [Result("session", "warn", f"XDG_RUNTIME_DIR is {folder}: {why}", advice)]
    if status.st_uid != os.geteuid():
        return [Result("session", "warn", f"XDG_RUNTIME_DIR is {folder}, which is another user's", advice)]
    return [Result("session", "ok", f"XDG_RUNTIME_DIR is {folder}")]


def command_output(*command: str) -> str:
    """The first line that a program prints; "" where there is no such program, or it fails."""
    with suppress(OSError, subprocess.SubprocessError, IndexError):
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=True
        )
        return ended.stdout.strip().splitlines()[0]
    return ""


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""
