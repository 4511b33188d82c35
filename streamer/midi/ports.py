"""Finds, opens and watches MIDI ports by name."""

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from .._util.stderr import quiet_stderr
from ..errors import DeviceError, InputError
from .alsa import connections
from .jack import QUEUE, JackPort, receive

CLIENT, CLIENT_IN = "Valaro", "Valaro in"
JACK = "jack:"  # before a port's name: JACK even where the system has MIDI of its own
# What a driver appends to a name, and changes when the port comes back: ALSA's client and port, Windows' index. On
# macOS a number at the end belongs to the name ("IAC Driver Bus 1").
_NUMBERS = r" \d+$" if sys.platform == "win32" else r" \d+:\d+$"


class Port:
    """A port to write to, or to read from, which may go away and come back; for one thread at a time.

    Parameters
    ----------
    wanted : its name, or an unambiguous part of it, regardless of case; with "jack:" in front, a port of JACK.
        JACK is also taken when the system has no MIDI of its own, such as a Linux without the ALSA sequencer.
    virtual : instead of ``wanted``, the name of a port to create, for other programs to connect to.
    incoming : whether it is an input, of which ``wanted`` names the other end, the port that sends.

    Raises
    ------
    InputError
        Not exactly one of ``wanted`` and ``virtual`` is given, or a virtual port on Windows, which has none.
    DeviceError
        None or several ports match ``wanted``; one line with the ports that are there.
    """

    def __init__(self, wanted: str | None, virtual: str | None = None, *, incoming: bool = False) -> None:
        if (wanted is None) == (virtual is None):
            raise InputError("MIDI: give the name of a port, or of a virtual one to make, not both")
        self._virtual = virtual is not None
        given_name = wanted or virtual or ""
        name = given_name.removeprefix(JACK).strip()
        if not name:
            raise InputError(
                "MIDI: the port's name is empty" + ("" if incoming else "; `valaro devices` lists the ports")
            )
        if self._virtual and sys.platform == "win32":
            raise InputError("MIDI: Windows has no virtual ports: make one with loopMIDI and give its name as the port")
        self._open = self._seen = False
        self._receivers: frozenset[str] = frozenset()
        self._incoming = incoming
        self._driver: Any
        self._driver, self._jack = _first_driver(jack=given_name.startswith(JACK), incoming=incoming)
        try:
            self.name = (
                name if self._virtual else find(name, self._driver.get_ports(), jack=self._jack, incoming=incoming)
            )
            self._connect()
        except DeviceError:
            self.close()
            raise
        except Exception as fault:
            self.close()
            raise DeviceError(f"MIDI port {name!r} cannot be opened: {_one_line(fault)}") from fault

    @property
    def is_open(self) -> bool:
        """Whether the port was there when last checked or written to."""
        return self._open

    @property
    def receivers(self) -> frozenset[str]:
        """The ports that were connected to a virtual output when :meth:`look` was last called.

        Empty where the system does not tell, as on macOS, and of any other port.
        """
        return self._receivers

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages in order. Raises OSError, and the port counts as gone, when the driver refuses them."""
        try:
            for message in messages:
                self._driver.send_message(message)
        except Exception as fault:
            self._drop()
            raise OSError(_one_line(fault)) from fault

    def receive(self, most: int) -> list[bytes]:
        """The messages that came in, in order, at most so many; the rest is left for the next call. Never waits.

        Without system exclusive, clock and active sensing.

        Raises
        ------
        OSError
            The driver fails; the port then counts as gone.
        """
        try:
            return self._driver.receive(most) if self._jack else receive(self._driver, most)
        except Exception as fault:
            self._drop()
            raise OSError(_one_line(fault)) from fault

    def look(self) -> bool:
        """Whether the port is there now; opens it when it has come back. Never raises.

        One that came back is opened at the second call: a program or a device may show its port before it is ready.
        """
        try:
            if self._driver is None:
                self._driver = _driver(self._jack, self._incoming)
            names = self._driver.get_ports()  # of a virtual port too: it fails when JACK's server is gone
            if self._open and not (self._virtual or _is_there(self.name, names)):
                self._open = self._seen = False
                self._driver.close_port()
            elif not self._open:
                back = self._virtual or same_name(self.name, names) is not None
                if back and (self._virtual or self._seen):
                    self._connect()
                self._seen = back
            self._receivers = self._connected()
        except Exception:  # noqa: BLE001  rtmidi's errors have no common base below Exception
            self._drop()
        return self._open

    def close(self) -> None:
        """Release the port, once what was sent has left; may be called twice."""
        self._drop()

    def _connect(self) -> None:
        if self._virtual:
            self._driver.open_virtual_port(self.name)
        else:
            names = self._driver.get_ports()
            self.name = same_name(self.name, names) or self.name
            self._driver.open_port(names.index(self.name), CLIENT_IN if self._incoming else CLIENT)
        self._open = True

    def _connected(self) -> frozenset[str]:
        if not (self._open and self._virtual) or self._incoming:
            return frozenset()
        return frozenset(self._driver.connections(self.name) if self._jack else connections(CLIENT, self.name))

    def _drop(self) -> None:
        driver, self._driver = self._driver, None
        self._open = self._seen = False
        self._receivers = frozenset()
        if driver is not None:
            with suppress(Exception):
                driver.delete()


def names() -> list[str]:
    """The names that may be passed for a port; JACK's after the system's own.

    Raises
    ------
    DeviceError
        This machine has no MIDI.
    """
    output, is_jack = _first_driver(jack=False)
    port_names = _names(output, is_jack)
    if not is_jack:
        with suppress(Exception):
            port_names += _names(_driver(jack=True), True)
    return port_names


def _names(output: Any, is_jack: bool) -> list[str]:
    try:
        return [f"{JACK}{name}" if is_jack else name for name in output.get_ports()]
    finally:
        output.delete()


def find(wanted: str, names: Sequence[str], jack: bool = False, incoming: bool = False) -> str:
    """The one of ``names`` that ``wanted`` means: exactly, or without the driver's numbers, or the only one it is in.

    Raises
    ------
    DeviceError
        None or several match; one line with the ports that are there.
    """
    text = wanted.casefold()
    for matches in (
        [name for name in names if name.casefold() == text],
        [name for name in names if _bare(name).casefold() == text],
        [name for name in names if text in name.casefold()],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise DeviceError(f"MIDI port {wanted!r} could mean {_listed(matches)}: give more of the name")
    there = f"there are {_listed(names)}" if names else "there is none"
    kind = f"MIDI {'input' if incoming else 'port'}{' of JACK' if jack else ''}"
    raise DeviceError(f"no {kind} is called {wanted!r}; {there}{'' if incoming else ' (see `valaro devices`)'}")


def same_name(name: str, names: Sequence[str]) -> str | None:
    """``name`` as it is among ``names`` now, regardless of the driver's numbers; None when it is not there."""
    if name in names:
        return name
    return next((candidate for candidate in names if _bare(candidate) == _bare(name)), None)


