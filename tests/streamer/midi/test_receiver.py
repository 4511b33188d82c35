"""Ratings from a pair of controllers: the pair by itself, and over a real JACK server that another process plays on."""

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from valaro.streamer.core.controls import Controls, Rating
from valaro.streamer.errors import DeviceError, InputError
from valaro.streamer.midi.jack import JackPort
from valaro.streamer.midi.receiver import REST, MidiIn, MidiInSettings, Pair, bipolar

from ..fakes import neutral
from ..jack import Jack, jack
from ..oscdump import PATIENCE, free_port, wait_for

__all__ = ["jack"]

VALENCE, AROUSAL = 102, 103
PLAYED = "knobs:out"


def turned(controller: int, value: int, channel: int = 1) -> bytes:
    return bytes([0xB0 + channel - 1, controller, value])


def places(settings: MidiInSettings, *played: tuple[float, bytes]) -> list[tuple[float, float]]:
    """What is rated by messages at their seconds, when the pair is asked at each of these times and at the end."""
    pair = Pair(settings)
    found = []
    for now, message in played:
        found.append(pair.rested(now))
        pair.take(message, now)
    found += [pair.rested(1000.0), pair.rested(2000.0)]
    return [each for each in found if each is not None]


def test_the_pair_rates_once_when_it_has_rested() -> None:
    pair = Pair(MidiInSettings())
    pair.take(turned(VALENCE, 127), 10.0)
    pair.take(turned(AROUSAL, 0), 10.25)
    assert pair.rested(10.25 + 0.99 * REST) is None
    assert pair.rested(10.25 + REST) == (1.0, -1.0)
    assert pair.rested(20.0) is None


def test_a_flood_is_one_rating_of_where_it_ended() -> None:
    sweep = [(each / 1000, turned(VALENCE + each % 2, each % 128)) for each in range(5000)]
    assert places(MidiInSettings(), *sweep) == [(bipolar(4998 % 128), bipolar(4999 % 128))]


def test_one_axis_rates_nothing_until_the_other_is_known_and_then_enough() -> None:
    alone = [(1.0, turned(VALENCE, 100)), (2.0, turned(VALENCE, 127))]
    assert places(MidiInSettings(), *alone) == []
    assert places(MidiInSettings(), *alone, (3.0, turned(AROUSAL, 64))) == [(1.0, 0.0)]
    later = [(3.0, turned(AROUSAL, 64)), (4.0, turned(AROUSAL, 0)), (5.0, turned(VALENCE, 0))]
    assert places(MidiInSettings(), *alone, *later) == [(1.0, 0.0), (1.0, -1.0), (-1.0, -1.0)]


def test_what_is_only_repeated_neither_rates_again_nor_delays() -> None:
    start = [(0.0, turned(VALENCE, 127)), (0.0, turned(AROUSAL, 127))]
    again = [(each / 10, turned(VALENCE, 127)) for each in range(1, 100)]
    pair = Pair(MidiInSettings())
    for now, message in [*start, *again]:
        if now == 0.6:
            assert pair.rested(now) == (1.0, 1.0)
        pair.take(message, now)
    assert pair.rested(1000.0) is None


def test_other_messages_and_channels_are_passed_over() -> None:
    ours = [(1.0, turned(VALENCE, 0, 3)), (1.0, turned(AROUSAL, 0, 3))]
    foreign = [
        *(turned(VALENCE, 127, channel) for channel in (1, 2, 4, 16)),
        turned(VALENCE - 1, 127, 3),
        bytes([0x92, VALENCE, 127]),
        bytes([0xC2, VALENCE]),
        bytes([0xF8]),
        b"",
    ]
    assert places(MidiInSettings(channel=3), *ours, *((1.1, each) for each in foreign)) == [(-1.0, -1.0)]
    assert places(MidiInSettings(channel=0), *ours, (1.1, foreign[0])) == [(1.0, -1.0)]
    assert places(MidiInSettings(channel=3, valence=1, arousal=2), *ours) == []


