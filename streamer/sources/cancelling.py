"""Channels that cancel each other when they are mixed, such as those of a cable with one leg swapped."""

import logging

import numpy as np
from numpy.typing import NDArray

from ..core.affect import Affect
from ..core.protocols import Block, EngineLike

log = logging.getLogger(__name__)

_SOUNDING = 1e-4  # a block's largest sample above which it counts
_ENOUGH = (3.0, 20.0)  # s of such blocks: for channels that are as usual, and for a judgement on others
_PATIENCE = 300.0  # s after which nothing more is expected
_USUAL = 0.1  # the mix's power as a share of the channels' mean power: above it nothing cancels
_CANCELS = 0.01  # below it they do: the mix is 20 dB below a channel
_LIMIT = 16.0  # larger samples are faults


class Polarity:
    """Measures the channels' first sound, then turns the sign of those that cancel it.

    What one pass over the same sound gives is always the same, and independent of how it is played afterwards.

    Parameters
    ----------
    channels : how many.
    rate : samples per second.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self._products = np.zeros((channels, channels))
        self._rate = rate
        self._heard = self._counted = 0

    def wants(self, block: Block) -> bool:
        """Take a block (n, channels) into account; returns whether more are needed."""
        self._heard += len(block)
        clean = np.where(np.abs(block) <= _LIMIT, block, 0.0).astype(np.float64)
        if clean.size and np.abs(clean).max() > _SOUNDING:
            self._products += clean.T @ clean
            self._counted += len(block)
        seconds = self._counted / self._rate
        usual = seconds >= _ENOUGH[0] and _mix(self._products) > _USUAL
        return not usual and seconds < _ENOUGH[1] and self._heard < _PATIENCE * self._rate

    @property
    def _signs(self) -> NDArray[np.float32]:
        """(channels,), -1 for those to turn."""
        signs = np.ones(len(self._products), dtype=np.float32)
        if self.cancels:
            power = np.diagonal(self._products)
            kept = int(np.argmax(power >= power.max() / 2))  # the first of the loud ones
            signs[self._products[kept] < 0] = -1.0
        return signs

    @property
    def cancels(self) -> bool:
        """Whether next to nothing is left of the channels when they are mixed."""
        return _mix(self._products) < _CANCELS

    @property
    def words(self) -> str:
        """What is wrong and what is done about it; "": nothing is."""
        if not self.cancels:
            return ""
        turned = np.flatnonzero(self._signs < 0) + 1
        which = f"channel{'s' if len(turned) > 1 else ''} {', '.join(map(str, turned))}"
        return f"its channels cancel when they are mixed (one leg swapped?): {which} heard with the sign turned"

    def turned(self, block: Block) -> Block:
        """The block with the signs as they are to be; the very block where nothing cancels."""
        signs = self._signs
        return block if (signs > 0).all() else block * signs


class CancellingWatch:
    """An engine that passes everything on to ``engine``, and says once of a live input that its channels cancel.

    They are not turned: nobody knows how the input will be in an hour, and a sign that changes is heard.

    Parameters
    ----------
    engine : the engine that the session would use otherwise.
    name : the input's.
    channels, rate : of the input.
    """

    def __init__(self, engine: EngineLike, name: str, channels: int, rate: int) -> None:
        self._engine = engine
        self._name = name
        self._polarity: Polarity | None = Polarity(channels, rate)  # None: it is known how they are

    @property
    def bad_samples(self) -> int:
        """The engine's count."""
        return self._engine.bad_samples

    def warm_up(self) -> None:
        """Warm the engine up."""
        self._engine.warm_up()

    def push(self, samples: Block) -> list[Affect]:
        """Measure samples (n, channels) as long as it is not known how they are, and pass them on."""
        if self._polarity is not None and not self._polarity.wants(samples):
            if self._polarity.cancels:
                what = "its channels cancel when they are mixed (one leg swapped?)"
                log.warning("%s: %s: turn one round, or hear one alone with --channels 1", self._name, what)
            self._polarity = None
        return self._engine.push(samples)

    def finish(self) -> list[Affect]:
        """Finish the engine's stream."""
        return self._engine.finish()


def _mix(products: NDArray[np.float64]) -> float:
    """The power of the mean over the channels as a share of their mean power; 1 for silence."""
    power = np.trace(products)
    return float(products.sum() / len(products) / power) if power > 0 else 1.0
