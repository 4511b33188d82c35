"""Between two emissions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from valaro.models import grid
from valaro.streamer.core.affect import Activity, Affect
from valaro.streamer.sinks.interpolation import blended

SHARES = st.floats(0.0, 1.0)


def emission(time: float, heatmap: NDArray[np.float64], activity: Activity = "music", **tags: float) -> Affect:
    """What the engine would say of this heatmap."""
    mean, covariance = grid.moments(heatmap)
    return Affect(
        time=time,
        valence=float(mean[0]),
        arousal=float(mean[1]),
        covariance=covariance,
        heatmap=heatmap,
        quadrants=grid.quadrants(heatmap),
        confidence=float(grid.confidence(heatmap)),
        level=time / 10,
        activity=activity,
        tags=tags,
    )


def some(seed: int, time: float) -> Affect:
    return emission(time, np.random.default_rng(seed).dirichlet(np.full(121, 0.2)).reshape(11, 11))


def one_cell(row: int, column: int) -> NDArray[np.float64]:
    heatmap = np.zeros((11, 11))
    heatmap[row, column] = 1.0
    return heatmap


@given(SHARES, st.integers(0, 99), st.integers(0, 99))
def test_it_is_a_probability_and_all_else_is_the_engines_word_on_it(share: float, one: int, other: int) -> None:
    older, newer = some(one, 1.0), some(other, 1.5)
    between = blended(older, newer, share)
    assert between.heatmap.shape == (11, 11)
    assert between.heatmap.min() >= 0.0
    assert between.heatmap.sum() == pytest.approx(1.0)
    expected = emission(between.time, between.heatmap)
    assert (between.valence, between.arousal) == (expected.valence, expected.arousal)
    assert between.confidence == expected.confidence
    np.testing.assert_array_equal(between.covariance, expected.covariance)
    np.testing.assert_array_equal(between.quadrants, expected.quadrants)
    assert between.time == pytest.approx(1.0 + 0.5 * share)
    assert between.level == pytest.approx(0.1 + 0.05 * share)
    # The mean of a mixture is the mixture of the means; its spread is more than either's where they lie apart.
    assert between.valence == pytest.approx((1 - share) * older.valence + share * newer.valence)


def test_half_way_between_two_corners_is_both_corners_and_not_the_middle() -> None:
    calm, tense = emission(0.5, one_cell(0, 10)), emission(1.0, one_cell(10, 0))
    between = blended(calm, tense, 0.5)
    assert between.heatmap[0, 10] == between.heatmap[10, 0] == 0.5
    assert (between.valence, between.arousal) == pytest.approx((0.0, 0.0))
    assert between.covariance[0, 1] == pytest.approx(-((10 / 11) ** 2))
    assert between.quadrants.tolist() == [0.0, 0.5, 0.0, 0.5]
    assert between.confidence == pytest.approx(1 - np.log(2) / np.log(121))


def test_at_the_ends_it_is_the_emission_itself() -> None:
    older, newer = some(1, 0.5), some(2, 1.0)
    for share in (0.0, -0.1):
        assert blended(older, newer, share) is older
    for share in (1.0, 1.1):
        assert blended(older, newer, share) is newer


def test_the_activity_turns_in_the_middle() -> None:
    older, newer = emission(0.5, one_cell(5, 5), "silence"), emission(1.0, one_cell(5, 5), "music")
    assert [blended(older, newer, share).activity for share in (0.49, 0.5)] == ["silence", "music"]


def test_tags_come_and_go_softly() -> None:
    older = emission(0.5, one_cell(5, 5), brass=0.8, drums=0.4)
    newer = emission(1.0, one_cell(5, 5), drums=0.8, voice=0.4)
    assert blended(older, newer, 0.25).tags == pytest.approx({"brass": 0.6, "drums": 0.5, "voice": 0.1})
    assert older.tags == {"brass": 0.8, "drums": 0.4}


def test_a_stream_that_began_again_does_not_run_backwards() -> None:
    last, first = some(1, 300.0), some(2, 0.5)
    assert blended(last, first, 0.1).time == 0.5


def test_a_blend_is_of_the_channel_that_both_are_of() -> None:
    one, other = (replace(some(seed, seed), channel=3) for seed in (1, 2))
    assert blended(one, other, 0.5).channel == 3
