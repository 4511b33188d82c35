"""The OSCQuery server over real sockets, asked by urllib and the library websockets; python-osc reads what it sends."""

import contextlib
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.message import Message
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.models import grid
from valaro.streamer.core.affect import ACTIVITIES, Affect
from valaro.streamer.core.controls import Controls, Rating
from valaro.streamer.errors import InputError, MissingExtraError, SinkError
from valaro.streamer.osc.query import OscQuery
from valaro.streamer.osc.query import client as client_module
from valaro.streamer.osc.query import server as server_module
from valaro.streamer.osc.query.client import to_leave
from valaro.streamer.osc.query.namespace import METHODS, answer, emitted, host_info, may_write
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin
from websockets.uri import parse_uri

from ...oscdump import PATIENCE, TAGS, wait_for

INCOMING = {"/valaro/rate": 2, "/valaro/listener": 3, "/valaro/offset": 3, "/valaro/pause": 3}
EVIL = Origin("https://site.example")


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
def controls() -> Controls:
    return Controls()


@pytest.fixture
def server(controls: Controls) -> Iterator[OscQuery]:
    opened = OscQuery(controls, osc_port=9001)
    yield opened
    opened.close()


def get(server: OscQuery, target: str) -> tuple[int, Any, Message]:
    """Status, JSON (None for no body) and headers."""
    try:
        with urllib.request.urlopen(server.url.rstrip("/") + target, timeout=PATIENCE) as found:
            status, body, headers = found.status, found.read(), found.headers
    except urllib.error.HTTPError as found:
        with found:
            status, body, headers = found.code, found.read(), found.headers
    return status, json.loads(body) if body else None, headers


def socket_to(
    server: OscQuery, path: str = "", origin: Origin | None = None, host: str | None = None
) -> ClientConnection:
    if host is not None:
        opened = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        return connect(f"ws://{host}/{path}", origin=origin, open_timeout=PATIENCE, sock=opened)
    return connect(server.url.replace("http", "ws") + path, origin=origin, open_timeout=PATIENCE)


def listen(client: ClientConnection, address: str, verb: str = "LISTEN") -> None:
    client.send(json.dumps({"COMMAND": verb, "DATA": address}))


def heard(client: ClientConnection) -> tuple[str, list[Any]]:
    """Address and values of the next OSC message."""
    words = client.recv(timeout=PATIENCE)
    assert isinstance(words, bytes)
    message = OscMessage(words)
    return message.address, message.params


def ending(client: ClientConnection) -> int | None:
    """The code with which the server closes the connection."""
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=PATIENCE)
    return closed.value.rcvd.code if closed.value.rcvd else None


def osc(address: str, *values: float | str | bool) -> bytes:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build().dgram


def test_every_address_is_described(server: OscQuery) -> None:
    status, root, headers = get(server, "/")
    assert (status, root["FULL_PATH"], root["ACCESS"]) == (200, "/", 0)
    assert headers["Content-Type"] == "application/json"
    assert list(root["CONTENTS"]) == ["valaro"]
    nodes = root["CONTENTS"]["valaro"]["CONTENTS"]
    assert {f"/valaro/{name}" for name in nodes} == set(TAGS) | set(INCOMING)
    for name, node in nodes.items():
        path = node["FULL_PATH"]
        assert path == f"/valaro/{name}"
        assert len(node["RANGE"]) == len(node["TYPE"])
        assert node["DESCRIPTION"]
        assert node["ACCESS"] == INCOMING.get(path, 1)
        assert "CONTENTS" not in node
        assert node["TYPE"] == TAGS.get(path, node["TYPE"])
        assert get(server, path)[1] == node
    assert get(server, "/valaro/")[1] == root["CONTENTS"]["valaro"]


@pytest.mark.parametrize("seed", range(5))
def test_values_are_the_newest_and_within_their_ranges(server: OscQuery, seed: int) -> None:
    assert get(server, "/valaro/va?VALUE")[:2] == (200, {})  # nothing was sent yet
    affect = an_affect(seed)
    server.send(an_affect(99))
    server.send(affect)
    nodes = get(server, "/valaro")[1]["CONTENTS"]
    for path, expected in emitted(affect).items():
        node = nodes[path.removeprefix("/valaro/")]
        assert node["VALUE"] == expected
        for value, span in zip(node["VALUE"], node["RANGE"], strict=True):
            assert value in span["VALS"] if "VALS" in span else span["MIN"] <= value <= span.get("MAX", value)
    assert nodes["valence"]["VALUE"] == [pytest.approx((affect.valence + 1) / 2)]
    assert nodes["heatmap"]["VALUE"][11 * 3 + 7] == affect.heatmap[3, 7]
    assert nodes["rate"]["VALUE"] == [0.0, 0.0]  # to make a control from, although nothing can be read there


