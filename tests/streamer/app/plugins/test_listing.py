"""``valaro plugins``: what stands at the doors, without an import, and what fails to load."""

from pathlib import Path

import pytest
from valaro.models.doors import SINKS, SOURCES, listed
from valaro.streamer.app import plugins
from valaro.streamer.app.merge import merge
from valaro.streamer.app.settings import Options
from valaro.streamer.cli import run
from valaro.streamer.errors import InputError, PluginError

from .packages import SINK_BASE, install

Captured = pytest.CaptureFixture[str]


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


@pytest.mark.parametrize(
    ("metadata", "entries", "says"),
    [
        (None, "[valaro.sinks]\nlamp = valaro_lamp:Lamp\n", "lamp"),
        ("Name: valaro-lamp\n", "[valaro.sinks]\nlamp\n", "osc"),
        ("Name: valaro-lamp\n", "[valaro.sinks]\nlamp = ???\n", "lamp"),
    ],
)
def test_a_package_whose_metadata_is_broken_stops_nobody(
    site: Path, capsys: Captured, metadata: str | None, entries: str, says: str
) -> None:
    info = site / "valaro_lamp-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(entries)
    if metadata is not None:
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{metadata}Version: 1.0\n")
    assert run(["plugins"]) == 0
    assert says in capsys.readouterr().out
    assert plugins.own(SINKS, "osc")


def test_an_installation_older_than_its_code_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "listed", lambda door: [])
    with pytest.raises(PluginError, match="install it again"):
        plugins.own(SINKS, "osc")
