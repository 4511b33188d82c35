"""Which audio inputs and MIDI outputs this machine has, and what to pass on the command line to get them."""

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DeviceError

LOOPBACK_WORDS = (
    *("monitor of", ".monitor", "loopback", "stereo mix", "what u hear"),  # PulseAudio, WASAPI, Windows drivers
    *("blackhole", "soundflower", "background music", "cable output", "voicemeeter"),  # virtual cables
)
# Windows lists one device under up to four of these; the first are those that give the native rate and the full name.
PREFERRED_APIS = ("Windows WASAPI", "Windows WDM-KS", "Windows DirectSound", "MME")
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
    """All audio inputs: PortAudio's, then the sound server's monitor sources. DeviceError without PortAudio."""
    found = portaudio_inputs()
    # Without this plugin there is no way to a monitor; with it a server is up, so that asking does not start one.
    return found + (monitor_sources() if any(each.name == "pulse" for each in found) else [])


def portaudio() -> Any:
    """The sounddevice module; DeviceError when the PortAudio library is not installed.

    The first import makes PortAudio list the devices, once for the life of the process.
    """
    try:
        with quiet_stderr():
            import sounddevice
    except OSError as error:
        raise DeviceError(
            "the PortAudio library is missing: install it (apt install libportaudio2, or brew install portaudio)"
        ) from error
    return sounddevice


def portaudio_inputs() -> list[AudioInput]:
    """PortAudio's inputs, in its order."""
    library = portaudio()
    apis = [api["name"] for api in library.query_hostapis()]
    return [
        AudioInput(
            index=index,
            name=device["name"],
            host_api=apis[device["hostapi"]],
            channels=device["max_input_channels"],
            rate=round(device["default_samplerate"]),
            is_loopback=is_loopback(device["name"]),
            use=f"valaro listen --device {shlex.quote(device['name'])}",
        )
        for index, device in enumerate(library.query_devices())
        if device["max_input_channels"] > 0
    ]


def default_index() -> int | None:
    """PortAudio's default input; None when it has none."""
    index = portaudio().default.device[0]
    return index if isinstance(index, int) and index >= 0 else None


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


def midi_outputs() -> tuple[list[str], str | None]:
    """The names of the MIDI output ports, and why there are none when the system offers no MIDI at all (else None)."""
    try:
        import rtmidi

        with quiet_stderr():
            output = rtmidi.MidiOut()  # pyright: ignore[reportAttributeAccessIssue]  made by a star import
            try:
                return list(output.get_ports()), None
            finally:
                output.delete()
    except ImportError as error:
        return [], f"python-rtmidi cannot be loaded: {error}"
    except Exception as error:  # noqa: BLE001  rtmidi's errors have no common base below Exception
        return [], f"no MIDI on this machine: {' '.join(str(error).split())}"


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what C libraries print on file descriptor 2 off the terminal, for as long as a device is set up.

    PortAudio, ALSA and JACK report each card that is not there in lines of their own; what matters comes as an error
    code as well. Any thread's stderr is silenced meanwhile, so keep it short.
    """
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all: a windowed program
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
