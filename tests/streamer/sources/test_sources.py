"""Memory and files hand on every frame; devices are found by what people type, and their absence is one clear line."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.streamer._util.stderr import quiet_stderr
from valaro.streamer.core.protocols import Block, Source
from valaro.streamer.errors import DeviceError, InputError
from valaro.streamer.sources import AudioFile, Memory
from valaro.streamer.sources.base import RealtimePacer
from valaro.streamer.sources.devices.channel_format import choose
from valaro.streamer.sources.devices.listing import AudioInput, find, is_loopback, monitor_sources
from valaro.streamer.sources.microphone import refusal


class Taker:
    """What a ring does, with a room of its own: takes at most ``room`` frames a call and keeps them."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.blocks: list[Block] = []
        self.room = room

    def write(self, block: Block) -> int:
        self.blocks.append(block[: self.room].copy())
        return len(self.blocks[-1])

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate(self.blocks)


def play(source: Source, write: Callable[[Block], int]) -> None:
    source.start(write)
    while not source.finished:
        threading.Event().wait(0.001)
    source.stop()


def sound(seconds: float = 1.0, rate: int = 24_000, channels: int = 2) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([0.4 * np.sin(2 * np.pi * 220 * (c + 1) * time) for c in range(channels)], axis=1).astype("f4")


@pytest.mark.parametrize("room", [1 << 30, 100])
def test_memory_hands_on_each_frame_even_where_there_is_little_room(room: int) -> None:
    samples, taker = sound(0.2), Taker(room)
    source = Memory(samples, 24_000, block=960)
    play(source, taker.write)
    np.testing.assert_array_equal(taker.heard, samples)
    assert (source.rate, source.channels, source.flags, source.failure) == (24_000, 2, 0, None)
    assert max(map(len, taker.blocks)) == min(room, 960)


def test_memory_takes_mono_as_one_channel_and_refuses_other_shapes() -> None:
    assert Memory(np.zeros(10), 24_000).channels == 1
    for samples in (np.zeros((2, 2, 2)), np.zeros((4, 0))):
        with pytest.raises(InputError, match="samples must be"):
            Memory(samples, 24_000)
    with pytest.raises(InputError, match="at least 1"):
        Memory(np.zeros(10), 0)


def test_a_source_that_finds_no_room_can_be_stopped_and_twice_and_before_its_start() -> None:
    source = Memory(sound(0.1), 24_000)
    source.start(lambda _block: 0)
    assert not source.finished
    source.stop()
    source.stop()
    assert source.finished
    other = Memory(sound(0.1), 24_000)
    other.stop()
    assert other.finished
    with pytest.raises(RuntimeError, match="once"):
        other.start(len)


