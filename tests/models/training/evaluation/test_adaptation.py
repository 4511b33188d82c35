"""Listeners whose way of hearing is known are found by the right method; constants come from others alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models.adaptation.base import Listening
from valaro.models.adaptation.heatmap_shift import STANDARD
from valaro.models.adaptation.regression import ListenerPrior, Ratings, added, no_ratings
from valaro.models.decoders.aeg import AffectiveGMM
from valaro.models.errors import DataError
from valaro.models.training.datasets.listeners import EMOTIONS
from valaro.models.training.evaluation.adaptation import curves, methods
from valaro.models.training.evaluation.adaptation.panels import (
    Panel,
    points_of_emotions,
    soundtracks_panel,
)
from valaro.models.training.fit.listener_prior import fit_prior

from ....places import DATA
from .. import synthetic

K, ITEMS, LISTENERS = 6, 24, 20
SHORT = ("background", "bias only", "MAP, untied", "MLLR", "default")


def panel(seed: int = 0, scale: float = 0.4) -> Panel:
    """Listeners who hear the background's mean shifted and scaled, each in their own way."""
    rng = np.random.default_rng(seed)
    background = AffectiveGMM(rng.uniform(-0.7, 0.7, (K, 2)), np.tile(0.1 * np.eye(2), (K, 1, 1)))
    theta = rng.dirichlet(np.full(K, 0.3), ITEMS)
    slopes = 1.0 + scale * rng.normal(size=(LISTENERS, 1, 2))
    va = theta @ background.means * slopes + 0.2 * rng.normal(size=(LISTENERS, 1, 2))
    va = np.clip(va + 0.1 * rng.normal(size=va.shape), -1, 1)
    listener, item = np.divmod(np.arange(LISTENERS * ITEMS), ITEMS)
    return Panel("made", theta, listener, item, va.reshape(-1, 2), lambda _: background, background.means)


@pytest.fixture(scope="module")
def found() -> curves.Curves:
    short = {name: methods.METHODS[name] for name in SHORT}
    return curves.curves(panel(), (0, 1, 10), short, orders=3, progress=lambda _: None)[""]


def test_the_default_beats_the_background_and_a_bare_bias(found: curves.Curves) -> None:
    error = {name: found[name]["rmse"][10]["mean"] for name in SHORT}
    assert error["default"] < 0.85 * error["background"]
    assert error["default"] < error["bias only"] < error["background"]
    likelihood = {name: found[name]["log_likelihood"][10]["mean"] for name in SHORT}
    assert likelihood["default"] > likelihood["bias only"] > likelihood["background"]


def test_without_ratings_all_are_the_background_and_one_rating_harms_none(found: curves.Curves) -> None:
    before = {name: found[name]["rmse"][0]["mean"] for name in SHORT}
    assert max(before.values()) - min(before.values()) < 1e-6
    assert found["default"]["rmse"][1]["mean"] < 1.01 * found["background"]["rmse"][1]["mean"]


def test_axes_add_up_and_errors_are_given(found: curves.Curves) -> None:
    row = {name: value[10] for name, value in found["default"].items()}
    parts = np.hypot(row["rmse_valence"]["mean"], row["rmse_arousal"]["mean"])
    assert row["rmse"]["mean"] == pytest.approx(parts)
    error = row["rmse"]["se"]
    assert error is not None
    assert 0 < error < row["rmse"]["mean"] / 2


