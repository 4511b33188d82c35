"""The servers as the network sees them: raw bytes at a port, after which others must still be answered."""

import atexit
import socket
import struct
import time
from contextlib import ExitStack
from functools import cache

from valaro.streamer.app.monitoring.metrics import Metrics
from valaro.streamer.core.controls import Controls
from valaro.streamer.osc.query import OscQuery

from ..streamer.fakes import neutral
from ..streamer.oscdump import free_port
from .targets import Target, osc_seeds

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

_running = ExitStack()
atexit.register(_running.close)


def run_server(data: bytes) -> None:
    """OSCQuery; after a handshake if the first byte is odd."""
    with socket.create_connection(("127.0.0.1", oscquery().port), timeout=5.0) as talker:
        if data[:1] and data[0] & 1:
            talker.sendall(HANDSHAKE)
            _read(talker, until=b"\r\n\r\n")
        _say(talker, data[1:])
    assert b'"Valaro"' in _asked(oscquery().port, "/?HOST_INFO")


@cache
def oscquery() -> OscQuery:
    query = OscQuery(Controls())
    _running.callback(query.close)
    query.send(neutral(1.0))
    return query


def run_metrics(data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", metrics()), timeout=5.0) as talker:
        _say(talker, data)
    assert b"valaro_uptime_seconds" in _asked(metrics(), "/metrics")


@cache
def metrics() -> int:
    """The port of a server for Prometheus."""
    port = free_port()
    served = Metrics(str(port), lambda: None)
    _running.callback(served.close)
    served.send(neutral(1.0))
    return port


def close() -> None:
    """End both; the next input starts them again."""
    _running.close()
    oscquery.cache_clear()
    metrics.cache_clear()


def _say(talker: socket.socket, data: bytes) -> None:
    """Send all and read what comes; whoever talks nonsense may be hung up on."""
    try:
        talker.sendall(data)
        talker.shutdown(socket.SHUT_WR)
    except OSError:
        return
    _read(talker)


def _asked(port: int, target: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60.0) as asker:
        asker.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return _read(asker)


def _read(talker: socket.socket, until: bytes | None = None) -> bytes:
    """All that comes, to its end or to ``until``; a connection may break off."""
    found = b""
    deadline = time.monotonic() + 60.0
    try:
        while (until is None or until not in found) and (more := talker.recv(65_536)):
            found += more
            assert time.monotonic() < deadline, "it talks without end"
    except (ConnectionError, TimeoutError):
        pass
    return found


def frame(opcode: int, payload: bytes) -> bytes:
    """One masked frame of a web socket, the mask zero."""
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def server_seeds() -> list[bytes]:
    words = b'{"COMMAND": "LISTEN", "DATA": "/valaro/va"}'
    return [
        b"\x00GET /valaro/va?VALUE HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n",
        b"\x00HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" + HANDSHAKE + frame(1, words),
        b"\x01" + frame(1, words) + frame(2, osc_seeds()[0]) + frame(9, b"") + frame(8, b"\x03\xe8"),
        b"\x01" + frame(2, osc_seeds()[-1]),
    ]


def metrics_seeds() -> list[bytes]:
    heads = [
        "GET /metrics HTTP/1.1",
        "HEAD /metrics?x HTTP/1.0",
        "POST / HTTP/1.1\r\nContent-Length: 4",
        "GET /metrics",
    ]
    return [f"{head}\r\nHost: localhost\r\n\r\n".encode() for head in heads]


TARGETS: dict[str, Target] = {
    "server": Target(run_server, server_seeds),
    "metrics": Target(run_metrics, metrics_seeds),
}