def test_the_middle_and_the_ends_are_reached() -> None:
    values = [bipolar(each) for each in range(128)]
    assert (values[0], values[64], values[127]) == (-1.0, 0.0, 1.0)
    assert all(low < high for low, high in pairwise(values))


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.binary(max_size=4))))
def test_whatever_comes_rates_nothing_that_cannot_be(steps: list[tuple[float, bytes]]) -> None:
    pair, now = Pair(MidiInSettings(valence=0, arousal=1)), 0.0
    for pause, message in steps:
        now += pause
        place = pair.rested(now)
        assert place is None or all(-1.0 <= each <= 1.0 for each in place)
        pair.take(message, now)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"channel": 17}, "channel must be whole numbers from 0 to 16, not 17"),
        ({"channel": -1}, "from 0 to 16"),
        ({"channel": True}, "whole numbers"),
        ({"valence": 120}, "controllers must be whole numbers from 0 to 119, not 120"),
        ({"arousal": 1.5}, "whole numbers"),
        ({"arousal": 102}, "valence and arousal are both controller 102"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        MidiInSettings(**wrong)  # pyright: ignore[reportArgumentType]


@contextmanager
def played() -> Iterator[JackPort]:
    """Another process with a JACK port to send from, as a controller's driver has."""
    sender = JackPort("knobs")
    try:
        sender.open_virtual_port("out")
        yield sender
    finally:
        sender.delete()


@contextmanager
def hearing(
    port: str | None = "knobs", virtual: str | None = None, controls: Controls | None = None
) -> Iterator[tuple[MidiIn, list[Rating]]]:
    """An input, and the ratings that it gives."""
    ratings: list[Rating] = []
    if controls is None:
        controls = Controls(listener="ana")
        controls.newest = neutral(12.0)
    controls.hear_ratings(ratings.append)
    midi_in = MidiIn(port, MidiInSettings(), controls, virtual)
    try:
        yield midi_in, ratings
    finally:
        midi_in.close()


def play(sender: JackPort, messages: list[bytes], done: Callable[[], bool]) -> None:
    """Send until it is done: a busy machine's JACK loses messages, and those that are only repeated change nothing."""

    def is_done() -> bool:
        if done():
            return True
        for message in messages:
            sender.send_message(message)
        return False

    wait_for(is_done)


def both(valence: int, arousal: int) -> list[bytes]:
    return [turned(VALENCE, valence), turned(AROUSAL, arousal)]


def test_the_very_rating_arrives(jack: Jack) -> None:
    with played() as sender, hearing() as (midi_in, ratings):
        assert (midi_in.port_name, midi_in.connected) == (PLAYED, True)
        play(sender, both(127, 0), lambda: len(ratings) == 1)
        play(sender, [turned(AROUSAL, 64)], lambda: len(ratings) == 2)
        assert ratings == [Rating(11.5, 1.0, -1.0, "ana", "midi"), Rating(11.5, 1.0, 0.0, "ana", "midi")]
        wait_for(lambda: midi_in.ratings == 2)
        midi_in.close()
        assert not any(port.startswith("Valaro") for port in jack.ports())
        assert all(each.name != "MIDI in" for each in threading.enumerate())


def test_a_virtual_port_hears_whoever_connects(jack: Jack) -> None:
    with hearing(None, "stage") as (midi_in, ratings), played() as sender:
        assert (midi_in.port_name, midi_in.connected) == ("stage", True)
        jack.connect(PLAYED, "Valaro in:stage")
        play(sender, both(0, 127), lambda: len(ratings) == 1)
        assert (ratings[0].valence, ratings[0].arousal) == (-1.0, 1.0)


@pytest.mark.usefixtures("jack")
def test_a_flood_over_a_port_is_rated_where_it_ended() -> None:
    with played() as sender, hearing() as (_, ratings):
        began = time.monotonic()
        for each in range(3000):
            sender.send_message(turned(VALENCE + each % 2, each % 128))
        play(sender, both(127, 127), lambda: (1.0, 1.0) in [(rating.valence, rating.arousal) for rating in ratings])
        # One, unless the machine stands still for as long as a rest meanwhile.
        assert len(ratings) <= 1 + (time.monotonic() - began - REST) / REST


@pytest.mark.usefixtures("jack")
def test_a_port_that_comes_back_has_to_tell_both_anew(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="valaro")
    with played() as sender, hearing() as (midi_in, ratings):
        play(sender, both(127, 127), lambda: len(ratings) == 1)
        sender.delete()
        wait_for(lambda: not midi_in.connected)
        with played() as again:
            wait_for(lambda: midi_in.connected)
            began = time.monotonic()
            play(again, [turned(VALENCE, 0)], lambda: time.monotonic() - began > 3 * REST)  # one axis would rate here
            play(again, both(0, 0), lambda: len(ratings) == 2)
            assert [(rating.valence, rating.arousal) for rating in ratings] == [(1.0, 1.0), (-1.0, -1.0)]
            assert [record.getMessage() for record in caplog.records] == [
                f"MIDI in from {PLAYED}: lost; looking for it every second",
                f"MIDI in from {PLAYED}: found again",
            ]


@pytest.mark.parametrize(("port", "virtual"), [("knobs", None), (None, "stage")])
def test_the_server_dies_and_comes_back(jack: Jack, port: str | None, virtual: str | None) -> None:
    with played(), hearing(port, virtual) as (midi_in, ratings):
        jack.kill()
        wait_for(lambda: not midi_in.connected)
        jack.start()
        with played() as sender:
            wait_for(lambda: midi_in.connected)
            if virtual is not None:
                jack.connect(PLAYED, f"Valaro in:{virtual}")
            play(sender, both(0, 64), lambda: len(ratings) == 1)
    assert (ratings[0].valence, ratings[0].arousal) == (-1.0, 0.0)


@pytest.mark.usefixtures("jack")
def test_what_refuses_a_rating_is_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    controls = Controls()
    with played() as sender, hearing(controls=controls) as (midi_in, ratings):
        for count, valence in enumerate((10, 20, 30), 1):
            play(sender, both(valence, 64), lambda count=count: midi_in.refused == count)
        controls.newest = neutral(1.0)

        def full(rating: Rating) -> None:
            raise OSError("no space\nleft")

        controls.hear_ratings(full)
        for count, valence in enumerate((40, 50), 1):
            play(sender, both(valence, 64), lambda count=count: midi_in.faults == count)
        assert (midi_in.ratings, midi_in.refused, midi_in.connected) == (0, 3, True)
        assert len(ratings) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"MIDI in from {PLAYED}: not rated: nothing was heard yet that could be rated: wait for the first emission "
        "(told once, counted always)",
        f"MIDI in from {PLAYED}: not rated: OSError: no space left (told once, counted always)",
    ]