def test_constants_are_learnt_from_nobody_and_nothing_that_is_tested() -> None:
    made, seen = panel(), []

    def spying(others: methods.Others) -> Listening[Any]:
        seen.append((set(made.listener[others.rows].tolist()), set(made.item[others.rows].tolist())))
        return methods.still(others)

    curves.curves(made, (0,), {"background": spying}, orders=1, item_folds=3, progress=lambda _: None)
    untested = [set(range(LISTENERS)) - people for people, _ in seen]
    assert len(seen) == curves.FOLDS * 3
    assert {one for people in untested for one in people} == set(range(LISTENERS))
    assert all(len(people) == LISTENERS // curves.FOLDS for people in untested)
    assert all(len(things) == ITEMS - ITEMS // 3 for _, things in seen)


def test_kinds_of_listeners_are_told_apart() -> None:
    made = panel()
    kinds = tuple("even" if i % 2 == 0 else "odd" for i in range(LISTENERS))
    va = np.where((made.listener % 2 == 0)[:, None], 0.9, made.va)
    split = Panel("made", made.theta, made.listener, made.item, va, made.background, made.places, kinds=kinds)
    alone = {"background": methods.still}
    found = curves.curves(split, (0,), alone, orders=1, item_folds=2, progress=lambda _: None)
    error = {part: rows["background"]["rmse"][0]["mean"] for part, rows in found.items()}
    assert error["odd"] < error[""] < error["even"]
    assert error[""] ** 2 == pytest.approx((error["odd"] ** 2 + error["even"] ** 2) / 2)


def test_the_prior_that_made_the_listeners_is_found_again() -> None:
    rng = np.random.default_rng(5)
    root = np.array([[0.3, 0.0, 0.0, 0.0], [0.0, 0.2, 0.0, 0.0], [0.2, 0.0, 0.2, 0.0], [0.0, 0.0, 0.0, 0.1]])
    mean, covariance, noise = np.array([0.2, 0.0, -0.1, 0.3]), root @ root.T, np.array([[0.05, 0.02], [0.02, 0.04]])
    listeners: list[Ratings] = []
    for W in rng.multivariate_normal(mean, covariance, 400).reshape(-1, 2, 2):
        state = no_ratings(2)
        for _ in range(30):
            phi = np.array([1.0, rng.normal()])
            state = added(state, phi, W @ phi + rng.multivariate_normal(np.zeros(2), noise), 1.0)
        listeners.append(state)
    found: ListenerPrior = fit_prior(listeners, affine=2, centred=False)
    np.testing.assert_allclose(found.mean.ravel(), mean, atol=0.04)
    np.testing.assert_allclose(found.covariance, covariance, atol=0.02)
    np.testing.assert_allclose(found.noise, noise, atol=0.003)
    assert np.all(fit_prior(listeners, affine=2).mean == 0)
    apart = fit_prior(listeners, affine=1).covariance
    assert apart[0, 1] == apart[1, 3] == 0  # what is not affine varies by itself
    with pytest.raises(DataError, match="two of them"):
        fit_prior(listeners[:1])


def standard_ratings(panel: Panel) -> list[Ratings]:
    """Each listener's sums around the mean of the others who rated the same thing, with features 1, v, a of it."""
    count = np.bincount(panel.item)[panel.item, None]
    total = np.stack([np.bincount(panel.item, axis)[panel.item] for axis in panel.va.T], axis=1)
    others = (total - panel.va) / np.maximum(count - 1, 1)
    sums = [no_ratings(3) for _ in range(panel.listeners)]
    for row in np.flatnonzero(count[:, 0] > 1):
        one = int(panel.listener[row])
        sums[one] = added(sums[one], np.concatenate([[1.0], others[row]]), panel.va[row] - others[row], 1.0)
    return sums


def test_the_shipped_constants_are_those_that_the_film_music_raters_give() -> None:
    data = DATA
    if not (data / "soundtracks").is_dir():
        pytest.skip("no soundtracks in the data folder (set VALARO_DATA)")
    found = fit_prior(standard_ratings(soundtracks_panel(data)))
    np.testing.assert_allclose(found.covariance, STANDARD.covariance, atol=6e-5)
    np.testing.assert_allclose(found.noise, STANDARD.noise, atol=6e-5)


def emotion(**steps: int) -> NDArray[np.int64]:
    return np.array([steps.get(name, 1) for name in EMOTIONS])


def test_emotions_lie_in_the_quadrants_that_the_study_gives_them() -> None:
    signs = {
        (1, 1): ("joy", "power", "surprise"),
        (-1, 1): ("anger", "fear", "tension"),
        (-1, -1): ("bitter", "sad"),
        (1, -1): ("peace", "tender", "transcendence"),
    }
    for expected, names in signs.items():
        for name in names:
            point = points_of_emotions(emotion(**{name: 5}))
            assert tuple(np.sign(point)) == expected
            assert np.hypot(*point) == pytest.approx(1.0)
            np.testing.assert_allclose(points_of_emotions(emotion(**{name: 2})), point / 4)
    assert points_of_emotions(emotion()).tolist() == [0.0, 0.0]
    both = points_of_emotions(np.stack([emotion(joy=5, sad=5), emotion(joy=5), emotion(sad=5)]))
    np.testing.assert_allclose(both[0], (both[1] + both[2]) / 2)


def test_a_folder_without_raters_is_refused(tmp_path: Path) -> None:
    synthetic.write_4q(tmp_path / "4q", 4, 1.0)
    with pytest.raises(DataError, match="soundtracks"):
        soundtracks_panel(tmp_path)


def test_the_report_is_json_and_markdown(found: curves.Curves) -> None:
    report = curves.PersonalReport(curves={"made": {"": found}}, titles={"made": "listeners unseen"})
    assert json.loads(json.dumps(report))["curves"]["made"][""]["default"]["rmse"]["10"]["mean"] > 0
    text = curves.personal_markdown(report)
    assert "**made, listeners unseen: RMSE" in text
    rows = [line for line in text.splitlines() if line.startswith("| default |")]
    assert len(rows) == 2
    assert "%" in rows[0].split("|")[4]
