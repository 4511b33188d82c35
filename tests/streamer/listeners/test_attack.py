"""Acknowledged means on the disk, in the real program: what ``python -m bench.ratings`` does, scaled down."""

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...models.synthetic_bundle import synthetic_bundle

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no kill -9 on this system"),
]
KILLS = int(os.environ.get("VALARO_KILLS", "8"))
STRANGER = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")


@pytest.fixture(scope="module")
def attacks() -> Any:
    return importlib.import_module("bench.ratings")


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder that another user, too, may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data"


@pytest.fixture
def options(data: Path) -> tuple[str, ...]:
    """The small model of the tests, which starts sooner."""
    synthetic_bundle().save(data.parent / "bundle")
    return ("--model", str(data.parent / "bundle"))


def check(figures: dict[str, float]) -> None:
    broken = {what: figures[what] for what in ("acknowledged but lost", "kept twice", "answered twice")}
    assert broken == dict.fromkeys(broken, 0), figures
    assert figures.get("untold", 0) <= 0, figures  # every loss stands in the status


def test_kills_lose_nothing_that_was_acknowledged(attacks: Any, data: Path, options: tuple[str, ...]) -> None:
    figures = attacks.killed(data, KILLS, options)
    check(figures)
    assert figures["status"] > KILLS
    assert figures["errors"] == 0


def test_two_programs_may_write_and_every_rating_is_stored(attacks: Any, data: Path, options: tuple[str, ...]) -> None:
    figures = attacks.two_writers(data, 4.0, options)
    check(figures)
    assert figures["unanswered"] == figures["errors"] == 0
    assert figures["kept"] == figures["sent"] > 80


def test_under_a_lock_each_rating_has_one_answer_and_after_it_they_are_stored(
    attacks: Any, data: Path, options: tuple[str, ...]
) -> None:
    figures = attacks.locked(data, 6.5, options)
    check(figures)
    assert figures["unanswered"] == 0
    assert min(figures["errors"], figures["status"]) > 0


def test_on_a_full_disk_each_rating_is_answered_with_an_error(
    attacks: Any, data: Path, options: tuple[str, ...]
) -> None:
    try:
        figures = attacks.full(data, 2.0, options)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here (that takes root on Linux)")
    check(figures)
    assert figures["unanswered"] == 0
    assert min(figures["errors"], figures["status"]) > 0


def test_in_a_store_of_another_user_nothing_is_acknowledged(attacks: Any, data: Path, options: tuple[str, ...]) -> None:
    try:
        subprocess.run([*STRANGER, sys.executable, "-c", "import numpy"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no other user can run this Python here")
    figures = attacks.read_only(data, 2.0, options)
    check(figures)
    assert figures["unanswered"] == figures["status"] == figures["kept"] == 0
    assert figures["errors"] == figures["sent"] > 0


def test_what_is_acknowledged_after_the_folder_was_deleted_is_in_a_new_one(
    attacks: Any, data: Path, options: tuple[str, ...]
) -> None:
    figures = attacks.deleted(data, 2.0, options)
    check(figures)
    assert figures["unanswered"] == 0
    assert 0 < figures["kept"] < figures["status"]
