"""Numbers that are none never leave: not from a broken model or memory, and not by whoever made the emission."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import snapshot
from valaro.models.bundle import Bundle
from valaro.models.decoders.base import Evidence
from valaro.models.decoders.lstm import LSTM
from valaro.models.tracker import Tracker
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.engine import Engine
from valaro.streamer.core.multichannel import MultichannelEngine
from valaro.streamer.core.session import Session
from valaro.streamer.sources import Memory

from ...models.synthetic_bundle import full_bundle
from ..fakes import Collect, CountingEngine, neutral

RATE = 24_000
SECOND = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
PARTS = ("dc_offset", "features", "texture", "topics", "decoders")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return full_bundle()


def none_of(state: Any) -> Any:
    """The same state with NaN in each array and number."""
    if isinstance(state, tuple):
        parts = [none_of(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    if isinstance(state, np.ndarray) and state.dtype.kind == "f":
        return np.full_like(state, np.nan)
    return float("nan") if isinstance(state, float) else state


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("decoder", ["fusion", "aeg", "crf", "lstm"])
def test_a_memory_that_is_no_numbers_gives_the_neutral_heatmap_once_and_recovers(
    bundle: Bundle, part: str, decoder: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine, sound = Engine(bundle, RATE, decoder), Engine(bundle, RATE, decoder)
    for each in (engine, sound):
        each.push(SECOND)
    engine._state = engine._state._replace(**{part: none_of(getattr(engine._state, part))})
    with np.errstate(all="ignore"):
        emissions = [affect for _ in range(4) for affect in engine.push(SECOND)]
    assert len(emissions) == 8
    assert all(affect.is_finite for affect in emissions)
    assert snapshot.is_finite(engine.state)
    if part == "decoders" and decoder in ("aeg", "crf"):  # they make good of it by themselves
        assert engine.bad_heatmaps == 0
        return
    assert 1 <= engine.bad_heatmaps <= 2
    np.testing.assert_array_equal(emissions[0].heatmap.ravel(), Tracker(bundle, decoder).neutral)
    assert [affect.activity for affect in emissions] == [
        affect.activity for _ in range(4) for affect in sound.push(SECOND)
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "told once" in caplog.text


def test_a_model_of_nan_says_nothing_for_ever_and_is_told_once(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    """As no bundle on disk may be; a program may make one."""
    assert bundle.lstm is not None

    class Broken(LSTM):
        def step(self, state: Any, evidence: Evidence) -> tuple[Any, NDArray[np.float64]]:
            return state, np.full(121, np.nan)

    engine = Engine(replace(bundle, lstm=Broken(bundle.lstm.model)), RATE)
    with np.errstate(all="ignore"):
        emissions = [affect for _ in range(4) for affect in engine.push(SECOND)]
    assert engine.bad_heatmaps == len(emissions) == 8
    assert all(affect.is_finite for affect in emissions)
    assert len(caplog.records) == 1


def test_one_channel_of_nan_leaves_the_other_alone(bundle: Bundle) -> None:
    engine = MultichannelEngine(bundle, RATE, (1, 2))
    first = engine.engines[1]
    first._state = first._state._replace(decoders=none_of(first._state.decoders))
    alone = Engine(bundle, RATE)
    with np.errstate(all="ignore"):
        both = engine.push(np.stack([SECOND, SECOND], axis=1))
    assert engine.bad_heatmaps >= 1
    assert engine.engines[2].bad_heatmaps == 0
    for affect, expected in zip([each for each in both if each.channel == 2], alone.push(SECOND), strict=True):
        np.testing.assert_array_equal(affect.heatmap, expected.heatmap)
    assert all(affect.is_finite for affect in both)


def test_a_listeners_heatmap_of_nan_is_not_taken(bundle: Bundle) -> None:
    class Broken:
        def hear(self, time: float, theta: Any, heatmap: Any, texture: Any) -> Any:
            return np.full(121, np.nan)

    engine, plain = Engine(bundle, RATE, listener=Broken()), Engine(bundle, RATE)
    for affect, expected in zip(engine.push(SECOND), plain.push(SECOND), strict=True):
        np.testing.assert_array_equal(affect.heatmap, expected.heatmap)
    assert engine.bad_heatmaps == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "field", ["time", "valence", "arousal", "confidence", "level", "covariance", "heatmap", "quadrants", "tags"]
)
def test_whoever_made_an_emission_no_sink_gets_what_is_no_number(field: str, value: float) -> None:
    whole = neutral(0.5, level=0.25)
    old = getattr(whole, field)
    bad = np.full_like(old, value) if isinstance(old, np.ndarray) else {"calm": value, "slow": 0.5}
    affect = replace(whole, **{field: value if isinstance(old, float) else bad})

    class Made(CountingEngine):
        def push(self, samples: Any) -> list[Affect]:
            return [affect] if super().push(samples) else []

        def finish(self) -> list[Affect]:
            return []

    sink = Collect()
    session = Session(Memory(np.zeros((12_000, 1), np.float32), RATE), Made(), [sink])
    session.run()
    (sent,) = sink.affects
    assert sent.is_finite
    assert sent.heatmap.sum() == pytest.approx(1.0)
    assert session.counters.bad_emissions == 1
    assert sent.level == (0.0 if field == "level" else 0.25)
    assert sent.tags == ({"slow": 0.5} if field == "tags" else {})


def test_what_is_finite_is_passed_on_as_it_is() -> None:
    affect = neutral(0.5)
    assert affect.finite() is affect


def test_no_engine_goes_on_from_a_state_that_leads_to_no_heatmap(bundle: Bundle) -> None:
    engine = Engine(bundle, RATE)
    engine.warm_up()
    fresh = engine.state
    sound = Engine(bundle, RATE)
    sound.push(SECOND)
    lstm = next(k for k, state in enumerate(sound.state.decoders.states) if hasattr(state, "context"))
    state = sound.state.decoders.states
    other_shape = state[lstm]._replace(context=np.zeros((1, 2, 3), np.float32))
    for wrong in (
        sound.state._replace(topics=none_of(sound.state.topics)),
        sound.state._replace(
            decoders=sound.state.decoders._replace(states=(*state[:lstm], other_shape, *state[lstm + 1 :]))
        ),
    ):
        with pytest.raises(ValueError, match=r"numbers that are none|nothing can be heard"):
            engine.resume(wrong)
        assert engine.state is fresh
        assert engine.bad_heatmaps == 0
    engine.resume(sound.state)
    assert engine.push(SECOND)[0].is_finite
