"""The affective mixture fitted by EM (AEG Eqs. 5-8)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....kernels.gmm import add_plane_statistics
from ...decoders.aeg import AffectiveGMM
from ...errors import DataError
from ...grid import CELL_AROUSAL, CELL_VALENCE, CELL_WIDTH
from ..corpus.targets import Regions, WeightedPoints

SUBCELLS = 4  # nodes per side of a cell: 0.045 apart on the plane, closer than the smallest sigma


def fit_affective(
    theta: NDArray[np.floating],
    *,
    points: WeightedPoints | None = None,
    regions: Regions | None = None,
    mean_count: float = 10.0,
    covariance_count: float = 10.0,
    covariance_fraction: float = 0.5,
    sigma_floor: float = 0.05,
    iterations: int = 30,
    tol: float = 1e-6,
    initial: AffectiveGMM | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> AffectiveGMM:
    """Fit the affective Gaussians by EM (AEG Eqs. 4-8) to points, regions or both, each with its own weights.

    The likelihood is L = sum_i sum_j log sum_k theta_ik G_k(e_ij); the paper's Eq. 5 as printed misplaces the log,
    which belongs inside the sums over clips i and raters j. A region's term is log sum_k theta_ik sum_c target_c
    mass_k(c), with the mass by midpoint quadrature on 44 x 44 nodes; component and place inside the region are
    both latent. The M-step is Eqs. 7-8 with a conjugate prior, so that components with little data stay sane:

        mu_k ~ N(m0, Sigma_k / mean_count),  Sigma_k ~ inverse Wishart with mode covariance_fraction * S0 (joint mode)

    where m0, S0 are the mean and covariance of all evidence pooled, and the counts say how many raters the prior is
    worth. Counts of 0 give Eqs. 7-8 as printed. The objective (L plus the log prior, constants dropped) never falls.
    Deterministic: EM starts from `initial`, or from all components alike, when the responsibilities of the first
    step are theta itself.

    Parameters
    ----------
    theta
        (M, K), non-negative, no row all 0.
    sigma_floor
        Smallest standard deviation in any direction of the plane. The means stay inside the plane since the evidence
        does.
    tol
        Stop when the objective gains less than this per unit of evidence weight.
    progress
        Called before each M-step with (iteration from 0, objective of the current parameters).

    Raises
    ------
    DataError
        For evidence that is absent or outside its range.
    """
    theta = np.ascontiguousarray(theta, dtype=np.float64)
    _check(theta, points, regions)
    nodes = _Nodes(regions) if regions is not None else None
    prior = _Prior.pooled(points, nodes, mean_count, covariance_count, covariance_fraction, sigma_floor)
    affective = initial if initial is not None else prior.everywhere(theta.shape[1])
    with np.errstate(divide="ignore"):
        log_theta = np.log(theta)
    previous = -np.inf
    for iteration in range(iterations):
        statistics = np.zeros((theta.shape[1], 6))
        objective = prior.log_density(affective)
        if points is not None:
            objective += _expect_points(affective, log_theta, points, statistics)
        if nodes is not None:
            objective += nodes.expect(affective, theta, statistics)
        if progress is not None:
            progress(iteration, objective)
        affective = prior.maximise(statistics, affective)
        if objective - previous < tol * prior.evidence:
            break
        previous = objective
    return affective


def _check(theta: NDArray[np.float64], points: WeightedPoints | None, regions: Regions | None) -> None:
    if theta.ndim != 2 or not (np.isfinite(theta).all() and theta.min() >= 0 and theta.sum(axis=1).min() > 0):
        raise DataError("topic posteriors must be finite, non-negative and not all zero in any clip")
    present = [evidence for evidence in (points, regions) if evidence is not None]
    if sum(float(np.sum(evidence.weight)) for evidence in present) <= 0:
        raise DataError("no labels to fit the affective mixture to: give points or quadrants with positive weights")
    for evidence in present:
        if evidence.clip.size and not 0 <= evidence.clip.min() <= evidence.clip.max() < theta.shape[0]:
            raise DataError("a label belongs to a clip that has no topic posterior")
        if not (np.isfinite(evidence.weight).all() and evidence.weight.min(initial=0.0) >= 0):
            raise DataError("label weights must be finite and not negative")
    if points is not None and not np.abs(points.va).max(initial=0.0) <= 1:
        raise DataError("valence and arousal of a label must lie in [-1, 1]")
    if regions is not None and not (regions.targets.min() >= 0 and regions.targets.sum(axis=1).min() > 0):
        raise DataError("a region must hold some cell, and none by less than 0")


def _quadratics(affective: AffectiveGMM) -> NDArray[np.float64]:
    """(K, 4): P_vv, P_va, P_aa of each precision and the log normaliser."""
    S = affective.covariances
    determinant = S[:, 0, 0] * S[:, 1, 1] - S[:, 0, 1] ** 2
    precision = np.stack([S[:, 1, 1], -S[:, 0, 1], S[:, 0, 0]], axis=1) / determinant[:, None]
    return np.column_stack([precision, -np.log(2 * np.pi) - 0.5 * np.log(determinant)])


def _expect_points(
    affective: AffectiveGMM, log_theta: NDArray[np.float64], points: WeightedPoints, statistics: NDArray[np.float64]
) -> float:
    """Eq. 6 on every point: adds to statistics (K, 6), returns the weighted log-likelihood."""
    return add_plane_statistics(
        log_theta,
        np.ascontiguousarray(points.clip, dtype=np.intp),
        np.ascontiguousarray(points.va, dtype=np.float64),
        np.ascontiguousarray(points.weight, dtype=np.float64),
        affective.means,
        _quadratics(affective),
        statistics,
    )


def _monomials(v: NDArray[np.float64], a: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,), (n,) -> (n, 6): 1, v, a, v^2, v a, a^2, in the order of the sufficient statistics."""
    return np.stack([np.ones_like(v), v, a, v * v, v * a, a * a], axis=1)


