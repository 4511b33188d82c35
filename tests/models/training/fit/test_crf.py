"""Fitting the chain: exact gradients, rising likelihood, and a planted chain found again."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models.decoders.crf import CRF, near_pairs
from valaro.models.grid import CELL_AROUSAL, CELL_VALENCE, CELLS, QUADRANT_SHARE
from valaro.models.training.fit.crf import Labelled, _Problem, fit_crf, walkable
from valaro.models.training.recipe import CRFSettings, Objective

from ...synthetic_bundle import path_log_likelihood

F = 3


def planted() -> CRF:
    """The first feature says valence, the second arousal, the third nothing; cells move by small steps."""
    source, target = near_pairs(1.5)
    unary = np.stack([CELL_VALENCE, CELL_AROUSAL, 0 * CELL_AROUSAL])
    stay = np.where(source == target, 1.5, 0.0)
    return CRF(
        np.zeros(F), np.ones(F), unary, -np.hypot(CELL_VALENCE, CELL_AROUSAL), np.zeros(CELLS), source, target, stay
    )


def sample(model: CRF, x: NDArray[np.float64], raters: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Paths from p(y | x): backwards from the filter's last step."""
    filtered = model.filter(x)
    pairs = np.zeros((CELLS, CELLS))
    pairs[model.pair_from, model.pair_to] = np.exp(model.pair_weight)
    paths = np.empty((raters, len(x)), dtype=np.int64)
    for path in paths:
        path[-1] = rng.choice(CELLS, p=filtered[-1])
        for t in range(len(x) - 2, -1, -1):
            mass = filtered[t] * pairs[:, path[t + 1]]
            path[t] = rng.choice(CELLS, p=mass / mass.sum())
    return paths


def rated(count: int, seed: int = 0, steps: int = 30) -> list[Labelled]:
    rng = np.random.default_rng(seed)
    model = planted()
    clips = []
    for _ in range(count):
        x = rng.normal(size=F) + 0.5 * rng.normal(size=(steps, F))
        clips.append(Labelled(x, sample(model, x, 4, rng)))
    return clips


def fitted(
    clips: list[Labelled],
    *,
    initial: CRF | None = None,
    progress: Callable[[int, float], None] | None = None,
    **changes: Any,
) -> CRF:
    """By paths and with weak penalties, but for what is changed."""
    settings = CRFSettings(objective="paths", l2=10.0, smoothness=300.0, tie=0.1, iterations=100)
    return fit_crf(clips, replace(settings, **changes), initial=initial, progress=progress)


def quadrant_of(clip: Labelled) -> Labelled:
    assert clip.labels is not None
    truth = int(QUADRANT_SHARE[clip.labels].sum(axis=(0, 1)).argmax())
    return Labelled(clip.x, evidence=np.tile(QUADRANT_SHARE[:, truth], (len(clip.x), 1)), weight=0.5)


def point_likelihood(model: CRF, clips: list[Labelled], how: Literal["filter", "smooth"] = "filter") -> float:
    values = []
    for clip in clips:
        assert clip.labels is not None
        heatmaps = getattr(model, how)(clip.x)
        values.append(np.log(np.take_along_axis(heatmaps, clip.labels.T, axis=1)).mean())
    return float(np.mean(values))


def prior(train: list[Labelled]) -> NDArray[np.float64]:
    count = sum(
        np.bincount(np.ravel(clip.labels if clip.labels is not None else []), minlength=CELLS) for clip in train
    )
    return (count + 0.1) / np.sum(count + 0.1)


@pytest.mark.parametrize("objective", ["paths", "filter"])
@pytest.mark.parametrize("kind", ["labels", "evidence", "both"])
def test_the_gradient_is_the_finite_difference(objective: Objective, kind: str) -> None:
    clips = rated(2, steps=6)
    clips = {"labels": clips, "evidence": [quadrant_of(c) for c in clips], "both": [clips[0], quadrant_of(clips[1])]}[
        kind
    ]
    problem = _Problem(clips, planted(), (0.5, 0.7, 0.3), objective)
    rng = np.random.default_rng(2)
    at = problem.initial + rng.normal(0, 0.3, problem.initial.size)
    _, gradient = problem.loss(at)
    # In random directions, within each kind of weight and over all of them.
    edges = [0, F * CELLS, (F + 1) * CELLS, (F + 2) * CELLS, at.size]
    for low, high in [*pairwise(edges), (0, at.size)]:
        direction = np.zeros_like(at)
        direction[low:high] = rng.normal(size=high - low)
        step = 1e-5 * direction
        slope = (problem.loss(at + step)[0] - problem.loss(at - step)[0]) / 2e-5
        assert gradient @ direction == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_the_value_of_paths_is_their_likelihood_and_of_filter_that_of_the_points() -> None:
    clips, model = rated(2), planted()
    expected = sum(float(path_log_likelihood(model, c.x, np.asarray(c.labels)).mean()) for c in clips)
    weights = np.concatenate([model.unary.ravel(), model.bias, model.start, model.pair_weight])
    penalty = 0.5 * 1e-2 * sum(np.sum(w**2) for w in (model.bias, model.start, model.pair_weight))
    assert _Problem(clips, model, (0, 0, 0), "paths").loss(weights)[0] == pytest.approx(penalty - expected)
    points = 30 * 2 * point_likelihood(model, clips)
    assert _Problem(clips, model, (0, 0, 0), "filter").loss(weights)[0] == pytest.approx(penalty - points)


