"""Whether what sounds is music, speech or noise: a small classifier of the acoustic vector, and a filter over time.

The classifier is a network of one hidden layer on the running texture of the last two seconds; the filter a hidden
Markov model of three states that seldom change (its forward recursion), which starts from music: a sound that nothing
is known of may steer the show.
"""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..features import texture

CLASSES = ("music", "speech", "noise")
MUSIC = 0
LIMIT = 6.0  # a feature of unheard sound counts for no more than this many deviations

# From one emission to the next (row: from). Shorter lives than a show's parts have: the texture, which trails by two
# seconds, has smoothed what it says already. Without any sound the belief goes this way too, so that after some ten
# seconds of silence all is open again.
_CHANGES = np.array([[0.95, 0.025, 0.025], [0.034, 0.95, 0.016], [0.034, 0.016, 0.95]])
_AT_FIRST = np.array([0.98, 0.01, 0.01])


class ActivityState(NamedTuple):
    """What is believed now."""

    belief: NDArray[np.float64]  # (3,): of music, speech, noise; sums to 1

    @property
    def verdict(self) -> int:
        """The likeliest of ``CLASSES``, by its index."""
        return int(self.belief.argmax())


def init() -> ActivityState:
    """Nothing heard: music is expected."""
    return ActivityState(_AT_FIRST.copy())


@dataclass(frozen=True, eq=False)
class ActivityClassifier:
    """``step(state, vector, weight) -> state``, once an emission, from :func:`init` on.

    Parameters
    ----------
    mean, scale
        (V,), V = texture.SIZE, scale positive: z = (x - mean) / scale, held within +-LIMIT.
    hidden
        (V, H)
    hidden_bias
        (H,)
    output
        (H, 3)
    output_bias
        (3,): log p(x | class) up to a constant is tanh(z @ hidden + hidden_bias) @ output + output_bias. All finite.

    Raises
    ------
    ValueError
        For shapes that do not belong together and values that cannot be.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output: NDArray[np.float32]
    output_bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        for part in fields(self):
            object.__setattr__(self, part.name, np.ascontiguousarray(getattr(self, part.name), dtype=np.float32))
        H = self.hidden_bias.size
        shapes: dict[str, tuple[int, ...]] = {"mean": (texture.SIZE,), "scale": (texture.SIZE,), "hidden_bias": (H,)}
        shapes |= {"hidden": (texture.SIZE, H), "output": (H, len(CLASSES)), "output_bias": (len(CLASSES),)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} of an activity classifier has shape {getattr(self, name).shape}, expected {shape}"
                )
        if not all(np.isfinite(getattr(self, part.name)).all() for part in fields(self)):
            raise ValueError("an activity classifier has values that are not finite")
        if not np.all(self.scale > 0):
            raise ValueError("scale of an activity classifier must be positive")

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log likelihoods of music, speech and noise up to a constant of each: vectors (..., V) -> (..., 3)."""
        z = np.clip((vectors - self.mean) / self.scale, -LIMIT, LIMIT)
        return np.tanh(z @ self.hidden + self.hidden_bias) @ self.output + self.output_bias

    def step(self, state: ActivityState, vector: NDArray[np.float32], weight: float) -> ActivityState:
        """Take one emission: its acoustic vector (V,), and how much that counts, 0 (silence) to 1; state is kept."""
        return self.believe(state, self.scores(vector) if weight else np.zeros(len(CLASSES)), weight)

    @staticmethod
    def believe(state: ActivityState, scores: NDArray[Any], weight: float) -> ActivityState:
        """The filter's step by itself: scores (3,) as ``scores`` gives them."""
        belief = state.belief @ _CHANGES
        belief *= np.exp(weight * (scores - scores.max()))
        return ActivityState(belief / belief.sum())
