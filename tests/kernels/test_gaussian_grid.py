"""The grid kernels against scipy's bivariate normal and slow NumPy twins."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from valaro.kernels.gaussian_grid import cell_masses, mix_cells, renormalise_cells
from valaro.models.grid import CELL_AROUSAL, CELL_VALENCE, CELLS, EDGES, SIDE

CASES = [
    pytest.param((0.0, 0.0), (0.3, 0.3), 0.0, id="round"),
    pytest.param((0.2, -0.4), (0.5, 0.15), -0.6, id="tilted"),
    pytest.param((0.09, 0.33), (0.02, 0.02), 0.0, id="narrow"),
    pytest.param((0.1, 0.1), (0.02, 0.02), 0.99, id="narrow, correlated"),
    pytest.param((-0.3, 0.2), (0.02, 0.6), -0.99, id="upright line"),
    pytest.param((0.1, 0.0), (0.6, 0.02), 0.99, id="flat line"),
    pytest.param((0.0, 0.0), (0.4, 0.4), 0.99, id="diagonal"),
    pytest.param((0.05, -0.02), (0.5, 0.3), -0.999, id="nearly singular"),
    pytest.param((0.9, 1.3), (0.2, 0.4), 0.3, id="half outside"),
    pytest.param((0.0, 0.0), (5.0, 5.0), 0.5, id="far wider than the plane"),
]


def gaussian(sigma: tuple[float, float], rho: float) -> NDArray[np.float64]:
    v, a = sigma
    return np.array([[v * v, rho * v * a], [rho * v * a, a * a]])


def slow_cell_masses(mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rectangles by inclusion and exclusion of scipy's cumulative distribution (adaptive, to 1e-9)."""
    corners = np.stack(np.meshgrid(EDGES, EDGES), axis=-1)  # [a, v] -> (v, a)
    accuracy: dict[str, Any] = {"abseps": 1e-9, "releps": 1e-9, "maxpts": 1_000_000}
    cumulative = multivariate_normal.cdf(corners, mean, covariance, **accuracy)
    return np.diff(np.diff(cumulative, axis=0), axis=1).ravel()


def masses_of(mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full((1, CELLS), np.nan)
    cell_masses(mean[None], covariance[None], EDGES, out)
    return out[0]


@pytest.mark.parametrize(("mean", "sigma", "rho"), CASES)
def test_cell_masses_are_scipys_rectangles(mean: tuple[float, float], sigma: tuple[float, float], rho: float) -> None:
    m, c = np.array(mean), gaussian(sigma, rho)
    out = masses_of(m, c)
    assert out.min() >= 0
    np.testing.assert_allclose(out, slow_cell_masses(m, c), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sigma", [(0.02, 0.02), (0.05, 0.3), (0.3, 0.3)])
@pytest.mark.parametrize("rho", [-0.99, -0.5, 0.0, 0.97])
def test_cell_masses_sum_to_the_mass_inside_the_plane(sigma: tuple[float, float], rho: float) -> None:
    rng = np.random.default_rng(3)
    for mean in rng.uniform(-0.05, 0.05, (20, 2)):
        inside = masses_of(mean, gaussian(sigma, rho)).sum()
        normal = multivariate_normal(np.zeros(2), gaussian(sigma, rho))
        expected = normal.cdf(1.0 - mean, lower_limit=-1.0 - mean)
        assert abs(inside - expected) < 1e-6


def test_cells_are_in_the_order_of_a_flattened_heatmap() -> None:
    out = masses_of(np.array([0.9, -0.55]), gaussian((0.02, 0.02), 0.0))
    cell = out.argmax()
    assert (CELL_VALENCE[cell], CELL_AROUSAL[cell]) == pytest.approx((10 / 11, -6 / 11))


def test_many_components_are_each_alone() -> None:
    rng = np.random.default_rng(0)
    means = rng.uniform(-1, 1, (7, 2))
    covariances = np.stack([gaussian((s, 1.5 * s), r) for s, r in rng.uniform(0.1, 0.5, (7, 2))])
    together = np.empty((7, CELLS))
    cell_masses(means, covariances, EDGES, together)
    for k in range(7):
        np.testing.assert_array_equal(together[k], masses_of(means[k], covariances[k]))


def test_renormalise_scales_or_falls_back_to_the_nearest_cell() -> None:
    means = np.array([[0.9, 0.9], [40.0, -0.1], [-3.0, -50.0]])
    covariances = np.stack([gaussian((0.3, 0.3), 0.2)] * 3)
    masses = np.empty((3, CELLS))
    cell_masses(means, covariances, EDGES, masses)
    raw = masses.copy()
    renormalise_cells(means, EDGES, masses)
    assert raw[0].sum() < 0.5
    np.testing.assert_allclose(masses[0], raw[0] / raw[0].sum(), rtol=1e-12)
    for k, cell in ((1, SIDE * 4 + 10), (2, 0)):
        np.testing.assert_array_equal(masses[k], np.eye(CELLS)[cell])


def test_mix_is_the_renormalised_product() -> None:
    rng = np.random.default_rng(1)
    theta, masses, out = rng.dirichlet(np.ones(5)), rng.random((5, CELLS)), np.empty(CELLS)
    mix_cells(theta, masses, out)
    expected = theta @ masses
    np.testing.assert_allclose(out, expected / expected.sum(), rtol=1e-12)


def test_mix_of_nothing_is_uniform() -> None:
    out = np.empty(CELLS)
    mix_cells(np.zeros(2), np.ones((2, CELLS)), out)
    np.testing.assert_allclose(out, 1 / CELLS)
