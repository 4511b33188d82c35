"""The figures on streams, against what one knows of planted ones and against slow twins of the sums."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score
from valaro.models import grid
from valaro.models.training.corpus.items import Course, Item
from valaro.models.training.corpus.targets import STD_OF_CELL, cells_of, counts_of, course, course_cells
from valaro.models.training.datasets.folder import Points, Trace
from valaro.models.training.evaluation import metrics, scoring


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def in_quadrant(quadrant: int, sharpness: float = 1.0) -> np.ndarray:
    heatmap = sharpness * (grid.QUADRANT_SHARE[:, quadrant] == 1) / 25 + (1 - sharpness) / grid.CELLS
    return heatmap / heatmap.sum()


def panel(rng: np.random.Generator, raters: int = 6, emissions: int = 8, noise: float = 0.2) -> Points:
    """Raters who follow one course, each with noise of their own."""
    course = rng.uniform(-0.6, 0.6, (2, emissions))
    valence, arousal = np.clip(course[:, :, None] + noise * rng.standard_normal((2, emissions, raters)), -1, 1)
    emission, rater = np.divmod(np.arange(emissions * raters), raters)
    return Points(emission, rater, valence.ravel(), arousal.ravel())


def test_clips_are_judged_by_the_mass_averaged_over_what_was_heard() -> None:
    # Each clip shows another quadrant for its first 5 s and its own for the following 10.
    truth = [0, 1, 2, 3, 3]
    items = [Item(str(i), "4q", str(i), 0, quadrant=q) for i, q in enumerate(truth)]
    streams = [np.stack([in_quadrant((q + 1) % 4)] * 10 + [in_quadrant(q)] * 20) for q in truth]
    found = scoring.score_clips(items, streams)
    assert [found[k] for k in ("macro_f1", "accuracy", "valence", "arousal")] == [1, 1, 1, 1]
    assert found["accuracy_5s"] == 0
    assert found["macro_f1_15s"] == 1
    assert "macro_f1_5s" not in scoring.score_clips(items, streams, heard=())


def test_clip_figures_agree_with_scikit_learn(rng: np.random.Generator) -> None:
    items = [Item(str(i), "4q", str(i), 0, quadrant=int(rng.integers(4))) for i in range(60)]
    streams = [rng.dirichlet(np.full(121, 0.1), 12) for _ in items]
    predicted = [int(grid.quadrants(s).mean(axis=0).argmax()) for s in streams]
    expected = f1_score([i.quadrant for i in items if i.quadrant is not None], predicted, average="macro")
    assert scoring.score_clips(items, streams)["macro_f1"] == pytest.approx(expected)


def test_the_likelihood_of_other_raters_agrees_with_its_slow_twin(rng: np.random.Generator) -> None:
    items = [Item(str(i), "vgmidi", str(i), 0, points=panel(rng)) for i in range(2)]
    known = rng.integers(0, 121, 400)
    histogram = metrics.prior_heatmap(known, blur=0.0)
    slow = []
    for item in items:
        assert item.points is not None
        cells, values = cells_of(item.points), []
        for i, (emission, rater) in enumerate(zip(item.points.emission, item.points.rater, strict=True)):
            others = cells[(item.points.emission == emission) & (item.points.rater != rater)]
            heatmap = 15 * histogram + others.size * metrics.prior_heatmap(others, blur=1.0, pseudo_count=0.0)
            values.append(np.log(heatmap[cells[i]] / heatmap.sum()))
        slow.append(np.mean(values))
    found = scoring.rater_agreement(items, known)["the moment's other raters"]["log_likelihood"]
    assert found == pytest.approx(np.mean(slow))


def test_points_are_scored_between_and_within_pieces(rng: np.random.Generator) -> None:
    items = [Item(str(i), "vgmidi", str(i), 0, points=panel(rng, noise=0.05)) for i in range(5)]
    known = np.concatenate([cells_of(i.points) for i in items if i.points is not None])
    told = [counts_of(i.points, 8) / 6 * 0.9 + 0.1 / 121 for i in items if i.points is not None]
    shuffled = [stream[rng.permutation(8)] for stream in told]
    good, bad = scoring.score_points(items, told, known), scoring.score_points(items, shuffled, known)
    assert good["r_valence_within"] > 0.95
    assert good["ccc_arousal_between"] > 0.9
    assert abs(bad["r_valence_within"]) < 0.6
    assert bad["r_valence_between"] == pytest.approx(good["r_valence_between"])
    assert good["log_likelihood"] > good["histogram_log_likelihood"] > good["uniform_log_likelihood"]


def test_the_share_of_the_way_runs_from_the_histogram_to_the_other_raters(rng: np.random.Generator) -> None:
    items = [Item(str(i), "vgmidi", str(i), 0, points=panel(rng)) for i in range(3)]
    known = np.concatenate([cells_of(i.points) for i in items if i.points is not None])
    start = [np.tile(metrics.prior_heatmap(known, blur=0.0), (8, 1))] * 3
    found = scoring.score_points(items, start, known)
    assert found["share_of_way"] == pytest.approx(0, abs=1e-12)
    assert found["log_likelihood"] == pytest.approx(found["histogram_log_likelihood"])
    others = scoring.rater_agreement(items, known)["the moment's other raters"]["log_likelihood"]
    halfway = [np.exp((others - found["log_likelihood"]) / 2) * s for s in start]  # not a heatmap, but halfway in nats
    assert scoring.score_points(items, halfway, known)["share_of_way"] == pytest.approx(0.5)


def test_agreement_is_high_where_raters_agree_and_none_where_they_guess(rng: np.random.Generator) -> None:
    def rows(noise: float) -> dict[str, dict[str, float]]:
        items = [Item(str(i), "vgmidi", str(i), 0, points=panel(rng, 8, 40, noise)) for i in range(12)]
        return scoring.rater_agreement(items, np.arange(121))

    agreed, guessed = rows(0.1), rows(50.0)
    assert agreed["one rater"]["r_valence_within"] > 0.85
    assert agreed["half of the raters"]["r_valence_within"] > agreed["one rater"]["r_valence_within"]
    assert agreed["half of the raters"]["ccc_arousal_between"] > 0.7
    assert abs(guessed["one rater"]["r_valence_within"]) < 0.1
    assert guessed["the moment's other raters"] != agreed["the moment's other raters"]


def test_a_rater_who_said_nothing_at_some_moments_is_compared_at_the_others(rng: np.random.Generator) -> None:
    points = panel(rng, raters=3, emissions=20, noise=0.01)
    kept = ~((points.rater == 1) & (points.emission > 9))
    fewer = Points(points.emission[kept], points.rater[kept], points.valence[kept], points.arousal[kept])
    items = [Item("a", "vgmidi", "a", 0, points=fewer)]
    assert scoring.rater_agreement(items, np.arange(121))["one rater"]["r_arousal_within"] > 0.95


def test_a_discretised_gaussian_is_that_of_scipy_on_the_plane() -> None:
    found = course_cells(
        Course(np.arange(2), *np.array([[0.2, 0.95], [-0.4, 0.0], [0.3, 0.0], [0.2, 0.5]])), STD_OF_CELL
    )
    assert found.sum(axis=1) == pytest.approx(1)
    valence = np.diff(stats.norm(0.2, 0.3).cdf(grid.EDGES))
    arousal = np.diff(stats.norm(-0.4, 0.2).cdf(grid.EDGES))
    assert found[0].reshape(11, 11) == pytest.approx(np.outer(arousal / arousal.sum(), valence / valence.sum()))
    assert found[1] @ grid.CELL_VALENCE > 0.85  # no deviation: still a Gaussian, in the last column


def test_traces_are_taken_at_the_emissions_of_their_times_and_scored(rng: np.random.Generator) -> None:
    times = np.arange(30, 90) / 2
    valence, arousal = 0.5 * np.sin(times), 0.4 * np.cos(times / 3)
    trace = Trace("1", "emomusic", None, times, valence, arousal, np.full(60, 0.2), np.full(60, 0.2))
    label = course(trace, emissions=80)
    assert label.emission.tolist() == list(range(29, 80))
    assert label.valence[0] == valence[0]  # 15.0 s is the 30th emission

    stream = np.full((80, 121), 1 / 121)
    stream[label.emission] = course_cells(label, STD_OF_CELL)
    item = Item("1", "emomusic", "1", 0, trace=label)
    good = scoring.score_traces([item], [stream])
    assert good["clips"] == 1
    assert good["r_valence_within"] > 0.999
    assert good["rmse_arousal_overall"] < 0.03
    assert np.isnan(good["r_valence_between"])
    flat = scoring.score_traces([item], [np.full((80, 121), 1 / 121)])
    assert flat["log_likelihood"] == pytest.approx(-np.log(121))
    assert flat["log_likelihood"] < good["log_likelihood"]


def test_a_course_without_labels_in_reach_is_empty() -> None:
    none = np.zeros(2)
    trace = Trace("1", "pmemo", None, np.array([15.0, 15.5]), none, none, none, none)
    assert isinstance(course(trace, 20), Course)
    assert course(trace, 20).emission.size == 0
