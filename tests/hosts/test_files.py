"""What can be said of the examples for programs that do not run here: they are what those programs open."""

import importlib.util
import json
import re

import numpy as np

from .programs import HOSTS, arriving, emission

ADDRESSES = {f"/valaro/{name}" for name in arriving(emission(0, 0))}


def test_the_table_names_each_file_and_each_preset() -> None:
    from valaro.streamer.app.config import presets

    table = (HOSTS / "README.md").read_text()
    links = set(re.findall(r"\]\(([^)]+)\)", table))
    assert [link for link in links if not (HOSTS / link).exists()] == []
    files = [path for path in HOSTS.rglob("*") if path.is_file() and path.name not in ("README.md", "sketch.js")]
    files = [path for path in files if path.parent.name != "__pycache__"]
    assert [path.name for path in files if str(path.relative_to(HOSTS)) not in links] == []
    assert [name for name in presets.names() if f"`{name}`" not in table] == []


def test_the_max_patch_is_whole() -> None:
    patcher = json.loads((HOSTS / "max.maxpat").read_text())["patcher"]
    boxes = {each["box"]["id"]: each["box"] for each in patcher["boxes"]}
    assert len(boxes) == len(patcher["boxes"])
    for line in (each["patchline"] for each in patcher["lines"]):
        (source, outlet), (target, inlet) = line["source"], line["destination"]
        assert outlet < boxes[source]["numoutlets"]
        assert inlet < boxes[target]["numinlets"]
    heard = boxes["route"]["text"].split()[1:]
    assert set(heard) <= ADDRESSES
    assert boxes["route"]["numoutlets"] == len(heard) + 1
    assert boxes["receive"]["text"] == "udpreceive 9000"


def test_the_processing_sketch_hears_addresses_that_are_sent() -> None:
    sketch = HOSTS / "processing" / "processing.pde"  # Processing wants the folder to have the sketch's name
    assert set(re.findall(r'"(/valaro/[^"]+)"', sketch.read_text())) <= ADDRESSES


class Table:
    """As much of a Table DAT as the script uses."""

    def __init__(self) -> None:
        self.rows: list[list[object]] = []

    def clear(self) -> None:
        self.rows = []

    def appendRow(self, cells: list[object]) -> None:  # noqa: N802  TouchDesigner's name
        self.rows.append(cells)


class Component:
    """As much of TouchDesigner's network around the script as it uses."""

    def __init__(self) -> None:
        self.tables = {"heatmap": Table(), "mood": Table()}
        self.storage: dict[str, object] = {}

    def parent(self) -> "Component":
        return self

    def op(self, name: str) -> Table:
        return self.tables[name]

    def fetch(self, key: str, default: object) -> object:
        return self.storage.get(key, default)

    def store(self, key: str, value: object) -> None:
        self.storage[key] = value


def test_the_touchdesigner_script_fills_its_tables() -> None:
    spec = importlib.util.spec_from_file_location("callbacks", HOSTS / "touchdesigner_callbacks.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    home, affect = Component(), emission(-0.5, 0.75)
    for name, values in arriving(affect).items():
        arguments = [values] if isinstance(values, str) else values
        script.onReceiveOSC(home, 0, "", b"", 0.0, f"/valaro/{name}", arguments, None)
    rows = np.array(home.tables["heatmap"].rows)
    assert np.allclose(rows[::-1] * affect.heatmap.max(), affect.heatmap)
    ((mood, share, activity),) = home.tables["mood"].rows
    assert (mood, share, activity) == ("happy", affect.quadrants[0], "music")
