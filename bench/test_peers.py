"""Kernels and the whole extractor beside their peers; the comparison of record is `bench/peers.py`'s, in turns."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .families import Family, families
from .material import minute
from .peers import sides

SAMPLES = minute()


@pytest.mark.parametrize("side", ["valaro", "librosa"])
@pytest.mark.parametrize("family", families(SAMPLES), ids=lambda family: family.name)
def test_a_minute_of_one_family(benchmark: BenchmarkFixture, family: Family, side: str) -> None:
    benchmark.group = f"a minute of {family.name}"
    benchmark.pedantic(getattr(family, side), rounds=5, warmup_rounds=1)


SIDES = sides(SAMPLES)


@pytest.mark.parametrize("side", list(SIDES))
def test_a_minute_of_all_features(benchmark: BenchmarkFixture, side: str) -> None:
    benchmark.group = "a minute of all features"
    benchmark.pedantic(SIDES[side], rounds=5, warmup_rounds=1)
