"""Fitting the AEG decoder and all that it stands on: supervised projection, acoustic mixture, affective Gaussians."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...acoustic.gmm import GMM
from ...bundle import Bundle, Projection
from ...decoders.aeg import AffectiveGMM
from ...errors import DataError
from ...features.frame import BLOCKS, EMISSION, RATE
from ..corpus.decoding import stream_theta
from ..corpus.examples import Example
from ..corpus.targets import Regions, WeightedPoints, points_at, quadrant_regions, quadrant_shares
from ..recipe import AEGSettings
from .affective import fit_affective
from .gmm import fit_gmm

# Recordings and piano renders sound so unlike (a linear rule tells every frame of one from the other) that what
# says "happy" in one says little in the other: each kind has directions and components of its own, and the posterior
# picks the kind. In one common mixture 4Q's macro-F1 falls from .67 to .59, EMOPIA's from .62 to .52.
KINDS: dict[str, tuple[str, ...]] = {"recordings": ("4q",), "piano": ("emopia", "vgmidi")}
_EVIDENCE_SECONDS = 1.5  # theta is taken this often in a clip: early ones too, as the live chain will meet them
_PART = 25  # blocks: the stretches whose means the directions are fitted to


def fit_aeg(examples: Sequence[Example], settings: AEGSettings, *, seed: int = 0) -> Bundle:
    """A bundle of the AEG decoder alone, fitted to ``examples``; deterministic given the seed.

    Raises
    ------
    DataError
        No example with a label, or fewer frames than components need.
    """
    kinds = of_kinds(examples)
    examples = [e for members in kinds.values() for e in members]
    projection, spans = fit_projection(kinds, settings)
    acoustic = fit_acoustic(kinds, projection, spans, settings, seed)
    blank = AffectiveGMM(np.zeros((acoustic.components, 2)), np.tile(np.eye(2), (acoustic.components, 1, 1)))
    heard_by = Bundle(projection, acoustic, blank, settings.half_life, settings.prior_seconds)
    theta, points, regions = _evidence(examples, lambda e: stream_theta(heard_by, e.features), settings.weights)
    affective = fit_affective(
        theta,
        points=points,
        regions=regions,
        mean_count=settings.mean_count,
        covariance_count=settings.covariance_count,
        iterations=60,
    )
    return Bundle(projection, acoustic, affective, settings.half_life, settings.prior_seconds)


def of_kinds(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """The labelled examples by kind of sound.

    Raises
    ------
    DataError
        If there is none.
    """
    kinds = {kind: members for kind, sets in KINDS.items() if (members := [e for e in examples if e.set in sets])}
    if not kinds:
        raise DataError("no clips to train on")
    return kinds


def component_kinds(kinds: Sequence[str], settings: AEGSettings) -> NDArray[np.int64]:
    """The kind of each component of a mixture fitted to these kinds: (K,), 0 for the first, ..."""
    return np.repeat(np.arange(len(kinds)), [settings.components[kind] for kind in kinds])


Kinds = Mapping[str, Sequence[Example]]


def fit_projection(kinds: Kinds, settings: AEGSettings) -> tuple[Projection, dict[str, slice]]:
    """The directions of the acoustic vector that the mixture lives in, and which of its columns are each kind's own.

    For each kind, those that tell its quadrants apart: means over a few seconds are regressed on the clips' quadrant
    targets (ridge, each set centred by itself; whole clips' means were as good for whole clips, but 4 points of
    macro-F1 worse after five seconds of music), and the leading right singular vectors of the fit are kept
    (reduced-rank regression). Last, those that tell the kinds apart. All have unit deviation over frames. AEG's own
    space is that of the raw features: in a principal subspace of them the same mixture reached macro-F1 .57 on 4Q
    where this one reaches .67.
    """
    every = [e for members in kinds.values() for e in members]
    frames = np.concatenate([_settled(e)[:: 2 * BLOCKS] for e in every])
    centre, scale = frames.mean(axis=0, dtype=np.float64), frames.std(axis=0, dtype=np.float64) + 1e-6
    parts = {id(e): [(part - centre) / scale for part in _parts(e)] for e in every}

    columns, spans, count = [], {}, settings.directions
    for kind, members in kinds.items():
        x, y, w = [], [], []
        for name in sorted({e.set for e in members}):
            own = [(e, part) for e in members if e.set == name for part in parts[id(e)]]
            x.append(_centred([part for _, part in own]))
            y.append(_centred([quadrant_shares(e.quadrant, e.points) for e, _ in own]))
            w.append(np.array([settings.weights[name] / len(parts[id(e)]) for e, _ in own]))
        columns.append(_directions(np.concatenate(x), np.concatenate(y), np.concatenate(w), count, settings.ridge))
        spans[kind] = slice(count * len(spans), count * (len(spans) + 1))
    if len(kinds) > 1:
        which = np.concatenate([np.full(len(members), i) for i, members in enumerate(kinds.values())])
        x = _centred([np.mean(parts[id(e)], axis=0) for e in every])
        columns.append(
            _directions(x, _centred(list(np.eye(len(kinds))[which])), np.ones(len(x)), len(kinds) - 1, settings.ridge)
        )
    directions = np.concatenate(columns, axis=1) / scale[:, None]
    directions /= np.maximum(((frames - centre) @ directions).std(axis=0), 1e-12)  # too few frames are refused later
    return Projection(centre.astype(np.float32), directions.astype(np.float32)), spans


def _parts(example: Example) -> list[NDArray[np.float64]]:
    """The mean acoustic vector of each stretch of a few seconds; at least one."""
    rows = _settled(example)
    starts = range(0, max(len(rows) - _PART // 2, 1), _PART)
    return [rows[start : start + _PART].mean(axis=0, dtype=np.float64) for start in starts]


def _centred(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    stacked = np.stack(rows)
    return np.subtract(stacked, stacked.mean(axis=0), dtype=np.float64)


def _directions(
    x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64], count: int, ridge: float
) -> NDArray[np.floating]:
    """Reduced-rank ridge regression of y (n, T) on x (n, V), weighted: the (V, count) leading directions."""
    root = np.sqrt(weights)[:, None]
    x, y = x * root, y * root
    coefficients = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)
    _, _, right = np.linalg.svd(x @ coefficients, full_matrices=False)
    return coefficients @ right[:count].T


def _settled(example: Example) -> NDArray[np.float32]:
    """The rows of a clip that count: sounding, and with a texture behind them."""
    counting = example.features.vectors[example.features.weights > 0]
    return counting if len(counting) else example.features.vectors[-1:]


def fit_acoustic(
    kinds: Kinds, projection: Projection, spans: Mapping[str, slice], settings: AEGSettings, seed: int
) -> GMM:
    """One mixture per kind in the kind's own columns, joined: in all other columns a kind's components are alike.

    So the other columns decide between the kinds, and never between the components of one.
    """
    weights, means, covariances = [], [], []
    total = sum(settings.shares[kind] for kind in kinds)
    for kind, members in kinds.items():
        frames = np.concatenate([projection(_settled(e)[::BLOCKS]) for e in members]).astype(np.float64)
        own = np.arange(frames.shape[1])[spans[kind]]
        rest = np.setdiff1d(np.arange(frames.shape[1]), own)
        part = fit_gmm(frames[:, own], settings.components[kind], seed=seed, iterations=60, variance_floor=1e-2)
        mean = np.tile(frames.mean(axis=0), (part.components, 1))
        mean[:, own] = part.means
        covariance = np.zeros((part.components, frames.shape[1], frames.shape[1]))
        covariance[:, own[:, None], own] = part.covariances
        covariance[:, rest[:, None], rest] = np.cov(frames[:, rest], rowvar=False) + 1e-6 * np.eye(rest.size)
        weights.append(part.weights * settings.shares[kind] / total)
        means.append(mean)
        covariances.append(covariance)
    return GMM(np.concatenate(weights), np.concatenate(means), np.concatenate(covariances))


def _evidence(
    examples: Sequence[Example], theta_of: Callable[[Example], NDArray[np.float64]], weights: Mapping[str, float]
) -> tuple[NDArray[np.float64], WeightedPoints | None, Regions | None]:
    """Theta rows, one every few seconds of each clip, and the labels that belong to each."""
    stride = round(_EVIDENCE_SECONDS * RATE / EMISSION)
    thetas: list[NDArray[np.float64]] = []
    points: list[WeightedPoints] = []
    regions: list[Regions] = []
    row = 0
    for example in examples:
        theta = theta_of(example)
        chosen = np.arange(stride - 1, len(theta), stride)
        if not chosen.size:
            continue
        if example.points is None:
            share = weights[example.set] / chosen.size
            quadrant = np.full(chosen.size, example.quadrant)
            regions.append(quadrant_regions(np.arange(row, row + chosen.size), quadrant, np.full(chosen.size, share)))
        else:
            points.append(points_at(example.points, chosen, row, weights[example.set]))
        thetas.append(theta[chosen])
        row += chosen.size
    if not thetas:
        raise DataError("every clip is shorter than three seconds: nothing to train on")
    return (
        np.concatenate(thetas),
        WeightedPoints(*map(np.concatenate, zip(*points, strict=True))) if points else None,
        quadrant_regions(*map(np.concatenate, zip(*(part[:3] for part in regions), strict=True))) if regions else None,
    )
