"""The incoming OSC port over real sockets: answers, liblo's own encoding, floods beside a running session."""

import errno
import logging
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.streamer._util.rate_limit import Bucket
from valaro.streamer.core.controls import Controls, Rating
from valaro.streamer.core.protocols import Block
from valaro.streamer.core.session import Session
from valaro.streamer.errors import InputError, SinkError
from valaro.streamer.osc.commands import LARGEST
from valaro.streamer.osc.receiver import OscIn, Status, answerable
from valaro.streamer.osc.senders import ANSWERS, OWN, SHARED, STRANGERS
from valaro.streamer.sinks import Osc
from valaro.streamer.sources.base import ThreadedSource

from ..fakes import CountingEngine, neutral
from ..oscdump import free_port, oscdump, wait_for

# Sends as fast as 10,000 a second go, a mixture of what an enemy and a broken program would send.
FLOOD = """
import random, struct, sys, time
import socket
address, count = ("127.0.0.1", int(sys.argv[1])), int(sys.argv[2])
chance = random.Random(1)
message = b"/valaro/status\\0\\0,\\0\\0\\0"
element = struct.pack(">i", len(message)) + message
kinds = [
    lambda: chance.randbytes(chance.randrange(200)),
    lambda: chance.randbytes(65507),
    lambda: b"/valaro/rate\\0\\0\\0\\0,ss\\0no\\0\\0no\\0\\0",
    lambda: b"/valaro/offset\\0\\0,f\\0\\0\\x7f\\xc0\\0\\0",
    lambda: b"/valaro/nothing\\0,\\0\\0\\0",
    lambda: b"#bundle\\0\\0\\0\\0\\0\\0\\0\\0\\1" + element * 60,
    lambda: b"#bundle\\0\\0\\0\\0\\0\\0\\0\\0\\1" + struct.pack(">i", -4) * 300,
]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    begin = time.monotonic()
    for sent in range(count):
        out.sendto(chance.choice(kinds)(), address)
        if sent % 100 == 0:
            time.sleep(max(0.0, begin + sent / 10_000 - time.monotonic()))
"""


class Tracker:
    """Controls and an input to them, and what would be asked of the session."""

    def __init__(self) -> None:
        self.controls = Controls()
        self.controls.newest = neutral(12.5)
        self.ratings: list[Rating] = []
        self.controls.hear_ratings(self.ratings.append)
        self.lost = 0
        self.input = OscIn(str(free_port()), self.controls, self.status)

    def status(self) -> Status:
        newest = self.controls.newest
        return Status(
            "paused" if self.controls.paused else "listening",
            self.controls.listener,
            self.controls.offset,
            0.0 if newest is None else newest.time,
            25,
            self.lost,
            3,
        )


def nothing() -> Status:
    """The status of no session."""
    return Status("listening", "", 0.0, 0.0, 0, 0, 0)


