"""The tracker without a device, a thread or a clock: samples in, emissions out."""

import math

import numpy as np
import soxr
from numpy.typing import NDArray

from ...kernels.sound import mix_down
from ...models import grid
from ...models.bundle import FUSION, Bundle
from ...models.features.frame import BLOCK, BLOCKS, EMISSION, RATE
from ...models.tracker import Policy, Tracker, TrackerState
from ..errors import InputError
from .affect import Activity, Affect
from .protocols import Listener

_RATES = (1_000, 768_000)
_LIMIT = 16.0  # 24 dB over full scale: larger samples are faults, as are NaN and infinity
_METER_FLOOR = -60.0  # dBFS
_CLASSES: tuple[Activity, ...] = ("music", "speech", "noise")  # as the activity classifier numbers them


class Engine:
    """``push`` samples of any length at ``rate``; every 0.5 s of them gives one :class:`Affect`.

    Emission k (from 1) uses the samples up to exactly 12,000 k at 24 kHz, however they were divided into blocks.

    Parameters
    ----------
    bundle : the model, from :func:`valaro.models.load_bundle`.
    rate : samples per second of what will be pushed, 1 kHz to 768 kHz.
    decoder : one of the bundle's by name (``aeg``, ``crf``, ``lstm``), or their ``fusion``.
    listener : whose heatmap to give, such as a ``listeners.adaptation.OnlineAdaptation``; None: everybody's.
    policy : what speech and noise do to the heatmap: it goes to the neutral one as in silence (``drift``), stays as it
        was at the last music (``hold``), or follows them as well (``pass``).

    Raises
    ------
    InputError
        The rate is out of range.
    BundleError
        The bundle has no such decoder.
    """

    def __init__(
        self,
        bundle: Bundle,
        rate: float,
        decoder: str = FUSION,
        listener: Listener | None = None,
        policy: Policy = "drift",
    ) -> None:
        if not _RATES[0] <= rate <= _RATES[1]:
            raise InputError(f"a sample rate of {rate:g} Hz: Valaro takes {_RATES[0]} to {_RATES[1]} Hz")
        self._tracker = Tracker(bundle, decoder, policy)
        self._listener = listener
        self._rate = rate
        self.bad_samples = 0  # NaN, infinite or absurdly large ones, replaced by 0
        self._reset()

    def _reset(self) -> None:
        self._resampler = None if self._rate == RATE else soxr.ResampleStream(self._rate, RATE, 1, "float32", "HQ")
        self._pending = np.zeros(BLOCK, dtype=np.float32)
        self._filled = 0
        self._state = self._tracker.init()
        self._blocks = 0
        self._power = np.zeros(BLOCKS)
        self._active = np.zeros(BLOCKS, dtype=bool)

    def push(self, samples: NDArray[np.float32]) -> list[Affect]:
        """Take the next samples.

        Parameters
        ----------
        samples : float32, mono (n,) or (n, channels), which are averaged; full scale is ±1.

        Returns
        -------
        list of Affect
            The emissions that became due, oldest first: none, one, or as many as the samples hold.

        Raises
        ------
        ValueError
            The samples have another shape.
        """
        mono = self._clean(samples)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono)
        return self._take(mono)

    def finish(self) -> list[Affect]:
        """The stream is over: emit what the resampler still holds, and reset."""
        tail = np.zeros(0, dtype=np.float32)
        if self._resampler is not None:
            tail = self._resampler.resample_chunk(tail, last=True)
        emissions = self._take(tail)
        self._reset()
        return emissions

    @property
    def state(self) -> TrackerState:
        """The whole state of the chain; never changed in place."""
        return self._state

    def resume(self, state: TrackerState) -> None:
        """Start from the state of an engine of the same bundle and decoder; before the first :meth:`push`.

        The emission interval that it had begun is left out, and the stream's time begins at 0 here too.
        """
        self._state = state._replace(log_mel=(), active=False)

    def warm_up(self) -> None:
        """Run every part once on a second of noise, so that nothing is compiled or loaded during the session."""
        before, state = self.bad_samples, self._state
        noise = np.random.default_rng(0).standard_normal(round(self._rate)).astype(np.float32)
        self.push(0.1 * noise)
        self._reset()
        self._state = state
        self.bad_samples = before

    def _clean(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        samples = np.asarray(samples, dtype=np.float32)
        if samples.ndim not in (1, 2):
            raise ValueError(f"samples of shape {samples.shape}: (n,) or (n, channels) are wanted")
        if samples.size == 0:
            return np.zeros(0, dtype=np.float32)
        frames = samples[:, np.newaxis] if samples.ndim == 1 else samples
        mono = np.empty(len(frames), dtype=np.float32)
        self.bad_samples += mix_down(np.ascontiguousarray(frames), _LIMIT, mono)
        return mono

    def _take(self, mono: NDArray[np.float32]) -> list[Affect]:
        emissions = []
        taken = 0
        while taken < mono.size:
            count = min(BLOCK - self._filled, mono.size - taken)
            self._pending[self._filled : self._filled + count] = mono[taken : taken + count]
            self._filled += count
            taken += count
            if self._filled == BLOCK:
                self._filled = 0
                self._block()
                if self._blocks % BLOCKS == 0:
                    emissions.append(self._emit())
        return emissions

    def _block(self) -> None:
        self._state, features = self._tracker.step(self._state, self._pending)
        slot = self._blocks % BLOCKS
        self._power[slot] = features.power
        self._active[slot] = features.active
        self._blocks += 1

    def _emit(self) -> Affect:
        time = self._blocks // BLOCKS * EMISSION / RATE
        heatmap = self._tracker.heatmap(self._state)
        if self._listener is not None:
            personal = self._listener.hear(time, self._tracker.theta(self._state), heatmap, self._state.vector)
            presence = (
                self._state.decoders.presence
            )  # silence is not personal: the listener's share fades with the music
            heatmap = presence * personal + (1.0 - presence) * heatmap
        mean, covariance = grid.moments(heatmap)
        decibels = 10 * math.log10(self._power.mean() + 1e-12)
        return Affect(
            time=time,
            valence=float(mean[0]),
            arousal=float(mean[1]),
            covariance=covariance,
            heatmap=heatmap.reshape(grid.SIDE, grid.SIDE),
            quadrants=grid.quadrants(heatmap),
            confidence=float(grid.confidence(heatmap)),
            level=min(max(1 - decibels / _METER_FLOOR, 0.0), 1.0),
            activity=self._activity(),
        )

    def _activity(self) -> Activity:
        if not self._active.any():
            return "silence"
        return _CLASSES[self._state.activity.verdict]
