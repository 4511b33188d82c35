"""The session as an OSCQuery server: browsable, announced on the network, and readable from a browser."""

from .sink import OscQuery

__all__ = ["OscQuery"]
