"""What adaptation to a listener is worth after 1, 2, 5, 10, ... ratings: error curves against baselines."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from ....adaptation.base import Listening
from ....bundle import load_bundle
from ....errors import DataError
from ....grid import CELL_AROUSAL, CELL_VALENCE, cell_of
from ...corpus.examples import Progress
from ..report import Value
from .methods import METHODS, Method, Others, known_of
from .panels import Panel, agreement_panel, simulated_panel, soundtracks_panel

COUNTS = (0, 1, 2, 5, 10)
LONG_COUNTS = (*COUNTS, 20, 40)
ORDERS = 20
FOLDS = 5
_PLACES = np.column_stack([CELL_VALENCE, CELL_AROUSAL])

Curves: TypeAlias = dict[str, dict[str, dict[int, Value]]]  # {method: {figure: {n: value}}}


class _Scores:
    """Squared errors and log-likelihoods by listener, summed."""

    def __init__(self, listeners: int, counts: Sequence[int]) -> None:
        self.sums = {n: {} for n in counts}
        self.tests = {n: np.zeros(listeners) for n in counts}
        self.listeners = listeners

    def add(self, n: int, listener: int, tests: int, figures: Mapping[str, float]) -> None:
        self.tests[n][listener] += tests
        for name, value in figures.items():
            self.sums[n].setdefault(name, np.zeros(self.listeners))[listener] += value

    def values(self, among: NDArray[np.bool_]) -> dict[str, dict[int, Value]]:
        """{figure: {n: Value}} over the listeners ``among``; standard errors are those over listeners."""
        figures: dict[str, dict[int, Value]] = {}
        for n, sums in self.sums.items():
            tested = among & (self.tests[n] > 0)
            for name, total in sums.items():
                by_listener = total[tested] / self.tests[n][tested]
                mean, error = (
                    float(by_listener.mean()),
                    float(by_listener.std(ddof=1) / np.sqrt(by_listener.size)) if by_listener.size > 1 else None,
                )
                if name.startswith("rmse"):
                    root = float(np.sqrt(mean))
                    mean, error = root, None if error is None else error / max(2.0 * root, 1e-12)
                figures.setdefault(name, {})[n] = Value(mean=mean, se=error, folds=[])
        return figures


def curves(
    panel: Panel,
    counts: Sequence[int],
    methods: Mapping[str, Method] = METHODS,
    *,
    orders: int = ORDERS,
    item_folds: int = 1,
    seed: int = 0,
    progress: Progress = print,
) -> dict[str, Curves]:
    """Error over the number of ratings; {part of the panel: curves}, "" for all and one for each kind of listener.

    Listeners are left out by fold: background and constants come from the other folds' listeners. ``orders``: random
    orders of each listener's ratings; the first n adapt, the rest test. ``item_folds`` above 1: what is tested on was
    kept from the other listeners' ratings too, fold by fold.

    Figures of the heatmaps that the listener would get: ``rmse`` of their mean (both axes together: root of the mean
    squared distance), ``rmse_valence``, ``rmse_arousal``, and ``log_likelihood`` of the rating's cell, nats.
    """
    rng = np.random.default_rng(seed)
    listener_fold = rng.permutation(panel.listeners) % FOLDS
    item_fold = rng.permutation(len(panel.theta)) % item_folds
    drawn = _drawn(panel, orders, rng)
    scores = {name: _Scores(panel.listeners, counts) for name in methods}
    for fold in range(FOLDS):
        for held in range(item_folds):
            known = listener_fold[panel.listener] != fold
            if item_folds > 1:
                known &= item_fold[panel.item] != held
            others = known_of(panel, np.flatnonzero(known))
            for name, method in methods.items():
                listening = method(others)
                for one in np.flatnonzero(listener_fold == fold):
                    for order in drawn[one]:
                        tests = item_fold[panel.item[order]] == held
                        _follow(others, listening, order, tests, counts, scores[name])
        progress(f"{panel.name}: listeners of fold {fold + 1} of {FOLDS}")
    parts = {"": np.ones(panel.listeners, dtype=bool)}
    parts |= {kind: np.array(panel.kinds) == kind for kind in dict.fromkeys(panel.kinds)}
    return {part: {name: sums.values(among) for name, sums in scores.items()} for part, among in parts.items()}


def _drawn(panel: Panel, orders: int, rng: np.random.Generator) -> list[list[NDArray[np.intp]]]:
    """For each listener, ``orders`` random orders of the rows that are theirs."""
    own = [np.flatnonzero(panel.listener == one) for one in range(panel.listeners)]
    return [[rng.permutation(rows) for _ in range(orders)] for rows in own]


def _follow(
    others: Others,
    listening: Listening[Any],
    order: NDArray[np.intp],
    tests: NDArray[np.bool_],
    counts: Sequence[int],
    scores: _Scores,
) -> None:
    """One listener rates in one order; after each number of ratings all that is still unrated is predicted."""
    panel, state, given = others.panel, listening.init(), 0
    for n in counts:
        for row in order[given:n]:
            state = listening.rate(state, *others.heard(row))
        given = n
        rest = order[n:][tests[n:]]
        if rest.size:
            items, va = panel.item[rest], panel.va[rest]
            logs = listening.heatmap(state, panel.theta[items], others.logs[items])
            squared = np.square(va - np.exp(logs) @ _PLACES).sum(axis=0)
            likelihood = float(logs[np.arange(rest.size), cell_of(va[:, 0], va[:, 1])].sum())
            figures = {
                "rmse": float(squared.sum()),
                "rmse_valence": float(squared[0]),
                "rmse_arousal": float(squared[1]),
                "log_likelihood": likelihood,
            }
            scores.add(n, int(panel.listener[order[0]]), rest.size, figures)


class Setting(NamedTuple):
    """How a set is evaluated."""

    title: str
    panel: Callable[[], Panel]
    counts: Sequence[int]
    item_folds: int


class PersonalReport(TypedDict):
    """All that was found: {set: {part: curves}}, "" being all listeners, and how each set was evaluated."""

    curves: dict[str, dict[str, Curves]]
    titles: dict[str, str]


def evaluate_personal(data: Path, progress: Progress = print, *, orders: int = ORDERS, seed: int = 0) -> PersonalReport:
    """``valaro evaluate --personal``: the curves of every set of listeners under ``data``; what is absent is said.

    Raises
    ------
    DataError
        None is there.
    BundleError
        The default bundle cannot be read.
    """
    bundle = load_bundle()
    agreement, tracks = cache(partial(agreement_panel, data, bundle, progress)), cache(partial(soundtracks_panel, data))
    settings = {
        "agreement": Setting("listeners unseen", agreement, COUNTS, 1),
        "agreement, clips unseen": Setting("listeners and clips unseen by what is learnt", agreement, COUNTS, FOLDS),
        "soundtracks": Setting("raters unseen", tracks, LONG_COUNTS, 1),
        "soundtracks, tracks unseen": Setting("raters and tracks unseen by what is learnt", tracks, LONG_COUNTS, FOLDS),
        "soundtracks, tracks known": Setting(
            "raters unseen, each track as the other raters felt it",
            partial(soundtracks_panel, data, known=True),
            LONG_COUNTS,
            1,
        ),
        "simulated": Setting(
            "listeners whose way of hearing is known", partial(simulated_panel, data, bundle, progress), LONG_COUNTS, 1
        ),
    }
    report = PersonalReport(curves={}, titles={})
    absent: list[DataError] = []
    for name, setting in settings.items():
        try:
            panel = setting.panel()
        except DataError as error:
            absent.append(error)
            progress(f"left out: {error}")
            continue
        many = orders if setting.item_folds == 1 else max(orders // 4, 1)  # each fold of items is a pass of its own
        report["curves"][name] = curves(
            panel, setting.counts, orders=many, item_folds=setting.item_folds, seed=seed, progress=progress
        )
        report["titles"][name] = setting.title
    if not report["curves"]:
        raise absent[0]
    return report


def personal_markdown(report: PersonalReport) -> str:
    """Tables of RMSE (and what it is of the background's) and log-likelihood, a row a method."""
    parts = []
    for name, by_part in report["curves"].items():
        for part, by_method in by_part.items():
            of = f"{name} ({part})" if part else name
            for figure, heading in _SHOWN.items():
                parts.append(_table(f"{of}, {report['titles'][name]}: {heading}", figure, by_method))
    return "\n".join(parts)


_SHOWN = {
    "rmse": "RMSE of the heatmap's mean after n ratings (change against the background)",
    "log_likelihood": "log-likelihood of the rating's cell, nats",
}


def _table(title: str, figure: str, by_method: Curves) -> str:
    still_ = by_method["background"][figure]
    lines = [f"**{title}**", "", "| method | " + " | ".join(f"n = {n}" for n in still_) + " |"]
    lines.append("| --- |" + " ---: |" * len(still_))
    for method, figures in by_method.items():
        cells = []
        for n, value in figures[figure].items():
            text = f"{value['mean']:.3f}"
            if figure == "rmse" and method != "background":
                text += f" ({value['mean'] / still_[n]['mean'] - 1.0:+.1%})"
            elif value["se"] is not None:
                text += f" ±{value['se']:.3f}"
            cells.append(text)
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])
