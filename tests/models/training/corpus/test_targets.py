"""Labels as targets, against slow or exact counterparts."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from valaro.models.errors import DataError
from valaro.models.grid import CELL_AROUSAL, CELL_VALENCE, CELLS, EDGES, QUADRANT_SHARE, cell_of
from valaro.models.training.corpus import targets
from valaro.models.training.datasets.labels import Piece, Points, Trace


def trace(times: list[float], valence: list[float], std: float = 0.2) -> Trace:
    values = np.array(valence)
    spread = np.full(values.size, std)
    return Trace("1", "emomusic", None, np.array(times), values, -values, spread, 2 * spread)


def piece() -> Piece:
    """Three raters, two bars of 1.5 s."""
    valence = np.array([[0.1, 0.9], [-0.4, -1.0], [0.3, 0.5]])
    return Piece("p", Path("p.mid"), 0, 3.0, np.array([0, 1.5, 3.0]), valence, valence[::-1] / 2)


@pytest.mark.parametrize("quadrant", range(4))
def test_a_quadrant_asks_for_the_mass_in_it_at_every_emission(quadrant: int) -> None:
    region = targets.quadrant_region(quadrant, 5)
    assert region.shape == (5, CELLS)
    heatmap = np.random.default_rng(0).dirichlet(np.ones(CELLS))
    assert region @ heatmap == pytest.approx(heatmap @ QUADRANT_SHARE[:, quadrant])
    assert region @ np.full(CELLS, 1 / CELLS) == pytest.approx(0.25)
    assert targets.quadrant_shares(quadrant, None).tolist() == np.eye(4)[quadrant].tolist()


def test_raters_points_are_counted_by_quadrant() -> None:
    points = Points(np.arange(4), np.zeros(4, int), np.array([0.5, 0.5, -0.5, 0.0]), np.array([0.5, 0.5, 0.5, -0.5]))
    assert targets.quadrant_shares(None, points) == pytest.approx([0.5, 0.25, 0.125, 0.125])
    with pytest.raises(DataError, match="neither a quadrant nor"):
        targets.quadrant_shares(None, None)


def test_raters_points_are_counted_by_cell_at_each_emission() -> None:
    points = piece().points(emissions=5)
    shares, counts = targets.histogram(7, points, None), targets.counts_of(points, 7)
    by_hand = np.zeros((7, CELLS))
    for emission, valence, arousal in zip(points.emission, points.valence, points.arousal, strict=True):
        by_hand[emission, int(cell_of(valence, arousal))] += 1
    np.testing.assert_array_equal(counts, by_hand)
    assert by_hand.sum(axis=1).tolist() == [3] * 5 + [0] * 2
    np.testing.assert_allclose(shares[:5], by_hand[:5] / 3, rtol=1e-6)
    assert not shares[5:].any()
    assert shares.dtype == np.float32


def test_paths_are_the_raters_own_and_their_shares_the_histogram() -> None:
    points = piece().points(emissions=5)
    paths = targets.paths_of(points)
    assert paths.shape == (3, 5)
    order = np.random.default_rng(0).permutation(points.emission.size)
    shuffled = Points(points.emission[order], points.rater[order], points.valence[order], points.arousal[order])
    np.testing.assert_array_equal(targets.paths_of(shuffled), paths)
    np.testing.assert_allclose(targets.path_shares(paths), targets.histogram(5, points, None), rtol=1e-6)


def test_points_at_the_emissions_that_theta_is_taken_at_share_the_weight() -> None:
    points = piece().points(emissions=6)
    rows = targets.points_at(points, np.array([2, 5]), first=10, weight=3.0)
    assert sorted(rows.clip.tolist()) == [10] * 3 + [11] * 3
    assert rows.weight.sum() == pytest.approx(3.0)
    late = points.emission == 5
    np.testing.assert_array_equal(rows.va[rows.clip == 11], np.stack([points.valence, points.arousal], axis=1)[late])


def test_a_gaussian_is_integrated_over_each_cell() -> None:
    mean, std = np.array([[0.35, -0.6]]), np.array([[0.3, 0.15]])
    mass = targets.gaussian_cells(mean, std)[0]
    density = multivariate_normal(mean[0], np.diag(std[0] ** 2))
    slow = np.empty((11, 11))
    for row in range(11):
        for column in range(11):
            low, high = (EDGES[column], EDGES[row]), (EDGES[column + 1], EDGES[row + 1])
            slow[row, column] = density.cdf(high, lower_limit=low)
    assert mass.reshape(11, 11) == pytest.approx(slow / slow.sum(), abs=1e-6)


def test_a_panel_of_one_mind_is_no_spike_and_an_unknown_spread_a_stated_one() -> None:
    mean = np.zeros((3, 2))
    std = np.array([[0.0, 0.0], [targets.STD_FLOOR] * 2, [np.nan, targets.STD_UNKNOWN]])
    sharp, floor, unknown = targets.gaussian_cells(mean, std)
    assert sharp.tolist() == floor.tolist()
    assert sharp.max() < 0.6
    assert unknown @ CELL_VALENCE**2 == pytest.approx(unknown @ CELL_AROUSAL**2)


@pytest.mark.parametrize("where", [-1.0, 0.999, 1.0])
def test_a_gaussian_at_the_border_sums_to_one(where: float) -> None:
    mass = targets.gaussian_cells(np.full((1, 2), where), np.full((1, 2), 0.01))
    assert mass.sum() == pytest.approx(1)
    assert mass[0].argmax() == cell_of(where, where)


def test_a_trace_lands_on_the_emissions_it_is_about() -> None:
    means = targets.course(trace([0.25, 15.0, 15.5, 16.0], [-0.5, 0.0, 0.5, 0.9]), emissions=31)
    assert means.emission.tolist() == [29, 30]  # 15 s and 15.5 s; nothing is heard at 0.25 s, and 16 s is past the end
    mass = targets.course_cells(means)
    assert mass[0].argmax() == cell_of(0.0, 0.0)
    assert mass[1].argmax() == cell_of(0.5, -0.5)
    shares = targets.histogram(31, None, trace([15.0, 15.5], [0.0, 0.5]))
    np.testing.assert_allclose(shares[29:], mass, rtol=1e-5)
    assert not shares[:29].any()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DataError, match="label 0"):
        targets.gaussian_cells(np.full((1, 2), np.nan), np.ones((1, 2)))
    with pytest.raises(DataError, match=r"label 1: valence 1\.2, arousal 1\.2"):
        targets.gaussian_cells(np.array([[0.2, 0.2], [1.2, 1.2]]), np.ones((2, 2)))
