"""Under CI (``CI=true``) a test that skips fails, unless ``allowed_skips.toml`` lists it: it would find nothing."""

import os
import tomllib
from collections.abc import Generator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

LIST = Path(__file__).parent / "allowed_skips.toml"


def listed() -> list[dict[str, str]]:
    """The entries of the list, each with ``test``, ``says`` and ``why``."""
    return tomllib.loads(LIST.read_text(encoding="utf-8"))["skip"]


def allowed(test: str, said: str, entries: list[dict[str, str]]) -> bool:
    """Whether a test may skip with these words."""
    return any(matches(test, entry["test"]) and entry["says"] in said for entry in entries)


def matches(test: str, pattern: str) -> bool:
    """Whether an id of a test is meant; in a pattern only ``*`` stands for more than itself."""
    return fnmatchcase(test, pattern.replace("[", "[[]").replace("?", "[?]"))


def _refuse(report: Any) -> None:
    """Turn a report of an unlisted skip into one of a failure."""
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not allowed(report.nodeid, said, listed()):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} may not skip here ({said}): not listed in {LIST.name}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Refuse the skip of a test."""
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """Refuse the skip of a whole file."""
    report = yield
    _refuse(report)
    return report
