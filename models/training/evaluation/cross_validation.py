"""Grouped cross-validation: decoders fitted without a fold, heard on it, and the fusion fitted to what they said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ...bundle import FUSION, Bundle
from ...decoders.fusion import Pool, smoothed
from ...errors import DataError
from ..corpus.decoding import DecoderOutputs, decode, pooled
from ..corpus.examples import NEVER, Example, Progress
from ..corpus.items import Item
from ..corpus.splits import Fold, grouped_folds
from ..corpus.targets import Targets, all_targets, cells_of, course, targets_of
from ..fit import fusion
from ..fit.aeg import KINDS, component_kinds, of_kinds
from ..fit.bundle import fit, learning
from ..parallel import quietly
from ..recipe import RECIPE, SETS, Recipe
from . import scoring
from .reliability import Calibration, calibrate, joined_figures
from .report import Figures, Value, join


class OutOfFold(NamedTuple):
    """A clip as told by decoders that were fitted without its group; also one altered copy, where it has any."""

    example: Example
    fold: int
    outputs: DecoderOutputs
    altered: DecoderOutputs | None = None


def learn_folds(
    examples: Sequence[Example],
    folds: Sequence[int],
    seed: int,
    progress: Progress,
    *,
    recipe: Recipe = RECIPE,
    whole: bool = False,
) -> None:
    """Learn the networks that leave out one fold each (and the one that leaves out none) side by side."""
    parts = [[e for e in examples if e.fold != fold] for fold in folds] + ([list(examples)] if whole else [])
    learning().learn_all(parts, recipe.lstm, seed, progress, recipe.processes)


def split(examples: Sequence[Example], progress: Progress) -> tuple[list[Example], list[int]]:
    """The examples, and the folds to test on. A set that cannot be tested is said, and left out of no training.

    Raises
    ------
    DataError
        No set has clips of two groups in two folds.
    """
    if not any(e.set in SETS for e in examples):
        raise DataError(f"none of {', '.join(SETS)} has clips that can be used: whatever else there is only helps them")
    numbers: set[int] = set()
    untested: set[str] = set()
    for name in SETS:
        if members := [e for e in examples if e.set == name]:
            try:
                folds: list[Fold] = grouped_folds([e.fold for e in members], [e.group for e in members])
                numbers |= {fold.number for fold in folds}
            except DataError as error:
                progress(f"{name} is trained on but not tested: {error}")
                untested.add(name)
    if not numbers:
        raise DataError("no set has clips of two groups in two folds: nothing to test on that was not trained on")
    return [replace(e, fold=NEVER) if e.set in untested else e for e in examples], sorted(numbers)


def fold_bundle(
    examples: Sequence[Example], fold: int, seed: int, recipe: Recipe = RECIPE, progress: Progress = quietly
) -> Bundle:
    """The decoders fitted without one fold of each set."""
    progress(f"fold {fold}: fitting without it")
    return fit([e for e in examples if e.fold != fold], seed=seed, recipe=recipe, progress=progress)


def outside_fold(examples: Sequence[Example], seed: int, recipe: Recipe, fold: int) -> list[OutOfFold]:
    """Fit without a fold, and decode it."""
    return list(out_of_fold(fold_bundle(examples, fold, seed, recipe), examples, fold))


def out_of_fold(bundle: Bundle, examples: Sequence[Example], fold: int) -> Iterator[OutOfFold]:
    """The fold's clips, told by decoders that were fitted without it."""
    for example in examples:
        if example.fold == fold:
            copies = [decode(bundle, heard) for heard in example.altered[:1]]
            yield OutOfFold(example, fold, decode(bundle, example.features), *copies)


def item_of(example: Example) -> Item:
    """The example as scoring wants it."""
    trace = None if example.trace is None else course(example.trace, example.features.emissions)
    return Item(example.id, example.set, example.group, example.fold, example.quadrant, example.points, trace)


