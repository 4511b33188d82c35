"""Which finger a movement and a lift are of: no socket, no clock."""

import pytest
from valaro.streamer.errors import InputError
from valaro.streamer.osc.touch_pad import MOST_FINGERS, REST, Pads

ANA, BO = ("10.0.0.1", 9000), ("10.0.0.1", 9001)  # two programs of one machine


def test_a_pad_waits_for_rest_or_lifting_for_each_sender_by_itself() -> None:
    pads = Pads()
    pads.move(ANA, (0.0, 0.0, ""), 10.0)
    pads.move(BO, (0.25, 0.25, ""), 10.3)
    pads.move(ANA, (0.5, 0.5, ""), 10.4)
    assert pads.rested(10.3 + REST - 0.01) == []
    assert pads.rested(10.3 + REST) == [(BO, (0.25, 0.25, ""))]
    assert pads.lift(BO) is None
    assert pads.lift(ANA) == (0.5, 0.5, "")
    assert pads.rested(99.0) == []


def test_two_pads_of_one_program_are_two_fingers() -> None:
    pads = Pads()
    pads.move(ANA, (0.0, 0.0, "ana"), 10.0)
    pads.move(ANA, (0.5, 0.5, "ben"), 10.1)
    assert pads.lift(ANA, "ana") == (0.0, 0.0, "ana")
    assert pads.lift(ANA, "ana") is None
    assert pads.rested(10.1 + REST) == [(ANA, (0.5, 0.5, "ben"))]


def test_a_lift_without_a_name_is_of_the_finger_that_it_can_only_be() -> None:
    pads = Pads()
    pads.move(ANA, (0.0, 0.0, "ana"), 10.0)
    pads.move(BO, (1.0, 1.0, "bo"), 10.0)
    assert pads.lift(ANA) == (0.0, 0.0, "ana")
    pads.move(BO, (0.5, 0.5, "ben"), 10.0)
    assert pads.lift(BO) is None
    assert pads.rested(10.0 + REST) == [(BO, (0.5, 0.5, "ben")), (BO, (1.0, 1.0, "bo"))]
    pads.move(BO, (0.5, 0.5, "ben"), 20.0)
    pads.move(BO, (0.0, 0.0, ""), 20.0)
    assert pads.lift(BO) == (0.0, 0.0, "")


def test_ever_new_names_take_no_finger_from_another_sender() -> None:
    pads = Pads()
    pads.move(BO, (1.0, 1.0, "bo"), 10.0)
    for number in range(MOST_FINGERS):
        pads.move(ANA, (0.0, 0.0, str(number)), 10.0)
    with pytest.raises(InputError, match="at most 16 fingers"):
        pads.move(ANA, (0.0, 0.0, "one more"), 10.0)
    pads.move(ANA, (0.5, 0.5, "0"), 10.0)
    assert pads.lift(BO) == (1.0, 1.0, "bo")
    assert len(pads.rested(10.0 + REST)) == MOST_FINGERS
