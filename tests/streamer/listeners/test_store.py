"""The listeners' ratings: kept through whatever happens to the program, and gone when that is asked."""

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from valaro.streamer._util import rate_limit
from valaro.streamer.errors import InputError
from valaro.streamer.listeners import store as store_module
from valaro.streamer.listeners.store import MOST_LIKE, Listeners, StoreError, open_listeners

from ..ratings import HEARD, added, exported, plain, some_heard, values


def test_what_was_rated_in_one_session_is_there_in_the_next(path: Path) -> None:
    before = datetime.now(UTC)
    with Listeners(path) as store:
        numbers = [added(store, valence=value, seed=seed) for seed, value in enumerate([-1.0, 0.1, 1.0])]
        added(store, "bo")
    with Listeners(path) as store:
        ratings = list(store.ratings("ana"))
        assert store.names() == {"ana": 3, "bo": 1}
        assert store.count("ana") == 3
        assert store.count("nobody") == 0
    assert [rated.id for rated in ratings] == numbers == sorted(numbers)
    assert [rated.valence for rated in ratings] == [-1.0, 0.1, 1.0]
    for seed, rated in enumerate(ratings):
        expected = some_heard(seed)
        assert (rated.arousal, rated.time, rated.source, rated.undone) == (-0.25, 12.5, "osc", False)
        assert (rated.evidence.bundle, rated.evidence.layout) == (expected.bundle, expected.layout)
        for name in ("theta", "heatmap", "textures"):
            np.testing.assert_array_equal(getattr(rated.evidence, name), getattr(expected, name))
        assert before <= rated.at <= datetime.now(UTC)


def test_more_ratings_than_are_read_at_once_come_in_their_order(store: Listeners) -> None:
    export = exported(600)
    store.import_(export)
    assert values(store) == [entry["valence"] for entry in export["ratings"]]


def test_the_order_is_that_of_the_ratings_whatever_the_clock_says(store: Listeners, path: Path) -> None:
    first, second = added(store, valence=0.1), added(store, valence=0.2)
    with sqlite3.connect(path) as connection:  # as if the clock had stood in the future then, and went back since
        connection.execute("UPDATE rating SET at = '2999-01-01T00:00:00+00:00' WHERE id = ?", (first,))
        connection.execute("UPDATE rating SET at = '2998-01-01T00:00:00+00:00' WHERE id = ?", (second,))
    connection.close()
    added(store, valence=0.3)
    assert values(store) == [0.1, 0.2, 0.3]


def test_a_new_listener_begins_like_another(store: Listeners) -> None:
    for number in range(15):
        added(store, valence=number / 20, seed=number)
    store.undo(14)
    assert store.like("ana", "bo") == MOST_LIKE == 10
    originals = list(store.ratings("ana"))[-10:]
    copies = list(store.ratings("bo"))
    for copy, original in zip(copies, originals, strict=True):
        assert plain(copy) == plain(replace(original, listener="bo", source="like"))
    assert max(rating.id for rating in originals) < min(rating.id for rating in copies)
    added(store, "bo", valence=1.0)
    assert values(store, "bo") == [*(rating.valence for rating in originals), 1.0]
    assert len(values(store)) == 14  # nothing of ana's has changed
    assert store.copies("ana") == ["bo"]
    assert store.copies("bo") == []  # they are ana's


def test_who_has_rated_becomes_like_another_only_when_that_is_meant(store: Listeners) -> None:
    added(store, valence=0.1, seed=1)
    store.undo(added(store, "bo"))
    assert store.like("ana", "bo") == 1  # what bo took back is no rating
    with pytest.raises(InputError, match="bo has rated already: add ana's ratings to that with --add"):
        store.like("ana", "bo")
    added(store, valence=0.2, seed=2)
    assert store.like("ana", "bo", add=True) == 1
    assert store.like("ana", "bo", add=True) == 0
    assert values(store, "bo") == [0.1, 0.2]
    store.undo(max(rated.id for rated in store.ratings("bo")))
    assert store.like("ana", "bo", add=True) == 0  # taken back, it stays so
    assert values(store, "bo") == [0.1]


def test_there_is_nobody_to_be_like(store: Listeners) -> None:
    store.undo(added(store))
    for other, name, message in (
        ("nobody", "bo", "there is no listener nobody"),
        ("ana", "bo", "ana has no ratings that count"),
        ("ana", "ana", "name another listener"),
        ("ana", "", "name"),
        ("ana", "x" * 65, "at most 64"),
    ):
        with pytest.raises(InputError, match=message):
            store.like(other, name)
    assert store.names() == {"ana": 0}