def test_settings_are_the_present_ones(server: OscQuery, controls: Controls) -> None:
    controls.listener, controls.offset, controls.paused = "ana", 1.5, True
    assert get(server, "/valaro/listener?VALUE")[1] == {"VALUE": ["ana"]}
    assert get(server, "/valaro/offset?VALUE")[1] == {"VALUE": [1.5]}
    assert get(server, "/valaro/pause?VALUE")[1] == {"VALUE": [1]}


@pytest.mark.parametrize(
    ("target", "status", "node"),
    [
        ("/valaro/va?TYPE", 200, {"TYPE": "ff"}),
        ("/valaro/va?ACCESS#part", 200, {"ACCESS": 1}),
        ("/valaro/activity?RANGE", 200, {"RANGE": [{"VALS": list(ACTIVITIES)}]}),
        ("/valaro?TYPE", 200, {}),
        ("/valaro/%76a?FULL_PATH", 200, {"FULL_PATH": "/valaro/va"}),
        ("/valaro?VALUE", 204, None),
        ("/valaro/rate?VALUE", 204, None),
        ("/valaro/va?UNIT", 400, None),
        ("/valaro/va?VALUE=1", 400, None),
        ("/valaro/va?value", 400, None),
        ("/valaro/mood", 404, None),
        ("/valaro/va/0", 404, None),
        ("/favicon.ico", 404, None),
        ("/live", 404, None),
    ],
)
def test_answers_as_the_proposal_says(server: OscQuery, target: str, status: int, node: dict | None) -> None:
    found = get(server, target)
    assert found[:2] == (status, node)
    assert found[2]["Access-Control-Allow-Origin"] == "*"


def test_host_info_names_the_osc_port_if_there_is_one(server: OscQuery) -> None:
    status, info, _ = get(server, "/whatever?HOST_INFO")
    assert status == 200
    assert (info["NAME"], info["OSC_IP"], info["OSC_PORT"], info["OSC_TRANSPORT"]) == (
        "Valaro",
        "127.0.0.1",
        9001,
        "UDP",
    )
    assert info["EXTENSIONS"]["LISTEN"] is True
    assert not {"OSC_IP", "OSC_PORT", "OSC_TRANSPORT"} & set(host_info("Valaro", "127.0.0.1", None))


@pytest.mark.parametrize(("method", "body"), [("DELETE", None), ("POST", b"x")])
def test_only_get_is_served(server: OscQuery, method: str, body: bytes | None) -> None:
    request = urllib.request.Request(f"{server.url}valaro/va?TYPE", body, method=method)
    with pytest.raises(OSError) as refused:  # an HTTP error, or hung up  # noqa: PT011
        urllib.request.urlopen(request, timeout=PATIENCE)
    if isinstance(refused.value, urllib.error.HTTPError):
        refused.value.close()
        assert refused.value.code in (400, 405)
    assert _answers(server)


def test_listens_to_one_address_until_it_is_ignored(server: OscQuery) -> None:
    with socket_to(server) as client:
        listen(client, "/valaro/va")
        for seed in range(3):
            affect = an_affect(seed)
            server.send(affect)
            assert heard(client) == ("/valaro/va", pytest.approx([affect.valence, affect.arousal], abs=1e-6))
        listen(client, "/valaro/activity")
        assert heard(client) == ("/valaro/activity", ["music"])  # the present one, at once
        listen(client, "/valaro/va", "IGNORE")
        listen(client, "/valaro/listener")
        assert heard(client)[0] == "/valaro/listener"  # so the command before was read
        server.send(an_affect(7))
        assert heard(client) == ("/valaro/activity", ["music"])


def test_every_value_can_be_listened_to(server: OscQuery) -> None:
    affect = an_affect()
    with socket_to(server) as client:
        for address in METHODS:
            listen(client, address)
        server.send(affect)
        got: dict[str, list[Any]] = {}
        while not set(METHODS) - {"/valaro/rate"} <= set(got):
            address, values = heard(client)
            got[address] = values
    for address, values in emitted(affect).items():
        assert got[address] == (values if address == "/valaro/activity" else pytest.approx(values, abs=1e-6))


