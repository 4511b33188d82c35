"""What is read off a heatmap, cell by cell, beside the sums over all cells at once."""

import numpy as np
import pytest
from valaro.models import grid


def heatmap(seed: int, spread: float = 0.2) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(grid.CELLS, spread))


def test_moments_are_those_of_mass_spread_evenly_in_each_cell() -> None:
    p = heatmap(0)
    within = (2 / 11) ** 2 / 12
    mean, second = np.zeros(2), np.zeros((2, 2))
    for row in range(11):
        for column in range(11):
            centre = np.array([grid.CENTRES[column], grid.CENTRES[row]])  # valence, arousal
            mean += p[11 * row + column] * centre
            second += p[11 * row + column] * (np.outer(centre, centre) + within * np.eye(2))
    found_mean, found_covariance = grid.moments(p)
    np.testing.assert_allclose(found_mean, mean, rtol=0, atol=1e-14)
    np.testing.assert_allclose(found_covariance, second - np.outer(mean, mean), rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", [0, 10, 60, 110, 120])
def test_all_mass_in_one_cell_has_the_variance_of_that_cell_alone(cell: int) -> None:
    """Far from the middle, where subtracting the mean's square would cancel most."""
    mean, covariance = grid.moments(np.eye(grid.CELLS)[cell])
    np.testing.assert_allclose(mean, [grid.CELL_VALENCE[cell], grid.CELL_AROUSAL[cell]], atol=1e-15)
    np.testing.assert_allclose(covariance, (2 / 11) ** 2 / 12 * np.eye(2), rtol=0, atol=1e-15)


def test_many_heatmaps_at_once_are_each_by_itself_flat_or_square() -> None:
    many = np.stack([[heatmap(3 * i + j) for j in range(3)] for i in range(2)])
    means, covariances = grid.moments(many)
    square_means, _ = grid.moments(many.reshape(2, 3, 11, 11))
    assert (means.shape, covariances.shape) == ((2, 3, 2), (2, 3, 2, 2))
    np.testing.assert_array_equal(square_means, means)
    for i in range(2):
        for j in range(3):
            mean, covariance = grid.moments(many[i, j])
            np.testing.assert_allclose(means[i, j], mean, atol=1e-15)
            np.testing.assert_allclose(covariances[i, j], covariance, atol=1e-15)
            np.testing.assert_allclose(grid.confidence(many)[i, j], grid.confidence(many[i, j]), atol=1e-15)


def test_confidence_is_one_less_the_share_of_the_entropy_that_there_can_be() -> None:
    even = np.full(grid.CELLS, 1 / grid.CELLS)
    assert grid.confidence(even) == pytest.approx(0.0, abs=1e-14)
    assert grid.confidence(np.eye(grid.CELLS)[7]) == 1.0
    eleven = np.zeros((11, 11))
    eleven[3] = 1 / 11
    assert grid.confidence(eleven) == pytest.approx(0.5)  # log 11 is half of log 121