class Host:
    """A program that talks to the input from a socket of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(30)

    def send(self, packet: bytes) -> None:
        self.socket.sendto(packet, ("127.0.0.1", self._port))

    def say(self, address: str, *values: float | str) -> None:
        self.send(message(address, *values).dgram)

    def answer(self) -> tuple[str, list]:
        answer = OscMessage(self.socket.recv(4096))
        return answer.address, answer.params

    def ask(self, address: str, *values: float | str) -> tuple[str, list]:
        self.say(address, *values)
        return self.answer()


def message(address: str, *values: float | str) -> OscMessage:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build()


def bundle(*messages: OscMessage) -> bytes:
    builder = OscBundleBuilder(IMMEDIATELY)
    for message in messages:
        builder.add_content(message)
    return builder.build().dgram


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    tracker = Tracker()
    with closing(tracker.input):
        yield tracker


@pytest.fixture
def host(tracker: Tracker) -> Iterator[Host]:
    host = Host(tracker.input.port)
    with host.socket:
        yield host


def test_status_tells_all_in_its_types(tracker: Tracker, host: Host) -> None:
    tracker.controls.listener = "ana"
    tracker.controls.offset = 0.5
    tracker.lost = 2**40  # more than an i holds
    host.say("/valaro/status")
    packet = host.socket.recv(4096)
    assert b",ssffiii\0" in packet
    assert OscMessage(packet).address == "/valaro/status"
    assert OscMessage(packet).params == ["listening", "ana", 0.5, 12.5, 25, 2**31 - 1, 3]


def test_each_command_does_its_work_and_is_answered_with_the_status(tracker: Tracker, host: Host) -> None:
    assert host.ask("/valaro/listener", "ana") == ("/valaro/status", ["listening", "ana", 0.0, 12.5, 25, 0, 3])
    assert host.ask("/valaro/offset", 0.5)[1][2] == 0.5
    assert tracker.controls.offset == 0.5
    assert host.ask("/valaro/pause", 1)[1][0] == "paused"
    assert tracker.controls.paused
    assert host.ask("/valaro/pause", 0.0)[1][0] == "listening"
    assert not tracker.controls.paused
    assert host.ask("/valaro/rate", -0.5, 1.0)[0] == "/valaro/status"
    assert tracker.ratings == [Rating(12.5, -0.5, 1.0, "ana", "osc")]
    counters = tracker.input.counters
    assert (counters.messages, counters.obeyed, counters.refused) == (5, 5, 0)


def test_where_several_are_in_the_room_a_rating_says_whose_it_is(tracker: Tracker, host: Host) -> None:
    tracker.controls.listener = "ana, ben"
    answered, (_, said) = host.ask("/valaro/rate", -0.5, 1.0)
    assert (answered, said) == ("/valaro/error", "ana, ben are here: say whose rating it is")
    assert host.ask("/valaro/rate", -0.5, 1.0, "ben")[0] == "/valaro/status"
    assert tracker.ratings == [Rating(12.5, -0.5, 1.0, "ben", "osc")]
    assert host.ask("/valaro/rate", -0.5, 1.0, "x" * 65)[0] == "/valaro/error"


@pytest.mark.parametrize(
    ("address", "values", "expected"),
    [
        ("/valaro/rate", ("happy", "loud"), "two numbers from -1 to 1"),
        ("/valaro/rate", (1.5, 0.0), "two numbers from -1 to 1"),
        ("/valaro/rate", (float("nan"), 0.0), "two numbers from -1 to 1"),
        ("/valaro/offset", (31.0,), "from 0 to 30"),
        ("/valaro/listener", ("x" * 65,), "64 printable characters"),
        ("/valaro/listener", ("\x1b[2J",), "64 printable characters"),
        ("/valaro/pause", (), "1 or T to pause"),
        ("/valaro/volume", (0.5,), "unknown address"),
    ],
)
def test_what_is_wrong_is_answered_counted_and_changes_nothing(
    tracker: Tracker, host: Host, address: str, values: tuple, expected: str
) -> None:
    before = tracker.status()
    answered, (about, text) = host.ask(address, *values)
    assert (answered, about) == ("/valaro/error", address)
    assert expected in text
    assert tracker.status() == before
    assert tracker.ratings == []
    assert tracker.input.counters.refused == 1
    assert host.ask("/valaro/status")[0] == "/valaro/status"


def test_a_rating_before_the_first_emission_is_refused(tracker: Tracker, host: Host) -> None:
    tracker.controls.newest = None
    answered, (_, text) = host.ask("/valaro/rate", 0.0, 0.0)
    assert answered == "/valaro/error"
    assert "nothing was heard yet" in text


def test_what_is_no_osc_is_not_answered_and_what_is_for_others_once(
    tracker: Tracker, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            host.send(b"hello")
            host.send(b"#bundle\0\0\0\0\0\0\0\0\1\xff\xff\xff\xfc")
            host.say("/1/fader1", 0.5)
            host.say("/valaro/error", "/valaro/rate", "expected")
        answered, (about, text) = host.answer()
        assert (answered, about) == ("/valaro/error", "/1/fader1")
        assert "there are /valaro/rate" in text
        assert host.ask("/valaro/status")[0] == "/valaro/status"  # and not an answer to one of the others
    counters = tracker.input.counters
    assert (counters.malformed, counters.foreign, counters.refused) == (6, 6, 0)
    assert len(caplog.records) == 1
    assert "no OSC" in caplog.text


def test_a_bundle_is_obeyed_message_by_message(tracker: Tracker, host: Host) -> None:
    host.send(bundle(message("/valaro/listener", "ana"), message("/valaro/offset", 99.0), message("/valaro/pause", 1)))
    assert [host.answer()[0] for _ in range(3)] == ["/valaro/status", "/valaro/error", "/valaro/status"]
    assert (tracker.controls.listener, tracker.controls.offset, tracker.controls.paused) == ("ana", 0.0, True)


def test_a_button_and_a_pattern_are_answered(tracker: Tracker, host: Host) -> None:
    assert host.ask("/valaro/status", 1.0)[0] == host.ask("/valaro/status", 1)[0] == "/valaro/status"
    host.say("/valaro/{offset,pause}", 1)
    assert [host.answer()[1][2], host.answer()[1][0]] == [1.0, "paused"]
    host.send(message("/valaro/listener", "Jose").dgram.replace(b"Jose", b"Jos\xe9"))
    assert host.answer() == ("/valaro/error", ["/valaro/listener", "expected text, such as a name, in UTF-8"])


def test_answers_go_to_the_port_that_a_host_asked_for(tracker: Tracker, host: Host) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(30)
        host.say("/valaro/reply", other.getsockname()[1])
        assert OscMessage(other.recv(4096)).address == "/valaro/status"
        host.say("/valaro/offset", "soon")
        assert OscMessage(other.recv(4096)).address == "/valaro/error"
    host.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        host.socket.recv(4096)


def test_a_fault_of_who_hears_the_ratings_is_answered_and_ends_nothing(tracker: Tracker, host: Host) -> None:
    def full(_rating: Rating) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    tracker.controls.hear_ratings(full)
    answered, (address, text) = host.ask("/valaro/rate", 0.0, 0.0)
    assert (answered, address) == ("/valaro/error", "/valaro/rate")
    assert "No space left on device" in text
    assert tracker.input.counters.faults == 1
    assert host.ask("/valaro/status")[0] == "/valaro/status"


def test_a_finger_is_one_rating_when_it_lifts(tracker: Tracker, host: Host) -> None:
    moves = [message("/valaro/rate/xy", x / 16, 0.25) for x in range(13)]
    host.send(bundle(message("/valaro/rate/z", 1), *moves, message("/valaro/rate/z", 0.0)))
    assert host.answer()[0] == "/valaro/status"
    assert tracker.ratings == [Rating(12.5, 0.5, -0.5, "", "osc")]
    host.say("/valaro/rate/z", 0)
    assert host.ask("/valaro/status")[0] == "/valaro/status"
    assert len(tracker.ratings) == 1


def test_a_finger_that_rests_is_one_rating(tracker: Tracker, host: Host) -> None:
    host.send(bundle(*(message("/valaro/rate/xy", x / 16, 1.0) for x in range(17))))
    assert host.answer()[0] == "/valaro/status"
    assert tracker.ratings == [Rating(12.0, 1.0, 1.0, "", "osc")]  # what was heard as it came to rest


def test_a_pad_can_say_whose_it_is(tracker: Tracker, host: Host) -> None:
    tracker.controls.listener = "ana, ben"
    host.send(bundle(message("/valaro/rate/xy", 0.5, 0.5, "ben"), message("/valaro/rate/z", 0)))
    assert host.answer()[0] == "/valaro/status"
    host.send(message("/valaro/rate/xy", 1.0, 0.0, "ana").dgram)
    assert host.answer()[0] == "/valaro/status"
    assert tracker.ratings == [Rating(12.5, 0.0, 0.0, "ben", "osc"), Rating(12.0, 1.0, -1.0, "ana", "osc")]


def test_a_bucket_allows_its_rate_and_pays_its_debts() -> None:
    now = 100.0
    bucket = Bucket(10.0, 5.0, clock=lambda: now)
    for _ in range(5):
        assert bucket.has_one()
        bucket.take(1)
    assert not bucket.has_one()
    now += 0.25
    assert bucket.has_one()
    bucket.take(20)
    now += 1.8
    assert not bucket.has_one()
    now += 0.1
    assert bucket.has_one()
    now += 1000.0
    bucket.has_one()
    bucket.take(5)
    assert not bucket.has_one()


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("192.168.1.7", 9000, True),
        ("fe80::1%eth0", 9000, True),
        ("192.168.1.7", 0, False),
        ("255.255.255.255", 9000, False),
        ("0.0.0.0", 9000, False),
        ("239.1.2.3", 9000, False),
        ("ff02::1", 9000, False),
        ("nobody", 9000, False),
    ],
)
def test_only_a_single_machine_is_answered(host: str, port: int, expected: bool) -> None:
    assert answerable(host, port) is expected


def test_answers_are_bounded_and_the_commands_obeyed_all_the_same(tracker: Tracker, host: Host) -> None:
    begin = time.monotonic()
    for _ in range(4):
        host.send(bundle(*[message("/valaro/status")] * 50))
    wait_for(lambda: tracker.input.counters.obeyed == 200)
    tracker.input.close()
    allowed = ANSWERS[1] + ANSWERS[0] * (time.monotonic() - begin)
    counters = tracker.input.counters
    assert counters.obeyed == 200
    assert 200 - counters.unanswered <= allowed


@pytest.mark.parametrize("text", ["", "none", "127.0.0.1", "127.0.0.1:", ":9001", "0", "65536", "-1", "::1", "1.5"])
def test_a_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"write PORT or HOST:PORT") as caught:
        OscIn(text, Controls(), nothing)
    assert "\n" not in str(caught.value)


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(InputError, match="not an address of this machine"):
        OscIn("192.0.2.1:9001", Controls(), nothing)


def test_a_host_that_does_not_resolve_is_refused() -> None:
    with pytest.raises(SinkError, match="cannot be found"):
        OscIn("no-such-host.invalid:9001", Controls(), nothing)


def test_a_port_that_is_taken_is_refused_and_free_after_close(tracker: Tracker) -> None:
    address = f"127.0.0.1:{tracker.input.port}"
    with pytest.raises(SinkError, match="another program has this port"):
        OscIn(address, tracker.controls, tracker.status)
    tracker.input.close()
    tracker.input.close()
    OscIn(address, tracker.controls, tracker.status).close()


def test_all_networks_of_both_kinds_are_heard_at_once(tracker: Tracker) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError as fault:
        pytest.skip(f"this machine has no IPv6: {fault}")
    both = OscIn(f"[::]:{free_port()}", tracker.controls, tracker.status)
    host = Host(both.port)
    with closing(both), host.socket:
        assert host.ask("/valaro/listener", "ana")[0] == "/valaro/status"
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
            six.settimeout(30)
            six.sendto(message("/valaro/offset", 2.0).dgram, ("::1", both.port))
            assert OscMessage(six.recv(4096)).params[1:3] == ["ana", 2.0]


def oscsend(port: int, address: str, types: str, *values: str) -> None:
    program = shutil.which("oscsend")
    if program is None:
        reason = "oscsend is not installed (Debian: liblo-tools)"
        pytest.skip(reason)
    subprocess.run([program, "127.0.0.1", str(port), address, types, *values], check=True, timeout=60)


@contextmanager
def relay(to: int, answers: int) -> Iterator[int]:
    """A port whose packets go on to ``to`` from one socket: oscsend takes another one for each message."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(0.1)
        over = threading.Event()

        def pass_on() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    heard.sendto(heard.recv(4096), ("127.0.0.1", to))

        heard.sendto(message("/valaro/reply", answers).dgram, ("127.0.0.1", to))
        passing = threading.Thread(target=pass_on)
        passing.start()
        try:
            yield heard.getsockname()[1]
        finally:
            over.set()
            passing.join()


