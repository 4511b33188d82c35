"""Real capture: a sound server plays, PortAudio records its monitor, the microphone hands it on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ...pulse import Stage, pulse_stage, stage

__all__ = ["pulse_stage"]

FREQUENCY = 441.0
AMPLITUDE = 0.5

CAPTURE = """
import sys, threading
import numpy as np
from valaro.streamer.core.ring import Ring
from valaro.streamer.sources import Microphone

channels = [int(each) for each in sys.argv[2:]] or None
source = Microphone("pulse", channels)
ring = Ring(20 * source.rate, source.channels)
source.start(ring.write_or_drop)
print(source.name, source.rate, source.channels, flush=True)  # says that it listens
blocks, loud, quiet = [], 0, 0
while loud < 2 * source.rate and source.failure is None:  # two seconds of the tone, whenever it begins
    ring.wait(0.1)
    block = ring.read(source.rate)
    is_loud = np.abs(block[:, 0]) > 0.01
    loud += np.count_nonzero(is_loud)
    blocks.append(block)
assert source.failure is None, source.failure
source.stop()
assert source.finished and source.failure is None
assert ring.dropped == 0
print(source.flags)
np.save(sys.argv[1], np.concatenate(blocks))
"""


def sine(path: Path, seconds: float, left: float = AMPLITUDE, right: float = AMPLITUDE) -> Path:
    time = np.arange(round(seconds * 48_000)) / 48_000
    wave = np.sin(2 * np.pi * FREQUENCY * time)
    soundfile.write(path, np.stack([left * wave, right * wave], axis=1), 48_000, subtype="FLOAT")
    return path


def capture(server: Stage, folder: Path, played: Path, *channels: int) -> tuple[np.ndarray, int]:
    """What the microphone heard while ``played`` was playing, and its rate."""
    heard = folder / "heard.npy"
    command = [sys.executable, "-c", CAPTURE, str(heard), *map(str, channels)]
    with subprocess.Popen(
        command, env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        first = listener.stdout.readline().split()
        with server.play(played) as player:
            try:
                _, errors = listener.communicate(timeout=60)
            finally:
                player.kill()
                listener.kill()
    assert listener.returncode == 0, errors
    assert errors == ""  # nothing of ALSA's own on the terminal
    assert first[0] == "pulse"
    samples = np.load(heard)
    assert samples.shape[1] == int(first[2])
    return samples, int(first[1])


def tone_part(samples: np.ndarray, rate: int) -> np.ndarray:
    """One second from the middle of the loud part, one channel."""
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    middle = int(np.median(loud))
    return samples[middle - rate // 2 : middle + rate // 2]


def test_a_tone_from_the_sound_server_comes_in_at_its_level_and_pitch(pulse_stage: Stage, tmp_path: Path) -> None:
    samples, rate = capture(pulse_stage, tmp_path, sine(tmp_path / "tone.wav", 8))
    assert samples.shape[1] == 2
    for channel in range(2):
        tone = tone_part(samples[:, channel], rate)
        assert np.sqrt(np.mean(tone**2)) == pytest.approx(AMPLITUDE / np.sqrt(2), rel=0.01)
        spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))
        assert np.fft.rfftfreq(len(tone), 1 / rate)[np.argmax(spectrum)] == pytest.approx(FREQUENCY, abs=1)


@pytest.mark.parametrize("channel", [1, 2])
def test_a_chosen_channel_is_that_channel(pulse_stage: Stage, tmp_path: Path, channel: int) -> None:
    levels = {"left": 0.1} if channel == 2 else {"right": 0.1}
    samples, rate = capture(pulse_stage, tmp_path, sine(tmp_path / "tone.wav", 8, **levels), channel)
    assert samples.shape[1] == 1
    tone = tone_part(samples[:, 0], rate)
    assert np.sqrt(np.mean(tone**2)) == pytest.approx(AMPLITUDE / np.sqrt(2), rel=0.01)


LISTING = """
import json
from dataclasses import asdict
from valaro.streamer.sources.devices.listing import inputs
print(json.dumps([asdict(each) for each in inputs()]))
"""


def python(server: Stage, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=server.env, capture_output=True, text=True, timeout=60, check=False)


def test_the_list_has_the_input_and_the_monitor_with_what_to_type(pulse_stage: Stage) -> None:
    ended = python(pulse_stage, LISTING)
    assert ended.stderr == ""
    found = {load["name"]: load for load in json.loads(ended.stdout)}
    assert found["pulse"]["use"] == "valaro listen --device pulse"
    monitor = found[pulse_stage.monitor]
    assert monitor["use"] == "PULSE_SOURCE=stage.monitor valaro listen --device pulse"
    assert (monitor["index"], monitor["channels"], monitor["rate"], monitor["is_loopback"]) == (None, 2, 48_000, True)


WRONG = """
from valaro.streamer.errors import ValaroError
from valaro.streamer.sources import Microphone
for device, channels in [("Scarlett", None), (99, None), ("stage.monitor", None), ("pulse", [33])]:
    try:
        Microphone(device, channels)
    except ValaroError as error:
        print(type(error).__name__, error)
