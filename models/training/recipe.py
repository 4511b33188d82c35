"""How the default bundle is made: every number that a training is asked for, in one place.

Each fitter takes its own part as an argument; ``RECIPE`` is the default of all. What was tried beside these numbers
stands with each. Instances are hashed into cache keys by their ``repr``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from . import parallel

SETS = ("4q", "emopia", "vgmidi")  # whose labels are heatmaps' own: fitted to and scored
# Means over raters: a few clips here, thousands where users have them.
TRACES = ("emomusic", "pmemo", "deam", "mediaeval")

Objective = Literal["paths", "filter"]


@dataclass(frozen=True)
class AEGSettings:
    """Of the projection, the acoustic mixture and the affective Gaussians; mappings are by kind of sound or by set."""

    components: Mapping[str, int] = field(default_factory=lambda: {"recordings": 48, "piano": 48})
    # What is likely to be played before anything was heard.
    shares: Mapping[str, float] = field(default_factory=lambda: {"recordings": 0.8, "piano": 0.2})
    directions: int = 3  # four quadrants differ in three ways
    ridge: float = 100.0  # in clips: how many of them the prior "no effect" is worth
    half_life: float = 3.0  # s
    prior_seconds: float = 0.5
    mean_count: float = 0.2  # in clips: what the prior over each affective Gaussian is worth
    covariance_count: float = 1.0
    # How much one clip of each set counts. A piece of VGMIDI has some thirty raters, whose points share its weight.
    weights: Mapping[str, float] = field(default_factory=lambda: {"4q": 1.0, "emopia": 0.5, "vgmidi": 3.0})


@dataclass(frozen=True)
class CRFSettings:
    """Of the chain. By whole paths, instead of the live filter, it reached .61 on 4Q instead of .71."""

    objective: Objective = "filter"
    radius: float = 2.3  # cells
    l2: float = 30.0
    smoothness: float = 300.0
    tie: float = 1.0
    iterations: int = 30  # it has learnt what carries over by then
    # Of a clip in the objective.
    weights: Mapping[str, float] = field(default_factory=lambda: {"4q": 1.0, "emopia": 0.5, "vgmidi": 1.0})


# The chain as Schmidt & Kim train it, on raters' whole paths: for comparing filter and smoother.
BY_PATHS = CRFSettings(objective="paths", l2=100.0, smoothness=1000.0, tie=0.1, iterations=25)


@dataclass(frozen=True)
class LSTMSettings:
    """Of the network and its teaching."""

    epochs: int = 24
    batch: int = 16
    emissions: int = 30  # of a crop: 15 s
    learning_rate: float = 2e-3
    decay: float = 0.02
    dropout: float = 0.4
    # Crops of a clip in an epoch, by set.
    crops: Mapping[str, float] = field(
        default_factory=lambda: {"4q": 1.0, "emotify": 1.0, "vgmidi": 2.0, "emopia": 1.0} | dict.fromkeys(TRACES, 1.0)
    )
    # Of each head's loss.
    teacher: float = 1.0
    heatmap: float = 0.2
    moods: float = 1.0
    feelings: float = 5.0
    # Of each set in the heatmap's loss.
    sets: Mapping[str, float] = field(
        default_factory=lambda: {"4q": 1.0, "emopia": 0.7, "vgmidi": 0.5} | dict.fromkeys(TRACES, 0.5)
    )
    altered: float = 0.5  # how often a clip is heard as a room, a codec or a crowd would have it
    mixed: float = 0.7  # how often a batch's crops are played over one another
    mixup: float = 0.4  # Beta's parameter of their shares


@dataclass(frozen=True)
class FusionSettings:
    """Of the calibrated pools; mappings are by set or by kind of sound.

    Raters' points say how sure a heatmap may be, one quadrant a clip hardly does: of the piano sets VGMIDI decides.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: {"4q": 1.0, "emopia": 0.5, "vgmidi": 20.0}
    )  # of a clip
    stride: int = 4  # emissions between those that the pools are fitted to: neighbours say the same
    bias_ridge: Mapping[str, float] = field(default_factory=lambda: {"recordings": 0.03, "piano": 0.01})
    # Cells; raters' points, cell by cell, are known of piano alone.
    blur: Mapping[str, float] = field(default_factory=lambda: {"recordings": 1.2, "piano": 0.0})


@dataclass(frozen=True)
class ActivitySettings:
    """Of the classifier of music, speech and noise, and of the scenes that it is fitted to."""

    networks: int = 4  # averaged: what one makes up where nothing was heard, the others do not
    hidden: int = 32  # units of each
    epochs: int = 16
    batch: int = 512
    learning_rate: float = 6e-3
    decay: float = 1e-2
    # Emissions of music between those that are learnt from.
    stride: Mapping[str, int] = field(default_factory=lambda: {"music": 4, "altered": 4})
    fewest: int = 2  # emissions heard before an answer is asked for
    # Said of music in favour, in nats: to call music noise spoils the show, to call a moment's noise music hardly does.
    favour: float = 1.0
    # Scenes of each fold by kind; of "music" and "altered" there is one a clip.
    scenes: Mapping[str, int] = field(
        default_factory=lambda: {
            "speech": 80,
            "noise": 80,
            "talk over": 80,
            "noise over": 80,
            "talk in noise": 30,
            "show": 60,
        }
    )
    voices: int | None = None  # how many of ``synthesis.speech.VOICES``; None: all
    voice_seconds: int = 40  # of each voice


@dataclass(frozen=True)
class SVMSettings:
    """Of the baseline: the grid that C and gamma are chosen from."""

    c: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0, 30.0)
    gamma: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)  # in units of 1 / number of features
    inner_folds: int = 3


@dataclass(frozen=True)
class Recipe:
    """All of it. ``processes``: how many work at a time; the only number that changes no result."""

    aeg: AEGSettings = field(default_factory=AEGSettings)
    crf: CRFSettings = field(default_factory=CRFSettings)
    crf_by_paths: CRFSettings = BY_PATHS
    lstm: LSTMSettings = field(default_factory=LSTMSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    activity: ActivitySettings = field(default_factory=ActivitySettings)
    svm: SVMSettings = field(default_factory=SVMSettings)
    altered: int = 2  # copies of each recording, in other rooms and through other devices
    processes: int = parallel.PROCESSES


RECIPE = Recipe()