def test_every_message_as_liblo_sends_it_and_answers_as_liblo_reads_them(tracker: Tracker, tmp_path: Path) -> None:
    port, controls, printed = tracker.input.port, tracker.controls, tmp_path / "printed"
    told = '"listening" "ana" 1.500000 12.500000 25 0 3'
    with oscdump(printed) as dump, relay(port, dump) as port:
        oscsend(port, "/valaro/listener", "s", "ana")
        wait_for(lambda: controls.listener == "ana")
        oscsend(port, "/valaro/offset", "f", "1.5")
        wait_for(lambda: controls.offset == 1.5)
        for types, value, paused in (("i", "1", True), ("i", "0", False), ("f", "1", True), ("F", None, False)):
            oscsend(port, "/valaro/pause", types, *([] if value is None else [value]))
            wait_for(lambda paused=paused: controls.paused == paused)
        oscsend(port, "/valaro/pause", "T")
        wait_for(lambda: controls.paused)
        oscsend(port, "/valaro/pause", "i", "0")
        for types, values in (("ff", ("-0.5", "0.25")), ("dd", ("1", "-1")), ("ii", ("0", "1"))):
            oscsend(port, "/valaro/rate", types, *values)
        wait_for(lambda: len(tracker.ratings) == 3)
        oscsend(port, "/valaro/rate/xy", "ff", "0.75", "0.25")
        oscsend(port, "/valaro/rate/z", "i", "0")
        wait_for(lambda: len(tracker.ratings) == 4)
        oscsend(port, "/valaro/status", "")
        wait_for(lambda: told in printed.read_text())
        assert "/valaro/status ssffiii " + told in printed.read_text()
        oscsend(port, "/valaro/pause", "I")
        oscsend(port, "/valaro/offset", "h", "31")
        oscsend(port, "/valaro/rate", "ff", "nan", "0")
        wait_for(lambda: printed.read_text().count("/valaro/error") == 3)
        assert '/valaro/error ss "/valaro/offset" "expected a number of seconds from 0 to 30"' in printed.read_text()
    said = [(rating.valence, rating.arousal) for rating in tracker.ratings]
    assert said == [(-0.5, 0.25), (1.0, -1.0), (0.0, 1.0), (0.5, -0.5)]


