"""Listeners to adapt to: who rated what, and what was heard as a topic posterior.

- agreement: 100 listeners on 22 real clips, heard by a bundle that was not trained on them.
- soundtracks: 90 raters of film music by published features: an acoustic mixture of its own, the background from
  other raters.
- simulated: listeners of 4Q's clips whose way of hearing is known: for the limits of adaptation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....acoustic.gmm import GMM
from ....bundle import Bundle
from ....decoders.aeg import AffectiveGMM
from ....errors import DataError
from ...cache import Extractor, extract_all
from ...corpus.decoding import decode, pooled
from ...corpus.examples import Progress
from ...corpus.measure import ClipFeatures, layout, measure
from ...corpus.targets import WeightedPoints
from ...datasets.folder import read_folder
from ...datasets.labels import Clip
from ...datasets.listeners import EMOTIONS, Soundtracks
from ...fit.affective import fit_affective
from ...fit.gmm import fit_gmm

# Where each emotion lies on the plane, degrees from positive valence towards positive arousal. The quadrant is that
# which the study itself gives the clips chosen for the emotion; inside it, the order round Russell's circumplex
# (Journal of Personality and Social Psychology 39, 1980): surprise and tension are nearly pure arousal, joy and
# tenderness nearly pure pleasure.
ANGLES = {
    "joy": 22.5, "power": 45.0, "surprise": 67.5, "tension": 112.5, "anger": 135.0, "fear": 135.0,
    "bitter": 202.5, "sad": 225.0, "peace": 315.0, "transcendence": 315.0, "tender": 337.5,
}  # fmt: skip
FULL = 4.0  # steps above "not at all" that reach the circle: one emotion at its fullest

COMPONENTS = 32  # of the soundtracks' acoustic mixture
DIRECTIONS = 8  # principal ones of its features
PER_QUADRANT = 30  # clips of 4Q that the simulated listeners hear
FLIPPED = "Jazz"  # the genre whose valence some simulated listeners hear the other way round
SIMULATED_NOISE = 0.2


@dataclass(frozen=True, eq=False)
class Panel:
    """Listeners who rated the same things; a row a rating, in no order.

    Parameters
    ----------
    name
        Of the set.
    theta
        (T, K), rows sum to 1: what each thing sounds like.
    listener, item
        (N,), indices of listeners and of rows of theta.
    va
        (N, 2), in [-1, 1].
    background
        Given the rows to learn from (indices), the background's Gaussians.
    places
        (K, D), where the acoustic components lie: near ones sound alike.
    log_heatmaps
        (T, 121), the calibrated heatmaps of the whole chain; None where there is no sound: those of the background
        stand for them.
    kinds
        (listeners,), names of groups that are also reported apart; empty: none.
    """

    name: str
    theta: NDArray[np.float64]
    listener: NDArray[np.intp]
    item: NDArray[np.intp]
    va: NDArray[np.float64]
    background: Callable[[NDArray[np.intp]], AffectiveGMM]
    places: NDArray[np.float64]
    log_heatmaps: NDArray[np.float64] | None = None
    kinds: tuple[str, ...] = ()

    @property
    def listeners(self) -> int:
        """How many there are."""
        return int(self.listener.max()) + 1


def points_of_emotions(ratings: NDArray[np.integer]) -> NDArray[np.float64]:
    """Eleven emotions rated 1 to 5, in the order of EMOTIONS -> valence and arousal: (..., 11) -> (..., 2).

    Each emotion pulls towards its place on the unit circle with its steps above 1; the sum is divided by the number of
    steps, or by FULL where they are fewer: who feels hardly anything is near neutral, who feels much of everything too.
    """
    angles = np.radians([ANGLES[name] for name in EMOTIONS])
    places = np.column_stack([np.cos(angles), np.sin(angles)])
    steps = np.asarray(ratings, dtype=np.float64) - 1.0
    return steps @ places / np.maximum(steps.sum(axis=-1, keepdims=True), FULL)


def agreement_panel(data: Path, bundle: Bundle, progress: Progress) -> Panel:
    """The agreement listeners; a clip is the mean of its emissions.

    Raises
    ------
    DataError
        If the set is not there.
    """
    folder = read_folder(data)
    if folder.ratings is None or not folder.agreement:
        raise DataError(f"{data}: the agreement clips need agreement/ratings.csv and 4q/audio")
    order = {clip: row for row, clip in enumerate(folder.ratings.clips)}
    clips = [clip for clip in folder.agreement if clip.id in order]
    theta, log_heatmaps = _decoded(clips, bundle, progress)
    ratings = points_of_emotions(folder.ratings.emotions)[:, [order[clip.id] for clip in clips]]
    L, T = ratings.shape[:2]
    listener, item = np.divmod(np.arange(L * T), T)
    va = ratings.reshape(-1, 2)
    return Panel(
        "agreement", theta, listener, item, va, lambda _: bundle.affective, bundle.acoustic.means, log_heatmaps
    )


def _decoded(
    clips: Sequence[Clip], bundle: Bundle, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean theta (T, K) and log of the mean pooled heatmap (T, 121) of clips' sound."""
    extracted = extract_all([(clip.id, clip.path) for clip in clips], _extractor, layout())
    for line in extracted.skipped.values():
        raise DataError(f"every clip is needed: {line}")
    progress(f"measured {len(clips)} clips")
    theta, heatmaps = [], []
    for clip in clips:
        outputs = decode(bundle, ClipFeatures(extracted.paths[clip.id]))
        theta.append(outputs.theta.astype(np.float64).mean(axis=0))
        heatmaps.append(pooled(outputs, bundle.pool()).mean(axis=0))
    mean = np.stack(theta)
    return mean / mean.sum(axis=1, keepdims=True), np.log(np.stack(heatmaps))


