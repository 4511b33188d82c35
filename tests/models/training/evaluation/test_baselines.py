"""Baselines: what they give back exactly, and that the classifier learns what can be learnt and no more."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.metrics import f1_score
from valaro.models import grid
from valaro.models.errors import DataError
from valaro.models.training.corpus.items import Item
from valaro.models.training.datasets.folder import Points
from valaro.models.training.evaluation import baselines, metrics
from valaro.models.training.recipe import SVMSettings

SVM = SVMSettings()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def clips(quadrants: list[int]) -> list[Item]:
    return [Item(str(i), "4q", str(i), 0, quadrant=q) for i, q in enumerate(quadrants)]


def test_spread_masses_come_back(rng: np.random.Generator) -> None:
    mass = rng.dirichlet(np.ones(4), 7)
    heatmaps = baselines.spread(mass)
    assert heatmaps.sum(axis=1) == pytest.approx(1)
    assert grid.quadrants(heatmaps) == pytest.approx(mass)


def test_the_global_prior_takes_ratings_before_quadrants(rng: np.random.Generator) -> None:
    assert grid.quadrants(baselines.global_prior(clips([0, 0, 1, 3]))) == pytest.approx([0.5, 0.25, 0.0, 0.25])
    assert baselines.global_prior([]) == pytest.approx(1 / 121)
    valence, arousal = rng.uniform(-1, 1, (2, 50))
    points = Points(np.zeros(50, dtype=np.intp), np.arange(50), valence, arousal)
    rated = Item("p", "vgmidi", "p", 0, points=points)
    expected = metrics.prior_heatmap(grid.cell_of(valence, arousal))
    assert np.array_equal(baselines.global_prior([*clips([2]), rated]), expected)


def test_a_constant_per_clip_keeps_the_mean_and_loses_the_course(rng: np.random.Generator) -> None:
    stream = rng.dirichlet(np.ones(121), 9)
    constant = baselines.constant_per_clip(stream)
    assert constant.shape == stream.shape
    assert np.ptp(constant, axis=0).max() == 0
    assert constant.mean(axis=0) == pytest.approx(stream.mean(axis=0))


def test_clip_statistics_leave_silence_out(rng: np.random.Generator) -> None:
    rows = rng.normal(2, 3, (40, 5)).astype(np.float32)
    expected = np.concatenate([rows[:30].mean(axis=0), rows[:30].std(axis=0)])
    weights = (np.arange(40) < 30).astype(float)
    assert baselines.clip_statistics(rows, weights) == pytest.approx(expected, rel=1e-5)
    whole = np.concatenate([rows.mean(axis=0), rows.std(axis=0)])
    assert baselines.clip_statistics(rows) == pytest.approx(whole, rel=1e-5)
    assert baselines.clip_statistics(rows, np.zeros(40)) == pytest.approx(whole, rel=1e-5)


def separable(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.integers(4, size=count)
    centres = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])[truth]
    return np.concatenate([centres + 0.6 * rng.standard_normal((count, 2)), rng.normal(0, 50, (count, 1))], 1), truth


def test_the_machine_learns_quadrants_and_its_masses_are_calibrated(rng: np.random.Generator) -> None:
    x, truth = separable(rng, 160)
    unseen, answer = separable(rng, 400)
    masses = baselines.svm_masses(x, truth, [str(i // 2) for i in range(160)], unseen, SVM)
    assert masses.sum(axis=1) == pytest.approx(1)
    assert f1_score(answer, masses.argmax(axis=1), average="macro") > 0.8
    sure = masses.max(axis=1)
    assert sure.mean() == pytest.approx(np.mean(masses.argmax(axis=1) == answer), abs=0.08)
    again = baselines.svm_masses(x, truth, [str(i // 2) for i in range(160)], unseen, SVM)
    assert np.array_equal(masses, again)


def test_the_machine_is_not_tuned_on_groups_that_it_was_fitted_to(rng: np.random.Generator) -> None:
    # Each group has a sound of its own and one quadrant, by chance: nothing there holds for another group. A machine
    # tuned on split groups would be sure of itself; one that is not finds out that it knows nothing.
    sound, quadrant = rng.standard_normal((20, 8)), rng.integers(4, size=20)
    member = np.repeat(np.arange(20), 6)
    x = sound[member] + 0.05 * rng.standard_normal((120, 8))
    masses = baselines.svm_masses(x, quadrant[member], [str(g) for g in member], rng.standard_normal((30, 8)), SVM)
    assert masses.max() < 0.6


def test_a_quadrant_that_was_never_seen_gets_nothing(rng: np.random.Generator) -> None:
    x, truth = separable(rng, 120)
    two = truth < 2
    masses = baselines.svm_masses(x[two], truth[two], [str(i) for i in range(int(two.sum()))], x[:10], SVM)
    assert not masses[:, 2:].any()
    assert masses.sum(axis=1) == pytest.approx(1)
    assert np.mean(masses[truth[:10] < 2].argmax(axis=1) == truth[:10][truth[:10] < 2]) > 0.7


@pytest.mark.parametrize(
    ("truth", "groups", "value", "message"),
    [
        ([1] * 6, list("abcdef"), 0.0, "two quadrants"),
        ([0, 1] * 3, ["a"] * 6, 0.0, "two groups"),
        ([0, 1] * 3, list("abcdef"), np.nan, "not finite"),
        ([0, 1, 2, 3], list("abcd"), 0.0, "too few clips"),
    ],
)
def test_what_cannot_be_fitted_is_refused(truth: list[int], groups: list[str], value: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        baselines.svm_masses(np.full((len(truth), 2), value), truth, groups, np.zeros((1, 2)), SVM)


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(DataError, match=r"openSMILE: pip install 'valaro\[train\]'"):
        baselines.egemaps([])
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(DataError, match=r"scikit-learn: pip install 'valaro\[train\]'"):
        baselines.svm_masses(np.zeros((4, 1)), [0, 1, 0, 1], list("abcd"), np.zeros((1, 1)), SVM)


def test_egemaps_are_those_of_opensmile_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opensmile = pytest.importorskip("opensmile")
    monkeypatch.setenv("VALARO_CACHE", str(tmp_path / "cache"))
    samples = 0.3 * np.sin(2 * np.pi * 220 * np.arange(36_000) / 24_000)
    soundfile.write(tmp_path / "a.wav", samples, 24_000, subtype="FLOAT")
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    audio = [("a", tmp_path / "a.wav"), ("broken", tmp_path / "broken.wav")]
    found, skipped = baselines.egemaps(audio)
    assert list(skipped) == ["broken"]
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    expected = smile.process_file(tmp_path / "a.wav").to_numpy()[0]
    assert found["a"].shape == (88,)
    assert found["a"] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    monkeypatch.setattr(opensmile.Smile, "process_signal", None)  # from here on only the cache can answer
    assert np.array_equal(baselines.egemaps(audio[:1])[0]["a"], found["a"])
