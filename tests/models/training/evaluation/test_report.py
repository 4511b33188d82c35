"""Reports: what the folds become, that tables show it where there is room, and that pictures are pictures."""

import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console
from valaro.models import grid
from valaro.models.errors import DataError
from valaro.models.training.corpus.items import Item
from valaro.models.training.evaluation import reliability, report, scoring
from valaro.models.training.evaluation.baselines import held, spread
from valaro.models.training.evaluation.report import Figures, Report


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def folds(**figures: list[float]) -> dict[str, report.Value]:
    rows = [dict(zip(figures, values, strict=True)) for values in zip(*figures.values(), strict=True)]
    return report.join(rows)


def alike(names: str, *values: float) -> dict[str, list[float]]:
    return {name: list(values) for name in names.split()}


@pytest.fixture
def full() -> Report:
    """Figures of every section, with names and numbers as long as they get."""
    quadrants = alike("macro_f1 accuracy valence arousal", 0.751, 0.731, 0.766)
    early = alike("macro_f1_5s macro_f1_10s macro_f1_15s", 0.69, 0.70, 0.72)
    errors = alike("ece_quadrants ece_valence ece_arousal coverage_50 coverage_90", 0.02, 0.5, 0.9)
    points = alike("log_likelihood histogram_log_likelihood uniform_log_likelihood", -4.2, -4.3, -4.25)
    courses = {
        f"{name}_{axis}_{where}": [-0.123, 0.345, 0.567]
        for name in ("r", "ccc", "rmse")
        for axis in ("valence", "arousal")
        for where in ("overall", "between", "within")
    }
    sets = {
        "4q": folds(**quadrants, **early, **errors, **{f"{key}_live": value for key, value in errors.items()}),
        "vgmidi": folds(**points, share_of_way=[-0.5, 0.4, 0.6], ece_cells=[0.1, 0.2, 0.3], **errors, **courses),
        "emomusic": folds(clips=[3, 3, 3], log_likelihood=[-4.1, -4.0, -4.2], **courses),
    }
    offline: Figures = {"statistics of the clip + SVM (offline)": {"4q": folds(**quadrants)}}
    figures: Figures = {"fusion of all decoders": sets, "AEG": sets, **offline}
    noisy: Figures = {"AEG": {"4q": folds(macro_f1=[0.74, 0.70, 0.76])}}
    conditions = dict.fromkeys(["gain +20 dB", "noise 10 dB", "room", "phone band"], noisy)
    return Report(figures=figures, drops=report.drops(figures, conditions))


def test_folds_are_joined_with_a_standard_error() -> None:
    found = report.join([{"a": 0.5, "b": np.nan}, {"a": 0.7, "b": 0.2}, {"a": 0.6, "b": np.nan}])
    assert found["a"]["mean"] == pytest.approx(0.6)
    assert found["a"]["se"] == pytest.approx(0.1 / np.sqrt(3))
    assert "b" not in found  # one fold of three says nothing of the spread
    assert report.join([{"b": 1.0}, {"b": np.nan}, {"b": 3.0}])["b"]["folds"] == [1.0, None, 3.0]
    assert report.join([{"a": 4.0}]) == {"a": {"mean": 4.0, "se": None, "folds": [4.0]}}


def test_drops_are_paired_fold_by_fold() -> None:
    clean: Figures = {
        "AEG": {"4q": folds(macro_f1=[0.8, 0.6, 0.7]), "vgmidi": folds(log_likelihood=[-4.0, -4.2, -4.1])}
    }
    noisy: Figures = {
        "AEG": {"4q": folds(macro_f1=[0.78, 0.58, 0.68]), "vgmidi": folds(log_likelihood=[-4.1, -4.2, -4.2])}
    }
    lost = report.drops(clean, {"noise": noisy, "nothing": {}})["AEG"]
    assert lost["4q"]["noise"]["mean"] == pytest.approx(0.02)
    assert lost["4q"]["noise"]["se"] == pytest.approx(0, abs=1e-12)  # folds differ by .1, their losses do not
    assert lost["vgmidi"]["noise"]["mean"] == pytest.approx(0.2 / 3)
    assert list(lost["4q"]) == ["noise"]


def test_a_report_is_json_and_its_summary_the_means(full: Report) -> None:
    again = json.loads(json.dumps(full, allow_nan=False))
    assert again["figures"]["AEG"]["4q"]["macro_f1"]["folds"] == [0.751, 0.731, 0.766]
    assert report.summary(full["figures"])["AEG"]["4q"]["macro_f1"] == 0.7493


def test_tables_show_everything_in_a_hundred_columns(full: Report) -> None:
    console = Console(width=100)
    with console.capture() as caught:
        for table in report.tables(full):
            console.print(table)
    text = caught.get()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    assert "…" not in text
    assert ".749 ±.010" in text
    assert text.count("-4.250 ±.029") >= 2
    for word in ("unseen artists", "after 5 s", "global histogram", "4q, live", "noise 10", "in 90 %", "way"):
        assert word in text
    offline = next(line for line in text.splitlines() if line.lstrip().startswith("statistics"))
    assert offline.count("–") == 3  # not heard second by second


def test_markdown_has_the_same_tables(full: Report) -> None:
    text = report.markdown(full)
    tables = [part for part in text.split("**") if part.lstrip().startswith("|")]
    assert len(tables) == len(report.grids(full))
    for table in tables:
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1
    assert "| AEG | .749 ±.010 |" in text


def test_a_report_without_calibration_or_drops_has_no_such_tables() -> None:
    figures: Figures = {"AEG": {"4q": folds(macro_f1=[0.5, 0.6])}}
    assert len(report.grids(Report(figures=figures, drops={}))) == 1


def test_the_diagram_is_a_picture_with_something_in_it(rng: np.random.Generator, tmp_path: Path) -> None:
    items = [Item(str(i), "4q", str(i), 0, quadrant=int(rng.integers(4))) for i in range(40)]
    streams = [held(spread(rng.dirichlet(np.ones(4))), 3) for _ in items]
    found = reliability.calibrate(items, streams)
    report.reliability_diagram({"AEG": found}, tmp_path / "one.png", "4q")
    report.reliability_diagram({"AEG": found, "LSTM": found, "fusion": found}, tmp_path / "three.png")
    pixels = matplotlib.image.imread(tmp_path / "one.png")
    assert pixels.shape[1] > pixels.shape[0] > 400
    assert np.ptp(pixels[..., :3]) > 0.5


def test_a_diagram_that_cannot_be_drawn_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(DataError, match="nothing to draw"):
        report.reliability_diagram({}, tmp_path / "none.png")
    some = {"regions": reliability.coverage(rng.dirichlet(np.ones(4), 3), np.ones((3, 4)))}
    with pytest.raises(DataError, match="cannot write"):
        report.reliability_diagram({"AEG": some}, tmp_path / "absent" / "none.png")


def test_scores_of_every_kind_find_their_table(rng: np.random.Generator) -> None:
    items = [Item(str(i), "4q", str(i), i % 2, quadrant=i % 4) for i in range(16)]
    rows = []
    for k in range(2):
        fold = [item for item in items if item.fold == k]
        streams = [rng.dirichlet(np.ones(grid.CELLS), 31) for _ in fold]
        rows.append(
            scoring.score_clips(fold, streams) | reliability.calibration_figures(reliability.calibrate(fold, streams))
        )
    titles = [found.title for found in report.grids(Report(figures={"AEG": {"4q": report.join(rows)}}, drops={}))]
    assert [title.split(":")[0] for title in titles] == ["4q, unseen artists", "calibration"]
