"""Receives OSC over UDP for a running session, in a thread of its own."""

import ipaddress
import logging
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pythonosc.osc_message_builder import OscMessageBuilder

from .._util.rate_limit import Bucket
from ..core.controls import Answer, Controls
from ..errors import InputError, ValaroError
from .commands import LARGEST, UNKNOWN, Command, Ignored, Message, Refusal, handle
from .dispatch import apply_command
from .senders import REPORTS, Seat, Sender, Senders
from .touch_pad import REST, Pads, Place
from .udp import dropped_packets, listen

log = logging.getLogger(__name__)

READS = 20_000.0, 4_000.0  # packets a second that are looked at, read or not; what comes beyond waits in the kernel
AT_ONCE = 64  # packets between two looks at the fingers and at close()
BREATH = 0.1  # s after which close() takes effect, and within which a finger's rest is noticed
LAST_ANSWERS = 8.0  # s that close() waits for ratings to be stored or given up
LOG_PAUSE = 60.0  # s between two warnings about one sender
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
    obeyed : messages that took effect; ratings that were stored.
    refused : wrong types or values, or an unknown address under /valaro.
    foreign : addresses that are not under /valaro, or answers of another Valaro.
    malformed : not OSC, or larger than one Ethernet frame.
    unanswered : answers that were not sent: too many a second, or no usable address.
    faults : our own.
    over : packets that went unread, since their sender sent too many.
    dropped : packets that the system dropped, since they came faster than they could be looked at; None where the
        system does not tell (all but Linux).
    lost : ratings that could not be kept, such as on a full disk.
    """

    messages: int = 0
    obeyed: int = 0
    refused: int = 0
    foreign: int = 0
    malformed: int = 0
    unanswered: int = 0
    faults: int = 0
    over: int = 0
    dropped: int | None = None
    lost: int = 0


class OscIn:
    """Listens at ``address`` and changes ``controls``, until :meth:`close`.

    Parameters
    ----------
    address : "PORT", for this machine only (127.0.0.1), or "HOST:PORT" with one of this machine's addresses;
        "*:PORT" listens on every network, "0.0.0.0:PORT" on those of IPv4.
    controls : what the messages set.
    status : called for each ``/valaro/status`` that is answered, in the listening thread, or in that which stored a
        rating.

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
    /valaro/rate/z    number, T, F  the finger on that pad: 0 when it lifts (also as /valaro/rate/xy/z); a name as above
    /valaro/listener  s             whose ratings they are; "" is nobody
    /valaro/offset    number        seconds, 0 to 30, by which everything goes out later
    /valaro/pause     number, T, F  T or 0.5 and above: nothing goes out; F or below: it does again
    /valaro/reply     number        from now on the answers to this sender go to that port of its host
    /valaro/status    any           asks for the status only
    ================  ============  ============================================================================

    Each is answered with ``/valaro/status`` ``ssffiii``: state ("listening" or "paused"), listener, offset, time,
    emissions, lost, faults, as in :class:`Status`; those of a pad once, when they have become a rating. A rating is
    answered when it is on the disk (nobody's, which is not stored, at once). A wrong one under /valaro is answered with
    ``/valaro/error`` ``ss``: its address and what was expected; a rating that could not be stored with why; any other
    address, once a minute. An address may be a pattern (:mod:`.pattern`): it acts on each that its arguments fit.
    Answers go to the port that the message came from, unless that sender asked for another with ``/valaro/reply``.

    A sender is an address and a port. Each may send 100 messages a second, whatever others do, and all of one host 400
    more; 50 answers a second go to each (:mod:`.senders`).
    """

    def __init__(self, address: str, controls: Controls, status: Callable[[], Status]) -> None:
        self._controls = controls
        self._status = status
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()  # of the counts, and of what is left for answers
        self._over = 0  # counted by the listening thread alone, which has the least time where this counts
        self._dropped: int | None = None
        self._reads = Bucket(*READS)
        self._senders = Senders()
        self._pads = Pads()
        self._reports = Bucket(*REPORTS)
        self._closing = threading.Event()
        self._unsettled = 0  # ratings that are not answered yet
        self._settled = threading.Condition(self._lock)
        self._packet = bytearray(LARGEST + 1)
        self._sockets = listen(address)
        self.host: str = self._sockets[0].getsockname()[0]
        self.port: int = self._sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._run, name=f"OSC in {self.port}", daemon=True)
        self._thread.start()

    @property
    def counters(self) -> OscInCounters:
        """A snapshot; may be read from any thread, at any time."""
        if self._sockets[0].fileno() >= 0:
            drops = [count for each in self._sockets if (count := dropped_packets(each)) is not None]
            self._dropped = sum(drops) if drops else None
        with self._lock:
            return OscInCounters(**self._counts, over=self._over, dropped=self._dropped)

    def close(self) -> None:
        """Stop listening and wait for the thread and for the answers to ratings; may be called twice."""
        self._closing.set()
        self._thread.join()
        with self._settled:
            self._settled.wait_for(lambda: not self._unsettled, LAST_ANSWERS)
        _ = self.counters  # what the system dropped is known as long as the socket is open
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as arrivals:
            for each in self._sockets:
                arrivals.register(each, selectors.EVENT_READ, each)
            while not self._closing.is_set():
                try:
                    for arrival, _ in arrivals.select(BREATH):
                        self._receive(arrival.data)
                    self._take_rested()
                except Exception as fault:  # noqa: BLE001  nothing that comes in may end this
                    self._fault(fault, None)
                    self._closing.wait(BREATH / 10)
            for each in self._sockets:
                with suppress(Exception):  # what was sent before the end has its answer too
                    self._receive(each)

    def _receive(self, arrived: socket.socket) -> None:
        """Take the packets that wait, some at a time."""
        for _ in range(AT_ONCE):
            if not self._reads.has_one():
                self._closing.wait(BREATH / 10)
                return
            self._reads.take(1)
            try:
                size, sender = arrived.recvfrom_into(self._packet)
            except BlockingIOError:
                return
            except OSError:  # Windows: a packet that is too large, or an answer that was refused
                size, sender = 0, ("nobody", 0)
            seat = self._senders.admit(sender)
            if seat is None:
                self._over += 1
                continue
            messages = handle(bytes(memoryview(self._packet)[:size]))
            self._senders.take(seat, max(1, len(messages)))
            for message in messages:
                self._take(message, sender)

    def _take_rested(self) -> None:
        for sender, (valence, arousal, name) in self._pads.rested(time.monotonic()):
            self._apply(Command("/valaro/rate/xy", (valence, arousal, REST, name)), sender)

    def _take(self, message: Message, sender: Sender) -> None:
        self._count("messages")
        match message:
            case Command():
                self._apply(message, sender)
            case Refusal():
                self._refuse(message, sender)
            case Ignored(why, address):
                self._count(why)
                if why == "malformed":
                    self._report(f"a packet from {_named(sender)} is no OSC message", sender)
                elif address:
                    self._point_out(address, sender)

    def _point_out(self, address: str, sender: Sender) -> None:
        """Answer an address that is not under /valaro, the first in a while: a program may answer the answer."""
        seat, now = self._senders.seat(sender), time.monotonic()
        if seat.lasting and now >= seat.silent_about_others_until:
            seat.silent_about_others_until = now + LOG_PAUSE
            self._answer(sender, "/valaro/error", address, UNKNOWN)

    def _apply(self, command: Command, sender: Sender) -> None:
        try:
            match self._execute(command, sender):
                case "done":
                    self._count("obeyed")
                    self._answer_status(sender)
                case "waits":
                    self._count("obeyed")
        except InputError as error:
            self._refuse(Refusal(command.address, str(error)), sender)
        except Exception as fault:  # noqa: BLE001  a callback for ratings may be any code
            self._fault(fault, sender)
            self._answer(sender, "/valaro/error", command.address, f"this failed within Valaro: {_one_line(fault)}")

    def _execute(self, command: Command, sender: Sender) -> Literal["done", "waits", "rated"]:
        """Obey: it is done; it waits for a finger to rest; or it is a rating, which is answered when it is stored.

        Raises what the controls raise.
        """
        match command.address, command.values:
            case "/valaro/rate/xy", (float(valence), float(arousal), float(ago), str(name)):  # from the pads, at rest
                self._rate(command, sender, lambda answer: self._pad((valence, arousal, name), sender, answer, ago))
            case "/valaro/rate/xy", (float(x), float(y), *name):
                self._pads.move(sender, (2.0 * x - 1.0, 2.0 * y - 1.0, str(*name)), time.monotonic())
                return "waits"
            case (("/valaro/rate/z" | "/valaro/rate/xy/z"), (float(touch), *name)):
                place = self._pads.lift(sender, str(*name)) if touch < 0.5 else None
                if place is None:
                    return "waits"
                self._rate(command, sender, lambda answer: self._pad(place, sender, answer))
            case "/valaro/rate", _:
                name = _named(sender)
                self._rate(command, sender, lambda answer: apply_command(command, self._controls, name, answer))
            case "/valaro/reply", (float(port),):
                seat = self._senders.seat(sender)
                if not seat.lasting:
                    raise InputError("too many programs send from this machine: try it again in a minute")
                seat.reply_port = int(port)
                return "done"
            case _:
                apply_command(command, self._controls)
                return "done"
        return "rated"

    def _pad(self, place: Place, sender: Sender, answer: Answer, ago: float = 0.0) -> None:
        valence, arousal, name = place
        self._controls.rate(valence, arousal, name or None, "osc", ago, _named(sender), answer)

    def _rate(self, command: Command, sender: Sender, rate: Callable[[Answer], object]) -> None:
        """Rate, and answer in the thread that knows it when the rating is stored or lost. Raises what ``rate`` does."""
        seat, settled = self._senders.seat(sender), threading.Event()

        def settle() -> None:
            if not settled.is_set():
                settled.set()
                with self._settled:
                    self._unsettled -= 1
                    self._settled.notify_all()

        def answer(fault: BaseException | None) -> None:
            try:
                if fault is None:
                    self._count("obeyed")
                    self._answer_status(sender, seat)
                else:
                    self._count("lost")
                    reason = str(fault) if isinstance(fault, ValaroError) else _one_line(fault)
                    self._answer(sender, "/valaro/error", command.address, f"not kept: {reason}", seat=seat)
            finally:
                settle()

        with self._settled:
            self._unsettled += 1
        try:
            rate(answer)
        except BaseException:
            settle()
            raise

    def _refuse(self, refusal: Refusal, sender: Sender) -> None:
        self._count("refused")
        self._report(f"{refusal.address!r} from {_named(sender)}: {refusal.expected}", sender)
        self._answer(sender, "/valaro/error", refusal.address, refusal.expected)

    def _answer_status(self, sender: Sender, seat: Seat | None = None) -> None:
        status = self._status()
        counts = (min(count, MOST_INT) for count in (status.emissions, status.lost, status.faults))
        settings = status.state, status.listener, float(status.offset), float(status.time)
        self._answer(sender, "/valaro/status", *settings, *counts, seat=seat)

    def _answer(self, sender: Sender, address: str, *values: str | float, seat: Seat | None = None) -> None:
        """Send one answer, now or later, from any thread; where there are too many, it is counted instead."""
        seat = seat or self._senders.seat(sender)
        host, port, *scope = sender
        port = seat.reply_port or int(port)
        with self._lock:
            allowed = seat.answers.has_one() and answerable(host, port)
            if allowed:
                seat.answers.take(1)
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        try:
            if allowed:
                # Of two sockets, the first is of IPv4, whose senders have no scope.
                self._sockets[-1 if scope else 0].sendto(builder.build().dgram, (host, port, *scope))
        except OSError:
            allowed = False
        if not allowed:
            self._count("unanswered")

    def _fault(self, fault: Exception, sender: Sender | None) -> None:
        self._count("faults")
        self._report(_one_line(fault), sender)

    def _count(self, counter: str) -> None:
        with self._lock:
            self._counts[counter] += 1

    def _report(self, text: str, sender: Sender | None) -> None:
        """Log a line, unless there was one about the same sender, or there were several about its host, just now."""
        now, seat = time.monotonic(), None if sender is None else self._senders.seat(sender)
        reports = self._reports if seat is None else seat.reports
        if not reports.has_one() or (seat is not None and now < seat.silent_until):
            return
        reports.take(1)
        if seat is not None:
            seat.silent_until = now + LOG_PAUSE
        log.warning("OSC input %d: %s (told once a minute at most, counted always)", self.port, text)


def answerable(host: str, port: int) -> bool:
    """Whether an answer may be sent there: to a single machine, and to a valid port."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        # What IPv4 sends to a socket of IPv6.
        address = getattr(address, "ipv4_mapped", None) or address
        return port > 0 and not (address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255")
    return False


def _named(sender: Sender) -> str:
    return f"[{sender[0]}]:{sender[1]}" if ":" in sender[0] else f"{sender[0]}:{sender[1]}"


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
