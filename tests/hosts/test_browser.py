"""A browser gets what is sent: the pages among the examples and Hydra, in Chromium beside the real server."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from valaro.streamer.app.config import presets
from valaro.streamer.core.controls import Controls

from ..streamer.oscdump import wait_for
from .programs import HOSTS, emission, need, running

CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--window-size=640,640", "--remote-debugging-port=0", "--enable-unsafe-swiftshader"),  # WebGL without a GPU
)
NPM = Path(sys.prefix, "npm", "node_modules")  # where `make test-long` puts what is p5's and Hydra's own
# The colour of each cell as the page drew it, away from the dot in its middle: red + green + blue.
CELLS = """
(() => {
  const canvas = document.querySelector("canvas"), side = 0.86 * Math.min(canvas.width, canvas.height);
  const left = (canvas.width - side) / 2, top = 0.03 * canvas.height, pen = canvas.getContext("2d");
  return [...Array(121).keys()].map((index) => {
    const x = left + (index % 11 + 0.15) * side / 11, y = top + (10 - Math.floor(index / 11) + 0.15) * side / 11;
    const [red, green, blue] = pen.getImageData(x, y, 1, 1).data;
    return red + green + blue;
  });
})()
"""

Open = Callable[[str], Callable[[str], Any]]  # an address -> a function that evaluates JavaScript in that page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Chromium without a window and without a network of its own."""
    need(chromium="chromium")
    client = pytest.importorskip("websockets.sync.client")
    folder = tmp_path_factory.mktemp("chromium")
    profile = folder / "profile"
    found = profile / "DevToolsActivePort"
    with ExitStack() as stack:
        stack.enter_context(running([*CHROMIUM, f"--user-data-dir={profile}", "about:blank"], folder / "log"))
        wait_for(lambda: found.exists() and found.read_text().count("\n") > 0)
        port = found.read_text().splitlines()[0]

        def pages() -> list[dict[str, str]]:
            with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                return [each for each in json.load(answer) if each["type"] == "page"]

        def open_page(address: str) -> Callable[[str], Any]:
            wait_for(lambda: bool(pages()))
            socket = stack.enter_context(client.connect(pages()[0]["webSocketDebuggerUrl"], max_size=None))

            def call(method: str, **params: object) -> dict[str, Any]:
                socket.send(json.dumps({"id": 1, "method": method, "params": params}))
                while "id" not in (answer := json.loads(socket.recv())):
                    pass
                return answer.get("result", {})  # none while one page makes way for another

            def evaluate(script: str) -> Any:
                return call("Runtime.evaluate", expression=script, returnByValue=True).get("result", {}).get("value")

            call("Page.navigate", url=address)
            wait_for(lambda: evaluate("document.readyState") == "complete")
            return evaluate

        yield open_page


def test_the_canvas_shows_what_is_sent(browser: Open) -> None:
    from valaro.streamer.osc.query import OscQuery

    server = OscQuery(Controls())
    try:
        evaluate = browser(f"{(HOSTS / 'canvas.html').as_uri()}?at=127.0.0.1:{server.port}")
        wait_for(lambda: server.listeners == 1)
        for valence, arousal in ((-0.75, 0.5), (0.65, -0.85)):
            affect = emission(valence, arousal)
            server.send(affect)
            wait_for(lambda v=valence, a=arousal: evaluate("document.title") == f"valence {v:.2f}, arousal {a:.2f}")
            assert np.argmax(evaluate(CELLS)) == affect.heatmap.argmax()
            for index, share in enumerate(affect.quadrants):
                assert evaluate(f"now.quadrants[{index}]") == pytest.approx(share)
    finally:
        server.close()
    wait_for(lambda: "nobody" in evaluate("document.title"))


# Where the swarm is on average, x to the right and y down, from 0 to 1.
SWARM = "['x', 'y'].map((axis) => swarm.reduce((sum, each) => sum + each[axis], 0) / swarm.length)"


