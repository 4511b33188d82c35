"""Receives OSC over UDP for a running session, in a thread of its own."""

import errno
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from pythonosc.osc_message_builder import OscMessageBuilder

from .._util.address import parse_destination
from .._util.rate_limit import Bucket
from ..core.controls import Controls
from ..errors import InputError, SinkError
from .commands import LARGEST, Command, Ignored, Message, Refusal, handle
from .dispatch import apply_command
from .touch_pad import REST, Pads, Sender, remember

log = logging.getLogger(__name__)

WORK = 500.0, 100.0  # messages a second that are read in the long run, and at once
ANSWERS = 50.0, 25.0  # the same for answers, so that nobody whose address was forged is flooded
KERNEL_BUFFER = 32_768  # bytes: about a burst of small packets; the kernel drops the rest at no cost
BREATH = 0.1  # s for which a flood is left to the kernel, and after which close() takes effect
LOG_PAUSE = 60.0  # s between two warnings
MOST_INT = 2**31 - 1  # of OSC's type i


@dataclass(frozen=True, slots=True)
class Status:
    """The answer to ``/valaro/status``.

    Parameters
    ----------
    state : whether emissions go out.
    listener : whose ratings they are.
    offset : seconds by which everything goes out later.
    time : stream time of the newest emission in seconds, 0 before the first.
    emissions : how many were made so far.
    lost : how many frames of sound were lost.
    faults : how many times an output or the device failed.
    """

    state: Literal["listening", "paused"]
    listener: str
    offset: float
    time: float
    emissions: int
    lost: int
    faults: int


@dataclass(frozen=True, slots=True)
class OscInCounters:
    """What came in since the start.

    Parameters
    ----------
    messages : that were read; a packet without a readable one counts as one.
    obeyed : messages that took effect.
    refused : wrong types or values, or an unknown address under /valaro.
    foreign : other addresses, or answers of another Valaro.
    malformed : not OSC, or larger than one Ethernet frame.
    unanswered : answers that were not sent: too many a second, or no usable address.
    faults : our own, such as a full disk when a rating is stored.
    """

    messages: int = 0
    obeyed: int = 0
    refused: int = 0
    foreign: int = 0
    malformed: int = 0
    unanswered: int = 0
    faults: int = 0


