"""The presets that come with the package: each can be loaded, says what to do, and is written out as it is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner
from valaro.streamer.app.config import presets
from valaro.streamer.cli.presets import app
from valaro.streamer.errors import InputError

PORTS = {  # where each program listens unless told otherwise
    "resolume": [7000],
    "touchdesigner": [10000, 10001],
    "vdmx": [1234],
    "madmapper": [8010],
    "qlcplus": [7700],
    "unreal": [8000],
    "ableton": [],
    "hydra": [],
}


@pytest.mark.parametrize("name", presets.names())
def test_it_loads_and_sends_where_the_program_listens(name: str, tmp_path: Path) -> None:
    from valaro.streamer.app.config.schema import load_config

    path = tmp_path / f"{name}.toml"
    path.write_text(presets.text(name))
    config = load_config(path)
    assert [destination.to for destination in config.osc] == [f"127.0.0.1:{port}" for port in PORTS[name]]
    assert (config.midi is not None) == (name == "ableton")
    assert (config.oscquery is not None) == (name == "hydra")


@pytest.mark.parametrize("name", presets.names())
def test_it_says_in_words_what_to_do_and_what_was_tried(name: str) -> None:
    lines = presets.text(name).splitlines()
    assert lines[0] == f"# {presets.summary(name)}"
    assert 30 < len(presets.summary(name)) < 120
    assert f"# Then: valaro listen --config {name}.toml" in lines
    assert any("tried" in line.lower() for line in lines[-4:])
    assert max(map(len, lines)) <= 120


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no preset 'arkaos': choose from ableton, hydra, .*vdmx"):
        presets.text("arkaos")
    with pytest.raises(InputError):
        presets.text("../presets/vdmx")


def test_the_list_has_a_line_each() -> None:
    done = CliRunner().invoke(app, ["list"])
    assert [line.split()[0] for line in done.output.splitlines()] == presets.names() == sorted(PORTS)


def test_it_is_written_once_and_never_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    assert run.invoke(app, ["write", "vdmx"]).exit_code == 0
    assert (tmp_path / "vdmx.toml").read_text() == presets.text("vdmx")
    (tmp_path / "vdmx.toml").write_text("mine")
    again = run.invoke(app, ["write", "vdmx"])
    assert isinstance(again.exception, InputError)
    assert "vdmx.toml exists already" in str(again.exception)
    assert (tmp_path / "vdmx.toml").read_text() == "mine"
    assert run.invoke(app, ["write", "vdmx", "--output", "show.toml"]).exit_code == 0
    assert (tmp_path / "show.toml").read_text() == presets.text("vdmx")
    assert run.invoke(app, ["write", "vdmx", "--output", "-"]).output == presets.text("vdmx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["show.toml", "vdmx.toml"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["write", "vdmx", "-o", str(tmp_path / "no" / "vdmx.toml")])
    assert "cannot be written: no such file or directory" in str(done.exception)
