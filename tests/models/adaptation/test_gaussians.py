"""A listener's Gaussians against closed forms and dense computations; order, undo and what heatmaps become."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from valaro.models.adaptation import basis as bases
from valaro.models.adaptation.base import Adaptation, together
from valaro.models.adaptation.gaussians import LinearAdaptation, personal_heatmap, reweighted
from valaro.models.adaptation.map import MapAdaptation
from valaro.models.adaptation.regression import ListenerPrior, Ratings, information
from valaro.models.decoders.aeg import AffectiveGMM
from valaro.models.grid import CELLS, moments

K = 9


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def mixture(rng: np.random.Generator) -> AffectiveGMM:
    roots = rng.normal(size=(K, 2, 2)) * 0.2
    return AffectiveGMM(rng.uniform(-0.7, 0.7, (K, 2)), roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(2))


def ratings(rng: np.random.Generator, count: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return [(rng.dirichlet(np.full(K, 0.3)), rng.uniform(-1, 1, 2)) for _ in range(count)]


def prior(rng: np.random.Generator, features: int) -> ListenerPrior:
    root = rng.normal(size=(2 * features, 2 * features)) * 0.2
    noise = np.array([[0.08, 0.02], [0.02, 0.05]])
    mean = rng.normal(size=(2, features)) * 0.1
    return ListenerPrior(mean, root @ root.T + 0.01 * np.eye(2 * features), noise)


def adaptations(seed: int = 0) -> dict[str, Adaptation[Any]]:
    rng = np.random.default_rng(seed)
    background = mixture(rng)
    likeness = bases.kernel(background.means, 0.5)
    classes = bases.class_basis(background, bases.quadrant_classes(background))
    return {
        "untied": MapAdaptation(background, weight_count=5.0),
        "tied": MapAdaptation(background, weight_count=5.0, tying=likeness),
        "mllr": LinearAdaptation(background, bases.mllr_basis(background), prior(rng, 3)),
        "classes": LinearAdaptation(background, classes, prior(rng, classes.shape[1])),
        "smooth": LinearAdaptation(background, bases.tied_basis(likeness, 4), prior(rng, 4)),
    }


NAMES = tuple(adaptations())


def told(adaptation: Adaptation[Any], given_: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> AffectiveGMM:
    state = adaptation.init()
    for theta, va in given_:
        state = adaptation.rate(state, theta, va)
    return adaptation.affective(state)


def assert_same(one: AffectiveGMM, other: AffectiveGMM, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(one.means, other.means, atol=tolerance, rtol=0)
    np.testing.assert_allclose(one.covariances, other.covariances, atol=tolerance, rtol=0)


def test_map_of_one_component_is_the_textbook_closed_form() -> None:
    background = AffectiveGMM(np.array([[0.1, -0.2]]), np.array([[[0.2, 0.05], [0.05, 0.1]]]))
    adaptation = MapAdaptation(background, mean_count=3.0, covariance_count=7.0)
    e = np.array([[0.5, 0.5], [-0.3, 0.9], [0.2, 0.0], [0.8, 0.1]])
    found = told(adaptation, [(np.ones(1), row) for row in e])
    mean, n = e.mean(axis=0), len(e)
    expected = (3.0 * background.means[0] + n * mean) / (3.0 + n)
    np.testing.assert_allclose(found.means[0], expected, atol=1e-12)
    offset = mean - background.means[0]
    scatter = (e - mean).T @ (e - mean) + 3.0 * n / (3.0 + n) * np.outer(offset, offset)
    np.testing.assert_allclose(
        found.covariances[0], (7.0 * background.covariances[0] + scatter) / (7.0 + n), atol=1e-12
    )


def test_map_leaves_a_component_that_was_never_heard_and_tying_does_not() -> None:
    background = AffectiveGMM(np.array([[-0.5, 0.0], [0.5, 0.0]]), np.tile(0.1 * np.eye(2), (2, 1, 1)))
    heard = [(np.array([1.0, 0.0]), np.array([-0.5, 0.6]))]
    untied = told(MapAdaptation(background, mean_count=1.0), heard)
    np.testing.assert_allclose(untied.means, [[-0.5, 0.3], [0.5, 0.0]], atol=1e-12)
    tied = told(MapAdaptation(background, mean_count=1.0, tying=np.array([[1.0, 0.5], [0.5, 1.0]])), heard)
    np.testing.assert_allclose(tied.means, [[-0.5, 0.3], [0.5, 0.2]], atol=1e-12)


def test_weights_of_map_follow_the_components_that_explain_the_ratings() -> None:
    background = AffectiveGMM(np.array([[-0.6, 0.0], [0.6, 0.0]]), np.tile(0.02 * np.eye(2), (2, 1, 1)))
    adaptation = MapAdaptation(background, weight_count=2.0)
    theta, state = np.array([0.5, 0.5]), adaptation.init()
    assert adaptation.weights(state).tolist() == [1.0, 1.0]
    for _ in range(4):
        state = adaptation.rate(state, theta, np.array([0.6, 0.0]))
    np.testing.assert_allclose(adaptation.weights(state), [2.0 / 4.0, 6.0 / 4.0], atol=1e-9)
    heatmap = personal_heatmap(background, theta, adaptation.weights(state))
    np.testing.assert_allclose(moments(heatmap)[0][0], 0.6 * (6.0 - 2.0) / 8.0, atol=0.02)


def test_the_linear_posterior_is_that_of_the_dense_gaussian_over_all_displacements(rng: np.random.Generator) -> None:
    background = mixture(rng)
    basis = bases.tied_basis(bases.kernel(background.means, 0.4), 5)
    before = prior(rng, 5)
    given_ = ratings(rng, 7)
    adaptation = LinearAdaptation(background, basis, before)
    # The displacements d (2K,) of all means are Gaussian a priori; each rating is a noisy linear look at them.
    lift = np.kron(np.eye(2), basis)
    mean, covariance = lift @ before.mean.ravel(), lift @ before.covariance @ lift.T
    look = np.concatenate([np.kron(np.eye(2), theta[None]) for theta, _ in given_])
    seen = np.concatenate([va - theta @ background.means for theta, va in given_])
    noise = np.kron(np.eye(len(given_)), before.noise)
    gain = covariance @ look.T @ np.linalg.inv(look @ covariance @ look.T + noise)
    expected = (mean + gain @ (seen - look @ mean)).reshape(2, K).T
    state = adaptation.init()
    for theta, va in given_:
        state = adaptation.rate(state, theta, va)
    found = adaptation.posterior(state)
    np.testing.assert_allclose(basis @ found.mean.T, expected, atol=1e-10)
    np.testing.assert_allclose(lift @ found.covariance @ lift.T, covariance - gain @ look @ covariance, atol=1e-10)
    np.testing.assert_allclose(
        adaptation.affective(state).means, np.clip(background.means + expected, -1, 1), atol=1e-10
    )


def test_a_tied_basis_of_full_rank_has_the_kernel_as_its_covariance(rng: np.random.Generator) -> None:
    likeness = bases.kernel(rng.normal(size=(K, 3)), 0.7)
    basis = bases.tied_basis(likeness, K)
    np.testing.assert_allclose(basis @ basis.T, likeness, atol=1e-10)
    assert np.all(np.diag(likeness) == 1.0)


def test_mllr_finds_the_affine_map_that_a_listener_hears_by(rng: np.random.Generator) -> None:
    background = mixture(rng)
    loose = ListenerPrior(np.zeros((2, 3)), 10.0 * np.eye(6), 1e-4 * np.eye(2))
    adaptation = LinearAdaptation(background, bases.mllr_basis(background), loose)
    turn, shift = np.array([[0.7, 0.3], [-0.2, 0.5]]), np.array([0.1, -0.15])
    state = adaptation.init()
    for theta, _ in ratings(rng, 12):
        state = adaptation.rate(state, theta, theta @ background.means @ turn.T + shift)
    np.testing.assert_allclose(adaptation.affective(state).means, background.means @ turn.T + shift, atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_listener_is_the_background(name: str) -> None:
    adaptation = adaptations()[name]
    if isinstance(adaptation, LinearAdaptation):
        centred = ListenerPrior(0 * adaptation.prior.mean, adaptation.prior.covariance, adaptation.prior.noise)
        adaptation = LinearAdaptation(adaptation.background, adaptation.basis, centred)
    assert_same(adaptation.affective(adaptation.init()), adaptation.background, 1e-12)
    assert adaptation.weights(adaptation.init()).tolist() == [1.0] * K


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 30), data=st.data())
def test_order_does_not_matter_and_any_rating_can_be_taken_back(
    name: str, seed: int, count: int, data: st.DataObject
) -> None:
    adaptation = adaptations(1)[name]
    given_ = ratings(np.random.default_rng(seed), count)
    order = data.draw(st.permutations(range(count)))
    found = told(adaptation, given_)
    assert_same(told(adaptation, [given_[i] for i in order]), found)
    wrong = ratings(np.random.default_rng(seed + 1), 1)[0]
    state = adaptation.init()
    for place, (theta, va) in enumerate(given_):
        if place == count // 2:
            state = adaptation.rate(state, *wrong)
        state = adaptation.rate(state, theta, va)
    assert np.abs(adaptation.affective(state).means - found.means).max() > 1e-9
    assert_same(adaptation.affective(adaptation.undo(state, *wrong)), found)


@pytest.mark.parametrize("name", NAMES)
def test_all_taken_back_is_no_rating_and_one_more_is_refused(name: str, rng: np.random.Generator) -> None:
    adaptation = adaptations()[name]
    given_, state = ratings(rng, 5), adaptation.init()
    for theta, va in given_:
        state = adaptation.rate(state, theta, va)
    for theta, va in given_:
        state = adaptation.undo(state, theta, va)
    assert_same(adaptation.affective(state), adaptation.affective(adaptation.init()))
    with pytest.raises(ValueError, match="no such rating"):
        adaptation.undo(state, *given_[0])


@pytest.mark.parametrize("name", NAMES)
def test_forgetting_leaves_a_share_of_what_was_rated_before(name: str, rng: np.random.Generator) -> None:
    adaptation = adaptations()[name]
    (old, recent), state = ratings(rng, 2), adaptation.init()
    state = adaptation.rate(adaptation.faded(adaptation.rate(state, *old), 0.25), *recent)
    weighted = adaptation.rate(adaptation.rate(adaptation.init(), *old, weight=0.25), *recent)
    assert_same(adaptation.affective(state), adaptation.affective(weighted))
    assert_same(
        adaptation.affective(adaptation.undo(state, *old, weight=0.25)),
        adaptation.affective(adaptation.rate(adaptation.init(), *recent)),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_state_is_not_changed_by_what_follows(name: str, rng: np.random.Generator) -> None:
    adaptation = adaptations()[name]
    (first, second), start = ratings(rng, 2), adaptation.init()
    state = adaptation.rate(start, *first)
    before = adaptation.affective(state)
    adaptation.faded(adaptation.undo(adaptation.rate(state, *second), *first), 0.5)
    assert_same(adaptation.affective(state), before, 0.0)
    assert_same(adaptation.affective(start), adaptation.affective(adaptation.init()), 0.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"va": np.array([1.01, 0.0])}, r"\[-1, 1\]"),
        ({"va": np.array([np.nan, 0.0])}, r"\[-1, 1\]"),
        ({"va": np.zeros(3)}, r"\[-1, 1\]"),
        ({"theta": np.full(K - 1, 1 / (K - 1))}, "theta"),
        ({"theta": np.full(K, np.nan)}, "theta"),
        ({"theta": np.zeros(K)}, "sum to 1"),
        ({"weight": 0.0}, "weight"),
        ({"weight": np.inf}, "weight"),
    ],
)
def test_what_cannot_be_a_rating_is_refused(name: str, change: dict[str, NDArray[np.float64]], complaint: str) -> None:
    adaptation = adaptations()[name]
    rating = {"theta": np.full(K, 1 / K), "va": np.zeros(2), "weight": 1.0} | change
    with pytest.raises(ValueError, match=complaint):
        adaptation.rate(adaptation.init(), **rating)  # pyright: ignore[reportArgumentType]


def test_a_steady_listener_becomes_narrower_and_an_erratic_one_wider(rng: np.random.Generator) -> None:
    background = mixture(rng)
    adaptation = LinearAdaptation(
        background, np.ones((K, 1)), ListenerPrior(np.zeros((2, 1)), 0.05 * np.eye(2), 0.1 * np.eye(2))
    )
    steady, erratic = adaptation.init(), adaptation.init()
    for i in range(20):
        theta = rng.dirichlet(np.ones(K))
        mean = theta @ background.means
        steady = adaptation.rate(steady, theta, mean + 0.1)
        erratic = adaptation.rate(erratic, theta, mean + (0.5 if i % 2 else -0.5))
    narrow, wide = (np.linalg.det(adaptation.affective(s).covariances) for s in (steady, erratic))
    before = np.linalg.det(background.covariances)
    assert np.all(narrow < 0.5 * before)
    assert np.all(wide > before)


def test_what_was_not_rated_yet_tells_more_than_what_was(rng: np.random.Generator) -> None:
    background = mixture(rng)
    one, other = np.eye(K)[0], np.eye(K)[1]
    alike = ListenerPrior(np.zeros((2, K)), 0.05 * np.eye(2 * K), 0.1 * np.eye(2))
    adaptation = LinearAdaptation(background, np.eye(K), alike)
    start = adaptation.init()
    state = adaptation.rate(start, one, np.zeros(2))

    def told_by(known: Ratings, theta: NDArray[np.float64]) -> float:
        return information(alike, known, theta)

    assert told_by(start, one) == pytest.approx(np.log(1.5))  # both axes: 2 * 0.5 log(1 + 0.05 / 0.1)
    assert told_by(state, one) < told_by(state, other)
    assert told_by(state, other) == pytest.approx(told_by(start, other))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sharpness=st.floats(0.0, 400.0), narrow=st.floats(1e-4, 1.0))
def test_a_reweighted_heatmap_is_a_heatmap(seed: int, sharpness: float, narrow: float) -> None:
    rng = np.random.default_rng(seed)
    background = mixture(rng)
    own = AffectiveGMM(rng.uniform(-1, 1, (K, 2)), background.covariances * narrow)
    theta = rng.dirichlet(np.full(K, 0.1))
    scores = sharpness * rng.normal(size=CELLS)
    found = reweighted(scores, theta, background, own, rng.uniform(0.1, 3.0, K))
    assert np.isfinite(found).all()
    assert np.exp(found).sum() == pytest.approx(1.0, abs=1e-9)


def test_reweighting_by_the_background_itself_changes_nothing_and_a_shift_moves_the_mean(
    rng: np.random.Generator,
) -> None:
    background = mixture(rng)
    theta = rng.dirichlet(np.ones(K))
    scores = np.log(background.heatmap(theta) + 1e-9)
    scores -= np.log(np.exp(scores).sum())
    np.testing.assert_allclose(reweighted(scores, theta, background, background), scores, atol=1e-12)
    moved = AffectiveGMM(np.clip(background.means + np.array([0.2, -0.1]), -1, 1), background.covariances)
    shift = moments(np.exp(reweighted(scores, theta, background, moved)))[0] - moments(np.exp(scores))[0]
    assert shift[0] > 0.1
    assert shift[1] < -0.04


def test_a_room_of_equals_feels_what_each_feels_and_two_minds_meet(rng: np.random.Generator) -> None:
    one, other = (np.log(rng.dirichlet(np.ones(CELLS))) for _ in range(2))
    np.testing.assert_allclose(together([one, one, one]), one, atol=1e-12)
    both = np.exp(one / 2 + other / 2)
    np.testing.assert_allclose(np.exp(together([one, other])), both / both.sum(), atol=1e-12)


def test_what_does_not_belong_together_is_refused(rng: np.random.Generator) -> None:
    background = mixture(rng)
    with pytest.raises(ValueError, match="basis"):
        LinearAdaptation(background, np.ones((K, 2)), prior(rng, 3))
    with pytest.raises(ValueError, match="positive definite"):
        ListenerPrior(np.zeros((2, 1)), np.diag([1.0, -1.0]), np.eye(2))
    with pytest.raises(ValueError, match="do not make a prior"):
        ListenerPrior(np.zeros((2, 2)), np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="tying"):
        MapAdaptation(background, tying=np.eye(2))
    with pytest.raises(ValueError, match="counts"):
        MapAdaptation(background, mean_count=0.0)
    assert isinstance(adaptations()["mllr"].init(), Ratings)