def _extractor() -> Extractor:
    return measure


def soundtracks_panel(data: Path, *, known: bool = False, components: int = COMPONENTS, seed: int = 0) -> Panel:
    """The film-music raters.

    Parameters
    ----------
    data
        The folder of all data sets.
    known
        Every track is a component of its own, so that the background is what other raters felt at that very track:
        what adaptation could reach if the model heard all that raters agree on.
    components
        Of the acoustic mixture.
    seed
        Of its fit.

    Raises
    ------
    DataError
        The set is not there.
    """
    soundtracks = read_folder(data).soundtracks
    if soundtracks is None:
        raise DataError(f"{data}: soundtracks needs ratings.csv and features.csv")
    mixture, frames = track_mixture(soundtracks, components, seed)
    theta = np.eye(len(frames)) if known else mixture.posteriors(frames)
    va = np.column_stack([soundtracks.valence, soundtracks.arousal])

    def background(rows: NDArray[np.intp]) -> AffectiveGMM:
        points = WeightedPoints(soundtracks.track[rows], va[rows], np.ones(rows.size))
        mean_count, covariance_count = (0.5, 5.0) if known else (10.0, 10.0)
        return fit_affective(
            theta, points=points, iterations=40, mean_count=mean_count, covariance_count=covariance_count
        )

    return Panel(
        "soundtracks", theta, soundtracks.rater, soundtracks.track, va, background, frames if known else mixture.means
    )


def track_mixture(soundtracks: Soundtracks, components: int, seed: int) -> tuple[GMM, NDArray[np.float64]]:
    """A mixture of all tracks' standardised principal features, and those: (tracks, DIRECTIONS)."""
    x = soundtracks.features - soundtracks.features.mean(axis=0)
    x /= np.maximum(x.std(axis=0), 1e-12)
    left, *_ = np.linalg.svd(x, full_matrices=False)
    x = left[:, :DIRECTIONS] * np.sqrt(len(x))
    return fit_gmm(x, components, kind="diag", seed=seed, iterations=60, variance_floor=0.1), x


Hearing = Callable[[NDArray[np.float64], NDArray[np.bool_], np.random.Generator], NDArray[np.float64]]


def _shifted(va: NDArray[np.float64], _: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    return va + rng.normal(0.0, 0.25, 2)


def _rotated(va: NDArray[np.float64], _: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    angle = np.radians(rng.uniform(20.0, 60.0) * rng.choice([-1.0, 1.0]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return va @ turn.T


def _narrowed(va: NDArray[np.float64], _: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    return va * rng.uniform(0.2, 0.6)


def _flipped(va: NDArray[np.float64], genre: NDArray[np.bool_], _: np.random.Generator) -> NDArray[np.float64]:
    return np.column_stack([np.where(genre, -va[:, 0], va[:, 0]), va[:, 1]])


HEARINGS: dict[str, Hearing] = {"shift": _shifted, "rotation": _rotated, "narrow": _narrowed, "genre": _flipped}


def simulated_panel(data: Path, bundle: Bundle, progress: Progress, *, per_kind: int = 15, seed: int = 0) -> Panel:
    """``each`` listeners of every kind in HEARINGS; they hear the background's mean their own way, and scatter.

    Raises
    ------
    DataError
        If there are no clips of 4Q, or none of the genre that is flipped.
    """
    clips = _chosen(read_folder(data).four_q)
    genre = np.array([FLIPPED in clip.genres for clip in clips])
    if not genre.any():
        raise DataError(f"{data}: 4q has no clips of {FLIPPED} to simulate listeners by")
    theta, log_heatmaps = _decoded(clips, bundle, progress)
    rng = np.random.default_rng(seed)
    heard = theta @ bundle.affective.means
    kinds = tuple(name for name in HEARINGS for _ in range(per_kind))
    va = np.stack([HEARINGS[kind](heard, genre, rng) for kind in kinds])
    va = np.clip(va + rng.normal(0.0, SIMULATED_NOISE, va.shape), -1.0, 1.0)
    listener, item = np.divmod(np.arange(va.shape[0] * va.shape[1]), va.shape[1])
    points = va.reshape(-1, 2)
    return Panel(
        "simulated",
        theta,
        listener,
        item,
        points,
        lambda _: bundle.affective,
        bundle.acoustic.means,
        log_heatmaps,
        kinds,
    )


def _chosen(clips: Sequence[Clip]) -> list[Clip]:
    """The first clips of each quadrant, half of them of the genre that is flipped where there are so many."""
    chosen: list[Clip] = []
    for quadrant in range(4):
        own = [clip for clip in clips if clip.quadrant == quadrant]
        flipped = [clip for clip in own if FLIPPED in clip.genres][: PER_QUADRANT // 2]
        chosen += flipped + [clip for clip in own if FLIPPED not in clip.genres][: PER_QUADRANT - len(flipped)]
    return chosen
