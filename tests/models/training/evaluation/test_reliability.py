"""Calibration on simulators whose truth is known: labels are drawn from the heatmaps themselves, or from others."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from valaro.models import grid
from valaro.models.errors import DataError
from valaro.models.training.corpus.items import Course, Item
from valaro.models.training.corpus.targets import Targets, all_targets, targets_of
from valaro.models.training.datasets.folder import Points
from valaro.models.training.evaluation import reliability as cal
from valaro.models.training.fit import fusion


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def blobs(rng: np.random.Generator, count: int, spread: float = 0.35) -> np.ndarray:
    """Log heatmaps (count, 121): Gaussians about random places, normalised."""
    v, a = rng.uniform(-0.8, 0.8, (2, count, 1))
    logs = -((grid.CELL_VALENCE - v) ** 2 + (grid.CELL_AROUSAL - a) ** 2) / (2 * spread**2)
    return normalised(logs)


def normalised(logs: np.ndarray) -> np.ndarray:
    return logs - np.log(np.exp(logs).sum(axis=-1, keepdims=True))


def drawn(rng: np.random.Generator, heatmaps: np.ndarray, raters: int) -> np.ndarray:
    """``raters`` cells from each heatmap: (n, raters)."""
    steps = np.cumsum(heatmaps, axis=1)[:, None, :]
    return np.minimum((steps < rng.random((len(heatmaps), raters, 1))).sum(axis=2), 120)


def rated(cells: np.ndarray, name: str = "piece") -> Item:
    emission, rater = np.divmod(np.arange(cells.size), cells.shape[1])
    flat = cells.ravel()
    points = Points(emission, rater, grid.CELL_VALENCE[flat], grid.CELL_AROUSAL[flat])
    return Item(name, "vgmidi", name, 0, points=points)


def test_ratings_drawn_from_the_heatmaps_are_calibrated(rng: np.random.Generator) -> None:
    heatmaps = np.exp(blobs(rng, 1500))
    item = rated(drawn(rng, heatmaps, 30))
    figures = cal.calibration_figures(cal.calibrate([item], [heatmaps]))
    assert figures["coverage_50"] == pytest.approx(0.5, abs=0.01)
    assert figures["coverage_90"] == pytest.approx(0.9, abs=0.01)
    assert figures["ece_cells"] < 0.02
    assert max(figures[f"ece_{name}"] for name in ("quadrants", "valence", "arousal")) < 0.01


def test_overconfident_heatmaps_are_found_out(rng: np.random.Generator) -> None:
    logs = blobs(rng, 800)
    item = rated(drawn(rng, np.exp(logs), 20))
    sharp = np.exp(normalised(4 * logs))
    figures = cal.calibration_figures(cal.calibrate([item], [sharp]))
    assert figures["coverage_50"] < 0.3
    assert figures["coverage_90"] < 0.7
    assert figures["ece_cells"] > 0.1
    assert figures["ece_quadrants"] > 0.03
    calm = cal.calibration_figures(cal.calibrate([item], [np.exp(normalised(0.2 * logs))]))
    assert calm["coverage_50"] > 0.6
    assert calm["ece_valence"] > 0.1


def test_clips_are_calibrated_as_averages_and_live(rng: np.random.Generator) -> None:
    heatmaps = np.exp(blobs(rng, 2000))
    truth = [int(rng.choice(4, p=q / q.sum())) for q in grid.quadrants(heatmaps)]
    items = [Item(str(i), "4q", str(i), 0, quadrant=q) for i, q in enumerate(truth)]
    steady = cal.calibration_figures(cal.calibrate(items, [np.tile(h, (3, 1)) for h in heatmaps]))
    for name in ("quadrants", "valence", "arousal"):
        assert steady[f"ece_{name}"] < 0.03
        assert steady[f"ece_{name}_live"] == pytest.approx(steady[f"ece_{name}"])
    assert steady["coverage_50"] == pytest.approx(0.5, abs=0.03)
    assert steady["coverage_90_live"] == pytest.approx(0.9, abs=0.03)
    # Streams that are sure of one quadrant after another: balanced on average, far too sure at each moment.
    hasty = [np.stack([(grid.QUADRANT_SHARE[:, q] == 1) / 25 for q in range(4)]) for _ in items]
    figures = cal.calibration_figures(cal.calibrate(items, hasty))
    assert figures["ece_quadrants"] < 0.02
    assert figures["ece_quadrants_live"] == pytest.approx(0.375)


def test_densest_set_is_the_smallest_and_holds_exactly_its_level(rng: np.random.Generator) -> None:
    mass = rng.dirichlet(np.full(6, 0.5), 50)
    for level in (0.05, 0.5, 0.9):
        share = cal.densest(mass, level)
        assert (share * mass).sum(axis=1) == pytest.approx(level)
        for row, part in zip(mass, share, strict=True):  # no outcome comes in before a likelier one is wholly in
            falling = part[np.argsort(-row)]
            assert np.all(np.diff(falling) <= 1e-12)
            assert np.sum((falling > 0) & (falling < 1)) <= 1
    assert cal.densest(np.array([[0.0, 1.0]]), 0.5).tolist() == [[0.0, 0.5]]


def test_reliability_sorts_statements_into_bins() -> None:
    found = cal.reliability([0.0, 0.12, 0.18, 1.0], [0, 1, 0, 1], [1, 1, 1, 2], cal.SHARES)
    stated, true, share = found.curve()
    assert stated == pytest.approx([0.0, 0.15, 1.0])
    assert true == pytest.approx([0.0, 0.5, 1.0])
    assert share == pytest.approx([0.2, 0.4, 0.4])
    assert found.error == pytest.approx(0.4 * 0.35)


def test_folds_are_added_up_with_an_error_by_leaving_one_out(rng: np.random.Generator) -> None:
    folds, heatmaps = [], np.exp(blobs(rng, 200))
    for k in range(5):
        part = heatmaps[k::5]
        folds.append(cal.calibrate([rated(drawn(rng, part, 10))], [part]))
    joined = cal.joined_figures(folds)
    together = cal.calibration_figures(cal.merged(folds))
    assert joined["ece_quadrants"]["mean"] == together["ece_quadrants"]
    single = joined["ece_quadrants"]["folds"]
    assert isinstance(single, list)
    assert together["ece_quadrants"] < np.mean(single)  # what few labels add to the error is mostly noise
    # Coverage is a plain share and the folds are alike in size: the jackknife is the usual standard error.
    covered = joined["coverage_50"]
    assert covered["se"] == pytest.approx(np.std(covered["folds"], ddof=1) / np.sqrt(5))  # type: ignore[call-overload]
    assert cal.joined_figures(folds[:1])["coverage_50"]["se"] is None


def mixed_targets(rng: np.random.Generator, count: int) -> Targets:
    """Half regions with soft edges, half distributions, each with a weight of its own."""
    mask = rng.dirichlet(np.full(121, 0.2), count)
    region = np.arange(count) % 2 == 0
    mask[region] = grid.QUADRANT_SHARE.T[rng.integers(4, size=region.sum())]
    return Targets(mask, region, rng.uniform(0.5, 2, count) / count)


def test_loss_is_the_likelihood_of_both_kinds_of_label(rng: np.random.Generator) -> None:
    logs, targets = blobs(rng, 12), mixed_targets(rng, 12)
    slow = []
    for row, mask, region in zip(logs, targets.mask, targets.region, strict=True):
        slow.append(np.log(mask @ np.exp(row)) if region else mask @ row)
    stack, counting = fusion._counting([logs], targets)
    found = fusion._loss(np.ones(1), np.zeros(121), stack, counting)[0]
    assert found == pytest.approx(-np.average(slow, weights=targets.weight))


def test_gradient_agrees_with_finite_differences(rng: np.random.Generator) -> None:
    stack, targets = fusion._counting([blobs(rng, 12, 0.3), blobs(rng, 12, 0.6)], mixed_targets(rng, 12))
    x = np.concatenate([[0.7, 0.4], rng.normal(0, 0.3, 121)])

    def value(x: np.ndarray) -> float:
        return fusion._loss(x[:2], x[2:], stack, targets)[0]

    _, exponents, bias = fusion._loss(x[:2], x[2:], stack, targets)
    assert np.concatenate([exponents, bias]) == pytest.approx(approx_fprime(x, value, 1e-7), abs=2e-6)


def temperature(logs: np.ndarray, targets: Targets) -> float:
    """Of one decoder: its exponent is 1 / T (Guo et al., ICML 2017)."""
    return 1 / float(fusion.fit_pool([logs], targets, ridge=1e-9).exponents[0])


def test_planted_temperature_is_recovered(rng: np.random.Generator) -> None:
    logs = blobs(rng, 600)
    item = rated(drawn(rng, np.exp(logs), 10))
    targets = targets_of(item, 600)
    assert temperature(normalised(2.5 * logs), targets) == pytest.approx(2.5, rel=0.05)
    assert temperature(normalised(0.5 * logs), targets) == pytest.approx(0.5, rel=0.05)


def test_planted_temperature_is_recovered_from_quadrants_alone(rng: np.random.Generator) -> None:
    logs = blobs(rng, 4000)
    truth = [int(rng.choice(4, p=q / q.sum())) for q in grid.quadrants(np.exp(logs))]
    items = [Item(str(i), "4q", str(i), 0, quadrant=q) for i, q in enumerate(truth)]
    targets = all_targets([targets_of(item, 1) for item in items])
    assert temperature(normalised(2 * logs), targets) == pytest.approx(2.0, rel=0.15)


def test_planted_pool_is_recovered(rng: np.random.Generator) -> None:
    parts = [blobs(rng, 1500), blobs(rng, 1500), blobs(rng, 1500)]
    bias = 0.8 * grid.CELL_VALENCE
    planted = fusion.PoolWeights(np.array([0.8, 0.5, 0.0]), bias)
    truth = planted(parts)
    targets = targets_of(rated(drawn(rng, np.exp(truth), 20)), 1500)
    found = fusion.fit_pool(parts, targets, ridge=1e-6, bias_ridge=1e-5)
    assert found.exponents == pytest.approx(planted.exponents, abs=0.05)
    assert np.corrcoef(found.bias, bias)[0, 1] > 0.95
    assert found(parts) == pytest.approx(normalised(found(parts)))
    plain = fusion.fit_pool(parts, targets)
    assert not plain.bias.any()
    assert plain.exponents[2] < 0.05


def test_pool_beats_its_best_part_and_stiffness_holds_it_at_the_start(rng: np.random.Generator) -> None:
    parts = [blobs(rng, 400, 0.5), blobs(rng, 400, 0.5)]
    truth = fusion.PoolWeights(np.array([0.5, 0.5]), np.zeros(121))(parts)
    targets = targets_of(rated(drawn(rng, np.exp(truth), 10)), 400)

    def likelihood(logs: np.ndarray) -> float:
        return float(np.sum(targets.weight * np.sum(targets.mask * logs, axis=1)))

    pool = fusion.fit_pool(parts, targets)
    assert likelihood(pool(parts)) > max(likelihood(part) for part in parts) + 0.05
    assert fusion.fit_pool(parts, targets, start=[0.3, 0.1], ridge=1e6).exponents == pytest.approx([0.3, 0.1], abs=1e-3)


def test_targets_of_each_kind_weigh_what_they_are_told(rng: np.random.Generator) -> None:
    clip = targets_of(Item("a", "4q", "a", 0, quadrant=1), 10, weight=2.0)
    assert clip.region.all()
    assert clip.weight.sum() == pytest.approx(2)
    points = Points(np.array([1, 1, 3]), np.array([0, 1, 0]), np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    piece = targets_of(Item("b", "vgmidi", "b", 0, points=points), 5)
    assert piece.weight == pytest.approx([0, 2 / 3, 0, 1 / 3, 0])
    assert piece.mask[1, [60, 115]] == pytest.approx([0.5, 0.5])
    half = np.full(2, 0.5)
    song = targets_of(Item("c", "pmemo", "c", 0, trace=Course(np.array([2, 3]), half, -half, half, half)), 5)
    assert song.weight.tolist() == [0, 0, 0.5, 0.5, 0]
    assert all_targets([clip, piece, song]).mask.shape == (20, 121)


def test_rows_that_do_not_match_or_count_are_refused(rng: np.random.Generator) -> None:
    targets = mixed_targets(rng, 4)
    with pytest.raises(DataError, match="one row each"):
        fusion.fit_pool([blobs(rng, 5)], targets)
    silent = Targets(targets.mask, targets.region, np.zeros(4))
    with pytest.raises(DataError, match="positive weight"):
        fusion.fit_pool([blobs(rng, 4)], silent)
