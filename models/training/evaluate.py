"""How good the model is, from its streamed heatmaps, on clips of artists, songs and pieces it was not fitted to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, load_bundle
from ..errors import DataError
from ..features import EMISSION, RATE
from ..grid import CELL_AROUSAL, CELL_VALENCE, CELLS, cell_of, quadrants
from . import metrics
from .corpus import SETS, Example, Say, gather
from .splits import Fold, grouped_folds
from .train import fit, stream_theta

if TYPE_CHECKING:
    from rich.table import Table

HEARD = (5.0, 10.0, 15.0)  # s of listening after which 4Q is scored as well

Figures = dict[str, Any]


def evaluate(data: Path, *, bundle: Path | None = None, seed: int = 0, progress: Say = print) -> Figures:
    """``valaro evaluate``: cross-validated figures of the recipe, or those of a ``bundle`` as it is.

    A bundle's own figures flatter it on clips that it was trained on; they are for clips that it was not.

    Raises:
        BundleError, DataError: the bundle or the data cannot be used.
    """
    given = load_bundle(bundle) if bundle is not None else None
    examples = gather(data, progress)
    return cross_validate(examples, seed=seed, bundle=given, progress=progress)


def cross_validate(
    examples: Sequence[Example], *, seed: int = 0, bundle: Bundle | None = None, progress: Say = print
) -> Figures:
    """Fit on four fifths, score the streamed heatmaps on the last fifth, five times; grouped splits.

    Every set's fold k is left out of the k-th fit. With ``bundle`` nothing is fitted, only scored.

    Returns:
        {set: {figure: {"mean", "se" over folds, "folds"}}}.
    """
    folds = {name: _folds([e for e in examples if e.set == name], name, progress) for name in _sets(examples)}
    folds = {name: found for name, found in folds.items() if found}
    if not folds:
        raise DataError("no set has clips of two groups in two folds: nothing to test on that was not trained on")
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in folds}
    for k in sorted({fold.number for found in folds.values() for fold in found}):
        held_out = {id(e) for e in examples if e.fold == k}
        trained = [e for e in examples if id(e) not in held_out]
        model = bundle if bundle is not None else fit(trained, seed=seed)
        for name in folds:
            test = [e for e in examples if e.set == name and e.fold == k]
            if test:
                known = [e for e in trained if e.set == name]
                scores[name].append(
                    _score_points(model, test, known) if name == "vgmidi" else _score_clips(model, test)
                )
        progress(f"fold {k}: " + ", ".join(f"{name} {_headline(rows[-1])}" for name, rows in scores.items() if rows))
    return {name: _join(rows) for name, rows in scores.items()}


def summary(result: Figures) -> Figures:
    """The figures' means alone, rounded: what a bundle's manifest keeps."""
    return {name: {key: round(value["mean"], 4) for key, value in figures.items()} for name, figures in result.items()}


def tables(result: Figures) -> list["Table"]:
    """One rich table a set: figure, mean, standard error over the folds."""
    from rich.table import Table

    shown = []
    for name, figures in result.items():
        table = Table(title=f"{name}, streamed and causal, unseen {_GROUPS.get(name, 'groups')}", title_justify="left")
        table.add_column("figure")
        table.add_column("mean", justify="right")
        table.add_column("± standard error", justify="right")
        for key, value in figures.items():
            table.add_row(_LABELS.get(key, key), f"{value['mean']:.3f}", f"{value['se']:.3f}")
        shown.append(table)
    return shown


_GROUPS = {"4q": "artists", "emopia": "songs", "vgmidi": "pieces"}
_LABELS = {
    "macro_f1": "quadrants: macro-F1",
    "accuracy": "quadrants: accuracy",
    "valence": "sign of valence: accuracy",
    "arousal": "sign of arousal: accuracy",
    "log_likelihood": "log-likelihood of raters' points, nats a cell",
    "prior_log_likelihood": "the same for the global prior smoothed by one cell",
    "histogram_log_likelihood": "the same for the global histogram as it is",
    "uniform_log_likelihood": "the same for the uniform heatmap",
} | {f"macro_f1_{s:g}s": f"quadrants after {s:g} s: macro-F1" for s in HEARD}
_LABELS |= {
    f"r_{axis}_{where}": f"{axis}: r {where} pieces"
    for axis in ("valence", "arousal")
    for where in ("between", "within")
}


def _sets(examples: Sequence[Example]) -> list[str]:
    return [name for name in SETS if any(e.set == name for e in examples)]


def _folds(examples: Sequence[Example], name: str, progress: Say) -> list[Fold]:
    try:
        return grouped_folds([e.fold for e in examples], [e.group for e in examples])
    except DataError as error:
        progress(f"{name} is trained on but not tested: {error}")
        return []


def _headline(row: Mapping[str, float]) -> str:
    key = "macro_f1" if "macro_f1" in row else "log_likelihood"
    return f"{key} {row[key]:.3f}"


def _join(rows: Sequence[Mapping[str, float]]) -> Figures:
    """Over the folds. A correlation that fewer than two folds define (one piece in each) is left out."""
    joined = {}
    for key in rows[0]:
        values = [row[key] for row in rows if np.isfinite(row[key])]
        if len(values) > 1:
            joined[key] = {"mean": float(np.mean(values)), "se": metrics.standard_error(values), "folds": values}
    return joined


def heatmaps(bundle: Bundle, example: Example) -> NDArray[np.float64]:
    """The heatmap at each emission of a clip: (emissions, 121).

    As the live chain gives it, but for the 1e-9 a cell that keeps the decoder's logarithm finite.
    """
    theta = stream_theta(bundle.projection, bundle.acoustic, bundle.topics, example)
    return theta @ bundle.affective.cell_masses()


def _score_clips(bundle: Bundle, test: Sequence[Example]) -> dict[str, float]:
    truth = np.array([e.quadrant for e in test], dtype=np.intp)
    mass = [quadrants(heatmaps(bundle, e)) for e in test]
    whole = np.stack([m.mean(axis=0) for m in mass])
    valence, arousal = metrics.valence_arousal_accuracy(truth, whole)
    figures = {
        "macro_f1": metrics.macro_f1(truth, whole.argmax(axis=1)),
        "accuracy": metrics.accuracy(truth, whole.argmax(axis=1)),
        "valence": valence,
        "arousal": arousal,
    }
    for seconds in HEARD:
        emissions = round(seconds * RATE / EMISSION)
        early = np.stack([m[:emissions].mean(axis=0) for m in mass])
        figures[f"macro_f1_{seconds:g}s"] = metrics.macro_f1(truth, early.argmax(axis=1))
    return figures


def _score_points(bundle: Bundle, test: Sequence[Example], known: Sequence[Example]) -> dict[str, float]:
    """Log-likelihoods are means over pieces of the mean over a piece's ratings."""
    cells = np.concatenate([_cells(e) for e in known]) if known else np.arange(CELLS)
    baselines = {
        "prior_log_likelihood": metrics.prior_heatmap(cells),
        "histogram_log_likelihood": metrics.prior_heatmap(cells, blur=0.0),
    }
    ours, rows = [], []
    theirs: dict[str, list[float]] = {name: [] for name in baselines}
    for i, example in enumerate(test):
        assert example.points is not None
        maps, cells = heatmaps(bundle, example), _cells(example)
        ours.append(metrics.log_likelihood(maps, example.points.emission, cells).mean())
        for name, baseline in baselines.items():
            theirs[name].append(metrics.log_likelihood(baseline, example.points.emission, cells).mean())
        count = np.bincount(example.points.emission, minlength=len(maps))
        rated = count > 0
        truth = [
            np.bincount(example.points.emission, weights, len(maps))[rated] / count[rated]
            for weights in (example.points.valence, example.points.arousal)
        ]
        predicted = [(maps @ axis)[rated] for axis in (CELL_VALENCE, CELL_AROUSAL)]
        rows.append(np.stack([*truth, *predicted, np.full(rated.sum(), i)]))
    v, a, pv, pa, piece = np.concatenate(rows, axis=1)
    figures = {
        "log_likelihood": float(np.mean(ours)),
        **{name: float(np.mean(values)) for name, values in theirs.items()},
        "uniform_log_likelihood": -float(np.log(CELLS)),
    }
    for axis, truth_, predicted_ in (("valence", v, pv), ("arousal", a, pa)):
        figures[f"r_{axis}_between"] = metrics.between_groups(metrics.pearson, truth_, predicted_, piece)
        figures[f"r_{axis}_within"] = metrics.within_groups(metrics.pearson, truth_, predicted_, piece)
    return figures


def _cells(example: Example) -> NDArray[np.intp]:
    assert example.points is not None
    return cell_of(example.points.valence, example.points.arousal)
