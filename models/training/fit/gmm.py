"""The acoustic mixture fitted by EM."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....kernels import gmm as kernels
from ...acoustic.gmm import GMM, Kind, _frames
from ...errors import DataError

NEGLIGIBLE = 1e-9  # responsibilities under this add nothing that float64 sums would keep
DEAD = 2.0  # a component that answers for fewer frames than this has lost its data
KMEANS_ITERATIONS = 10


def fit_gmm(
    x: NDArray[np.floating],
    K: int,
    *,
    kind: Kind = "full",
    seed: int = 0,
    iterations: int = 100,
    tol: float = 1e-4,
    variance_floor: float = 1e-3,
    subsample: int = 50_000,
    chunk: int = 8192,
    initial: GMM | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> GMM:
    """Fit a mixture of K Gaussians to frames by batch EM; the same arguments give the same mixture.

    Starts from `initial`, or from k-means on `subsample` frames drawn at random. Every EM step maximises the
    likelihood subject to the variance floor, so that the likelihood never falls, except after a component that had
    lost its frames (fewer than two) is re-seeded beside the heaviest one. Sums are float64.

    Parameters
    ----------
    x
        (n, D), float32 or float64, finite.
    K
        How many components.
    kind
        Of the covariances: ``"full"`` or ``"diag"``.
    seed
        Of the k-means start and of what is re-seeded.
    iterations
        At most.
    tol
        Stop when the mean log-likelihood per frame gains less.
    variance_floor
        No component's variance in any direction falls under this fraction of the data's own (with each feature scaled
        to unit variance over the data).
    subsample
        Frames that k-means sees.
    chunk
        Frames at a time: memory beyond x is chunk * K doubles or so.
    initial
        A mixture to start from.
    progress
        Called before each M-step with (iteration from 0, mean log-likelihood per frame of the current mixture).

    Raises
    ------
    DataError
        Fewer than K frames, or frames that are not finite.
    """
    x = _frames(x)
    if K < 1 or x.shape[0] < K:
        raise DataError(f"cannot fit {K} components to {x.shape[0]} frames: give more frames or fewer components")
    rng = np.random.default_rng(seed)
    space = _space(x, variance_floor, chunk)
    gmm = initial if initial is not None else _initial(x, K, kind, space, min(subsample, x.shape[0]), rng)
    previous = -np.inf
    for iteration in range(iterations):
        statistics, log_likelihood = _expect(gmm, x, space)
        if progress is not None:
            progress(iteration, log_likelihood)
        gmm, reseeded = _maximise(statistics, gmm.kind, space, rng)
        if log_likelihood - previous < tol and not reseeded:
            break
        previous = -np.inf if reseeded else log_likelihood
    return gmm


class _Space(NamedTuple):
    """Where the frames lie: moments are taken about mean (D,), the floor is relative to scale (D,) squared."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    floor: float
    chunk: int  # frames at a time


class _Statistics(NamedTuple):
    occupancy: NDArray[np.float64]  # (K,), in frames
    first: NDArray[np.float64]  # (K, D), about the space's mean
    second: NDArray[np.float64]  # (K, D, D), or (K, D) for kind "diag"


def _chunks(n: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _space(x: NDArray[np.floating], floor: float, chunk: int) -> _Space:
    mean = x.mean(axis=0, dtype=np.float64)
    variance = sum(np.square(x[c] - mean).sum(axis=0) for c in _chunks(x.shape[0], chunk)) / x.shape[0]
    if not np.isfinite(variance).all():
        raise DataError("some feature frames are not finite: clean them before fitting")
    return _Space(mean, np.where(variance > 0, np.sqrt(variance), 1.0), floor, chunk)


def _expect(gmm: GMM, x: NDArray[np.floating], space: _Space) -> tuple[_Statistics, float]:
    statistics = _empty_statistics(gmm.components, gmm.dimensions, gmm.kind)
    log_likelihood = 0.0
    for chunk in _chunks(x.shape[0], space.chunk):
        responsibilities = gmm.log_joint(x[chunk])
        log_evidence = np.empty(responsibilities.shape[0])
        kernels.posteriors(responsibilities, responsibilities, log_evidence)
        log_likelihood += log_evidence.sum()
        _accumulate(statistics, x[chunk], responsibilities, space)
    return statistics, float(log_likelihood / x.shape[0])


def _empty_statistics(K: int, D: int, kind: Kind) -> _Statistics:
    return _Statistics(np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D) if kind == "full" else (K, D)))


