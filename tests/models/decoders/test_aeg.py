"""The affective mixture: EM against naive loops, evidence of both kinds, prediction, decoder."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from valaro.models.decoders.aeg import AEG, AffectiveGMM
from valaro.models.errors import DataError
from valaro.models.grid import CELLS, cell_of, moments, quadrants
from valaro.models.training.corpus.targets import Regions, WeightedPoints, quadrant_regions
from valaro.models.training.fit.affective import fit_affective

from ..synthetic_bundle import random_evidence

F64 = NDArray[np.float64]

TRUTH = AffectiveGMM(
    np.array([[0.5, 0.4], [-0.5, 0.3], [0.0, -0.5]]),
    np.array([[[0.03, 0.01], [0.01, 0.02]], [[0.02, -0.01], [-0.01, 0.03]], [[0.04, 0.0], [0.0, 0.01]]]),
)


def sample(theta: F64, gmm: AffectiveGMM, raters: int, rng: np.random.Generator) -> WeightedPoints:
    """Raters' points of each clip from Eq. 4, redrawn until they are on the plane."""
    clip, va = [], []
    for m, row in enumerate(theta):
        for _ in range(raters):
            while True:
                k = rng.choice(row.size, p=row)
                point = rng.multivariate_normal(gmm.means[k], gmm.covariances[k])
                if np.abs(point).max() <= 1:
                    break
            clip.append(m)
            va.append(point)
    return WeightedPoints(np.array(clip), np.array(va), np.ones(len(clip)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def random_problem(rng: np.random.Generator) -> tuple[F64, WeightedPoints, Regions]:
    theta = rng.dirichlet(np.ones(6) / 2, 40)
    points = sample(theta[:, :3] / theta[:, :3].sum(axis=1, keepdims=True), TRUTH, 3, rng)
    points = points._replace(weight=rng.random(points.clip.size))
    regions = quadrant_regions(rng.integers(40, size=50), rng.integers(4, size=50), rng.random(50))
    return theta, points, regions


def test_recovers_a_known_mixture(rng: np.random.Generator) -> None:
    theta = rng.dirichlet(np.ones(3) / 2, 400)
    points = sample(theta, TRUTH, 10, rng)
    fitted = fit_affective(theta, points=points, iterations=200, covariance_fraction=0.1)
    np.testing.assert_allclose(fitted.means, TRUTH.means, atol=0.03)
    np.testing.assert_allclose(fitted.covariances, TRUTH.covariances, atol=0.005)


def test_one_step_is_eqs_6_to_8(rng: np.random.Generator) -> None:
    theta, points, _ = random_problem(rng)
    start = fit_affective(theta, points=points, iterations=2)
    stepped = fit_affective(
        theta, points=points, initial=start, iterations=1, mean_count=0, covariance_count=0, sigma_floor=1e-6
    )
    posterior = np.empty((points.clip.size, 6))
    for j, (m, e) in enumerate(zip(points.clip, points.va, strict=True)):
        for k in range(6):
            density = multivariate_normal(start.means[k], start.covariances[k]).pdf(e)
            posterior[j, k] = theta[m, k] * density
        posterior[j] *= points.weight[j] / posterior[j].sum()  # a weight is a number of raters
    for k in range(6):
        mean = posterior[:, k] @ points.va / posterior[:, k].sum()
        covariance = sum(p * np.outer(e - mean, e - mean) for p, e in zip(posterior[:, k], points.va, strict=True))
        np.testing.assert_allclose(stepped.means[k], mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(stepped.covariances[k], covariance / posterior[:, k].sum(), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("counts", [(0.0, 0.0), (10.0, 10.0), (3.0, 40.0)])
@pytest.mark.parametrize("kinds", ["points", "regions", "both"])
def test_objective_never_falls(rng: np.random.Generator, kinds: str, counts: tuple[float, float]) -> None:
    theta, points, regions = random_problem(rng)
    seen: list[float] = []
    fit_affective(
        theta,
        points=points if kinds != "regions" else None,
        regions=regions if kinds != "points" else None,
        mean_count=counts[0],
        covariance_count=counts[1],
        iterations=40,
        tol=0.0,
        sigma_floor=0.1,
        progress=lambda _, value: seen.append(value),
    )
    assert len(seen) > 5
    assert np.diff(seen).min() > -1e-8
    assert seen[-1] > seen[0] + 0.1


def test_objective_is_eq_5_with_the_log_inside(rng: np.random.Generator) -> None:
    theta, points, _ = random_problem(rng)
    seen: list[float] = []
    fit_affective(
        theta,
        points=points,
        initial=AffectiveGMM(np.tile(TRUTH.means, (2, 1)), np.tile(TRUTH.covariances, (2, 1, 1))),
        mean_count=0,
        covariance_count=0,
        iterations=1,
        progress=lambda _, value: seen.append(value),
    )
    density = np.stack(
        [multivariate_normal(m, c).pdf(points.va) for m, c in zip(TRUTH.means, TRUTH.covariances, strict=True)]
    )
    mixed = np.sum(theta[points.clip] * np.tile(density, (2, 1)).T, axis=1)
    assert seen[0] == pytest.approx(points.weight @ np.log(mixed), rel=1e-10)


def test_quadrants_alone_move_components_into_their_quadrant() -> None:
    theta = np.repeat(np.eye(4), 30, axis=0) * 0.9 + 0.025
    regions = quadrant_regions(np.arange(120), np.repeat(np.arange(4), 30), np.ones(120))
    fitted = fit_affective(theta, regions=regions, iterations=60)
    np.testing.assert_array_equal(np.sign(fitted.means), [[1, 1], [-1, 1], [-1, -1], [1, -1]])
    for k in range(4):
        assert quadrants(fitted.heatmap(np.eye(4)[k]))[k] > 0.6


def test_region_step_equals_a_naive_sum_over_nodes(rng: np.random.Generator) -> None:
    theta, _, regions = random_problem(rng)
    start = fit_affective(theta, regions=regions, iterations=3, covariance_count=30.0)
    stepped = fit_affective(
        theta, regions=regions, initial=start, iterations=1, mean_count=0, covariance_count=0, sigma_floor=1e-6
    )
    nodes = (np.arange(44) + 0.5) / 22 - 1
    va = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    cells = cell_of(va[:, 0], va[:, 1])
    densities = np.stack(
        [multivariate_normal(m, c).pdf(va) for m, c in zip(start.means, start.covariances, strict=True)]
    )
    total = np.zeros((6, va.shape[0]))
    for m, r, w in zip(regions.clip, regions.target, regions.weight, strict=True):
        joint = theta[m][:, None] * densities * regions.targets[r, cells]
        total += w * joint / joint.sum()
    np.testing.assert_allclose(stepped.means, total @ va / total.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-12)


def test_a_point_and_its_cell_agree(rng: np.random.Generator) -> None:
    """Evidence as the one cell that holds each point moves the components as the points do."""
    theta = rng.dirichlet(np.ones(3) / 2, 300)
    points = sample(theta, TRUTH, 4, rng)
    regions = Regions(points.clip, cell_of(points.va[:, 0], points.va[:, 1]), points.weight, np.eye(CELLS))
    by_point = fit_affective(theta, points=points, iterations=60)
    by_cell = fit_affective(theta, regions=regions, iterations=60)
    np.testing.assert_allclose(by_cell.means, by_point.means, atol=0.02)


def test_both_kinds_weigh_in() -> None:
    theta = np.ones((1, 1))
    point = WeightedPoints(np.zeros(1, dtype=int), np.array([[-0.8, -0.8]]), np.ones(1))
    means = []
    for weight in (0.1, 1.0, 10.0):
        region = quadrant_regions(np.zeros(1, dtype=int), np.zeros(1, dtype=int), np.array([weight]))
        means.append(fit_affective(theta, points=point, regions=region, mean_count=0.0).means[0, 0])
    assert -0.8 < means[0] < means[1] < means[2] < 0.8


def test_weights_count_raters(rng: np.random.Generator) -> None:
    theta, points, _ = random_problem(rng)
    doubled = WeightedPoints(np.tile(points.clip, 2), np.tile(points.va, (2, 1)), np.tile(points.weight, 2))
    heavier = points._replace(weight=2 * points.weight)
    np.testing.assert_allclose(
        fit_affective(theta, points=heavier).means, fit_affective(theta, points=doubled).means, rtol=1e-8
    )


def test_a_component_without_data_is_the_prior(rng: np.random.Generator) -> None:
    theta, points, _ = random_problem(rng)
    theta = np.column_stack([theta, np.zeros(len(theta))])
    fitted = fit_affective(theta, points=points, covariance_fraction=0.5)
    pooled = np.cov(points.va.T, aweights=points.weight, ddof=0)
    np.testing.assert_allclose(fitted.means[-1], np.average(points.va, axis=0, weights=points.weight), rtol=1e-9)
    np.testing.assert_allclose(fitted.covariances[-1], pooled / 2, rtol=1e-9)


def test_sigma_is_floored_and_means_stay_inside() -> None:
    points = WeightedPoints(np.zeros(5, dtype=int), np.tile([[1.0, -1.0]], (5, 1)), np.ones(5))
    fitted = fit_affective(np.ones((1, 1)), points=points, mean_count=0, covariance_count=0)
    np.testing.assert_allclose(fitted.covariances, [0.0025 * np.eye(2)])
    assert np.abs(fitted.means).max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"va": np.array([[1.5, 0.0]])}, r"\[-1, 1\]"),
        ({"va": np.array([[np.nan, 0.0]])}, r"\[-1, 1\]"),
        ({"clip": np.array([3])}, "no topic posterior"),
        ({"weight": np.zeros(1)}, "no labels"),
    ],
)
def test_bad_evidence_is_refused(change: dict[str, F64], message: str) -> None:
    points = WeightedPoints(np.zeros(1, dtype=int), np.zeros((1, 2)), np.ones(1))._replace(**change)
    with pytest.raises(DataError, match=message):
        fit_affective(np.ones((1, 2)), points=points)


