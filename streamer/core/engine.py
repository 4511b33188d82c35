"""The tracker without a device, a thread or a clock: samples in, emissions out."""

import logging
import math

import numpy as np
import soxr
from numpy.typing import NDArray

from ...kernels.sound import mix_down
from ...models import grid
from ...models.bundle import FUSION, Bundle
from ...models.features.frame import BLOCK, BLOCKS, EMISSION, RATE
from ...models.snapshot import is_finite
from ...models.tracker import Policy, Tracker, TrackerState
from ..errors import InputError
from .affect import Activity, Affect
from .protocols import Listener

log = logging.getLogger(__name__)

_RATES = (1_000, 768_000)
_LIMIT = 16.0  # 24 dB over full scale: larger samples are faults, as are NaN and infinity
_SUM = 1e-6  # by which a heatmap's sum may differ from 1
_METER_FLOOR = -60.0  # dBFS
_CLASSES: tuple[Activity, ...] = ("music", "speech", "noise")  # as the activity classifier numbers them


def _is_heatmap(heatmap: NDArray[np.float64]) -> bool:
    """Whether it is finite and sums to 1; a sum that is finite has no part that is not."""
    return heatmap.shape == (grid.CELLS,) and abs(float(heatmap.sum()) - 1.0) < _SUM and float(heatmap.min()) >= 0.0


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
        neutral = self._tracker.neutral
        self._neutral = neutral if _is_heatmap(neutral) else np.full(grid.CELLS, 1.0 / grid.CELLS)
        self._listener = listener
        self._rate = rate
        self.bad_samples = 0  # NaN, infinite or absurdly large ones, replaced by 0
        self.bad_heatmaps = 0  # not finite, or no distribution; the neutral one went out
        self._told = False
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

        Raises
        ------
        ValueError
            Nothing can be heard from this state on: a second of noise gave an error, or no heatmap. The engine is as it
            was before.
        """
        before = self._state, self.bad_samples, self.bad_heatmaps, self._told
        self._told = True  # a trial
        resumed = state._replace(log_mel=(), active=False)
        listener, self._listener = self._listener, None
        self._state = resumed
        try:
            with np.errstate(all="ignore"):
                self._try_out()
            sound = self.bad_heatmaps == before[2] and is_finite(self._state)
            reason = "it leads to numbers that are none"
        except Exception as fault:  # noqa: BLE001  a state of another shape fails anywhere, in ONNX Runtime too
            sound, reason = False, f"nothing can be heard from it on: {type(fault).__name__}"
        self._reset()
        self._listener = listener
        self._state, self.bad_samples, self.bad_heatmaps, self._told = before
        if not sound:
            raise ValueError(reason)
        self._state = resumed

    def warm_up(self) -> None:
        """Run every part once on a second of noise, so that nothing is compiled or loaded during the session."""
        before, state = self.bad_samples, self._state
        self._try_out()
        self._reset()
        self._state = state
        self.bad_samples = before

    def _try_out(self) -> list[Affect]:
        """What comes of a second of noise."""
        noise = np.random.default_rng(0).standard_normal(round(self._rate)).astype(np.float32)
        return self.push(0.1 * noise)

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
        heatmap = self._heatmap(time)
        mean, covariance = grid.moments(heatmap)
        power = float(self._power.mean())
        decibels = 10 * math.log10(power + 1e-12) if 0.0 <= power < math.inf else _METER_FLOOR  # NaN is not
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

    def _heatmap(self, time: float) -> NDArray[np.float64]:
        """What goes out: of a heatmap that is none, the neutral one, and what made it so begins afresh."""
        heatmap = self._tracker.heatmap(self._state)
        # Features that are no numbers stay so, while a decoder may make some heatmap of them for ever.
        if not (_is_heatmap(heatmap) and math.isfinite(self._state.vector.sum())):
            self._replaced("the model gave")
            self._state = self._tracker.healed(self._state)._replace(heatmap=self._neutral)
            return self._neutral
        if self._listener is None:
            return heatmap
        personal = self._listener.hear(time, self._tracker.theta(self._state), heatmap, self._state.vector)
        if not _is_heatmap(personal):
            self._replaced("a listener's ratings gave")
            return heatmap
        presence = self._state.decoders.presence  # silence is not personal: the listener's share fades with the music
        return presence * personal + (1.0 - presence) * heatmap

    def _replaced(self, whose: str) -> None:
        self.bad_heatmaps += 1
        if not self._told:
            self._told = True
            log.warning("%s a heatmap that is no numbers: another goes out (told once, counted from here on)", whose)

    def _activity(self) -> Activity:
        if not self._active.any():
            return "silence"
        return _CLASSES[self._state.activity.verdict]
