"""The acoustic mixture against scikit-learn."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from valaro.models.acoustic.gmm import GMM, Kind
from valaro.models.errors import DataError
from valaro.models.training.fit.gmm import fit_gmm

F64 = NDArray[np.float64]
KINDS: list[Kind] = ["full", "diag"]


@pytest.fixture(scope="module")
def frames() -> F64:
    """Six clusters of 12 correlated features that overlap, well away from the origin."""
    rng = np.random.default_rng(5)
    parts = [rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12)) * 0.4 + rng.normal(size=12) * 0.5 for _ in range(6)]
    return np.concatenate(parts) + 30.0


def sklearn_step(x: F64, start: GMM) -> Any:
    """scikit-learn's mixture after one EM step from the same start."""
    precisions = np.linalg.inv(start.covariances) if start.kind == "full" else 1 / start.covariances
    mixture = GaussianMixture(
        start.components,
        covariance_type=start.kind,
        max_iter=1,
        tol=0.0,
        reg_covar=0.0,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=precisions,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x)


def sklearn_of(gmm: GMM) -> Any:
    """scikit-learn's mixture with these very parameters."""
    mixture: Any = GaussianMixture(gmm.components, covariance_type=gmm.kind)
    mixture.weights_, mixture.means_, mixture.covariances_ = gmm.weights, gmm.means, gmm.covariances
    mixture.precisions_cholesky_ = gmm.precision_cholesky
    return mixture


@pytest.mark.parametrize("kind", KINDS)
def test_posteriors_and_likelihood_are_scikit_learns(frames: F64, kind: Kind) -> None:
    gmm = fit_gmm(frames, 8, kind=kind, seed=1, iterations=4)
    reference = sklearn_of(gmm)
    np.testing.assert_allclose(logsumexp(gmm.log_joint(frames), axis=1), reference.score_samples(frames), rtol=1e-10)
    np.testing.assert_allclose(gmm.posteriors(frames), reference.predict_proba(frames), rtol=1e-10, atol=1e-14)


