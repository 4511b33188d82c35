"""``valaro train``: every decoder fitted to all clips, the pool that joins them fitted to clips that none had seen."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..activity import Judge
from ..bundle import FUSION, Bundle
from ..errors import DataError
from ..lstm import LSTM
from ..pool import Pool, smoothed
from . import calibration
from .activity import train_judge
from .aeg import KINDS, component_kinds, fit_aeg, of_kinds
from .calibration import all_targets, targets_of
from .chain import CHAIN, fitted_chain
from .corpus import NEVER, SETS, Example, Say, gather
from .processors import quietly, side_by_side
from .scoring import Item, course
from .splits import Fold, grouped_folds
from .streams import Told, tell

ALTERED = 2  # copies of each recording, in other rooms and through other devices
# Of a clip in the pool's objective, by set; a pool is fitted for each kind of sound.
# Raters' points say how sure a heatmap may be, one quadrant a clip hardly does: of the piano sets VGMIDI decides.
POOL_WEIGHTS = {"4q": 1.0, "emopia": 0.5, "vgmidi": 20.0}
POOL_STRIDE = 4  # emissions between those that the pools are fitted to: neighbours say the same
BIAS_RIDGE = {"recordings": 0.03, "piano": 0.01}
BLUR = {"recordings": 1.2, "piano": 0.0}  # cells; raters' points, cell by cell, are known of piano alone


class OutOfFold(NamedTuple):
    """A clip as told by decoders that were fitted without its group; also one altered copy, where it has any."""

    example: Example
    fold: int
    told: Told
    altered: Told | None = None


def train(data: Path, output: Path, *, seed: int = 0, progress: Say = print) -> Path:
    """``valaro train``: fit on all clips under ``data``, measure by cross-validation, write the bundle to ``output``.

    Raises:
        DataError: nothing to train on, labels that cannot be true, or PyTorch is not installed.
    """
    from .evaluate import fold_pools, score_folds
    from .report import summary

    learning()  # what is not installed is told before the measuring, not after it
    examples, folds = split(gather(data, progress, altered=ALTERED), progress)
    learn_folds(examples, folds, seed, progress, whole=True)
    outside: list[OutOfFold] = []
    for fold, told in zip(folds, side_by_side(partial(_told, examples, seed), folds), strict=True):
        progress(f"fold {fold}: fitted without it, and heard it")
        outside += told
    figures = score_folds(outside, fold_pools(outside))
    progress("fitting to all clips")
    bundle = fit(examples, seed=seed, progress=progress)
    bundle = replace(bundle, pools=fit_pools(outside), judge=_judge(data, seed, progress))
    sets = {name: sum(e.set == name for e in examples) for name in sorted({e.set for e in examples})}
    card = {
        "name": "Valaro default",
        "trained_on": sets,
        "licence": "research and non-commercial use only (the annotations, clips and teacher say so); see CARD.md",
        "seed": seed,
        "figures": summary(figures),
    }
    replace(bundle, card=card).save(output)
    progress(f"wrote {output}")
    return output


def _judge(data: Path, seed: int, progress: Say) -> Judge | None:
    """Who tells music from speech and noise; none, and the reason said, where there is nothing to teach one with."""
    try:
        judge = train_judge(data, seed=seed, progress=progress)
    except DataError as error:
        progress(f"the model will take all sound for music: {error}")
        return None
    progress("fitted the judge of music, speech and noise")
    return judge


def fit(examples: Sequence[Example], *, seed: int = 0, progress: Say = print) -> Bundle:
    """All decoders fitted to ``examples``, each calibrated to nothing yet; deterministic given the seed.

    Raises:
        DataError: no example with a label, fewer frames than components need, or PyTorch is not installed.
    """
    learn = learning()
    heard = with_copies(examples)
    bundle = fit_aeg(heard, seed=seed)
    progress("fitted the acoustic mixture and the affective Gaussians")
    bundle = replace(bundle, crf=fitted_chain(bundle, heard, CHAIN))
    progress("fitted the chain")
    return replace(bundle, lstm=LSTM(learn.learnt(examples, seed, progress)))


def with_copies(examples: Sequence[Example]) -> list[Example]:
    """Each clip as it is, and once more as each altered copy of it is: to the AEG and the chain, clips of their own."""
    return [*examples, *(replace(e, heard=heard, altered=()) for e in examples for heard in e.altered)]


def learning() -> ModuleType:
    """What teaches the network, ``training.learn``. Raises DataError if PyTorch is not installed."""
    try:
        from . import learn
    except ImportError as error:
        raise DataError(f"training the network needs {error.name}: pip install 'valaro[train]'") from error
    return learn


def learn_folds(
    examples: Sequence[Example], folds: Sequence[int], seed: int, progress: Say, *, whole: bool = False
) -> None:
    """Learn the networks that leave out one fold each (and the one that leaves out none) side by side."""
    parts = [[e for e in examples if e.fold != fold] for fold in folds] + ([list(examples)] if whole else [])
    learning().learn_all(parts, seed, progress)


def split(examples: Sequence[Example], progress: Say) -> tuple[list[Example], list[int]]:
    """The examples, and the folds to test on. A set that cannot be tested is said, and left out of no training.

    Raises:
        DataError: no set has clips of two groups in two folds.
    """
    if not any(e.set in SETS for e in examples):
        raise DataError(f"none of {', '.join(SETS)} has clips that can be used: whatever else there is only helps them")
    found: set[int] = set()
    untested: set[str] = set()
    for name in SETS:
        if members := [e for e in examples if e.set == name]:
            try:
                folds: list[Fold] = grouped_folds([e.fold for e in members], [e.group for e in members])
                found |= {fold.number for fold in folds}
            except DataError as error:
                progress(f"{name} is trained on but not tested: {error}")
                untested.add(name)
    if not found:
        raise DataError("no set has clips of two groups in two folds: nothing to test on that was not trained on")
    return [replace(e, fold=NEVER) if e.set in untested else e for e in examples], sorted(found)


def fold_bundle(examples: Sequence[Example], fold: int, seed: int, progress: Say = quietly) -> Bundle:
    """The decoders fitted without one fold of each set."""
    progress(f"fold {fold}: fitting without it")
    return fit([e for e in examples if e.fold != fold], seed=seed, progress=progress)


def _told(examples: Sequence[Example], seed: int, fold: int) -> list[OutOfFold]:
    return list(out_of_fold(fold_bundle(examples, fold, seed), examples, fold))


def out_of_fold(bundle: Bundle, examples: Sequence[Example], fold: int) -> Iterator[OutOfFold]:
    """The fold's clips, told by decoders that were fitted without it."""
    for example in examples:
        if example.fold == fold:
            copies = [tell(bundle, heard) for heard in example.altered[:1]]
            yield OutOfFold(example, fold, tell(bundle, example.heard), *copies)


