"""Parses, resolves and binds network addresses: what one option takes, all of them take, and it means the same."""

import ipaddress
import re
import socket
from contextlib import suppress

from ..errors import InputError

Where = tuple[int, tuple]  # address family, and what ``socket.connect`` takes
LOCAL = "127.0.0.1"
EVERYWHERE = "*"  # as a host: all interfaces, of IPv4 and IPv6

_NO_HOST_NAME = re.compile(r"""[\s/@*?\[\]{}()<>|\\"'`,;:=&#!]""")


def parse_destination(text: str) -> tuple[str, int]:
    """Split "HOST:PORT", "[HOST]:PORT" or "PORT" (of this machine) to send OSC to.

    Raises
    ------
    InputError
        It is not of that form, or no single place to send to; the message says why.
    """
    what = f"OSC destination {text!r}"
    host, port = _split(text, what, "127.0.0.1:9000")
    if host == EVERYWHERE or _is_unspecified(_checked(host, what, "127.0.0.1:9000")):
        raise InputError(f"{what}: {host} is every address of this machine, to listen at: name the receiver's")
    return host, port


def place(destination: str) -> Where | tuple[str, int]:
    """Where a destination is, for telling whether two are the same: no name server is asked. Raises InputError."""
    host, port = parse_destination(destination)
    try:
        return resolve(LOCAL if host.lower() == "localhost" else host, port, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return host.lower().rstrip("."), port


def parse_listening(text: str, what: str, example: str = "9001") -> tuple[str, int]:
    """Split "PORT" (heard from this machine only), "HOST:PORT" or "*:PORT" to listen at; raises InputError.

    ``what`` names the option in the message, ``example`` is a port that suits it.
    """
    what = f"{what} {text!r}"
    host, port = _split(text, what, f"0.0.0.0:{example}")
    return host if host == EVERYWHERE else _checked(host, what, f"0.0.0.0:{example}"), port


def resolve(name: str, port: int, flags: int = 0) -> Where:
    """The UDP address of a host; IPv4 where it has both. Raises what ``socket.getaddrinfo`` raises."""
    if _NO_HOST_NAME.search(name.replace(":", "")):
        raise UnicodeError(f"{name!r} is no host name")  # the system's resolver takes "*" for this machine
    candidates = socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM, flags=flags)
    # "localhost" may list ::1 first, where most VJ programs do not listen.
    family, _, _, _, address = min(candidates, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def listening_at(host: str, port: int, kind: socket.SocketKind) -> list[socket.socket]:
    """Sockets bound at ``host``: one, or for "*" one of IPv4 and, where this machine has it, one of IPv6.

    Raises
    ------
    OSError, UnicodeError
        The host cannot be found (``socket.gaierror``), or the port cannot be had there.
    """
    opened = bind_at(host, port, kind)
    return [opened, *ipv6_twin(host, opened)]


def bind_at(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """The first of :func:`listening_at`, of IPv4 for "*"; raises the same."""
    if host == EVERYWHERE:
        return _bound(socket.AF_INET, ("0.0.0.0", port), kind)
    family, where = resolve(host, port)
    return _bound(family, where, kind)


def ipv6_twin(host: str, opened: socket.socket) -> list[socket.socket]:
    """The other one of :func:`listening_at`, if ``host`` is "*" and there is IPv6."""
    if host == EVERYWHERE:
        with suppress(OSError):
            port = opened.getsockname()[1]
            return [_bound(socket.AF_INET6, ("::", port), socket.SocketKind(opened.type), only=True)]
    return []


def _bound(family: int, where: tuple, kind: socket.SocketKind, *, only: bool = False) -> socket.socket:
    opened = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:  # [::] alone receives IPv4 too, on every system
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only))
        if kind == socket.SOCK_STREAM and hasattr(socket, "AF_UNIX"):  # on Windows two programs could have one port
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(where)
    except OSError:
        opened.close()
        raise
    return opened


def _split(text: str, what: str, example: str) -> tuple[str, int]:
    text = text.strip()
    if "://" in text:
        place = text.partition("://")[2].partition("/")[0]
        raise InputError(f"{what} is a URL: write {place or example} alone")
    if "," in text or ";" in text:
        raise InputError(f"{what} is a list: give one HOST:PORT each time, such as {example}")
    if text.isascii() and text.isdigit():
        text = f"{LOCAL}:{text}"
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or host.endswith(":"):
        raise InputError(f"{what} has no port: write HOST:PORT, such as {example}")
    if ":" in host and not bracketed:
        raise InputError(f"{what}: write an IPv6 address in brackets, such as [::1]:9000")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise InputError(f"{what}: the port must be a number from 1 to 65535")
    host = host[1:-1] if bracketed else host
    if not host:
        raise InputError(f"{what} has no host: write HOST:PORT, such as {example}")
    return host, int(port)


def _checked(host: str, what: str, example: str) -> str:
    if not host.isprintable() or _NO_HOST_NAME.search(_plain(host).replace(":", "")):
        raise InputError(f"{what}: {host!r} is no host name: write HOST:PORT, such as {example}")
    return host


def _is_unspecified(host: str) -> bool:
    """Whether it is 0.0.0.0 or ::, however it is written."""
    host = _plain(host)
    with suppress(ValueError):
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_unspecified
    with suppress(OSError):  # the forms of old, such as "0"
        return host.isascii() and socket.inet_aton(host) == bytes(4)
    return False


def _plain(host: str) -> str:
    """A host as the resolver reads it: it takes the wide signs of East Asian keyboards for those of ASCII."""
    if not host.isascii():
        with suppress(UnicodeError):
            return host.encode("idna").decode("ascii")
    return host