"""


def test_wrong_names_and_channels_get_one_line_each(pulse_stage: Stage) -> None:
    ended = python(pulse_stage, WRONG)
    assert ended.stderr == ""
    unknown, index, monitor, channel = ended.stdout.splitlines()
    assert unknown.startswith("DeviceError no audio input is called 'Scarlett'; there are ")
    assert "'pulse'" in unknown
    assert "valaro devices" in unknown
    assert index.startswith("DeviceError no audio input is called 99")
    assert "PULSE_SOURCE=stage.monitor valaro listen --device pulse" in monitor
    assert channel == "InputError audio input 'pulse' records 'stage.monitor', which has channels 1 to 2, not 33"


LISTEN = """
from valaro.streamer.cli import run
listen = ["listen", "--device", "pulse", "--no-display", "--channels"]
print(run(["listen", "--device", "Scarlett"]), run([*listen, "3,4"]), run([*listen, "1,3", "--separate"]))
"""


def test_listening_to_a_wrong_input_is_one_line_and_its_code(pulse_stage: Stage) -> None:
    ended = python(pulse_stage, LISTEN)
    assert ended.stdout == "1 2 2\n"
    unknown, channels, separate = ended.stderr.splitlines()
    assert unknown.startswith("valaro: no audio input is called 'Scarlett'; there are ")
    assert channels == "valaro: audio input 'pulse' records 'stage.monitor', which has channels 1 to 2, not 3, 4"
    assert separate == "valaro: audio input 'pulse' records 'stage.monitor', which has channels 1 to 2, not 3"


BEHIND = """
import os
from valaro.streamer.sources import Microphone
from valaro.streamer.sources.devices.pulseaudio import source_behind
for chosen in ("solo.monitor", "@DEFAULT_MONITOR@", "@DEFAULT_SOURCE@", "", "nobody"):
    os.environ["PULSE_SOURCE"] = chosen
    print(chosen, *(source_behind("pulse") or ["unknown"]))
os.environ["PULSE_SOURCE"] = "solo.monitor"
print(source_behind("pipewire"), source_behind("default"), source_behind("hw:0,0"))
print(Microphone("pulse").channels)
os.environ["PATH"] = ""
print(source_behind("pulse"))
"""


def test_the_source_behind_the_servers_input_is_known_with_its_channels(pulse_stage: Stage) -> None:
    loaded = pulse_stage.pactl("load-module", "module-null-sink", "sink_name=solo", "channels=1")
    pulse_stage.pactl("set-default-sink", "stage")
    pulse_stage.pactl("set-default-source", "solo.monitor")
    try:
        ended = python(pulse_stage, BEHIND)
    finally:
        pulse_stage.pactl("unload-module", loaded.stdout.strip())
    assert ended.stdout.splitlines() == [
        "solo.monitor solo.monitor 1",
        "@DEFAULT_MONITOR@ stage.monitor 2",
        "@DEFAULT_SOURCE@ solo.monitor 1",
        " solo.monitor 1",
        "nobody unknown",
        "('solo.monitor', 1) ('solo.monitor', 1) None",
        "1",
        "None",
    ], ended.stderr


LATE = """
from valaro.streamer.errors import DeviceError
from valaro.streamer.sources import Microphone

late = Microphone("pulse")
print("found", flush=True)
input()
try:
    late.start(lambda block: len(block))
except DeviceError as error:
    print(error)
assert late.finished
"""


def test_an_input_that_went_before_it_was_opened_refuses_in_one_line() -> None:
    with (
        stage() as server,
        subprocess.Popen(
            [sys.executable, "-c", LATE],
            env=server.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as listener,
    ):
        assert listener.stdout is not None
        try:
            assert listener.stdout.readline() == "found\n"
            server.kill()
            output, errors = listener.communicate("\n", timeout=60)
        finally:
            listener.kill()
    assert (listener.returncode, errors) == (0, "")
    assert output.startswith("audio input 'pulse' refuses to open")
    assert output.count("\n") == 1
