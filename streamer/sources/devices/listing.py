"""Which audio inputs and MIDI outputs this machine has, and what to pass on the command line to get them."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty
from typing import Any

from ..._util.stderr import quiet_stderr
from ...errors import DeviceError
from .capture import LIMIT, NO_LIBRARY, Capture

LOOPBACK_WORDS = (
    *("monitor of", ".monitor", "loopback", "stereo mix", "what u hear"),  # PulseAudio, WASAPI, Windows drivers
    *("blackhole", "soundflower", "background music", "cable output", "voicemeeter"),  # virtual cables
)
# Windows lists one device under up to four of these; the first are those that give the native rate and the full name.
PREFERRED_APIS = ("Windows WASAPI", "Windows WDM-KS", "Windows DirectSound", "MME")
MISSING = "the PortAudio library is missing: install it (apt install libportaudio2, or brew install portaudio)"
MME_NAME = 31  # characters that MME keeps of a device's name


@dataclass(frozen=True, slots=True)
class AudioInput:
    """One input. ``index`` is PortAudio's, None for a sound server's monitor, which is reached through another input.

    ``channels``: how many it offers; ``rate``: its native samples per second; ``is_loopback``: it carries what the
    computer plays; ``use``: what to type.
    """

    index: int | None
    name: str
    host_api: str
    channels: int
    rate: int
    is_loopback: bool
    use: str


def inputs() -> list[AudioInput]:
    """All audio inputs: PortAudio's, then the sound server's monitor sources. DeviceError as in :func:`listing`."""
    return with_monitors(listing()[0])


def with_monitors(found: list[AudioInput]) -> list[AudioInput]:
    """These inputs of PortAudio's and the sound server's monitor sources."""
    # Without this plugin there is no way to a monitor; with it a server is up, so that asking does not start one.
    return found + (monitor_sources() if any(each.name == "pulse" for each in found) else [])


def default_index() -> int | None:
    """PortAudio's default input; None when it has none. DeviceError as in :func:`listing`."""
    return listing()[1]


def listing() -> tuple[list[AudioInput], int | None]:
    """PortAudio's inputs as they are now, in its order, and the index of the default one.

    Another process asks, as PortAudio gives one process the same answer for ever. DeviceError when PortAudio is missing
    or does not answer.
    """
    capture = start_capture()
    try:
        return read_listing(answer(capture))
    finally:
        capture.end()


def start_capture() -> Capture:
    """A new process for an input. DeviceError when there cannot be one."""
    try:
        return Capture()
    except OSError as error:
        raise DeviceError(f"an audio input needs a process of its own, which cannot be started ({error})") from error


def answer(capture: Capture) -> dict[str, Any]:
    """What ``capture`` tells next, waited for; a ``fault`` if it ended or takes too long."""
    try:
        told = capture.news.get(timeout=LIMIT)
    except Empty:
        return {"fault": f"no answer within {LIMIT:g} s", "code": None}
    return told if isinstance(told, dict) else {"fault": "it went away", "code": None}


def read_listing(told: dict[str, Any]) -> tuple[list[AudioInput], int | None]:
    """What a capture process told first, as in :func:`listing`. DeviceError when it is a fault."""
    if told.get("fault") == NO_LIBRARY:
        raise DeviceError(MISSING)
    if "fault" in told:
        raise DeviceError(
            f"the audio inputs cannot be listed ({told['fault']}): restart the sound server, or look again"
        )
    found = [
        AudioInput(
            **each, is_loopback=is_loopback(each["name"]), use=f"valaro listen --device {shlex.quote(each['name'])}"
        )
        for each in told["inputs"]
    ]
    default = told["default"]
    return found, default if isinstance(default, int) and default >= 0 else None


def portaudio() -> Any:
    """The sounddevice module; DeviceError when the PortAudio library is not installed.

    The first import makes PortAudio list the devices, once for the life of the process.
    """
    try:
        with quiet_stderr():
            import sounddevice
    except OSError as error:
        raise DeviceError(MISSING) from error
    return sounddevice


def is_loopback(name: str) -> bool:
    """Whether an input of this name carries what the computer plays."""
    return any(word in name.casefold() for word in LOOPBACK_WORDS)


def monitor_sources() -> list[AudioInput]:
    """The monitors of a PulseAudio or PipeWire server, through ``pactl``; none when it is absent or does not answer."""
    if shutil.which("pactl") is None:
        return []
    command = ["pactl", "list", "short", "sources"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=3, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [source for line in listing.splitlines() if (source := _monitor(line)) is not None]


def _monitor(line: str) -> AudioInput | None:
    """One line of pactl's short list: number, name, driver, ``s16le 2ch 48000Hz``, state."""
    fields = line.split("\t")
    if len(fields) < 4 or not fields[1].endswith(".monitor"):
        return None
    try:
        _, channels, rate = fields[3].split()
        return AudioInput(
            index=None,
            name=fields[1],
            host_api="sound server",
            channels=int(channels.removesuffix("ch")),
            rate=int(rate.removesuffix("Hz")),
            is_loopback=True,
            use=f"PULSE_SOURCE={shlex.quote(fields[1])} valaro listen --device pulse",
        )
    except ValueError:
        return None


def find(wanted: str | int | None, found: Sequence[AudioInput], default: int | None = None) -> AudioInput:
    """The input that ``wanted`` means among ``found``.

    None: the ``default`` index, else the first. A name, regardless of case, with or without ", host API" after it: the
    one of exactly that name; then a number or its digits: that index; then the only one that contains the name. Raises
    DeviceError, one line with what there is, when none or several answer to it.
    """
    usable = [each for each in found if each.index is not None]
    if not usable:
        raise DeviceError("no audio input was found: connect one or start the sound server, then try `valaro devices`")
    if wanted is None:
        return next((each for each in usable if each.index == default), usable[0])
    matches = _matches(wanted, usable)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DeviceError(f"{wanted!r} could mean {_names(matches)}: give more of the name, or the index")
    for each in found:
        if isinstance(wanted, str) and each.index is None and wanted.casefold() == each.name.casefold():
            raise DeviceError(f"{each.name} is a monitor of the sound server: run `{each.use}`")
    raise DeviceError(f"no audio input is called {wanted!r}; there are {_names(usable)} (see `valaro devices`)")


def _matches(wanted: str | int, usable: Sequence[AudioInput]) -> list[AudioInput]:
    text = str(wanted).casefold().strip()
    names = [(each, each.name.casefold(), f"{each.name}, {each.host_api}".casefold()) for each in usable]
    exact = [each for each, name, full in names if isinstance(wanted, str) and text in (name, full)]
    if exact or not text:
        return _one_per_device(exact)
    if text.isdecimal():  # before parts of names, or 2 could mean every "2i2"
        return [each for each in usable if str(each.index) == text]
    return _one_per_device([each for each, _, full in names if text in full])


def _one_per_device(matches: list[AudioInput]) -> list[AudioInput]:
    """On Windows the same device under several host APIs counts once, under the best of them."""
    same = len({each.name[:MME_NAME] for each in matches}) == 1
    apis = [each.host_api for each in matches]
    if not same or len(set(apis)) < len(apis) or not set(apis) <= set(PREFERRED_APIS):
        return matches
    return [min(matches, key=lambda each: PREFERRED_APIS.index(each.host_api))]


def _names(devices: Sequence[AudioInput]) -> str:
    names = [each.name for each in devices]
    apis = [f" ({each.host_api})" if names.count(each.name) > 1 else "" for each in devices]
    return ", ".join(f"{each.index} {each.name!r}{api}" for each, api in zip(devices, apis, strict=True))