def test_copies_have_a_limit_too(store: Listeners, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_RATINGS", 3)
    for number in range(3):
        added(store, seed=number)
    added(store, "bo")
    with pytest.raises(InputError, match="more than 3 ratings"):
        store.like("ana", "bo", add=True)
    assert store.names() == {"ana": 3, "bo": 1}


def test_a_rating_taken_back_counts_no_more(store: Listeners) -> None:
    first, second = added(store, valence=0.1), added(store, valence=0.2)
    assert store.undo(first)
    assert values(store) == [0.2]
    assert store.names() == {"ana": 1}
    assert [rated.undone for rated in store.ratings("ana", undone=True)] == [True, False]
    assert not any(store.undo(number) for number in (first, second + 1, 0, -1, 2**70))
    assert values(store) == [0.2]


@pytest.mark.parametrize("value", [1.001, -1.001, float("nan"), float("inf"), -float("inf")])
def test_a_rating_outside_the_plane_is_refused(store: Listeners, value: float) -> None:
    with pytest.raises(InputError, match="valence must be from -1 to 1"):
        store.add("ana", value, 0.0, HEARD, time=0.0)
    with pytest.raises(InputError, match="arousal must be from -1 to 1"):
        store.add("ana", 0.0, value, HEARD, time=0.0)
    assert store.names() == {}


@pytest.mark.parametrize("moment", [-0.5, float("nan"), float("inf")])
def test_a_rating_of_no_time_is_refused(store: Listeners, moment: float) -> None:
    with pytest.raises(InputError, match="from 0 s on"):
        store.add("ana", 0.0, 0.0, HEARD, time=moment)


def test_a_rating_from_nowhere_is_refused(store: Listeners) -> None:
    with pytest.raises(InputError, match="osc, midi, cli, api, import"):
        store.add("ana", 0.0, 0.0, HEARD, time=0.0, source="dream")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "   ", "x" * 10_000, "a\nb", "a\0b", "\x1b[2J", "\udc80"])
def test_no_such_name_can_be(store: Listeners, name: str) -> None:
    for attempt in (
        lambda: store.add(name, 0.0, 0.0, HEARD, time=0.0),
        lambda: store.ratings(name),
        lambda: store.forget(name),
        lambda: store.export(name),
    ):
        with pytest.raises(InputError, match="name"):
            attempt()
    assert store.names() == {}


def test_a_name_is_only_ever_a_name(store: Listeners, path: Path) -> None:
    names = [
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\con",
        "'); DROP TABLE rating; --",
        '"',
        "%",
        "_",
        "-rf",
        "[red]Zoë",
    ]
    for name in names:
        added(store, name)
    assert sorted(store.names()) == sorted(names)
    assert store.forget("%") == 1
    assert len(store.names()) == len(names) - 1
    assert {file.name.removeprefix(path.name) for file in path.parent.iterdir()} == {"", "-wal", "-shm"}
    assert [file.name for file in path.parent.parent.iterdir()] == ["data"]


def test_a_name_is_the_same_however_its_accents_are_typed(store: Listeners) -> None:
    added(store, "Zoe\u0308")
    assert len(values(store, " Zo\u00eb ")) == 1


def test_the_file_is_in_the_users_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "mine"))
    with Listeners() as store:
        added(store)
        assert store.path == store_module.default_path()
    if sys.platform == "linux":
        assert store.path == tmp_path / "mine" / "valaro" / "valaro.sqlite3"


def test_importing_the_store_compiles_nothing() -> None:
    code = (
        "import sys, valaro.streamer.listeners; print([m for m in ('numba', 'soxr', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_flood_is_refused_and_counted(store: Listeners, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0  # the clock stands still, or of a slow disk none would be too many
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: now))
    numbers = [store.add("ana", 0.0, 0.0, HEARD, time=1.0) for _ in range(1_000)]
    assert [number is not None for number in numbers] == [True] * 20 + [False] * 980
    assert (store.refused, store.count("ana")) == (980, 20)
    assert added(store, "bo")  # one listener's flood is nobody else's
    now += 0.25  # and it passes
    for _ in range(10):
        store.add("ana", 0.0, 0.0, HEARD, time=1.0)
    assert (store.refused, store.count("ana")) == (988, 22)


