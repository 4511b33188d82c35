"""A chain's memory as a table of arrays."""

import io
from typing import Any, NamedTuple

import numpy as np
import pytest
from valaro.models import load_bundle
from valaro.models.features.frame import BLOCK
from valaro.models.snapshot import restored, snapshot
from valaro.models.tracker import Tracker

from .synthetic_bundle import full_bundle


class Inner(NamedTuple):
    context: Any  # None before the first sound
    steps: int


class Outer(NamedTuple):
    level: float
    array: Any
    inner: tuple[Inner, ...]
    collected: tuple[Any, ...]
    heard: bool


TEMPLATE = Outer(0.0, np.zeros(3, np.float32), (Inner(None, 0), Inner(None, 0)), (), False)
STATE = Outer(
    1.5, np.array([1, 2, 3], np.float32), (Inner(None, 7), Inner(np.ones((1, 2), np.float32), 8)), (np.ones(5),), True
)


def test_what_was_taken_comes_back_and_what_is_half_collected_does_not() -> None:
    table = snapshot(TEMPLATE, STATE)
    assert sorted(table) == ["array", "heard", "inner.0.steps", "inner.1.context", "inner.1.steps", "level"]
    back = restored(TEMPLATE, table)
    assert isinstance(back, Outer)
    assert back.collected == ()
    assert (back.level, back.heard, back.inner[0], back.inner[1].steps) == (1.5, True, Inner(None, 7), 8)
    assert [type(back.level), type(back.heard), type(back.inner[0].steps)] == [float, bool, int]
    assert np.array_equal(back.array, STATE.array)
    assert back.array.dtype == np.float32
    assert np.array_equal(back.inner[1].context, np.ones((1, 2)))


def test_it_is_a_copy() -> None:
    array = np.ones(3, np.float32)
    table = snapshot(TEMPLATE, STATE._replace(array=array))
    array[:] = 9
    assert table["array"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"array": np.zeros(4, np.float32)}, "array is float32(4,), expected float32(3,)"),
        ({"array": np.zeros(3)}, "array is float64(3,), expected float32(3,)"),
        ({"array": np.array([0, np.nan, 0], np.float32)}, "array holds what is no finite number"),
        ({"array": np.array(["a", "b", "c"])}, "array holds what is no finite number"),
        ({"level": np.array(np.inf)}, "level holds what is no finite number"),
        ({"level": np.zeros(1)}, "level is float64(1,), expected float64()"),
        ({"inner.0.steps": np.array(1.0)}, "inner.0.steps is float64(), expected int64()"),
        ({"inner.1.context": np.zeros((1 << 20) + 1, np.bool_)}, "inner.1.context holds what is no finite number"),
        ({"inner.2.steps": np.array(1)}, "inner.2.steps is unknown"),
        ({"level": None}, "level is missing"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], told: str) -> None:
    table = {key: value for key, value in (snapshot(TEMPLATE, STATE) | change).items() if value is not None}
    with pytest.raises(ValueError, match=" ") as refused:
        restored(TEMPLATE, table)
    assert str(refused.value) == told


@pytest.mark.parametrize("parts", [1, 3])
def test_another_number_of_parts_is_no_state_of_this_template(parts: int) -> None:
    with pytest.raises(ValueError, match="argument"):
        snapshot(TEMPLATE, STATE._replace(inner=(Inner(None, 7),) * parts))


@pytest.mark.parametrize("make", [full_bundle, load_bundle], ids=["synthetic", "default"])
def test_a_tracker_goes_on_from_its_snapshot_as_if_nothing_had_been(make: Any) -> None:
    tracker = Tracker(make())
    rng = np.random.default_rng(5)
    blocks = [(0.1 * rng.standard_normal(BLOCK)).astype(np.float32) for _ in range(45)]
    state = tracker.init()
    for block in blocks[:30]:
        state, _ = tracker.step(state, block)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **snapshot(tracker.init(), state))
    file.seek(0)
    with np.load(file, allow_pickle=False) as kept:
        again = restored(tracker.init(), kept)
    fresh = tracker.init()
    for block in blocks[30:]:
        state, _ = tracker.step(state, block)
        again, _ = tracker.step(again, block)
        fresh, _ = tracker.step(fresh, block)
    assert np.array_equal(tracker.heatmap(again), tracker.heatmap(state))
    assert not np.allclose(tracker.heatmap(fresh), tracker.heatmap(state), atol=1e-4)
