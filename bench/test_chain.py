"""The whole chain: samples of a minute in, 120 emissions out."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from valaro.models import load_bundle
from valaro.streamer import Engine
from valaro.streamer.osc.packets import contract

from .chain import feed, stereo
from .material import SECONDS, minute


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 2), (24_000, 1)])
def test_a_minute(benchmark: BenchmarkFixture, rate: int, channels: int) -> None:
    benchmark.group = "a minute through the whole chain, in blocks of 20 ms"
    samples = minute(rate) if channels == 1 else stereo(rate)
    bundle = load_bundle()

    def run() -> int:
        engine = Engine(bundle, rate)
        return len(feed(engine, samples, rate)) + len(engine.finish())

    assert benchmark.pedantic(run, rounds=5, warmup_rounds=1) == 2 * SECONDS


def test_encoding_one_emission(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "one emission as an OSC packet"
    (emission,) = Engine(load_bundle(), 24_000).push(minute()[:12_000])
    benchmark(contract.__wrapped__, emission)  # the function itself: it remembers what it made
