"""The offset of a sound card: found, taken out, and nothing else touched."""

import numpy as np
import pytest
from valaro.models.features import dc_offset
from valaro.models.features.dc_offset import DCOffsetState
from valaro.models.features.frame import BLOCK, RATE


def tone(seconds: float, level: float = 0.1, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def through(samples: np.ndarray) -> tuple[DCOffsetState, np.ndarray]:
    state, out = dc_offset.init(), []
    for block in samples.reshape(-1, BLOCK):
        state, cleaned = dc_offset.step(state, block)
        assert cleaned.dtype == np.float32
        out.append(cleaned)
    return state, np.concatenate(out)


@pytest.mark.parametrize("offset", [0.1, -0.3, 0.003])
def test_an_offset_is_no_sound(offset: float) -> None:
    _, out = through(np.full(3 * RATE, offset, dtype=np.float32))
    assert np.abs(out).max() < 1e-6  # -120 dBFS: how a processor sums float32 is its own affair


@pytest.mark.parametrize("offset", [0.1, -0.02])
def test_of_a_sound_with_an_offset_the_sound_is_left(offset: float) -> None:
    sound = tone(10)
    _, out = through(sound + np.float32(offset))
    assert np.abs(out - sound)[RATE:].max() < 0.002


@pytest.mark.parametrize("hertz", [30.0, 55.0, 440.0])
def test_a_sound_without_an_offset_is_the_very_same(hertz: float) -> None:
    sound = tone(20, hertz=hertz)
    _, out = through(sound)
    np.testing.assert_array_equal(out, sound)


def test_an_offset_that_comes_and_goes_is_followed_within_seconds() -> None:
    sound = tone(30)
    moved = sound.copy()
    moved[10 * RATE : 20 * RATE] += np.float32(0.05)
    _, out = through(moved)
    for start in (8, 19, 29):
        assert np.abs(out - sound)[start * RATE : (start + 1) * RATE].max() < 0.003
    steps = np.abs(np.diff(out - sound))
    assert np.sort(steps)[-3] < 1e-4  # but for the two that were in the sound: what is taken out makes none


def test_an_hour_of_silence_leaves_normal_numbers() -> None:
    state, out = dc_offset.step(dc_offset.init(), np.full(BLOCK, 0.2, dtype=np.float32))
    for _ in range(36_000):
        state, out = dc_offset.step(state, np.zeros(BLOCK, dtype=np.float32))
    assert not out.any()
    for number in state[1:]:
        assert number == 0.0 or abs(number) > np.finfo(np.float64).tiny


def test_the_state_given_is_left_as_it_was_and_repeats() -> None:
    sound = tone(2) + np.float32(0.1)
    state, _ = through(sound)
    block = tone(0.1) + np.float32(0.1)
    kept = DCOffsetState(*state)
    first, again = dc_offset.step(state, block), dc_offset.step(state, block)
    assert state == kept
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])
