"""The chain's kernels against the enumeration of every path, and their gradient against finite differences."""

from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.kernels.crf import backward, filter_gradient, filter_step, forward

F64 = NDArray[np.float64]
CELLS, STEPS = 4, 5


class Chain:
    """A small chain with some pairs left out."""

    def __init__(self, seed: int = 0, steps: int = STEPS) -> None:
        rng = np.random.default_rng(seed)
        self.potentials = rng.normal(0, 2, (steps, CELLS))
        self.start = rng.normal(size=CELLS)
        allowed = np.eye(CELLS, dtype=bool) | (rng.random((CELLS, CELLS)) < 0.5)
        self.source, self.target = (x.astype(np.int64) for x in np.nonzero(allowed))
        self.weight = rng.normal(size=self.source.size)

    def forward(self) -> tuple[F64, F64, float]:
        steps = len(self.potentials)
        reach, out = np.full((steps + 1, CELLS), np.nan), np.full((steps, CELLS), np.nan)
        reach[0] = np.exp(self.start)
        log_z = forward(self.potentials, self.source, self.target, np.exp(self.weight), reach, out)
        return reach, out, log_z


def slow_paths(chain: Chain, steps: int) -> list[tuple[tuple[int, ...], float]]:
    """Every path of the first steps with its unnormalised weight."""
    pairs = np.full((CELLS, CELLS), -np.inf)
    pairs[chain.source, chain.target] = chain.weight
    out = []
    for path in product(range(CELLS), repeat=steps):
        score = chain.start[path[0]] + sum(chain.potentials[t, y] for t, y in enumerate(path))
        score += sum(pairs[a, b] for a, b in pairwise(path))
        out.append((path, float(np.exp(score))))
    return out


def slow_marginal(chain: Chain, t: int, steps: int) -> F64:
    mass = np.zeros(CELLS)
    for path, weight in slow_paths(chain, steps):
        mass[path[t]] += weight
    return mass / mass.sum()


@pytest.mark.parametrize("seed", range(4))
def test_forward_is_the_sum_over_all_paths(seed: int) -> None:
    chain = Chain(seed)
    _, filtered, log_z = chain.forward()
    assert log_z == pytest.approx(np.log(sum(weight for _, weight in slow_paths(chain, STEPS))), abs=1e-12)
    for t in range(STEPS):
        np.testing.assert_allclose(filtered[t], slow_marginal(chain, t, t + 1), atol=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_backward_is_the_marginals_over_all_paths(seed: int) -> None:
    chain = Chain(seed)
    _, out, _ = chain.forward()
    counts = np.ones(chain.source.size)
    backward(chain.potentials, chain.source, chain.target, np.exp(chain.weight), 3.0, out, counts)
    used, total = np.zeros((CELLS, CELLS)), 0.0
    for path, weight in slow_paths(chain, STEPS):
        total += weight
        np.add.at(used, (path[:-1], path[1:]), weight)
    for t in range(STEPS):
        np.testing.assert_allclose(out[t], slow_marginal(chain, t, STEPS), atol=1e-13)
    np.testing.assert_allclose(counts, 1.0 + 3.0 * used[chain.source, chain.target] / total, atol=1e-12)


def test_a_step_is_a_row_of_forward() -> None:
    chain = Chain(5)
    reach, filtered, log_z = chain.forward()
    out, onward, total = np.empty(CELLS), np.empty(CELLS), 0.0
    message = np.exp(chain.start)
    for t in range(STEPS):
        given = message.copy()
        total += filter_step(
            chain.potentials[t], message, chain.source, chain.target, np.exp(chain.weight), out, onward
        )
        np.testing.assert_array_equal(message, given)
        np.testing.assert_allclose(out, filtered[t], rtol=1e-13)
        np.testing.assert_allclose(onward, reach[t + 1], rtol=1e-13)
        message = onward.copy()
    assert total == pytest.approx(log_z, abs=1e-12)


def test_thousands_of_steps_with_huge_potentials_neither_overflow_nor_vanish() -> None:
    chain = Chain(1, steps=3000)
    chain.potentials *= 100.0
    _, out, log_z = chain.forward()
    backward(chain.potentials, chain.source, chain.target, np.exp(chain.weight), 1.0, out, np.zeros(chain.source.size))
    assert np.isfinite(log_z)
    np.testing.assert_allclose(out.sum(axis=1), 1.0, atol=1e-9)


def test_cells_that_are_ruled_out_leave_no_path_or_the_others() -> None:
    chain = Chain(2)
    chain.potentials[2, 1:] = -np.inf
    _, filtered, log_z = chain.forward()
    np.testing.assert_array_equal(filtered[2], [1, 0, 0, 0])
    assert np.isfinite(log_z)
    chain.source = chain.target = np.arange(CELLS, dtype=np.int64)
    chain.weight = np.zeros(CELLS)
    chain.potentials[3, 0] = -np.inf
    assert chain.forward()[2] == -np.inf


def test_gradient_of_the_filter_is_its_finite_difference() -> None:
    chain = Chain(3)
    weights = np.random.default_rng(9).random((STEPS, CELLS))

    def value() -> float:
        return float(np.sum(weights * np.log(chain.forward()[1])))

    reach, filtered, _ = chain.forward()
    out, counts = np.empty_like(filtered), np.zeros(chain.source.size)
    # The derivative of sum w log p in p is w / p, times p: w.
    filter_gradient(filtered, reach, weights, chain.source, chain.target, np.exp(chain.weight), out, counts)
    np.testing.assert_allclose(out, slow_gradient(value, chain.potentials), atol=1e-7)
    np.testing.assert_allclose(out[0], slow_gradient(value, chain.start), atol=1e-7)
    np.testing.assert_allclose(counts, slow_gradient(value, chain.weight), atol=1e-7)


def slow_gradient(value: Callable[[], float], at: F64, step: float = 1e-6) -> F64:
    out = np.empty_like(at)
    for index in np.ndindex(at.shape):
        kept = at[index]
        at[index] = kept + step
        above = value()
        at[index] = kept - step
        out[index] = (above - value()) / (2 * step)
        at[index] = kept
    return out
