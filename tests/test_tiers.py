"""The tiers of tests, and what may skip under CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import skips, tiers

HERE = Path(__file__).parent


def test_every_place_of_a_tier_is_there() -> None:
    """A file that moves must not fall into another tier unseen."""
    places = (*tiers.LONG_PATHS, *tiers.TRAIN_PATHS)
    assert [place for place in places if not (tiers.ROOT / place).exists()] == []


def test_a_place_is_a_file_or_a_folder_and_not_the_beginning_of_a_name() -> None:
    assert tiers.within("tests/hosts/test_files.py", ("tests/hosts",))
    assert tiers.within("tests/hosts", ("tests/hosts",))
    assert not tiers.within("tests/hosts_of_others/test_files.py", ("tests/hosts",))


def test_no_listed_skip_is_of_a_test_that_there_is_not(request: pytest.FixtureRequest) -> None:
    """Of the files that were collected in this run: all of them in a tier's run, but those that need PyTorch."""
    collected = request.config.stash[tiers.COLLECTED]
    for entry in skips.listed():
        file, _, _ = entry["test"].partition("::")
        assert (tiers.ROOT / file).is_file(), file
        of_file = [test for test in collected if test.startswith(f"{file}::")]
        assert not of_file or any(skips.matches(test, entry["test"]) for test in of_file), entry["test"]
        assert entry["says"]
        assert entry["why"]


def test_a_pattern_means_brackets_as_they_stand() -> None:
    assert skips.matches("a.py::test_x[1]", "a.py::test_x[1]")
    assert skips.matches("a.py::test_x[1]", "a.py::*")
    assert not skips.matches("a.py::test_x1", "a.py::test_x[1]")
    assert not skips.matches("b/a.py::test_x", "a.py::*")


SKIPPING = """
import pytest

def test_listed():
    pytest.skip("the machine has no such thing")

def test_listed_for_another_reason():
    pytest.skip("nobody knows why")

@pytest.mark.skipif(True, reason="at once")
def test_by_a_mark():
    pass

@pytest.fixture
def absent():
    pytest.skip("a fixture is not here")

def test_by_a_fixture(absent):
    pass

@pytest.mark.xfail(strict=True)
def test_known_to_fail():
    assert False

def test_fine():
    pass
"""
LIST = """
[[skip]]
test = "test_some.py::test_listed*"
says = "no such thing"
why = "it is so"
"""


@pytest.mark.parametrize("side_by_side", [False, True])
@pytest.mark.parametrize("ci", [False, True])
def test_under_ci_only_a_listed_skip_is_none(ci: bool, side_by_side: bool, tmp_path: Path) -> None:
    shutil.copy(HERE / "skips.py", tmp_path)
    (tmp_path / "allowed_skips.toml").write_text(LIST)
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "conftest.py").write_text("from skips import pytest_make_collect_report, pytest_runtest_makereport\n")
    (tmp_path / "test_some.py").write_text(SKIPPING)
    (tmp_path / "test_other.py").write_text("import pytest\npytest.importorskip('no_such_module_anywhere')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", "--continue-on-collection-errors"]
    done = subprocess.run(
        [*command, *(["-n", "1"] if side_by_side else [])],
        cwd=tmp_path,
        env=os.environ | {"CI": "true" if ci else "", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    last = done.stdout.splitlines()[-1]
    if not ci:
        assert last.startswith("1 passed, 5 skipped, 1 xfailed"), done.stdout
        return
    assert done.returncode != 0
    assert "test_listed may not skip" not in done.stdout
    for test in ("test_listed_for_another_reason", "test_by_a_mark", "test_by_a_fixture"):
        assert f"test_some.py::{test} may not skip here" in done.stdout
    assert "test_other.py may not skip here" in done.stdout
