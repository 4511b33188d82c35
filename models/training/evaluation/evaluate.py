"""How good the model is, from its streamed heatmaps, on clips of artists, songs and pieces it was not fitted to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...bundle import FUSION, Bundle, load_bundle
from ...decoders.fusion import alone
from ...errors import DataError
from ...grid import CELL_AROUSAL, CELL_VALENCE
from ..corpus.decoding import pooled
from ..corpus.examples import Example, Progress, gather
from ..datasets.folder import read_folder
from ..fit.aeg import fit_aeg
from ..fit.bundle import learning
from ..fit.crf_inputs import chain_inputs, fitted_chain
from ..parallel import side_by_side
from ..recipe import RECIPE, SETS, TRACES, CRFSettings, Recipe, SVMSettings
from ..synthesis.augment import CONDITIONS
from . import baselines, scoring
from .annotator_lag import annotator_lag
from .cross_validation import (
    FoldPools,
    OutOfFold,
    _folds,
    _known_cells,
    _scores,
    fold_bundle,
    fold_pools,
    item_of,
    learn_folds,
    out_of_fold,
    score_folds,
    split,
)
from .reliability import Calibration, calibrate, merged
from .report import Figures, Report, drops, join


def evaluate(
    data: Path,
    *,
    bundle: Path | None = None,
    seed: int = 0,
    robust: bool = True,
    recipe: Recipe = RECIPE,
    progress: Progress = print,
) -> tuple[Report, dict[str, Calibration]]:
    """``valaro evaluate``: cross-validated figures of the recipe, or those of a ``bundle`` as it is.

    A bundle's own figures flatter it on clips that it was trained on; they are for clips that it was not.
    ``robust``: also under gain, noise, a room and a phone's band, as drops.

    Returns
    -------
    tuple[Report, dict[str, Calibration]]
        The report, and the reliability of each decoder's heatmaps over all sets.

    Raises
    ------
    BundleError, DataError
        The bundle or the data cannot be used.
    """
    given = load_bundle(bundle) if bundle is not None else None
    if given is None:
        learning()  # what is not installed is told before the measuring, not after it
    examples = gather(data, progress, altered=0 if given else recipe.altered, processes=recipe.processes)
    conditions = {}
    for name in CONDITIONS if robust else ():
        conditions[name] = gather(data, progress, condition=name, processes=recipe.processes)
    return measure(
        examples,
        conditions,
        bundle=given,
        seed=seed,
        recipe=recipe,
        progress=progress,
        functionals=lambda: _functionals(data, progress),
    )


def _functionals(data: Path, progress: Progress) -> dict[str, NDArray[np.float64]]:
    """The eGeMAPS of the 4Q clips, by id; none where openSMILE is not installed."""
    try:
        functionals, skipped = baselines.egemaps([(clip.id, clip.path) for clip in read_folder(data).four_q])
    except DataError as error:
        progress(f"left out: {error}")
        return {}
    for line in skipped.values():
        progress(f"skipped: {line}")
    return functionals


def measure(
    examples: Sequence[Example],
    conditions: Mapping[str, Sequence[Example]] | None = None,
    *,
    bundle: Bundle | None = None,
    seed: int = 0,
    recipe: Recipe = RECIPE,
    progress: Progress = print,
    functionals: Callable[[], Mapping[str, NDArray[np.floating]]] = dict,
) -> tuple[Report, dict[str, Calibration]]:
    """Fit on four fifths, score the streamed heatmaps on the last fifth, five times; grouped splits.

    Every set's fold k is left out of the k-th fit; the pool that scores fold k is fitted to the other folds. With
    ``bundle`` only the baselines are fitted. ``functionals()``: clip id -> openSMILE's statistics, for a baseline.
    """
    conditions = conditions or {}
    outside: list[OutOfFold] = []
    under: dict[str, list[OutOfFold]] = {name: [] for name in conditions}
    by_paths: list[dict[str, float]] = []
    examples, folds = split(examples, progress)
    for line in lags(examples):
        progress(line)
    if bundle is None:
        learn_folds(examples, folds, seed, progress, recipe=recipe)
    tasks = [
        (fold, {name: [e for e in changed if e.fold == fold] for name, changed in conditions.items()}) for fold in folds
    ]
    for fold, heard in zip(
        folds, side_by_side(partial(_listened, examples, bundle, seed, recipe), tasks, recipe.processes), strict=True
    ):
        progress(f"fold {fold}: listened")
        outside += heard.outside
        for name, rows in heard.under.items():
            under[name] += rows
        by_paths.append(heard.by_paths)
    pools = fold_pools(outside, bundle, recipe)
    figures = score_folds(outside, pools)
    for name, label in (("live", "crf by paths, live"), ("whole", "crf by paths, the whole piece known")):
        if rows := [{"log_likelihood": row[name]} for row in by_paths if row]:
            figures[label] = {"vgmidi": join(rows)}
    figures |= _baselines(examples, outside, pools, functionals(), recipe.svm, seed, progress)
    lost = drops(figures, {name: score_folds(rows, pools) for name, rows in under.items()})
    return Report(figures=figures, drops=lost), _calibrations(outside, pools)


class _Listened(NamedTuple):
    """One fold, told by decoders that were fitted without it (or by those of a given bundle)."""

    outside: list[OutOfFold]
    under: dict[str, list[OutOfFold]]
    by_paths: dict[str, float]


def _listened(
    examples: Sequence[Example],
    bundle: Bundle | None,
    seed: int,
    recipe: Recipe,
    task: tuple[int, Mapping[str, Sequence[Example]]],
) -> _Listened:
    fold, conditions = task
    fitted = bundle if bundle is not None else fold_bundle(examples, fold, seed, recipe)
    return _Listened(
        list(out_of_fold(fitted, examples, fold)),
        {name: list(out_of_fold(fitted, changed, fold)) for name, changed in conditions.items()},
        _by_paths(fitted, examples, fold, recipe.crf_by_paths) if bundle is None else {},
    )


FEWEST_PIECES = 10  # to say anything of a set's lag by


def lags(examples: Sequence[Example]) -> Iterator[str]:
    """How far the raters of each set that was rated over time trail the running texture: a line a set."""
    for name in ("vgmidi", *TRACES):
        members = [e for e in examples if e.set == name and e.histogram.any()]
        by_axis = []
        for axis, centres in (("valence", CELL_VALENCE), ("arousal", CELL_AROUSAL)):
            rated = [e.histogram.sum(axis=1) > 0 for e in members]
            features = [e.features.textures[r] for e, r in zip(members, rated, strict=True)]
            traces = [(e.histogram[r] @ centres)[:, None] for e, r in zip(members, rated, strict=True)]
            try:
                lag = annotator_lag(features, traces)
            except DataError:  # too few pieces, or too short
                continue
            if lag.pieces >= FEWEST_PIECES:
                by_axis.append(f"{lag.seconds:.1f} ± {lag.error:.1f} s in {axis}")
        if by_axis:
            yield f"{name}: raters trail the texture by {', '.join(by_axis)}"


def _calibrations(outside: Sequence[OutOfFold], pools: FoldPools) -> dict[str, Calibration]:
    parts: dict[str, list[Calibration]] = {}
    for fold, rows in _folds([row for row in outside if row.example.set in SETS]):
        for decoder, pool in pools[fold].items():
            items, streams = [item_of(row.example) for row in rows], [pooled(row.outputs, pool) for row in rows]
            parts.setdefault(decoder, []).append(calibrate(items, streams))
    return {decoder: merged(of_folds) for decoder, of_folds in parts.items()}


def _by_paths(bundle: Bundle, examples: Sequence[Example], fold: int, settings: CRFSettings) -> dict[str, float]:
    """A chain of raters' whole paths, live and with each piece known to its end: what being live costs."""
    pieces = [e for e in examples if e.set == "vgmidi"]
    if not any(e.fold == fold for e in pieces):
        return {}
    chain = fitted_chain(bundle, [e for e in pieces if e.fold != fold], settings)
    likelihoods: dict[str, list[float]] = {"live": [], "whole": []}
    for example in pieces:
        if example.fold == fold and example.features.sounding.any():
            sounding = example.features.sounding
            x, shares = chain_inputs(bundle, example)[sounding], example.histogram[sounding]
            rated = shares.sum(axis=1) > 0
            for name, stream in (("live", chain.filter(x)), ("whole", chain.smooth(x))):
                likelihoods[name].append(float((shares[rated] * np.log(stream[rated])).sum(axis=1).mean()))
    return {name: float(np.mean(values)) for name, values in likelihoods.items()}


