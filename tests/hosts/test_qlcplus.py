"""QLC+ turns what the preset sends into light: the workspace among the examples, its dimmers read back."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pythonosc.osc_message import OscMessage
from valaro.streamer.app.config import presets
from valaro.streamer.app.config.schema import load_config
from valaro.streamer.core.affect import Affect
from valaro.streamer.sinks import Osc

from ..streamer.oscdump import free_port, wait_for
from .programs import HOSTS, emission, need, running

DIMMERS = ("happy", "tense", "sad", "calm", "valence", "arousal", "confidence", "level")
INPUT = '<Input Plugin="OSC" UID="127.0.0.1" Line="0"/>'


class Lights:
    """What QLC+ says its dimmers are at: its OSC output sends each that changed, as /0/dmx/N f, steps of 1/255."""

    def __init__(self, port: int, output: socket.socket) -> None:
        self.port = port
        self.at = [0.0] * len(DIMMERS)
        self._output = output

    def look(self) -> list[float]:
        while True:
            try:
                message = OscMessage(self._output.recv(4096))
            except BlockingIOError:
                return self.at
            universe, dmx, channel = message.address.split("/")[1:]
            assert (universe, dmx) == ("0", "dmx")
            (self.at[int(channel)],) = message.params


@pytest.fixture(scope="module")
def lights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lights]:
    """QLC+ in operation with the workspace, on ports of the test's own."""
    need(qlcplus="qlcplus")
    folder, port = tmp_path_factory.mktemp("qlcplus"), free_port()
    text = (HOSTS / "qlcplus.qxw").read_text()
    assert text.count(INPUT) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as output:
        output.bind(("127.0.0.1", 0))
        output.setblocking(False)
        patched = (
            f'<Input Plugin="OSC" Line="0"><PluginParameters inputPort="{port}"/></Input>'
            f'<Output Plugin="OSC" Line="0"><PluginParameters outputPort="{output.getsockname()[1]}"/></Output>'
        )
        workspace = folder / "workspace.qxw"
        workspace.write_text(text.replace(INPUT, patched))
        with running(["qlcplus", "--nowm", "--nogui", "--operate", "--open", str(workspace)], folder / "log"):
            yield Lights(port, output)


def steps(values: list[float]) -> list[int]:
    return [round(255 * value) for value in values]


def wanted(affect: Affect) -> list[float]:
    """What the preset's lines make of an emission that stays."""
    moods = affect.quadrants.tolist()
    return [*moods, (affect.valence + 1) / 2, (affect.arousal + 1) / 2, affect.confidence, affect.level]


def preset(lights: Lights, tmp_path: Path) -> Osc:
    """The sink of the preset, sending to this QLC+."""
    path = tmp_path / "qlcplus.toml"
    path.write_text(presets.text("qlcplus").replace("127.0.0.1:7700", f"127.0.0.1:{lights.port}"))
    (settings,) = load_config(path).osc
    return Osc(settings.to, bundle=settings.bundle, contract=settings.contract, maps=settings.maps())


@pytest.mark.parametrize(("valence", "arousal"), [(-0.5, 0.75), (0.625, -0.875)])
def test_the_preset_drives_the_workspaces_dimmers(
    valence: float, arousal: float, lights: Lights, tmp_path: Path
) -> None:
    affect = emission(valence, arousal)
    sink = preset(lights, tmp_path)

    def arrived() -> bool:
        sink.send(affect)  # again and again: the program may not listen yet
        return all(abs(a - b) <= 1 for a, b in zip(steps(lights.look()), steps(wanted(affect)), strict=True))

    wait_for(arrived)
    sink.close()
