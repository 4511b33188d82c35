"""The UDP socket that OSC comes in by."""

import errno
import socket
import struct
import sys
from contextlib import suppress

from .._util.address import listening_at, parse_listening
from ..errors import InputError, SinkError

KERNEL_BUFFER = 4 * 2**20  # bytes that are asked for: 10,000 small packets; the system may allow less


def listen(address: str) -> list[socket.socket]:
    """Sockets that do not block, at "PORT" (of 127.0.0.1), "HOST:PORT", or "*:PORT" for all interfaces.

    Raises
    ------
    InputError
        A malformed address, or one that is not this machine's.
    SinkError
        A host that does not resolve, or a port that is taken or may not be opened.
    """
    try:
        host, port = parse_listening(address, "OSC input")
    except InputError as error:
        forms = "write PORT or HOST:PORT, such as 9001, 0.0.0.0:9001 or [::1]:9001"
        raise InputError(f"{error}; {forms}") from error
    try:
        opened = listening_at(host, port, socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError) as fault:
        raise SinkError(f"OSC input {address!r}: the host cannot be found; check its name") from fault
    except OSError as fault:
        raise _explained(address, fault) from fault
    for each in opened:
        _enlarge(each)
        each.setblocking(False)
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
