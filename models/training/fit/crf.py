"""Fitting the chain by its exact gradient: L-BFGS over paths of single raters and over labels that leave a choice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ....kernels import crf as kernels
from ...decoders.crf import CRF, LIMIT, near_pairs
from ...grid import CELLS, SIDE
from ..corpus.targets import path_shares
from ..recipe import CRFSettings, Objective

RIDGE = 1e-2  # on bias, start and pairs: settles what the likelihood leaves open, such as cells that nobody chose


@dataclass(frozen=True, eq=False)
class Labelled:
    """Features of one clip and what is known of its cells: either ``labels`` or ``evidence``.

    Parameters
    ----------
    x
        (T, F).
    labels
        (R, T) cells 0..120, one row a rater; a clip counts ``weight`` whatever R is.
    evidence
        (T, 121), non-negative: how well each cell agrees with the label (a quadrant's column of ``grid.QUADRANT_SHARE``
        at every step).

    Raises
    ------
    ValueError
        For shapes that do not belong together, values that are not finite, labels outside the grid, a step that no cell
        agrees with, or a weight that is not positive.
    """

    x: NDArray[np.floating]
    labels: NDArray[np.integer] | None = None
    evidence: NDArray[np.floating] | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        T = len(self.x)
        if self.x.ndim != 2 or T == 0 or not np.isfinite(self.x).all():
            raise ValueError(
                f"features of a chain must be finite, (steps, features), at least one step: {self.x.shape}"
            )
        if (self.labels is None) == (self.evidence is None):
            raise ValueError("a clip of a chain needs either labels or evidence")
        if not 0 < self.weight < np.inf:
            raise ValueError(f"the weight of a clip must be positive, not {self.weight}")
        if self.labels is not None:
            if self.labels.ndim != 2 or self.labels.shape[1] != T or len(self.labels) == 0:
                raise ValueError(f"labels have shape {self.labels.shape}, expected (raters, {T})")
            if not 0 <= self.labels.min() <= self.labels.max() < CELLS:
                raise ValueError(f"labels of a chain must be cells 0 to {CELLS - 1}")
        if self.evidence is not None:
            if self.evidence.shape != (T, CELLS):
                raise ValueError(f"evidence has shape {self.evidence.shape}, expected ({T}, {CELLS})")
            if not (np.all(self.evidence >= 0) and np.all(self.evidence.max(axis=1) > 0)):
                raise ValueError("evidence must be 0 or more, and above 0 for some cell of each step")


def walkable(
    labels: NDArray[np.integer], pair_from: NDArray[np.int64], pair_to: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Paths (R, T) that use listed pairs only: (P,) and (P,), each cell must lead somewhere.

    A rater who jumps is followed by the longest steps that the pairs allow, each to the cell within reach that is
    nearest to the rater's. Unchanged where every pair of the labels is listed.
    """
    row, column = np.divmod(np.arange(CELLS), SIDE)
    squared = np.subtract.outer(row, row) ** 2 + np.subtract.outer(column, column) ** 2
    away = np.full((CELLS, CELLS), np.inf)
    away[pair_from, pair_to] = 0.0
    toward = np.argmin(away[:, None, :] + squared[None, :, :], axis=2)  # [stands at, wants to go to]
    path = np.array(labels, dtype=np.int64)
    for t in range(1, path.shape[1]):
        path[:, t] = toward[path[:, t - 1], path[:, t]]
    return path


