import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter
from sklearn import metrics as reference
from valaro.models import grid
from valaro.models.training.evaluation import metrics


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (0, 2)])
def test_quadrant_figures_agree_with_scikit_learn(rng: np.random.Generator, classes: tuple[int, ...]) -> None:
    truth, predicted = rng.choice(classes, 200), rng.choice(4, 200)
    labels = [0, 1, 2, 3]
    expected = reference.f1_score(truth, predicted, labels=labels, average="macro")
    assert metrics.macro_f1(truth, predicted) == pytest.approx(expected, abs=1e-12)
    assert metrics.accuracy(truth, predicted) == pytest.approx(reference.accuracy_score(truth, predicted))
    assert np.array_equal(
        metrics.confusion(truth, predicted), reference.confusion_matrix(truth, predicted, labels=labels)
    )


def test_valence_and_arousal_are_read_off_the_masses() -> None:
    mass = [[0.4, 0.0, 0.35, 0.25], [0.1, 0.5, 0.3, 0.1], [0.0, 0.6, 0.0, 0.4]]
    # Valence +, -, -; arousal -, +, +. The truth: Q1 (V+ A+), Q3 (V- A-), Q2 (V- A+).
    assert metrics.valence_arousal_accuracy([0, 2, 1], mass) == pytest.approx((3 / 3, 1 / 3))


def test_log_likelihood_takes_each_ratings_own_emission_and_cell(rng: np.random.Generator) -> None:
    heatmaps = rng.dirichlet(np.ones(121), 3)
    valence, arousal = np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 0.5, 1.0])
    emission = np.array([0, 2, 2])
    expected = [
        heatmaps[0].reshape(11, 11)[0, 0],
        heatmaps[2].reshape(11, 11)[8, 5],
        heatmaps[2].reshape(11, 11)[10, 10],
    ]
    found = metrics.log_likelihood(heatmaps, emission, grid.cell_of(valence, arousal))
    assert found == pytest.approx(np.log(expected))


def test_a_uniform_heatmap_costs_log_121_and_an_empty_cell_everything() -> None:
    uniform = np.full(121, 1 / 121)
    assert metrics.log_likelihood(uniform, [0, 5], [3, 120]) == pytest.approx([-np.log(121)] * 2)
    assert metrics.log_likelihood(np.eye(121)[4], [0, 0], [4, 5]).tolist() == [0.0, -np.inf]


def test_prior_is_a_blurred_histogram_with_no_empty_cell(rng: np.random.Generator) -> None:
    inside = rng.integers(4, 7, (500, 2))  # away from the edge, where scipy's truncated blur loses nothing
    cells = 11 * inside[:, 0] + inside[:, 1]
    histogram = np.bincount(cells, minlength=121).reshape(11, 11) / 500.0
    expected = gaussian_filter(histogram, 1.0, mode="constant", truncate=11)
    found = metrics.prior_heatmap(cells, blur=1.0, pseudo_count=0.0).reshape(11, 11)
    assert found == pytest.approx(expected, abs=1e-5)
    smoothed = metrics.prior_heatmap(cells, pseudo_count=1.0)
    assert smoothed.sum() == pytest.approx(1.0)
    assert smoothed.min() >= 1 / 121 / 501
    # A lopsided histogram keeps rows (arousal) and columns (valence) apart.
    assert metrics.prior_heatmap(np.array([2]), blur=0.3).reshape(11, 11).argmax() == 2


def test_a_point_in_the_corner_keeps_its_mass_on_the_plane() -> None:
    assert metrics.prior_heatmap([0], pseudo_count=0.0).sum() == pytest.approx(1.0)
    assert metrics.prior_heatmap([0], pseudo_count=0.0).argmax() == 0


def test_prior_without_points_is_uniform() -> None:
    assert metrics.prior_heatmap(np.array([], int)) == pytest.approx(np.full(121, 1 / 121))


def test_correlations_agree_with_scipy_and_the_formula(rng: np.random.Generator) -> None:
    x = rng.normal(size=100)
    y = 0.5 * x + rng.normal(size=100) + 3
    assert metrics.pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    covariance = np.cov(x, y, bias=True)
    expected = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (x.mean() - y.mean()) ** 2)
    assert metrics.ccc(x, y) == pytest.approx(expected, abs=1e-12)
    assert metrics.ccc(x, x) == pytest.approx(1.0)
    assert metrics.rmse(x, y) == pytest.approx(reference.root_mean_squared_error(x, y))


def test_a_constant_series_has_no_correlation() -> None:
    constant = np.full(10, 0.1)  # its float mean is not exactly 0.1
    assert np.isnan(metrics.pearson(constant, np.arange(10)))
    assert np.isnan(metrics.ccc(constant, constant))
    assert metrics.ccc(constant, np.arange(10)) == 0.0


def test_between_and_within_tell_level_from_course() -> None:
    groups = np.repeat(["a", "b", "c"], 4)
    level = np.repeat([0.0, 1.0, 5.0], 4)
    course = np.tile([0.0, 0.1, 0.3, 0.2], 3)
    # The levels are right and each course is upside down; a shuffled order of rows changes nothing.
    order = np.random.default_rng(0).permutation(12)
    x, y, g = (level + course)[order], (2 * level - course)[order], groups[order]
    assert metrics.between_groups(metrics.pearson, x, y, g) == pytest.approx(1.0)
    assert metrics.within_groups(metrics.pearson, x, y, g) == pytest.approx(-1.0)
    assert metrics.between_groups(metrics.rmse, level, level + 1, groups) == pytest.approx(1.0)
    assert metrics.within_groups(metrics.rmse, level, level + 1, groups) == pytest.approx(0.0)


def test_within_leaves_out_groups_that_never_move() -> None:
    x, y, groups = [1, 2, 3, 5, 5, 5], [2, 4, 6, 1, 2, 3], [0, 0, 0, 1, 1, 1]
    assert metrics.within_groups(metrics.pearson, x, y, groups) == pytest.approx(1.0)
    assert np.isnan(metrics.within_groups(metrics.pearson, x[3:], y[3:], groups[3:]))


def test_standard_error(rng: np.random.Generator) -> None:
    values = rng.normal(size=5)
    assert metrics.standard_error(values) == pytest.approx(stats.sem(values))
    assert np.isnan(metrics.standard_error([0.3]))


def test_a_series_that_only_rounding_moves_is_constant(rng: np.random.Generator) -> None:
    wobbling = np.full(50, 0.3) + rng.choice([0, 5.6e-17], 50)
    assert np.isnan(metrics.pearson(wobbling, rng.standard_normal(50)))
    assert np.isnan(metrics.within_groups(metrics.pearson, rng.standard_normal(50), wobbling, np.zeros(50)))
    assert np.isfinite(metrics.pearson(1e-9 * rng.standard_normal(50), rng.standard_normal(50)))
