"""Emissions as OSC over UDP, for Resolume, TouchDesigner, Max, Pure Data and their like.

python-osc encodes; the socket is ours, because python-osc's client resolves the host again on every send.
"""

import logging
import socket
from contextlib import suppress

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from ..errors import InputError, SinkError
from ..messages import Affect

log = logging.getLogger(__name__)


class Osc:
    """Sends every emission to one destination, as one UDP packet or as plain messages.

    Parameters
    ----------
    destination : "HOST:PORT", or "[HOST]:PORT" for an IPv6 address. The host is resolved here, once. A broadcast
        address such as 192.168.1.255 is allowed.
    bundle : one bundle with the immediate timetag (1,100 bytes or so: it fits an Ethernet frame unfragmented),
        or, for receivers that mishandle bundles, one packet for each address.

    ``faults`` counts the emissions that met a fault: nobody listening there, the network down, a full buffer. The
    first of a row is logged and sending goes on, so that a receiver may start late or restart during the show.

    Raises InputError for a malformed destination, SinkError for a host that does not resolve.
    """

    def __init__(self, destination: str, bundle: bool = True) -> None:
        host, port = parse_destination(destination)
        self.destination = destination
        self.faults = 0
        self._bundle = bundle
        self._family, self._address = _resolve(host, port, destination)
        self._socket: socket.socket | None = None
        self._closed = False
        self._failing = False

    def send(self, affect: Affect) -> None:
        """Send one emission; a fault is counted and never raised."""
        if self._closed:
            return
        fault: OSError | None = None
        for packet in packets(affect, self._bundle):
            fault = self._transmit(packet) or fault
        if fault is not None:
            self.faults += 1
            if not self._failing:
                log.warning("OSC %s: %s; sending goes on", self.destination, _reason(fault))
        elif self._failing:
            log.info("OSC %s: sending works again", self.destination)
        self._failing = fault is not None

    def close(self) -> None:
        """Close the socket; may be called twice."""
        self._closed = True
        self._drop()

    def _transmit(self, packet: bytes) -> OSError | None:
        """Send one packet; return the fault that was met, if any."""
        try:
            if self._socket is None:
                self._socket = self._connect()
            try:
                self._socket.send(packet)
            except ConnectionRefusedError as refused:
                # The answer to an earlier packet: reading it cleared it, and this packet has not left yet.
                self._socket.send(packet)
                return refused
        except OSError as fault:
            # A connected socket keeps the address of the network that it was opened on: after a fault, take a new one.
            self._drop()
            return fault
        return None

    def _connect(self) -> socket.socket:
        """A connected socket, since only that one hears of refusals. Raises OSError while the network is down."""
        opened = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            opened.connect(self._address)
        except OSError:
            opened.close()
            raise
        return opened

    def _drop(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None


def packets(affect: Affect, bundle: bool = True) -> list[bytes]:
    """The UDP packets of one emission: a single bundle, or one message each."""
    messages = [_message(address, values) for address, values in values_by_address(affect).items()]
    if not bundle:
        return [message.dgram for message in messages]
    builder = OscBundleBuilder(IMMEDIATELY)  # some receivers hold a message with a later timetag back for ever
    for message in messages:
        builder.add_content(message)
    return [builder.build().dgram]


def values_by_address(affect: Affect) -> dict[str, list[float] | str]:
    """What stands at each address; valence and arousal twice, since VJ hosts clip to 0..1."""
    covariance = affect.covariance
    return {
        "/valaro/valence": [_unit(affect.valence)],
        "/valaro/arousal": [_unit(affect.arousal)],
        "/valaro/va": [affect.valence, affect.arousal],
        "/valaro/heatmap": affect.heatmap.ravel().tolist(),
        "/valaro/gauss": [
            affect.valence,
            affect.arousal,
            covariance[0, 0],
            covariance[0, 1],
            covariance[1, 1],
        ],
        "/valaro/quadrants": affect.quadrants.tolist(),
        "/valaro/confidence": [affect.confidence],
        "/valaro/level": [affect.level],
        "/valaro/activity": affect.activity,
        "/valaro/time": [affect.time],
    }


def parse_destination(text: str) -> tuple[str, int]:
    """Split "HOST:PORT" or "[HOST]:PORT"; raises InputError with what is wrong."""
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
    return host, int(port)


def _resolve(host: str, port: int, destination: str) -> tuple[int, tuple]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as fault:
        raise SinkError(f"OSC destination {destination!r}: the host cannot be found; check its name") from fault
    # "localhost" may list ::1 first, where most VJ programs do not listen.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def _message(address: str, values: list[float] | str) -> OscMessage:
    builder = OscMessageBuilder(address)
    if isinstance(values, str):
        builder.add_arg(values, builder.ARG_TYPE_STRING)
    else:
        for value in values:
            builder.add_arg(float(value), builder.ARG_TYPE_FLOAT)  # python-osc refuses numpy's floats
    return builder.build()


def _unit(value: float) -> float:
    return min(max((value + 1.0) / 2.0, 0.0), 1.0)


def _reason(fault: OSError) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return "nobody listens there"
    return (fault.strerror or str(fault) or type(fault).__name__).lower()
