"""Other packages' sinks: what works, and what misbehaves while the show goes on."""

import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from valaro.models.doors import SINKS
from valaro.streamer.app import isolation, plugins
from valaro.streamer.app.merge import merge
from valaro.streamer.app.settings import Options
from valaro.streamer.cli import run
from valaro.streamer.cli._options import with_plugin_options
from valaro.streamer.errors import InputError

from .packages import SINK_BASE, install, times

Captured = pytest.CaptureFixture[str]


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


PAGE = (
    SINK_BASE
    + """
class Page(Base):
    option_key = "at"
    def __init__(self, at="127.0.0.1:0", title="Valaro"):
        self.at, self.title = str(at), title
    def attach(self, running):
        self.running = running
"""
)


@pytest.mark.parametrize(
    ("config", "option", "at", "title"),
    [
        ("web = 8000\n", None, "8000", "Valaro"),
        ('web = "0.0.0.0:8000"\n', None, "0.0.0.0:8000", "Valaro"),
        ('[web]\nat = 8000\ntitle = "Stage"\n', None, "8000", "Stage"),
        ('[sinks.web]\nat = 8000\ntitle = "Stage"\n', "8001", "8001", "Stage"),
        ("", "8001", "8001", "Valaro"),
    ],
)
def test_a_room_on_top_brings_its_option_its_key_and_its_table(
    site: Path, tmp_path: Path, config: str, option: str | None, at: str, title: str
) -> None:
    """A stand-in for the page that is to come: the command line, the schema and the outputs need no word of it."""
    install(site, "valaro-page", PAGE, sinks="web = Page")
    (tmp_path / "show.toml").write_text(config)
    words = [] if option is None else ["--web", option]
    given = [word for word in with_plugin_options(["listen", *words]) if word.startswith("web=")]
    [wanted] = merge(Options(config=tmp_path / "show.toml", sink=given)).plugin_sinks
    page = plugins.make(wanted.plugin, wanted.table, wanted.value)
    assert (wanted.plugin.name, page.at, page.title) == ("web", at, title)


def test_an_option_of_a_plugin_is_one_wherever_it_stands(site: Path) -> None:
    install(site, "valaro-page", PAGE, sinks="web = Page\nosc = Page")
    assert with_plugin_options(["replay", "--web", "1", "x.jsonl"]) == ["replay", "--sink", "web=1", "x.jsonl"]
    assert with_plugin_options(["demo", "--web=1", "--osc", "a:1"]) == ["demo", "--sink", "web=1", "--osc", "a:1"]
    for left in (["analyze", "--web", "1"], ["demo", "--web"], ["listen", "--", "--web", "1"], ["demo", "--wep", "1"]):
        assert with_plugin_options(left) == left


def test_one_table_is_written_once(site: Path, tmp_path: Path) -> None:
    install(site, "valaro-page", PAGE, sinks="web = Page")
    for text, says in (
        ("web = 8000\n[sinks.web]\nat = 1\n", "web and [sinks.web] are the same table"),
        ("[[web]]\nat = 1\n", "web: unknown key"),
        ("sinks = 3\n", "sinks: must be a table, not 3"),
        ("[sinks]\nweb = 3\n", "sinks.web: must be a table, not 3"),
    ):
        (tmp_path / "show.toml").write_text(text)
        with pytest.raises(InputError, match=re.escape(says)):
            merge(Options(config=tmp_path / "show.toml"))


def test_a_sink_cannot_write_into_anothers_emission(
    site: Path, bundle: Path, receiver: socket.socket, tmp_path: Path, capsys: Captured
) -> None:
    code = SINK_BASE + "class Lamp(Base):\n    def send(self, affect):\n        affect.heatmap[...] = 7.0"
    install(site, "valaro-broken", code, sinks="lamp = Lamp")
    show(bundle, receiver, "--sink", "lamp", "--record", str(tmp_path / "show.jsonl"))
    sums = [np.sum(json.loads(line)["heatmap"]) for line in (tmp_path / "show.jsonl").read_text().splitlines()]
    assert sums == pytest.approx([1.0] * 3)
    assert "lost 3 times the plugin lamp" in capsys.readouterr().err


def test_a_sink_may_end_the_show_before_it_begins(site: Path, bundle: Path, receiver: socket.socket) -> None:
    code = SINK_BASE + "class Lamp(Base):\n    def attach(self, running):\n        running.stop()"
    install(site, "valaro-short", code, sinks="lamp = Lamp")
    exit_code, sent = show(bundle, receiver, "--sink", "lamp", seconds=60.0)
    assert (exit_code, len(sent) < 4) == (0, True)


def test_a_sink_that_does_not_close_is_counted(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "CLOSING", 0.2)
    code = SINK_BASE + "import threading\nclass Lamp(Base):\n    def close(self):\n        threading.Event().wait()"
    install(site, "valaro-broken", code, sinks="lamp = Lamp")
    assert show(bundle, receiver, "--sink", "lamp") == (3, EVERY)
    assert "lost 1 times the plugin lamp" in capsys.readouterr().err


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
    assert show(bundle, receiver, "--sink", "lamp") == (3, EVERY)
    told = capsys.readouterr().err
    assert says in told
    assert told.count("the show goes on without the sink lamp") == 1
    assert "lost 1 times the plugin lamp, 3 emissions that the plugin lamp did not take" in told


def test_a_sink_that_raises_is_told_once_and_counted(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured
) -> None:
    code = SINK_BASE + "class Lamp(Base):\n    def send(self, affect):\n        raise SystemExit('now')"
    install(site, "valaro-broken", code, sinks="lamp = Lamp")
    assert show(bundle, receiver, "--sink", "lamp") == (3, EVERY)
    told = capsys.readouterr().err
    assert told.count("the sink lamp: it asked the program to end") == 1
    assert "lost 3 times the plugin lamp" in told


def test_a_sink_that_blocks_for_ever_is_left_behind(
    site: Path, bundle: Path, receiver: socket.socket, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "CLOSING", 0.2)
    code = (
        SINK_BASE + "import threading\nclass Lamp(Base):\n    def send(self, affect):\n        threading.Event().wait()"
    )
    install(site, "valaro-broken", code, sinks="lamp = Lamp")
    assert show(bundle, receiver, "--sink", "lamp") == (3, EVERY)
    told = capsys.readouterr().err
    assert "does not end within 0.2 s and is left behind" in told
    assert "3 emissions that the plugin lamp did not take" in told


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
    from ...fakes import neutral

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
        (["--lamp"], "No such option: --lamp"),
        (["--lamp", "3"], "sink lamp takes no value: write a table [sinks.lamp] in a config"),
        (["--lumb", "3"], "No such option: --lumb"),
        (["--sink", "lamp", "more"], "unexpected extra argument"),
        (["--sink", "lamp=3"], "sink lamp takes no value"),
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
