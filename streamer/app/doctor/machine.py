"""What ``valaro doctor`` looks at of the machine: disk, memory, clock, limits, power, text, the user's session."""

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

_YEAR = 2025  # a clock that is before it was never set
_ASKING = 5.0  # s that a program may take to answer
_NEEDED = 320e6  # bytes of memory


def disk() -> list[Result]:
    """Room where ratings are kept."""
    from ...listeners.schema import default_path

    folder = nearest(default_path().parent)
    free = shutil.disk_usage(folder).free
    status = "ok" if free > 1e9 else "warn" if free > 100e6 else "fail"
    advice = "" if status == "ok" else "make room: ratings, recordings and caches need it"
    return [Result("disk", status, f"{free / 1e9:.1f} GB free in {folder}", advice)]


def memory(told: Path = Path("/proc/meminfo")) -> list[Result]:
    """Whether the tracker fits into what is free."""
    try:
        lines = dict(line.split(":", 1) for line in told.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return [Result("memory", "ok", "not told by this system; Valaro takes about 300 MB")]
    enough = free > _NEEDED
    advice = "" if enough else "close other programs: Valaro takes about 300 MB"
    return [Result("memory", "ok" if enough else "warn", f"{free / 1e9:.2f} GB available", advice)]


def clock(wall: Callable[[], float] = time.time) -> list[Result]:
    """The wall clock, which stamps ratings and checkpoints, and the monotonic one, which paces the output."""
    before = time.monotonic()
    time.sleep(0.02)
    if time.monotonic() <= before:
        return [Result("clock", "fail", "the monotonic clock stands still", "restart this machine")]
    now = datetime.fromtimestamp(wall(), UTC)
    told = f"{now:%Y-%m-%d %H:%M} UTC"
    set_it = "set it, best by the network: timedatectl set-ntp true"
    if now.year < _YEAR:
        return [Result("clock", "fail", f"{told}, which cannot be", set_it)]
    synchronised = answer_of("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if synchronised == "no":
        return [Result("clock", "warn", f"{told}, not synchronised", set_it)]
    return [Result("clock", "ok", told + (", synchronised" if synchronised == "yes" else ""))]


def realtime() -> list[Result]:
    """What real-time priority and locked memory this user may have; only JACK asks for them."""
    try:
        import resource

        priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    except (ImportError, AttributeError):
        return [Result("realtime", "ok", "not limited by this system")]
    everything = resource.RLIM_INFINITY
    told = "memory without limit" if locked == everything else f"{locked / 1e6:.0f} MB of memory"
    found = f"priority {'without limit' if priority == everything else priority}, {told} may be locked"
    if priority == 0 and shutil.which("jackd") and os.geteuid() != 0:
        return [Result("realtime", "warn", found, "for JACK: usermod -aG audio USER, then log in again")]
    return [Result("realtime", "ok", found)]


def power(root: Path = Path("/sys")) -> list[Result]:
    """A processor that is kept slow, a battery, a Raspberry Pi that gets too little."""
    found, advice = [], []
    governors = {_read(each) for each in root.glob("devices/system/cpu/cpu*/cpufreq/scaling_governor")} - {""}
    drivers = {_read(each) for each in root.glob("devices/system/cpu/cpu*/cpufreq/scaling_driver")}
    if governors:
        found.append(f"governor {', '.join(sorted(governors))}")
    # Intel's and AMD's own drivers mean another thing by powersave: as fast as is needed.
    if "powersave" in governors and not any("pstate" in each for each in drivers):
        advice.append("let the processor speed up: cpupower frequency-set --governor schedutil")
    supplies = [(_read(each / "type"), _read(each / "status")) for each in root.glob("class/power_supply/*")]
    if ("Battery", "Discharging") in supplies:
        found.append("on battery")
        advice.append("plug it in for a show")
    throttled = answer_of("vcgencmd", "get_throttled")  # a Raspberry Pi's own
    if throttled.startswith("throttled=") and throttled != "throttled=0x0":
        found.append(throttled)
        advice.append("give it a stronger supply or more air: it was slowed down")
    told = ", ".join(found) or "nothing to be read"
    return [Result("power", "warn" if advice else "ok", told, "; ".join(advice))]


def text() -> list[Result]:
    """Whether names of devices and files come through."""
    encodings = [locale.getpreferredencoding(False), sys.getfilesystemencoding()]
    good = all(each.casefold().replace("-", "") == "utf8" for each in encodings)
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


def answer_of(*command: str) -> str:
    """The first line that a program prints; "" where there is no such program, or it fails."""
    with suppress(OSError, subprocess.SubprocessError, IndexError):
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ASKING, check=True
        )
        return ended.stdout.strip().splitlines()[0]
    return ""


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""
