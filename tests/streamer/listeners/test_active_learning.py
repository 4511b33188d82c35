"""Which moments a listener is asked about."""

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import grid
from valaro.models.adaptation.heatmap_shift import standard_listener
from valaro.streamer.core.affect import Affect
from valaro.streamer.listeners.active_learning import (
    Moment,
    QuestionSelector,
    candidates,
    information_gains,
    select_moments,
)
from valaro.streamer.listeners.evidence import RatedEvidence, StoredRating, theta_digest

from ...models.synthetic_bundle import synthetic_bundle
from ..ratings import HEARD, some_heard

K = 8
BUNDLE = synthetic_bundle(K)
LISTENER = standard_listener(K)


def heatmap_at(valence: float, arousal: float) -> NDArray[np.float64]:
    """A narrow one around a point: (121,)."""
    squares = (grid.CELL_VALENCE - valence) ** 2 + (grid.CELL_AROUSAL - arousal) ** 2
    masses = np.exp(-squares / 0.1)
    return masses / masses.sum()


def some_moments(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str], list[float]]:
    """theta (n, K), log heatmaps (n, 121), files, times: in three files, a second apart."""
    numbers = np.random.default_rng(seed)
    theta = numbers.dirichlet(np.ones(K), count)
    means = numbers.uniform(-0.8, 0.8, (count, 2))
    log_heatmaps = np.log(np.stack([heatmap_at(*mean) for mean in means]))
    return theta, log_heatmaps, [f"{3 * index // count}.wav" for index in range(count)], [5.0 + i for i in range(count)]


def test_the_gain_is_what_the_listener_says_of_each_moment() -> None:
    theta, log_heatmaps, *_ = some_moments(20)
    state = LISTENER.rate(LISTENER.init(), theta[3], log_heatmaps[3], np.array([0.5, -0.5]))
    expected = [LISTENER.information(state, *moment) for moment in zip(theta, log_heatmaps, strict=True)]
    np.testing.assert_allclose(information_gains(LISTENER, state, theta, log_heatmaps), expected, rtol=1e-10)


def test_each_moment_is_the_best_after_those_before_it_whatever_they_will_be_rated() -> None:
    theta, log_heatmaps, files, times = some_moments(90)
    chosen = select_moments(LISTENER, LISTENER.init(), theta, log_heatmaps, files, times, 6)
    state = LISTENER.init()
    numbers = np.random.default_rng(5)
    for step, index in enumerate(chosen):
        free = [
            candidate
            for candidate in range(90)
            if all(
                files[candidate] != files[earlier] or abs(times[candidate] - times[earlier]) >= 10
                for earlier in chosen[:step]
            )
        ]
        best = max(free, key=lambda candidate: LISTENER.information(state, theta[candidate], log_heatmaps[candidate]))
        assert index == best
        state = LISTENER.rate(state, theta[index], log_heatmaps[index], numbers.uniform(-1, 1, 2))
    assert len(chosen) == 6


def test_chosen_moments_tell_more_than_any() -> None:
    theta, log_heatmaps, files, times = some_moments(90)

    def doubt(indices: list[int]) -> float:
        state = LISTENER.init()
        for index in indices:
            state = LISTENER.rate(state, theta[index], log_heatmaps[index], np.zeros(2))
        return float(np.linalg.slogdet(LISTENER.posterior(state).covariance)[1])

    chosen = doubt(select_moments(LISTENER, LISTENER.init(), theta, log_heatmaps, files, times, 6))
    numbers = np.random.default_rng(0)
    assert all(chosen < doubt(list(numbers.choice(90, 6, replace=False))) for _ in range(50))


def test_moments_of_one_file_lie_apart_and_those_asked_are_left_alone() -> None:
    theta, log_heatmaps, files, times = some_moments(36)  # 12 s of each of three files
    chosen = select_moments(LISTENER, LISTENER.init(), theta, log_heatmaps, files, times, 20)
    assert 3 <= len(chosen) <= 6
    for first in chosen:
        for second in chosen:
            assert first == second or files[first] != files[second] or abs(times[first] - times[second]) >= 10
    asked = [0, 11]  # both ends of the first file, 11 s apart
    remaining = select_moments(LISTENER, LISTENER.init(), theta, log_heatmaps, files, times, 20, asked)
    assert "0.wav" not in {files[index] for index in remaining}
    assert {files[index] for index in remaining} == {"1.wav", "2.wav"}


def test_of_nothing_nothing_is_chosen() -> None:
    empty = np.zeros((0, K)), np.zeros((0, 121)), [], []
    assert select_moments(LISTENER, LISTENER.init(), *empty, 3) == []


def affect(time: float, valence: float = 0.0, *, silence: bool = False) -> Affect:
    return Affect(
        time=time,
        valence=valence,
        arousal=0.0,
        covariance=np.eye(2),
        heatmap=heatmap_at(valence, 0.0).reshape(11, 11),
        quadrants=np.full(4, 0.25),
        confidence=0.5,
        level=0.5,
        activity="silence" if silence else "music",
    )