class _Nodes:
    """The E-step of regions: the plane as 44 x 44 nodes, a node taking its cell's share of each target."""

    def __init__(self, regions: Regions) -> None:
        self.regions = regions
        step = CELL_WIDTH / SUBCELLS
        inside = (np.arange(SUBCELLS) + 0.5) * step - CELL_WIDTH / 2
        self.v = np.add.outer(CELL_VALENCE, np.tile(inside, SUBCELLS)).ravel()  # (121 * 16,), cell by cell
        self.a = np.add.outer(CELL_AROUSAL, np.repeat(inside, SUBCELLS)).ravel()
        self.area = step * step
        self.monomials = _monomials(self.v, self.a)
        self.shares = np.repeat(np.asarray(regions.targets, dtype=np.float64), SUBCELLS**2, axis=1)  # (R, nodes)

    def pooled(self) -> NDArray[np.float64]:
        """Statistics (6,) of the evidence as if every region were evenly filled."""
        even = (self.shares @ self.monomials) / self.shares.sum(axis=1, keepdims=True)
        weight = np.bincount(self.regions.target, self.regions.weight, minlength=even.shape[0])
        return weight @ even

    def expect(self, affective: AffectiveGMM, theta: NDArray[np.float64], statistics: NDArray[np.float64]) -> float:
        """Add the expected statistics to (K, 6), return the weighted log-likelihood."""
        Q = _quadratics(affective)
        dv = self.v - affective.means[:, :1]
        da = self.a - affective.means[:, 1:]
        distance = Q[:, :1] * dv * dv + 2 * Q[:, 1:2] * dv * da + Q[:, 2:3] * da * da
        density = self.area * np.exp(Q[:, 3:] - 0.5 * distance)  # (K, nodes)
        likelihood = 0.0
        for r, share in enumerate(self.shares):
            rows = np.flatnonzero(self.regions.target == r)
            moments = density @ (share[:, None] * self.monomials)  # (K, 6): of the component inside the region
            clip_theta, weight = theta[self.regions.clip[rows]], self.regions.weight[rows]
            # A component that reaches no node of the region leaves it to the others; if none does, nothing is learnt.
            evidence = np.maximum(clip_theta @ moments[:, 0], 1e-300)
            likelihood += float(weight @ np.log(evidence))
            statistics += ((weight / evidence) @ clip_theta)[:, None] * moments
        return likelihood