def test_the_command_takes_ratings_by_the_configs_controllers(jack: Jack, tmp_path: Path) -> None:
    show, record = tmp_path / "show.toml", tmp_path / "show.jsonl"
    show.write_text("[midi_in]\nvirtual = 'stage'\nvalence = 1")
    command = [sys.executable, "-m", "valaro.streamer", "demo", "--no-display", "--config", str(show), "--lag", "0"]
    command += ["--midi-in", "knobs", "--listener", "ana", "--record", str(record), "--osc", f"127.0.0.1:{free_port()}"]
    environment = jack.env | {"XDG_DATA_HOME": str(tmp_path)}

    def lines() -> list[dict]:
        return [json.loads(line) for line in record.read_text().split("\n")[:-1]] if record.exists() else []

    with (
        played() as sender,
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as program,
    ):
        try:
            wait_for(lambda: len(lines()) > 1 or program.poll() is not None)
            knobs = [turned(1, 127), turned(AROUSAL, 0)]
            play(sender, knobs, lambda: any("rating" in each for each in lines()))
            program.send_signal(signal.SIGINT)
            _, said = program.communicate(timeout=PATIENCE)
        finally:
            program.kill()
    assert program.returncode == 3, said  # nobody listens to its OSC
    assert said.splitlines()[-1].partition(", lost ")[2].count(",") == 0, said  # and nothing else was lost
    ratings = [each["rating"] for each in lines() if "rating" in each]
    assert [(rating["valence"], rating["arousal"], rating["listener"], rating["source"]) for rating in ratings] == [
        (1.0, -1.0, "ana", "midi")
    ]


def test_an_unknown_port_is_refused_with_those_that_are_there(jack: Jack) -> None:
    with pytest.raises(DeviceError, match=r"^no MIDI input of JACK is called 'pads'; there is none$"):
        MidiIn("jack:pads", MidiInSettings(), Controls())
    with played(), pytest.raises(DeviceError, match=r"is called 'pads'; there are 'knobs:out'$"):
        MidiIn("jack:pads", MidiInSettings(), Controls())
    assert all(port.startswith("system:") for port in jack.ports())


@pytest.mark.parametrize(
    ("port", "virtual", "said"),
    [(None, None, "give the name"), ("a", "b", "not both"), (" ", None, "the port's name is empty$")],
)
def test_what_cannot_be_meant_is_refused(port: str | None, virtual: str | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        MidiIn(port, MidiInSettings(), Controls(), virtual)
