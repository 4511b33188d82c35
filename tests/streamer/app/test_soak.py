"""Some minutes of the long soak (``python -m bench.soak``), which has the same bounds but for how long they hold.

Each runs in a process of its own, whose memory nothing else moves.
"""

import importlib
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from ...places import ROOT

# A show that keeps what it sent for ever.
LEAKING = """
class Leaking(Engine):
    kept = []
    def push(self, samples):
        affects = Engine.push(self, samples)
        self.kept.extend(affects)
        return affects
bench.soak.Engine = Leaking
"""


@cache
def soaked(hours: float, sabotage: str = "") -> dict[str, Any]:
    """What the soak finds; without MIDI, which needs a server and is tested elsewhere."""
    imports = "import json, bench.soak; from valaro.streamer import Engine"
    program = f"{imports}\n{sabotage}\nprint(json.dumps(bench.soak.soak({hours}, with_midi=False)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def test_minutes_of_everything_lose_nothing_and_leave_the_memory_where_it_is() -> None:
    report = soaked(0.35)
    assert report["faults"] == []
    assert report["emissions"] == report["recorded"] == 2_520
    assert report["received"] == [2_520, 2_520]
    assert report["bad_samples"] > 0
    assert set(report["troubles"]) == {"pieces missing", "clicks", "square waves", "runs of no numbers"}
    assert report["ratings_kept"] == 21


def test_what_is_kept_of_each_emission_is_found() -> None:
    assert any(fault.startswith("objects: ") for fault in soaked(0.1, LEAKING)["faults"])


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"recorded": 2_519}, "2,519 emissions were recorded, made 2,520"),
        ({"received": [2_520, 2_519]}, "2,519 packets were received, emissions made 2,520"),
        ({"emissions_due": 2_521}, "2,520 emissions were made, due were 2,521"),
        ({"bad_samples_due": 0}, "bad samples were counted"),
        ({"late": 1}, "1 emissions came at another time than k * 0.5 s"),
        ({"broken": 1}, "1 heatmaps were not finite"),
        ({"ahead_s": [-0.001, 0.1]}, "the sound was ahead of the emissions by -0.001 to 0.100 s"),
        ({"ahead_s": [0.0, 0.6]}, "the sound was ahead of the emissions by 0.000 to 0.600 s"),
    ],
)
def test_each_bound_is_told_when_it_is_broken(
    broken: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    (fault,) = importlib.import_module("bench.soak").faults(soaked(0.35) | broken)
    assert words in fault


def test_a_slope_is_judged_of_a_long_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    judge = importlib.import_module("bench.soak").faults
    report = soaked(0.35)
    growing = report | {"memory": report["memory"] | {"mb_a_day": 1.5}}
    assert list(judge(growing)) == []
    assert list(judge(growing | {"hours": 24.0})) == ["the memory grows by 1.50 MB a day"]
