"""One WebSocket, with its queue and subscriptions."""

import asyncio
import json
from collections import Counter
from collections.abc import Collection
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from ...errors import InputError

LIVE = "/live"
IDLE = 30.0  # s after which a client that gets nothing and says nothing makes room for another


class Client:
    """A connection with a queue of one message of each kind: a newer one replaces one that waits.

    Parameters
    ----------
    connection : the WebSocket.
    live : whether it gets every emission as JSON.
    may_write : whether it may change the session's settings.

    Attributes
    ----------
    listening : the OSC addresses that it subscribed to.
    host, name : the address that it connects from, without and with its port.
    heard_at : when it last sent something, by the loop's clock.
    """

    def __init__(self, connection: ServerConnection, *, live: bool, may_write: bool) -> None:
        self.live = live
        self.may_write = may_write
        self.listening: set[str] = set()
        address = connection.remote_address or ("", 0)
        self.host: str = str(address[0])
        self.name: str = f"{address[0]}:{address[1]}"
        self.heard_at = asyncio.get_running_loop().time()
        self._connection = connection
        self._waiting: dict[str, str | bytes] = {}
        self._fresh = asyncio.Event()

    def is_idle(self, now: float) -> bool:
        """Whether it neither gets nor sends anything."""
        return not self.live and not self.listening and now - self.heard_at >= IDLE

    async def end(self, reason: str) -> None:
        """Close the connection, so that it may be tried again later."""
        await self._connection.close(1013, reason)

    def offer(self, kind: str, message: str | bytes) -> None:
        """Queue ``message``; a newer one of the same ``kind`` replaces it while it waits."""
        self._waiting[kind] = message
        self._fresh.set()

    async def write(self) -> None:
        """Send what is offered, until the connection is closed.

        After each round it waits for the pong to a ping, which comes when the client has read that far: otherwise the
        system's buffers would fill for a slow client, which would see everything minutes late.
        """
        with suppress(ConnectionClosed):
            while True:
                await self._fresh.wait()
                self._fresh.clear()
                waiting, self._waiting = self._waiting, {}
                for message in waiting.values():
                    await self._connection.send(message)
                await (await self._connection.ping())


def to_leave(clients: Collection[Client], host: str, now: float) -> Client | None:
    """Who makes room for a newcomer from ``host`` where all seats are taken.

    The one that has been idle for longest; or, if another host has more seats than the newcomer's, its oldest. None:
    nobody, and the newcomer cannot be had.
    """
    idle = [client for client in clients if client.is_idle(now)]
    if idle:
        return min(idle, key=lambda client: client.heard_at)
    seats = Counter(client.host for client in clients)
    ((crowd, most),) = seats.most_common(1)
    if seats[host] + 1 >= most:
        return None
    return min((client for client in clients if client.host == crowd), key=lambda client: client.heard_at)


def command(text: str) -> tuple[str, str]:
    """COMMAND and DATA of a JSON message.

    Raises
    ------
    InputError
        It is neither LISTEN nor IGNORE of an address.
    """
    try:
        request = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise InputError("expected a JSON object with COMMAND and DATA") from fault
    match request:
        case {"COMMAND": "LISTEN" | "IGNORE" as verb, "DATA": str(path)}:
            return verb, path
    raise InputError("expected COMMAND to be LISTEN or IGNORE, and DATA an OSC address")
