"""The session as an OSCQuery server: browsable, announced on the network, and readable from a browser.

- ``sink``: Keeps the newest emission and runs the server's thread.
- ``server``: HTTP and WebSocket on one port.
- ``client``: One WebSocket, with its queue and subscriptions.
- ``namespace``: The OSC methods with their types, ranges and values.
- ``announcement``: Announces the service by multicast DNS.
"""

from .sink import OscQuery

__all__ = ["OscQuery"]
