"""One web socket: what waits to be sent to it, and what it asked for."""

import asyncio
import json
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from ...errors import InputError

LIVE = "/live"


class Client:
    """A connection with room for one message of each kind: a newer one takes the place of one that waits.

    ``live``: gets every emission as JSON. ``listening``: the OSC addresses that it wants. ``may_write``: whether it
    may change the session's settings.
    """

    def __init__(self, connection: ServerConnection, *, live: bool, may_write: bool) -> None:
        self.live = live
        self.may_write = may_write
        self.listening: set[str] = set()
        self._connection = connection
        self._waiting: dict[str, str | bytes] = {}
        self._fresh = asyncio.Event()

    def offer(self, kind: str, message: str | bytes) -> None:
        """Send ``message`` when its turn comes, unless a newer one of the same ``kind`` comes first."""
        self._waiting[kind] = message
        self._fresh.set()

    async def write(self) -> None:
        """Send what is offered, until the connection is closed.

        After each round it waits for the pong to a ping, which comes when the client has read that far: else the
        system's buffers would fill for a slow one, and it would see the show minutes late.
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
    """COMMAND and DATA of a JSON message. Raises InputError for what is neither LISTEN nor IGNORE of an address."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise InputError("expected a JSON object with COMMAND and DATA") from fault
    match found:
        case {"COMMAND": "LISTEN" | "IGNORE" as word, "DATA": str(path)}:
            return word, path
    raise InputError("expected COMMAND to be LISTEN or IGNORE, and DATA an OSC address")