def _accumulate(
    statistics: _Statistics, x: NDArray[np.floating], responsibilities: NDArray[np.float64], space: _Space
) -> None:
    if statistics.second.ndim == 3:
        kernels.add_statistics(x, responsibilities, space.mean, NEGLIGIBLE, *statistics)
        return
    centred = x - space.mean
    statistics.occupancy[:] += responsibilities.sum(axis=0)
    statistics.first[:] += responsibilities.T @ centred
    statistics.second[:] += responsibilities.T @ np.square(centred)


def _maximise(statistics: _Statistics, kind: Kind, space: _Space, rng: np.random.Generator) -> tuple[GMM, bool]:
    """The M-step, and whether a dead component had to be re-seeded."""
    count = np.maximum(statistics.occupancy, 1e-300)
    weights = count / count.sum()
    offsets = statistics.first / count[:, None]
    if kind == "full":
        covariances = statistics.second / count[:, None, None] - offsets[:, :, None] * offsets[:, None, :]
    else:
        covariances = statistics.second / count[:, None] - np.square(offsets)
    dead = np.flatnonzero(statistics.occupancy < DEAD)
    covariances = _floored(covariances, kind, space)
    for k in dead:
        heaviest = int(weights.argmax())
        deviation = np.sqrt(np.diagonal(covariances[heaviest]) if kind == "full" else covariances[heaviest])
        offsets[k] = offsets[heaviest] + deviation * rng.standard_normal(deviation.size)
        covariances[k] = covariances[heaviest]
        weights[k] = weights[heaviest] = weights[heaviest] / 2
    return GMM(weights, space.mean + offsets, covariances, kind), dead.size > 0


def _floored(covariances: NDArray[np.float64], kind: Kind, space: _Space) -> NDArray[np.float64]:
    """The covariances, no variance in any direction of the scaled space under the floor.

    Raising the eigenvalues that are too small is the exact maximum of the likelihood under this constraint, which is
    why EM stays monotone.
    """
    if kind == "diag":
        return np.maximum(covariances, space.floor * np.square(space.scale))
    unit = np.outer(space.scale, space.scale)
    values, vectors = np.linalg.eigh(covariances / unit)
    low = values[:, 0] < space.floor  # eigh sorts; the rest are left as they are, to the last bit
    raised = np.maximum(values[low], space.floor)
    out = covariances.copy()
    out[low] = np.einsum("kij,kj,klj->kil", vectors[low], raised, vectors[low]) * unit
    return out


def _initial(
    x: NDArray[np.floating], K: int, kind: Kind, space: _Space, subsample: int, rng: np.random.Generator
) -> GMM:
    """k-means++ and a few k-means steps in the scaled space, then one M-step from the hard assignment."""
    from scipy.cluster.vq import kmeans2  # 7 MB and a tenth of a second that listening has no use for

    subsample = max(subsample, K)
    drawn = x[np.sort(rng.choice(x.shape[0], subsample, replace=False))]
    scaled = (drawn - space.mean) / space.scale
    with warnings.catch_warnings():  # of empty clusters: they are re-seeded below
        warnings.simplefilter("ignore", UserWarning)
        _, label = kmeans2(scaled, _seeds(scaled, K, rng), iter=KMEANS_ITERATIONS, minit="matrix", missing="warn")
    statistics = _empty_statistics(K, x.shape[1], kind)
    for chunk in _chunks(subsample, space.chunk):
        assigned = np.zeros((label[chunk].size, K))
        assigned[np.arange(label[chunk].size), label[chunk]] = 1.0
        _accumulate(statistics, drawn[chunk], assigned, space)
    return _maximise(statistics, kind, space, rng)[0]


def _seeds(x: NDArray[np.float64], K: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """k-means++ (Arthur & Vassilvitskii 2007): each seed drawn with probability ~ squared distance to the nearest.

    Not scipy's own: that one measures all distances afresh for each seed, K times the work.
    """
    norms = np.square(x).sum(axis=1)
    chosen = [int(rng.integers(x.shape[0]))]
    nearest = np.full(x.shape[0], np.inf)
    while len(chosen) < K:
        seed = x[chosen[-1]]
        nearest = np.minimum(nearest, np.maximum(norms - 2 * (x @ seed) + seed @ seed, 0.0))
        total = nearest.sum()
        # All frames alike: any will do, and the dead components are re-seeded later.
        chosen.append(int(rng.choice(x.shape[0], p=nearest / total if total > 0 else None)))
    return x[chosen]
