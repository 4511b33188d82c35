"""The sink: it keeps the newest emission and runs the thread that serves it."""

import asyncio
import errno
import importlib.util
import logging
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from ..._util.address import bind_at, ipv6_twin
from ...core.affect import Affect
from ...core.controls import Controls
from ...errors import InputError, MissingExtraError, SinkError

if TYPE_CHECKING:
    from .server import Server

log = logging.getLogger(__name__)

LONGEST_NAME = 63  # bytes of UTF-8, in DNS
GOODBYE = 5.0  # s at most to close connections and withdraw the announcement


class OscQuery:
    """Serves emissions and ``controls`` over HTTP and WebSocket, until :meth:`close`.

    Parameters
    ----------
    controls : what clients may read and set.
    host : the address of this machine to serve at; "127.0.0.1" is reachable from this machine only, "0.0.0.0" from
        every network, "*" from those of IPv6 too.
    port : TCP port; 0 takes any free one.
    name : what clients see, at most 63 bytes; a second one of this name on the network becomes "NAME-2".
    osc_port : the UDP port that takes OSC for ``controls``, if there is one; else nothing is said to be writable.
    osc_host : the address that it is heard at; left out, or unspecified: the one that a client reached this server at.

    Raises
    ------
    MissingExtraError
        The libraries are not installed.
    InputError
        An invalid host, port or name.
    SinkError
        The port is taken.

    Notes
    -----
    ``http://HOST:PORT/`` answers as the OSCQuery proposal has it; a WebSocket at the same place takes LISTEN and
    IGNORE as JSON and sends the values as OSC, and takes OSC for /valaro/rate, listener, offset and pause; what is
    wrong is answered with ``/valaro/error`` ``ss``, the address and what was expected. A WebSocket at ``/live``, for
    browsers, gets each emission as the JSON of :meth:`Affect.record` with ``valence01`` and ``arousal01``, both in
    0..1. A client that reads slowly misses emissions, and always gets the newest next (of each channel, where they are
    tracked separately, and served at ``/valaro/N/...`` from their first emission on).

    Any web page may read, but not who is listening. A page of another site may not write: see
    :func:`.namespace.may_write`. A site that has its name point at this machine gets nothing at all.

    The service is announced with zeroconf as ``_oscjson._tcp`` and, with ``osc_port``, ``_osc._udp``; where the
    network takes no multicast, this is logged once, and the server goes on.
    """

    def __init__(
        self,
        controls: Controls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "Valaro",
        osc_port: int | None = None,
        osc_host: str | None = None,
    ) -> None:
        _check(port, name)
        if not all(importlib.util.find_spec(library) for library in ("websockets", "zeroconf")):
            raise MissingExtraError("OSCQuery needs websockets and zeroconf: pip install 'valaro[discover]'")
        opened = _listen(host[1:-1] if host.startswith("[") and host.endswith("]") else host, port)
        listening = [opened, *ipv6_twin(host, opened)]
        self.host: str = opened.getsockname()[0]
        self.port: int = opened.getsockname()[1]
        self._controls = controls
        self._name = name
        self._osc = None if osc_host in ("0.0.0.0", "::") else osc_host, osc_port
        self._closed = False
        self.failed = False  # it ended by itself
        started: Future[Server] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(listening, started), name=f"OSCQuery {self.port}", daemon=True
        )
        self._thread.start()
        self._server = started.result()

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    @property
    def faults(self) -> int:
        """How many messages were refused, clients disconnected, or announcements impossible, so far."""
        return self._server.faults

    @property
    def listeners(self) -> int:
        """How many WebSockets are open."""
        return len(self._server.clients)

    def send(self, affect: Affect) -> None:
        """Take one emission; never waits, and never raises."""
        if not self._closed:
            self._server.wake(affect)

    def close(self) -> None:
        """Withdraw the announcement and end the connections; may be called twice."""
        if not self._closed:
            self._closed = True
            self._server.stop()
            self._thread.join(GOODBYE)

    def _run(self, listening: list[socket.socket], started: "Future[Server]") -> None:
        try:
            asyncio.run(self._serve(listening, started))
        except Exception as fault:  # noqa: BLE001  the session goes on
            if not started.done():
                started.set_exception(fault)
                return
            self.failed = True
            log.warning("OSCQuery ended: %s: %s", type(fault).__name__, fault)
        finally:
            for each in listening:
                each.close()

    async def _serve(self, listening: list[socket.socket], started: "Future[Server]") -> None:
        from .announcement import Announcement
        from .server import Server

        announcement = Announcement(self._name, self.host, self.port, self._osc[1])
        server = Server(self._controls, self._name, self._osc, announcement)
        await server.run(listening, lambda: started.set_result(server))


def _check(port: int, name: str) -> None:
    if not 0 <= port <= 65_535:
        raise InputError(f"OSCQuery: the port must be a number from 0 (any free one) to 65535, not {port}")
    if not (name.strip() and name.isprintable() and len(name.encode()) <= LONGEST_NAME):
        raise InputError(f"OSCQuery: the name must have 1 to {LONGEST_NAME} printable bytes, not {name!r}")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return bind_at(host, port, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as fault:
        raise InputError(f"OSCQuery: the host {host!r} cannot be found; 127.0.0.1 is this machine") from fault
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            raise SinkError(
                f"OSCQuery: port {port} is taken by another program; choose another one, or 0 for any free one"
            ) from fault
        if fault.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"OSCQuery: {host!r} is no address of this machine; 0.0.0.0 is all of them") from fault
        raise SinkError(f"OSCQuery at {host}, port {port}: {(fault.strerror or str(fault)).lower()}") from fault
