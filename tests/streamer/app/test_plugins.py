"""Other packages' sinks and sources at Valaro's doors: what works, and what misbehaves while the show goes on."""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from valaro.models.doors import SINKS, SOURCES, Plugin, listed
from valaro.streamer.app import isolation, plugins
from valaro.streamer.app.isolation import SteadySource
from valaro.streamer.app.settings import Options, merge
from valaro.streamer.cli import run
from valaro.streamer.errors import InputError, PluginError

from ...models.synthetic_bundle import synthetic_bundle
from .broken_plugins import SINK_BASE, install

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path, as site-packages is one."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [
        name for name, module in sys.modules.items() if str(folder) in (getattr(module, "__file__", "") or "")
    ]:
        del sys.modules[name]


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(1.0)
        yield opened


def times(receiver: socket.socket) -> list[float]:
    """The stream times of all emissions that came."""
    found = []
    receiver.setblocking(False)
    while True:
        try:
            bundle = OscBundle(receiver.recv(65_536))
        except BlockingIOError:
            return found
        found += [message.params[0] for message in bundle if message.address == "/valaro/time"]  # type: ignore[union-attr]


def show(bundle: Path, receiver: socket.socket, *words: str, seconds: float = 1.5) -> tuple[int, list[float]]:
    """A moment of the demo with a receiver beside the plugin: exit code, and the emissions that it was sent."""
    to = f"127.0.0.1:{receiver.getsockname()[1]}"
    arguments = ["demo", "--seconds", str(seconds), "--no-display", "--osc", to, "--model", str(bundle), *words]
    return run(arguments), times(receiver)


EVERY = [0.5, 1.0, 1.5]

WITNESS = (
    SINK_BASE
    + """
import json
class Witness(Base):
    option_key = "path"
    def __init__(self, path, greeting="hello"):
        self.file = open(path, "w")
        self.file.write(json.dumps({"greeting": greeting}) + "\\n")
    def attach(self, running):
        self.file.write(json.dumps({"decoder": running.settings.decoder, "state": running.status().state}) + "\\n")
    def send(self, affect):
        self.file.write(json.dumps({"time": affect.time}) + "\\n")
    def close(self):
        self.file.close()
"""
)


def test_a_sink_takes_every_emission_and_may_look_at_the_session(
    site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path, capsys: Captured
) -> None:
    install(site, "valaro-witness", WITNESS, sinks="witness = Witness")
    code, sent = show(bundle, receiver, "--witness", str(tmp_path / "seen"))
    assert (code, sent) == (0, EVERY)
    first, second, *rest = map(json.loads, (tmp_path / "seen").read_text().splitlines())
    assert (first, second) == ({"greeting": "hello"}, {"decoder": "fusion", "state": "listening"})
    assert [line["time"] for line in rest] == EVERY
    assert "lost nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "table", ['[sinks.witness]\npath = "PATH"\ngreeting = "hi"\n', '[witness]\npath = "PATH"\ngreeting = "hi"\n']
)
def test_a_configuration_gives_it_a_table_of_its_own(
    site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path, table: str
) -> None:
    install(site, "valaro-witness", WITNESS, sinks="witness = Witness")
    seen, config = tmp_path / "seen", tmp_path / "show.toml"
    config.write_text(table.replace("PATH", str(seen)))
    assert show(bundle, receiver, "--config", str(config))[0] == 0
    assert '"greeting": "hi"' in seen.read_text()
    assert show(bundle, receiver, "--config", str(config), "--witness", str(tmp_path / "other"))[0] == 0
    assert '"greeting": "hi"' in (tmp_path / "other").read_text()  # the option counts before the file's key


def test_a_key_at_the_top_says_what_the_option_says(site: Path, tmp_path: Path) -> None:
    """As the page's ``web = 8000`` will."""
    install(site, "valaro-witness", WITNESS, sinks="witness = Witness")
    config = tmp_path / "show.toml"
    config.write_text(f'witness = "{tmp_path / "seen"}"\n')
    [wanted] = merge(Options(config=config)).plugin_sinks
    plugins.make(plugins.find(SINKS, wanted.name), wanted.table, wanted.value).close()
    assert (tmp_path / "seen").exists()


