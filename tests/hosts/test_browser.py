"""A browser gets what is sent: the page among the examples, opened in Chromium beside the real server."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from valaro.streamer.controls import Controls

from ..streamer.oscdump import wait_for
from .programs import EXAMPLES, emission, need, running

CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--window-size=640,640", "--remote-debugging-port=0"),
)
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
    from valaro.streamer.oscquery import OscQuery

    server = OscQuery(Controls())
    try:
        evaluate = browser(f"{(EXAMPLES / 'canvas.html').as_uri()}?at=127.0.0.1:{server.port}")
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


def test_the_pages_need_nothing_of_this_machine_but_the_socket() -> None:
    pages = [EXAMPLES / "canvas.html", EXAMPLES / "p5js" / "index.html", EXAMPLES / "p5js" / "sketch.js"]
    assert [path.name for path in pages if path.read_text().count("\n") >= 60] == []
    assert "src=" not in Path(pages[0]).read_text()