def _baselines(
    examples: Sequence[Example],
    outside: Sequence[OutOfFold],
    pools: FoldPools,
    functionals: Mapping[str, NDArray[np.floating]],
    settings: SVMSettings,
    seed: int,
    progress: Progress,
) -> Figures:
    """What knows less, in the same tables: the global prior, one heatmap a clip, and classifiers of whole clips."""
    scores_of: dict[str, dict[str, list[dict[str, float]]]] = {}

    def add(row: str, name: str, scores: Mapping[str, float]) -> None:
        scores_of.setdefault(row, {}).setdefault(name, []).append(dict(scores))

    def statistics(e: Example) -> NDArray[np.floating]:
        return baselines.clip_statistics(e.features.vectors, e.features.weights)

    for fold, rows in _folds(outside):
        fusion = pools[fold][FUSION]
        for name in SETS:
            members = [row for row in rows if row.example.set == name]
            known = [e for e in examples if e.set == name and e.fold != fold]
            if not members or not known:
                continue
            items = [item_of(row.example) for row in members]
            prior = baselines.global_prior([item_of(e) for e in known])
            held = [baselines.held(prior, row.example.features.emissions) for row in members]
            add("global prior, smoothed", name, _scores(name, items, held, outside, fold))
            # It knows the whole clip from its start: what it says of the first seconds is no figure.
            constant = [baselines.constant_per_clip(pooled(row.outputs, fusion)) for row in members]
            add("fusion, one heatmap a clip", name, _scores(name, items, constant, outside, fold, heard=()))
            if name == "vgmidi":
                for row, scores in scoring.rater_agreement(items, _known_cells(outside, fold), seed).items():
                    add(row, name, scores)
                continue
            tested = [row.example for row in members]
            if scores := _svm(known, tested, statistics, settings, seed, progress):
                add("SVM on clip statistics, offline", name, scores)
            described = all(e.id in functionals for e in (*known, *tested))
            if described and (scores := _svm(known, tested, lambda e: functionals[e.id], settings, seed, progress)):
                add("SVM on openSMILE eGeMAPS, offline", name, scores)
    return {row: {name: join(folds) for name, folds in sets.items()} for row, sets in scores_of.items()}