def test_channels_that_are_tracked_separately_have_entries_of_their_own(server: OscQuery) -> None:
    first = {number: replace(an_affect(number), channel=number) for number in (2, 11)}
    with socket_to(server) as client, socket_to(server, "live") as page:
        for affect in first.values():
            server.send(affect)
        wait_for(lambda: "11" in get(server, "/valaro")[1]["CONTENTS"])
        root = get(server, "/valaro")[1]["CONTENTS"]
        assert set(root) == {"2", "11"} | {path.removeprefix("/valaro/") for path in INCOMING}
        for number, affect in first.items():
            node = get(server, f"/valaro/{number}")[1]
            assert node == root[str(number)]
            assert {f"/valaro/{name}" for name in node["CONTENTS"]} == set(TAGS)
            for path, values in emitted(affect).items():
                assert get(server, f"{path}?VALUE")[1] == {"VALUE": values}
                assert get(server, f"{path}?TYPE")[1] == {"TYPE": TAGS[path.replace(f"/{number}/", "/")]}
        assert get(server, "/valaro/va")[0] == get(server, "/valaro/3/va")[0] == 404
        listen(client, "/valaro/11/va")
        assert heard(client) == ("/valaro/11/va", pytest.approx([first[11].valence, first[11].arousal], abs=1e-6))
        newer = {number: replace(an_affect(20 + number), channel=number) for number in (2, 11)}
        for affect in newer.values():
            server.send(affect)
        assert heard(client) == ("/valaro/11/va", pytest.approx([newer[11].valence, newer[11].arousal], abs=1e-6))
        seen: dict[int, float] = {}
        while any(seen.get(number) != affect.valence for number, affect in newer.items()):
            record = json.loads(page.recv(timeout=PATIENCE))
            seen[record["channel"]] = record["valence"]
            assert record["valence01"] == pytest.approx((record["valence"] + 1) / 2)


def test_tells_when_a_setting_was_changed_elsewhere(server: OscQuery, controls: Controls) -> None:
    with socket_to(server) as client:
        listen(client, "/valaro/offset")
        assert heard(client) == ("/valaro/offset", [0.0])
        controls.offset = 2.5
        assert heard(client) == ("/valaro/offset", [2.5])


def test_takes_settings_and_ratings(server: OscQuery, controls: Controls) -> None:
    ratings: list[Rating] = []
    controls.hear_ratings(ratings.append)
    controls.newest = an_affect(time=3.0)
    together = OscBundleBuilder(IMMEDIATELY)
    for message in (osc("/valaro/pause", True), osc("/valaro/rate", 0.5, -0.25)):
        together.add_content(OscMessage(message))
    with socket_to(server) as client:
        client.send(osc("/valaro/listener", "ana"))
        client.send(osc("/valaro/offset", 2))
        client.send(together.build().dgram)
        wait_for(lambda: bool(ratings))
    assert ratings == [Rating(3.0, 0.5, -0.25, "ana", "osc")]
    assert (controls.listener, controls.offset, controls.paused) == ("ana", 2.0, True)
    assert server.faults == 0


@pytest.mark.parametrize(
    ("words", "address"),
    [
        (osc("/valaro/offset", 31.0), "/valaro/offset"),
        (osc("/valaro/offset", "soon"), "/valaro/offset"),
        (osc("/valaro/rate", 0.1), "/valaro/rate"),
        (osc("/valaro/rate", 0.1, 0.1), "/valaro/rate"),  # nothing was heard yet
        (osc("/valaro/rate/xy", 0.1, 0.1), "/valaro/rate/xy"),
        (osc("/valaro/listener", "a" * 65), "/valaro/listener"),
        (osc("/valaro/valence", 0.5), "/valaro/valence"),
        (b"\xff" * 40, ""),
        (b"", ""),
        ("LISTEN", ""),
        ("[" * 50_000, ""),
        ('{"COMMAND": "LISTEN", "DATA": 3}', ""),
        ('{"COMMAND": "PATH_CHANGED", "DATA": "/valaro"}', ""),
        ('{"COMMAND": "LISTEN", "DATA": "/valaro"}', "/valaro"),
        ('{"COMMAND": "LISTEN", "DATA": "/valaro/rate"}', "/valaro/rate"),
        ('{"COMMAND": "LISTEN", "DATA": "\\ud800/x"}', "?/x"),
    ],
)
def test_what_is_wrong_is_answered_and_counted(
    server: OscQuery, controls: Controls, words: str | bytes, address: str
) -> None:
    with socket_to(server) as client:
        client.send(words)
        told, (subject, expected) = heard(client)
        assert (told, subject) == ("/valaro/error", address)
        assert expected
        assert "\n" not in expected
        listen(client, "/valaro/offset")
        assert heard(client) == ("/valaro/offset", [0.0])  # the connection goes on, and nothing was changed
    assert server.faults == 1
    assert controls.listener == ""


