"""Other packages' sources: heard, watched, and stood in for by silence when they stall."""

import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from valaro.models.doors import SOURCES, Plugin
from valaro.streamer.app import plugins, steady_source
from valaro.streamer.app.steady_source import SteadySource
from valaro.streamer.cli import run
from valaro.streamer.errors import PluginError

from .packages import install, times

Captured = pytest.CaptureFixture[str]


SOURCE = """
import threading
import numpy as np
class Noise:
    name, rate, channels, live = "noise", 24_000, 1, True
    lost, flags, losses, filled, failure = False, 0, 0, 0, None
    def __init__(self, blocks=10**9, pause=0.0, shape=(480, 1)):
        self.blocks, self.pause, self.shape = blocks, pause, tuple(shape)
        self.over = threading.Event()
        self.finished = False
    def start(self, write):
        threading.Thread(target=self.run, args=(write,), daemon=True).start()
    def stop(self):
        self.over.set()
    def run(self, write):
        rng = np.random.default_rng(0)
        for number in range(self.blocks):
            write(0.1 * rng.standard_normal(self.shape).astype(np.float32))
            if self.over.wait(0.02):
                return
        self.over.wait(self.pause)
        self.finished = True
"""


def listening(bundle: Path, receiver: socket.socket, *words: str) -> tuple[int, list[float]]:
    to = f"127.0.0.1:{receiver.getsockname()[1]}"
    return run(["listen", "--no-display", "--osc", to, "--model", str(bundle), *words]), times(receiver)


def test_a_source_is_heard(site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path) -> None:
    install(site, "valaro-noise", SOURCE, sources="noise = Noise")
    (tmp_path / "show.toml").write_text('source = "noise"\n[sources.noise]\nblocks = 60\n')
    code, sent = listening(bundle, receiver, "--config", str(tmp_path / "show.toml"))
    assert (code, sent[:2]) == (0, [0.5, 1.0])


def test_silence_stands_in_for_a_source_that_stalls(
    site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path, capsys: Captured
) -> None:
    install(site, "valaro-noise", SOURCE, sources="noise = Noise")
    (tmp_path / "show.toml").write_text("[sources.noise]\nblocks = 30\npause = 4.0\n")
    code, sent = listening(bundle, receiver, "--source", "noise", "--config", str(tmp_path / "show.toml"))
    told = capsys.readouterr().err
    assert code == 3
    assert sent == [number / 2 for number in range(1, len(sent) + 1)]
    assert len(sent) >= 6  # 0.6 s of noise, and most of the four seconds in which it stalls
    assert "the source noise sends nothing: silence stands in (loss 1)" in told
    assert "lost 1 times the input" in told


def test_a_block_that_is_none_is_left_out(site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path) -> None:
    install(site, "valaro-noise", SOURCE, sources="noise = Noise")
    made = SteadySource(plugins.find(SOURCES, "noise"), {"blocks": 3, "shape": [480, 2]})
    taken: list[np.ndarray] = []
    made.start(lambda block: taken.append(block) or len(block))
    deadline = time.monotonic() + 30
    while not made.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    made.stop()
    assert (taken, made.flags) == ([], 3)