def _svm(
    known: Sequence[Example],
    tested: Sequence[Example],
    features: Callable[[Example], NDArray[np.floating]],
    settings: SVMSettings,
    seed: int,
    progress: Progress,
) -> dict[str, float]:
    truth, groups = np.array([e.quadrant for e in known], dtype=np.intp), [e.group for e in known]
    train, test = (np.stack([features(e) for e in chosen]).astype(np.float64) for chosen in (known, tested))
    try:
        mass = baselines.svm_masses(train, truth, groups, test, settings, seed)
    except DataError as error:
        progress(f"left out: {error}")
        return {}
    return dict(scoring.score_clips([item_of(e) for e in tested], list(baselines.spread(mass)[:, None]), ()))


COMPONENT_COUNTS = (8, 16, 32, 48, 96)  # of each kind's mixture


def component_curve(
    data: Path,
    *,
    counts: Sequence[int] = COMPONENT_COUNTS,
    seed: int = 0,
    recipe: Recipe = RECIPE,
    progress: Progress = print,
) -> Report:
    """The AEG decoder alone with more and fewer components: what ``AEGSettings.components`` was chosen by.

    Raises
    ------
    DataError
        The data cannot be used.
    """
    examples, folds = split(gather(data, progress, processes=recipe.processes), progress)
    figures: Figures = {}
    for count in counts:
        settings = replace(recipe.aeg, components=dict.fromkeys(recipe.aeg.components, count))
        outside: list[OutOfFold] = []
        for fold in folds:
            fitted = fit_aeg([e for e in examples if e.fold != fold], settings, seed=seed)
            outside += out_of_fold(fitted, [e for e in examples if e.set in SETS], fold)
        alike = {"aeg": alone("aeg", outside[0].outputs.theta.shape[1])}
        figures[f"{count} components a kind"] = score_folds(outside, dict.fromkeys(folds, alike))["aeg"]
        progress(f"{count} components a kind: done")
    return Report(figures=figures, drops={})