def test_a_page_of_another_site_reads_and_does_not_write(server: OscQuery, controls: Controls) -> None:
    with socket_to(server, origin=EVIL) as client:
        listen(client, "/valaro/pause")
        assert heard(client) == ("/valaro/pause", [0])
        client.send(osc("/valaro/pause", 1))
        assert heard(client)[0] == "/valaro/error"
    assert not controls.paused
    with socket_to(server, origin=Origin("http://localhost:3000")) as client:
        client.send(osc("/valaro/pause", 1))
        wait_for(lambda: controls.paused)


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [
        ("http://localhost", True),
        ("https://127.0.0.1:8443", True),
        ("http://[::1]:8000", True),
        ("file://", True),
        ("null", False),  # a sandboxed frame of any site
        ("", False),
        ("http://localhost.site.example", False),
        ("http://localhost@site.example", False),
        ("https://127.0.0.1.site.example", False),
        ("http://[::1", False),
    ],
)
def test_trusts_pages_from_this_machine_only(origin: str, trusted: bool) -> None:
    assert may_write([origin]) is trusted
    assert not may_write([origin, EVIL])


def test_a_program_may_write() -> None:
    assert may_write([])


def test_live_is_the_record_as_json(server: OscQuery, controls: Controls) -> None:
    first, second = an_affect(1, 1.0), an_affect(2, 1.5)
    server.send(first)
    with socket_to(server, "live", EVIL) as client:
        for affect in (first, second):
            words = client.recv(timeout=PATIENCE)
            assert isinstance(words, str)
            record = json.loads(words)
            assert record == affect.record() | {
                "valence01": pytest.approx((affect.valence + 1) / 2),
                "arousal01": pytest.approx((affect.arousal + 1) / 2),
            }
            client.send(osc("/valaro/pause", 1))  # it is for looking only
            server.send(second)
        assert Affect.from_record(record).time == 1.5
    assert not controls.paused


class Slow:
    """A client that reads only when told to, without a thread or a buffer of its own."""

    def __init__(self, server: OscQuery, path: str) -> None:
        self._protocol = ClientProtocol(parse_uri(server.url.replace("http", "ws") + path))
        self._socket = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def read(self) -> list[Frame]:
        """Whatever comes next, pings answered."""
        self._protocol.receive_data(self._socket.recv(65_536))
        self._flush()
        return [event for event in self._protocol.events_received() if isinstance(event, Frame)]

    def times(self, count: int) -> list[float]:
        """The stream times of the next emissions."""
        found: list[float] = []
        while len(found) < count:
            found += [json.loads(bytes(frame.data))["time"] for frame in self.read() if frame.opcode is Opcode.TEXT]
        return found

    def close(self) -> None:
        self._socket.close()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self._socket.sendall(data)


def test_a_slow_client_gets_the_newest_and_delays_nobody(server: OscQuery) -> None:
    slow = Slow(server, "live")
    try:
        with socket_to(server, "live") as fast:
            wait_for(lambda: server.listeners == 2)
            for k in range(1, 201):
                server.send(an_affect(time=float(k)))
                assert json.loads(fast.recv(timeout=PATIENCE))["time"] == k
            assert slow.times(2) == [1.0, 200.0]
            server.send(an_affect(time=201.0))
            assert slow.times(1) == [201.0]
    finally:
        slow.close()


def test_sending_never_waits_for_the_server(server: OscQuery, controls: Controls) -> None:
    held, release = threading.Event(), threading.Event()

    def dawdle(_: Rating) -> None:
        held.set()
        assert release.wait(PATIENCE)

    controls.hear_ratings(dawdle)
    controls.newest = an_affect()
    try:
        with socket_to(server) as rater, socket_to(server, "live") as client:
            wait_for(lambda: server.listeners == 2)
            rater.send(osc("/valaro/rate", 0.0, 0.0))
            assert held.wait(PATIENCE)
            for k in range(1000):
                server.send(an_affect(time=float(k)))
            release.set()
            assert json.loads(client.recv(timeout=PATIENCE))["time"] == 999.0
    finally:
        release.set()


