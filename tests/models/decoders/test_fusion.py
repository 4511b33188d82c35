"""The log-linear pool: by hand, by loops, its limits, and what is no pool."""

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models.decoders.fusion import Pool, alone, normalised
from valaro.models.grid import CELLS, SIDE

F64 = NDArray[np.float64]
THETA = np.array([0.5, 0.3, 0.2])
KINDS = np.array([0, 1, 0])
ONE_KIND = np.zeros(3, dtype=np.int64)
NO_BIAS = np.zeros((2, CELLS))


def log_heatmaps(decoders: int, *emissions: int, seed: int = 0) -> F64:
    return normalised(np.random.default_rng(seed).normal(0, 2, (decoders, *emissions, CELLS)))


def in_two_cells(first: float) -> F64:
    """Log heatmap: ``first`` in cell 0, the rest in cell 1, next to nothing elsewhere."""
    heatmap = np.full(CELLS, 1e-200)
    heatmap[:2] = first, 1 - first
    return np.log(heatmap)


def test_two_decoders_by_hand() -> None:
    """.8 and .5 in a cell: the odds 4 and 1 to the powers of 1/2 and 2 are 2, so 2/3; with odds of 3 as bias, 6/7."""
    both = np.stack([in_two_cells(0.8), in_two_cells(0.5)])
    bias = np.zeros((1, CELLS))
    pool = Pool(("aeg", "crf"), ONE_KIND, np.array([[0.5, 2.0]]), bias)
    np.testing.assert_allclose(pool(both, np.ones(1))[:2], [2 / 3, 1 / 3], rtol=1e-12)
    bias = bias.copy()
    bias[0, 0] = np.log(3)
    biased = Pool(("aeg", "crf"), ONE_KIND, np.array([[0.5, 2.0]]), bias)
    np.testing.assert_allclose(biased(both, np.ones(1))[:2], [6 / 7, 1 / 7], rtol=1e-12)


def test_kinds_mix_by_their_shares() -> None:
    """The first kind hears only the first decoder, the second only the other: shares .7 and .3 of each."""
    both = np.stack([in_two_cells(0.8), in_two_cells(0.5)])
    pool = Pool(("aeg", "crf"), KINDS, np.eye(2), NO_BIAS)
    shares = pool.shares(THETA)
    np.testing.assert_allclose(shares, [0.7, 0.3])
    np.testing.assert_allclose(pool(both, shares)[0], 0.7 * 0.8 + 0.3 * 0.5)


def test_a_kind_that_no_component_is_of_has_no_share() -> None:
    pool = Pool(("aeg",), ONE_KIND, np.ones((2, 1)), NO_BIAS)
    np.testing.assert_array_equal(pool.shares(THETA), [1.0, 0.0])


def test_many_emissions_at_once_are_each_by_itself() -> None:
    rng = np.random.default_rng(2)
    logs, theta = log_heatmaps(3, 5), rng.dirichlet(np.ones(3), 5)
    exponents, bias = rng.uniform(0, 2, (2, 3)), rng.normal(size=(2, CELLS))
    pool = Pool(("a", "b", "c"), KINDS, exponents, bias)
    together = pool(logs, pool.shares(theta))
    assert together.shape == (5, CELLS)
    for t in range(5):
        expected = np.zeros(CELLS)
        for g in range(2):
            scores = np.array(
                [bias[g, cell] + sum(exponents[g, d] * logs[d, t, cell] for d in range(3)) for cell in range(CELLS)]
            )
            share = sum(theta[t, k] for k in range(3) if KINDS[k] == g)
            expected += share * np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(together[t], expected, rtol=1e-10)
        np.testing.assert_allclose(pool(logs[:, t], pool.shares(theta[t])), together[t], rtol=1e-12)
    assert together.min() > 0
    np.testing.assert_allclose(together.sum(axis=1), 1.0)


def test_alone_changes_nothing() -> None:
    pool = alone("crf", 3)
    logs = log_heatmaps(1, 4)
    assert pool.names == ("crf",)
    np.testing.assert_allclose(pool(logs, pool.shares(np.tile(THETA, (4, 1)))), np.exp(logs[0]), rtol=1e-12)