BROKEN = {
    "raises at import": ("raise OSError('no lamp here')", "cannot be loaded: OSError: no lamp here"),
    "exits at import": ("import sys; sys.exit('bye')", "it asked the program to end (sys.exit('bye'))"),
    "is no class": ("Lamp = 3", "which makes nothing"),
    "lacks what it names": ("", "cannot be loaded: AttributeError"),
    "does not start": (
        SINK_BASE + "class Lamp(Base):\n    def __init__(self):\n        raise OSError('unplugged')",
        "does not start: OSError: unplugged",
    ),
    "exits as it starts": (
        SINK_BASE + "class Lamp(Base):\n    def __init__(self):\n        raise SystemExit(4)",
        "does not start: it asked the program to end (sys.exit(4))",
    ),
    "raises in attach": (
        SINK_BASE + "class Lamp(Base):\n    def attach(self, running):\n        1 / 0",
        "ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_sink_that_cannot_be_had_never_stops_the_show(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured, what: str
) -> None:
    code, says = BROKEN[what]
    install(site, "valaro-broken", code, sinks="lamp = Lamp")
    assert show(bundle, receiver, "--sink", "lamp") == (0, EVERY)
    told = capsys.readouterr().err
    assert says in told
    assert told.count("the show goes on without the sink lamp") == 1
    assert "lost 1 times a plugin, 3 emissions that a plugin did not take" in told


def test_a_sink_that_raises_is_told_once_and_counted(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured
) -> None:
    code = SINK_BASE + "class Lamp(Base):\n    def send(self, affect):\n        raise SystemExit('now')"
    install(site, "valaro-broken", code, sinks="lamp = Lamp")
    assert show(bundle, receiver, "--sink", "lamp") == (0, EVERY)
    told = capsys.readouterr().err
    assert told.count("the sink lamp: it asked the program to end") == 1
    assert "lost 3 times a plugin" in told


def test_a_sink_that_blocks_for_ever_is_left_behind(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "CLOSING", 0.2)
    code = (
        SINK_BASE + "import threading\nclass Lamp(Base):\n    def send(self, affect):\n        threading.Event().wait()"
    )
    install(site, "valaro-broken", code, sinks="lamp = Lamp")
    assert show(bundle, receiver, "--sink", "lamp") == (0, EVERY)
    told = capsys.readouterr().err
    assert "does not end within 0.2 s and is left behind" in told
    assert "3 emissions that a plugin did not take" in told


def test_a_sink_that_takes_long_to_import_joins_the_show_late(
    site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "LOADING", 0.2)
    install(site, "valaro-slow", "import time; time.sleep(2)\n" + WITNESS, sinks="slow = Witness")
    code, sent = show(bundle, receiver, "--slow", str(tmp_path / "seen"), seconds=6.0)
    assert (code, len(sent)) == (0, 12)
    assert "still loading after 0.2 s: the show begins without it" in capsys.readouterr().err
    assert '"time": 6.0' in (tmp_path / "seen").read_text()


@pytest.mark.long
def test_an_import_of_ten_seconds_holds_up_no_emission(
    site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path, capsys: Captured
) -> None:
    install(site, "valaro-slow", "import time; time.sleep(10)\n" + WITNESS, sinks="slow = Witness")
    code, sent = show(bundle, receiver, "--slow", str(tmp_path / "seen"), seconds=12.0)
    assert (code, sent) == (0, [number / 2 for number in range(1, 25)])
    assert "the show begins without it" in capsys.readouterr().err
    assert '"time": 12.0' in (tmp_path / "seen").read_text()


def test_more_than_waits_is_passed_over_and_counted(site: Path) -> None:
    from ..fakes import neutral

    install(site, "valaro-slow", SINK_BASE + "class Lamp(Base):\n    pass", sinks="lamp = Lamp")
    sink = isolation.IsolatedSink(plugins.find(SINKS, "lamp"), {})
    for number in range(isolation.MOST_WAITING + 10):  # never opened: nobody takes them
        sink.send(neutral(number / 2))
    assert sink.skipped == 10


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--sink", "lump"], "no plugin brings a sink 'lump': did you mean lamp?"),
        (["--sink", "osc"], "osc is a sink with options and a table of its own"),
        (["--lamp"], "Option '--lamp' requires an argument"),
        (["--lamp", "3"], "sink lamp takes no value: write a table [sinks.lamp] in a config"),
        (["--lumb", "3"], "No such option: --lumb (did you mean --lamp?)"),
        (["--sink", "lamp", "more"], "Got unexpected extra argument (more)"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured, words: list[str], says: str
) -> None:
    install(site, "valaro-lamp", SINK_BASE + "class Lamp(Base):\n    pass", sinks="lamp = Lamp")
    assert show(bundle, receiver, *words) == (2, [])
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("colour = 3", "sink lamp takes no 'colour': it takes port, pitch"),
        ("", "sink lamp needs port: write it in its table in a config"),
        ('port = "x"\npitch = -1', "sink lamp: ValueError: a pitch of -1: see [sinks.lamp]"),
    ],
)
def test_a_wrong_table_is_bad_input(
    site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path, capsys: Captured, table: str, says: str
) -> None:
    code = SINK_BASE + (
        "class Lamp(Base):\n    def __init__(self, port, pitch=1):\n        if pitch < 0:\n"
        "            raise ValueError(f'a pitch of {pitch}')"
    )
    install(site, "valaro-lamp", code, sinks="lamp = Lamp")
    (tmp_path / "show.toml").write_text(f"[sinks.lamp]\n{table}\n")
    assert show(bundle, receiver, "--config", str(tmp_path / "show.toml"))[0] == 2
    assert says in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------- sources

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
    assert code == 0
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
    monkeypatch.setattr(isolation, "LOADING_SOURCE", 0.2)
    install(site, "valaro-noise", "import threading\nthreading.Event().wait(5)\n" + SOURCE, sources="noise = Noise")
    with pytest.raises(PluginError, match="not ready after"):
        SteadySource(plugins.find(SOURCES, "noise"), {})


