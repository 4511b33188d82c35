from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from valaro.streamer.core.affect import Activity, Affect
from valaro.streamer.errors import InputError
from valaro.streamer.midi.messages import MidiSettings, MidiState, closing, everything, messages, silencing

from ..fakes import neutral

TENSE = (0.125, 0.5, 0.25, 0.125)


def affect(
    valence: float = 0.0,
    arousal: float = 0.0,
    confidence: float = 0.0,
    quadrants: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25),
    activity: Activity = "music",
) -> Affect:
    masses = np.array(quadrants)
    return replace(
        neutral(1.0), valence=valence, arousal=arousal, confidence=confidence, quadrants=masses, activity=activity
    )


def spoken(settings: MidiSettings, *affects: Affect) -> list[list[str]]:
    """The messages of each emission in turn, in hexadecimal."""
    state, out = MidiState(), []
    for affect in affects:
        state, said = messages(settings, state, affect)
        out.append([message.hex(" ") for message in said])
    return out


def test_the_first_emission_says_everything() -> None:
    first = affect(valence=-1.0, arousal=1.0, confidence=0.5, quadrants=TENSE)
    assert spoken(MidiSettings(), first) == [
        ["b0 14 00", "b0 15 7f", "b0 16 40", "b0 17 10", "b0 18 40", "b0 19 20", "b0 1a 10", "90 3d 64"]
    ]


def test_what_stays_is_not_sent_again() -> None:
    once, moved = affect(quadrants=TENSE), affect(arousal=0.5, quadrants=TENSE)
    assert spoken(MidiSettings(), once, once, moved)[1:] == [[], ["b0 15 5f"]]


def test_the_settings_choose_channel_controllers_notes_and_velocity() -> None:
    settings = MidiSettings(
        channel=16, valence=1, arousal=2, confidence=3, quadrants=(4, 5, 6, 119), notes=(0, 1, 2, 127), velocity=1
    )
    mine = affect(quadrants=(0.0, 0.0, 0.0, 1.0))
    assert spoken(settings, mine, affect(quadrants=(1.0, 0.0, 0.0, 0.0))) == [
        ["bf 01 40", "bf 02 40", "bf 03 00", "bf 04 00", "bf 05 00", "bf 06 00", "bf 77 7f", "9f 7f 01"],
        ["bf 04 7f", "bf 77 00", "8f 7f 00", "9f 00 01"],
    ]


def test_fourteen_bits_send_the_high_half_first_and_only_when_it_changed() -> None:
    fine = MidiSettings(fine=True, notes=())
    start, near, far = affect(), affect(valence=0.001), affect(valence=1.0)
    whole, nudged, leapt = spoken(fine, start, near, far)
    assert whole[:4] == ["b0 14 40", "b0 34 00", "b0 15 40", "b0 35 00"]
    assert nudged == ["b0 34 08"]  # 1.001 / 2 of 16,383 is 8,199.7, or 64 * 128 + 8
    assert leapt == ["b0 14 7f", "b0 34 7f"]


def test_a_value_on_the_edge_of_two_steps_does_not_flicker() -> None:
    low, high = affect(confidence=10.4 / 127), affect(confidence=10.6 / 127)
    assert spoken(MidiSettings(notes=()), *[low, high] * 10)[1:] == [[]] * 19


def test_the_ends_of_the_range_are_reached() -> None:
    almost = [affect(confidence=126 / 127), affect(confidence=1.0), affect(confidence=1 / 127), affect(confidence=0.0)]
    assert spoken(MidiSettings(notes=()), *almost)[1:] == [["b0 16 7f"], ["b0 16 01"], ["b0 16 00"]]


def test_what_is_no_number_leaves_the_controller_as_it_was() -> None:
    broken = affect(valence=float("nan"), arousal=float("inf"), quadrants=(float("nan"),) * 4)
    assert spoken(MidiSettings(notes=()), affect(), broken, affect(arousal=1.0)) == [
        ["b0 14 40", "b0 15 40", "b0 16 00", "b0 17 20", "b0 18 20", "b0 19 20", "b0 1a 20"],
        ["b0 15 7f"],
        [],
    ]


def notes(*affects: Affect, settings: MidiSettings | None = None) -> list[list[str]]:
    said = spoken(settings or MidiSettings(), *affects)
    return [[message for message in each if not message.startswith("b0")] for each in said]


def test_another_quadrant_must_lead_by_the_share() -> None:
    happy, close, tense = (
        affect(quadrants=(0.5, 0.3, 0.1, 0.1)),
        affect(quadrants=(0.4, 0.45, 0.1, 0.05)),
        affect(quadrants=(0.3, 0.5, 0.1, 0.1)),
    )
    assert notes(happy, close, tense, close) == [["90 3c 64"], [], ["80 3c 00", "90 3d 64"], []]
    assert notes(happy, close, settings=MidiSettings(hysteresis=0.0)) == [["90 3c 64"], ["80 3c 00", "90 3d 64"]]


def test_silence_has_no_note() -> None:
    loud, quiet = affect(quadrants=TENSE), affect(quadrants=TENSE, activity="silence")
    assert notes(quiet, loud, quiet, quiet, loud) == [[], ["90 3d 64"], ["80 3d 00"], [], ["90 3d 64"]]


