"""The OSC sink against python-osc's parser and against liblo's oscdump, over real sockets."""

import contextlib
import gc
import logging
import math
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.parsing import osc_types
from valaro.models import grid
from valaro.streamer._util.address import parse_destination
from valaro.streamer.core.affect import Affect
from valaro.streamer.errors import InputError
from valaro.streamer.osc.packets import MOST_BYTES, cells, clock, contract, values_by_address
from valaro.streamer.osc.sink import Osc, packets

from ..fakes import neutral
from ..oscdump import TAGS, bundles, free_port, oscdump, wait_for

ETHERNET_PAYLOAD = 1472  # bytes of UDP that one unfragmented frame carries


def an_affect(seed: int = 0, time: float = 12.5) -> Affect:
    heatmap = np.random.default_rng(seed).dirichlet(np.full(121, 0.3)).reshape(11, 11)
    mean, covariance = grid.moments(heatmap)
    return Affect(
        time=time,
        valence=float(mean[0]),
        arousal=float(mean[1]),
        covariance=covariance,
        heatmap=heatmap,
        quadrants=grid.quadrants(heatmap),
        confidence=float(grid.confidence(heatmap)),
        level=0.75,
        activity="music",
    )


class Line:
    """One line of a map: a function of the emission for an address."""

    def __init__(self, address: str, value: Callable[[Affect], float]) -> None:
        self.address = address
        self._value = value

    def __call__(self, affect: Affect) -> float:
        return self._value(affect)


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(5)
        yield opened


def port_of(receiver: socket.socket) -> int:
    return receiver.getsockname()[1]