@pytest.mark.parametrize("words", [["--source", "noise", "--device", "x"], ["--source", "noise", "--channels", "1"]])
def test_a_plugins_sound_has_no_device(site: Path, words: list[str]) -> None:
    install(site, "valaro-noise", SOURCE, sources="noise = Noise")
    assert run(["listen", *words]) == 2


# ------------------------------------------------------------------------------------------------------------ listing


def test_names_are_listed_without_an_import(site: Path, capsys: Captured, tmp_path: Path) -> None:
    witness = tmp_path / "imported"
    install(site, "valaro-proud", f"open({str(witness)!r}, 'w')", sinks="proud = Proud", sources="loud = Loud")
    assert run(["plugins"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("proud", "loud", "valaro-proud 1.0", "osc", "device"))
    assert not witness.exists()
    assert run(["listen", "--help"]) == 0
    assert run(["demo", "--seconds", "-1"]) == 2
    assert not witness.exists()


def test_what_fails_to_load_is_told_with_its_reason(
    site: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site))
    install(site, "valaro-broken", "import nothing_of_this_name", sinks="lamp = Lamp")
    assert run(["plugins", "--load"]) == 1
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if "lamp" in line)
    assert "ModuleNotFoundError" in line
    assert sum("loads" in line for line in shown.splitlines()) >= 8


def test_of_two_of_one_name_one_is_taken_and_valaros_own_first(site: Path, capsys: Captured) -> None:
    for package in ("valaro-a", "valaro-b"):
        install(site, package, SINK_BASE + "class Lamp(Base):\n    pass", sinks="lamp = Lamp\nosc = Lamp")
    found = {(plugin.name, plugin.package): plugin.shadowed_by for plugin in listed(SINKS)}
    assert found["lamp", "valaro-a"] == ""
    assert found["lamp", "valaro-b"] == "valaro-a"
    assert found["osc", "valaro"] == ""
    assert found["osc", "valaro-a"] == "valaro"
    assert run(["plugins"]) == 0
    assert "not used: valaro-a has this name already" in capsys.readouterr().out


def test_valaros_own_come_in_by_the_same_doors() -> None:
    from valaro.streamer.osc.sink import Osc
    from valaro.streamer.sources.audio_file import AudioFile

    assert plugins.own(SINKS, "osc") is Osc
    assert plugins.own(SOURCES, "file") is AudioFile
    wired = {(door, plugin.name) for door in (SINKS, SOURCES) for plugin in listed(door) if plugin.own}
    assert wired == {(door, name) for door, names in plugins.WIRED.items() for name in names}


def test_who_asks_for_a_plugin_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none is installed"):
        plugins.find(SOURCES, "noise")
    (tmp_path / "show.toml").write_text("[sinks.lamp]\n")
    with pytest.raises(InputError, match="no plugin brings a sink 'lamp'"):
        merge(Options(config=tmp_path / "show.toml"))
