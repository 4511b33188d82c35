"""A listener taken elsewhere, and whatever else claims to be one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valaro.streamer.errors import InputError
from valaro.streamer.listeners.store import Listeners

from ..ratings import added, exported, plain, values


def test_an_export_is_the_same_listener_elsewhere(store: Listeners, tmp_path: Path) -> None:
    for seed, value in enumerate([1 / 3, -1.0, 1e-300]):
        added(store, "Zoë", value, seed)
    store.undo(2)
    text = json.dumps(store.export("Zoë"))
    with Listeners(tmp_path / "elsewhere.sqlite3") as elsewhere:
        added(elsewhere, "bo")
        assert elsewhere.import_(json.loads(text)) == ("Zoë", 3)
        assert [plain(rating) for rating in elsewhere.ratings("Zoë", undone=True)] == [
            plain(rating) for rating in store.ratings("Zoë", undone=True)
        ]
        assert values(elsewhere, "Zoë") == [1 / 3, 1e-300]
        assert elsewhere.export("Zoë") == store.export("Zoë")


def test_whom_a_listener_began_like_is_taken_along(store: Listeners, tmp_path: Path) -> None:
    added(store, valence=0.1)
    store.like("ana", "bo")
    with Listeners(tmp_path / "elsewhere.sqlite3") as elsewhere:
        assert elsewhere.import_(json.loads(json.dumps(store.export("bo")))) == ("bo", 1)
        assert [plain(rating) for rating in elsewhere.ratings("bo")] == [
            plain(rating) for rating in store.ratings("bo")
        ]
        assert [rating.source for rating in elsewhere.ratings("bo")] == ["like"]


def test_importing_twice_doubles_nothing(store: Listeners) -> None:
    first, second = added(store, valence=0.1), added(store, valence=0.2)
    old = store.export("ana")
    store.undo(second)
    added(store, valence=0.3)
    assert store.import_(old) == ("ana", 0)
    assert values(store) == [0.1, 0.3]  # what was taken back stays so
    new = store.export("ana")
    store.forget("ana")
    assert store.import_(old) == ("ana", 2)
    assert store.import_(new) == ("ana", 1)
    assert values(store) == [0.1, 0.3]
    assert first < min(rated.id for rated in store.ratings("ana"))  # no id ever comes back


def test_an_export_under_another_name_is_a_copy(store: Listeners) -> None:
    added(store, valence=0.1)
    assert store.import_(store.export("ana") | {"listener": "like ana"}) == ("like ana", 1)
    assert values(store) == values(store, "like ana") == [0.1]


def test_nobody_is_not_exported(store: Listeners) -> None:
    with pytest.raises(InputError, match="there is no listener nobody"):
        store.export("nobody")


def faulty(**change: Any) -> dict[str, Any]:
    """An export of two ratings, the second with a fault."""
    export = exported(2)
    export["ratings"][1] |= change
    return export


FAULTS: list[Any] = [
    None,
    [],
    "x",
    {},
    exported(1) | {"version": 2},
    exported(1) | {"valaro": "bundle"},
    exported(1) | {"listener": ""},
    exported(1) | {"listener": "x" * 65},
    exported(1) | {"listener": 5},
    exported(1) | {"ratings": {}},
    exported(1) | {"more": 1},
    faulty(valence=1.5),
    faulty(arousal=float("nan")),
    faulty(valence=True),
    faulty(valence="0.5"),
    faulty(valence=10**400),
    faulty(time=-1.0),
    faulty(time=float("inf")),
    faulty(at="yesterday"),
    faulty(at="2024-05-01T20:15:00"),
    faulty(at="0001-01-01T00:00:00+14:00"),
    faulty(at=1e300),
    faulty(source="dream"),
    faulty(undone=1),
    faulty(uid="x"),
    faulty(uid="0" * 32 + "\n"),
    faulty(theta=""),
    faulty(theta="AAAA"),
    faulty(theta="ä"),
    faulty(theta="AACAPwAAgD8="),
    faulty(theta="A" * 100_000),
    faulty(heatmap="AACAPw=="),
    faulty(textures=[]),
    faulty(textures=["AACAPw==", "AACAPwAAgD8="]),
    faulty(textures=["AADAfw=="]),
    faulty(textures=["AACAPw=="] * 9),
    faulty(bundle=""),
    faulty(layout="\n"),
]


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_no_such_import_is_taken_and_none_changes_anything(store: Listeners, number: int) -> None:
    added(store)
    with pytest.raises(InputError) as fault:
        store.import_(FAULTS[number])
    assert str(fault.value).isprintable()
    assert len(str(fault.value)) < 300
    assert store.names() == {"ana": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def near_exports(draw: st.DrawFn) -> object:
    """An export of which something is other than it should be, or anything at all."""
    if draw(st.integers(0, 4)) == 0:
        return draw(JSON)
    export = exported(draw(st.integers(0, 2)))
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from([export, *export["ratings"]]))
        table[draw(st.sampled_from([*table, "more"]))] = draw(JSON)
        if not isinstance(export["ratings"], list) or not all(isinstance(entry, dict) for entry in export["ratings"]):
            break
    return export


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=near_exports())
def test_whatever_is_imported_is_taken_whole_or_refused_in_one_line(store: Listeners, data: object) -> None:
    before = store.names()
    try:
        name, new = store.import_(data)
    except InputError as fault:
        assert str(fault).isprintable()  # noqa: PT017  it need not be raised
        assert store.names() == before
    else:
        assert store.count(name) <= before.get(name, 0) + new
        for rated in store.ratings(name):
            assert max(abs(rated.valence), abs(rated.arousal)) <= 1
