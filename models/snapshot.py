"""A chain's memory as a table of plain arrays, and back: what one run remembered, another can go on from."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST = 1 << 20  # numbers in an array whose shape the template does not tell


def snapshot(template: Any, state: Any) -> dict[str, NDArray[Any]]:
    """Copy ``state`` into a table by path, such as ``features.samples`` or ``decoders.states.0.reach``.

    ``template``: the state before any sound, from the same ``init()``. States are named tuples, tuples, arrays,
    numbers and None, nested at will; None is left out. So is a tuple that is empty in the template: such a one
    collects what belongs to a half second that is not over.
    """
    return {path: np.array(leaf) for path, _, leaf in _leaves(template, state, "") if leaf is not None}


def restored(template: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The state that :func:`snapshot` took, in the structure of ``template``.

    Where the template has None, an array of floats may be.

    Raises
    ------
    ValueError
        One line, unless each part is there with the template's kind and shape, and nothing else is, and every number
        is finite.

    Examples
    --------
    >>> restored((0.0, None), snapshot((0.0, None), (2.5, None)))
    (2.5, None)
    """
    left = dict(arrays)
    state = _rebuilt(template, left, "")
    if left:
        raise ValueError(f"{min(left)} is unknown")
    return state


def is_finite(state: Any) -> bool:
    """Whether every number of a state is finite; what is no array, number or tuple of them is not looked at."""
    if isinstance(state, tuple):
        return all(is_finite(part) for part in state)
    if isinstance(state, (np.ndarray, float)) and np.asarray(state).dtype.kind in "fc":
        return bool(np.isfinite(state).all())
    return True


def _leaves(template: Any, state: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Path, the template's part and the state's, for each leaf."""
    if isinstance(template, tuple):
        for name, part, own in zip(_names(template), template, state if template else (), strict=True):
            yield from _leaves(part, own, f"{path}.{name}" if path else name)
    else:
        yield path, template, state


def _rebuilt(template: Any, arrays: dict[str, NDArray[Any]], path: str) -> Any:
    """Takes what it uses out of ``arrays``."""
    if isinstance(template, tuple):
        parts = [
            _rebuilt(part, arrays, f"{path}.{name}" if path else name)
            for name, part in zip(_names(template), template, strict=True)
        ]
        return type(template)(*parts) if hasattr(template, "_fields") else tuple(parts)
    if template is None:
        return None if path not in arrays else _sound(arrays.pop(path), path)
    if path not in arrays:
        raise ValueError(f"{path} is missing")
    array, like = _sound(arrays.pop(path), path), np.asarray(template)
    if array.shape != like.shape or array.dtype != like.dtype:
        raise ValueError(f"{path} is {array.dtype}{array.shape}, expected {like.dtype}{like.shape}")
    return array if isinstance(template, np.ndarray) else array.item()


def _sound(array: NDArray[Any], path: str) -> NDArray[Any]:
    if array.size > _MOST or array.dtype.kind not in "fbiu" or not np.isfinite(array).all():
        raise ValueError(f"{path} holds what is no finite number")
    return array


def _names(template: tuple[Any, ...]) -> tuple[str, ...]:
    return getattr(template, "_fields", None) or tuple(map(str, range(len(template))))
