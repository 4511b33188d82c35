"""``valaro train``: every decoder fitted to all clips, the pool that joins them fitted to clips that none had seen."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from ..acoustic.activity import ActivityClassifier
from ..errors import DataError
from .corpus.examples import Progress, gather
from .evaluation.cross_validation import OutOfFold, _told, fit_pools, learn_folds, split
from .fit.activity import train_judge
from .fit.bundle import ALTERED, fit, learning
from .parallel import side_by_side


def train(data: Path, output: Path, *, seed: int = 0, progress: Progress = print) -> Path:
    """``valaro train``: fit on all clips under ``data``, measure by cross-validation, write the bundle to ``output``.

    Raises:
        DataError: nothing to train on, labels that cannot be true, or PyTorch is not installed.
    """
    from .evaluation.cross_validation import fold_pools, score_folds
    from .evaluation.report import summary

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


def _judge(data: Path, seed: int, progress: Progress) -> ActivityClassifier | None:
    """Who tells music from speech and noise; none, and the reason said, where there is nothing to teach one with."""
    try:
        judge = train_judge(data, seed=seed, progress=progress)
    except DataError as error:
        progress(f"the model will take all sound for music: {error}")
        return None
    progress("fitted the judge of music, speech and noise")
    return judge
