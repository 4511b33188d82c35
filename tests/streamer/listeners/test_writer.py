"""The thread that writes ratings goes on, whatever fails beside it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from valaro.streamer.listeners.evidence import StoredRating
from valaro.streamer.listeners.records import new_rating
from valaro.streamer.listeners.store import Listeners
from valaro.streamer.listeners.writer import EarlierRatings, RatingWriter

from ..oscdump import PATIENCE
from ..ratings import some_heard


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RatingWriter]:
    opened = RatingWriter(lambda: Listeners(tmp_path / "ratings.sqlite3"))
    yield opened
    opened.close(PATIENCE)


def a_rating() -> StoredRating:
    return new_rating("ana", 0.5, 0.5, some_heard(), time=1.0, source="api")


def test_where_no_thread_can_be_had_for_a_backup_ratings_are_stored_all_the_same(
    writer: RatingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refusing(thread: threading.Thread) -> None:
        if thread.name == "ratings backup":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refusing)
    for _ in range(3):
        writer.write(a_rating()).result(PATIENCE)
    assert writer.stored == 3


def test_what_fails_with_earlier_ratings_ends_the_reading_of_them_alone(writer: RatingWriter) -> None:
    writer.write(a_rating()).result(PATIENCE)
    finished = threading.Event()

    def failing(_: list[StoredRating]) -> None:
        raise ValueError("of another shape")

    writer.read(EarlierRatings("ana", failing, finished.set))
    assert writer.wait(PATIENCE)
    assert finished.is_set()
    writer.write(a_rating()).result(PATIENCE)