def test_what_breaks_in_the_thread_is_kept_as_the_failure() -> None:
    def write(_block: Block) -> int:
        raise ZeroDivisionError

    source = Memory(sound(0.1), 24_000)
    play(source, write)
    assert isinstance(source.failure, ZeroDivisionError)


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate", "loss"),
    [
        ("wav", "PCM_16", 44_100, 1e-4),
        ("wav", "FLOAT", 24_000, 0.0),
        ("flac", None, 48_000, 1e-4),
        ("ogg", "VORBIS", 44_100, 0.05),
        ("opus", "OPUS", 48_000, 0.05),
        ("mp3", None, 44_100, 0.05),
    ],
)
def test_a_file_comes_out_as_it_went_in(
    tmp_path: Path, suffix: str, subtype: str | None, rate: int, loss: float
) -> None:
    samples, path = sound(1.0, rate), tmp_path / f"tone.{suffix}"
    soundfile.write(path, samples, rate, subtype, format="OGG" if suffix in ("ogg", "opus") else None)
    taker, source = Taker(), AudioFile(path)
    play(source, taker.write)
    assert source.failure is None
    assert (source.rate, source.channels, source.name) == (rate, 2, str(path))
    heard = taker.heard
    assert heard.dtype == np.float32
    assert len(heard) == pytest.approx(len(samples), abs=0 if loss < 1e-3 else 2_400)  # MP3 pads with silence
    middle = slice(rate // 4, rate // 2)
    if suffix == "mp3":  # its padding shifts the tone: compare what does not shift
        assert np.sqrt(np.mean(heard[middle] ** 2)) == pytest.approx(0.4 / np.sqrt(2), rel=loss)
    else:
        np.testing.assert_allclose(heard[middle], samples[middle], atol=loss)


def test_a_file_is_read_in_blocks_of_the_size_asked_for(tmp_path: Path) -> None:
    samples, path = sound(0.6), tmp_path / "tone.wav"
    soundfile.write(path, samples, 24_000, subtype="FLOAT")
    blocks = list(AudioFile(path, block=500).blocks())
    assert [len(block) for block in blocks] == [500] * 28 + [400]
    np.testing.assert_array_equal(np.concatenate(blocks), samples)
    assert max(map(len, AudioFile(path, paced=True).blocks())) == 480  # 20 ms, as a device would


def test_pace_counts_from_the_start_so_that_waits_do_not_add_up() -> None:
    now = [100.0]
    pace = RealtimePacer(48_000, clock=lambda: now[0])
    late = 0.0005  # each wait oversleeps
    for block in range(1, 50 * 3_600):  # an hour of 20 ms blocks
        now[0] += max(0.0, pace.remaining(block * 960)) + late
    assert now[0] == pytest.approx(100.0 + (50 * 3_600 - 1) * 0.02 + late, abs=1e-6)
    now[0] += 0.9
    assert pace.remaining(50 * 3_600 * 960) == pytest.approx(-0.9 + 0.02 - late, abs=1e-6)


def test_what_was_due_while_the_program_stood_still_does_not_come_in_a_burst() -> None:
    now = [100.0]
    pace = RealtimePacer(48_000, clock=lambda: now[0])
    now[0] += 10.0
    assert [pace.remaining(block * 960) for block in (1, 2, 3)] == pytest.approx([0.0, 0.02, 0.04])


def test_a_paced_file_never_runs_ahead_of_the_clock(tmp_path: Path) -> None:
    samples, path = sound(0.5), tmp_path / "tone.wav"
    soundfile.write(path, samples, 24_000, subtype="FLOAT")
    source, heard = AudioFile(path, paced=True), 0
    began = RealtimePacer(24_000)  # before the source's own clock: so it may only find the source later than due

    def write(block: Block) -> int:
        nonlocal heard
        heard += len(block)
        assert began.remaining(heard) <= 1e-9
        return len(block)

    play(source, write)
    assert source.failure is None
    assert heard == len(samples)


def device(index: int | None, name: str, api: str = "ALSA", channels: int = 2) -> AudioInput:
    return AudioInput(index, name, api, channels, 48_000, is_loopback(name), f"use {name}")


STAGE = [device(0, "Scarlett 2i2 USB"), device(2, "Scarlett 2i2 USB Loopback"), device(5, "HDA Intel"), device(6, "7")]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (None, 5),
        (2, 2),
        ("2", 2),
        ("scarlett 2i2 usb", 0),  # exact comes first
        ("loopback", 2),
        ("INTEL", 5),
        ("hda intel, alsa", 5),
        ("7", 6),  # a name goes before an index
    ],
)
def test_an_input_is_found_by_name_part_or_index(wanted: str | int | None, index: int) -> None:
    assert find(wanted, STAGE, default=5).index == index


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("Scarlett", ["could mean", "0 'Scarlett 2i2 USB'", "2 'Scarlett 2i2 USB Loopback'"]),
        ("Focusrite", ["'Focusrite'", "5 'HDA Intel'", "valaro devices"]),
        (3, ["3", "5 'HDA Intel'", "valaro devices"]),
        ("", ["valaro devices"]),
        ("9" * 5000, ["valaro devices"]),  # more digits than Python turns into a number
    ],
)
def test_an_unknown_or_ambiguous_input_is_told_in_one_line(wanted: str | int, told: list[str]) -> None:
    with pytest.raises(DeviceError) as caught:
        find(wanted, STAGE)
    for each in told:
        assert each in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_device_under_several_windows_apis_is_one_device() -> None:
    many = [
        device(1, "Microphone (Scarlett 2i2 USB Au", "MME"),
        device(7, "Microphone (Scarlett 2i2 USB Audio)", "Windows DirectSound"),
        device(9, "Microphone (Scarlett 2i2 USB Audio)", "Windows WASAPI"),
    ]
    assert find("scarlett", many).index == 9
    assert find("Microphone (Scarlett 2i2 USB Audio), Windows DirectSound", many).index == 7
    with pytest.raises(DeviceError, match="could mean"):
        find("scarlett", [*many, device(10, "Line (Scarlett 2i2 USB Audio)", "Windows WASAPI")])
    with pytest.raises(DeviceError, match="could mean"):  # two of the same model
        find("usb", [device(0, "USB"), device(1, "USB")])


