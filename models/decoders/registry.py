"""Decoders by kind: how a bundle's table of decoders becomes decoders, Valaro's own and other packages'.

A bundle's manifest has a table ``decoders``: name -> ``kind``, ``files`` that hold what it learnt, and ``settings``.
The kind is looked for at the door ``valaro.decoders``. What the entry point names is called with the
:class:`Weights`, and returns a :class:`~valaro.models.decoders.base.Decoder`.
"""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..doors import DECODERS, Plugin, listed, load, target, words
from ..errors import PluginError
from ..grid import CELLS
from .base import Decoder, Evidence
from .fusion import normalised

log = logging.getLogger(__name__)

UNIFORM = np.full(CELLS, -np.log(CELLS))  # the log heatmap that says nothing


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a bundle holds of one decoder.

    Parameters
    ----------
    kind
        Which decoder it is, by the name at the door ``valaro.decoders``.
    arrays
        By name, of the bundle's ``.npz`` for it; read without pickle.
    files
        Whatever else it consists of, such as an ONNX graph: bytes by file name.
    settings
        Plain values, as JSON has them.
    """

    kind: str
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def make(weights: Weights) -> Decoder[Any]:
    """The decoder that a bundle's table describes.

    Another package's comes guarded: whatever it does, a heatmap comes out (:class:`GuardedDecoder`).

    Raises
    ------
    PluginError
        No installed package brings this kind, or the one that does cannot make a decoder of it.
    """
    plugin = next((plugin for plugin in listed(DECODERS) if plugin.name == weights.kind), None)
    if plugin is None:
        raise PluginError(f"no installed package brings the kind of decoder {weights.kind!r}")
    if plugin.own:
        return target(plugin)(weights)
    called = load(plugin)
    try:
        return GuardedDecoder(plugin, called(weights))
    except KeyboardInterrupt:
        raise
    except BaseException as fault:
        raise PluginError(f"{plugin} cannot be made from its weights: {words(fault)}") from fault


class GuardedDecoder:
    """Another package's decoder, which may raise, give no heatmap or write into what it is given.

    Whenever it does, its heatmap says nothing (all cells alike), its state stays, and ``faults`` counts it; the first
    of a row is logged. The evidence is lent to it for reading only, and of its state it gets a copy: what a step
    changes in place is nobody else's.
    """

    def __init__(self, plugin: Plugin, decoder: Decoder[Any]) -> None:
        self.faults = 0
        self._plugin = plugin
        self._decoder = decoder
        self._failing = False
        self._first = decoder.init()

    def init(self) -> Any:
        """Its state before any sound."""
        return copy.deepcopy(self._first)

    def step(self, state: Any, evidence: Evidence) -> tuple[Any, NDArray[np.float64]]:
        """Take one emission; the log heatmap (121,) is finite, and normalised here."""
        try:
            new, log_heatmap = self._decoder.step(copy.deepcopy(state), Evidence(*map(_read_only, evidence)))
            log_heatmap = np.array(log_heatmap, dtype=np.float64)
            if log_heatmap.shape != (CELLS,):
                raise ValueError(f"a log heatmap of shape {log_heatmap.shape}, and not ({CELLS},)")
            with np.errstate(all="ignore"):
                log_heatmap = normalised(log_heatmap)
            if not np.isfinite(log_heatmap).all():
                raise ValueError("a log heatmap that is not finite")
        except KeyboardInterrupt:
            raise
        except BaseException as fault:  # noqa: BLE001  it may be anyone's code, and the show goes on
            self.faults += 1
            if not self._failing:
                log.warning("%s: %s (told once, counted from here on)", self._plugin, words(fault))
            self._failing = True
            return state, UNIFORM
        self._failing = False
        return new, log_heatmap


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
