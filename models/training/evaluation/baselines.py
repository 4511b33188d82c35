"""What the decoders are held against: predictions that know less, and the usual offline classifier.

All come as streams, (emissions, 121) heatmaps of one clip, so that they are scored by the same functions.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from ...errors import DataError
from ...grid import CELLS, QUADRANT_SHARE
from ..cache import RATE, CountProgress, Extractor, extract_all
from ..corpus.items import Item, Stream
from ..corpus.targets import cells_of
from ..recipe import SVMSettings
from . import metrics

_EXTRA = "pip install 'valaro[train]'"

# The 25 cells that lie wholly in each quadrant, (4, 121): so spread, a quadrant's mass comes back as it was.
_WHOLLY = (QUADRANT_SHARE.T == 1.0) / 25.0


def global_prior(known: Sequence[Item]) -> NDArray[np.float64]:
    """What the labels of ``known`` items say about any music at all: one heatmap (121,).

    Of rated pieces the smoothed histogram of the ratings (``metrics.prior_heatmap``), else how often each quadrant
    occurs, evenly spread in it; uniform if there is no label.
    """
    points = [cells_of(item.points) for item in known if item.points is not None]
    if points:
        return metrics.prior_heatmap(np.concatenate(points))
    labels = [item.quadrant for item in known if item.quadrant is not None]
    if labels:
        return spread(np.bincount(labels, minlength=4) / len(labels))
    return np.full(CELLS, 1.0 / CELLS)


def held(heatmap: NDArray[np.float64], emissions: int) -> Stream:
    """One heatmap (121,) for all emissions of a clip: (emissions, 121)."""
    return np.tile(heatmap, (emissions, 1))


def constant_per_clip(stream: Stream) -> Stream:
    """The stream's own mean, held: what the decoder would be worth if its course inside a clip said nothing.

    Not causal: it knows the whole clip from its start.
    """
    return held(stream.mean(axis=0), len(stream))


def spread(mass: ArrayLike) -> NDArray[np.float64]:
    """Quadrant masses (..., 4) as heatmaps (..., 121), even inside each quadrant; ``quadrants`` gives them back."""
    return np.asarray(mass, dtype=np.float64) @ _WHOLLY


def clip_statistics(rows: NDArray[np.floating], weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Mean and standard deviation of a clip's rows: (n, D) -> (2 D,); ``weights`` (n,) >= 0, 1 each unless given.

    Rows that count nothing (silence) are left out; if that is all of them, they count alike.
    """
    values = np.asarray(rows, dtype=np.float64)
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(values), 1.0 / len(values))
    mean = weight @ values
    return np.concatenate([mean, np.sqrt(weight @ (values - mean) ** 2)])


def svm_masses(
    train: NDArray[np.floating],
    truth: ArrayLike,
    groups: Sequence[str],
    test: NDArray[np.floating],
    settings: SVMSettings,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Quadrant masses (m, 4) of ``test`` (m, D) by an RBF support vector machine fitted to ``train`` (n, D).

    C and gamma are chosen by macro-F1 over inner folds that split no group; columns are brought to unit deviation.
    The masses are the softmax of the one-against-rest decision values, at the temperature that fits those of the inner
    folds' held-out clips best: their largest is the machine's own answer. A quadrant that no clip has gets none.

    Raises
    ------
    DataError
        Scikit-learn is absent, fewer than two groups or quadrants, or values that are not finite.
    """
    labels = np.asarray(truth, dtype=np.intp)
    present = np.unique(labels)
    if present.size < 2 or len(set(groups)) < 2:
        raise DataError("the SVM baseline needs clips of two quadrants and two groups to be fitted to")
    if not (np.all(np.isfinite(train)) and np.all(np.isfinite(test))):
        raise DataError("the SVM baseline was given features that are not finite numbers")
    try:
        machine, unseen = _tuned(train, labels, groups, settings, seed)
    except ValueError as error:  # scikit-learn's, where an inner fold lacks a quadrant
        raise DataError(f"too few clips for the SVM baseline: {error}") from error
    sharpness = _sharpness(_columns(unseen), np.searchsorted(present, labels))
    machine.fit(train, labels)
    masses = np.zeros((len(test), 4))
    masses[:, present] = softmax(sharpness * _columns(machine.decision_function(test)), axis=1)
    return masses


def _tuned(
    train: NDArray[np.floating], labels: NDArray[np.intp], groups: Sequence[str], settings: SVMSettings, seed: int
) -> tuple[Any, NDArray[np.float64]]:
    """The machine with the best C and gamma, not fitted, and its decisions on the clips that inner folds left out."""
    try:
        from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC
    except ImportError as error:
        raise DataError(f"the SVM baseline needs scikit-learn: {_EXTRA}") from error
    folds = StratifiedGroupKFold(min(settings.inner_folds, len(set(groups))), shuffle=True, random_state=seed)
    inner = list(folds.split(train, labels, groups))
    machine = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    grid = {"svc__C": list(settings.c), "svc__gamma": [g / train.shape[1] for g in settings.gamma]}
    search = GridSearchCV(machine, grid, scoring="f1_macro", cv=inner, refit=False)
    search.fit(train, labels)
    machine.set_params(**search.best_params_)
    return machine, np.asarray(cross_val_predict(machine, train, labels, cv=inner, method="decision_function"))


def _columns(decision: NDArray[np.float64]) -> NDArray[np.float64]:
    """One decision value a class: with two classes scikit-learn gives that of the second alone."""
    return decision if decision.ndim == 2 else np.stack([-decision, decision], axis=1) / 2


def _sharpness(decision: NDArray[np.float64], labels: NDArray[np.intp]) -> float:
    """The factor in the softmax that gives the labels the most likelihood."""

    def loss(log_sharpness: float) -> float:
        log_masses = log_softmax(np.exp(log_sharpness) * decision, axis=1)
        return -float(log_masses[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x))


def need_opensmile() -> None:
    """Refuse to go on without the ``opensmile`` package: DataError with the pip command."""
    try:
        import opensmile  # noqa: F401
    except ImportError as error:
        raise DataError(f"the eGeMAPS baseline needs openSMILE: {_EXTRA}") from error


def egemaps(
    audio: Sequence[tuple[str, Path]], processes: int = 1, progress: CountProgress | None = None
) -> tuple[dict[str, NDArray[np.float64]], Mapping[str, str]]:
    """The eGeMAPSv02 functionals of whole sound files, (id, path) each, through the cache.

    Returns
    -------
    tuple
        {id: (88,)}, and {id: why} of the files that give none.

    Raises
    ------
    DataError
        OpenSMILE is absent.
    """
    need_opensmile()
    import opensmile

    layout = f"eGeMAPSv02 functionals, opensmile {opensmile.__version__}"
    extracted = extract_all(audio, _egemaps_extractor, layout, processes, progress)
    return {clip: extracted.features(clip)[0].astype(np.float64) for clip in extracted.paths}, extracted.skipped


def _egemaps_extractor() -> Extractor:
    import opensmile

    machine = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    return partial(_functionals, machine)


def _functionals(machine: Any, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    # openSMILE reports sound too short for a frame as NaN; no feature of it is worth stopping for.
    functionals = machine.process_signal(samples, RATE).to_numpy(dtype=np.float32)
    return np.nan_to_num(functionals, nan=0.0, posinf=0.0, neginf=0.0)