def fit_crf(
    clips: Sequence[Labelled],
    settings: CRFSettings,
    *,
    initial: CRF | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> CRF:
    """Fit a chain by L-BFGS; deterministic.

    The objective is the sum over clips of weight times

    - "paths": the mean over raters of log p(path | x), jumps walked (``walkable``); for evidence the log of the mass
      of all paths, each step weighted by it, log Z(evidence) - log Z.
    - "filter": per step, the mean over raters of the log mass that p(y_t | x_1..t) puts on their cells; for evidence
      the log of the mass that agrees. This is what the decoder is judged by (Kakade, Teh & Roweis 2002).

    less l2/2 |unary|^2, smoothness/2 times the squared differences of unary weights of cells that share a side, and
    tie/2 times the squared deviations of the pairs' weights from their mean over pairs of the same offset. All three
    are in clips of weight 1: the more clips, the less they matter.

    Features are standardised by their mean and deviation over all steps, each clip by its weight. An ``initial``
    chain keeps its own standardisation and its pairs, whatever ``radius`` is. Without one, "paths" starts from the
    Markov chain of the raters' own steps (from nothing, hundreds of iterations go into finding that they mostly stay),
    "filter" from zero (so near to the Markov chain it would settle for too sticky a filter).
    ``progress(iteration, objective)`` is called after each iteration.

    Raises
    ------
    ValueError
        For no clips, clips that differ in their number of features, and evidence that no path of near cells can follow.
    """
    strengths = settings.l2, settings.smoothness, settings.tie
    problem = _Problem(clips, initial or _blank(clips, settings.radius), strengths, settings.objective)
    start = problem.markov() if initial is None and settings.objective == "paths" else problem.initial
    count = 0

    def report(intermediate_result: object) -> None:
        nonlocal count
        count += 1
        if progress is not None:
            progress(count, -float(intermediate_result.fun))  # type: ignore[attr-defined]

    solution = minimize(
        problem.loss,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=report,
        options={
            "maxiter": settings.iterations,
            "maxfun": 2 * settings.iterations + 20,
            "maxcor": 20,
            "ftol": 1e-9,
            "gtol": 1e-6,
        },
    )
    return problem.chain(solution.x)


class _Weights(NamedTuple):
    """The parameters, or the gradient in them, as views of one vector."""

    unary: NDArray[np.float64]  # (F, 121)
    bias: NDArray[np.float64]  # (121,)
    start: NDArray[np.float64]  # (121,)
    pair: NDArray[np.float64]  # (P,)

    @staticmethod
    def of(vector: NDArray[np.float64], dimensions: int) -> "_Weights":
        unary, bias, start, pair = np.split(vector, CELLS * np.array([dimensions, dimensions + 1, dimensions + 2]))
        return _Weights(unary.reshape(dimensions, CELLS), bias, start, pair)


class _Problem:
    """All clips end to end, so that the products with the unary weights are two large ones."""

    def __init__(
        self, clips: Sequence[Labelled], initial: CRF, strengths: tuple[float, float, float], objective: Objective
    ) -> None:
        if any(clip.x.shape[1] != initial.dimensions for clip in clips):
            raise ValueError(f"every clip of this chain must have {initial.dimensions} features")
        self.clips, self.objective, self.strengths = clips, objective, strengths
        self.source, self.target = initial.pair_from, initial.pair_to
        self.mean, self.scale = initial.mean, initial.scale
        self.initial = np.concatenate([initial.unary.ravel(), initial.bias, initial.start, initial.pair_weight])
        self.z = np.concatenate([np.clip((clip.x - self.mean) / self.scale, -LIMIT, LIMIT) for clip in clips])
        ends = np.cumsum([len(clip.x) for clip in clips])
        self.spans = [slice(end - len(clip.x), end) for end, clip in zip(ends, clips, strict=True)]
        self.offset = _offsets(self.source, self.target)
        self.laplacian = _laplacian()
        if objective == "paths":
            self.observed = self._observed()
        else:
            self.chosen = [None if clip.labels is None else path_shares(clip.labels) for clip in clips]

    def chain(self, vector: NDArray[np.float64]) -> CRF:
        w = _Weights.of(vector, self.mean.size)
        return CRF(self.mean, self.scale, w.unary, w.bias, w.start, self.source, self.target, w.pair)

    def markov(self) -> NDArray[np.float64]:
        """The raters' first cells and steps as they were counted, with a little of the average step mixed in."""
        seen = _Weights.of(self.observed, self.mean.size)
        out = self.initial.copy()
        w = _Weights.of(out, self.mean.size)
        by_offset = np.bincount(self.offset, seen.pair) + 1e-3
        counts = seen.pair + (by_offset / by_offset.sum())[self.offset]
        w.pair[:] = np.log(counts / np.bincount(self.source, counts)[self.source])
        w.start[:] = np.log((seen.start + 1 / CELLS) / (seen.start.sum() + 1))
        return out

    def loss(self, vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Minus the objective, and its gradient."""
        w = _Weights.of(vector, self.mean.size)
        gradient = np.zeros_like(vector)
        g = _Weights.of(gradient, self.mean.size)
        potentials = self.z @ w.unary
        potentials += w.bias
        chain_terms = self._paths if self.objective == "paths" else self._filtered
        value = chain_terms(potentials, w, g)  # leaves the derivative in the potentials in their place
        g.unary[:] = self.z.T @ potentials
        g.bias[:] = potentials.sum(axis=0)
        if self.objective == "paths":
            gradient += self.observed
            value += float(self.observed @ vector)
        value -= self._penalty(w, g)
        return -value, -gradient

    def _paths(self, potentials: NDArray[np.float64], w: _Weights, g: _Weights) -> float:
        links = (self.source, self.target, np.exp(w.pair))
        value = 0.0
        for clip, span in zip(self.clips, self.spans, strict=True):
            given = potentials[span]
            agreed = None
            if clip.evidence is not None:
                with np.errstate(divide="ignore"):
                    agreed, log_z = _marginals(given + np.log(clip.evidence), w.start, links, clip.weight, g.pair)
                if log_z == -np.inf:
                    raise ValueError("no path of near cells agrees with the evidence of a clip: widen the radius")
                value += clip.weight * log_z
            free, log_z = _marginals(given, w.start, links, -clip.weight, g.pair)
            value -= clip.weight * log_z
            given[:] = -clip.weight * free if agreed is None else clip.weight * (agreed - free)
            g.start[:] += given[0]
        return value

    def _filtered(self, potentials: NDArray[np.float64], w: _Weights, g: _Weights) -> float:
        links = (self.source, self.target, np.exp(w.pair))
        value = 0.0
        for clip, span, chosen in zip(self.clips, self.spans, self.chosen, strict=True):
            given = potentials[span]
            filtered, reach, _ = _forward(given, w.start, links)
            filtered_safe = np.maximum(filtered, 1e-300)
            if chosen is not None:
                pull = clip.weight * chosen
                value += float(np.sum(pull * np.log(filtered_safe)))
            else:
                pull = filtered_safe * clip.evidence
                agreed = pull.sum(axis=1, keepdims=True)
                value += clip.weight * float(np.log(agreed).sum())
                pull *= clip.weight / agreed
            kernels.filter_gradient(filtered, reach, pull, *links, given, g.pair)
            g.start[:] += given[0]
        return value

    def _observed(self) -> NDArray[np.float64]:
        """What the raters' paths use of each weight, a vector like the parameters'."""
        out = np.zeros_like(self.initial)
        o = _Weights.of(out, self.mean.size)
        pairs = np.zeros((CELLS, CELLS))
        for clip, span in zip(self.clips, self.spans, strict=True):
            if clip.labels is None:
                continue
            path = walkable(clip.labels, self.source, self.target)
            share = clip.weight / len(path)
            chosen = clip.weight * path_shares(path)
            o.unary[:] += self.z[span].T @ chosen
            o.bias[:] += chosen.sum(axis=0)
            o.start[:] += chosen[0]
            np.add.at(pairs, (path[:, :-1], path[:, 1:]), share)
        o.pair[:] = pairs[self.source, self.target]
        return out

    def _penalty(self, w: _Weights, g: _Weights) -> float:
        """Of the weights; its gradient is taken off g."""
        l2, smoothness, tie = self.strengths
        uneven = w.unary @ self.laplacian
        apart = w.pair - (np.bincount(self.offset, w.pair) / np.bincount(self.offset))[self.offset]
        g.unary[:] -= l2 * w.unary + smoothness * uneven
        g.pair[:] -= tie * apart
        total = l2 * np.sum(w.unary**2) + smoothness * np.sum(w.unary * uneven) + tie * np.sum(apart**2)
        for weight, slope in ((w.bias, g.bias), (w.start, g.start), (w.pair, g.pair)):
            slope[:] -= RIDGE * weight
            total += RIDGE * np.sum(weight**2)
        return 0.5 * float(total)


_Links = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def _forward(
    potentials: NDArray[np.float64], start: NDArray[np.float64], links: _Links
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    out, reach = np.empty_like(potentials), np.empty((len(potentials) + 1, CELLS))
    reach[0] = np.exp(start)
    return out, reach, kernels.forward(potentials, *links, reach, out)


def _marginals(
    potentials: NDArray[np.float64], start: NDArray[np.float64], links: _Links, weight: float, counts: NDArray
) -> tuple[NDArray[np.float64], float]:
    out, _, log_z = _forward(potentials, start, links)
    if log_z > -np.inf:
        kernels.backward(potentials, *links, weight, out, counts)
    return out, log_z


def _blank(clips: Sequence[Labelled], radius: float | None) -> CRF:
    """All weights zero, the features' mean and deviation as they are in the clips."""
    if not clips or len({clip.x.shape[1] for clip in clips}) != 1:
        raise ValueError("a chain is fitted to at least one clip, all with the same number of features")
    share = np.repeat([clip.weight for clip in clips], [len(clip.x) for clip in clips])
    x = np.concatenate([clip.x for clip in clips]).astype(np.float64)
    mean = np.average(x, axis=0, weights=share)
    deviation = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=share))
    scale = np.where(deviation > 1e-9 * (1 + np.abs(mean)), deviation, 1.0)  # a constant says nothing, in any unit
    source, target = near_pairs(radius)
    empty = np.zeros(CELLS)
    return CRF(mean, scale, np.zeros((mean.size, CELLS)), empty, empty, source, target, np.zeros(source.size))


def _offsets(source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.intp]:
    """Number of each pair's offset (rows, columns), 0 .. offsets - 1: (P,)."""
    down, right = target // SIDE - source // SIDE, target % SIDE - source % SIDE
    return np.unique(2 * SIDE * down + right, return_inverse=True)[1]


def _laplacian() -> NDArray[np.float64]:
    """(121, 121): w L w = the sum of squared differences over cells that share a side."""
    source, target = near_pairs(1.0)
    out = np.zeros((CELLS, CELLS))
    out[source, target] = -1.0
    np.fill_diagonal(out, 0.0)
    np.fill_diagonal(out, -out.sum(axis=1))
    return out
