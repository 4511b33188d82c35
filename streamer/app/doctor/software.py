"""Checks of Valaro's own parts: packages, model, audio, MIDI, network, data."""

import platform
import socket
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

from ..._util.files import nearest
from ..._util.process import version
from ...errors import DeviceError, ValaroError
from .result import Result

# As in pyproject.toml, where ONNX Runtime's name depends on the machine.
PACKAGES = (
    *("numpy", "scipy", "numba", "soxr", "soundfile", "sounddevice", "python-rtmidi", "python-osc"),
    *("typer", "rich", "platformdirs", "pydantic"),
)
RECEIVER, OWN = 9000, 9001  # the usual port of VJ programs, and that of Valaro in the examples
_MAX_NAMES = 4  # names in a line


def python() -> list[Result]:
    """The versions of Python and Valaro."""
    description = f"{platform.python_version()} on {platform.platform(terse=True)}, Valaro {version()}"
    old = sys.version_info < (3, 11)
    return [Result("python", "fail" if old else "ok", description, "install Python 3.11 or newer" if old else "")]


def packages() -> list[Result]:
    """Whether all packages are installed, and exactly one ONNX Runtime: two share a folder, and break each other."""
    versions = {
        (package.metadata["Name"] or "").lower().replace("_", "-"): package.version
        for package in metadata.distributions()
    }
    missing = [package for package in PACKAGES if package not in versions]
    listed = ", ".join(f"{package} {versions[package]}" for package in PACKAGES if package in versions)
    packages_result = Result("packages", "ok", listed)
    if missing:
        packages_result = Result(
            "packages", "fail", f"{', '.join(missing)} missing", f"pip install {' '.join(missing)}"
        )
    runtimes = sorted(package for package in versions if package.startswith("onnxruntime"))
    description = ", ".join(f"{package} {versions[package]}" for package in runtimes) or "none"
    if len(runtimes) == 1:
        return [packages_result, Result("runtime", "ok", description)]
    recommended = (
        "onnxruntime-gpu" if platform.machine() in ("x86_64", "AMD64") and sys.platform != "darwin" else "onnxruntime"
    )
    uninstall = f"pip uninstall --yes {' '.join(runtimes)}; " if runtimes else ""
    return [
        packages_result,
        Result("runtime", "fail", f"{description}: exactly one is wanted", f"{uninstall}pip install {recommended}"),
    ]


def model(path: Path | None) -> list[Result]:
    """The kernels, the bundle and what its network runs on; in a process of its own, because of the native code."""
    kernels_result = _kernels()
    try:
        from ....models import load_bundle

        bundle = load_bundle(path)
    except ValaroError as fault:
        return [kernels_result, Result("model", "fail", str(fault))]
    results = [
        kernels_result,
        Result("model", "ok", f"{path or 'the default one'}: {', '.join(bundle.decoders)}"),
    ]
    if bundle.lstm is not None:
        provider = bundle.lstm.provider
        results.append(Result("network", "ok", f"runs on {provider}"))
    return results


def _kernels() -> Result:
    """Whether the machine code of all kernels is cached; it is from now on, where it can be."""
    from ....kernels.compilation import compile_all

    began = time.monotonic()
    try:
        kernels = compile_all()
    except OSError as fault:
        return Result(
            "kernels", "fail", f"cannot be compiled: {fault}", "reinstall Valaro; please report it if that stays"
        )
    if kernels.compiled and kernels.folder is None:
        seconds = time.monotonic() - began
        advice = "give NUMBA_CACHE_DIR a folder that can be written to"
        return Result("kernels", "warn", f"nowhere to keep them: each start takes {seconds:.0f} s longer", advice)
    compiled = f"{kernels.compiled} of {kernels.total} compiled just now, kept"
    found = compiled if kernels.compiled else f"{kernels.total} from the cache"
    return Result("kernels", "ok", f"{found} in {kernels.folder}")


