"""Kernels and the whole extractor beside their peers; the comparison of record is `bench/peers.py`'s, in turns."""

import io

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console

from .families import Family, families
from .material import minute
from .peers import Speed, _table, sides

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


def test_the_table_tells_how_to_get_who_is_missing() -> None:
    printed = io.StringIO()
    Console(width=200, file=printed).print(_table("a clip", 60.0, [Speed("Valaro", "0.1.0", 900.0, 900.0, 1.0)]))
    assert printed.getvalue().count("pip install 'valaro[bench]'") == 4