def times_asked(emissions: list[Affect], unheard: float = 0.0) -> list[float]:
    """What could be asked about; there is no evidence up to ``unheard`` s."""
    moments = candidates("song", [(moment, HEARD if moment.time > unheard else None) for moment in emissions])
    assert all(moment.file == "song" and moment.evidence is HEARD for moment in moments)
    return [moment.time for moment in moments]


def stream(seconds: int) -> list[float]:
    return [number / 2 for number in range(1, 2 * seconds + 1)]


def test_only_five_seconds_of_unbroken_sound_are_asked_about() -> None:
    emissions = [affect(time, silence=time <= 2.0 or time == 10.5) for time in stream(18)]
    assert times_asked(emissions, unheard=2.0) == [7.0, 8.0, 9.0, 10.0, 16.0, 17.0, 18.0]
    assert times_asked([affect(time) for time in stream(4)]) == []
    assert times_asked([]) == []


def test_a_change_of_mood_is_not_asked_about_until_it_is_over() -> None:
    emissions = [affect(time, valence=0.5 if time <= 20 else -0.5) for time in stream(40)]
    asked = times_asked(emissions)
    assert [time for time in asked if time <= 20] == [
        float(second) for second in range(5, 16)
    ]  # later ones change within 5 s
    assert [time for time in asked if time > 20] == [float(second) for second in range(24, 41)]


def test_what_follows_silence_does_not_disturb_what_was_before_it() -> None:
    emissions = [affect(time, valence=0.5 if time <= 10 else 0.0, silence=time > 10) for time in stream(30)]
    assert times_asked(emissions) == [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]


def test_music_that_never_stands_still_is_asked_about_all_the_same() -> None:
    emissions = [affect(time, valence=0.8 * (-1) ** round(2 * time)) for time in stream(8)]
    assert times_asked(emissions) == [5.0, 6.0, 7.0, 8.0]


def test_each_emission_is_told_as_it_is_heard() -> None:
    times: list[float] = []
    candidates("song", [(affect(time), HEARD) for time in stream(2)], times.append)
    assert times == [0.5, 1.0, 1.5, 2.0]


def evidence_at(valence: float, arousal: float, layout: str = "1") -> RatedEvidence:
    template = some_heard(1, theta_digest(BUNDLE))
    heatmap = heatmap_at(valence, arousal).astype(np.float32)
    return RatedEvidence(template.theta, heatmap, template.textures, template.bundle, layout)


CORNERS = [
    Moment(f"{valence} {arousal}", 5.0, evidence_at(valence, arousal))
    for valence in (-0.6, 0.0, 0.6)
    for arousal in (-0.6, 0.0, 0.6)
]


def test_one_side_of_the_plane_is_asked_about_after_the_other_and_nothing_twice() -> None:
    selector = QuestionSelector(CORNERS, BUNDLE)
    asked = []
    while (moment := selector.next()) is not None:
        asked.append(moment.file)
        selector.rate(moment, 0.1, 0.2)
    assert sorted(asked) == sorted(corner.file for corner in CORNERS)  # nothing twice, nothing left out
    first, second = (np.array(name.split(), dtype=float) for name in asked[:2])
    assert np.abs(first - second).max() > 1  # what the other side is like tells more than its neighbour


def test_what_is_learnt_is_where_the_ratings_lie_and_surer_with_each() -> None:
    selector = QuestionSelector(CORNERS, BUNDLE)
    stranger = selector.estimate()
    np.testing.assert_allclose(stranger.mean, 0, atol=1e-12)
    np.testing.assert_allclose(stranger.deviation, stranger.prior_deviation)
    deviations = [stranger.deviation]
    while (moment := selector.next()) is not None:
        valence, arousal = map(float, moment.file.split())
        selector.rate(moment, valence + 0.3, arousal - 0.2)
        deviations.append(selector.estimate().deviation)
    assert np.all(np.diff(deviations, axis=0) < 0)
    estimate = selector.estimate()
    assert 0.1 < estimate.mean[0] < 0.3
    assert -0.2 < estimate.mean[1] < -0.06
    np.testing.assert_allclose(estimate.prior_deviation, stranger.prior_deviation)


@pytest.mark.parametrize("layout", ["1", "of another time"])
def test_earlier_ratings_are_known_from_the_beginning(layout: str) -> None:
    evidence = evidence_at(0.6, 0.6, layout)
    if layout != "1":
        evidence = RatedEvidence(
            evidence.theta[:4] / evidence.theta[:4].sum(), evidence.heatmap, evidence.textures, "b" * 64, layout
        )
    template = StoredRating("0" * 32, "ana", np.datetime64("now").item(), 5.0, 0.9, 0.9, "osc", evidence)
    before, after = QuestionSelector(CORNERS, BUNDLE), QuestionSelector(CORNERS, BUNDLE, [template] * 5)
    assert after.estimate().mean[0] > 0.05
    assert np.all(after.estimate().deviation < before.estimate().deviation)
    moment = after.next()
    assert moment is not None
    assert moment.file != "0.6 0.6"
