"""Files that are replaced as a whole."""

import os
import stat
import sys
from pathlib import Path

import pytest
from valaro.streamer._util.files import AtomicFile
from valaro.streamer.errors import SinkError


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    AtomicFile(path, durable=False).write(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SinkError, match="is a device or a pipe: name another file"):
        AtomicFile(tmp_path / "pipe", durable=False)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(SinkError, match="is a directory"):
        AtomicFile(tmp_path, durable=False)
