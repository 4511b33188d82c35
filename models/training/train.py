"""``valaro train``: every decoder fitted to all clips, the pool that joins them fitted to clips that none had seen."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from ..acoustic.activity import ActivityClassifier
from ..errors import DataError
from .corpus.examples import Progress, gather
from .evaluation.cross_validation import OutOfFold, fit_pools, fold_pools, learn_folds, outside_fold, score_folds, split
from .evaluation.report import summary
from .fit.activity import train_activity_classifier
from .fit.bundle import fit, learning
from .parallel import side_by_side
from .recipe import RECIPE, Recipe


def train(data: Path, output: Path, *, seed: int = 0, recipe: Recipe = RECIPE, progress: Progress = print) -> Path:
    """``valaro train``: fit on all clips under ``data``, measure by cross-validation, write the bundle to ``output``.

    Raises
    ------
    DataError
        Nothing to train on, labels that cannot be true, or PyTorch is not installed.
    """
    learning()  # what is not installed is told before the measuring, not after it
    examples, folds = split(gather(data, progress, altered=recipe.altered, processes=recipe.processes), progress)
    learn_folds(examples, folds, seed, progress, recipe=recipe, whole=True)
    outside: list[OutOfFold] = []
    parts = side_by_side(partial(outside_fold, examples, seed, recipe), folds, recipe.processes)
    for fold, rows in zip(folds, parts, strict=True):
        progress(f"fold {fold}: fitted without it, and heard it")
        outside += rows
    figures = score_folds(outside, fold_pools(outside, recipe=recipe))
    progress("fitting to all clips")
    bundle = fit(examples, seed=seed, recipe=recipe, progress=progress)
    bundle = replace(
        bundle, pools=fit_pools(outside, recipe), activity_classifier=_activity_classifier(data, recipe, seed, progress)
    )
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


def _activity_classifier(data: Path, recipe: Recipe, seed: int, progress: Progress) -> ActivityClassifier | None:
    """Who tells music from speech and noise; none, and the reason said, where there is nothing to teach one with."""
    try:
        classifier = train_activity_classifier(data, recipe.activity, seed=seed, progress=progress)
    except DataError as error:
        progress(f"the model will take all sound for music: {error}")
        return None
    progress("fitted the classifier of music, speech and noise")
    return classifier
