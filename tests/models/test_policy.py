"""What speech and noise may do to the heatmap: with a classifier that tells the two sounds of these tests apart."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import Bundle
from valaro.models.acoustic.activity import CLASSES, ActivityClassifier
from valaro.models.features import texture
from valaro.models.features.frame import BLOCK, BLOCKS, EMISSION, RATE
from valaro.models.snapshot import restored, snapshot
from valaro.models.tracker import POLICIES, Policy, Tracker, TrackerState

from .synthetic_bundle import full_bundle

F32, F64 = NDArray[np.float32], NDArray[np.float64]
MUSIC, NOISE = 0, 2


def chords(seconds: float, seed: int = 0) -> F32:
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    hz = (220 * 2 ** (rng.integers(0, 12, 64) / 12))[(t * 2).astype(int) % 64]
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    x = sum(np.sin(ratio * phase) / ratio for ratio in (1.0, 1.25, 1.5, 2.0)) * np.exp(-4 * (t % 0.5))
    return (0.1 * x + 0.002 * rng.standard_normal(t.size)).astype(np.float32)


def rush(seconds: float) -> F32:
    """White noise: what the classifier of these tests calls noise."""
    return 0.1 * np.random.default_rng(3).standard_normal(round(seconds * RATE)).astype(np.float32)


def silence(seconds: float) -> F32:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def followed(tracker: Tracker, samples: F32, state: TrackerState | None = None) -> tuple[list[TrackerState], F64]:
    """The state after each emission, and its heatmap."""
    state, states = state or tracker.init(), []
    for i, block in enumerate(samples.reshape(-1, BLOCK)):
        state, _ = tracker.step(state, block)
        if (i + 1) % BLOCKS == 0:
            states.append(state)
    return states, np.stack([tracker.heatmap(each) for each in states])


@cache
def classified() -> Bundle:
    """A classifier along the line from the chords' texture to that of the noise."""
    tracker = Tracker(full_bundle())
    one, other = (followed(tracker, sound)[0][-1].vector for sound in (chords(10), rush(10)))
    scale = np.abs(other - one) + np.float32(1.0)
    direction = ((other - one) / scale)[:, np.newaxis]
    output = np.zeros((1, len(CLASSES)), dtype=np.float32)
    output[0, [MUSIC, NOISE]] = -5.0, 5.0
    centre, slope = 0.85 * one + 0.15 * other, 4 * direction / (direction**2).sum()
    never_speech = np.array([0.0, -20.0, 0.0], dtype=np.float32)
    classifier = ActivityClassifier(
        centre.astype(np.float32), scale, slope, np.zeros(1, dtype=np.float32), output, never_speech
    )
    return replace(full_bundle(), activity_classifier=classifier)


PIECE = np.concatenate([chords(6), rush(12), chords(6, seed=2)])
CHANGE, BACK = 12, 36  # emissions


@cache
def heard(policy: Policy) -> tuple[list[TrackerState], F64]:
    return followed(Tracker(classified(), policy=policy), PIECE)


def verdicts(states: list[TrackerState]) -> list[int]:
    return [state.activity.verdict for state in states]


def noticed() -> int:
    """The emission at which the noise is told."""
    return verdicts(heard("drift")[0]).index(NOISE)


def test_the_sound_of_these_tests_is_told_apart_within_three_seconds() -> None:
    for policy in POLICIES:
        told = verdicts(heard(policy)[0])
        assert told[:CHANGE] == [MUSIC] * CHANGE
        assert told[CHANGE + 6 : BACK] == [NOISE] * (BACK - CHANGE - 6)
        assert told[BACK + 6 :] == [MUSIC] * (len(told) - BACK - 6)


def test_passing_through_is_having_no_classifier() -> None:
    _, plain = followed(Tracker(full_bundle()), PIECE)
    np.testing.assert_array_equal(heard("pass")[1], plain)


@pytest.mark.parametrize("policy", ["drift", "hold"])
def test_music_alone_is_heard_as_without_a_classifier(policy: Policy) -> None:
    _, plain = followed(Tracker(full_bundle()), PIECE)
    np.testing.assert_array_equal(heard(policy)[1][: noticed()], plain[: noticed()])


def test_drifting_fades_to_the_neutral_heatmap_by_the_half_life() -> None:
    rest = Tracker(classified()).heatmap(Tracker(classified()).init())
    rows = heard("drift")[1]
    states = heard("drift")[0]
    half = round(classified().half_life * RATE / EMISSION)
    for start in (noticed(), noticed() + 3):
        assert states[start + half].decoders.presence == pytest.approx(states[start].decoders.presence / 2)
    assert np.abs(rows[BACK - 1] - rest).sum() < 0.5 * np.abs(rows[CHANGE - 1] - rest).sum()


def test_holding_stays_with_what_the_music_said_before_the_noise() -> None:
    rows = heard("hold")[1]
    held = rows[noticed() : BACK]
    np.testing.assert_array_equal(held, np.broadcast_to(held[0], held.shape))
    assert noticed() - CHANGE < 6  # so that what was held is of before the change
    assert np.abs(rows[:CHANGE] - held[0]).sum(axis=1).min() < 0.02  # but for theta's own drift
    _, steered = heard("pass")
    assert np.abs(steered[BACK - 1] - held[0]).sum() > 0.1


def test_a_pause_in_the_noise_is_held_too_and_drifts_as_the_noise_does() -> None:
    paused = np.concatenate([chords(6), rush(6), silence(3), rush(3)])
    _, rows = followed(Tracker(classified(), policy="hold"), paused)
    np.testing.assert_array_equal(rows[noticed() :], np.broadcast_to(rows[-1], rows[noticed() :].shape))
    states, _ = followed(Tracker(classified()), paused)
    presence = [state.decoders.presence for state in states[noticed() :]]
    np.testing.assert_allclose([b / a for a, b in pairwise(presence)], 2 ** (-EMISSION / RATE / classified().half_life))


def alike(one: Any, other: Any) -> bool:
    """Whether two states of decoders are the same numbers."""
    if isinstance(one, tuple):
        return all(alike(part, same) for part, same in zip(one, other, strict=True))
    return np.array_equal(one, other)


def test_the_decoders_go_on_from_the_music_that_they_heard_last() -> None:
    states, _ = heard("hold")
    during, after = states[BACK - 1], states[-1]
    assert any(alike(state.decoders.states, during.decoders.states) for state in states[:CHANGE])
    np.testing.assert_array_equal(states[noticed()].decoders.log_heatmaps, during.decoders.log_heatmaps)
    assert np.abs(during.decoders.log_heatmaps - after.decoders.log_heatmaps).max() > 1e-3
    assert after.decoders.presence == 1.0


@pytest.mark.parametrize("policy", ["drift", "hold"])
def test_what_another_remembered_carries_the_verdict(policy: Policy) -> None:
    tracker = Tracker(classified(), policy=policy)
    states, rows = heard(policy)
    template = tracker.init()
    resumed = restored(template, snapshot(template, states[20]))
    _, same = followed(tracker, PIECE[21 * EMISSION :], resumed)
    np.testing.assert_allclose(same, rows[21:], atol=1e-12)
    assert verdicts([resumed]) == [NOISE]


def test_the_vector_is_of_the_size_that_the_classifier_is_given() -> None:
    assert heard("drift")[0][0].vector.shape == (texture.SIZE,)