def test_evidence_of_one_cell_a_step_is_a_path() -> None:
    clip, model = rated(1)[0], planted()
    assert clip.labels is not None
    certain = Labelled(clip.x, evidence=np.eye(CELLS)[clip.labels[0]])
    weights = np.concatenate([model.unary.ravel(), model.bias, model.start, model.pair_weight])
    values, gradients = zip(
        *(_Problem([c], model, (0, 0, 0), "paths").loss(weights) for c in (certain, Labelled(clip.x, clip.labels[:1]))),
        strict=True,
    )
    assert values[0] == pytest.approx(values[1])
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-9)


@pytest.mark.parametrize("objective", ["paths", "filter"])
def test_a_planted_chain_is_found_again(objective: Objective) -> None:
    train, test = rated(40), rated(8, seed=1)
    rising: list[float] = []
    model = fitted(
        train, radius=1.5, l2=1, smoothness=10, tie=1, objective=objective, iterations=40,
        progress=lambda _, value: rising.append(value),
    )  # fmt: skip
    assert np.all(np.diff(rising) > 0)
    floor = float(np.mean([np.log(prior(train))[c.labels].mean() for c in test]))
    best = point_likelihood(planted(), test)
    assert best - floor > 0.3
    assert point_likelihood(model, test) > floor + 0.65 * (best - floor)
    strength = np.abs(model.unary).sum(axis=1)
    assert strength[:2].min() > 4 * strength[2]
    assert np.corrcoef(model.unary[0], CELL_VALENCE)[0, 1] > 0.9


def test_knowing_the_whole_song_helps_a_chain_fitted_to_paths() -> None:
    train, test = rated(24), rated(8, seed=1)
    model = fitted(train, radius=1.5, l2=1, smoothness=3, iterations=40)
    assert point_likelihood(model, test, "smooth") > point_likelihood(model, test) + 0.01


@pytest.mark.parametrize("objective", ["paths", "filter"])
def test_quadrants_alone_teach_what_the_features_say(objective: Objective) -> None:
    train, test = [quadrant_of(c) for c in rated(40)], rated(30, seed=1)
    model = fitted(train, radius=1.5, l2=1, smoothness=10, objective=objective, iterations=30)
    hits = 0
    for clip in test:
        truth = quadrant_of(clip).evidence
        assert truth is not None
        guess = (model.filter(clip.x).mean(axis=0) @ QUADRANT_SHARE).argmax()
        hits += int(np.array_equal(QUADRANT_SHARE[:, guess], truth[0]))
    assert hits >= 22  # the planted chain itself: 26 of 30; chance: 8


def test_a_warm_start_goes_on_from_where_it_was() -> None:
    train = rated(6)
    first = fitted(train, radius=1.5, iterations=15)
    reached: list[float] = []
    again = fitted(train, initial=first, iterations=3, progress=lambda _, value: reached.append(value))
    np.testing.assert_array_equal(again.mean, first.mean)
    assert again.pair_weight.size == near_pairs(1.5)[0].size
    weights = np.concatenate([first.unary.ravel(), first.bias, first.start, first.pair_weight])
    assert reached[0] >= -_Problem(train, first, (10.0, 300.0, 0.1), "paths").loss(weights)[0]


def test_a_fit_is_deterministic_and_heeds_the_weights() -> None:
    train = rated(4)
    one, two = (fitted(train, iterations=5) for _ in range(2))
    np.testing.assert_array_equal(one.unary, two.unary)
    twice = fitted([*train, train[0]], iterations=5)
    weighted = fitted([Labelled(train[0].x, train[0].labels, weight=2.0), *train[1:]], iterations=5)
    np.testing.assert_allclose(twice.unary, weighted.unary, atol=1e-6)
    assert np.abs(twice.unary - one.unary).max() > 1e-4


def test_a_jump_is_walked_by_steps_within_the_radius() -> None:
    pairs = near_pairs(2.3)
    jump = np.array([[0, 0, 60, 60, 60, 60, 60], [60, 61, 62, 62, 51, 51, 51]])
    walked = walkable(jump, *pairs)
    assert walked[0, 1] == 0
    assert walked[0, -1] == 60
    assert set(zip(walked[0, :-1], walked[0, 1:], strict=True)) <= set(zip(*pairs, strict=True))
    np.testing.assert_array_equal(walked[1], jump[1])
    np.testing.assert_array_equal(walkable(jump, *near_pairs(None)), jump)


def test_evidence_that_no_path_can_follow_is_refused() -> None:
    clip = Labelled(np.random.default_rng(0).normal(size=(2, F)), evidence=np.eye(CELLS)[[0, 120]])
    with pytest.raises(ValueError, match="widen the radius"):
        fitted([clip], radius=1.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "either labels or evidence"),
        ({"labels": np.zeros((1, 5), int), "evidence": np.ones((5, CELLS))}, "either labels or evidence"),
        ({"labels": np.zeros((1, 4), int)}, "labels have shape"),
        ({"labels": np.full((1, 5), CELLS)}, "cells 0 to 120"),
        ({"evidence": np.ones((5, 4))}, "evidence has shape"),
        ({"evidence": np.zeros((5, CELLS))}, "evidence must be"),
        ({"labels": np.zeros((1, 5), int), "weight": 0.0}, "weight of a clip"),
        ({"labels": np.zeros((1, 5), int), "x": np.full((5, F), np.nan)}, "must be finite"),
    ],
)
def test_labels_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Labelled(**{"x": np.zeros((5, F)), **fields})


def test_clips_that_do_not_belong_together_are_refused() -> None:
    one, other = rated(1)[0], Labelled(np.zeros((5, F + 1)), np.zeros((1, 5), int))
    for clips in ([], [one, other]):
        with pytest.raises(ValueError, match="at least one clip"):
            fitted(clips)
    with pytest.raises(ValueError, match="must have 3 features"):
        fitted([other], initial=planted())