def test_a_source_that_comes_back_is_heard_again_from_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream's time goes on with the clock's: what the silence stood in for is not heard twice."""
    gate = threading.Event()
    written: list[int] = []

    class Halting:
        name, rate, channels, live = "halting", 24_000, 1, True
        lost, flags, losses, filled, failure, finished = False, 0, 0, 0, None, False

        def start(self, write) -> None:  # noqa: ANN001
            self.write = write

        def stop(self) -> None:
            gate.set()

    source = Halting()
    monkeypatch.setattr(plugins, "make", lambda plugin, table: source)
    made = SteadySource(Plugin(SOURCES, "halting", "package", "1", "module:Halting"), {})
    began = time.monotonic()
    made.start(lambda block: written.append(len(block)) or len(block))
    source.write(np.ones((480, 1), dtype=np.float32))
    deadline = time.monotonic() + 30
    while not made.lost and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made.lost
    source.write(np.ones((480, 1), dtype=np.float32))
    assert not made.lost
    assert sum(written) / 24_000 <= time.monotonic() - began + 0.1
    made.stop()
    assert made.losses == 1


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise OSError('no card')", "cannot be loaded: OSError: no card"),
        (SOURCE.replace("24_000", "'fast'"), "states a rate of 'fast'"),
        (SOURCE.replace('"noise", 24_000, 1,', '"noise", 24_000, 0,'), "states a channels of 0"),
        (SOURCE.replace("def start(self, write):", "def start(self, write):\n        1 / 0"), "does not start"),
    ],
)
def test_a_source_that_cannot_be_had_is_one_line(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured, code: str, says: str
) -> None:
    install(site, "valaro-noise", code, sources="noise = Noise")
    assert listening(bundle, receiver, "--source", "noise") == (1, [])
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_a_source_that_hangs_as_it_is_made_ends_in_a_line(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady_source, "LOADING", 0.2)
    install(site, "valaro-noise", "import threading\nthreading.Event().wait(5)\n" + SOURCE, sources="noise = Noise")
    with pytest.raises(PluginError, match=r"is not ready: .* does not return within"):
        SteadySource(plugins.find(SOURCES, "noise"), {})


@pytest.mark.parametrize("block", [None, "abc", np.float32(0.1), np.zeros(480, np.float32)])
def test_whatever_it_writes_its_thread_goes_on(site: Path, block: object) -> None:
    install(site, "valaro-noise", SOURCE, sources="noise = Noise")
    made = SteadySource(plugins.find(SOURCES, "noise"), {"blocks": 0})
    made.start(len)
    made._take(block)  # type: ignore[arg-type]
    made.stop()
    assert made.flags == 1


def test_what_it_cannot_say_of_itself_is_counted(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = "\n    @property\n    def flags(self):\n        raise OSError('gone')\n"
    code = SOURCE.replace("lost, flags, losses", "lost, _, losses") + broken
    install(site, "valaro-noise", code, sources="noise = Noise")
    made = SteadySource(plugins.find(SOURCES, "noise"), {"blocks": 0})
    made.start(len)
    assert (made.flags, made.flags) == (1, 2)
    made.stop()
    assert sum("gone" in record.getMessage() for record in caplog.records) == 1


def test_one_whose_start_does_not_return_is_one_line(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steady_source, "STARTING", 0.2)
    monkeypatch.setattr(steady_source, "CLOSING", 0.2)
    code = SOURCE.replace("def start(self, write):", "def start(self, write):\n        threading.Event().wait()")
    install(site, "valaro-noise", code, sources="noise = Noise")
    assert listening(bundle, receiver, "--source", "noise") == (1, [])
    assert "does not return within 0.2 s" in capsys.readouterr().err


def test_one_whose_stop_raises_or_hangs_is_counted(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady_source, "CLOSING", 0.2)
    for does in ("1 / 0", "threading.Event().wait()"):
        code = SOURCE.replace("def stop(self):", f"def stop(self):\n        {does}")
        package = f"valaro-noise-{len(does)}"
        install(site, package, code, sources=f"noise{len(does)} = Noise")
        made = SteadySource(plugins.find(SOURCES, f"noise{len(does)}"), {"blocks": 0})
        made.start(len)
        made.stop()
        assert made.flags == 1


def test_long_blocks_that_come_in_time_are_no_loss(site: Path) -> None:
    install(site, "valaro-noise", SOURCE.replace("wait(0.02)", "wait(1.0)"), sources="noise = Noise")
    made = SteadySource(plugins.find(SOURCES, "noise"), {"blocks": 3, "shape": [24_000, 1]})
    heard: list[int] = []
    made.start(lambda block: heard.append(len(block)) or len(block))
    deadline = time.monotonic() + 30
    while not made.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    made.stop()
    assert (made.losses, made.filled) == (0, 0)


def test_a_table_of_a_source_that_is_not_there_is_bad_input(site: Path, tmp_path: Path, capsys: Captured) -> None:
    install(site, "valaro-noise", SOURCE, sources="noise = Noise")
    (tmp_path / "show.toml").write_text("[sources.nois]\nblocks = 3\n")
    assert run(["listen", "--source", "noise", "--config", str(tmp_path / "show.toml")]) == 2
    assert "did you mean noise?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--source", "noise", "--device", "x"], ["--source", "noise", "--channels", "1"]])
def test_a_plugins_sound_has_no_device(site: Path, words: list[str]) -> None:
    install(site, "valaro-noise", SOURCE, sources="noise = Noise")
    assert run(["listen", *words]) == 2