def test_there_is_a_most_that_is_kept_of_one_listener(store: Listeners, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_RATINGS", 3)
    for _ in range(3):
        added(store)
    with pytest.raises(StoreError, match="ana has 3 ratings"):
        added(store)
    with pytest.raises(InputError, match="would have 4 ratings"):
        store.import_(exported(1))
    assert store.names() == {"ana": 3}
    added(store, "bo")


def test_threads_may_share_it(store: Listeners) -> None:
    def rate(name: str) -> None:
        for _ in range(10):
            added(store, name)
            assert store.count(name)
            list(store.ratings(name))

    threads = [threading.Thread(target=rate, args=(f"listener {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(store.names().values()) == [10] * 4


# Of programs that write without a pause one may wait longer than PATIENCE on a slow disk: here all of them wait.
WRITER = """
import sys
from pathlib import Path
import numpy as np
from valaro.streamer.listeners import schema
from valaro.streamer.listeners.evidence import RatedEvidence
from valaro.streamer.listeners.store import Listeners
schema.PATIENCE = 120.0
heard = RatedEvidence(np.ones(1, np.float32), np.full(121, 1 / 121, np.float32), np.ones((8, 163), "f"), "b", "1")
sys.stdin.readline()
with Listeners(Path(sys.argv[1])) as store:
    for _ in range(20):
        store.add(sys.argv[2], 0.0, 0.0, heard, time=0.0)
"""


def test_programs_may_share_it_and_make_it_at_the_same_time(path: Path) -> None:
    programs = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"listener {number}"], stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write(b"\n")
        program.stdin.close()
    assert [program.wait(240) for program in programs] == [0] * 4
    with Listeners(path) as store:
        assert list(store.names().values()) == [20] * 4


def bytes_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


def test_who_is_forgotten_leaves_no_byte(store: Listeners, path: Path) -> None:
    remaining_ids = []
    for seed in range(15):
        added(store, "anastasia the first", seed=seed)
        remaining_ids.append(added(store, "bo", valence=seed / 15, seed=100 + seed))
    store.undo(1)
    traces = [b"anastasia the first", some_heard(7).textures.tobytes()[:64], some_heard(7).theta.tobytes()]
    assert all(trace in bytes_of(path.parent) for trace in traces)
    remaining = [plain(rated) for rated in store.ratings("bo")]
    assert store.forget("anastasia the first") == 15
    assert not any(trace in bytes_of(path.parent) for trace in traces)
    assert some_heard(107).theta.tobytes() in bytes_of(path.parent)
    assert store.names() == {"bo": 15}
    assert [plain(rated) for rated in store.ratings("bo")] == remaining
    assert [rated.id for rated in store.ratings("bo")] == remaining_ids
    assert store.forget("anastasia the first") == 0


def test_who_is_forgotten_while_others_read_is_so_in_the_end(store: Listeners, path: Path) -> None:
    added(store, "anastasia")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM rating").fetchone() == (1,)
    with pytest.raises(StoreError, match="traces stay"):
        store.forget("anastasia")
    assert store.names() == {}
    reader.close()
    assert store.forget("anastasia") == 0
    assert b"anastasia" not in bytes_of(path.parent)


# One process that forks as many as shall be killed: each opens the file, rates without end, and tells of each rating
# that it was promised.
KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from valaro.streamer.listeners.evidence import RatedEvidence
from valaro.streamer.listeners.store import Listeners

heard = RatedEvidence(np.ones(1, np.float32), np.full(121, 1 / 121, np.float32), np.ones((8, 163), "f"), "b", "1")
for path in sys.stdin:
    child = os.fork()
    if child == 0:
        store = Listeners(Path(path.strip()))
        for number in range(10_000):
            os.write(1, b"%d\\n" % (store.add(f"listener {number % 500}", 0.0, 0.0, heard, time=0.0) or 0))
        os._exit(0)
    os.write(1, b"pid %d\\n" % child)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


@pytest.mark.timeout(1200)  # some thousand times the disk has to say that it is done
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no kill -9 on this system")
@pytest.mark.long
def test_a_hundred_kills_lose_nothing_that_was_promised(tmp_path: Path) -> None:
    chance = random.Random(9)
    promised: dict[Path, list[int]] = {}
    with subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nursery:
        assert nursery.stdin is not None
        for kill in range(100):
            path = tmp_path / f"{kill // 10}.sqlite3"  # ten times it is killed while the file is made
            nursery.stdin.write(f"{path}\n".encode())
            nursery.stdin.flush()
            ids = promised.setdefault(path, [])
            ids += killed(nursery, chance.randint(0, 8) if kill % 10 else 0, chance.uniform(0.0, 0.01))
            check_whole(path, ids)
        nursery.stdin.close()
    assert all(promised.values())


def killed(nursery: "subprocess.Popen[bytes]", after: int, then: float) -> list[int]:
    """Kill the child ``then`` s after it told of ``after`` ratings; all ids that it told of."""
    assert nursery.stdout is not None
    pid = int(nursery.stdout.readline().split()[1])
    lines = [nursery.stdout.readline() for _ in range(after)]
    time.sleep(then)
    os.kill(pid, 9)
    while (line := nursery.stdout.readline()) != b"dead\n":
        lines.append(line)
    return [int(line) for line in lines]


def check_whole(path: Path, ids: list[int]) -> None:
    with open_listeners(path, pytest.fail) as store:
        stored_ids = {rated.id for name in store.names() for rated in store.ratings(name)}
    assert stored_ids >= set(ids)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
