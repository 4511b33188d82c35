"""The MIDI sink against a real JACK server; what arrives is what JACK's own ``jack_midi_dump`` prints."""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from valaro.streamer.cli.devices import midi_outputs
from valaro.streamer.errors import DeviceError, InputError
from valaro.streamer.midi.messages import MidiSettings
from valaro.streamer.midi.ports import find, same_name
from valaro.streamer.midi.sink import Midi

from ...places import ROOT
from ..fakes import neutral
from ..jack import Jack, jack, received
from ..oscdump import wait_for

__all__ = ["jack"]

CALM = replace(neutral(1.0), valence=1.0, arousal=-1.0, confidence=0.5, quadrants=np.array([0.0, 0.0, 0.25, 0.75]))
ALL_OF_CALM = "b0147f b01500 b01640 b01700 b01800 b01920 b01a5f 903f64"
END_OF_CALM = "803f00"
ENDS = "803c00 803d00 803e00 803f00"  # of every note: one may sound from a program that was killed
EXACT = MidiSettings(refresh=0.0)  # with repeats, what has come would hang on how long a busy machine takes


@contextmanager
def sink(port: str | None, settings: MidiSettings | None = None, virtual: str | None = None) -> Iterator[Midi]:
    midi = Midi(port, settings or EXACT, virtual)
    try:
        yield midi
    finally:
        midi.close()


def await_bytes(printed: Path, expected: str) -> None:
    """Until exactly these messages have come."""
    wait_for(lambda: len(received(printed)) >= len(expected.split()))
    assert " ".join(each.hex() for each in received(printed)) == expected


