"""A WAV file of 32-bit floats whose header is kept up to date while it grows.

Below 4 GB it is a plain WAV with a chunk ``JUNK`` in reserve; beyond, that chunk becomes the ``ds64`` of an RF64 (EBU
Tech 3306, section 3). libsndfile writes the header when it closes the file, which a process that is killed never does.
"""

import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MOST = 0xFFFF_FFFF
_FLOAT, _EXTENSIBLE = 3, 0xFFFE
_SUBTYPE = struct.pack("<H", _FLOAT) + bytes.fromhex("000000001000800000aa00389b71")


class WaveWriter:
    """Writes blocks to a new file; what :meth:`update` was called after is in the header.

    Parameters
    ----------
    path : the file to create.
    rate : samples per second.
    channels : of each block.
    most : bytes of the file up to which it is a plain WAV.

    Raises
    ------
    OSError
        It cannot be created.
    """

    def __init__(self, path: Path, rate: int, channels: int, *, most: int = _MOST) -> None:
        self._frame = 4 * channels
        self._most = most
        self._format = _format(rate, channels)
        self._file = path.open("xb", buffering=0)  # unbuffered: what was written survives the end of the process
        self._size = 0  # bytes of sound
        self._first = len(self._head())
        self._file.write(self._head())

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append samples (n, channels). Raises OSError when not all could be written; the file keeps whole frames."""
        data = np.ascontiguousarray(samples, dtype="<f4").tobytes()
        written = 0
        try:
            while written < len(data):
                count = self._file.write(data[written:])
                if not count:
                    raise OSError("not everything was written")
                written += count
        finally:
            self._size += written - written % self._frame

    def update(self) -> None:
        """Write the sizes up to now into the header. Raises OSError when that fails."""
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        self._file.write(self._head())
        self._file.seek(end)

    def close(self) -> None:
        """Cut off what is no whole frame, write the header and close; raises OSError when that fails."""
        try:
            self._file.truncate(self._first + self._size)
            self.update()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _head(self) -> bytes:
        spare = 28
        fact = self._size // self._frame
        total = 4 + 8 + spare + len(self._format) + 12 + 8 + self._size
        if total + 8 <= self._most:
            first = struct.pack("<4sI4s4sI", b"RIFF", total, b"WAVE", b"JUNK", spare) + bytes(spare)
            size = self._size
        else:
            first = struct.pack("<4sI4s4sI", b"RF64", _MOST, b"WAVE", b"ds64", spare)
            first += struct.pack("<QQQI", total, self._size, fact, 0)
            size = _MOST
        facts = struct.pack("<4sII", b"fact", 4, min(fact, _MOST))
        return first + self._format + facts + struct.pack("<4sI", b"data", size)


def _format(rate: int, channels: int) -> bytes:
    tag = _FLOAT if channels <= 2 else _EXTENSIBLE
    more = b"\0\0" if tag == _FLOAT else struct.pack("<HHI", 22, 32, 0) + _SUBTYPE
    size = 16 + len(more)
    return struct.pack("<4sIHHIIHH", b"fmt ", size, tag, channels, rate, rate * 4 * channels, 4 * channels, 32) + more