def _is_there(name: str, names: Sequence[str]) -> bool:
    """Whether an open port is still there: Windows renumbers the others when one goes, elsewhere numbers stay."""
    return same_name(name, names) is not None if sys.platform == "win32" else name in names


def _bare(name: str) -> str:
    return re.sub(_NUMBERS, "", name)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _first_driver(jack: bool, incoming: bool = False) -> tuple[Any, bool]:
    """The system's own MIDI, else JACK; and whether it is JACK. DeviceError when there is neither."""
    faults: list[Exception] = []
    for on_jack in [True] if jack else [False, True]:
        try:
            return _driver(on_jack, incoming), on_jack
        except ImportError as fault:
            raise DeviceError(f"python-rtmidi cannot be loaded: {fault}") from fault
        except Exception as fault:  # noqa: BLE001
            faults.append(fault)
    if jack:
        raise DeviceError(f"no MIDI over JACK: {_one_line(faults[0])}; start its server first") from faults[0]
    if sys.platform == "linux":
        missing = "neither the ALSA sequencer (sudo modprobe snd-seq) nor a JACK server is there"
        raise DeviceError(f"no MIDI on this machine: {missing}") from faults[-1]
    raise DeviceError(f"no MIDI on this machine: {_one_line(faults[0])}") from faults[0]


def _driver(jack: bool, incoming: bool = False) -> Any:
    """An ``rtmidi.MidiOut`` or ``MidiIn``, or a JackPort. Raises whatever the library raises."""
    import rtmidi

    compiled = rtmidi.get_compiled_api()  # pyright: ignore[reportAttributeAccessIssue]  made by a star import
    not_native = (rtmidi.API_UNIX_JACK, rtmidi.API_RTMIDI_DUMMY)  # pyright: ignore[reportAttributeAccessIssue]
    native = [api for api in compiled if api not in not_native]
    client = CLIENT_IN if incoming else CLIENT
    if jack:
        if rtmidi.API_UNIX_JACK not in compiled:  # pyright: ignore[reportAttributeAccessIssue]
            raise OSError("python-rtmidi was built without JACK")
        return JackPort(client, incoming)
    if not native:
        raise OSError("python-rtmidi was built without the system's MIDI")
    # Named, or rtmidi tries JACK in this process when there are no ports (see :mod:`.jack`).
    with quiet_stderr():
        if incoming:
            return rtmidi.MidiIn(native[0], client, QUEUE)  # pyright: ignore[reportAttributeAccessIssue]
        return rtmidi.MidiOut(native[0], client)  # pyright: ignore[reportAttributeAccessIssue]


def _one_line(fault: Exception) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__
