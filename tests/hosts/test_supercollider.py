"""SuperCollider gets what is sent, and the pad among the examples sounds as the music feels."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pythonosc.udp_client import SimpleUDPClient
from valaro.streamer.sinks import Osc

from ..streamer.jack import jack
from ..streamer.oscdump import free_port, wait_for
from .programs import HOSTS, emission, need, running, same

__all__ = ["jack"]

RATE = 48_000


def script(name: str, folder: Path, **words: object) -> Path:
    """A copy of a script beside this file, with its words in capitals replaced."""
    text = (Path(__file__).parent / name).read_text()
    for word, value in words.items():
        assert word in text
        text = text.replace(word, str(value))
    copy = folder / name
    copy.write_text(text)
    return copy


def sclang(path: Path, log: Path, **environment: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return running(["sclang", str(path)], log, QTWEBENGINE_DISABLE_SANDBOX="1", **environment)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The language running, with every address printed: its port and what it prints."""
    need(sclang="supercollider-language")
    folder, port = tmp_path_factory.mktemp("sclang"), free_port()
    path = script("everything.scd", folder, PORT=port, EXAMPLE=HOSTS / "supercollider.scd")
    log = folder / "log"
    with sclang(path, log):
        wait_for(lambda: "\nreceives\n" in log.read_text())
        yield port, log


def test_the_example_compiles(receiver: tuple[int, Path]) -> None:
    assert "\ncompiles true\n" in receiver[1].read_text()


@pytest.mark.parametrize("bundle", [True, False], ids=["bundle", "messages"])
def test_every_address_arrives_with_its_values(bundle: bool, receiver: tuple[int, Path]) -> None:
    port, log = receiver
    before = len(log.read_text())
    affect = emission(-0.25, 0.5, time=1.5 + bundle)
    sink = Osc(f"127.0.0.1:{port}", bundle=bundle)
    sink.send(affect)
    sink.close()
    wait_for(lambda: re.search(r"^got clock .*\n", log.read_text()[before:], re.MULTILINE) is not None)
    lines = [line.split()[1:] for line in log.read_text()[before:].splitlines() if line.startswith("got ")]
    assert same({address: values for address, *values in lines}, affect)


@pytest.mark.usefixtures("jack")
def test_the_pad_is_dark_for_sad_music_and_bright_for_happy(tmp_path: Path) -> None:
    need(sclang="supercollider-language", scsynth="supercollider-server")
    port = free_port()
    words = {"PORT": port, "SERVER": free_port(), "RECORDING": tmp_path / "pad.wav"}
    path = script("pad.scd", tmp_path, EXAMPLE=HOSTS / "supercollider.scd", **words)
    log = tmp_path / "log"
    command, sink = SimpleUDPClient("127.0.0.1", port), Osc(f"127.0.0.1:{port}")
    with ExitStack() as stack:
        stack.enter_context(sclang(path, log))
        wait_for(lambda: "The pad waits" in log.read_text())
        command.send_message("/test/record", [])
        wait_for(lambda: "records\n" in log.read_text())
        for valence, arousal in ((-0.8, -0.8), (0.8, 0.8)):
            sink.send(emission(valence, arousal))
            time.sleep(4)  # of the recording
        command.send_message("/test/stop", [])
        wait_for(lambda: "recorded\n" in log.read_text())
    sink.close()
    sound, rate = soundfile.read(tmp_path / "pad.wav")
    assert rate == RATE
    # In shares: a busy machine's clock of sound runs slower, and it records less of both.
    sad, happy = sound[: len(sound) // 3].mean(axis=1), sound[-len(sound) // 4 :].mean(axis=1)
    assert min(np.abs(sad).max(), np.abs(happy).max()) > 0.01
    assert brightness(happy) > 1.5 * brightness(sad)


def brightness(sound: np.ndarray) -> float:
    """The spectrum's centre of gravity, Hz."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(power @ np.fft.rfftfreq(len(sound), 1 / RATE) / power.sum())
