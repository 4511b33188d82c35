"""The lag of raters behind the music, where it is planted and known."""

import numpy as np
import pytest
from valaro.models.errors import DataError
from valaro.models.training.evaluation.annotator_lag import Lag, annotator_lag

PLANTED = 5  # emissions: 2.5 s


def planted(columns: int, pieces: int = 20, noise: float = 1.0, sign: float = 1.0) -> tuple[list, list]:
    """Smooth random sounds (n, columns) and a trace (n, 1) that follows their first column, late and noisily."""
    generator = np.random.default_rng(3)
    features, traces = [], []
    for index in range(pieces):
        raw = generator.normal(size=(160 + index, columns))
        sound = np.apply_along_axis(lambda x: np.convolve(x, np.hanning(9), "valid"), 0, raw)
        trace = sign * np.roll(sound[:, 0], PLANTED)
        trace[:PLANTED] = trace[PLANTED]
        features.append(sound)
        traces.append((trace + noise * generator.normal(size=trace.size))[:, None])
    return features, traces


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_feature_gives_the_planted_lag_whatever_its_sign(sign: float) -> None:
    found = annotator_lag(*planted(1, sign=sign))
    assert found.seconds == pytest.approx(2.5, abs=0.25)
    assert 0 < found.error < 0.5
    assert found.curve.max() > 0.7
    assert found.lags[found.curve.argmax()] == 2.5
    assert (found.lags[0], found.lags[-1], found.pieces) == (0, 8, 20)


def test_many_features_give_it_through_what_predicts_on_other_pieces() -> None:
    found = annotator_lag(*planted(6))
    assert found.seconds == pytest.approx(2.5, abs=0.25)
    assert found.error < 0.5
    # Prediction is not fitting: five columns of noise must not lift the curve where there is nothing.
    assert found.curve[-1] < 0.2


def test_axes_are_averaged() -> None:
    features, traces = planted(1)
    twice = [np.hstack([trace, -trace]) for trace in traces]
    one, both = annotator_lag(features, traces), annotator_lag(features, twice)
    assert both.curve == pytest.approx(one.curve)
    assert both.seconds == pytest.approx(one.seconds)


def test_the_error_grows_with_the_noise_and_a_seed_repeats_it() -> None:
    quiet, loud = annotator_lag(*planted(1, noise=0.5)), annotator_lag(*planted(1, noise=12.0))
    assert loud.error > 2 * quiet.error
    again = annotator_lag(*planted(1, noise=12.0))
    assert (again.seconds, again.error) == (loud.seconds, loud.error)
    assert annotator_lag(*planted(1, noise=12.0), seed=1).error != loud.error


def test_level_differences_between_pieces_are_no_lag() -> None:
    """A piece that is loud and judged lively throughout says nothing of when."""
    features, traces = planted(1)
    shifted = annotator_lag([x + 50 * i for i, x in enumerate(features)], [y - 30 * i for i, y in enumerate(traces)])
    assert shifted.curve == pytest.approx(annotator_lag(features, traces).curve)


def test_pieces_that_say_nothing_are_left_out() -> None:
    features, traces = planted(1)
    known: Lag = annotator_lag(features, traces)
    flat, brief = np.zeros((100, 1)), np.ones((12, 1)).cumsum(axis=0)
    assert annotator_lag([*features, flat + 1, brief], [*traces, flat, brief]).pieces == known.pieces


@pytest.mark.parametrize(
    ("features", "traces", "message"),
    [
        ([np.zeros((50, 1))], [], "1 pieces of features and 0 of traces"),
        ([np.zeros((50, 1))], [np.zeros((49, 1))], r"piece 0: features \(50, 1\) and traces \(49, 1\)"),
        ([np.zeros((50, 1))], [np.full((50, 1), np.nan)], "piece 0: a feature or a label is not a number"),
        ([np.zeros((50, 1))], [np.arange(50.0)[:, None]], "1 pieces that move"),
        ([], [], "0 pieces that move"),
    ],
)
def test_too_little_or_misaligned_is_refused(features: list, traces: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        annotator_lag(features, traces)