def test_a_kind_s_blur_spreads_what_its_decoders_say() -> None:
    """Of one cell in the corner: a Gaussian of the distance along each axis, none of it over the edge."""
    corner = np.full((1, CELLS), -690.0)
    corner[0, 0] = 0.0
    pool = Pool(("a",), KINDS, np.ones((2, 1)), NO_BIAS, np.array([1.5, 0.0]))
    away = np.exp(-0.5 * (np.arange(SIDE) / 1.5) ** 2)
    expected = np.outer(away, away).ravel() / away.sum() ** 2
    np.testing.assert_allclose(pool(corner, np.array([1.0, 0.0])), expected, atol=1e-12)
    np.testing.assert_allclose(pool(corner, np.array([0.0, 1.0])), np.eye(CELLS)[0], atol=1e-12)
    np.testing.assert_allclose(pool(corner, np.array([0.4, 0.6])), 0.4 * expected + 0.6 * np.eye(CELLS)[0], atol=1e-12)


@pytest.mark.parametrize("blur", [[1.0], [1.0, -0.1], [1.0, np.nan], [1.0, 12.0], [[1.0, 1.0]]])
def test_a_blur_that_cannot_be_is_refused(blur: list[float]) -> None:
    with pytest.raises(ValueError, match="blur"):
        Pool(("a",), KINDS, np.ones((2, 1)), NO_BIAS, np.array(blur))


def test_exponents_of_zero_hear_nothing_and_sharp_decoders_overflow_nothing() -> None:
    logs = log_heatmaps(2)
    deaf = Pool(("a", "b"), ONE_KIND, np.zeros((1, 2)), np.zeros((1, CELLS)))
    np.testing.assert_allclose(deaf(logs, np.ones(1)), 1 / CELLS)
    sure = np.full((1, CELLS), -690.0)  # 1e-300, the least that decoders say
    sure[0, 60] = 0.0
    sharp = Pool(("a",), ONE_KIND, np.array([[1e3]]), np.zeros((1, CELLS)))
    np.testing.assert_allclose(sharp(sure, np.ones(1)), np.eye(CELLS)[60])


def test_normalised_scores_are_log_heatmaps_however_large() -> None:
    scores = np.random.default_rng(1).normal(0, 300, (3, CELLS))
    np.testing.assert_allclose(np.exp(normalised(scores)).sum(axis=-1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(normalised(scores + 1e6), normalised(scores), atol=1e-8)


@pytest.mark.parametrize(
    ("names", "kinds", "exponents", "bias", "told"),
    [
        ((), KINDS, np.ones((2, 0)), NO_BIAS, "a pool of"),
        (("a",), KINDS, np.ones((2, 2)), NO_BIAS, "a pool of"),
        (("a",), KINDS, np.ones(2), NO_BIAS, "a pool of"),
        (("a",), KINDS, np.ones((2, 1)), NO_BIAS[:1], "a pool of"),
        (("a",), KINDS, np.ones((2, 1)), NO_BIAS[:, 1:], "a pool of"),
        (("a",), KINDS + 1, np.ones((2, 1)), NO_BIAS, "kinds"),
        (("a",), KINDS - 1, np.ones((2, 1)), NO_BIAS, "kinds"),
        (("a",), KINDS[None], np.ones((2, 1)), NO_BIAS, "kinds"),
        (("a",), KINDS, -np.ones((2, 1)), NO_BIAS, "0 or more"),
        (("a",), KINDS, np.full((2, 1), np.nan), NO_BIAS, "0 or more"),
        (("a",), KINDS, np.full((2, 1), np.inf), NO_BIAS, "0 or more"),
        (("a",), KINDS, np.ones((2, 1)), np.full((2, CELLS), np.nan), "finite"),
    ],
)
def test_what_is_no_pool_is_refused(names: tuple[str, ...], kinds: F64, exponents: F64, bias: F64, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        Pool(names, kinds.astype(np.int64), exponents, bias)
    assert "\n" not in str(caught.value)
