"""The three tiers of tests, and which test is of which: the one place where that is decided.

- The fast ones (no marker, ``make test``): no test over 30 s, no PyTorch, side by side in several processes.
- ``long`` (``make test-long``): kills, floods, soaks, real servers and networks, programs of others, one at a time.
- ``train`` (``make test-train``): what needs PyTorch or openSMILE, and the references made with them.

A test is of the tier that its path or a fixture of it says below, or its own ``@pytest.mark.long``.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LONG_PATHS = (
    "tests/hosts",
    "tests/streamer/app/test_soak.py",
    "tests/streamer/osc/test_sink_faults.py",
    "tests/streamer/sources/devices/test_live.py",
    "tests/streamer/sources/devices/test_lost_input.py",
)
# JACK's servers share one registry in the machine's memory: there is one at a time, for which others would wait.
LONG_FIXTURES = frozenset({"jack"})
TRAIN_PATHS = (
    "tests/models/decoders/test_lstm.py",
    "tests/models/training/test_train.py",
    "tests/models/training/evaluation/test_baselines.py",
    "tests/models/training/evaluation/test_evaluate.py",
    "tests/models/training/fit/test_lstm.py",
)

COLLECTED = pytest.StashKey[list[str]]()  # the ids of all tests that were found, before any is deselected
IGNORED = pytest.StashKey[list[str]]()  # the files that were left out because PyTorch is not installed


def within(path: str, places: tuple[str, ...]) -> bool:
    """Whether ``path``, relative to the root and with slashes, is one of the places or lies in one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def tier(item: pytest.Item) -> str:
    """The name of the marker of a test's tier; nothing for a fast one.

    Raises
    ------
    pytest.UsageError
        If a test that needs PyTorch is marked as long, too: it would run twice.
    """
    path = item.path.relative_to(ROOT).as_posix()
    long = within(path, LONG_PATHS) or not LONG_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
    long = long or item.get_closest_marker("long") is not None
    train = within(path, TRAIN_PATHS) or item.get_closest_marker("train") is not None
    if long and train:
        raise pytest.UsageError(f"{item.nodeid} is of two tiers, long and train")
    return "long" if long else "train" if train else ""


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its tier."""
    config.stash[COLLECTED] = [item.nodeid for item in items]
    for item in items:
        if name := tier(item):
            item.add_marker(name)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files that cannot be imported without PyTorch, if it is not installed and nobody asks for them."""
    if not collection_path.is_relative_to(ROOT) or "not train" not in str(config.getoption("markexpr")):
        return None
    path = collection_path.relative_to(ROOT).as_posix()
    if path in TRAIN_PATHS and find_spec("torch") is None:
        config.stash.setdefault(IGNORED, []).append(path)
        return True
    return None
