"""How every kernel is compiled: ahead of use, for one exact signature, without the GIL, cached on disk.

A kernel calls no kernel of another file: Numba's cache looks only at a function's own file, so that a change in
a callee elsewhere would leave stale machine code behind.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numba.core.typing.templates import Signature
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
C64 = NDArray[np.complex64]
Real = float | np.floating[Any]

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# Not "fast": that also lets the compiler assume that no NaN or infinity ever comes, which real input breaks.
FASTMATH = frozenset({"reassoc", "contract", "arcp", "nsz", "afn"})


def kernel(
    *signatures: str | Signature, reorder: bool = True, error_model: str = "python"
) -> Callable[[_Kernel], _Kernel]:
    """Compile a loop for exactly these signatures, at import (or load it from the cache).

    ``reorder``: leave to sum in another order, which vectorising needs. ``error_model`` "numpy": dividing by zero
    gives infinity or NaN and needs no check, "python": it raises.
    """

    def compile_(function: _Kernel) -> _Kernel:
        options = {"nogil": True, "fastmath": set(FASTMATH) if reorder else False, "error_model": error_model}
        try:
            return njit(list(signatures), cache=True, **options)(function)  # type: ignore[return-value]
        except RuntimeError as fault:
            if "cannot cache" not in str(fault):
                raise
            # Neither the install nor the user's cache folder can be written to: each start compiles again.
            return njit(list(signatures), **options)(function)  # type: ignore[return-value]

    return compile_
