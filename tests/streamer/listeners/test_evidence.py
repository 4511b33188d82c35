"""What a rating is of, today and under a later model."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from valaro.models import Bundle
from valaro.models.features import texture
from valaro.models.features.frame import BLOCK, RATE
from valaro.models.tracker import Tracker
from valaro.streamer.errors import InputError
from valaro.streamer.listeners.evidence import EvidenceHistory, RatedEvidence, theta_digest, theta_for
from valaro.streamer.sources.demo import demo_piece

from ...models.synthetic_bundle import synthetic_bundle
from ..ratings import HEARD


def bad_evidence() -> list[tuple[str, dict[str, Any]]]:
    return [
        ("theta", {"theta": np.array([0.5, 0.4])}),
        ("theta", {"theta": np.array([1.5, -0.5])}),
        ("theta", {"theta": np.array([np.nan, 1.0])}),
        ("theta", {"theta": np.zeros(0)}),
        ("theta", {"theta": np.full((2, 2), 0.25)}),
        ("theta", {"theta": np.array(["a"])}),
        ("theta", {"theta": np.array([1e300])}),
        ("heatmap", {"heatmap": np.full(120, 1 / 120)}),
        ("textures", {"textures": np.zeros(163)}),
        ("textures", {"textures": np.zeros((9, 163))}),
        ("textures", {"textures": np.full((1, 163), np.inf)}),
        ("bundle", {"bundle": ""}),
        ("layout", {"layout": "x" * 65}),
    ]


@pytest.mark.parametrize(("name", "change"), bad_evidence())
def test_no_such_evidence_can_be(name: str, change: dict[str, Any]) -> None:
    parts = {field: getattr(HEARD, field) for field in ("theta", "heatmap", "textures", "bundle", "layout")}
    with pytest.raises(InputError, match=name):
        RatedEvidence(**parts | change)


BUNDLE = synthetic_bundle()


def moments(count: int, first: float = 0.5) -> EvidenceHistory:
    """Emissions whose texture and theta say when they were."""
    history = EvidenceHistory(BUNDLE)
    for number in range(count):
        take(history, first + number / 2)
    return history


def take(history: EvidenceHistory, time: float) -> None:
    theta = np.full(8, 0.5 / 8) + 0.5 * np.eye(8)[round(2 * time) % 8]
    history.take(time, theta, np.full(121, 1 / 121), np.full(texture.SIZE, time, np.float32))


def test_a_rating_is_of_the_last_emission_at_its_time_and_the_seconds_before_it() -> None:
    evidence = moments(60).at(20.25)
    assert evidence is not None
    assert evidence.textures[:, 0].tolist() == [13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0]
    assert evidence.theta.argmax() == 40 % 8
    assert evidence.bundle == theta_digest(BUNDLE)


def test_soon_after_the_beginning_there_are_fewer_seconds() -> None:
    evidence = moments(60).at(2.5)
    assert evidence is not None
    assert evidence.textures[:, 0].tolist() == [0.5, 1.5, 2.5]


def test_nothing_was_heard_before_the_first_sound_nor_long_ago() -> None:
    history = EvidenceHistory(BUNDLE)
    assert history.at(5.0) is None
    history.take(0.5, np.full(8, 1 / 8), np.full(121, 1 / 121), np.zeros(texture.SIZE, np.float32))
    assert history.at(5.0) is None
    take(history, 1.0)
    evidence = history.at(5.0)
    assert evidence is not None
    assert len(evidence.textures) == 1
    assert history.at(0.75) is None
    for number in range(1_000):
        take(history, 1.5 + number / 2)
    assert history.at(100.0) is None
    assert history.at(500.0) is not None


def test_a_stream_that_begins_anew_has_no_past() -> None:
    history = moments(60)
    take(history, 0.5)
    evidence = history.at(10.0)
    assert evidence is not None
    assert evidence.textures[:, 0].tolist() == [0.5]


def test_the_digest_is_of_what_theta_depends_on() -> None:
    same = replace(synthetic_bundle(), affective=synthetic_bundle(seed=1).affective, card={})
    assert theta_digest(same) == theta_digest(BUNDLE)
    changed = [
        replace(BUNDLE, projection=replace(BUNDLE.projection, mean=BUNDLE.projection.mean + 1e-3)),
        replace(BUNDLE, acoustic=synthetic_bundle(seed=1).acoustic),
        replace(BUNDLE, half_life=5.0),
        replace(BUNDLE, prior_seconds=2.0),
        synthetic_bundle(9),
    ]
    assert len({theta_digest(bundle) for bundle in (BUNDLE, *changed)}) == 6


def test_under_the_same_mixture_theta_is_as_it_was() -> None:
    theta = theta_for(replace(HEARD, bundle=theta_digest(BUNDLE)), BUNDLE, theta_digest(BUNDLE))
    assert theta is not None
    np.testing.assert_allclose(theta, HEARD.theta, rtol=1e-6)
    assert theta.sum() == pytest.approx(1.0, abs=1e-12)


def test_where_the_features_have_changed_theta_cannot_be_known() -> None:
    assert theta_for(replace(HEARD, layout="0"), BUNDLE, theta_digest(BUNDLE)) is None
    narrow = replace(HEARD, textures=HEARD.textures[:, :100])
    assert theta_for(narrow, BUNDLE, theta_digest(BUNDLE)) is None


def fitted(seed: int) -> Bundle:
    """A bundle whose components lie where the demo piece is, so that thetas differ and change."""
    bundle = synthetic_bundle(seed=seed)
    vectors = np.stack([vector for _, _, vector in heard_of_the_demo(bundle)])
    matrix = np.random.default_rng(seed).standard_normal((texture.SIZE, 3)) / (vectors.std(axis=0) + 0.1)[:, None]
    centre, matrix = vectors.mean(axis=0), (matrix / np.sqrt(texture.SIZE)).astype(np.float32)
    projected = (vectors - centre) @ matrix
    means = projected[np.random.default_rng(seed).choice(len(projected), 8, replace=False)].astype(np.float64)
    acoustic = replace(bundle.acoustic, means=means, covariances=np.tile(0.3 * np.cov(projected.T), (8, 1, 1)))
    return replace(bundle, projection=replace(bundle.projection, mean=centre, matrix=matrix), acoustic=acoustic)


def heard_of_the_demo(bundle: Bundle) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Time, theta and texture of each emission of half a minute."""
    tracker = Tracker(bundle)
    state = tracker.init()
    emissions = []
    for number, block in enumerate(demo_piece(RATE)[: 30 * RATE].reshape(-1, BLOCK), 1):
        state, _ = tracker.step(state, block)
        if number % 5 == 0:
            parts = state.texture.mean, np.sqrt(state.texture.variance), state.texture.within
            emissions.append((number / 10, tracker.theta(state), np.concatenate(parts).astype(np.float32)))
    return emissions


def test_under_another_mixture_theta_is_nearly_what_that_would_have_heard() -> None:
    first, second = fitted(1), fitted(2)
    history = EvidenceHistory(first)
    errors, prior_errors = [], []
    for (time, theta, vector), (_, true, _) in zip(heard_of_the_demo(first), heard_of_the_demo(second), strict=True):
        history.take(time, theta, np.full(121, 1 / 121), vector)
        evidence = history.at(time)
        if time < 8 or evidence is None:
            continue
        recomputed = theta_for(evidence, second, theta_digest(second))
        assert recomputed is not None
        errors.append(np.abs(recomputed - true).sum() / 2)
        prior_errors.append(np.abs(second.topics.prior - true).sum() / 2)
    assert np.mean(errors) < 0.5 * np.mean(prior_errors)