def test_a_failing_hearer_costs_one_client_only(server: OscQuery, controls: Controls) -> None:
    def fail(_: Rating) -> None:
        raise OSError(28, "No space left on device")

    controls.hear_ratings(fail)
    controls.newest = an_affect()
    with socket_to(server) as rater, socket_to(server) as other:
        rater.send(osc("/valaro/rate", 0.0, 0.0))
        with pytest.raises(ConnectionClosed):
            rater.recv(timeout=PATIENCE)
        listen(other, "/valaro/pause")
        assert heard(other) == ("/valaro/pause", [0])
    assert server.faults == 1


@pytest.mark.long
def test_a_flood_delays_nobody(server: OscQuery) -> None:
    over = threading.Event()

    def flood() -> None:
        with contextlib.suppress(ConnectionClosed), socket_to(server) as client:
            while not over.is_set():
                client.send("no JSON")

    flooding = threading.Thread(target=flood, daemon=True)
    began = time.monotonic()
    flooding.start()
    try:
        with socket_to(server, "live") as client:
            wait_for(lambda: server.faults > 10 and server.listeners == 2)
            for k in range(20):
                server.send(an_affect(time=float(k)))
                assert json.loads(client.recv(timeout=PATIENCE))["time"] == k
        assert get(server, "/valaro/offset?VALUE")[1] == {"VALUE": [0.0]}
        faults = server.faults
        assert faults <= 10 + (time.monotonic() - began) / 0.005  # the pace at which one client is read
        server.close()
        assert server.listeners == 0  # although much of the flood was still unread
    finally:
        over.set()
        server.close()  # frees the flooding client, which may be held back in sending
        flooding.join(PATIENCE)


def test_clients_are_limited_to_32(server: OscQuery) -> None:
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(socket_to(server, "live")) for _ in range(32)]
        wait_for(lambda: server.listeners == 32)
        with socket_to(server) as late:
            assert ending(late) == 1013
        server.send(an_affect(time=4.0))
        assert all(json.loads(client.recv(timeout=PATIENCE))["time"] == 4.0 for client in clients)
    wait_for(lambda: server.listeners == 0)


def slow_socket(server: OscQuery, words: bytes = b"") -> socket.socket:
    opened = socket.create_connection((server.host, server.port), timeout=PATIENCE)
    opened.sendall(words)
    return opened


def test_slow_and_silent_connections_leave_everybody_else_served(server: OscQuery) -> None:
    """All from one address, the one that the honest requests come from."""
    with contextlib.ExitStack() as opened:
        slow = [opened.enter_context(slow_socket(server, b"GET / HTTP/1.1\r\nX: ")) for _ in range(100)]
        for round_ in range(22):
            for _ in range(23):
                opened.enter_context(slow_socket(server))
            for each in slow:
                with contextlib.suppress(OSError):
                    each.sendall(b"x")
            assert get(server, "/valaro/va?TYPE")[0] == 200, round_
    wait_for(lambda: _answers(server))


@pytest.mark.parametrize(
    "headers",
    [
        "Host: localhost",
        "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade",  # without a key: refused by the library
        "Host: localhost\r\nHost: localhost",
    ],
)
def test_connections_that_stay_after_their_answer_keep_no_seat(
    controls: Controls, headers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "DEADLINE", 10 * PATIENCE)
    with contextlib.closing(OscQuery(controls)) as server, contextlib.ExitStack() as opened:
        request = f"GET /valaro/va?TYPE HTTP/1.1\r\n{headers}\r\n\r\n".encode()
        for _ in range(150):
            answered = opened.enter_context(slow_socket(server, request))
            with contextlib.suppress(OSError):
                answered.recv(1)
        wait_for(lambda: _answers(server))
        assert [get(server, "/valaro/va?TYPE")[0] for _ in range(22)] == [200] * 22


def test_who_gets_nothing_and_says_nothing_makes_room_for_another(
    server: OscQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "IDLE", 0.0)
    with contextlib.ExitStack() as opened:
        idle = opened.enter_context(socket_to(server))
        live = [opened.enter_context(socket_to(server, "live")) for _ in range(31)]
        wait_for(lambda: server.listeners == 32)
        late = opened.enter_context(socket_to(server, "live"))
        assert ending(idle) == 1013
        server.send(an_affect(time=4.0))
        assert all(json.loads(client.recv(timeout=PATIENCE))["time"] == 4.0 for client in (*live, late))


