"""Ratings that never were, for the tests of where they are kept."""

import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
from valaro.streamer.listeners.evidence import RatedEvidence, StoredRating
from valaro.streamer.listeners.export import to_json
from valaro.streamer.listeners.store import Listeners


def some_heard(seed: int = 0, bundle: str = "a" * 64) -> RatedEvidence:
    numbers = np.random.default_rng(seed)
    theta, heatmap = (numbers.dirichlet(np.ones(size)).astype(np.float32) for size in (8, 121))
    return RatedEvidence(theta, heatmap, numbers.standard_normal((3, 163)).astype(np.float32), bundle, "1")


HEARD = some_heard()


def added(store: Listeners, name: str = "ana", valence: float = 0.5, seed: int = 0) -> int:
    number = store.add(name, valence, -0.25, some_heard(seed), time=12.5, source="osc")
    assert number is not None
    return number


def plain(rating: StoredRating) -> tuple[Any, ...]:
    """All of a rating but its place in the file, as something that can be compared."""
    evidence = rating.evidence
    arrays = tuple((array.shape, array.tobytes()) for array in (evidence.theta, evidence.heatmap, evidence.textures))
    fields = (
        rating.uid,
        rating.listener,
        rating.at,
        rating.time,
        rating.valence,
        rating.arousal,
        rating.source,
        rating.undone,
    )
    return *fields, evidence.bundle, evidence.layout, *arrays


def values(store: Listeners, name: str = "ana") -> list[float]:
    return [rating.valence for rating in store.ratings(name)]


def exported(count: int, name: str = "ana") -> dict[str, Any]:
    """An export of ratings that never were."""
    numbers = random.Random(count)
    template = some_entry()
    return {
        "valaro": "listener",
        "version": 1,
        "listener": name,
        "ratings": [
            template | {"uid": f"{numbers.getrandbits(128):032x}", "valence": numbers.uniform(-1, 1)}
            for _ in range(count)
        ],
    }


def some_entry() -> dict[str, Any]:
    rating = StoredRating("0" * 32, "ana", datetime(2024, 5, 1, 20, 15, tzinfo=UTC), 3.5, 0.25, -0.5, "midi", HEARD)
    return to_json("ana", [rating])["ratings"][0]
