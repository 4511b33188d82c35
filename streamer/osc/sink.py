"""Emissions as OSC over UDP, for Resolume, TouchDesigner, Max, Pure Data and similar hosts.

python-osc encodes; the socket is our own, because python-osc's client resolves the host again on every send.
"""

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from .._util.address import Where, parse_destination, resolve
from ..core.affect import Affect
from ..errors import InputError
from .packets import bundles, cells, contract, message, packets

__all__ = ["Osc", "OscMapping", "packets", "parse_destination"]

log = logging.getLogger(__name__)

CELLS_EVERY = 0.5 - 1e-3  # s of the stream; times of interpolated output are sums, and may be slightly less
_PATIENCE = 2.0  # s that a name server may delay the start
_LOOK_AGAIN = 5.0  # s between two look-ups of a host
_STEADY = 5.0  # s without a fault until sending counts as working again: systems refuse only one packet a second
_LARGEST = 3.4028234663852886e38  # the largest 32-bit float


class OscMapping(Protocol):
    """One entry of a map: an emission's value for an address that a host chose."""

    @property
    def address(self) -> str:
        """The OSC address, such as "/composition/layers/1/video/opacity"."""
        ...

    def __call__(self, affect: Affect) -> float:
        """The value to send; called once for each emission, in their order."""
        ...