class Hum(ThreadedSource):
    """A quiet hum at live pace, for ``seconds``; what finds no room is lost."""

    live = True

    def __init__(self, seconds: float) -> None:
        super().__init__("hum", 24_000, 1, paced=True)
        self._seconds = seconds

    def blocks(self) -> Iterator[Block]:
        for _ in range(round(self._seconds * 50)):
            yield np.full((480, 1), 0.01, dtype=np.float32)


@pytest.mark.long
def test_a_flood_costs_a_bounded_count_of_messages_and_no_emission(tracker: Tracker, host: Host) -> None:
    source = Hum(seconds=4.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stage:
        stage.bind(("127.0.0.1", 0))
        stage.settimeout(60)
        session = Session(source, CountingEngine(), [Osc(f"127.0.0.1:{stage.getsockname()[1]}")], ring_seconds=10.0)
        begin = time.monotonic()
        before = tracker.input.counters.messages
        flood = subprocess.Popen([sys.executable, "-c", FLOOD, str(tracker.input.port), "40000"])
        try:
            with session:
                times = [emission_time(stage.recv(65_536)) for _ in range(8)]
            assert flood.wait(timeout=200) == 0
        finally:
            flood.kill()
            flood.wait()
        counters = tracker.input.counters
        elapsed = time.monotonic() - begin
    assert times == [0.5 * (index + 1) for index in range(8)]
    assert session.counters.dropped == 0
    assert session.counters.sink_faults == 0
    allowed = sum(burst + rate * elapsed for rate, burst in (OWN, SHARED, STRANGERS))
    assert 0 < counters.messages - before <= allowed + 3 * LARGEST / 24
    assert min(counters.malformed, counters.refused, counters.unanswered, counters.over) > 0
    assert counters.faults == 0
    wait_for(lambda: asked(host, "ana"))
    assert tracker.controls.listener == "ana"


def emission_time(packet: bytes) -> float:
    found = [each for each in OscBundle(packet) if isinstance(each, OscMessage) and each.address == "/valaro/time"]
    return found[0].params[0]


def asked(host: Host, name: str) -> bool:
    """Whether a listener's name sent now is answered: the kernel's buffer is still full of the flood for a moment."""
    host.socket.settimeout(1)
    try:
        return host.ask("/valaro/listener", name)[1][1] == name
    except TimeoutError:
        return False
