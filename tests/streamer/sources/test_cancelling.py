"""Of a live input whose channels cancel each other it is said once, and its sound stays as it is."""

import logging

import numpy as np
import pytest
from valaro.streamer.sources.cancelling import CancellingWatch

from ..fakes import CountingEngine

RATE = 24_000


@pytest.mark.parametrize(("second", "told"), [(-1.0, 1), (1.0, 0), (0.0, 0)])
def test_channels_that_cancel_are_told_once(second: float, told: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    one = np.random.default_rng(0).normal(0.0, 0.1, (30 * RATE, 1)).astype(np.float32)
    sound = np.hstack([one, second * one]).astype(np.float32)
    engine = CountingEngine()
    watch = CancellingWatch(engine, "the desk", 2, RATE)
    for start in range(0, len(sound), RATE // 10):
        watch.push(sound[start : start + RATE // 10])
    np.testing.assert_array_equal(engine.heard, sound)
    assert [record.getMessage() for record in caplog.records] == told * [
        "the desk: its channels cancel when they are mixed (one leg swapped?): "
        "turn one round, or hear one alone with --channels 1"
    ]
