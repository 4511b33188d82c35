"""The mixture kernels against slow NumPy twins."""

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from valaro.kernels import gmm

F64 = NDArray[np.float64]
N, D, K = 23, 7, 5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def random_covariances(rng: np.random.Generator) -> F64:
    roots = rng.normal(size=(K, D, D))
    return roots @ roots.transpose(0, 2, 1) + 0.5 * np.eye(D)


def packed(covariances: F64) -> tuple[F64, F64]:
    """Upper precision Cholesky factors, column by column and component last, and the log normalisers."""
    upper = np.stack([np.linalg.inv(np.linalg.cholesky(c)).T for c in covariances])
    columns = [upper[:, : j + 1, j] for j in range(D)]
    logs = np.log(np.diagonal(upper, axis1=1, axis2=2)).sum(axis=1) - D / 2 * np.log(2 * np.pi)
    return np.ascontiguousarray(np.concatenate(columns, axis=1).T), logs


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_log_densities_full(rng: np.random.Generator, dtype: DTypeLike, rtol: float) -> None:
    x, means, covariances = rng.normal(size=(N, D)), rng.normal(size=(K, D)), random_covariances(rng)
    factors, constants = packed(covariances)
    out = np.full((N, K), np.nan)
    frames, means_last = x.astype(dtype), np.ascontiguousarray(means.T.astype(dtype))
    gmm.log_densities_full(frames, means_last, factors.astype(dtype), constants, out)
    expected = np.stack([multivariate_normal(m, c).logpdf(x) for m, c in zip(means, covariances, strict=True)], axis=1)
    np.testing.assert_allclose(out, expected, rtol=rtol)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_log_densities_diag(rng: np.random.Generator, dtype: DTypeLike, rtol: float) -> None:
    x, means, deviations = rng.normal(size=(N, D)), rng.normal(size=(K, D)), rng.uniform(0.5, 2, (K, D))
    constants = -np.log(deviations).sum(axis=1) - D / 2 * np.log(2 * np.pi)
    out = np.full((N, K), np.nan)
    means_last, factors = (np.ascontiguousarray(a.T.astype(dtype)) for a in (means, 1 / deviations))
    gmm.log_densities_diag(x.astype(dtype), means_last, factors, constants, out)
    expected = np.stack(
        [multivariate_normal(m, np.diag(s**2)).logpdf(x) for m, s in zip(means, deviations, strict=True)], axis=1
    )
    np.testing.assert_allclose(out, expected, rtol=rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_frame_does_not_feel_its_neighbours(rng: np.random.Generator, dtype: DTypeLike) -> None:
    x, means = rng.normal(size=(N, D)).astype(dtype), rng.normal(size=(D, K)).astype(dtype)
    factors, constants = packed(random_covariances(rng))
    whole, alone = np.empty((N, K)), np.empty((N, K))
    gmm.log_densities_full(x, means, factors.astype(dtype), constants, whole)
    for t in range(N):
        gmm.log_densities_full(x[t : t + 1], means, factors.astype(dtype), constants, alone[t : t + 1])
    np.testing.assert_array_equal(alone, whole)


def test_posteriors_by_log_sum_exp(rng: np.random.Generator) -> None:
    joint = rng.normal(size=(N, K)) * 300 - 2000  # exp of these would all be 0
    joint[0, :2] = -np.inf
    out, evidence = np.empty((N, K)), np.empty(N)
    gmm.posteriors(joint, out, evidence)
    np.testing.assert_allclose(evidence, logsumexp(joint, axis=1), rtol=1e-14)
    np.testing.assert_allclose(out, np.exp(joint - logsumexp(joint, axis=1, keepdims=True)), rtol=1e-10, atol=1e-300)
    gmm.posteriors(joint, joint, evidence)
    np.testing.assert_array_equal(joint, out)


def test_posteriors_of_an_impossible_frame_are_uniform() -> None:
    joint, out, evidence = np.full((1, K), -np.inf), np.empty((1, K)), np.empty(1)
    gmm.posteriors(joint, out, evidence)
    np.testing.assert_array_equal(out, 1 / K)
    assert evidence[0] == -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics(rng: np.random.Generator, dtype: DTypeLike) -> None:
    x, origin, r = rng.normal(size=(N, D)).astype(dtype), rng.normal(size=D), rng.dirichlet(np.ones(K) / 3, N)
    count, first, second = rng.random(K), rng.random((K, D)), rng.random((K, D, D))
    before = [a.copy() for a in (count, first, second)]
    gmm.add_statistics(x, r, origin, 0.01, count, first, second)
    kept, centred = np.where(r < 0.01, 0, r), x - origin
    assert (kept == 0).any()
    np.testing.assert_allclose(count, before[0] + kept.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(first, before[1] + kept.T @ centred, rtol=1e-12, atol=1e-12)
    products = np.einsum("nk,ni,nj->kij", kept, centred, centred)
    np.testing.assert_allclose(second, before[2] + products, rtol=1e-12, atol=1e-12)


def test_forgetting_is_the_recursion(rng: np.random.Generator) -> None:
    posteriors, weights = rng.dirichlet(np.ones(K), N), rng.random(N)
    mass, total = rng.random(K), np.array([3.0])
    expected_mass, expected_total = mass.copy(), total.copy()
    for p, w in zip(posteriors, weights, strict=True):
        expected_mass = 0.9 * expected_mass + w * p
        expected_total = 0.9 * expected_total + w
    gmm.add_forgetting(posteriors, weights, 0.9, mass, total)
    np.testing.assert_allclose(mass, expected_mass, rtol=1e-14)
    np.testing.assert_allclose(total, expected_total, rtol=1e-14)


def test_forgetting_ends_in_exact_zeros() -> None:
    mass, total = np.full(K, 0.2), np.ones(1)
    gmm.add_forgetting(np.zeros((200, K)), np.zeros(200), 0.5, mass, total)
    assert not mass.any()
    assert total[0] == 0


def test_plane_statistics(rng: np.random.Generator) -> None:
    theta, rows = rng.dirichlet(np.ones(K), 4), rng.integers(4, size=N)
    theta[0, 1] = 0.0
    points, weights, means = rng.uniform(-1, 1, (N, 2)), rng.random(N), rng.uniform(-1, 1, (K, 2))
    roots = rng.normal(size=(K, 2, 2))
    covariances = roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(2)
    precisions = np.asarray(np.linalg.inv(covariances), dtype=np.float64)
    constants = -np.log(2 * np.pi) - np.log(np.linalg.det(covariances)) / 2
    quadratics = np.column_stack([precisions[:, 0, 0], precisions[:, 0, 1], precisions[:, 1, 1], constants])
    out, expected, likelihood = np.ones((K, 6)), np.ones((K, 6)), 0.0
    for (v, a), row, w in zip(points, rows, weights, strict=True):
        joint = np.array([theta[row, k] * multivariate_normal(means[k], covariances[k]).pdf([v, a]) for k in range(K)])
        likelihood += w * np.log(joint.sum())
        expected += np.outer(w * joint / joint.sum(), [1, v, a, v * v, v * a, a * a])
    with np.errstate(divide="ignore"):
        log_theta = np.log(theta)
    result = gmm.add_plane_statistics(log_theta, rows, points, weights, means, quadratics, out)
    assert result == pytest.approx(likelihood, rel=1e-12)
    np.testing.assert_allclose(out, expected, rtol=1e-10)


def test_read_only_input_is_welcome(rng: np.random.Generator) -> None:
    joint, out, evidence = rng.normal(size=(N, K)), np.empty((N, K)), np.empty(N)
    joint.flags.writeable = False
    gmm.posteriors(joint, out, evidence)
    np.testing.assert_allclose(out.sum(axis=1), 1)
