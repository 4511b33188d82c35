"""Numba-compiled loops on arrays: ndarray in, result written to ``out``; no validation, no state, no I/O."""
