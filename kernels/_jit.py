"""How every kernel is compiled: ahead of use, for one exact signature, without the GIL, cached on disk.

A kernel calls no kernel of another file: Numba's cache looks only at a function's own file, so that a change in
a callee elsewhere would leave stale machine code behind.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
C64 = NDArray[np.complex64]
Real = float | np.floating[Any]

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# Not "fast": that also lets the compiler assume that no NaN or infinity ever comes, which real input breaks.
FASTMATH = frozenset({"reassoc", "contract", "arcp", "nsz", "afn"})


def kernel(*signatures: str) -> Callable[[_Kernel], _Kernel]:
    """Compile a loop for exactly these signatures, at import (or load it from the cache)."""

    def compile_(function: _Kernel) -> _Kernel:
        return njit(list(signatures), nogil=True, cache=True, fastmath=set(FASTMATH))(function)  # type: ignore[return-value]

    return compile_