class Osc:
    """Sends every emission to one destination, as one UDP packet or as plain messages.

    Parameters
    ----------
    destination : "HOST:PORT", "[HOST]:PORT" for an IPv6 address, or "PORT" of this machine. A broadcast address such
        as 192.168.1.255 is allowed. A name is looked up in a thread, once, and again every 5 s while sending to it
        fails; the constructor waits for it for at most 2 s.
    bundle : one bundle with the immediate timetag (under 1,000 bytes: it fits an Ethernet frame unfragmented), and
        further ones for what ``maps`` adds beyond 1,400 bytes; or, for receivers that mishandle bundles, one packet
        for each address.
    contract : whether the addresses ``/valaro/...`` go out at all, or only the cells and maps.
    cells : whether ``/valaro/cell/A/V`` f goes out too, for each of the 121 cells (A the row of arousal, V the column
        of valence, 0 to 10), at most twice a second of the stream, in packets below 1,400 bytes.
    maps : what goes to addresses of the host's own, one float each; a value that is not finite goes out as 0.
    channel_maps : the same for each channel that is tracked separately, called once, when its first emission comes.

    Attributes
    ----------
    faults : how many emissions met a fault: nobody listening there, the network down, a full buffer, a host that is not
        found. The first of a row is logged, and its end after 5 s without another; sending goes on meanwhile, so that a
        receiver may start late or restart during the session.

    Raises
    ------
    InputError
        A malformed destination, or nothing to send.

    Notes
    -----
    Emissions of a channel N go to ``/valaro/N/...`` and, of the first channel that comes, to ``maps``: a host's
    address is for one value. ``send`` is for one thread at a time; an emission must not change once it was sent.
    """

    def __init__(
        self,
        destination: str,
        bundle: bool = True,
        *,
        contract: bool = True,
        cells: bool = False,
        maps: Sequence[OscMapping] = (),
        channel_maps: Callable[[int], Sequence[OscMapping]] | None = None,
    ) -> None:
        if not (contract or cells or maps or channel_maps):
            raise InputError(f"OSC destination {destination!r}: without the contract it needs a map or the cells")
        self.destination = destination
        self.faults = 0
        self._bundle = bundle
        self._contract = contract
        self._cells = cells
        self._maps = tuple(maps)
        self._channel_maps = channel_maps
        self._streams: dict[int | None, _Stream] = {}  # by channel
        self._host = _Host(*parse_destination(destination), destination)
        self._socket: socket.socket | None = None
        self._where: Where | None = None
        self._closed = False
        self._failed_at: float | None = None  # when the last fault was, until sending works again

    def send(self, affect: Affect) -> None:
        """Send one emission; a fault of the network is counted and never raised."""
        outgoing = [] if self._closed else self._packets(affect)
        if not outgoing:
            return
        fault: OSError | None = None
        for packet in outgoing:
            fault = self._transmit(packet) or fault
            if self._socket is None:
                break  # the rest would fail as well, and each attempt takes time
        now = time.monotonic()
        if fault is not None:
            self._host.look_up()
            self._fault(fault, now)
        elif self._failed_at is not None and now - self._failed_at >= _STEADY:
            log.info("OSC %s: sending works again", self.destination)
            self._failed_at = None

    def close(self) -> None:
        """Close the socket; may be called twice. What the system has heard of the last packet meanwhile counts too."""
        self._closed = True
        if self._socket is not None:
            with suppress(OSError):
                if number := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._fault(OSError(number, os.strerror(number)), time.monotonic())
        self._drop()

    def _fault(self, fault: OSError, now: float) -> None:
        self.faults += 1
        if self._failed_at is None:
            log.warning("OSC %s: %s; sending goes on", self.destination, _reason(fault))
        self._failed_at = now

    def _packets(self, affect: Affect) -> list[bytes]:
        stream = self._streams.get(affect.channel) or self._begin(affect.channel)
        messages = list(contract(affect)) if self._contract else []
        messages += [message(mapping.address, [_sendable(mapping(affect))]) for mapping in stream.maps]
        single = cells(affect) if self._cells and stream.cells_due(affect.time) else ()
        return [*bundles(messages), *bundles(single)] if self._bundle else [*messages, *single]

    def _begin(self, channel: int | None) -> "_Stream":
        maps = [] if self._streams else [*self._maps]
        if channel is not None and self._channel_maps is not None:
            maps += self._channel_maps(channel)
        self._streams[channel] = _Stream(tuple(maps))
        return self._streams[channel]

    def _transmit(self, packet: bytes) -> OSError | None:
        """Send one packet; return the fault that was met, if any."""
        try:
            if self._socket is None or self._where is not self._host.where:
                self._drop()
                self._where = self._host.where
                self._socket = _connected(self._where)
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

    def _drop(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None


@dataclass(slots=True)
class _Stream:
    """The state of one channel, or of all sound where channels are not tracked separately."""

    maps: tuple[OscMapping, ...]
    cells_at: float = -math.inf  # s of the stream

    def cells_due(self, now: float) -> bool:
        """Whether the cells go out now, at the stream's time ``now``: at most once in CELLS_EVERY seconds."""
        # A replay that begins again goes back in time.
        if 0.0 <= now - self.cells_at < CELLS_EVERY:
            return False
        self.cells_at = now
        return True


class _Host:
    """The address of a host. A name is looked up in a thread: a dead name server blocks for many seconds.

    Attributes
    ----------
    where : None until it is found; unchanged when a later look-up finds nothing.

    Raises
    ------
    InputError
        The name is neither an address nor a valid host name.
    """

    def __init__(self, name: str, port: int, destination: str) -> None:
        self._name, self._port = name, port
        self._thread: threading.Thread | None = None
        self._not_before = -math.inf
        try:
            self.where: Where | None = resolve(name, port, socket.AI_NUMERICHOST)
            self._literal = True
            return
        except UnicodeError as fault:
            raise InputError(f"OSC destination {destination!r}: {name!r} is no host name; check it") from fault
        except OSError as fault:
            if set(name) <= set("0123456789.") or (":" in name and "%" not in name):
                raise InputError(f"OSC destination {destination!r}: {name!r} is no IP address; check it") from fault
        self.where = None
        self._literal = False
        self.look_up()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def look_up(self) -> None:
        """Start looking the name up (again), unless that is under way or was done just now."""
        if self._literal or time.monotonic() < self._not_before:
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._look_up, name="host look-up", daemon=True)
            self._thread.start()

    def _look_up(self) -> None:
        with suppress(OSError):
            where = resolve(self._name, self._port)
            if where != self.where:
                self.where = where
        self._not_before = time.monotonic() + _LOOK_AGAIN


def _connected(where: Where | None) -> socket.socket:
    """A connected socket, since only such a one reports refusals. Raises OSError while the host is unreachable."""
    if where is None:
        raise socket.gaierror(socket.EAI_NONAME, "the host cannot be found, check its name")
    family, address = where
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.connect(address)
    except OSError:
        opened.close()
        raise
    return opened


def _sendable(value: float) -> float:
    return value if abs(value) <= _LARGEST else 0.0  # NaN is not


def _reason(fault: OSError) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return "nobody listens there"
    return (fault.strerror or str(fault) or type(fault).__name__).lower()
