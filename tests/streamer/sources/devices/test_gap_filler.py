"""Silence stands in for what does not come: the stream's time goes on with the clock's, and never counts twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from valaro.streamer.sources.devices.gap_filler import LONGEST, SLACK, GapFiller

RATE = 48_000
BLOCK = 0.02  # s


class Show:
    """A stream whose every block comes when it has sounded, for as long as it is let."""

    def __init__(self, start: float = 100.0) -> None:
        self.timeline, self.now = GapFiller(RATE), start
        self.frames = self.left_out = 0

    @property
    def seconds(self) -> float:
        return self.frames / RATE

    def block(self, at: float, seconds: float = BLOCK) -> None:
        missing = self.timeline.heard(seconds, at)
        if missing is None:
            self.left_out += 1
        else:
            self.frames += missing + round(seconds * RATE)

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds / BLOCK)):
            self.now += BLOCK
            self.block(self.now)

    def quiet(self, seconds: float, patience: float = 0.7, tick: float = 0.05) -> None:
        end = self.now + seconds
        self.now += patience
        while self.now < end:
            self.frames += self.timeline.silence(self.now)
            self.now += tick
        self.now = end


def test_sound_that_flows_is_left_alone() -> None:
    show = Show()
    show.play(10)
    assert (show.seconds, show.left_out) == (pytest.approx(10), 0)


def test_a_device_whose_clock_is_slow_gets_no_silence_for_it() -> None:
    """1 part in 1000, for an hour: it would add up to 3.6 s."""
    timeline = GapFiller(RATE)
    added = [timeline.heard(BLOCK, number * BLOCK * 1.001) for number in range(round(3600 / BLOCK))]
    assert set(added) == {0}


@given(st.lists(st.tuples(st.floats(2.0, 20.0), st.floats(0.8, 60.0)), min_size=1, max_size=5))
def test_after_each_loss_the_stream_is_where_the_clock_is(losses: list[tuple[float, float]]) -> None:
    show = Show()
    for played, lost in losses:
        show.play(played)
        show.quiet(lost)
    show.play(2.0)
    passed = show.now - 100.0
    assert show.seconds == pytest.approx(passed, abs=0.15 * len(losses))


def test_while_it_is_lost_the_stream_keeps_up_with_the_clock() -> None:
    show = Show()
    show.play(1)
    show.frames += show.timeline.silence(show.now + 0.7)
    assert show.seconds == pytest.approx(1.7)
    show.frames += show.timeline.silence(show.now + 0.75)
    assert show.seconds == pytest.approx(1.75)
    assert show.timeline.silence(show.now + 0.75) == 0


def test_sound_that_comes_when_silence_has_stood_for_it_is_left_out() -> None:
    """A server that hung hands on at once all that was played meanwhile."""
    show = Show()
    show.play(1)
    show.quiet(3)
    for number in range(150):
        show.block(show.now + number * 1e-4)
    show.play(2)
    assert show.seconds == pytest.approx(show.now - 100.0, abs=0.15)
    assert show.left_out > 100


def test_sound_that_waited_while_this_program_slept_is_all_heard() -> None:
    """Its blocks bear the times at which they came, not those at which they were read."""
    show = Show()
    show.play(5)
    assert show.left_out == 0
    show.now += 1.8  # what came then found no room
    show.play(1)
    assert (show.seconds, show.left_out) == (pytest.approx(7.8, abs=0.05), 0)


def test_blocks_that_are_long_come_back_too() -> None:
    show = Show()
    show.block(show.now, seconds=0.5)
    show.quiet(3)
    for number in range(20):
        show.block(show.now + 0.5 * number, seconds=0.5)
    assert show.left_out <= 2
    assert show.seconds == pytest.approx(0.5 + 3 + 19 * 0.5, abs=1.0)


def test_a_hole_that_nobody_saw_is_filled_and_a_wobble_is_not() -> None:
    timeline = GapFiller(RATE)
    timeline.heard(BLOCK, 10.0)
    assert timeline.heard(BLOCK, 10.0 + SLACK) == 0
    assert timeline.heard(BLOCK, 20.0) == round((20.0 - 10.0 - SLACK - BLOCK) * RATE)


def test_a_machine_that_slept_for_a_night_does_not_catch_up_with_it() -> None:
    timeline = GapFiller(RATE)
    timeline.heard(BLOCK, 10.0)
    assert timeline.silence(30_000.0) == round(LONGEST * RATE)
    assert timeline.silence(30_001.0) == RATE
    timeline.heard(BLOCK, 30_001.0)
    assert timeline.heard(BLOCK, 60_000.0) == round(LONGEST * RATE)


def test_an_input_that_never_began_is_silent_from_when_that_was_seen() -> None:
    timeline = GapFiller(RATE)
    assert not timeline.begun
    assert timeline.silence(50.0) == 0
    assert timeline.silence(50.5) == RATE // 2


def test_after_a_standstill_nothing_is_missing() -> None:
    gaps = GapFiller(1_000)
    assert gaps.heard(0.1, 10.0) == 0
    gaps.resume(16.0)
    assert gaps.heard(0.1, 16.05) == 0
    assert gaps.heard(0.1, 16.15) == 0
    gaps.silence(17.0)
    gaps.resume(27.0)
    assert gaps.silence(27.1) == 100