def audio() -> list[Result]:
    """PortAudio's inputs, which another process lists."""
    from ...sources.devices import listing

    try:
        inputs, default = listing.listing()
        inputs = listing.with_monitors(inputs)
    except DeviceError as fault:
        return [Result("audio", "fail", str(fault))]
    if not inputs:
        advice = "connect an interface or start the sound server; `valaro demo` needs none"
        return [Result("audio", "warn", "no inputs", advice)]
    names = [
        f"{audio_input.name} (default)" if audio_input.index == default else audio_input.name for audio_input in inputs
    ]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return [Result("audio", "ok", f"{', '.join(names[:_MAX_NAMES])}{more}: see `valaro devices`")]


def midi() -> list[Result]:
    """The ports of the system's MIDI and of JACK; in a process of its own, since libjack may end it."""
    import os

    os.environ["JACK_NO_START_SERVER"] = "1"
    import rtmidi as library

    rtmidi: Any = library  # its names are made by a star import
    descriptions, faults = [], []
    for api in rtmidi.get_compiled_api():
        name = rtmidi.get_api_display_name(api)
        try:
            ports = rtmidi.MidiOut(rtapi=api).get_ports()
            descriptions.append(f"{name}: {', '.join(ports) or 'no ports'}")
        except Exception as fault:  # noqa: BLE001  rtmidi's errors have no common base below Exception
            faults.append(f"{name}: {' '.join(str(fault).split()) or type(fault).__name__}")
    if descriptions:
        return [Result("midi", "ok", "; ".join(descriptions))]
    advice = "for --midi load the sequencer (modprobe snd-seq) or start JACK"
    return [Result("midi", "warn", "; ".join(faults) or "rtmidi knows no MIDI of this system", advice)]


def osc(receiver: int = RECEIVER, own: int = OWN) -> list[Result]:
    """Whether UDP works on this machine, and whether the usual ports are in use."""
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending,
        ):
            receiving.bind(("127.0.0.1", 0))
            receiving.settimeout(2.0)
            sending.sendto(b"valaro", receiving.getsockname())
            receiving.recv(16)
    except OSError as fault:
        why = (fault.strerror or str(fault)).lower()
        return [Result("osc", "fail", f"UDP does not come through on this machine: {why}", "look at its firewall")]
    listening = "somebody listens" if _taken(receiver) else "nobody listens yet"
    description = f"UDP works; {listening} on {receiver}, where OSC goes by default"
    if _taken(own):
        return [Result("osc", "warn", f"{description}; {own} is taken", "give --osc-in another port than that one")]
    return [Result("osc", "ok", f"{description}; {own} is free for --osc-in")]


def _taken(port: int) -> bool:
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return True
    return False


def data() -> list[Result]:
    """Whether ratings can be stored."""
    from ...listeners.schema import default_path

    folder = default_path().parent
    try:
        with tempfile.TemporaryFile(dir=nearest(folder)) as probe:
            probe.write(b"valaro")
    except OSError as fault:
        advice = "make it this user's (chown, chmod), or give XDG_DATA_HOME another folder"
        return [Result("data", "fail", f"{folder} cannot be written: {(fault.strerror or str(fault)).lower()}", advice)]
    return [Result("data", "ok", f"{folder} can be written")]


def listeners() -> list[Result]:
    """Whether the file of ratings is whole; it is opened read-only."""
    from ...listeners.schema import APPLICATION, default_path

    path = default_path()
    if not path.exists():
        return [Result("listeners", "ok", "no ratings yet")]
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)) as file:
            owner = file.execute("PRAGMA application_id").fetchone()[0]
            whole = file.execute("PRAGMA quick_check(1)").fetchone()[0]
            if owner != APPLICATION:
                return [Result("listeners", "fail", f"{path} is another program's", "move it elsewhere")]
            count = file.execute("SELECT count(*) FROM rating").fetchone()[0]
    except sqlite3.OperationalError as fault:
        return [
            Result("listeners", "fail", f"{path} cannot be read: {fault}", "end what uses it, or look at its rights")
        ]
    except sqlite3.DatabaseError as fault:
        whole, count = str(fault), 0
    if whole != "ok":
        advice = "keep a copy; the next `valaro listen --listener NAME` sets it aside and begins a new one"
        return [Result("listeners", "fail", f"{path} is damaged ({' '.join(whole.split())})", advice)]
    return [Result("listeners", "ok", f"{count} ratings in {path}")]