def test_a_monitor_s_name_tells_how_to_listen_to_it() -> None:
    with pytest.raises(DeviceError, match=r"run `use stage.monitor`"):
        find("stage.monitor", [device(0, "pulse"), device(None, "stage.monitor")])


@pytest.mark.parametrize("name", ["BlackHole 2ch", "Monitor of Built-in Audio", "Stereo Mix (Realtek)", "x [Loopback]"])
def test_loopbacks_are_known_by_their_names(name: str) -> None:
    assert is_loopback(name)
    assert not is_loopback("Built-in Microphone")


@pytest.mark.parametrize(
    ("offered", "asked", "expected"),
    [
        (1, None, (None, 1)),
        (8, None, (None, 8)),
        (32, None, (None, 2)),
        (4, [3, 4], ([2, 3], 4)),
        (32, [1], ([0], 1)),
    ],
)
def test_channels_are_counted_from_one_and_capped(
    offered: int, asked: list[int] | None, expected: tuple[list[int] | None, int]
) -> None:
    assert choose(device(0, "x", channels=offered), asked) == expected


@pytest.mark.parametrize("asked", [[], [0], [3], [1, 9]])
def test_channels_that_are_not_there_are_refused(asked: list[int]) -> None:
    with pytest.raises(InputError, match="channels 1 to 2"):
        choose(device(0, "x"), asked)


def test_a_busy_and_a_refusing_input_are_told_apart() -> None:
    assert "busy" in str(refusal("Scarlett", "Device unavailable", -9985))
    told = str(refusal("Scarlett", "Invalid sample rate", -9997))
    assert told.startswith("audio input 'Scarlett' refuses to open (Invalid sample rate)")


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: PortAudio lists the devices once, when it is loaded."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=os.environ | env
    )


REPORT = """
from valaro.streamer.errors import ValaroError
from valaro.streamer.sources import Microphone
try:
    Microphone({device})
except ValaroError as error:
    print(type(error).__name__, error)
"""
# No sound server, whatever runs here; a card cannot be hidden.
BARE = {"PULSE_SERVER": "unix:/nonexistent", "PIPEWIRE_REMOTE": "/nonexistent", "JACK_NO_START_SERVER": "1"}
CARDS = not sys.platform.startswith("linux") or any(Path("/dev/snd").glob("pcm*c"))


@pytest.mark.skipif(CARDS, reason="this machine has a sound card")
@pytest.mark.parametrize("wanted", ["None", "'Scarlett'", "0"])
def test_a_machine_without_inputs_says_so_in_one_line_and_nothing_else(wanted: str) -> None:
    ended = python(REPORT.format(device=wanted), **BARE)
    assert ended.stdout.startswith("DeviceError no audio input was found"), ended.stderr
    assert ended.stdout.count("\n") == 1
    assert ended.stderr == ""


COMMAND = "import sys; from valaro.streamer.cli import run; sys.exit(run({arguments}))"


@pytest.mark.skipif(CARDS, reason="this machine has a sound card")
@pytest.mark.parametrize("arguments", [["listen"], ["listen", "--device", "Scarlett", "--no-display"]])
def test_listening_without_inputs_fails_in_one_line(arguments: list[str]) -> None:
    ended = python(COMMAND.format(arguments=arguments), **BARE)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("valaro: no audio input was found")
    assert ended.stderr.count("\n") == 1


NO_LIBRARY = "import ctypes.util\nctypes.util.find_library = lambda name: None\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the package brings PortAudio along elsewhere")
def test_a_missing_portaudio_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_LIBRARY)  # for the process that loads it, too
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = python(REPORT.format(device="None"), PYTHONPATH=path)
    assert ended.stdout.startswith("DeviceError the PortAudio library is missing"), ended.stderr
    assert "apt install libportaudio2" in ended.stdout
    assert ended.stderr == ""


def test_listing_without_a_sound_system_is_empty_quiet_and_gives_a_reason_for_midi() -> None:
    ended = python(
        "from valaro.streamer.cli.devices import midi_outputs\n"
        "from valaro.streamer.sources.devices.listing import inputs\n"
        "found = inputs()\nnames, reason = midi_outputs()\n"
        "assert all(each.use for each in found)\nassert names or reason is None or 'MIDI' in reason, reason\n",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_monitors_are_none_without_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert monitor_sources() == []


def test_only_what_is_set_up_inside_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"ALSA lib: noise\n")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"
