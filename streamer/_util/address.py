"""Parses and resolves network addresses."""

import socket

from ..errors import InputError

Where = tuple[int, tuple]  # address family, and what ``socket.connect`` takes


def parse_destination(text: str) -> tuple[str, int]:
    """Split "HOST:PORT" or "[HOST]:PORT".

    Raises
    ------
    InputError
        It is not of that form; the message says why.
    """
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or host.endswith(":"):
        raise InputError(f"OSC destination {text!r} has no port: write HOST:PORT, such as 127.0.0.1:9000")
    if ":" in host and not bracketed:
        raise InputError(f"OSC destination {text!r}: write an IPv6 address in brackets, such as [::1]:9000")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise InputError(f"OSC destination {text!r}: the port must be a number from 1 to 65535")
    host = host[1:-1] if bracketed else host
    if not host:
        raise InputError(f"OSC destination {text!r} has no host: write HOST:PORT, such as 127.0.0.1:9000")
    if not all(letter.isprintable() and letter not in " /@" for letter in host):
        raise InputError(f"OSC destination {text!r}: {host!r} is no host name: write HOST:PORT, such as 127.0.0.1:9000")
    return host, int(port)


def resolve(name: str, port: int, flags: int = 0) -> Where:
    """The UDP address of a host; IPv4 where it has both. Raises what ``socket.getaddrinfo`` raises."""
    candidates = socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM, flags=flags)
    # "localhost" may list ::1 first, where most VJ programs do not listen.
    family, _, _, _, address = min(candidates, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address
