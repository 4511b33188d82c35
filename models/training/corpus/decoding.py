"""What the live chain would say of clips that were measured before: decoders folded over cached evidence."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...bundle import FUSION, Bundle
from ...decoders.base import HOPS_PER_EMISSION, Evidence
from ...decoders.fusion import Pool
from ...features.frame import BLOCKS, EMISSION, RATE
from ...grid import CELLS
from .measure import ClipFeatures


class DecoderOutputs(NamedTuple):
    """Each decoder's own log heatmaps of one clip, before any pool."""

    names: tuple[str, ...]  # of the decoders
    log_heatmaps: NDArray[np.float32]  # (D, E, 121)
    theta: NDArray[np.float32]  # (E, K)
    presence: NDArray[np.float64]  # (E,): 1 while there is sound, as models.tracker has it
    rest: NDArray[np.float64]  # (121,): the neutral heatmap


def stream_theta(bundle: Bundle, heard: ClipFeatures) -> NDArray[np.float64]:
    """The topic posterior at each emission of a clip, as the live chain has it: (emissions, K)."""
    posteriors = bundle.acoustic.posteriors(bundle.projection(heard.vectors[: heard.emissions * BLOCKS]))
    state = bundle.topics.init()
    rows = np.empty((heard.emissions, bundle.acoustic.components))
    for i in range(heard.emissions):
        now = slice(i * BLOCKS, (i + 1) * BLOCKS)
        state = bundle.topics.step(state, posteriors[now], heard.weights[now])
        rows[i] = bundle.topics.theta(state)
    return rows


def decode(bundle: Bundle, heard: ClipFeatures) -> DecoderOutputs:
    """Fold every decoder of the bundle over a clip, waiting in silence as the tracker does."""
    theta, textures, log_mel, sounding = stream_theta(bundle, heard), heard.textures, heard.log_mel, heard.sounding
    decoders = list(bundle.decoders.values())
    states = [decoder.init() for decoder in decoders]
    told = np.zeros((len(decoders), CELLS))
    out = np.empty((len(decoders), heard.emissions, CELLS), dtype=np.float32)
    presence = np.zeros(heard.emissions)
    fading = 2.0 ** (-EMISSION / RATE / bundle.half_life)
    before = 0.0
    for i in range(heard.emissions):
        if sounding[i]:
            hops = log_mel[i * HOPS_PER_EMISSION : (i + 1) * HOPS_PER_EMISSION]
            evidence = Evidence(hops, textures[i], theta[i])
            for d, decoder in enumerate(decoders):
                states[d], told[d] = decoder.step(states[d], evidence)
        presence[i] = before = 1.0 if sounding[i] else before * fading
        out[:, i] = told
    rest = bundle.affective.heatmap(bundle.topics.theta(bundle.topics.init()))
    return DecoderOutputs(tuple(bundle.decoders), out, theta.astype(np.float32), presence, rest)


def pooled(told: DecoderOutputs, pool: Pool) -> NDArray[np.float64]:
    """The heatmaps (E, 121) that the tracker would emit with this pool."""
    order = [told.names.index(name) for name in pool.names]
    heatmaps = pool(told.log_heatmaps[order].astype(np.float64), pool.shares(told.theta.astype(np.float64)))
    presence = told.presence[:, None]
    return presence * heatmaps + (1.0 - presence) * told.rest


def heatmaps(bundle: Bundle, heard: ClipFeatures, decoder: str = FUSION) -> NDArray[np.float64]:
    """The heatmap at each emission of a clip: (emissions, 121), as the live chain gives it."""
    return pooled(decode(bundle, heard), bundle.pool(decoder))
