"""What the tests of plugins share: a small model, a folder on Python's path, a receiver."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ....models.synthetic_bundle import synthetic_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bundle"
    synthetic_bundle().save(path)
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path, as site-packages is one."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [
        name for name, module in sys.modules.items() if str(folder) in (getattr(module, "__file__", "") or "")
    ]:
        del sys.modules[name]


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(1.0)
        yield opened