def fit_pools(outside: Sequence[OutOfFold], recipe: Recipe = RECIPE) -> dict[str, Pool]:
    """A calibrated pool of each decoder alone and of all (``fusion``), fitted to clips told out of their fold.

    To clips as they are and altered: the decoders that a phone's band or a noisy room lead astray count for less.
    """
    settings = recipe.fusion
    kinds = list(of_kinds([row.example for row in outside]))
    names, size = list(outside[0].outputs.names), outside[0].outputs.theta.shape[1]
    components = component_kinds(kinds, recipe.aeg)
    if components.size != size:  # a kind that is trained on and never tested
        components, kinds = np.zeros(size, dtype=np.int64), [kinds[0]]
    wanted = {FUSION: tuple(names)} | {name: (name,) for name in names}
    fitted: dict[str, list[fusion.PoolWeights]] = {name: [] for name in wanted}
    for kind in kinds:
        rows = [row for row in outside if row.example.set in KINDS[kind]]
        targets, logs = [], []
        for row in rows:
            versions = [outputs for outputs in (row.outputs, row.altered) if outputs is not None]
            for outputs in versions:
                E = outputs.log_heatmaps.shape[1]
                chosen = np.arange(settings.stride - 1, E, settings.stride)
                every = targets_of(item_of(row.example), E)
                share = every.weight[chosen] * outputs.presence[chosen]
                share *= settings.weights[row.example.set] / len(versions) / max(float(share.sum()), 1e-9)
                targets.append(Targets(every.mask[chosen], every.region[chosen], share))
                logs.append(outputs.log_heatmaps[:, chosen].astype(np.float64))
        target, log = all_targets(targets), np.concatenate(logs, axis=1)
        for name, members in wanted.items():
            chosen_logs = [smoothed(log[names.index(member)], settings.blur[kind]) for member in members]
            bias = settings.bias_ridge[kind] if name == FUSION else None
            fitted[name].append(fusion.fit_pool(chosen_logs, target, bias_ridge=bias))
    return {
        name: Pool(
            wanted[name],
            components,
            np.stack([p.exponents for p in weights_of_kinds]),
            np.stack([p.bias for p in weights_of_kinds]),
            np.array([settings.blur[kind] for kind in kinds]),
        )
        for name, weights_of_kinds in fitted.items()
    }


FoldPools = Mapping[int, Mapping[str, Pool]]


def fold_pools(outside: Sequence[OutOfFold], bundle: Bundle | None = None, recipe: Recipe = RECIPE) -> FoldPools:
    """The pools that score each fold, by decoder: fitted to the other folds' clips, or those of a ``bundle``."""
    folds = [fold for fold, _ in _folds(outside)]
    if bundle is not None:
        return {fold: {name: bundle.pool(name) for name in (FUSION, *bundle.decoders)} for fold in folds}
    return {fold: fit_pools([row for row in outside if row.fold != fold] or outside, recipe) for fold in folds}


def score_folds(outside: Sequence[OutOfFold], pools: FoldPools) -> Figures:
    """Each decoder's and the fusion's figures by set, over the folds."""
    scores_of: dict[str, dict[str, list[dict[str, float]]]] = {}
    calibrations: dict[str, dict[str, list[Calibration]]] = {}
    for fold, rows in _folds(outside):
        for decoder, pool in pools[fold].items():
            for name in SETS:
                members = [row for row in rows if row.example.set == name]
                if not members:
                    continue
                items, streams = [item_of(m.example) for m in members], [pooled(m.outputs, pool) for m in members]
                scores = _scores(name, items, streams, outside, fold)
                scores_of.setdefault(decoder, {}).setdefault(name, []).append(scores)
                calibrations.setdefault(decoder, {}).setdefault(name, []).append(calibrate(items, streams))
    _add_traces(scores_of, outside, pools)
    return {
        decoder: {
            name: join(rows) | _calibrated(calibrations.get(decoder, {}).get(name, [])) for name, rows in sets.items()
        }
        for decoder, sets in scores_of.items()
    }


def _calibrated(folds: Sequence[Calibration]) -> dict[str, Value]:
    return {name: cast(Value, value) for name, value in joined_figures(folds).items()} if folds else {}


def _add_traces(
    scores_of: dict[str, dict[str, list[dict[str, float]]]],
    outside: Sequence[OutOfFold],
    pools: FoldPools,
) -> None:
    """Clips with means over raters are too few for folds: all are scored together, each by the fold without it."""
    traced: dict[tuple[str, str], tuple[list[Item], list[NDArray[np.float64]]]] = {}
    for fold, rows in _folds([row for row in outside if row.example.trace is not None]):
        for decoder, pool in pools[fold].items():
            for row in rows:
                items, streams = traced.setdefault((decoder, row.example.set), ([], []))
                items.append(item_of(row.example))
                streams.append(pooled(row.outputs, pool))
    for (decoder, name), (items, streams) in traced.items():
        scores_of.setdefault(decoder, {})[name] = [dict(scoring.score_traces(items, streams))]


def _scores(
    name: str,
    items: Sequence[Item],
    streams: Sequence[NDArray[np.float64]],
    outside: Sequence[OutOfFold],
    fold: int,
    heard: Sequence[float] = scoring.HEARD,
) -> dict[str, float]:
    if name == "vgmidi":
        return dict(scoring.score_points(items, streams, _known_cells(outside, fold)))
    return dict(scoring.score_clips(items, streams, heard))


def _known_cells(outside: Sequence[OutOfFold], fold: int) -> NDArray[np.intp]:
    known = [row.example.points for row in outside if row.example.points is not None and row.fold != fold]
    known = known or [row.example.points for row in outside if row.example.points is not None]
    return np.concatenate([cells_of(points) for points in known if points is not None])


def _folds(outside: Sequence[OutOfFold]) -> list[tuple[int, list[OutOfFold]]]:
    numbers = sorted({row.fold for row in outside})
    return [(fold, [row for row in outside if row.fold == fold]) for fold in numbers]
