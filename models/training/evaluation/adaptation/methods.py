"""The ways to adapt to a listener that are compared, each with constants learnt from other listeners."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....adaptation import basis as bases
from ....adaptation.base import Listening
from ....adaptation.gaussians import LinearAdaptation, Reweighting, personal_heatmap
from ....adaptation.heatmap_shift import MovedHeatmaps, standard_listener
from ....adaptation.map import MapAdaptation
from ....adaptation.regression import ListenerPrior, Ratings
from ....decoders.aeg import LOG_FLOOR, AffectiveGMM
from ....grid import CELLS
from ...fit.listener_prior import fit_prior
from .panels import Panel

TIE_LENGTH = 0.4  # on the plane: how far what one component learns reaches
TIE_RANK = 8
SOUND_LENGTH = 1.5  # in deviations of the acoustic mixture's input
_MEAN_COUNTS = (0.25, 1.0, 4.0, 16.0, 64.0)
_WEIGHT_COUNTS = (10.0, np.inf)
_TUNED_AT = 10  # ratings


class Others(NamedTuple):
    """What a method may learn its constants from: ratings of others than the tested listener."""

    panel: Panel
    rows: NDArray[np.intp]
    background: AffectiveGMM  # fitted to them, where it is fitted at all
    logs: NDArray[np.float64]  # (T, 121): the log heatmaps that are to be adapted

    def heard(self, row: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """theta, log heatmap and va of a rating."""
        item = self.panel.item[row]
        return self.panel.theta[item], self.logs[item], self.panel.va[row]

    def states(self, listening: Listening[Any]) -> list[Any]:
        """Each listener's state with all that is known of them."""
        states = {one: listening.init() for one in np.unique(self.panel.listener[self.rows]).tolist()}
        for row in self.rows:
            one = int(self.panel.listener[row])
            states[one] = listening.rate(states[one], *self.heard(row))
        return list(states.values())


def known_of(panel: Panel, rows: NDArray[np.intp]) -> Others:
    """What is known of others by these rows (indices into the panel's ratings)."""
    background = panel.background(rows)
    logs = panel.log_heatmaps
    if logs is None:
        logs = np.log((personal_heatmap(background, panel.theta) + LOG_FLOOR) / (1.0 + CELLS * LOG_FLOOR))
    return Others(panel, rows, background, logs)


Method: TypeAlias = Callable[[Others], Listening[Any]]


def still(others: Others) -> Listening[Any]:
    """No adaptation at all."""
    return Reweighting(MapAdaptation(others.background, mean_count=np.inf, covariance_count=np.inf))


def untied(others: Others) -> Listening[Any]:
    """MAP of each component by itself; the relevance factors are those that served other listeners best."""
    return _tuned(others, None)


def tied(others: Others) -> Listening[Any]:
    """MAP of components that learn from their neighbours on the plane."""
    return _tuned(others, bases.kernel(others.background.means, TIE_LENGTH))


def _tuned(others: Others, tying: NDArray[np.float64] | None) -> Listening[Any]:
    """MAP with the counts of least error (Eq. 9's mean) on other listeners' ratings after their first ten."""
    panel, rows = others.panel, np.random.default_rng(0).permutation(others.rows)
    candidates = [
        MapAdaptation(others.background, mean, weight_count=weight, tying=tying)
        for mean in _MEAN_COUNTS
        for weight in _WEIGHT_COUNTS
    ]
    tested = []
    for one in np.unique(panel.listener[rows]):
        own = rows[panel.listener[rows] == one]
        state = candidates[0].init()  # sums do not depend on the counts
        for row in own[:_TUNED_AT]:
            state = candidates[0].rate(state, panel.theta[panel.item[row]], panel.va[row])
        tested.append((state, panel.theta[panel.item[own[_TUNED_AT:]]], panel.va[own[_TUNED_AT:]]))

    def error(candidate: MapAdaptation) -> float:
        total = 0.0
        for state, theta, va in tested:
            shared = theta * candidate.weights(state)
            shared /= shared.sum(axis=1, keepdims=True)
            total += float(np.square(va - shared @ candidate.affective(state).means).sum())
        return total

    return Reweighting(min(candidates, key=error))


def mllr(others: Others, *, classes: bool = False) -> Listening[Any]:
    """An affine map of the Gaussians, its prior by empirical Bayes; ``classes``: and one for each quadrant's."""
    background = others.background
    basis = bases.mllr_basis(background)
    if classes:
        basis = bases.class_basis(background, bases.quadrant_classes(background))
    blank = LinearAdaptation(background, basis, _blank(basis.shape[1]))
    prior = fit_prior(others.states(Reweighting(blank)), affine=3)
    return Reweighting(LinearAdaptation(background, basis, prior))


def moved(
    basis: NDArray[np.float64], others: Others, *, affine: int | None = None, centred: bool = True
) -> Listening[Any]:
    """The emitted heatmap moved, its prior by empirical Bayes; ``affine`` leading features vary together."""
    blank = MovedHeatmaps(basis, _blank(3 + basis.shape[1]))
    prior = fit_prior(others.states(blank), affine=affine or 3 + basis.shape[1], centred=centred)
    return MovedHeatmaps(basis, prior)


def bias(others: Others) -> Listening[Any]:
    """The emitted heatmap moved by the same offset everywhere: the mean of the listener's errors, shrunk."""
    nothing = np.zeros((others.background.components, 0))
    sums = others.states(MovedHeatmaps(nothing, _blank(3)))
    alone = fit_prior([Ratings(s.total, s.gram[:1, :1], s.cross[:, :1], s.square) for s in sums], affine=1)
    covariance = 1e-12 * np.eye(6)
    covariance[np.ix_([0, 3], [0, 3])] = alone.covariance
    return MovedHeatmaps(nothing, ListenerPrior(np.zeros((2, 3)), covariance, alone.noise, alone.noise_count))


def _blank(features: int) -> ListenerPrior:
    return ListenerPrior(np.zeros((2, features)), np.eye(2 * features), np.eye(2))


def default(others: Others, *, centred: bool = True) -> Listening[Any]:
    """The emitted heatmap moved by an affine function of its own mean and of the AEG decoder's."""
    return moved(others.background.means, others, centred=centred)


def default_tied(others: Others) -> Listening[Any]:
    """The same, and smooth displacements of what sounds alike."""
    smooth = bases.tied_basis(bases.kernel(others.panel.places, SOUND_LENGTH), TIE_RANK)
    return moved(np.concatenate([others.background.means, smooth], axis=1), others, affine=5)


METHODS: dict[str, Method] = {
    "background": still,
    "bias only": bias,
    "MAP, untied": untied,
    "MAP, tied": tied,
    "MLLR": mllr,
    "MLLR by classes": partial(mllr, classes=True),
    "affine map of the heatmap": lambda others: moved(np.zeros((others.background.components, 0)), others),
    "default": default,
    "default and tying": default_tied,
    "shipped constants": lambda others: standard_listener(others.background.components),
    "default, others' mean": partial(default, centred=False),
}