class _Prior(NamedTuple):
    """The conjugate prior of every component, and the floor under the covariances."""

    mean: NDArray[np.float64]  # m0 (2,)
    scatter: NDArray[np.float64]  # covariance_fraction * S0 (2, 2)
    mean_count: float
    covariance_count: float
    least_variance: float
    evidence: float  # total weight of the labels

    @classmethod
    def pooled(
        cls,
        points: WeightedPoints | None,
        nodes: _Nodes | None,
        mean_count: float,
        covariance_count: float,
        fraction: float,
        sigma_floor: float,
    ) -> "_Prior":
        total = np.zeros(6)
        if points is not None:
            total += points.weight @ _monomials(points.va[:, 0], points.va[:, 1])
        if nodes is not None:
            total += nodes.pooled()
        mean = total[1:3] / total[0]
        covariance = _symmetric(total[3:] / total[0]) - np.outer(mean, mean)
        return cls(mean, fraction * covariance, mean_count, covariance_count, sigma_floor**2, float(total[0]))

    def everywhere(self, K: int) -> AffectiveGMM:
        covariance = _floored(self.scatter[None], self.least_variance)
        return AffectiveGMM(np.tile(self.mean, (K, 1)), np.repeat(covariance, K, axis=0))

    def log_density(self, affective: AffectiveGMM) -> float:
        """Log prior of all components, constants dropped."""
        S, offsets = affective.covariances, affective.means - self.mean
        precision = np.linalg.inv(S)
        spread = np.linalg.slogdet(S)[1] + np.einsum("kij,ij->k", precision, self.scatter)
        shift = np.einsum("ki,kij,kj->k", offsets, precision, offsets)
        return float(-0.5 * np.sum(self.covariance_count * spread + self.mean_count * shift))

    def maximise(self, statistics: NDArray[np.float64], current: AffectiveGMM) -> AffectiveGMM:
        """Eqs. 7-8 with the prior; a component without evidence or prior stays as it is.

        Raising the eigenvalues under the floor is the exact constrained maximum, so the objective still cannot fall.
        """
        count, first = statistics[:, 0], statistics[:, 1:3]
        learning = count + min(self.mean_count, self.covariance_count) > 1e-12
        safe = np.maximum(count, 1e-300)
        average = first / safe[:, None]
        scatter = _symmetric(statistics[:, 3:]) - first[:, :, None] * average[:, None, :]
        offset = average - self.mean
        pull = self.mean_count * count / np.maximum(self.mean_count + count, 1e-300)
        scatter += pull[:, None, None] * offset[:, :, None] * offset[:, None, :]
        means = self.mean + (count / np.maximum(self.mean_count + count, 1e-300))[:, None] * offset
        total = np.maximum(self.covariance_count + count, 1e-300)[:, None, None]
        covariances = _floored((self.covariance_count * self.scatter + scatter) / total, self.least_variance)
        return AffectiveGMM(
            np.where(learning[:, None], np.clip(means, -1.0, 1.0), current.means),
            np.where(learning[:, None, None], covariances, current.covariances),
        )


def _symmetric(second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) of v^2, v a, a^2 -> (..., 2, 2)."""
    return second[..., [0, 1, 1, 2]].reshape(*second.shape[:-1], 2, 2)


def _floored(covariances: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariances)
    raised = np.einsum("kij,kj,klj->kil", vectors, np.maximum(values, least), vectors)
    return np.where((values[:, 0] < least)[:, None, None], raised, covariances)
