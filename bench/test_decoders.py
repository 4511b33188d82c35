"""One emission of each decoder, on the evidence of real sound."""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from valaro.models import load_bundle

from .decoders import evidence

BUNDLE = load_bundle()


@pytest.mark.parametrize("name", list(BUNDLE.decoders))
def test_a_step(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = "one emission of one decoder"
    decoder, heard = BUNDLE.decoders[name], evidence(BUNDLE)
    state, _ = decoder.step(decoder.init(), heard)
    _, log_heatmap = benchmark(decoder.step, state, heard)
    assert np.exp(log_heatmap).sum() == pytest.approx(1.0)
