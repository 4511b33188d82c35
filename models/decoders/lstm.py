"""The recurrent decoder: a causal convolutional front end on log-mel and an LSTM, stepped by ONNX Runtime.

After the VAE-LSTM that emits every 0.5 s, here with the front end trained towards a teacher's embedding instead of
its own reconstruction. The graph has no memory: the hops that the convolutions look back on and the LSTM's h and c go
in and come out with every step.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..grid import CELLS
from .base import SHAPES, Evidence
from .fusion import normalised

if TYPE_CHECKING:
    import onnxruntime

    from .registry import Weights

INPUTS = ("log_mel", "context", "texture", "h", "c")
OUTPUTS = ("logits", "next_context", "next_h", "next_c")


class LSTMState(NamedTuple):
    """What the next step needs of the past. ``context`` is None before the first sound."""

    context: NDArray[np.float32] | None  # (1, C, 64): the last hops' log-mel
    h: NDArray[np.float32]  # (1, 1, H)
    c: NDArray[np.float32]  # (1, 1, H)


@dataclass(frozen=True, eq=False)
class LSTM:
    """The decoder. ``model``: an ONNX graph from INPUTS to OUTPUTS, as bytes.

    Raises
    ------
    ValueError
        For bytes that are no such graph.
    """

    model: bytes

    def __post_init__(self) -> None:
        given = {node.name: tuple(node.shape) for node in self._session.get_inputs()}
        wanted = {"log_mel": (1, *SHAPES["log_mel"]), "texture": (1, *SHAPES["texture"])}
        if tuple(given) != INPUTS or any(given[name] != shape for name, shape in wanted.items()):
            raise ValueError(f"the network's inputs are {given}, expected {', '.join(INPUTS)} with {wanted}")
        results = {node.name: tuple(node.shape) for node in self._session.get_outputs()}
        if tuple(results) != OUTPUTS or results["logits"] != (1, CELLS):
            raise ValueError(f"the network's outputs are {results}, expected {', '.join(OUTPUTS)}, 121 logits")
        memory = [given[name] for name in ("context", "h", "c")]
        kept = memory == [results[f"next_{name}"] for name in ("context", "h", "c")]
        fixed = all(isinstance(size, int) for shape in memory for size in shape)
        if not (kept and fixed and memory[0][::2] == (1, SHAPES["log_mel"][1])):
            raise ValueError(f"the network's memory must keep its shape: {memory} becomes {results}")

    def __getstate__(self) -> dict[str, bytes]:
        return {"model": self.model}  # to another process goes the graph, not the session

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        # It would tell Microsoft of each start, and keep a database for that in the user's cache folder.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)  # errors: it warns of every machine without a GPU
        options = onnxruntime.SessionOptions()
        # One thread that sleeps when it has nothing to do: the step takes a millisecond, twice a second.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A single step is too small to gain from a GPU, and would have to wait for the visuals that run there.
        providers: list[Any] = ["CPUExecutionProvider"]
        try:
            return onnxruntime.InferenceSession(self.model, options, providers=providers)
        except Exception as error:
            raise ValueError(f"the network cannot be read ({str(error).splitlines()[0]})") from error

    @property
    def provider(self) -> str:
        """Which of ONNX Runtime's execution providers it got."""
        return self._session.get_providers()[0]

    @cached_property
    def _context_shape(self) -> tuple[int, ...]:
        return next(tuple(node.shape) for node in self._session.get_inputs() if node.name == "context")

    def init(self) -> LSTMState:
        """Nothing heard."""
        shapes = {node.name: tuple(node.shape) for node in self._session.get_inputs()}
        return LSTMState(None, np.zeros(shapes["h"], np.float32), np.zeros(shapes["c"], np.float32))

    def step(self, state: LSTMState, evidence: Evidence) -> tuple[LSTMState, NDArray[np.float64]]:
        """Take one emission; returns the new state and the log heatmap (121,)."""
        log_mel = np.ascontiguousarray(evidence.log_mel[None], dtype=np.float32)
        context = state.context
        if context is None:  # as if the music had begun with its first hop held for a while
            context = np.ascontiguousarray(np.broadcast_to(log_mel[:, :1], self._context_shape))
        texture = np.ascontiguousarray(evidence.texture[None], dtype=np.float32)
        values = (log_mel, context, texture, state.h, state.c)
        outputs = self._session.run(OUTPUTS, dict(zip(INPUTS, values, strict=True)))
        logits, context, h, c = (np.asarray(output) for output in outputs)
        return LSTMState(context, h, c), normalised(logits[0].astype(np.float64))


def from_weights(weights: "Weights") -> LSTM:
    """Make it from what a bundle holds: one ONNX graph."""
    [graph] = weights.files.values()
    return LSTM(graph)
