"""The classifier of music, speech and noise: its filter against all paths summed, and what it takes for one."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from valaro.models.acoustic import activity
from valaro.models.acoustic.activity import CLASSES, ActivityClassifier, ActivityState
from valaro.models.features import texture

from ..synthetic_bundle import synthetic_classifier

MUSIC, SPEECH, NOISE = range(3)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, texture.SIZE)).astype(np.float32)


def test_the_belief_is_the_sum_over_all_paths() -> None:
    judge, heard = synthetic_classifier(), vectors(5)
    weights = [1.0, 0.3, 0.0, 1.0, 0.8]
    state = activity.init()
    for vector, weight in zip(heard, weights, strict=True):
        state = judge.step(state, vector, weight)
    scores = judge.scores(heard).astype(np.float64)
    mass = np.zeros(3)
    for path in product(range(3), repeat=6):
        p = activity._AT_FIRST[path[0]]
        for t, (before, now) in enumerate(pairwise(path)):
            p *= activity._CHANGES[before, now] * np.exp(weights[t] * scores[t, now])
        mass[path[-1]] += p
    np.testing.assert_allclose(state.belief, mass / mass.sum(), rtol=1e-6)


def test_scores_are_the_network_s_whether_of_one_vector_or_of_many() -> None:
    judge, heard = synthetic_classifier(), 20 * vectors(4)
    z = np.clip((heard.astype(np.float64) - judge.mean) / judge.scale, -activity.LIMIT, activity.LIMIT)
    expected = np.tanh(z @ judge.hidden + judge.hidden_bias) @ judge.output + judge.output_bias
    np.testing.assert_allclose(judge.scores(heard), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(judge.scores(heard[1]), judge.scores(heard)[1], rtol=1e-5)


def certain(label: int) -> np.ndarray:
    return 12.0 * np.eye(3)[label]


def test_it_starts_from_music_and_one_emission_alone_does_not_change_its_mind() -> None:
    state = activity.init()
    assert state.verdict == MUSIC
    doubtful = ActivityClassifier.believe(state, np.array([0.0, 3.0, 0.0]), 1.0)
    assert doubtful.verdict == MUSIC
    for _ in range(4):
        doubtful = ActivityClassifier.believe(doubtful, np.array([0.0, 3.0, 0.0]), 1.0)
    assert doubtful.verdict == SPEECH


@pytest.mark.parametrize(("before", "after"), [(MUSIC, SPEECH), (SPEECH, MUSIC), (SPEECH, NOISE), (NOISE, MUSIC)])
def test_however_long_something_was_heard_it_takes_two_seconds_at_most_to_believe_another(
    before: int, after: int
) -> None:
    state = ActivityState(np.eye(3)[before])
    for _ in range(7200):
        state = ActivityClassifier.believe(state, certain(before), 1.0)
    assert state.verdict == before
    for _ in range(4):
        state = ActivityClassifier.believe(state, certain(after), 1.0)
    assert state.verdict == after


def test_a_pause_of_a_talk_leaves_it_a_talk_and_a_long_silence_opens_all() -> None:
    judge = synthetic_classifier()
    state = ActivityState(np.array([0.0, 1.0, 0.0]))
    for _ in range(6):
        state = judge.step(state, vectors(1)[0], 0.0)
    assert state.verdict == SPEECH
    for _ in range(100):
        state = judge.step(state, vectors(1)[0], 0.0)
    assert state.verdict == MUSIC
    np.testing.assert_allclose(state.belief.sum(), 1.0)


def test_the_state_given_is_left_as_it_was() -> None:
    judge = synthetic_classifier()
    state = activity.init()
    judge.step(state, vectors(1)[0], 1.0)
    np.testing.assert_array_equal(state.belief, activity.init().belief)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mean": np.zeros(9)}, "mean of an activity classifier has shape"),
        ({"hidden": np.zeros((texture.SIZE, 9))}, "hidden of an activity classifier has shape"),
        ({"output": np.zeros((4, len(CLASSES) + 1))}, "output of an activity classifier has shape"),
        ({"output_bias": np.array([0.0, np.nan, 0.0])}, "not finite"),
        ({"scale": np.zeros(texture.SIZE)}, "scale of an activity classifier must be positive"),
    ],
)
def test_what_cannot_be_a_judge_is_refused(changes: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(synthetic_classifier(), **changes)
