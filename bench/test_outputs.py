"""One emission to four OSC destinations of four kinds, and the encoding beside python-osc's own builders."""

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.models import load_bundle
from valaro.streamer import Affect, Engine
from valaro.streamer.osc.packets import bundles, cells, message

from .material import minute
from .outputs import Destinations

(EMISSION,) = Engine(load_bundle(), 24_000).push(minute()[:12_000])


@pytest.fixture
def destinations() -> Iterator[Destinations]:
    opened = Destinations()
    yield opened
    for sink in opened.sinks:
        sink.close()
    opened.close()


def test_four_destinations(benchmark: BenchmarkFixture, destinations: Destinations) -> None:
    benchmark.group = "one emission to four OSC destinations"
    time = 0.0

    def fresh() -> tuple[tuple[Affect], dict]:  # another object and half a second later, so that all is encoded anew
        nonlocal time
        time += 0.5
        destinations.receive()
        return (Affect.from_record(EMISSION.record() | {"time": time}),), {}

    def send(affect: Affect) -> None:
        for sink in destinations.sinks:
            sink.send(affect)

    benchmark.pedantic(send, setup=fresh, rounds=500, warmup_rounds=5)
    assert [sink.faults for sink in destinations.sinks] == [0] * 4


@pytest.mark.parametrize("by", ["valaro", "python-osc"])
def test_all_cells(benchmark: BenchmarkFixture, by: str) -> None:
    benchmark.group = "121 cells as OSC messages"
    addresses = [f"/valaro/cell/{a}/{v}" for a in range(11) for v in range(11)]
    values = EMISSION.heatmap.ravel().tolist()

    def build(address: str, value: float) -> bytes:
        builder = OscMessageBuilder(address)
        builder.add_arg(value, builder.ARG_TYPE_FLOAT)
        return builder.build().dgram

    def theirs() -> list[bytes]:
        return [build(address, value) for address, value in zip(addresses, values, strict=True)]

    assert list(cells(EMISSION)) == theirs()
    benchmark(cells.__wrapped__, EMISSION) if by == "valaro" else benchmark(theirs)


def test_a_map_of_sixteen_lines_in_bundles(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "a map as OSC bundles"
    benchmark(lambda: bundles(message(f"/composition/layers/{k}/video/opacity", [0.5]) for k in range(16)))
