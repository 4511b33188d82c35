"""Labels as likelihoods of heatmaps, against slow or exact counterparts."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from valaro.models.errors import DataError
from valaro.models.grid import CELL_AROUSAL, CELL_VALENCE, CELLS, EDGES, QUADRANT_SHARE, cell_of
from valaro.models.training.corpus import targets
from valaro.models.training.datasets.labels import Clip, Overall, Piece, Points, Trace


def heatmaps(emissions: int, seed: int = 0) -> np.ndarray:
    """Normalised log heatmaps (emissions, 121)."""
    logits = np.random.default_rng(seed).normal(0, 2, (emissions, CELLS))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def trace(times: list[float], valence: list[float], std: float = 0.2) -> Trace:
    values = np.array(valence)
    spread = np.full(values.size, std)
    return Trace("1", "emomusic", None, np.array(times), values, -values, spread, 2 * spread)


def piece() -> Piece:
    """Three raters, two bars of 1.5 s."""
    valence = np.array([[0.1, 0.9], [-0.4, -1.0], [0.3, 0.5]])
    return Piece("p", Path("p.mid"), 0, 3.0, np.array([0, 1.5, 3.0]), valence, valence[::-1] / 2)


@pytest.mark.parametrize("quadrant", range(4))
def test_a_quadrant_is_the_mass_in_it(quadrant: int) -> None:
    target = targets.of_clip(Clip("c", Path("c"), quadrant, "artist", 0, "4q"), 5)
    log_h = heatmaps(5)
    assert target.kind == "region"
    assert target.emission.tolist() == [0, 1, 2, 3, 4]
    assert target.log_likelihood(log_h) == pytest.approx(np.log(np.exp(log_h) @ QUADRANT_SHARE[:, quadrant]))
    uniform = np.full((5, CELLS), -np.log(CELLS))
    assert target.total(uniform) == pytest.approx(5 * np.log(0.25))


def test_a_quadrant_of_next_to_no_mass_is_still_a_number() -> None:
    mask = QUADRANT_SHARE[:, 0]
    log_h = np.where(mask > 0, -900.0, -np.log((mask == 0).sum()))[None]
    target = targets.of_clip(Clip("c", Path("c"), 0, "artist", 0, "4q"), 1)
    assert target.log_likelihood(log_h)[0] == pytest.approx(-900 + np.log(mask.sum()))


def test_a_point_keeps_its_place_and_its_mass() -> None:
    generator = np.random.default_rng(1)
    inside = 10 / 11
    v, a = generator.uniform(-inside, inside, (2, 200))
    mass = targets.soft_cells(v, a)
    assert np.all(mass >= 0)
    assert mass.sum(axis=1) == pytest.approx(1)
    assert mass @ CELL_VALENCE == pytest.approx(v)
    assert mass @ CELL_AROUSAL == pytest.approx(a)
    assert np.count_nonzero(mass, axis=1).max() <= 4
    # A point on a cell's centre is that cell's alone, and so is a corner of the plane.
    at_centres = targets.soft_cells(CELL_VALENCE, CELL_AROUSAL)
    assert at_centres == pytest.approx(np.eye(CELLS), abs=1e-12)
    corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], dtype=float)
    assert targets.soft_cells(*corners.T).argmax(axis=1).tolist() == cell_of(*corners.T).tolist()
    assert targets.soft_cells(*corners.T).max(axis=1) == pytest.approx(1)


def test_a_point_of_some_width_keeps_its_mass_at_the_border_too() -> None:
    mass = targets.soft_cells(np.array([0.0, 1.0]), np.array([0.0, -1.0]), width=0.2)
    assert mass.sum(axis=1) == pytest.approx(1)
    assert mass[0] @ CELL_VALENCE == pytest.approx(0, abs=1e-12)
    assert mass[0] @ CELL_VALENCE**2 == pytest.approx(0.2**2 + (2 / 11) ** 2 / 12, rel=1e-2)
    assert mass[1].argmax() == cell_of(1, -1)


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


def test_raters_points_pool_without_changing_their_likelihood() -> None:
    rated = piece()
    points = rated.points(emissions=5)
    each = targets.of_points(points)
    pooled = targets.of_piece(rated, emissions=5)
    log_h = heatmaps(5)
    assert each.emission.size == 15
    assert pooled.emission.tolist() == [0, 1, 2, 3, 4]
    assert pooled.weight.tolist() == [3] * 5
    assert pooled.mass.sum(axis=1) == pytest.approx(1)
    assert pooled.total(log_h) == pytest.approx(each.total(log_h))
    by_hand = sum(
        targets.soft_cells(np.array([v]), np.array([a]))[0] @ log_h[e]
        for e, v, a in zip(points.emission, points.valence, points.arousal, strict=True)
    )
    assert each.total(log_h) == pytest.approx(by_hand)


def test_a_lag_of_the_raters_moves_their_labels_to_the_music_before() -> None:
    now, late = targets.of_piece(piece(), 9), targets.of_piece(piece(), 9, annotator_lag=1.0)
    assert (now.emission.size, late.emission.size) == (6, 4)
    assert late.mass[0].tolist() == now.mass[2].tolist()


def test_a_trace_lands_on_the_emissions_it_is_about() -> None:
    values = [-0.5, 0.0, 0.5, 0.9]
    target = targets.of_trace(trace([0.25, 15.0, 15.5, 16.0], values), emissions=31)
    assert target.kind == "distribution"
    assert target.emission.tolist() == [29, 30]  # 15 s and 15.5 s; nothing is heard at 0.25 s, and 16 s is past the end
    assert target.mass[0].argmax() == cell_of(0.0, 0.0)
    assert target.mass[1].argmax() == cell_of(0.5, -0.5)
    late = targets.of_trace(trace([15.0, 15.5, 16.0], values[1:]), emissions=31, annotator_lag=2.0)
    assert late.emission.tolist() == [25, 26, 27]


def test_a_song_level_label_holds_for_every_emission() -> None:
    target = targets.of_overall(Overall("1", "deam", None, 0.5, -0.5, 0.2, np.nan), 4)
    assert target.emission.tolist() == [0, 1, 2, 3]
    assert np.all(target.mass == target.mass[0])
    assert target.mass[0].argmax() == cell_of(0.5, -0.5)


def test_all_mass_in_one_cell_makes_both_kinds_the_same() -> None:
    mass = np.eye(CELLS)[[7, 90]]
    log_h = heatmaps(2)
    rows = np.arange(2), mass, np.ones(2)
    one, other = (targets.Target(kind, *rows).log_likelihood(log_h) for kind in ("region", "distribution"))
    assert one == pytest.approx(other)
    assert one == pytest.approx([log_h[0, 7], log_h[1, 90]])


def test_the_best_heatmap_for_a_distribution_is_that_distribution() -> None:
    target = targets.of_trace(trace([1.0], [0.3]), 2)
    best = np.log(target.mass[[0, 0]] + 1e-300)
    assert target.total(best) > max(target.total(heatmaps(2, seed)) for seed in range(20))


def test_what_cannot_be_is_refused() -> None:
    one = np.array([0.2, 1.2])
    with pytest.raises(DataError, match=r"label 1: valence 1\.2, arousal 1\.2"):
        targets.of_points(Points(np.arange(2), np.arange(2), one, one))
    with pytest.raises(DataError, match="label 0"):
        targets.gaussian_cells(np.full((1, 2), np.nan), np.ones((1, 2)))
    with pytest.raises(DataError, match="a label at emission 5 of a stream of 4"):
        targets.of_trace(trace([3.0], [0.0]), 9).log_likelihood(heatmaps(4))
    with pytest.raises(ValueError, match="do not pool"):
        targets.of_clip(Clip("c", Path("c"), 0, "artist", 0, "4q"), 2).pooled()
