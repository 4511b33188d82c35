"""What users hold in their hands stays: files that the version before the new rooms wrote, commands, addresses, names.

``tests/kept`` was written by that version, with the small model of the tests; it is never written anew.
"""

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer.main
from valaro.models import load_bundle
from valaro.streamer import Engine
from valaro.streamer.app.config.schema import load_config
from valaro.streamer.app.merge import merge
from valaro.streamer.app.settings import Options
from valaro.streamer.cli import app
from valaro.streamer.core.replay import Replay
from valaro.streamer.listeners.store import Listeners
from valaro.streamer.osc.commands import Command, Ignored, Refusal, handle
from valaro.streamer.osc.query.namespace import METHODS
from valaro.streamer.sources.demo import demo_piece

KEPT = Path(__file__).parent / "kept"
PROMISES = json.loads((KEPT / "promises.json").read_text())


def options() -> dict[str, set[str]]:
    """The options of each command, by its words."""
    found: dict[str, set[str]] = {}

    def walk(command: object, path: str) -> None:
        if commands := getattr(command, "commands", None):
            for name, inner in commands.items():
                walk(inner, f"{path} {name}".strip())
        else:
            parameters = command.params  # type: ignore[attr-defined]
            found[path] = {
                option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)
            }

    walk(typer.main.get_command(app), "")
    return found


@pytest.mark.parametrize("command", PROMISES["commands"])
def test_each_command_and_option_is_there(command: str) -> None:
    assert set(PROMISES["commands"][command]) <= options()[command]


def test_each_address_is_there_with_its_types() -> None:
    served = {path: METHODS[path].tags for path in PROMISES["sent_and_served"]}
    assert served == PROMISES["sent_and_served"]


@pytest.mark.parametrize("address", PROMISES["taken"])
def test_each_address_is_taken(address: str) -> None:
    packet = address.encode() + b"\0" * (4 - len(address) % 4) + b",\0\0\0"
    [message] = handle(packet)
    assert not isinstance(message, Ignored)
    assert isinstance(message, Command) or (isinstance(message, Refusal) and "unknown address" not in message.expected)


@pytest.mark.parametrize("module", PROMISES["names"])
def test_each_name_is_there(module: str) -> None:
    there = importlib.import_module(module)
    assert [name for name in PROMISES["names"][module] if not hasattr(there, name)] == []


def test_a_bundle_gives_the_very_same_emissions() -> None:
    piece = demo_piece(24_000)[: 3 * 24_000].astype(np.float32)
    emissions = Engine(load_bundle(KEPT / "bundle"), 24_000).push(piece)
    found = [[affect.valence, affect.arousal, affect.confidence] for affect in emissions]
    np.testing.assert_allclose(found, json.loads((KEPT / "emissions.json").read_text()), atol=1e-6)


def test_a_recording_is_sent_again() -> None:
    records = [json.loads(line) for line in (KEPT / "show.jsonl").read_text().splitlines()]
    affects = list(Replay(KEPT / "show.jsonl"))
    assert [affect.time for affect in affects] == [record["time"] for record in records]
    np.testing.assert_array_equal(affects[-1].heatmap, records[-1]["heatmap"])


def test_a_store_is_opened_with_all_that_was_rated(tmp_path: Path) -> None:
    path = Path(shutil.copy(KEPT / "listeners.sqlite3", tmp_path))
    with Listeners(path) as store:
        assert store.names() == {"ana": 1}
        first, second = store.ratings("ana", undone=True)
        assert (first.valence, first.arousal, first.source, first.undone) == (0.6, -0.2, "cli", False)
        assert (second.valence, second.arousal, second.undone) == (-0.5, 0.75, True)


def test_an_exported_listener_is_imported(tmp_path: Path) -> None:
    with Listeners(tmp_path / "new.sqlite3") as store:
        assert store.import_(json.loads((KEPT / "ana.json").read_text())) == ("ana", 2)
        assert store.count("ana") == 1


def test_a_configuration_means_what_it_meant() -> None:
    config = load_config(KEPT / "show.toml")
    assert (config.listener, config.device, config.channels) == ("ana", "Scarlett", (3, 4))
    settings = merge(Options(config=KEPT / "show.toml"))
    assert (settings.decoder, settings.policy, settings.offset) == ("crf", "hold", 1.5)
    assert settings.record == KEPT / "show.jsonl"
    [destination] = settings.osc
    assert (destination.rate, destination.bundle, len(destination.table()["maps"])) == (60.0, False, 1)
