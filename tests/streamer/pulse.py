"""A sound card's stand-in: a PulseAudio daemon of the tests' own, with a null sink whose monitor PortAudio captures.

``with stage() as server:`` gives a :class:`Stage`; processes that are started with ``server.env`` find its monitor as
PortAudio's input ``pulse``, and what ``server.play(path)`` plays comes out of it. PortAudio lists the devices once per
process, so a capture belongs in a subprocess. As a fixture: ``from .pulse import pulse_stage`` in the test file.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAMS = ("pulseaudio", "pactl", "paplay")
PATIENCE = 30.0  # s for the daemon to come up on a busy machine
SINK = "stage"


@dataclass(slots=True)
class Stage:
    """A daemon: ``env`` for the processes that are to use it, ``monitor`` the name of the sink's monitor."""

    folder: Path
    env: dict[str, str]
    monitor: str = f"{SINK}.monitor"
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self, rate: int = 48_000) -> None:
        """Run it, with the sink at ``rate``, until it answers; also in the place of one that was killed."""
        command = [
            *("pulseaudio", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "-n"),
            *("-L", f"module-null-sink {sink(SINK, rate)}"),
            *("-L", "module-native-protocol-unix"),
        ]
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.pactl("info").returncode == 0:
                return
            time.sleep(0.05)
        pytest.fail(f"pulseaudio does not answer: {(self.folder / 'log').read_text(errors='replace')}")

    def pactl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Tell the daemon something."""
        command = ["pactl", *words]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def load_sink(self, name: str = SINK) -> str:
        """Add a null sink; the number to unload it by."""
        done = self.pactl("load-module", "module-null-sink", *sink(name).split())
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def play(self, path: Path) -> subprocess.Popen[bytes]:
        """Start playing a sound file into the sink, in real time; the caller waits for it or ends it."""
        return subprocess.Popen(["paplay", f"--device={SINK}", str(path)], env=self.env)

    def kill(self) -> None:
        """End the daemon as if it had crashed."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the daemon in order, if it has not ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def sink(name: str, rate: int = 48_000) -> str:
    """What makes a null sink that changes no sample played at its own rate."""
    return f"sink_name={name} rate={rate} channels=2 format=float32le"


def why_not() -> str | None:
    """Why there can be no daemon here; None when there can."""
    if not sys.platform.startswith("linux"):
        return "PulseAudio stands in for a sound card on Linux only"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if not any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
        absent.append("the ALSA plugin for PulseAudio")
    return (
        f"{', '.join(absent)} missing: apt install pulseaudio pulseaudio-utils libasound2-plugins" if absent else None
    )


@contextlib.contextmanager
def stage(rate: int = 48_000) -> Iterator[Stage]:
    """A daemon with a null sink at ``rate`` until the block ends; it changes no sample that is played at this rate.

    Where it cannot be: skips.
    """
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    # The socket's path may have 108 characters: pytest's own temporary folders can be too deep for that.
    with tempfile.TemporaryDirectory(prefix="stage-") as folder:
        running = Stage(Path(folder), _environment(Path(folder)))
        try:
            running.start(rate)
            yield running
        finally:
            running.stop()


def _environment(folder: Path) -> dict[str, str]:
    """This process's environment, without a way to any sound server but the one in ``folder``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULSE_", "DBUS_", "PIPEWIRE_"))}
    folder.chmod(0o700)  # PulseAudio refuses any other
    return kept | {
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PULSE_SERVER": f"unix:{folder}/pulse/native",
        "PULSE_SOURCE": f"{SINK}.monitor",
    }


@pytest.fixture(scope="module")
def pulse_stage() -> Iterator[Stage]:
    """A daemon for all tests of a file."""
    with stage() as server:
        yield server