def test_a_virtual_port_gives_the_very_bytes(jack: Jack, tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    with jack.receiver("synth", printed) as port:
        with sink(None, virtual="stage") as midi:
            assert (midi.port_name, midi.connected) == ("stage", True)
            jack.connect("Valaro:stage", port)
            await_bytes(printed, ENDS)
            midi.send(CALM)
            await_bytes(printed, f"{ENDS} {ALL_OF_CALM}")
            midi.send(CALM)
            midi.send(replace(CALM, valence=-1.0))
            await_bytes(printed, f"{ENDS} {ALL_OF_CALM} b01400")
        await_bytes(printed, f"{ENDS} {ALL_OF_CALM} b01400 {END_OF_CALM}")
        assert "Valaro:stage" not in jack.ports()
    assert midi.faults == 0


FINE_OF_CALM = (
    "b0147f b0347f b01500 b03500 b01640 b03600 b01700 b03700 b01800 b03800 b01920 b03900 b01a5f b03a7f 903f64"
)


@pytest.mark.parametrize(("fine", "state"), [(False, ALL_OF_CALM), (True, FINE_OF_CALM)])
def test_a_host_that_connects_late_gets_all_that_is_so(jack: Jack, tmp_path: Path, fine: bool, state: str) -> None:
    early, late = tmp_path / "early", tmp_path / "late"
    with ExitStack() as stack:
        first = stack.enter_context(jack.receiver("early", early))
        midi = stack.enter_context(sink(None, MidiSettings(fine=fine, refresh=0.0), virtual="stage"))
        jack.connect("Valaro:stage", first)
        await_bytes(early, ENDS)
        midi.send(CALM)
        await_bytes(early, f"{ENDS} {state}")
        jack.connect("Valaro:stage", stack.enter_context(jack.receiver("late", late)))
        await_bytes(late, f"{ENDS} {state}")  # nothing new was emitted


def test_controllers_are_repeated_and_the_note_is_not_struck_again(jack: Jack, tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    controllers, _, _ = ALL_OF_CALM.rpartition(" ")
    with jack.receiver("synth", printed), sink("synth", MidiSettings(refresh=0.2)) as midi:
        midi.send(CALM)
        await_bytes(printed, f"{ENDS} {ALL_OF_CALM}")
        time.sleep(0.25)
        assert len(received(printed)) == 12  # nothing without an emission: a pause is a pause
        midi.send(CALM)
        await_bytes(printed, f"{ENDS} {ALL_OF_CALM} {controllers}")


def test_the_note_of_a_program_that_was_killed_is_ended_by_the_next_one(jack: Jack, tmp_path: Path) -> None:
    code = (
        "import sys; from tests.streamer.midi.test_sink import CALM, Midi\n"
        "midi = Midi('synth'); midi.send(CALM); print('up', flush=True); input()"
    )
    printed, pipe = tmp_path / "printed", subprocess.PIPE
    with jack.receiver("synth", printed):
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, env=jack.env, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as program:
            await_bytes(printed, f"{ENDS} {ALL_OF_CALM}")
            program.kill()
        with sink("synth"):
            await_bytes(printed, f"{ENDS} {ALL_OF_CALM} {ENDS}")


def test_a_port_is_found_by_a_part_of_its_name(jack: Jack, tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    settings = MidiSettings(channel=2, fine=True, notes=(), refresh=0.0)
    with jack.receiver("Big Synth", printed) as port, sink("big syn", settings) as midi:
        assert midi.port_name == port
        midi.send(CALM)
        midi.close()  # what was left with the thread is sent before the end
        halves = "b1147f b1347f b11500 b13500 b11640 b13600 b11700 b13700 b11800 b13800 b11920 b13900 b11a5f b13a7f"
        await_bytes(printed, halves)
        midi.send(replace(CALM, valence=0.0))
        midi.close()
        await_bytes(printed, halves)


def on(channel: int, messages: str) -> str:
    """The messages as they are on another MIDI channel (from 1)."""
    return " ".join(f"{each[0]}{channel - 1:x}{each[2:]}" for each in messages.split())


def test_channels_that_are_tracked_separately_have_midi_channels_in_a_row(
    jack: Jack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    printed = tmp_path / "printed"
    first, second, third = (replace(CALM, channel=number) for number in (3, 1, 7))
    with jack.receiver("synth", printed), sink("synth", MidiSettings(channel=15, refresh=0.0)) as midi:
        midi.send(first)
        await_bytes(printed, sent := on(15, f"{ENDS} {ALL_OF_CALM}"))
        midi.send(second)
        await_bytes(printed, sent := f"{sent} {on(16, f'{ENDS} {ALL_OF_CALM}')}")
        midi.send(replace(first, valence=-1.0))
        await_bytes(printed, sent := f"{sent} {on(15, 'b01400')}")
        for faults in (1, 2):
            midi.send(third)
            wait_for(lambda faults=faults: midi.faults == faults)
        midi.close()
        await_bytes(printed, f"{sent} {on(15, END_OF_CALM)} {on(16, END_OF_CALM)}")
    assert [record.getMessage() for record in caplog.records] == [
        "MIDI synth:input: no MIDI channel is left for channel 7"
    ]


def test_a_port_that_comes_back_gets_every_value_afresh(
    jack: Jack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="valaro")
    first, second = tmp_path / "first", tmp_path / "second"
    with jack.receiver("synth", first):
        midi = Midi("synth", EXACT)
        midi.send(CALM)
        await_bytes(first, f"{ENDS} {ALL_OF_CALM}")
    wait_for(lambda: not midi.connected)
    midi.send(CALM)
    wait_for(lambda: midi.faults == 1)
    with jack.receiver("synth", second):
        await_bytes(second, f"{ENDS} {ALL_OF_CALM}")
        assert midi.connected
        midi.close()
        await_bytes(second, f"{ENDS} {ALL_OF_CALM} {END_OF_CALM}")
    assert [record.getMessage() for record in caplog.records] == [
        "MIDI synth:input: lost; looking for it every second",
        "MIDI synth:input: found again",
    ]
    assert midi.faults == 1


@pytest.mark.parametrize(("port", "virtual"), [("synth", None), (None, "stage")])
def test_the_server_dies_and_comes_back(jack: Jack, tmp_path: Path, port: str | None, virtual: str | None) -> None:
    printed = tmp_path / "printed"
    with ExitStack() as stack:
        with jack.receiver("synth", printed):
            midi = Midi(port, virtual=virtual)
            stack.callback(midi.close)
            midi.send(CALM)
            jack.kill()
        wait_for(lambda: not midi.connected)
        before = midi.faults  # the first may still be about to be counted
        midi.send(CALM)
        wait_for(lambda: midi.faults > before)
        jack.start()
        with jack.receiver("synth", printed) as target:
            wait_for(lambda: midi.connected)
            if virtual is not None:
                jack.connect(f"Valaro:{virtual}", target)
            midi.send(replace(CALM, valence=-1.0))
            wait_for(lambda: bytes.fromhex("b01400") in received(printed))
            midi.close()
            wait_for(lambda: received(printed)[-1] == bytes.fromhex(END_OF_CALM))


def test_a_server_that_stops_holds_nobody_up(jack: Jack, tmp_path: Path) -> None:
    """As when its sound card was pulled out: it takes messages until its buffer is full, and then no more."""
    assert jack.process is not None
    printed = tmp_path / "printed"
    with jack.receiver("synth", printed), sink("synth") as midi:
        jack.process.send_signal(signal.SIGSTOP)
        try:
            other = replace(neutral(1.0), quadrants=np.array([1.0, 0.0, 0.0, 0.0]))

            def overrun() -> bool:
                for _ in range(20):
                    midi.send(CALM)
                    time.sleep(0.001)
                    midi.send(other)
                    time.sleep(0.001)
                return not midi.connected

            wait_for(overrun)
            assert midi.skipped > 0
        finally:
            jack.process.send_signal(signal.SIGCONT)
        wait_for(lambda: midi.connected)
        midi.send(replace(CALM, confidence=1.0))
        wait_for(lambda: bytes.fromhex("b0167f") in received(printed))


def test_a_program_that_is_killed_leaves_no_port_behind(jack: Jack) -> None:
    code = "from valaro.streamer.midi.sink import Midi; Midi(None, virtual='stage'); print('up', flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], env=jack.env, stdin=pipe, stdout=pipe, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "up\n"
        assert "Valaro:stage" in jack.ports()
        program.kill()
    wait_for(lambda: "Valaro:stage" not in jack.ports())


def test_what_devices_lists_can_be_passed(jack: Jack, tmp_path: Path) -> None:
    with jack.receiver("synth", tmp_path / "printed") as port:
        found, why = midi_outputs()
        assert (f"jack:{port}" in found, why) == (True, None)
        with sink(f"jack:{port}") as midi:
            assert midi.port_name == port


def test_an_unknown_port_is_refused_with_those_that_are_there(jack: Jack, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"^no MIDI port of JACK is called 'synth'; there is none \(see"):
        Midi("jack:synth")
    with jack.receiver("synth one", tmp_path / "one"), jack.receiver("synth two", tmp_path / "two"):
        with pytest.raises(DeviceError, match=r"called 'piano'; there are 'synth \w+:input', 'synth \w+:input' \("):
            Midi("jack:piano")
        with pytest.raises(DeviceError, match=r"'synth' could mean 'synth \w+:input', 'synth \w+:input': give more"):
            Midi("jack:synth")
        with pytest.raises(DeviceError, match=r"^MIDI port 'a+' cannot be opened: "):
            Midi(None, virtual="jack:" + "a" * 1000)
    assert jack.ports() == ["system:capture_1", "system:capture_2", "system:playback_1", "system:playback_2"]


def test_without_a_server_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "valaro-nobody")
    with pytest.raises(DeviceError, match=r"^no MIDI over JACK: [^\n]*; start its server first$"):
        Midi("jack:synth")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("port", "virtual", "said"),
    [
        (None, None, "give the name of a port"),
        ("synth", "stage", "not both"),
        (" ", None, "name is empty"),
        ("jack:", None, "name is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(port: str | None, virtual: str | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Midi(port, virtual=virtual)


def test_windows_has_no_virtual_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(InputError, match="loopMIDI"):
        Midi(None, virtual="stage")


ALSA = ["Midi Through:Midi Through Port-0 14:0", "USB Keys:USB Keys MIDI 1 20:0", "USB Keys:USB Keys MIDI 2 20:1"]
MACOS = ["IAC Driver Bus 1", "IAC Driver Bus 10"]


def test_a_name_that_is_whole_goes_before_one_that_is_a_part() -> None:
    assert find("iac driver bus 1", MACOS) == "IAC Driver Bus 1"
    assert find("usb keys:usb keys midi 2", ALSA) == ALSA[2]
    assert find("through", ALSA) == ALSA[0]


def test_a_port_is_known_again_under_another_number() -> None:
    moved = [each.replace("20:", "28:") for each in ALSA]
    assert same_name(ALSA[2], moved) == "USB Keys:USB Keys MIDI 2 28:1"
    assert same_name(ALSA[2], [*moved, *ALSA]) == ALSA[2]
    assert same_name(ALSA[2], moved[:2]) is None
    assert same_name("IAC Driver Bus 1", ["IAC Driver Bus 2"]) is None
