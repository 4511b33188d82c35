"""A store of ratings of its own for each test, in a folder that is not there yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from valaro.streamer.listeners.store import Listeners


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "valaro.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Listeners]:
    with Listeners(path) as store:
        yield store