def test_precision_cholesky_is_stored_as_scikit_learn_stores_it(frames: F64) -> None:
    gmm = fit_gmm(frames, 3, seed=1, iterations=2)
    U = gmm.precision_cholesky
    np.testing.assert_array_equal(U, np.triu(U))
    np.testing.assert_allclose(U @ U.transpose(0, 2, 1) @ gmm.covariances, np.tile(np.eye(12), (3, 1, 1)), atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_keeps_its_stated_tolerance(frames: F64, kind: Kind) -> None:
    unit = (frames - frames.mean(axis=0)) / frames.std(axis=0)
    gmm = fit_gmm(unit, 8, kind=kind, seed=1, iterations=10)
    if kind == "full":
        assert np.linalg.cond(gmm.covariances).max() <= 1e4
    single = gmm.posteriors(unit.astype(np.float32))
    np.testing.assert_allclose(single, gmm.posteriors(unit), rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_one_em_step_is_scikit_learns(frames: F64, kind: Kind) -> None:
    start = fit_gmm(frames, 6, kind=kind, seed=2, iterations=1, variance_floor=1e-6)
    stepped = fit_gmm(frames, 6, kind=kind, iterations=1, initial=start, variance_floor=1e-6)
    reference = sklearn_step(frames, start)
    np.testing.assert_allclose(stepped.weights, reference.weights_, rtol=1e-6)
    np.testing.assert_allclose(stepped.means, reference.means_, rtol=1e-8)
    np.testing.assert_allclose(stepped.covariances, reference.covariances_, rtol=1e-5, atol=1e-7)
    assert np.abs(stepped.means - start.means).max() > 1e-3


def test_posteriors_use_the_priors_and_eq_2_is_equal_weights(frames: F64) -> None:
    gmm = fit_gmm(frames, 3, seed=1, iterations=2)
    heavy = GMM(np.array([0.98, 0.01, 0.01]), gmm.means, gmm.covariances)
    printed = GMM(np.full(3, 1 / 3), gmm.means, gmm.covariances)
    densities = np.exp(printed.log_joint(frames))
    np.testing.assert_allclose(
        printed.posteriors(frames), densities / densities.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-300
    )
    odds = heavy.log_joint(frames) - printed.log_joint(frames)
    np.testing.assert_allclose(odds[:, 0] - odds[:, 1], np.log(98), rtol=1e-9)


def test_posteriors_into_a_given_array(frames: F64) -> None:
    gmm = fit_gmm(frames, 3, seed=1, iterations=1)
    out = np.full((frames.shape[0], 3), np.nan)
    assert gmm.posteriors(frames, out=out) is out
    np.testing.assert_array_equal(out, gmm.posteriors(frames))


def test_a_frame_out_of_this_world_gives_a_finite_posterior() -> None:
    gmm = GMM(np.array([0.3, 0.7]), np.zeros((2, 2)), np.tile(np.eye(2), (2, 1, 1)))
    np.testing.assert_array_equal(gmm.posteriors(np.full((1, 2), 1e30, dtype=np.float32)), [[0.5, 0.5]])


@pytest.mark.parametrize("kind", KINDS)
def test_likelihood_never_falls(frames: F64, kind: Kind) -> None:
    seen: list[float] = []
    fit_gmm(frames, 10, kind=kind, seed=3, tol=0.0, iterations=25, progress=lambda _, value: seen.append(value))
    assert len(seen) > 5
    assert np.diff(seen).min() > -1e-9
    assert seen[-1] > seen[0] + 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_variance_floor_floors(frames: F64, kind: Kind) -> None:
    flat = frames.copy()
    flat[::2, 3], flat[1::2, 3] = 10.0, 50.0  # two atoms, and components would shrink onto them
    gmm = fit_gmm(flat, 10, kind=kind, seed=3, iterations=15, variance_floor=0.05)
    unit = flat.std(axis=0)
    if kind == "full":
        values = np.linalg.eigvalsh(gmm.covariances / np.outer(unit, unit))
    else:
        values = gmm.covariances / unit**2
    assert values.min() == pytest.approx(0.05, rel=1e-6)


def test_same_seed_same_mixture_other_seed_other_mixture(frames: F64) -> None:
    one, two, other = (fit_gmm(frames, 6, seed=s, iterations=3) for s in (4, 4, 5))
    np.testing.assert_array_equal(one.means, two.means)
    assert np.abs(one.means - other.means).max() > 1e-3


def test_chunks_do_not_matter(frames: F64) -> None:
    start = fit_gmm(frames, 4, seed=0, iterations=1)
    whole = fit_gmm(frames, 4, initial=start, iterations=2)
    chunked = fit_gmm(frames, 4, initial=start, iterations=2, chunk=100)
    np.testing.assert_allclose(chunked.covariances, whole.covariances, rtol=1e-9, atol=1e-10)


def test_dead_components_are_re_seeded(frames: F64) -> None:
    start = fit_gmm(frames, 4, seed=0, iterations=1)
    means = start.means.copy()
    means[2] += 1e4
    lost = GMM(start.weights, means, start.covariances)
    fitted = fit_gmm(frames, 4, initial=lost, iterations=8)
    assert fitted.weights.min() > 0.01
    assert np.abs(fitted.means - frames.mean(axis=0)).max() < 10 * frames.std()


def test_frames_all_alike_still_make_a_mixture() -> None:
    gmm = fit_gmm(np.ones((50, 3)), 4, seed=0, iterations=5)
    assert np.isfinite(gmm.posteriors(np.ones((1, 3)))).all()


def test_bad_frames_are_refused(frames: F64) -> None:
    with pytest.raises(DataError, match="more frames"):
        fit_gmm(frames[:3], 4)
    spoilt = frames.copy()
    spoilt[7, 2] = np.nan
    with pytest.raises(DataError, match="not finite"):
        fit_gmm(spoilt, 4)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="do not make a mixture"):
        GMM(np.ones(2) / 2, np.zeros((2, 3)), np.ones((2, 3)), kind="full")
    with pytest.raises(ValueError, match="features"):
        GMM(np.ones(2) / 2, np.zeros((2, 3)), np.ones((2, 3)), kind="diag").posteriors(np.zeros((1, 4)))
