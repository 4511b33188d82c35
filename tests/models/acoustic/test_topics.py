"""The topic posterior: Eq. 3, forgetting, silence, and the triple test of a stateful part."""

import doctest
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from valaro.models.acoustic.topics import Topics, TopicState

F64 = NDArray[np.float64]
K, N = 9, 120
RNG = np.random.default_rng(2)
PRIOR = RNG.dirichlet(np.ones(K))
POSTERIORS = RNG.dirichlet(np.ones(K) / 4, N)
WEIGHTS = np.where(RNG.random(N) < 0.3, 0.0, RNG.random(N))
TOPICS = Topics(PRIOR, half_life=1.0, frame_period=0.02, tau=20.0)


def streamed(topics: Topics, state: TopicState, cuts: list[int]) -> TopicState:
    for piece in np.split(np.arange(N), sorted(cuts)):
        state = topics.step(state, POSTERIORS[piece], WEIGHTS[piece])
    return state


def test_without_forgetting_or_prior_it_is_eq_3() -> None:
    topics = Topics(PRIOR, half_life=np.inf, frame_period=0.02, tau=0.0)
    state = topics.step(topics.init(), POSTERIORS, np.ones(N))
    np.testing.assert_allclose(topics.theta(state), POSTERIORS.mean(axis=0), rtol=1e-12)


def test_a_frame_counts_half_after_the_half_life() -> None:
    frame = POSTERIORS[:1]
    state = TOPICS.step(TOPICS.init(), frame, np.ones(1))
    later = TOPICS.step(state, np.zeros((50, K)), np.zeros(50))
    np.testing.assert_allclose(later.mass, frame[0] / 2, rtol=1e-12)
    assert later.total == pytest.approx(0.5)


@given(st.lists(st.integers(0, N), max_size=12))
def test_any_chunking_is_the_whole_bit_for_bit(cuts: list[int]) -> None:
    whole = TOPICS.step(TOPICS.init(), POSTERIORS, WEIGHTS)
    pieces = streamed(TOPICS, TOPICS.init(), cuts)
    np.testing.assert_array_equal(pieces.mass, whole.mass)
    assert pieces.total == whole.total


def test_reset_repeats_and_without_reset_it_differs() -> None:
    first = TOPICS.step(TOPICS.init(), POSTERIORS, WEIGHTS)
    again = TOPICS.step(TOPICS.init(), POSTERIORS, WEIGHTS)
    onwards = TOPICS.step(first, POSTERIORS, WEIGHTS)
    np.testing.assert_array_equal(TOPICS.theta(again), TOPICS.theta(first))
    assert np.abs(TOPICS.theta(onwards) - TOPICS.theta(first)).max() > 1e-3


def test_step_leaves_the_state_it_was_given() -> None:
    before = TOPICS.step(TOPICS.init(), POSTERIORS, WEIGHTS)
    copy = before.mass.copy()
    TOPICS.step(before, POSTERIORS, WEIGHTS)
    np.testing.assert_array_equal(before.mass, copy)


def test_silence_drifts_to_the_prior() -> None:
    state = TOPICS.step(TOPICS.init(), POSTERIORS, np.ones(N))
    distances = []
    for _ in range(20):
        distances.append(np.abs(TOPICS.theta(state) - PRIOR).max())
        state = TOPICS.step(state, POSTERIORS[:50], np.zeros(50))
    assert distances[0] > 0.05
    assert (np.diff(distances) < 0).all()
    assert distances[-1] < 1e-4


def test_silence_of_any_length_ends_in_the_prior_exactly() -> None:
    for tau in (0.0, 20.0):
        topics = Topics(PRIOR, half_life=0.02, frame_period=0.02, tau=tau)
        state = topics.step(topics.init(), POSTERIORS, np.ones(N))
        state = topics.step(state, np.zeros((2000, K)), np.zeros(2000))
        np.testing.assert_allclose(topics.theta(state), PRIOR, rtol=1e-15)
        assert state.total == 0


@pytest.mark.parametrize("n", [0, 1, N])
def test_theta_is_a_distribution(n: int) -> None:
    theta = TOPICS.theta(TOPICS.step(TOPICS.init(), POSTERIORS[:n], WEIGHTS[:n]))
    assert theta.min() >= 0
    assert theta.sum() == pytest.approx(1.0, abs=1e-12)


def test_bad_settings_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="half_life"):
        Topics(PRIOR, half_life=0.0, frame_period=0.02, tau=1.0)
    with pytest.raises(ValueError, match="do not belong together"):
        TOPICS.step(TOPICS.init(), POSTERIORS[:, :3], WEIGHTS)


def test_the_docstrings_example() -> None:
    result = doctest.testmod(import_module("valaro.models.acoustic.topics"))
    assert result.attempted > 0
    assert result.failed == 0
