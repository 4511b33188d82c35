"""Several channels of one input, each tracked by itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...models.bundle import FUSION, Bundle
from ...models.tracker import Policy, TrackerState
from ..errors import InputError
from .affect import MOST_CHANNELS, Affect
from .engine import Engine


class MultichannelEngine:
    """What a session asks of an engine, with an engine for each channel: every 0.5 s an emission of each.

    The engines share the bundle with its arrays and its network, which keep nothing between two steps.

    Args:
        bundle: the model.
        rate: samples per second of what will be pushed.
        channels: the number (from 1) of each column of what will be pushed, as it stands on the input; each once.
        decoder, policy: as of :class:`Engine`.

    Raises:
        InputError: there are no channels, one is named twice, or a number or the rate cannot be meant.
        BundleError: the bundle has no such decoder.
    """

    def __init__(
        self,
        bundle: Bundle,
        rate: float,
        channels: Sequence[int],
        decoder: str = FUSION,
        policy: Policy = "drift",
    ) -> None:
        for number in channels:
            if not 1 <= number <= MOST_CHANNELS:
                raise InputError(f"channels are numbered from 1 to {MOST_CHANNELS}, not {number}")
            if channels.count(number) > 1:
                raise InputError(f"channel {number} is named twice: it can be tracked separately once")
        if not channels:
            raise InputError("there is no channel to be tracked separately: name some, such as --channels 1,2")
        self.engines = {number: Engine(bundle, rate, decoder, policy=policy) for number in channels}

    @property
    def bad_samples(self) -> int:
        """NaN, infinite or absurdly large samples in any of the channels, taken as 0."""
        return sum(engine.bad_samples for engine in self.engines.values())

    @property
    def state(self) -> tuple[TrackerState, ...]:
        """All that each engine remembers of the music now."""
        return tuple(engine.state for engine in self.engines.values())

    def resume(self, state: Sequence[TrackerState]) -> None:
        """As :meth:`Engine.resume`, with the states of as many channels."""
        for engine, own in zip(self.engines.values(), state, strict=True):
            engine.resume(own)

    def warm_up(self) -> None:
        """Run every part of each engine once."""
        for engine in self.engines.values():
            engine.warm_up()

    def push(self, samples: NDArray[np.float32]) -> list[Affect]:
        """Take the next samples (n, channels), float32; ValueError for another number of columns.

        Returns the emissions that became due, oldest first, and of one moment in the order of the channels.
        """
        if samples.ndim != 2 or samples.shape[1] != len(self.engines):
            raise ValueError(f"samples of shape {samples.shape}: (n, {len(self.engines)}) are wanted")
        return self._marked([engine.push(samples[:, k]) for k, engine in enumerate(self.engines.values())])

    def finish(self) -> list[Affect]:
        """The stream is over: emit what is still held back, and start afresh."""
        return self._marked([engine.finish() for engine in self.engines.values()])

    def _marked(self, emissions: list[list[Affect]]) -> list[Affect]:
        """Each channel's emissions by time, and marked; all channels have as many, for they got as many samples."""
        return [
            replace(affect, channel=number)
            for moment in zip(*emissions, strict=True)
            for number, affect in zip(self.engines, moment, strict=True)
        ]
