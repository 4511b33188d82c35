"""HTTP and WebSocket on one port, with the library websockets, in one asyncio loop."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pythonosc.osc_message_builder import OscMessageBuilder
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from ..._util.http import Seats, is_own_host
from ...core.affect import Affect
from ...core.controls import Controls
from ...errors import InputError
from ..commands import Command, Refusal, handle
from ..dispatch import apply_command
from ..packets import prefix
from .announcement import Announcement
from .client import LIVE, Client, command, to_leave
from .namespace import (
    LISTENER,
    METHODS,
    READ,
    Values,
    answer,
    emitted,
    host_info,
    may_write,
    methods,
    settings,
    without_names,
)

log = logging.getLogger(__name__)

MOST_CLIENTS = 32  # WebSockets
MOST_CONNECTIONS = 128  # open at a time, including those that have not sent a request yet
DEADLINE = 5.0  # s for a whole request
BACKLOG = 1024  # connections that the system keeps waiting
LARGEST = 65_536  # bytes of one incoming message: as much as a UDP packet holds
PACE = 0.005  # s between two messages of one client: a flood waits in the system's buffers
HTTP_PACE = 0.001  # s between two HTTP answers
LINGER = 0.05  # s after an HTTP answer until its connection is closed
LOOK = 0.25  # s between two checks of the settings, which others change too
MOST_ECHO = 64  # characters of a wrong address that go back in an error

_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
}

# The library logs a full traceback for every connection that breaks off or sends garbage.
_library_log = logging.getLogger(f"{__name__}.websockets")
_library_log.setLevel(logging.CRITICAL)


class Server:
    """The part that runs in the loop's thread; only :meth:`wake` and :meth:`stop` may be called from other threads."""

    def __init__(
        self, controls: Controls, name: str, osc: tuple[str | None, int | None], announcement: Announcement
    ) -> None:
        self.newest: dict[int | None, Affect] = {}  # by channel
        self.faults = 0
        self.clients: set[Client] = set()
        self._controls = controls
        self._settings = settings(controls)
        self._name = name
        self._osc_host, self._osc_port = osc
        self._announcement = announcement
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._turn = asyncio.Lock()
        self.seats: Seats[ServerConnection] = Seats(MOST_CONNECTIONS)
        self._endings: set[asyncio.Task[None]] = set()
        self._woken = False
        self._delivered: dict[int | None, Affect] = {}

    def wake(self, affect: Affect) -> None:
        """Have ``affect`` sent, or a newer one of its channel."""
        self.newest = self.newest | {affect.channel: affect}  # another one: the loop may be reading this
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._deliver)

    def stop(self) -> None:
        """End :meth:`run`."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._over.set)

    async def run(self, listening: Sequence[socket.socket], ready: Callable[[], None]) -> None:
        """Serve at ``listening``, closed at the end, until :meth:`stop`. Calls ``ready`` when it has begun."""
        counted = _counted(self.seats)
        async with contextlib.AsyncExitStack() as stack:
            for each in listening:
                serving = serve(
                    self._handle,
                    sock=each,
                    backlog=BACKLOG,
                    process_request=self._answer,
                    create_connection=counted,
                    compression=None,  # it would cost each client a quarter of a megabyte
                    max_size=LARGEST,
                    max_queue=4,
                    open_timeout=DEADLINE,
                    close_timeout=1,
                    logger=_library_log,
                )
                await stack.enter_async_context(serving)
            announcing = asyncio.create_task(self._announce())
            ready()
            while not self._over.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), LOOK)
                self._publish_settings()
            announcing.cancel()
            await self._announcement.withdraw()

    async def _announce(self) -> None:
        fault = await self._announcement.publish()
        if fault is not None:
            self.faults += 1
            log.warning("OSCQuery cannot be announced on the network (%s); programs reach it by its address", fault)

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        try:
            return await self._response_to(connection, request)
        finally:
            self._loop.call_later(LINGER, _close_if_answered, connection)

    async def _response_to(self, connection: ServerConnection, request: Request) -> Response | None:
        self.seats.asked(connection)
        if not is_own_host(request.headers.get("Host")):
            return _response(403, {"error": "ask by the address of this machine"})
        if "websocket" in (value.lower() for value in request.headers.get_all("Upgrade")):
            return None
        async with self._turn:
            await asyncio.sleep(HTTP_PACE)
        if getattr(request, "method", "GET") != "GET":  # older versions of the library refuse it themselves
            return _response(405, None)
        info = host_info(self._name, self._osc_host or str(connection.local_address[0]), self._osc_port)
        values = self._values() if may_write(request.headers.get_all("Origin")) else without_names(self._values())
        return _response(*answer(request.path, info, values, self._channels()))

    async def _handle(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None  # the handshake is done
        client = Client(
            connection,
            live=request.path.partition("?")[0].rstrip("/") == LIVE,
            may_write=may_write(request.headers.get_all("Origin")),
        )
        if len(self.clients) >= MOST_CLIENTS and not self._make_room(client):
            self.faults += 1
            await client.end(f"there are {MOST_CLIENTS} clients already")
            return
        self.clients.add(client)
        writer = asyncio.create_task(client.write())
        try:
            if client.live:
                for affect in self.newest.values():
                    client.offer(_kind(affect), _live(affect))
            async for message in connection:
                client.heard_at = self._loop.time()
                self._take(client, message)
                await asyncio.sleep(PACE)
                if self._over.is_set():  # a flood may have left thousands to read
                    break
        except ConnectionClosed:
            pass
        except Exception as fault:  # noqa: BLE001  a callback for ratings must not end this
            self.faults += 1
            log.warning("OSCQuery: %s: %s; that client was let go", type(fault).__name__, fault)
        finally:
            writer.cancel()
            self.clients.discard(client)

    def _make_room(self, newcomer: Client) -> bool:
        leaving = to_leave(self.clients, newcomer.host, self._loop.time())
        if leaving is None:
            return False
        self.clients.discard(leaving)
        ending = self._loop.create_task(leaving.end("another client needs this seat"))
        self._endings.add(ending)  # or nobody would hold it
        ending.add_done_callback(self._endings.discard)
        return True

    def _take(self, client: Client, message: str | bytes) -> None:
        if client.live:
            return  # read-only
        if isinstance(message, bytes):
            for request in handle(message):
                if isinstance(request, Command):
                    self._apply(client, request)
                elif isinstance(request, Refusal):
                    self._refuse(client, request.address, request.expected)
                elif request.why == "malformed":
                    self._refuse(client, "", "expected an OSC message")
                else:
                    self.faults += 1
            self._publish_settings()
            return
        try:
            verb, path = command(message)
        except InputError as error:
            self._refuse(client, "", str(error))
        else:
            self._listen(client, path) if verb == "LISTEN" else client.listening.discard(path)

    def _listen(self, client: Client, path: str) -> None:
        method = methods(self._channels()).get(path)
        if method is None or not method.access & READ:
            self._refuse(client, path, "there is no value to listen to at this address")
            return
        if path == LISTENER and not client.may_write:
            self._refuse(client, path, "who is here is not for a page of another site")
            return
        client.listening.add(path)
        values = self._values()
        if path in values:
            client.offer(path, _packet(path, method.tags, values[path]))

    def _apply(self, client: Client, request: Command) -> None:
        if not client.may_write:
            self._refuse(client, request.address, "a page of another site may not change anything here")
            return
        try:
            if request.address == "/valaro/status" or not apply_command(request, self._controls, client.name):
                raise InputError("not over a web socket: send it to the OSC port")
        except InputError as error:
            self._refuse(client, request.address, str(error))

    def _refuse(self, client: Client, address: str, expected: str) -> None:
        self.faults += 1
        builder = OscMessageBuilder("/valaro/error")
        builder.add_arg(address[:MOST_ECHO].encode("ascii", "replace").decode(), builder.ARG_TYPE_STRING)
        builder.add_arg(expected, builder.ARG_TYPE_STRING)
        client.offer("/valaro/error", builder.build().dgram)

    def _deliver(self) -> None:
        self._woken = False
        newest, delivered = self.newest, self._delivered
        self._delivered = newest
        for channel, affect in newest.items():
            if affect is not delivered.get(channel) and self.clients:
                self._publish(affect)

    def _publish(self, affect: Affect) -> None:
        if any(client.live for client in self.clients):
            record = _live(affect)
            for client in self.clients:
                if client.live:
                    client.offer(_kind(affect), record)
        self._offer(emitted(affect))

    def _publish_settings(self) -> None:
        now, before = settings(self._controls), self._settings
        self._settings = now
        self._offer({path: values for path, values in now.items() if values != before[path]})

    def _offer(self, values_by_path: Values) -> None:
        """Send each value to the clients that subscribed to it."""
        known = METHODS | methods(self._channels())
        for path, values in values_by_path.items():
            listening = [client for client in self.clients if path in client.listening]
            if listening:
                packet = _packet(path, known[path].tags, values)
                for client in listening:
                    client.offer(path, packet)

    def _channels(self) -> tuple[int, ...]:
        """The channels that are tracked separately and had an emission."""
        return tuple(number for number in self.newest if number is not None)

    def _values(self) -> Values:
        values = settings(self._controls)
        for affect in self.newest.values():
            values |= emitted(affect)
        return values


def _counted(seats: Seats[ServerConnection]) -> type[ServerConnection]:
    """A class of connections that take a seat each, and end another one where there are too many."""

    class Counted(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            # Otherwise the system holds a ping back until the value before it is acknowledged, which takes 40 ms.
            # asyncio sets this for the sockets that it opens itself.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            leaving = seats.enter(self, str((transport.get_extra_info("peername") or ("",))[0]))
            if leaving is not None:
                leaving.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            seats.leave(self)
            super().connection_lost(exc)

    return Counted


def _close_if_answered(connection: ServerConnection) -> None:
    """Close a connection that had its answer, also one that the library gave, and is no web socket.

    The library waits until the client closes; whoever never does would keep its seat until the deadline.
    """
    if connection.response is not None and connection.response.status_code != 101:
        connection.transport.close()


def _response(status: int, node: dict[str, Any] | None) -> Response:
    headers = Headers(
        {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", "Vary": "Origin", "Connection": "close"}
    )
    body = b"" if node is None else json.dumps(node).encode()
    if node is not None:
        headers["Content-Type"] = "application/json"
    if status != 204:
        headers["Content-Length"] = str(len(body))
    return Response(status, _REASONS[status], headers, body)


def _packet(path: str, tags: str, values: list[float | str]) -> bytes:
    builder = OscMessageBuilder(path)
    for tag, value in zip(tags, values, strict=True):
        builder.add_arg(value, tag)
    return builder.build().dgram


def _live(affect: Affect) -> str:
    """The record of one emission, with valence and arousal in 0..1 as well."""
    values, begin = emitted(affect), prefix(affect.channel)
    return json.dumps(
        affect.record() | {"valence01": values[f"{begin}/valence"][0], "arousal01": values[f"{begin}/arousal"][0]}
    )


def _kind(affect: Affect) -> str:
    """The kind of an emission in a client's queue: a newer one of the same channel replaces it."""
    return LIVE if affect.channel is None else f"{LIVE}/{affect.channel}"
