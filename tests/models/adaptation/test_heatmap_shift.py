"""Heatmaps moved to where a listener stands: nothing moved before a rating, as expected after, always heatmaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from valaro.models.adaptation.heatmap_shift import EDGE, MovedHeatmaps, standard_listener, tilted
from valaro.models.adaptation.regression import ListenerPrior, Ratings
from valaro.models.decoders.fusion import normalised
from valaro.models.grid import CELL_AROUSAL, CELL_VALENCE, CELLS, moments

K = 5
PLACES = np.column_stack([CELL_VALENCE, CELL_AROUSAL])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def moving(basis: NDArray[np.float64] | None = None) -> MovedHeatmaps:
    basis = np.random.default_rng(1).normal(size=(K, 2)) * 0.3 if basis is None else basis
    size = 3 + basis.shape[1]
    return MovedHeatmaps(basis, ListenerPrior(np.zeros((2, size)), 0.06 * np.eye(2 * size), 0.08 * np.eye(2)))


def blob(valence: float, arousal: float, width: float = 0.3) -> NDArray[np.float64]:
    return normalised(-0.5 * ((CELL_VALENCE - valence) ** 2 + (CELL_AROUSAL - arousal) ** 2) / width**2)


Heard = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def ratings(rng: np.random.Generator, count: int) -> list[Heard]:
    return [(rng.dirichlet(np.ones(K)), blob(*rng.uniform(-0.7, 0.7, 2)), rng.uniform(-1, 1, 2)) for _ in range(count)]


def told(adaptation: MovedHeatmaps, given_: list[Heard]) -> Ratings:
    state = adaptation.init()
    for each in given_:
        state = adaptation.rate(state, *each)
    return state


def test_before_any_rating_the_heatmap_is_as_it_was(rng: np.random.Generator) -> None:
    adaptation = moving()
    ragged = normalised(np.log(rng.dirichlet(np.full(CELLS, 0.2)) + 1e-12))
    for heatmap in (blob(0.3, -0.5), blob(1.0, 1.0, 0.08), ragged):
        found = adaptation.heatmap(adaptation.init(), rng.dirichlet(np.ones(K)), heatmap)
        np.testing.assert_allclose(found, heatmap, atol=1e-9)


def test_a_constant_listener_is_met_at_their_place_and_width_follows_their_scatter(rng: np.random.Generator) -> None:
    adaptation = moving(np.zeros((K, 0)))
    theta, heatmap, state = np.full(K, 1 / K), blob(-0.2, 0.1), adaptation.init()
    widths = []
    for _ in range(60):
        state = adaptation.rate(state, theta, heatmap, np.array([0.4, -0.3]) + 0.05 * rng.normal(size=2))
        widths.append(np.trace(moments(np.exp(adaptation.heatmap(state, theta, heatmap)))[1]))
    mean = moments(np.exp(adaptation.heatmap(state, theta, heatmap)))[0]
    np.testing.assert_allclose(mean, [0.4, -0.3], atol=0.03)
    assert widths[-1] < 0.5 * np.trace(moments(np.exp(heatmap))[1])
    assert widths[-1] < widths[10] < widths[0]


def test_the_mean_is_the_dense_gaussian_prediction(rng: np.random.Generator) -> None:
    adaptation = moving()
    given_ = ratings(rng, 6)
    theta, heatmap, _ = ratings(rng, 1)[0]
    prior = adaptation.prior

    def features(sound: NDArray[np.float64], heard: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = np.exp(heard) @ PLACES
        return np.asarray(np.kron(np.eye(2), np.concatenate([[1.0], mean, sound @ adaptation.basis])), dtype=np.float64)

    look = np.concatenate([features(sound, heard) for sound, heard, _ in given_])
    offsets = np.concatenate([va - np.exp(heard) @ PLACES for _, heard, va in given_])
    noise = np.kron(np.eye(len(given_)), prior.noise)
    new = features(theta, heatmap)
    gain = new @ prior.covariance @ look.T @ np.linalg.inv(look @ prior.covariance @ look.T + noise)
    expected = np.exp(heatmap) @ PLACES + gain @ offsets
    assert np.abs(expected).max() < EDGE
    found = np.exp(adaptation.heatmap(told(adaptation, given_), theta, heatmap)) @ PLACES
    np.testing.assert_allclose(found, expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 20), data=st.data())
def test_order_does_not_matter_and_any_rating_can_be_taken_back(seed: int, count: int, data: st.DataObject) -> None:
    adaptation, rng = moving(), np.random.default_rng(seed)
    given_, wrong = ratings(rng, count), ratings(rng, 1)[0]
    order = data.draw(st.permutations(range(count)))
    found = adaptation.posterior(told(adaptation, given_))
    shuffled = adaptation.posterior(told(adaptation, [given_[i] for i in order]))
    with_wrong = told(adaptation, [*given_[: count // 2], wrong, *given_[count // 2 :]])
    back = adaptation.posterior(adaptation.undo(with_wrong, *wrong))
    for other in (shuffled, back):
        for one, same in zip(found, other, strict=True):
            np.testing.assert_allclose(one, same, atol=1e-9, rtol=0)
    assert np.abs(adaptation.posterior(with_wrong).mean - found.mean).max() > 1e-9


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sharpness=st.floats(0.0, 300.0), count=st.integers(0, 30))
def test_whatever_was_rated_a_heatmap_comes_out(seed: int, sharpness: float, count: int) -> None:
    adaptation, rng = moving(), np.random.default_rng(seed)
    corner = rng.choice([-1.0, 1.0], 2)
    state = told(adaptation, [(theta, heard, corner) for theta, heard, _ in ratings(rng, count)])
    heatmaps = normalised(sharpness * rng.normal(size=(4, CELLS)))
    found = adaptation.heatmap(state, rng.dirichlet(np.ones(K), 4), heatmaps)
    assert found.shape == (4, CELLS)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, atol=1e-9)


def test_tilting_reaches_the_mean_by_a_plane_in_the_logarithm(rng: np.random.Generator) -> None:
    scores = rng.normal(size=(3, CELLS))
    target = np.array([[0.8, -0.8], [0.0, 0.3], [-0.6, 0.1]])
    found = tilted(scores, target)
    np.testing.assert_allclose(np.exp(found) @ PLACES, target, atol=1e-5)
    plane = np.column_stack([PLACES, np.ones(CELLS)])
    residual = np.linalg.lstsq(plane, (found - scores).T, rcond=None)[1]
    np.testing.assert_allclose(residual, 0.0, atol=1e-12)


def test_tilting_reaches_the_mean_where_the_scores_are_highest_at_the_edges() -> None:
    """As they are for a listener who scatters wider than the heatmap."""
    target = np.array([[0.85, -0.85], [0.1, 0.3], [-0.6, 0.1]])
    for steepness in (1.0, 3.0, 10.0):
        scores = steepness * (np.square(PLACES).sum(axis=1) + PLACES.sum(axis=1))
        found = tilted(np.tile(scores, (3, 1)), target)
        np.testing.assert_allclose(np.exp(found) @ PLACES, target, atol=1e-4)


def test_what_cannot_be_a_rating_is_refused(rng: np.random.Generator) -> None:
    adaptation = moving()
    theta, heatmap, va = ratings(rng, 1)[0]
    with pytest.raises(ValueError, match="heatmap"):
        adaptation.rate(adaptation.init(), theta, heatmap + 1.0, va)
    with pytest.raises(ValueError, match="heatmap"):
        adaptation.rate(adaptation.init(), theta, np.full(CELLS, np.nan), va)
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        adaptation.rate(adaptation.init(), theta, heatmap, np.array([0.0, 1.1]))
    with pytest.raises(ValueError, match="no such rating"):
        adaptation.undo(adaptation.init(), theta, heatmap, va)
    with pytest.raises(ValueError, match="features"):
        MovedHeatmaps(np.zeros((K, 2)), ListenerPrior(np.zeros((2, 3)), np.eye(6), np.eye(2)))


def test_the_second_rating_of_a_moment_tells_less(rng: np.random.Generator) -> None:
    adaptation = moving()
    theta, heatmap, va = ratings(rng, 1)[0]
    state = adaptation.init()
    first = adaptation.information(state, theta, heatmap)
    assert 0 < adaptation.information(adaptation.rate(state, theta, heatmap, va), theta, heatmap) < first


def test_what_faded_away_counts_its_share(rng: np.random.Generator) -> None:
    adaptation = moving()
    (old, new) = ratings(rng, 2)
    state = adaptation.rate(adaptation.faded(adaptation.rate(adaptation.init(), *old), 0.5), *new)
    expected = adaptation.rate(adaptation.rate(adaptation.init(), *old, weight=0.5), *new)
    np.testing.assert_allclose(adaptation.posterior(state).mean, adaptation.posterior(expected).mean, atol=1e-12)


def test_the_standard_listener_moves_nothing_at_first_and_towards_each_rating() -> None:
    adaptation = standard_listener(K)
    theta, heatmap, state = np.full(K, 1 / K), blob(0.2, 0.2), adaptation.init()
    np.testing.assert_allclose(adaptation.heatmap(state, theta, heatmap), heatmap, atol=1e-9)
    distances = []
    for _ in range(5):
        state = adaptation.rate(state, theta, heatmap, np.array([-0.5, 0.6]))
        mean = np.exp(adaptation.heatmap(state, theta, heatmap)) @ PLACES
        distances.append(float(np.hypot(*(mean - [-0.5, 0.6]))))
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.7 * np.hypot(0.7, 0.4)  # one rating is hearsay
    assert distances[-1] < 0.7 * np.hypot(0.7, 0.4)
