"""The chain over the 121 cells: against python-crfsuite and all paths, streamed against whole, near against far."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models.decoders.crf import CRF, LIMIT, near_pairs
from valaro.models.grid import CELLS, SIDE

from ..synthetic_bundle import path_log_likelihood

F = 7


def chain(radius: float | None = 2.3, seed: int = 0) -> CRF:
    rng = np.random.default_rng(seed)
    source, target = near_pairs(radius)
    return CRF(
        mean=rng.normal(size=F),
        scale=rng.uniform(0.5, 2, F),
        unary=rng.normal(0, 0.5, (F, CELLS)),
        bias=rng.normal(size=CELLS),
        start=rng.normal(size=CELLS),
        pair_from=source,
        pair_to=target,
        pair_weight=rng.normal(size=source.size),
    )


def music(steps: int, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(steps, F))


def distance(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.hypot(a // SIDE - b // SIDE, a % SIDE - b % SIDE)


@pytest.mark.parametrize(("radius", "inner"), [(0, 1), (1, 5), (1.5, 9), (2.3, 21)])
def test_near_pairs_are_those_within_the_radius(radius: float, inner: int) -> None:
    source, target = near_pairs(radius)
    assert np.count_nonzero(source == CELLS // 2) == inner
    assert distance(source, target).max() <= radius
    everything = near_pairs(None)
    assert source.size == np.count_nonzero(distance(*everything) <= radius)
    assert everything[0].size == CELLS**2


def test_filter_and_smoothing_are_the_sums_over_all_paths() -> None:
    model, x = chain(2.3), music(3)
    s = model.potentials(x)
    pairs = np.full((CELLS, CELLS), -np.inf)
    pairs[model.pair_from, model.pair_to] = model.pair_weight
    two = np.exp((model.start + s[0])[:, None] + pairs + s[1])  # every path of two steps
    three = two[:, :, None] * np.exp(pairs + s[2])  # and of three
    np.testing.assert_allclose(model.filter(x)[1], two.sum(axis=0) / two.sum(), atol=1e-14)
    for t, others in enumerate([(1, 2), (0, 2), (0, 1)]):
        np.testing.assert_allclose(model.smooth(x)[t], three.sum(axis=others) / three.sum(), atol=1e-14)
    path = np.array([[60, 61, 73], [60, 60, 60], [0, 5, 5]])
    with np.errstate(divide="ignore"):
        expected = np.log(three[tuple(path.T)] / three.sum())
    np.testing.assert_allclose(path_log_likelihood(model, x, path), expected, atol=1e-11)
    assert np.isneginf(expected[2])


def test_python_crfsuite_gives_the_same_likelihood_and_marginals(tmp_path: Path) -> None:
    pycrfsuite: Any = import_module("pycrfsuite")  # compiled, without stubs
    rng = np.random.default_rng(4)
    cells = rng.choice(CELLS, 6, replace=False)
    names = [f"x{i}" for i in range(F)]

    def items(x: NDArray[np.float64]) -> list[dict[str, float]]:
        return [dict(zip(names, map(float, row), strict=True)) | {"bias": 1.0} for row in x]

    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    trainer.set_params({"c2": 0.1, "feature.possible_transitions": True, "feature.possible_states": True})
    for i in range(8):
        x = music(40, seed=i)
        trainer.append(items(x), [str(cells[k]) for k in np.digitize(x[:, 0] + x[:, 1], [-2, -1, 0, 1, 2])])
    trainer.train(str(tmp_path / "crf"))
    tagger = pycrfsuite.Tagger()
    tagger.open(str(tmp_path / "crf"))

    source, target = near_pairs(None)
    unary, pairs = np.zeros((F, CELLS)), np.zeros((CELLS, CELLS))
    bias = np.full(CELLS, -1e4)  # crfsuite knows only the cells that it was shown
    for (name, cell), weight in tagger.info().state_features.items():
        if name == "bias":
            bias[int(cell)] = weight
        else:
            unary[names.index(name), int(cell)] = weight
    for (before, after), weight in tagger.info().transitions.items():
        pairs[int(before), int(after)] = weight
    model = CRF(np.zeros(F), np.ones(F), unary, bias, np.zeros(CELLS), source, target, pairs[source, target])

    x = music(25, seed=99)
    assert np.abs(x).max() < LIMIT
    tagger.set(items(x))
    path = rng.choice(cells, (3, 25))
    expected = [np.log(tagger.probability([str(y) for y in row])) for row in path]
    # crfsuite prints its weights with six decimals.
    np.testing.assert_allclose(path_log_likelihood(model, x, path), expected, atol=1e-4)
    marginals = np.array([[tagger.marginal(str(c), t) for c in cells] for t in range(25)])
    np.testing.assert_allclose(model.smooth(x)[:, cells], marginals, atol=2e-6)


def test_filter_is_the_fold_of_step_and_a_reset_repeats_it() -> None:
    model, x = chain(), music(40)
    whole = model.filter(x)

    def fold(state: Any) -> tuple[Any, NDArray[np.float64]]:
        rows = []
        for row in x:
            state, log_heatmap = model.step(state, row)
            rows.append(np.exp(log_heatmap))
        return state, np.array(rows)

    end, streamed = fold(model.init())
    np.testing.assert_array_equal(streamed, whole)
    np.testing.assert_array_equal(fold(model.init())[1], whole)
    assert np.abs(fold(end)[1][0] - whole[0]).max() > 1e-4


def test_step_leaves_the_state_it_was_given() -> None:
    model = chain()
    state, _ = model.step(model.init(), music(1)[0])
    kept = state.reach.copy()
    model.step(state, music(1, 5)[0])
    np.testing.assert_array_equal(state.reach, kept)


def test_the_future_changes_smoothing_but_not_its_last_step_nor_the_filter() -> None:
    model, x = chain(), music(30)
    filtered, smoothed = model.filter(x), model.smooth(x)
    np.testing.assert_allclose(smoothed[-1], filtered[-1], atol=1e-14)
    assert np.abs(smoothed[10] - filtered[10]).max() > 1e-3
    np.testing.assert_array_equal(model.filter(x[:11]), filtered[:11])


def test_heatmaps_are_finite_and_sum_to_one_whatever_comes() -> None:
    model = chain(1.5)
    state = model.init()
    for row in 1e6 * music(200):
        state, log_heatmap = model.step(state, row)
        assert np.isfinite(log_heatmap).all()
        assert np.exp(log_heatmap).sum() == pytest.approx(1.0, abs=1e-12)


def test_mass_travels_no_further_than_the_radius() -> None:
    model = replace(chain(1.5), start=np.where(np.arange(CELLS) == CELLS // 2, 0.0, -1e4))
    away = distance(np.full(CELLS, CELLS // 2), np.arange(CELLS))
    filtered = model.filter(music(3))
    for t in range(3):
        occupied = filtered[t] > 1e-200
        assert away[occupied].max() <= 1.5 * t
        assert np.count_nonzero(occupied) == (2 * t + 1) ** 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": np.zeros(F)}, "scale of a chain must be positive"),
        ({"unary": np.zeros((F, 5))}, "unary of a chain has shape"),
        ({"bias": np.full(CELLS, np.nan)}, "bias of a chain has values that are not finite"),
        ({"pair_from": np.full(2077, CELLS)}, "pairs of a chain must join cells"),
        ({"pair_to": np.zeros(2077)}, "listed twice"),
        ({"pair_from": [0], "pair_to": [0], "pair_weight": [0.0]}, "leads nowhere"),
    ],
)
def test_weights_that_make_no_chain_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(chain(), **change)


def test_features_of_another_shape_are_refused() -> None:
    model = chain()
    with pytest.raises(ValueError, match="expects 7"):
        model.step(model.init(), np.zeros(F + 1))
    with pytest.raises(ValueError, match="radius"):
        near_pairs(-1)
