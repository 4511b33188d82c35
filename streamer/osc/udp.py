"""The UDP socket that OSC comes in by."""

import errno
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

from .._util.address import parse_destination
from ..errors import InputError, SinkError

KERNEL_BUFFER = 4 * 2**20  # bytes that are asked for: 10,000 small packets; the system may allow less


def listen(address: str) -> socket.socket:
    """A socket that does not block, at "PORT" (of 127.0.0.1) or "HOST:PORT".

    Raises
    ------
    InputError
        A malformed address, or one that is not this machine's.
    SinkError
        A host that does not resolve, or a port that is taken or may not be opened.
    """
    text = address.strip()
    try:
        host, port = parse_destination(text if ":" in text else f"127.0.0.1:{text}")
    except InputError as error:
        forms = "write PORT or HOST:PORT, such as 9001, 0.0.0.0:9001 or [::1]:9001"
        raise InputError(f"OSC input {address!r}: {forms}") from error
    try:
        candidates = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as fault:
        raise SinkError(f"OSC input {address!r}: the host cannot be found; check its name") from fault
    # IPv4 first: most programs send there.
    family, _, _, _, bind_address = min(candidates, key=lambda entry: entry[0] != socket.AF_INET)
    try:
        return _bound(family, bind_address)
    except OSError as fault:
        raise _explained(address, fault) from fault


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        _enlarge(opened)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] receives IPv4 too, on every system
        opened.bind(address)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _enlarge(opened: socket.socket) -> None:
    """Have the system keep as many packets as it allows while they wait to be looked at."""
    wanted = [socket.SO_RCVBUF]
    if sys.platform == "linux":
        wanted.append(33)  # SO_RCVBUFFORCE of asm-generic/socket.h: beyond the system's limit, for an administrator
    for option in wanted:
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, option, KERNEL_BUFFER)


def dropped_packets(opened: socket.socket) -> int | None:
    """How many packets the system dropped; None where it does not say."""
    if sys.platform == "linux":
        with suppress(OSError, struct.error):
            # SO_MEMINFO of asm-generic/socket.h, since Linux 4.12: nine numbers, the last of which are the drops
            return struct.unpack("9I", opened.getsockopt(socket.SOL_SOCKET, 55, 36))[8]
    return None


def _explained(address: str, fault: OSError) -> InputError | SinkError:
    match fault.errno:
        case errno.EADDRNOTAVAIL:
            return InputError(f"OSC input {address!r}: not an address of this machine; 0.0.0.0 hears every network")
        case errno.EADDRINUSE:
            return SinkError(f"OSC input {address!r}: another program has this port; close it or choose another port")
        case errno.EACCES:
            return SinkError(f"OSC input {address!r}: not allowed; choose a port above 1023")
    return SinkError(f"OSC input {address!r}: {(fault.strerror or str(fault)).lower()}")