class OscIn:
    """Listens at ``address`` and changes ``controls``, until :meth:`close`.

    Parameters
    ----------
    address : "PORT", for this machine only (127.0.0.1), or "HOST:PORT" with one of this machine's addresses;
        "0.0.0.0:PORT" and "[::]:PORT" listen on every network.
    controls : what the messages set.
    status : called for each ``/valaro/status`` that is answered, in the listening thread.

    Raises
    ------
    InputError
        A malformed address, or one that is not this machine's.
    SinkError
        A host that does not resolve, or a port that is taken or may not be opened.

    Notes
    -----
    Messages (OSC 1.0, bundles too, whose timetags are ignored; a number is i, f, h or d):

    ================  ============  ============================================================================
    /valaro/rate      2 numbers     a rating of what is heard now: valence and arousal in [-1, 1]; a name (s) after
                                    them says whose rating it is, where there are several listeners
    /valaro/rate/xy   2 numbers     the same from an XY pad, each in [0, 1], x is valence and y is arousal: one
                                    rating when the finger has rested for 0.5 s, or lifts; a name as above
    /valaro/rate/z    number, T, F  the finger on that pad: 0 when it lifts (also as /valaro/rate/xy/z)
    /valaro/listener  s             whose ratings they are; "" is nobody
    /valaro/offset    number        seconds, 0 to 30, by which everything goes out later
    /valaro/pause     number, T, F  T or 0.5 and above: nothing goes out; F or below: it does again
    /valaro/reply     number        from now on this host's answers go to that port of it
    /valaro/status                  asks for the status only
    ================  ============  ============================================================================

    Each is answered with ``/valaro/status`` ``ssffiii``: state ("listening" or "paused"), listener, offset, time,
    emissions, lost, faults, as in :class:`Status`; those of a pad once, when they have become a rating. A wrong one
    under /valaro is answered with ``/valaro/error`` ``ss``: its address and what was expected. Answers go to the port
    that the message came from, unless the host asked for another with ``/valaro/reply``.

    Whatever comes in, at most 500 messages a second are read and 50 answers sent.
    """

    def __init__(self, address: str, controls: Controls, status: Callable[[], Status]) -> None:
        self._controls = controls
        self._status = status
        self._counters = OscInCounters()
        self._work = Bucket(*WORK)
        self._answers = Bucket(*ANSWERS)
        self._pads = Pads()
        self._reply_ports: dict[str, int] = {}
        self._silent_until = 0.0
        self._closing = threading.Event()
        self._socket = _listen(address)
        self.host: str = self._socket.getsockname()[0]
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name=f"OSC in {self.port}", daemon=True)
        self._thread.start()

    @property
    def counters(self) -> OscInCounters:
        """A snapshot; may be read from any thread, at any time."""
        return self._counters

    def close(self) -> None:
        """Stop listening and wait for the thread; may be called twice."""
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._receive_one()
            except Exception as fault:  # noqa: BLE001  nothing that comes in may end this
                self._work.take(1)
                self._fault(fault)

    def _receive_one(self) -> None:
        """Take one packet, or wait a little for one."""
        for sender, place in self._pads.rested(time.monotonic()):
            valence, arousal, name = place
            self._apply(Command("/valaro/rate/xy", (valence, arousal, REST, name)), sender)
        if not self._work.has_one():
            self._closing.wait(BREATH)
            return
        try:
            packet, sender = self._socket.recvfrom(LARGEST + 1)
        except TimeoutError:
            return
        except OSError:  # Windows: a packet that is too large, or an answer that was refused
            packet, sender = b"", ("nobody", 0)
        messages = handle(packet)
        self._work.take(max(1, len(messages)))
        for message in messages:
            self._take(message, sender)

    def _take(self, message: Message, sender: Sender) -> None:
        self._count("messages")
        match message:
            case Command():
                self._apply(message, sender)
            case Refusal():
                self._refuse(message, sender)
            case Ignored(why):
                self._count(why)
                if why == "malformed":
                    self._report(f"a packet from {sender[0]} is no OSC message")

    def _apply(self, command: Command, sender: Sender) -> None:
        try:
            done = self._execute(command, sender)
            self._count("obeyed")
            if done:
                self._answer_status(sender)
        except InputError as error:
            self._refuse(Refusal(command.address, str(error)), sender)
        except Exception as fault:  # noqa: BLE001  a callback for ratings may be any code
            self._fault(fault)
            self._answer(sender, "/valaro/error", command.address, f"this failed within Valaro: {_one_line(fault)}")

    def _execute(self, command: Command, sender: Sender) -> bool:
        """Whether it took effect, rather than waiting for a finger to rest. Raises what the controls raise."""
        match command.address, command.values:
            case "/valaro/rate/xy", (float(valence), float(arousal), float(ago), str(name)):  # from the pads, at rest
                self._controls.rate(valence, arousal, name or None, "osc", ago)
            case "/valaro/rate/xy", (float(x), float(y), *name):
                self._pads.move(sender, (2.0 * x - 1.0, 2.0 * y - 1.0, str(*name)), time.monotonic())
                return False
            case (("/valaro/rate/z" | "/valaro/rate/xy/z"), (float(touch),)):
                place = self._pads.lift(sender) if touch < 0.5 else None
                if place is None:
                    return False
                valence, arousal, name = place
                self._controls.rate(valence, arousal, name or None, "osc")
            case "/valaro/reply", (float(port),):
                remember(self._reply_ports, sender[0], int(port))
            case _:
                apply_command(command, self._controls)
        return True

    def _refuse(self, refusal: Refusal, sender: Sender) -> None:
        self._count("refused")
        self._report(f"{refusal.address!r} from {sender[0]}: {refusal.expected}")
        self._answer(sender, "/valaro/error", refusal.address, refusal.expected)

    def _answer_status(self, sender: Sender) -> None:
        status = self._status()
        counts = (min(count, MOST_INT) for count in (status.emissions, status.lost, status.faults))
        settings = status.state, status.listener, float(status.offset), float(status.time)
        self._answer(sender, "/valaro/status", *settings, *counts)

    def _answer(self, sender: Sender, address: str, *values: str | float) -> None:
        host, port, *scope = sender
        port = self._reply_ports.get(host, int(port))
        if not (self._answers.has_one() and answerable(host, port)):
            self._count("unanswered")
            return
        self._answers.take(1)
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        try:
            self._socket.sendto(builder.build().dgram, (host, port, *scope))
        except OSError:
            self._count("unanswered")

    def _fault(self, fault: Exception) -> None:
        self._count("faults")
        self._report(_one_line(fault))

    def _count(self, counter: str) -> None:
        # Replaced as a whole by this thread alone, so that a snapshot is consistent.
        self._counters = replace(self._counters, **{counter: getattr(self._counters, counter) + 1})

    def _report(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + LOG_PAUSE
            log.warning("OSC input %d: %s (told once a minute at most, counted always)", self.port, text)


def answerable(host: str, port: int) -> bool:
    """Whether an answer may be sent there: to a single machine, and to a valid port."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        return port > 0 and not (address.is_multicast or address.is_unspecified or host == "255.255.255.255")
    return False


def _listen(address: str) -> socket.socket:
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
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] receives IPv4 too, on every system
        opened.bind(address)
        opened.settimeout(BREATH)
    except OSError:
        opened.close()
        raise
    return opened


def _explained(address: str, fault: OSError) -> InputError | SinkError:
    match fault.errno:
        case errno.EADDRNOTAVAIL:
            return InputError(f"OSC input {address!r}: not an address of this machine; 0.0.0.0 hears every network")
        case errno.EADDRINUSE:
            return SinkError(f"OSC input {address!r}: another program has this port; close it or choose another port")
        case errno.EACCES:
            return SinkError(f"OSC input {address!r}: not allowed; choose a port above 1023")
    return SinkError(f"OSC input {address!r}: {(fault.strerror or str(fault)).lower()}")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
