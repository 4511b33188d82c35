"""The audio inputs of this machine, and the one that a name means."""

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
# Windows lists one device under up to four of these; the first give the native rate and the full name.
PREFERRED_APIS = ("Windows WASAPI", "Windows WDM-KS", "Windows DirectSound", "MME")
MISSING = "the PortAudio library is missing: install it (apt install libportaudio2, or brew install portaudio)"
MME_NAME = 31  # characters that MME keeps of a device's name


@dataclass(frozen=True, slots=True)
class AudioInput:
    """One audio input.

    Parameters
    ----------
    index : PortAudio's; None for a sound server's monitor, which is reached through another input.
    name : the device's name.
    host_api : PortAudio's name of the system's audio interface.
    channels : how many it offers.
    rate : its native samples per second.
    is_loopback : whether it carries what the computer plays.
    use : the command to type.
    """

    index: int | None
    name: str
    host_api: str
    channels: int
    rate: int
    is_loopback: bool
    use: str


def inputs() -> list[AudioInput]:
    """All audio inputs: PortAudio's, then the sound server's monitor sources. Raises as :func:`listing`."""
    return with_monitors(listing()[0])


def with_monitors(devices: list[AudioInput]) -> list[AudioInput]:
    """These inputs of PortAudio's and the sound server's monitor sources."""
    # Without this plugin no monitor can be opened; with it a server is running, so that asking does not start one.
    return devices + (monitor_sources() if any(device.name == "pulse" for device in devices) else [])


def listing() -> tuple[list[AudioInput], int | None]:
    """PortAudio's inputs as they are now, in its order, and the index of the default one.

    A new process asks, since PortAudio never updates the list within a process.

    Raises
    ------
    DeviceError
        PortAudio is missing or does not answer.
    """
    capture = start_capture()
    try:
        return read_listing(answer(capture))
    finally:
        capture.end()


def start_capture() -> Capture:
    """A new process for an input. Raises DeviceError when it cannot be started."""
    try:
        return Capture()
    except OSError as error:
        raise DeviceError(f"an audio input needs a process of its own, which cannot be started ({error})") from error


def answer(capture: Capture) -> dict[str, Any]:
    """The next message of ``capture``, waited for; a ``fault`` if it ended or takes too long."""
    try:
        message = capture.messages.get(timeout=LIMIT)
    except Empty:
        return {"fault": f"no answer within {LIMIT:g} s", "code": None}
    return message if isinstance(message, dict) else {"fault": "it went away", "code": None}


def read_listing(message: dict[str, Any]) -> tuple[list[AudioInput], int | None]:
    """The first message of a capture process, read as :func:`listing` returns it. Raises DeviceError for a fault."""
    if message.get("fault") == NO_LIBRARY:
        raise DeviceError(MISSING)
    if "fault" in message:
        raise DeviceError(
            f"the audio inputs cannot be listed ({message['fault']}): restart the sound server, or look again"
        )
    devices = [
        AudioInput(
            **entry, is_loopback=is_loopback(entry["name"]), use=f"valaro listen --device {shlex.quote(entry['name'])}"
        )
        for entry in message["inputs"]
    ]
    default = message["default"]
    return devices, default if isinstance(default, int) and default >= 0 else None


def portaudio() -> Any:
    """The sounddevice module. Raises DeviceError when the PortAudio library is not installed.

    The first import has PortAudio list the devices, once for the life of the process.
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


def find(wanted: str | int | None, devices: Sequence[AudioInput], default: int | None = None) -> AudioInput:
    """The input that ``wanted`` means among ``devices``.

    None: the ``default`` index, else the first. A name, regardless of case, with or without ", host API" after it: the
    one of exactly that name; then a number or its digits: that index; then the only one that contains the name.

    Raises
    ------
    DeviceError
        None or several match; one line with the inputs that are there.
    """
    usable = [device for device in devices if device.index is not None]
    if not usable:
        raise DeviceError("no audio input was found: connect one or start the sound server, then try `valaro devices`")
    if wanted is None:
        return next((device for device in usable if device.index == default), usable[0])
    matches = _matches(wanted, usable)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DeviceError(f"{wanted!r} could mean {_names(matches)}: give more of the name, or the index")
    for device in devices:
        if isinstance(wanted, str) and device.index is None and wanted.casefold() == device.name.casefold():
            raise DeviceError(f"{device.name} is a monitor of the sound server: run `{device.use}`")
    raise DeviceError(f"no audio input is called {wanted!r}; there are {_names(usable)} (see `valaro devices`)")


def _matches(wanted: str | int, usable: Sequence[AudioInput]) -> list[AudioInput]:
    text = str(wanted).casefold().strip()
    names = [(device, device.name.casefold(), f"{device.name}, {device.host_api}".casefold()) for device in usable]
    exact = [device for device, name, full in names if isinstance(wanted, str) and text in (name, full)]
    if exact or not text:
        return _one_per_device(exact)
    if text.isdecimal():  # before parts of names, or 2 could mean every "2i2"
        return [device for device in usable if str(device.index) == text]
    return _one_per_device([device for device, _, full in names if text in full])


def _one_per_device(matches: list[AudioInput]) -> list[AudioInput]:
    """On Windows the same device under several host APIs counts once, under the best of them."""
    same = len({device.name[:MME_NAME] for device in matches}) == 1
    apis = [device.host_api for device in matches]
    if not same or len(set(apis)) < len(apis) or not set(apis) <= set(PREFERRED_APIS):
        return matches
    return [min(matches, key=lambda device: PREFERRED_APIS.index(device.host_api))]


def _names(devices: Sequence[AudioInput]) -> str:
    names = [device.name for device in devices]
    apis = [f" ({device.host_api})" if names.count(device.name) > 1 else "" for device in devices]
    return ", ".join(f"{device.index} {device.name!r}{api}" for device, api in zip(devices, apis, strict=True))