def item_of(example: Example) -> Item:
    """The example as scoring wants it."""
    trace = None if example.trace is None else course(example.trace, example.heard.emissions)
    return Item(example.id, example.set, example.group, example.fold, example.quadrant, example.points, trace)


def fit_pools(outside: Sequence[OutOfFold]) -> dict[str, Pool]:
    """A calibrated pool of each decoder alone and of all (``fusion``), fitted to clips told out of their fold.

    To clips as they are and altered: the decoders that a phone's band or a noisy room lead astray count for less.
    """
    kinds = list(of_kinds([row.example for row in outside]))
    names, size = list(outside[0].told.names), outside[0].told.theta.shape[1]
    components = component_kinds(kinds)
    if components.size != size:  # a kind that is trained on and never tested
        components, kinds = np.zeros(size, dtype=np.int64), [kinds[0]]
    wanted = {FUSION: tuple(names)} | {name: (name,) for name in names}
    fitted: dict[str, list[calibration.Pool]] = {name: [] for name in wanted}
    for kind in kinds:
        rows = [row for row in outside if row.example.set in KINDS[kind]]
        targets, logs = [], []
        for row in rows:
            versions = [told for told in (row.told, row.altered) if told is not None]
            for told in versions:
                E = told.log_heatmaps.shape[1]
                chosen = np.arange(POOL_STRIDE - 1, E, POOL_STRIDE)
                every = targets_of(item_of(row.example), E)
                share = every.weight[chosen] * told.presence[chosen]
                share *= POOL_WEIGHTS[row.example.set] / len(versions) / max(float(share.sum()), 1e-9)
                targets.append(calibration.Targets(every.mask[chosen], every.region[chosen], share))
                logs.append(told.log_heatmaps[:, chosen].astype(np.float64))
        target, log = all_targets(targets), np.concatenate(logs, axis=1)
        for name, members in wanted.items():
            chosen_logs = [smoothed(log[names.index(member)], BLUR[kind]) for member in members]
            bias = BIAS_RIDGE[kind] if name == FUSION else None
            fitted[name].append(calibration.fit_pool(chosen_logs, target, bias_ridge=bias))
    return {
        name: Pool(
            wanted[name],
            components,
            np.stack([p.exponents for p in found]),
            np.stack([p.bias for p in found]),
            np.array([BLUR[kind] for kind in kinds]),
        )
        for name, found in fitted.items()
    }