def test_no_evidence_is_refused() -> None:
    with pytest.raises(DataError, match="no labels"):
        fit_affective(np.ones((1, 2)))


def test_heatmap_has_the_mixtures_mean_and_sums_to_one() -> None:
    theta = np.array([0.5, 0.2, 0.3])
    heatmap = TRUTH.heatmap(theta)
    assert heatmap.shape == (CELLS,)
    assert heatmap.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(moments(heatmap)[0], theta @ TRUTH.means, atol=0.01)
    np.testing.assert_allclose(TRUTH.cell_masses().sum(axis=1), 1.0, rtol=1e-12)
    assert TRUTH.cell_masses() is TRUTH.cell_masses()


def test_decoder_gives_a_finite_log_heatmap_and_has_no_memory() -> None:
    decoder, theta = AEG(TRUTH), np.array([0.0, 1.0, 0.0])
    evidence = random_evidence(1)[0]._replace(theta=theta)
    state, log_heatmap = decoder.step(decoder.init(), evidence)
    assert state == decoder.init() == ()
    assert np.isfinite(log_heatmap).all()
    assert np.exp(log_heatmap).sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(np.exp(log_heatmap), TRUTH.heatmap(theta), atol=1e-6)
    np.testing.assert_array_equal(decoder.step(state, evidence)[1], log_heatmap)
    other = random_evidence(1, seed=9)[0]._replace(theta=theta)
    np.testing.assert_array_equal(decoder.step(state, other)[1], log_heatmap)  # theta is all that it hears


def test_a_component_outside_the_plane_stays_finite() -> None:
    strayed = AffectiveGMM(np.array([[9.0, 0.0]]), np.array([0.01 * np.eye(2)]))
    heatmap = strayed.heatmap(np.ones(1))
    assert heatmap[11 * 5 + 10] == 1.0


def test_a_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="positive definite"):
        AffectiveGMM(np.zeros((1, 2)), np.array([[[1.0, 2.0], [2.0, 1.0]]]))
