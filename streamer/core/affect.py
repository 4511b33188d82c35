"""What the engine emits twice a second, and its JSON record."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Activity = Literal["music", "speech", "noise", "silence", "lost"]  # lost: the input is away and being looked for
ACTIVITIES: tuple[str, ...] = get_args(Activity)
MOST_CHANNELS = 9_999  # of one input: more than any device has


@dataclass(frozen=True, slots=True, eq=False)
class Affect:
    """What the music feels like at one moment.

    Parameters
    ----------
    time : stream time in seconds of the last sample that was used.
    valence, arousal : the heatmap's mean, each in [-1, 1].
    covariance : (2, 2), the heatmap's covariance over (valence, arousal).
    heatmap : (11, 11), row = arousal low to high, column = valence low to high, non-negative, sum 1.
    quadrants : (4,), the mass of Q1 V+A+, Q2 V-A+, Q3 V-A-, Q4 V+A-.
    confidence : 1 - entropy / log 121.
    level : loudness of the last half second for a meter: 0 at -60 dBFS or below, 1 at full scale.
    activity : what is heard.
    tags : the weight of each tag by name.
    channel : from 1, the channel of the input where several are tracked separately; None elsewhere.
    """

    time: float
    valence: float
    arousal: float
    covariance: NDArray[np.float64]
    heatmap: NDArray[np.float64]
    quadrants: NDArray[np.float64]
    confidence: float
    level: float
    activity: Activity
    tags: dict[str, float] = field(default_factory=dict)
    channel: int | None = None

    def __post_init__(self) -> None:
        for name in ("covariance", "heatmap", "quadrants"):  # several sinks get the same emission
            array = getattr(self, name).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def is_finite(self) -> bool:
        """Whether every number of it is one."""
        numbers = (self.time, self.valence, self.arousal, self.confidence, self.level)
        return (
            all(map(math.isfinite, numbers))
            and all(math.isfinite(array.sum()) for array in (self.heatmap, self.covariance, self.quadrants))
            and all(map(math.isfinite, self.tags.values()))
        )

    def finite(self) -> "Affect":
        """The same with every number finite: in the place of one that is none, what says nothing, and no such tag.

        ``time`` stays; a time that is no number is 0.
        """
        if self.is_finite:
            return self
        tags = {tag: weight for tag, weight in self.tags.items() if math.isfinite(weight)}
        whole = all(map(math.isfinite, (self.valence, self.arousal, self.confidence)))
        whole = whole and all(math.isfinite(array.sum()) for array in (self.heatmap, self.covariance, self.quadrants))
        kept = replace(
            self,
            time=self.time if math.isfinite(self.time) else 0.0,
            level=self.level if math.isfinite(self.level) else 0.0,
            tags=tags,
        )
        if whole:
            return kept
        return replace(
            kept,
            valence=0.0,
            arousal=0.0,
            covariance=np.eye(2) / 3,  # of a plane that is evenly full
            heatmap=np.full((11, 11), 1 / 121),
            quadrants=np.full(4, 0.25),
            confidence=0.0,
        )

    def record(self, file: str | None = None) -> dict[str, Any]:
        """The JSON record of this emission (the form of ``valaro analyze --format jsonl``)."""
        head: dict[str, Any] = {} if file is None else {"file": file}
        if self.channel is not None:
            head["channel"] = self.channel
        return head | {
            "time": self.time,
            "valence": self.valence,
            "arousal": self.arousal,
            "covariance": self.covariance.tolist(),
            "heatmap": self.heatmap.tolist(),
            "quadrants": self.quadrants.tolist(),
            "confidence": self.confidence,
            "level": self.level,
            "activity": self.activity,
            "tags": self.tags,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Affect":
        """Inverse of :meth:`record`.

        Raises
        ------
        KeyError, TypeError, ValueError
            This is not such a record.
        """
        covariance = np.asarray(record["covariance"], dtype=np.float64).reshape(2, 2)
        heatmap = np.asarray(record["heatmap"], dtype=np.float64).reshape(11, 11)
        quadrants = np.asarray(record["quadrants"], dtype=np.float64).reshape(4)
        if record["activity"] not in ACTIVITIES:
            raise ValueError(f"activity {record['activity']!r}")
        channel = record.get("channel")
        if channel is not None and (
            type(channel) is not int or not 1 <= channel <= MOST_CHANNELS
        ):  # True is an int too
            raise ValueError(f"channel {channel!r}")
        return cls(
            time=float(record["time"]),
            valence=float(record["valence"]),
            arousal=float(record["arousal"]),
            covariance=covariance,
            heatmap=heatmap,
            quadrants=quadrants,
            confidence=float(record["confidence"]),
            level=float(record.get("level", 0.0)),
            activity=record["activity"],
            tags={str(k): float(v) for k, v in record["tags"].items()},
            channel=channel,
        )


INTERVAL = 0.5  # s from one emission to the next
