"""How every kernel is compiled: ahead of use, for one exact signature, without the GIL, cached on disk.

The cache is the folder that NUMBA_CACHE_DIR names, else ``valaro/kernels`` among the user's caches, where the next
installation finds it again: one beside the code goes with each `pip install`. Where that cannot be written to, Numba's
own choices follow: beside the code, then its own folder among the user's caches.

A kernel calls no kernel of another file: Numba's cache looks only at a function's own file, so that a change in
a callee elsewhere would leave stale machine code behind.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numba import config as numba_config
from numba import njit
from numba.core.typing.templates import Signature
from numba.misc.appdirs import user_cache_dir
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
C64 = NDArray[np.complex64]
Real = float | np.floating[Any]

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# Not "fast": that also lets the compiler assume that no NaN or infinity ever comes, which real input breaks.
FASTMATH = frozenset({"reassoc", "contract", "arcp", "nsz", "afn"})


config: Any = numba_config  # its names are made when it is read
listeners: list[Callable[[Any], object]] = []  # each is called with every kernel that is ready


@contextmanager
def _cached_with_the_user() -> Iterator[None]:
    """Within it Numba caches in Valaro's folder, unless the environment names another; other packages' caches stay."""
    before = config.CACHE_DIR
    folder = os.path.join(user_cache_dir("valaro", appauthor=False), "kernels")
    # Without a home there is no absolute path, and the folder would be made wherever the program was started.
    config.CACHE_DIR = before or (folder if os.path.isabs(folder) else "")
    try:
        yield
    finally:
        config.CACHE_DIR = before


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
            with _cached_with_the_user():
                compiled = njit(list(signatures), cache=True, **options)(function)
        except RuntimeError as fault:
            if "cannot cache" not in str(fault):
                raise
            # Neither the install nor the user's cache folder can be written to: each start compiles again.
            compiled = njit(list(signatures), **options)(function)
        for listener in listeners:
            listener(compiled)
        return compiled  # type: ignore[return-value]

    return compile_