@dataclass(eq=False)
class Seated:
    """A client as far as the seats are concerned."""

    host: str
    heard_at: float = 0.0
    idle: bool = False

    def is_idle(self, _now: float) -> bool:
        return self.idle


def test_one_address_cannot_keep_all_seats_from_another() -> None:
    crowd = [Seated("10.0.0.1", float(number)) for number in range(32)]
    assert to_leave(crowd, "10.0.0.2", 100.0) is crowd[0]  # type: ignore[arg-type]
    assert to_leave(crowd, "10.0.0.1", 100.0) is None  # type: ignore[arg-type]
    crowd[7].idle = True
    assert to_leave(crowd, "10.0.0.1", 100.0) is crowd[7]  # type: ignore[arg-type]


def asked_as(server: OscQuery, **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{server.url}valaro/listener", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as found:
            return found.status, json.loads(found.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def test_a_site_whose_name_points_here_gets_nothing(server: OscQuery) -> None:
    assert asked_as(server, Host="site.example:9123") == (403, {"error": "ask by the address of this machine"})
    for own in ("127.0.0.1:9123", "[::1]", "localhost:80", f"{socket.gethostname()}", "stage.local"):
        assert asked_as(server, Host=own)[0] == 200
    with pytest.raises(InvalidStatus, match="403"):
        socket_to(server, origin=EVIL, host="site.example")


def test_who_is_here_is_not_for_pages_of_other_sites(server: OscQuery, controls: Controls) -> None:
    controls.listener = "ana"
    assert asked_as(server)[1]["VALUE"] == ["ana"]
    assert asked_as(server, Origin="http://localhost:3000")[1]["VALUE"] == ["ana"]
    for foreign in ("https://site.example", "null"):
        assert asked_as(server, Origin=foreign)[1]["VALUE"] == [""]
    with socket_to(server, origin=EVIL) as client:
        listen(client, "/valaro/listener")
        assert heard(client)[:1] == ("/valaro/error",)
        listen(client, "/valaro/pause")
        assert heard(client) == ("/valaro/pause", [0])
        controls.listener = "ben"
        controls.paused = True
        assert heard(client) == ("/valaro/pause", [1])


def walked(node: dict[str, Any]) -> list[str]:
    """All methods below a node, as the client python-oscquery makes its nodes: it raises for these."""
    if node.get("CONTENTS"):
        assert "VALUE" not in node
        return [path for child in node["CONTENTS"].values() for path in walked(child)]
    assert node["ACCESS"] != 0
    assert isinstance(node["VALUE"], list)
    assert len(node["VALUE"]) == len(node["TYPE"])
    assert all(node["RANGE"])
    return [node["FULL_PATH"]]


def test_a_client_that_needs_a_value_everywhere_can_walk_the_root(server: OscQuery) -> None:
    """Before anything was heard, and after."""
    assert set(walked(get(server, "/")[1])) == set(TAGS) | set(INCOMING)
    server.send(an_affect())
    assert set(walked(get(server, "/")[1])) == set(TAGS) | set(INCOMING)


def test_without_a_port_for_osc_nothing_is_said_to_be_writable(controls: Controls) -> None:
    server = OscQuery(controls)
    try:
        assert "OSC_PORT" not in get(server, "/?HOST_INFO")[1]
        nodes = get(server, "/valaro")[1]["CONTENTS"]
        assert {node["ACCESS"] for node in nodes.values()} == {1}
    finally:
        server.close()


def test_host_info_names_the_address_that_osc_is_heard_at(controls: Controls) -> None:
    for heard_at, told in (("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "127.0.0.1")):
        server = OscQuery(controls, osc_port=9001, osc_host=heard_at)
        try:
            assert get(server, "/?HOST_INFO")[1]["OSC_IP"] == told
        finally:
            server.close()


def test_a_message_that_is_too_long_ends_that_connection(server: OscQuery) -> None:
    with socket_to(server) as client:
        client.send("x" * 100_000)
        assert ending(client) == 1009
    assert _answers(server)


ANYTHING = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda tail: b"/valaro/offset\0\0,f\0\0" + tail),
    st.binary(max_size=60).map(lambda tail: b"#bundle\0" + tail),
    st.text(max_size=60),
    st.recursive(
        st.none() | st.floats() | st.text(max_size=8) | st.sampled_from(["LISTEN", "IGNORE", *METHODS]),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(["COMMAND", "DATA", "x"]), part),
        max_leaves=6,
    ).map(json.dumps),
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(words=ANYTHING)
def test_no_message_stops_the_server(server: OscQuery, words: str | bytes) -> None:
    with socket_to(server) as client:
        client.send(words)
        listen(client, "/valaro/time", "IGNORE")
        listen(client, "/valaro/pause")
        while heard(client)[0] != "/valaro/pause":
            pass


@FUZZ
@given(head=st.binary(max_size=300) | st.binary(max_size=60).map(lambda path: b"GET /" + path + b" HTTP/1.1\r\n\r\n"))
def test_no_request_stops_the_server(server: OscQuery, head: bytes) -> None:
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as raw:
        raw.sendall(head)
        raw.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while raw.recv(65_536):
                pass
    assert _answers(server)


@given(target=st.text(max_size=40) | st.sampled_from(list(METHODS)).flatmap(lambda p: st.text().map(lambda q: p + q)))
def test_any_target_has_an_answer(target: str) -> None:
    status, node = answer(target, host_info("Valaro", "127.0.0.1", None), emitted(an_affect()))
    assert (status == 200) == (node is not None)
    json.dumps(node, allow_nan=False)


def test_close_ends_everything(controls: Controls) -> None:
    server = OscQuery(controls)
    threads = threading.active_count()
    with socket_to(server, "live") as client:
        wait_for(lambda: server.listeners == 1)
        server.close()
        assert ending(client) == 1001
    server.close()
    server.send(an_affect())
    wait_for(lambda: threading.active_count() < threads)
    with pytest.raises(urllib.error.URLError):
        get(server, "/")
    OscQuery(controls, port=server.port).close()  # the port is free again


def test_a_client_that_does_not_answer_cannot_hold_up_the_end(controls: Controls) -> None:
    server = OscQuery(controls)
    slow = Slow(server, "live")
    wait_for(lambda: server.listeners == 1)
    server.close()
    slow.close()
    wait_for(lambda: server.listeners == 0)


def test_a_star_is_every_address(controls: Controls) -> None:
    server = OscQuery(controls, host="*")
    try:
        assert server.host == "0.0.0.0"
        assert _answers(server)
    finally:
        server.close()


def test_bad_arguments_are_refused_in_one_line(controls: Controls) -> None:
    taken = OscQuery(controls)
    refusals: list[tuple[type[Exception], dict[str, Any]]] = [
        (SinkError, {"port": taken.port}),
        (InputError, {"port": 65_536}),
        (InputError, {"host": "192.0.2.77"}),
        (InputError, {"host": "no such host"}),
        (InputError, {"host": ""}),
        (InputError, {"name": " "}),
        (InputError, {"name": "ü" * 32}),
        (InputError, {"name": "a\nb"}),
    ]
    try:
        for error, options in refusals:
            with pytest.raises(error) as refused:
                OscQuery(controls, **options)
            assert str(refused.value).startswith("OSCQuery")
            assert "\n" not in str(refused.value)
    finally:
        taken.close()


@pytest.mark.parametrize("library", ["websockets", "zeroconf"])
def test_a_missing_extra_is_named(controls: Controls, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'valaro\[discover\]'"):
        OscQuery(controls)


def test_serves_over_ipv6(controls: Controls) -> None:
    try:
        server = OscQuery(controls, host="::1", osc_port=9001)
    except InputError:
        pytest.skip("this machine has no IPv6")
    try:
        assert server.url == f"http://[::1]:{server.port}/"
        assert get(server, "/?HOST_INFO")[1]["OSC_IP"] == "::1"
    finally:
        server.close()


def test_all_addresses_of_this_machine(controls: Controls) -> None:
    server = OscQuery(controls, host="0.0.0.0", osc_port=9001)
    try:
        assert server.url == f"http://127.0.0.1:{server.port}/"
        assert get(server, "/?HOST_INFO")[1]["OSC_IP"] == "127.0.0.1"  # where this client reached it
    finally:
        server.close()


def _answers(server: OscQuery) -> bool:
    try:
        return get(server, "/valaro/va?TYPE")[1] == {"TYPE": "ff"}
    except OSError:
        return False
