"""Several channels of one input, each tracked separately."""

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
    """An engine for each channel behind the interface of one: every 0.5 s an emission of each channel.

    The engines share the bundle with its arrays and its network, which are stateless.

    Parameters
    ----------
    bundle : the model.
    rate : samples per second of what will be pushed.
    channels : the input's channel number (from 1) of each column of what will be pushed; each once.
    decoder, policy : as of :class:`Engine`.

    Raises
    ------
    InputError
        There are no channels, one is named twice, or a number or the rate is out of range.
    BundleError
        The bundle has no such decoder.
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
    def bad_heatmaps(self) -> int:
        """Heatmaps of any of the channels that were none; the neutral one went out."""
        return sum(engine.bad_heatmaps for engine in self.engines.values())

    @property
    def state(self) -> tuple[TrackerState, ...]:
        """The state of each engine."""
        return tuple(engine.state for engine in self.engines.values())

    def resume(self, state: Sequence[TrackerState]) -> None:
        """As :meth:`Engine.resume`, with the states of as many channels; all of them, or none."""
        before = self.state
        try:
            for engine, engine_state in zip(self.engines.values(), state, strict=True):
                engine.resume(engine_state)
        except ValueError:
            for engine, engine_state in zip(self.engines.values(), before, strict=True):
                engine.resume(engine_state)
            raise

    def warm_up(self) -> None:
        """Run every part of each engine once."""
        for engine in self.engines.values():
            engine.warm_up()

    def push(self, samples: NDArray[np.float32]) -> list[Affect]:
        """Take the next samples.

        Parameters
        ----------
        samples : float32 (n, channels).

        Returns
        -------
        list of Affect
            The emissions that became due, oldest first, and of one moment in the order of the channels.

        Raises
        ------
        ValueError
            Another number of columns.
        """
        if samples.ndim != 2 or samples.shape[1] != len(self.engines):
            raise ValueError(f"samples of shape {samples.shape}: (n, {len(self.engines)}) are wanted")
        return self._interleaved([engine.push(samples[:, k]) for k, engine in enumerate(self.engines.values())])

    def finish(self) -> list[Affect]:
        """The stream is over: emit what the engines still hold, and reset."""
        return self._interleaved([engine.finish() for engine in self.engines.values()])

    def _interleaved(self, emissions: list[list[Affect]]) -> list[Affect]:
        """The channels' emissions by time, with their channel; all have as many, for they got as many samples."""
        return [
            replace(affect, channel=number)
            for moment in zip(*emissions, strict=True)
            for number, affect in zip(self.engines, moment, strict=True)
        ]
