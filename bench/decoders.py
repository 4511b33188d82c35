"""What a decoder costs: evidence of real sound, and the median of many steps."""

import time

import numpy as np
from valaro.models import Bundle
from valaro.models.decoders.base import Evidence
from valaro.models.features.frame import BLOCK, BLOCKS, HOP_COLUMNS
from valaro.models.tracker import Tracker

from .material import minute

_STEPS = 2_000


def evidence(bundle: Bundle) -> Evidence:
    """What the decoders are given after ten seconds of the minute."""
    tracker, samples = Tracker(bundle), minute(24_000)
    state, log_mel = tracker.init(), []
    for i in range(20 * BLOCKS):
        state, features = tracker.step(state, samples[i * BLOCK : (i + 1) * BLOCK])
        log_mel.append(features.hops[:, HOP_COLUMNS["log_mel"]])
    mean, deviation, within = state.texture.mean, np.sqrt(state.texture.variance), state.texture.within
    vector = np.concatenate((mean, deviation, within)).astype(np.float32)
    return Evidence(np.concatenate(log_mel[-BLOCKS:]), vector, tracker.theta(state))


def milliseconds(bundle: Bundle) -> dict[str, float]:
    """CPU time of one emission of each decoder: the median of many."""
    heard, found = evidence(bundle), {}
    for name, decoder in bundle.decoders.items():
        state, _ = decoder.step(decoder.init(), heard)
        taken = np.empty(_STEPS)
        for i in range(_STEPS):
            start = time.process_time_ns()
            state, _ = decoder.step(state, heard)
            taken[i] = time.process_time_ns() - start
        found[name] = float(np.median(taken)) / 1e6
    return found