def test_the_swarm_of_p5_goes_where_the_heatmap_is(browser: Open, tmp_path: Path) -> None:
    from valaro.streamer.osc.query import OscQuery

    page = (HOSTS / "p5js" / "index.html").read_text()
    wanted = re.findall(r'src="(https://[^"]*/p5@([\d.]+)/lib/p5.min.js)"', page)
    ((address, version),) = wanted
    library = _from_npm("p5", version) / "lib" / "p5.min.js"
    (tmp_path / "index.html").write_text(page.replace(address, library.as_uri()))
    (tmp_path / "sketch.js").write_text((HOSTS / "p5js" / "sketch.js").read_text())
    server = OscQuery(Controls())
    try:
        evaluate = browser(f"{(tmp_path / 'index.html').as_uri()}?at=127.0.0.1:{server.port}")
        wait_for(lambda: server.listeners == 1)
        for valence, arousal in ((-0.7, 0.6), (0.6, -0.7)):
            affect = emission(valence, arousal)
            server.send(affect)
            wait_for(lambda v=valence, a=arousal: evaluate("document.title") == f"valence {v:.2f}, arousal {a:.2f}")
            assert evaluate("mood.heatmap.flat()") == pytest.approx(affect.heatmap.ravel().tolist())
            right, left = (valence + 1) / 2, (1 - arousal) / 2
            wait_for(lambda x=right, y=left: evaluate(SWARM) == pytest.approx([x, y], abs=0.15))
    finally:
        server.close()


# Draws one more frame of Hydra's and takes what is on it: whether it is grey, and whether all its rows are alike.
FRAME = """
(() => {
  hydra.tick(16);
  const copy = Object.assign(document.createElement("canvas"), { width: 32, height: 32 }), pen = copy.getContext("2d");
  pen.drawImage(document.querySelector("canvas"), 0, 0, 32, 32);
  const pixels = pen.getImageData(0, 0, 32, 32).data;
  const colour = (x, y) => pixels.subarray(4 * (32 * y + x), 4 * (32 * y + x) + 3);
  const apart = (a, b) => Math.max(...[0, 1, 2].map((i) => Math.abs(a[i] - b[i])));
  let colourful = 0, tilted = 0, light = 0;
  for (let y = 0; y < 32; y++) for (let x = 0; x < 32; x++) {
    const [red, green, blue] = colour(x, y);
    light = Math.max(light, red, green, blue);
    colourful = Math.max(colourful, Math.abs(red - green), Math.abs(green - blue));
    tilted = Math.max(tilted, apart(colour(x, y), colour(x, 0)));
  }
  return [light, colourful, tilted];
})()
"""


def test_the_stripes_of_hydra_follow_the_mood(browser: Open, tmp_path: Path) -> None:
    """The lines that the preset says to type, in a page with nothing but Hydra."""
    from valaro.streamer.osc.query import OscQuery

    server = OscQuery(Controls())
    typed = re.findall(r"^#   (.*)$", presets.text("hydra"), re.MULTILINE)
    assert len(typed) == 3
    library = _from_npm("hydra-synth", "1.4.0") / "dist" / "hydra-synth.js"
    (tmp_path / "page.html").write_text(
        f"""<!doctype html><canvas width="256" height="256"></canvas><script src="{library.as_uri()}"></script><script>
        const hydra = new Hydra({{ canvas: document.querySelector("canvas"), detectAudio: false, autoLoop: false }});
        </script><script>{chr(10).join(typed).replace(":9123", f":{server.port}")}</script>"""
    )
    try:
        evaluate = browser((tmp_path / "page.html").as_uri())
        wait_for(lambda: server.listeners == 1)
        for valence, arousal in ((-1.0, 0.0), (0.5, 0.8)):
            affect = emission(valence, arousal)
            server.send(affect)
            wait_for(lambda v=valence, a=arousal: evaluate("[mood.valence, mood.arousal]") == [v, a])
            assert evaluate("[mood.confidence, mood.level, ...mood.quadrants]") == pytest.approx(
                [affect.confidence, affect.level, *affect.quadrants]
            )
            light, colourful, tilted = evaluate(FRAME)
            assert light > 128
            # At valence -1 the three colours run in step, at arousal 0 the stripes are upright.
            assert (colourful > 64, tilted > 64) == (valence != -1, arousal != 0)
    finally:
        server.close()


def _from_npm(package: str, version: str) -> Path:
    folder = NPM / package
    if not folder.is_dir():
        pytest.skip(f"{package} is not installed: make test-long does it where the npm registry answers")
    assert json.loads((folder / "package.json").read_text())["version"] == version
    return folder


def test_the_pages_need_nothing_of_this_machine_but_the_socket() -> None:
    pages = [HOSTS / "canvas.html", HOSTS / "p5js" / "index.html", HOSTS / "p5js" / "sketch.js"]
    assert [path.name for path in pages if path.read_text().count("\n") >= 60] == []
    assert "src=" not in Path(pages[0]).read_text()
