"""One WebSocket, with its queue and subscriptions."""

import asyncio
import json
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from ...errors import InputError

LIVE = "/live"


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
    """

    def __init__(self, connection: ServerConnection, *, live: bool, may_write: bool) -> None:
        self.live = live
        self.may_write = may_write
        self.listening: set[str] = set()
        self._connection = connection
        self._waiting: dict[str, str | bytes] = {}
        self._fresh = asyncio.Event()

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
