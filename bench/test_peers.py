"""Kernels and the whole extractor beside librosa; the comparison of record is `bench/report.py`'s, in turns."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .material import minute
from .peers import Family, families, whole

SAMPLES = minute()
FAMILIES = [*families(SAMPLES), whole(SAMPLES)]


@pytest.mark.parametrize("side", ["valaro", "librosa"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_minute(benchmark: BenchmarkFixture, family: Family, side: str) -> None:
    benchmark.group = f"a minute of {family.name}"
    benchmark.pedantic(getattr(family, side), rounds=5, warmup_rounds=1)
