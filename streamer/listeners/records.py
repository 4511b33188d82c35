"""A rating as a row of the store's one table, there and back."""

import math
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedError, InputError
from .evidence import RatedEvidence, RatingOrigin, StoredRating

# All but id, in the order of the table.
FIELDS = (
    *("uid", "listener", "at", "time", "valence", "arousal", "source", "undone"),
    *("bundle", "layout", "theta", "heatmap", "textures", "texture_count"),
)
COLUMNS = ", ".join(FIELDS)
INSERT = f"INSERT INTO rating ({COLUMNS}) VALUES ({', '.join('?' * len(FIELDS))})"


def new_rating(
    listener: str, valence: float, arousal: float, evidence: RatedEvidence, *, time: float, source: RatingOrigin
) -> StoredRating:
    """A rating that is given now.

    Parameters
    ----------
    listener : a name that ``controls.listener_name`` has passed.
    valence, arousal : in [-1, 1].
    evidence : what was heard.
    time : s of the stream.
    source : which way it came.

    Raises
    ------
    InputError
        A value is out of range.
    """
    for what, value in (("valence", valence), ("arousal", arousal)):
        if not (math.isfinite(value) and -1.0 <= value <= 1.0):
            raise InputError(f"a rating's {what} must be from -1 to 1, not {value:g}")
    if not (math.isfinite(time) and time >= 0.0):
        raise InputError(f"a rating is of a time from 0 s on, not {time:g}")
    if source not in get_args(RatingOrigin):
        raise InputError(f"a rating comes from one of {', '.join(get_args(RatingOrigin))}, not {source}")
    now = datetime.now(UTC)
    return StoredRating(uuid.uuid4().hex, listener, now, float(time), float(valence), float(arousal), source, evidence)


def row(rating: StoredRating, name: str | None = None) -> tuple[Any, ...]:
    """The values of FIELDS; with ``name``, as a rating of that listener."""
    evidence = rating.evidence
    return (
        *(rating.uid, name or rating.listener, rating.at.isoformat(), rating.time, rating.valence, rating.arousal),
        *(rating.source, int(rating.undone), evidence.bundle, evidence.layout),
        *(_blob(evidence.theta), _blob(evidence.heatmap), _blob(evidence.textures), len(evidence.textures)),
    )


def rated(values: Sequence[Any], path: Path) -> StoredRating:
    """The rating of a row: the values of FIELDS, and its id. DamagedError, naming ``path``, if it makes no sense."""
    uid, listener, at, time, valence, arousal, source, undone, bundle, layout, *blobs, count, number = values
    try:
        theta, heatmap, textures = (np.frombuffer(blob, dtype="<f4") for blob in blobs)
        evidence = RatedEvidence(theta, heatmap, textures.reshape(count, -1), bundle, layout)
        when = datetime.fromisoformat(at)
    except (InputError, TypeError, ValueError) as fault:
        raise DamagedError(f"{path} is damaged: rating {number} cannot be read") from fault
    return StoredRating(uid, listener, when, time, valence, arousal, source, evidence, bool(undone), number)


def _blob(array: NDArray[np.float32]) -> bytes:
    return array.astype("<f4").tobytes()
