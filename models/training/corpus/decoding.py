"""What the live chain would say of clips that were measured before: decoders folded over cached evidence."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...bundle import Bundle
from ...decoders.base import HOPS_PER_EMISSION, Evidence
from ...decoders.fusion import Pool
from ...features.frame import BLOCKS
from ...grid import CELLS
from ...tracker import DecoderChain, pooled_heatmap
from .measure import ClipFeatures


class DecoderOutputs(NamedTuple):
    """Each decoder's own log heatmaps of one clip, before any pool."""

    names: tuple[str, ...]  # of the decoders
    log_heatmaps: NDArray[np.float32]  # (D, E, 121)
    theta: NDArray[np.float32]  # (E, K)
    presence: NDArray[np.float64]  # (E,): 1 while there is sound, as models.tracker has it
    neutral: NDArray[np.float64]  # (121,): the neutral heatmap


def stream_theta(bundle: Bundle, features: ClipFeatures) -> NDArray[np.float64]:
    """The topic posterior at each emission of a clip, as the live chain has it: (emissions, K)."""
    chain, state = DecoderChain(bundle, ()), bundle.topics.init()
    vectors, weights = features.vectors, features.weights
    rows = np.empty((features.emissions, bundle.acoustic.components))
    for i, row in enumerate(rows):
        blocks = slice(i * BLOCKS, (i + 1) * BLOCKS)
        state = chain.topics(state, vectors[blocks], weights[blocks])
        row[:] = chain.theta(state)
    return rows


def decode(bundle: Bundle, features: ClipFeatures) -> DecoderOutputs:
    """Fold every decoder of the bundle over a clip, as the tracker does with the policy ``pass``."""
    names = tuple(bundle.decoders)
    chain = DecoderChain(bundle, names)
    theta = stream_theta(bundle, features)
    textures, log_mel, sounding = features.textures, features.log_mel, features.sounding
    memory = chain.init()
    log_heatmaps = np.empty((len(names), features.emissions, CELLS), dtype=np.float32)
    presence = np.empty(features.emissions)
    for i in range(features.emissions):
        hops = log_mel[i * HOPS_PER_EMISSION : (i + 1) * HOPS_PER_EMISSION]
        memory = chain.step(memory, Evidence(hops, textures[i], theta[i]), sounding=bool(sounding[i]))
        log_heatmaps[:, i], presence[i] = memory.log_heatmaps, memory.presence
    return DecoderOutputs(names, log_heatmaps, theta.astype(np.float32), presence, chain.neutral)


def pooled(outputs: DecoderOutputs, pool: Pool) -> NDArray[np.float64]:
    """The heatmaps (E, 121) that the tracker would emit with this pool."""
    order = [outputs.names.index(name) for name in pool.names]
    log_heatmaps, theta = outputs.log_heatmaps[order].astype(np.float64), outputs.theta.astype(np.float64)
    return pooled_heatmap(pool, log_heatmaps, theta, outputs.presence, outputs.neutral)
