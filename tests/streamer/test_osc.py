"""The OSC sink against python-osc's parser and against liblo's oscdump, over real sockets."""

import logging
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from pythonosc.parsing import osc_types
from valaro.models import grid
from valaro.streamer.errors import InputError, SinkError
from valaro.streamer.messages import Affect
from valaro.streamer.sinks.osc import Osc, packets, parse_destination

from .oscdump import TAGS, bundles, oscdump, wait_for

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


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(5)
        yield opened


def port_of(receiver: socket.socket) -> int:
    return receiver.getsockname()[1]


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
    ],
)
def test_malformed_destinations_are_refused_in_one_line(destination: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Osc(destination)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 80 + ".invalid"])
def test_unresolvable_host_is_refused_in_one_line(host: str) -> None:
    with pytest.raises(SinkError, match="cannot be found") as caught:
        Osc(f"{host}:9000")
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
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
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
