"""What a stream leaves behind in memory, hop by hop: nothing; and what a hop takes while it is pushed.

Counted by tracemalloc, which sees Python's objects and NumPy's arrays. A push that completes no block (four of five at
20 ms) takes what the hop itself is big: its mono mix and the resampler's answer. A block (every 100 ms) takes its
spectra, and an emission its evidence and what the decoders make of it; both give all of it back.
"""

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import load_bundle
from valaro.streamer import Engine
from valaro.streamer.core.ring import Ring

BUNDLE = load_bundle()
HOPS = 3_000  # a minute
HOP = 1 / 50


def hops(rate: int, channels: int) -> Iterator[NDArray[np.float32]]:
    """The same ten seconds of noise and tones over and over, in views of 20 ms."""
    rng = np.random.default_rng(1)
    t = np.arange(10 * rate)[:, np.newaxis] / rate
    sound = 0.2 * np.sin(2 * np.pi * 220 * t) + 0.05 * rng.standard_normal((10 * rate, channels))
    sound = (sound * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * t))).astype(np.float32)
    size = round(HOP * rate)
    while True:
        for start in range(0, len(sound), size):
            yield sound[start : start + size]


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


class Held(NamedTuple):
    """What is alive now."""

    arrays: int  # bytes of NumPy's arrays
    containers: int  # objects that the garbage collector knows
    everything: int  # bytes, with what the interpreter keeps of freed objects to use again

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        everything, _ = tracemalloc.get_traced_memory()
        arrays = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)]
        )
        return cls(sum(trace.size for trace in arrays.traces), len(gc.get_objects()), everything)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (24_000, 1)])
def test_a_minute_of_hops_leaves_nothing_behind(rate: int, channels: int) -> None:
    engine, stream = Engine(BUNDLE, rate), hops(rate, channels)
    for _ in range(500):
        engine.push(next(stream))
    held = [Held.now()]
    for _ in range(2):
        assert sum(len(engine.push(next(stream))) for _ in range(HOPS)) == HOPS // 25
        held.append(Held.now())
    # Of two minutes the better one: what the engine leaves it leaves in both, what another thread of the tests' own
    # process makes meanwhile is there once.
    grown = [
        Held(after.arrays - before.arrays, after.containers - before.containers, after.everything - before.everything)
        for before, after in pairwise(held)
    ]
    assert 0 in [minute.arrays for minute in grown]
    assert min(minute.containers for minute in grown) < 20  # an emission of 120 may leave none
    assert min(minute.everything for minute in grown) < 50_000  # less than 17 bytes a hop


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (24_000, 1)])
def test_a_hop_that_completes_no_block_takes_no_more_than_its_own_size(rate: int, channels: int) -> None:
    engine, stream = Engine(BUNDLE, rate), hops(rate, channels)
    for _ in range(500):
        engine.push(next(stream))
    taken = []
    for _ in range(500):
        hop, state = next(stream), engine.state
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        engine.push(hop)
        _, peak = tracemalloc.get_traced_memory()
        taken.append((engine.state is not state, peak - before))
    within = [size for stepped, size in taken if not stepped]
    whole = [size for stepped, size in taken if stepped]
    assert len(whole) == 100
    assert max(within) < 12_000
    assert max(whole) < 1_000_000  # spectra, features and an emission: given back, as the other test says


@pytest.mark.usefixtures("traced")
def test_the_ring_takes_nothing_to_write() -> None:
    """What an audio callback does; reading gives a copy, which is the hop itself."""
    ring, stream = Ring(96_000, 2), hops(48_000, 2)
    for _ in range(200):
        ring.write_or_drop(next(stream))
        ring.read(4_800)
    for _ in range(200):
        hop = next(stream)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        ring.write_or_drop(hop)
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before < 1_000  # views and numbers, no samples
        del before, peak
        ring.read(4_800)