def every_packet(receiver: socket.socket) -> list[bytes]:
    """All that was sent until now; a last one tells the end, for a busy system may be late with them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"end", receiver.getsockname())
    return list(iter(lambda: receiver.recv(65536), b"end"))


def messages_of(packet: bytes) -> dict[str, OscMessage]:
    found = [content for content in OscBundle(packet) if isinstance(content, OscMessage)]
    return {message.address: message for message in found}


def check(messages: dict[str, list], affect: Affect) -> None:
    assert set(messages) == set(TAGS)
    assert messages["/valaro/valence"] == pytest.approx([(affect.valence + 1) / 2], abs=1e-6)
    assert messages["/valaro/arousal"] == pytest.approx([(affect.arousal + 1) / 2], abs=1e-6)
    assert messages["/valaro/va"] == pytest.approx([affect.valence, affect.arousal], abs=1e-6)
    cells = messages["/valaro/heatmap"]
    assert sum(cells) == pytest.approx(1.0, abs=1e-5)
    assert cells == pytest.approx(
        [affect.heatmap[index // 11, index % 11] for index in range(121)], abs=1e-6
    )  # index = 11 * a + v
    (vv, va), (_, aa) = affect.covariance
    assert messages["/valaro/gauss"] == pytest.approx([affect.valence, affect.arousal, vv, va, aa], abs=1e-6)
    assert messages["/valaro/quadrants"] == pytest.approx(affect.quadrants.tolist(), abs=1e-6)
    assert messages["/valaro/confidence"] == pytest.approx([affect.confidence], abs=1e-6)
    assert messages["/valaro/level"] == pytest.approx([0.75], abs=1e-6)
    assert messages["/valaro/activity"] == ["music"]
    assert messages["/valaro/time"] == pytest.approx([affect.time], abs=1e-6)


def test_one_bundle_carries_every_address(receiver: socket.socket) -> None:
    affect = an_affect()
    sink = Osc(f"127.0.0.1:{port_of(receiver)}")
    sink.send(affect)
    packet = receiver.recv(65536)
    sink.close()
    assert len(packet) <= ETHERNET_PAYLOAD
    assert OscBundle(packet).timestamp == osc_types.IMMEDIATELY
    assert packet[8:16] == b"\0\0\0\0\0\0\0\1"  # the immediate timetag, as the OSC specification writes it
    messages = messages_of(packet)
    check({address: message.params for address, message in messages.items()}, affect)
    for address, tags in TAGS.items():
        start = address.encode() + b"\0" * (4 - len(address) % 4)
        assert start + b"," + tags.encode() + b"\0" in packet
    assert sink.faults == 0


def test_plain_messages_say_the_same(receiver: socket.socket) -> None:
    affect = an_affect(1)
    sink = Osc(f"127.0.0.1:{port_of(receiver)}", bundle=False)
    sink.send(affect)
    received = [OscMessage(receiver.recv(65536)) for _ in TAGS]
    sink.close()
    check({message.address: message.params for message in received}, affect)


def by_python_osc(address: str, values: list[float] | list[int] | str) -> OscMessage:
    builder = OscMessageBuilder(address)
    for value in [values] if isinstance(values, str) else values:
        builder.add_arg(value if isinstance(value, (str, int)) else float(value))
    return builder.build()


def bundle_by_python_osc(messages: list[OscMessage]) -> bytes:
    builder = OscBundleBuilder(IMMEDIATELY)
    for message in messages:
        builder.add_content(message)
    return builder.build().dgram


@pytest.mark.parametrize("seed", range(3))
def test_every_byte_is_as_python_osc_writes_it(seed: int) -> None:
    affect = an_affect(seed)
    expected = [by_python_osc(address, values) for address, values in values_by_address(affect).items()]
    assert packets(affect, bundle=False) == [message.dgram for message in expected]
    assert packets(affect) == [bundle_by_python_osc(expected)]
    assert list(cells(affect)) == [
        by_python_osc(f"/valaro/cell/{a}/{v}", [affect.heatmap[a, v]]).dgram for a in range(11) for v in range(11)
    ]


def test_an_emission_is_encoded_once_and_then_forgotten() -> None:
    affect = an_affect()
    assert contract(affect) is contract(affect)
    assert cells(affect) is cells(affect)
    sink = Osc("127.0.0.1:9", cells=True)
    before = affects_alive()
    for k in range(100):
        sink.send(an_affect(k, time=0.5 * k))
    sink.close()
    assert affects_alive() - before < 30


def affects_alive() -> int:
    gc.collect()
    return sum(type(get_object) is Affect for get_object in gc.get_objects())


def test_mapped_values_go_along_in_the_bundle(receiver: socket.socket) -> None:
    affect = an_affect()
    maps = [Line("/layer/1/opacity", lambda a: 0.25 + a.time), Line("/dmx/7", lambda a: float(a.heatmap[3, 2]))]
    sink = Osc(f"127.0.0.1:{port_of(receiver)}", maps=maps)
    sink.send(affect)
    (packet,) = every_packet(receiver)
    sink.close()
    params = {address: message.params for address, message in messages_of(packet).items()}
    assert params.pop("/layer/1/opacity") == [12.75]
    assert params.pop("/dmx/7") == pytest.approx([affect.heatmap[3, 2]], abs=1e-6)
    check(params, affect)


@pytest.mark.parametrize("bundle", [True, False])
def test_without_the_contract_only_mapped_values_go_out(receiver: socket.socket, bundle: bool) -> None:
    sink = Osc(f"127.0.0.1:{port_of(receiver)}", bundle, contract=False, maps=[Line("/x", lambda a: a.level)])
    sink.send(an_affect())
    expected = by_python_osc("/x", [0.75])
    assert every_packet(receiver) == [bundle_by_python_osc([expected]) if bundle else expected.dgram]
    sink.close()


def test_a_long_map_goes_out_in_several_packets(receiver: socket.socket) -> None:
    maps = [Line(f"/composition/layers/{k}/video/opacity", lambda a, k=k: float(k)) for k in range(60)]
    sink = Osc(f"127.0.0.1:{port_of(receiver)}", maps=maps)
    sink.send(an_affect())
    sink.close()
    found = every_packet(receiver)
    assert all(len(packet) < MOST_BYTES for packet in found)
    params = {address: message.params for packet in found for address, message in messages_of(packet).items()}
    assert [params[entry.address] for entry in maps] == [[float(k)] for k in range(60)]
    assert set(TAGS) < set(params)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e300, np.float64(np.nan)])
def test_what_is_no_number_goes_out_as_zero(receiver: socket.socket, wrong: float) -> None:
    sink = Osc(f"127.0.0.1:{port_of(receiver)}", contract=False, maps=[Line("/light", lambda _: wrong)])
    sink.send(an_affect())
    (packet,) = every_packet(receiver)
    assert messages_of(packet)["/light"].params == [0.0]
    sink.close()


def test_nothing_to_send_is_refused() -> None:
    with pytest.raises(InputError, match="map"):
        Osc("127.0.0.1:9000", contract=False)


@pytest.mark.parametrize("bundle", [True, False])
def test_each_cell_has_its_address_in_small_packets(receiver: socket.socket, bundle: bool) -> None:
    affect = an_affect(3)
    sink = Osc(f"127.0.0.1:{port_of(receiver)}", bundle, contract=False, cells=True)
    sink.send(affect)
    sink.close()
    found = every_packet(receiver)
    assert all(len(packet) < MOST_BYTES for packet in found)
    assert len(found) == (3 if bundle else 121)
    messages = [message for packet in found for message in (OscBundle(packet) if bundle else [OscMessage(packet)])]
    assert {message.address: message.params for message in messages if isinstance(message, OscMessage)} == {
        f"/valaro/cell/{a}/{v}": pytest.approx([affect.heatmap[a, v]], abs=1e-6) for a in range(11) for v in range(11)
    }


def test_cells_go_out_twice_a_second_however_often_the_rest_does(receiver: socket.socket) -> None:
    sink, packets_with_cells = Osc(f"127.0.0.1:{port_of(receiver)}", cells=True), []
    now = 0.0
    for _ in range(600):  # ten seconds at 60 Hz
        now += 1 / 60
        sink.send(an_affect(time=now))
        packets_with_cells += [now for packet in every_packet(receiver) if b"/valaro/cell/0/0\0" in packet]
    assert packets_with_cells == pytest.approx([1 / 60 + 0.5 * k for k in range(20)])
    sink.send(an_affect(time=0.5))  # a replay begins again
    assert any(b"/valaro/cell/0/0\0" in packet for packet in every_packet(receiver))
    sink.close()


def test_emissions_each_half_second_all_bring_their_cells(receiver: socket.socket) -> None:
    sink = Osc(f"127.0.0.1:{port_of(receiver)}", contract=False, cells=True)
    for k in range(1, 20):
        sink.send(an_affect(time=0.5 * k))
        assert len(every_packet(receiver)) == 3
    sink.close()


def test_valence_and_arousal_stay_in_0_to_1_at_the_corners() -> None:
    corner = np.zeros((11, 11))
    corner[10, 0] = 1.0
    affect = Affect(0.5, -1.0000001, 1.0000001, np.eye(2), corner, grid.quadrants(corner), 1.0, 0.0, "music")
    messages = messages_of(packets(affect)[0])
    assert messages["/valaro/valence"].params == [0.0]
    assert messages["/valaro/arousal"].params == [1.0]


def test_ipv6_destination() -> None:
    try:
        receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        receiver.bind(("::1", 0))
    except OSError as fault:
        pytest.skip(f"no IPv6 here: {fault}")
    with receiver:
        receiver.settimeout(5)
        sink = Osc(f"[::1]:{port_of(receiver)}")
        sink.send(an_affect())
        assert set(messages_of(receiver.recv(65536))) == set(TAGS)
        sink.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no broadcast on the loopback")
def test_a_broadcast_address_is_allowed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as everyone:
        everyone.bind(("", 0))
        everyone.settimeout(5)
        sink = Osc(f"127.255.255.255:{port_of(everyone)}")
        sink.send(an_affect())
        assert sink.faults == 0
        assert everyone.recv(65536).startswith(b"#bundle\0")
        sink.close()


def test_localhost_reaches_an_ipv4_receiver(receiver: socket.socket) -> None:
    sink = Osc(f"localhost:{port_of(receiver)}")
    sink.send(an_affect())
    assert receiver.recv(65536).startswith(b"#bundle\0")
    sink.close()


@pytest.mark.parametrize(
    ("destination", "says"),
    [
        ("", "no port"),
        ("127.0.0.1", "no port"),
        ("127.0.0.1:", "1 to 65535"),
        (":9000", "no port"),
        ("[]:9000", "no host"),
        ("127.0.0.1:http", "1 to 65535"),
        ("127.0.0.1:0", "1 to 65535"),
        ("127.0.0.1:65536", "1 to 65535"),
        ("127.0.0.1:" + "9" * 5000, "1 to 65535"),  # more digits than Python turns into a number
        ("127.0.0.1:-1", "1 to 65535"),
        ("127.0.0.1:9٠00", "1 to 65535"),
        ("::1:9000", "brackets"),
        ("[::1]", "no port"),
        ("127.0.0.256:9000", "no IP address"),
        ("[::zz]:9000", "no IP address"),
        ("a..b:9000", "no host name"),
        ("x" * 80 + ".test:9000", "no host name"),
        ("my host:9000", "no host name"),
        ("stage/osc:9000", "no host name"),
        ("127.0.0.1\0:9000", "no host name"),
    ],
)
def test_malformed_destinations_are_refused_in_one_line(destination: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Osc(destination)
    assert "\n" not in str(caught.value)


def test_destinations_are_split() -> None:
    assert parse_destination("stage.local:9000") == ("stage.local", 9000)
    assert parse_destination(" [fe80::1%lo]:7000 ") == ("fe80::1%lo", 7000)


def test_a_refusal_is_logged_once_and_a_late_receiver_misses_nothing_more(
    receiver: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    port = port_of(receiver)
    receiver.close()
    sink = Osc(f"127.0.0.1:{port}")
    with caplog.at_level(logging.INFO, logger="valaro"):
        deadline = time.monotonic() + 10
        while sink.faults < 3 and time.monotonic() < deadline:  # the kernel reports a refusal a little later
            sink.send(an_affect())
        assert sink.faults >= 3
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert str(port) in caplog.text
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.bind(("127.0.0.1", port))
            late.settimeout(5)
            sink.send(an_affect(time=99.5))  # meets the last refusal, and is sent all the same
            assert messages_of(late.recv(65536))["/valaro/time"].params == [99.5]
            sink.send(an_affect(time=100.0))
            assert messages_of(late.recv(65536))["/valaro/time"].params == [100.0]
            faults = sink.faults
            sink.send(an_affect(time=100.5))
            assert sink.faults == faults
            assert [record.levelname for record in caplog.records] == ["WARNING"]  # systems refuse only some of a row

            def told_of_the_end() -> bool:
                sink.send(an_affect())
                return [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

            wait_for(told_of_the_end)
    sink.close()


def test_a_network_without_a_way_there_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = Osc("[fe80::1]:9000")  # link-local without its interface: connecting fails
    for _ in range(3):
        sink.send(an_affect())
    sink.close()
    assert sink.faults == 3
    assert len(caplog.records) == 1


def test_close_twice_and_send_after_close(receiver: socket.socket) -> None:
    sink = Osc(f"127.0.0.1:{port_of(receiver)}")
    sink.close()
    sink.close()
    sink.send(an_affect())
    assert sink.faults == 0


def test_oscdump_prints_what_was_sent(tmp_path: Path) -> None:
    heard, affect = tmp_path / "heard.txt", an_affect(2)
    with oscdump(heard) as port:
        sink = Osc(f"127.0.0.1:{port}")
        sink.send(affect)
        sink.close()
        wait_for(lambda: "/valaro/time" in heard.read_text())
    ((_, printed),) = bundles(heard.read_text())
    assert {address: tags for address, (tags, *_) in printed.items()} == TAGS
    values = {
        address: [value.strip('"') if tags == "s" else float(value) for value in each]
        for address, (tags, *each) in printed.items()
    }
    check(values, affect)


def test_oscdump_understands_four_destinations_of_four_kinds(tmp_path: Path) -> None:
    affect, maps = an_affect(5), [Line("/composition/layers/1/video/opacity", lambda a: a.level)]
    heard = [tmp_path / f"{k}.txt" for k in range(4)]
    with contextlib.ExitStack() as running:
        ports = [running.enter_context(oscdump(each)) for each in heard]
        sinks = [
            Osc(f"127.0.0.1:{ports[0]}"),
            Osc(f"127.0.0.1:{ports[1]}", False),
            Osc(f"127.0.0.1:{ports[2]}", cells=True),
            Osc(f"127.0.0.1:{ports[3]}", contract=False, maps=maps),
        ]
        for sink in sinks:
            sink.send(affect)
            sink.close()
        for each, last in zip(heard, ("/valaro/time", "/valaro/time", "/valaro/cell/10/10", "opacity"), strict=True):
            wait_for(lambda each=each, last=last: last in each.read_text())
        printed = [[line.split()[1:] for line in each.read_text().splitlines()] for each in heard]
    first, second, third, fourth = ([words for words in lines if words[0] != "/knock"] for lines in printed)
    assert {address: tags for address, tags, *_ in first} == TAGS
    assert sorted(second) == sorted(first)
    assert third[: len(first)] == first
    assert fourth == [["/composition/layers/1/video/opacity", "f", "0.750000"]]
    assert [words[:2] for words in third[len(first) :]] == [
        [f"/valaro/cell/{a}/{v}", "f"] for a in range(11) for v in range(11)
    ]
    values = [float(value) for _, _, value in third[len(first) :]]
    assert values == pytest.approx(affect.heatmap.ravel().tolist(), abs=1e-6)


def test_the_clock_is_exact_where_the_float_is_not() -> None:
    """A second apart, a 60th and a 120th of a second, after days, years, and beyond what 32 bits hold."""
    for seconds in (0, 3 * 86_400, 10 * 365 * 86_400, 2**31 - 2):
        moments = [seconds + k / 120 for k in range(121)]
        stamps = [clock(moment) for moment in moments]
        assert len({tuple(stamp) for stamp in stamps}) == 121
        for moment, (whole, micro) in zip(moments, stamps, strict=True):
            assert 0 <= micro < 1_000_000
            assert whole + micro / 1e6 == pytest.approx(moment, abs=1e-6)
    assert clock(1e12) == [2**31 - 1, 0]
    assert len({np.float32(4 * 86_400 + k / 60) for k in range(60)}) < 60  # /valaro/time


def test_the_last_packet_that_nobody_took_counts_too() -> None:
    sink = Osc(f"127.0.0.1:{free_port()}")
    sink.send(neutral(0.5))
    sink.close()
    assert sink.faults == 1