def test_no_notes_when_none_are_given() -> None:
    assert notes(affect(quadrants=TENSE), settings=MidiSettings(notes=())) == [[]]


def test_the_end_and_a_reconnection_end_the_note() -> None:
    settings = MidiSettings()
    state, first = messages(settings, MidiState(), affect(quadrants=TENSE))
    assert closing(settings, state) == [bytes([0x80, 61, 0])]
    assert closing(settings, MidiState()) == []
    again, out = everything(settings, state, affect(quadrants=TENSE))
    assert again == state
    assert out == [*(bytes([0x80, note, 0]) for note in (60, 61, 62, 63)), *first]
    assert silencing(settings) == out[:4]
    assert silencing(MidiSettings(channel=3, notes=(9, 9, 9, 8))) == [bytes([0x82, 9, 0]), bytes([0x82, 8, 0])]


@pytest.mark.parametrize("fine", [False, True])
def test_a_refresh_repeats_every_controller_and_strikes_no_note(fine: bool) -> None:
    settings = MidiSettings(fine=fine)
    state, first = messages(settings, MidiState(), affect(quadrants=TENSE))
    again, out = messages(settings, state, affect(quadrants=TENSE), refresh=True)
    assert (again, out) == (state, first[:-1])  # both halves of 14 bits
    _, moved = messages(settings, state, affect(quadrants=(1.0, 0.0, 0.0, 0.0)), refresh=True)
    assert [message.hex() for message in moved[-2:]] == ["803d00", "903c64"]


def test_a_refresh_keeps_a_value_on_the_edge_of_two_steps() -> None:
    settings = MidiSettings(notes=())
    state, _ = messages(settings, MidiState(), affect(confidence=10.4 / 127))
    assert bytes([0xB0, 22, 10]) in messages(settings, state, affect(confidence=10.6 / 127), refresh=True)[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"channel": 0}, "channel must be whole numbers from 1 to 16, not 0"),
        ({"channel": 17}, "from 1 to 16"),
        ({"channel": 1.0}, "whole numbers"),
        ({"valence": 120}, "from 0 to 119"),
        ({"arousal": -1}, "from 0 to 119"),
        ({"fine": True, "confidence": 32}, "from 0 to 31"),
        ({"valence": 21}, "controller 21 is given twice"),
        ({"quadrants": (1, 2, 3)}, "four controllers, not 3"),
        ({"notes": (60,)}, "four, one for each quadrant, or none"),
        ({"notes": (60, 61, 62, 128)}, "from 0 to 127"),
        ({"velocity": 0}, "from 1 to 127"),
        ({"velocity": True}, "whole numbers"),
        ({"refresh": -1.0}, "refresh must be from 0 to 3,600 s, not -1"),
        ({"refresh": float("nan")}, "refresh must be from 0 to 3,600 s"),
        ({"hysteresis": 1.1}, "hysteresis must be from 0 to 1"),
        ({"hysteresis": float("nan")}, "hysteresis must be from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        MidiSettings(**wrong)  # pyright: ignore[reportArgumentType]


shares = st.floats(0.0, 1.0)
affects = st.builds(
    affect,
    valence=st.floats(-1.0, 1.0),
    arousal=st.floats(-1.0, 1.0),
    confidence=shares,
    quadrants=st.tuples(shares, shares, shares, shares),
    activity=st.sampled_from(["music", "speech", "silence"]),
)


@given(st.lists(affects, min_size=1, max_size=12), st.booleans(), st.floats(0.0, 1.0))
def test_a_receiver_that_follows_the_bytes_has_each_value_and_one_note(
    shows: list[Affect], fine: bool, hysteresis: float
) -> None:
    settings = MidiSettings(fine=fine, hysteresis=hysteresis)
    receiver = Receiver()
    state = MidiState()
    for show in shows:
        state, out = messages(settings, state, show)
        receiver.take(out)
        wanted = [(show.valence + 1) / 2, (show.arousal + 1) / 2, show.confidence, *show.quadrants]
        shown = [receiver.value(controller, fine) for controller in settings.controllers]
        assert shown == pytest.approx(wanted, rel=0, abs=1 / (16_383 if fine else 127))
        assert (receiver.sounding is None) == (show.activity == "silence")
    receiver.take(closing(settings, state))
    assert receiver.sounding is None


class Receiver:
    """A synthesiser with one voice, as the MIDI specification has it: a high half sets the low half to 0."""

    def __init__(self) -> None:
        self.controllers: dict[int, int] = {}
        self.sounding: int | None = None

    def take(self, out: list[bytes]) -> None:
        for status, first, second in out:
            assert 0 <= first <= 127
            assert 0 <= second <= 127
            if status == 0xB0:
                assert self.controllers.get(first) != second or first >= 32, "sent without a change"
                self.controllers[first] = second
                if first < 32:
                    self.controllers[first + 32] = 0
            elif status == 0x90:
                assert self.sounding is None
                assert second > 0
                self.sounding = first
            else:
                assert (status, first) == (0x80, self.sounding)
                self.sounding = None

    def value(self, controller: int, fine: bool) -> float:
        high = self.controllers[controller]
        return (high * 128 + self.controllers[controller + 32]) / 16_383 if fine else high / 127
