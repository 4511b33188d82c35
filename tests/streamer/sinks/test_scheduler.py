"""What stands between the session and the sinks: the timeline without a clock, then the scheduler with its thread."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from valaro.models.features.frame import EMISSION, RATE
from valaro.streamer.core.affect import INTERVAL, Affect
from valaro.streamer.core.controls import Controls
from valaro.streamer.core.protocols import Sink
from valaro.streamer.errors import InputError
from valaro.streamer.sinks.scheduler import OutputScheduler, Timeline

from ..fakes import Collect, FullDisk, neutral
from ..oscdump import wait_for

JITTER = st.floats(0.0, 0.199)
OFFSETS = st.floats(0.0, 30.0)


def ramp(time: float, end: float = 100.0) -> Affect:
    """All mass moves evenly from one corner's cell to the other's, and the level with it."""
    heatmap = np.zeros((11, 11))
    heatmap[0, 0], heatmap[10, 10] = 1 - time / end, time / end
    return replace(neutral(time, level=time / end), heatmap=heatmap)


def arrivals(jitters: list[float], start: float = 1000.0) -> Iterator[tuple[Affect, float]]:
    for k, jitter in enumerate(jitters, 1):
        yield ramp(0.5 * k), start + 0.5 * k + jitter


def times(affects: list[Affect]) -> list[float]:
    return [affect.time for affect in affects]


def test_the_interval_is_the_engines() -> None:
    assert INTERVAL == EMISSION / RATE


@given(st.lists(st.tuples(JITTER, OFFSETS, st.floats(0.0, 1.0)), max_size=120))
def test_whatever_the_offset_and_the_jitter_all_go_out_once_and_in_order(
    steps: list[tuple[float, float, float]],
) -> None:
    timeline = Timeline()
    out: list[float] = []
    pushed: dict[float, float] = {}
    for (affect, now), (_, offset, later) in zip(arrivals([jitter for jitter, _, _ in steps]), steps, strict=True):
        timeline.push(affect, now)
        pushed[affect.time] = now
        timeline.offset = offset
        moment = now + later * (0.5 - 0.199)  # before the next arrives
        out += times(timeline.due(moment))
        # Exactly those are out whose time had come by this moment or by an earlier one, at the offset of then.
        left = list(pushed)[len(out) :]
        assert all(pushed[time] + offset > moment for time in left)
        assert timeline.next_due == (pushed[left[0]] + offset if left else None)
    assert out == list(pushed)[: len(out)]
    out += times(timeline.due(float("inf")))
    assert out == list(pushed)
    assert timeline.due(float("inf")) == []


@given(st.lists(JITTER, min_size=1, max_size=40), OFFSETS)
def test_an_emission_is_due_when_the_offset_has_passed_and_not_before(jitters: list[float], offset: float) -> None:
    timeline = Timeline()
    timeline.offset = offset
    for affect, now in arrivals(jitters):
        timeline.push(affect, now)
    for affect, now in arrivals(jitters):
        assert affect.time not in times(timeline.due(now + offset - 0.001))
        assert times(timeline.due(now + offset)) == [affect.time]


def test_a_changed_offset_shifts_what_waits() -> None:
    timeline = Timeline()
    timeline.offset = 5.0
    for k in range(1, 5):
        timeline.push(neutral(0.5 * k), 10.0 + 0.5 * k)
    assert timeline.due(12.0) == []
    timeline.offset = 1.0
    assert times(timeline.due(12.0)) == [0.5, 1.0]
    timeline.offset = 30.0
    assert timeline.due(41.4) == []
    assert times(timeline.due(41.5)) == [1.5]
    timeline.offset = 0.0
    assert times(timeline.due(41.5)) == [2.0]


def test_what_waits_is_bounded_and_the_oldest_goes_out_rather_than_being_lost() -> None:
    timeline = Timeline()
    timeline.offset = 30.0
    out: list[float] = []
    for k in range(1000):  # at a hundred times the pace
        timeline.push(neutral(0.5 * k), 0.005 * k)
        out += times(timeline.due(0.005 * k))
    assert len(out) == 1000 - 256
    out += times(timeline.due(40.0))
    assert out == [0.5 * k for k in range(1000)]


def test_between_two_emissions_the_output_glides_for_half_a_second() -> None:
    timeline = Timeline()
    assert timeline.at(0.0) is None
    first, second = ramp(0.5), ramp(1.0)
    timeline.push(first, 10.5)
    assert timeline.at(10.5) is timeline.at(10.9) is first
    timeline.push(second, 11.0)
    for share in (0.0, 0.25, 0.5, 0.75):
        shown = timeline.at(11.0 + 0.5 * share)
        assert shown is not None
        assert shown.time == pytest.approx(0.5 + 0.5 * share)
        assert shown.heatmap[10, 10] == pytest.approx(shown.time / 100)
    assert timeline.at(11.5) is timeline.at(500.0) is second


def frames(timeline: Timeline, arrived: list[tuple[Affect, float]], end: float) -> list[tuple[float, Affect]]:
    """What is shown 60 times a second from the first arrival on."""
    shown = []
    now = arrived[0][1]
    while now < end:
        while arrived and arrived[0][1] <= now:
            timeline.push(*arrived.pop(0))
        affect = timeline.at(now)
        if affect is not None:
            shown.append((now, affect))
        now += 1 / 60
    return shown


@settings(max_examples=30)
@given(st.lists(JITTER, min_size=20, max_size=60), OFFSETS)
def test_the_motion_is_even_however_the_emissions_arrive(jitters: list[float], offset: float) -> None:
    timeline = Timeline()
    timeline.offset = offset
    jitters[0] = 0.199  # the schedule has met the worst
    end = 1000.0 + 0.5 * len(jitters)
    shown = frames(timeline, list(arrivals(jitters)), end + offset)[1:]
    # 0.5 s is the interval's, the rest is waiting for those that came late.
    lags = [now - 1000.0 - affect.time for now, affect in shown if now > 1001.3 + offset]
    assert min(lags) >= 0.5 + offset - 1e-6
    assert max(lags) <= 0.7 + offset
    # The schedule creeps nearer by 0.5 % of the 0.2 s at most in an emission, then may have to give it back.
    steps = [later[1].time - earlier[1].time for earlier, later in pairwise(shown) if earlier[0] > 1001.3 + offset]
    assert min(steps) >= 0.0
    assert max(steps) <= 1.02 / 60
    given_back = 0.2 * (1 - 0.995 ** len(jitters))
    assert sum(steps) >= len(steps) / 60 - given_back - 0.001


def test_with_steady_jitter_each_frame_moves_as_far_as_the_other() -> None:
    late_ones = [0.199 if k % 2 == 0 else 0.0 for k in range(40)]
    shown = frames(Timeline(), list(arrivals(late_ones)), 1019.0)
    steps = [later[1].time - earlier[1].time for earlier, later in pairwise(shown) if earlier[0] > 1001.2]
    assert steps == pytest.approx([1 / 60] * len(steps), abs=0.13 / 60)
    assert np.mean(steps) == pytest.approx(1 / 60, rel=0.002)


def test_an_emission_that_is_far_too_late_makes_it_hold_and_go_on_from_there() -> None:
    timeline = Timeline()
    for affect, now in arrivals([0.0] * 4):
        timeline.push(affect, now)
    last = timeline.at(1002.5)
    assert last is not None
    assert last.time == 2.0
    assert timeline.at(1007.0) is last
    timeline.push(ramp(2.5), 1007.0)
    assert [shown.time for now in (1007.0, 1007.25, 1007.5) if (shown := timeline.at(now))] == [2.0, 2.25, 2.5]


def test_emissions_that_come_all_at_once_end_at_the_newest() -> None:
    timeline = Timeline()
    timeline.push(ramp(0.5), 10.0)
    for k in range(2, 6):
        timeline.push(ramp(0.5 * k), 12.0)
    shown = timeline.at(12.0)
    assert shown is not None
    assert shown.time == 2.5


@pytest.mark.parametrize("speed", [0.5, 1.5, 2.0, 10.0])
def test_a_stream_at_another_pace_is_followed(speed: float) -> None:
    arrived = [(ramp(0.5 * k), 10.0 + 0.5 * k / speed) for k in range(1, 61)]
    end = 10.0 + 30.0 / speed
    shown = frames(Timeline(), arrived, end)
    assert all(later[1].time >= earlier[1].time for earlier, later in pairwise(shown))
    lags = [(now - 10.0) * speed - affect.time for now, affect in shown]  # s of the stream
    assert min(lags) >= -1e-6
    assert max(lags) <= 0.5 + speed * (0.5 + 1 / 60)


def test_the_output_never_goes_back_when_the_offset_grows() -> None:
    timeline = Timeline()
    shown = []
    for k, (affect, now) in enumerate(arrivals([0.0] * 20)):
        timeline.offset = 3.0 if k >= 8 else 0.0
        timeline.push(affect, now)
        found = timeline.at(now + 0.25)
        assert found is not None
        shown.append(found.time)
    assert shown[:8] == [0.5, *(0.25 + 0.5 * k for k in range(1, 8))]
    assert shown[8:14] == [shown[7]] * 6
    assert shown[14:] == [4.25 + 0.5 * k for k in range(6)]
    timeline.offset = 0.0
    assert getattr(timeline.at(1010.25), "time", None) == 9.75


def test_a_stream_that_begins_again_is_followed() -> None:
    timeline = Timeline()
    for affect, now in arrivals([0.0] * 4):
        timeline.push(affect, now)
    timeline.at(1002.4)
    timeline.push(ramp(0.5), 1002.5)
    timeline.push(ramp(1.0), 1003.0)
    assert [shown.time for now in (1002.75, 1003.0, 1003.25) if (shown := timeline.at(now))] == [0.5, 0.5, 0.75]


# The scheduler itself, with a clock that the test turns: its thread looks at it at least every 0.05 s of real time.


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Threads(Collect):
    """A sink that knows from where it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def send(self, affect: Affect) -> None:
        super().send(affect)
        self.names.add(threading.current_thread().name)


def threads() -> int:
    """How many output schedulers' threads there are; what other tests left behind may end at any moment."""
    return sum(each.name == "output scheduler" for each in threading.enumerate())


def seen(sink: Collect) -> list[float]:
    return times(list(sink.affects))


def test_with_no_offset_and_no_rate_it_goes_straight_through_without_a_thread() -> None:
    before = threads()
    one, other, controls = Threads(), Threads(), Controls()
    scheduler = OutputScheduler([(one, None), (other, None)], controls)
    for k in range(3):
        affect = neutral(0.5 * k)
        scheduler.send(affect)
        assert one.affects[-1] is other.affects[-1] is controls.newest is affect
        assert len(one.affects) == k + 1
    assert one.names == {threading.current_thread().name}
    assert threads() == before
    scheduler.close()
    scheduler.close()
    scheduler.send(neutral(9.0))
    assert (one.closings, other.closings, len(one.affects)) == (1, 1, 3)


def test_an_offset_puts_off_and_may_be_changed_while_it_runs() -> None:
    sink, clock, controls = Threads(), Clock(), Controls(offset=2.0)
    scheduler = OutputScheduler([(sink, None)], controls, clock)
    for k in range(6):
        scheduler.send(neutral(0.5 * k))
        clock.now += 0.5
    assert controls.newest is not None
    assert controls.newest.time == 2.5
    wait_for(lambda: len(sink.affects) == 3)  # it is 3.0 s: those of 0.0, 0.5 and 1.0
    controls.offset = 1.0
    wait_for(lambda: len(sink.affects) == 5)
    assert "output scheduler" in sink.names
    controls.offset = 0.0
    scheduler.send(neutral(3.0))  # nothing overtakes what still waited
    assert seen(sink) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    scheduler.close()


def test_with_its_real_thread_nothing_is_lost_doubled_or_overtaken_while_the_offset_changes() -> None:
    sink, controls = Threads(), Controls()
    scheduler = OutputScheduler([(sink, None), (Collect(), 120.0)], controls)
    for k in range(600):
        controls.offset = (0.0, 0.002, 0.02, 0.0, 0.05)[k % 5]
        scheduler.send(neutral(0.5 * k))
        time.sleep(0.001 * (k % 3))
    wait_for(lambda: len(sink.affects) >= 600)
    scheduler.close()
    assert seen(sink) == [0.5 * k for k in range(600)]
    assert len(sink.names) == 2  # some went straight through, some waited
    assert scheduler.faults == 0


def test_what_is_not_due_when_it_closes_is_dropped_and_its_thread_ends() -> None:
    sink, clock = Collect(), Clock()
    before = threads()
    scheduler = OutputScheduler([(sink, None)], Controls(offset=30.0), clock)
    scheduler.send(neutral(0.5))
    assert threads() == before + 1
    scheduler.close()
    clock.now += 100.0
    assert threads() == before
    assert (seen(sink), sink.closings, scheduler.unsent) == ([], 1, 1)


def test_while_paused_nothing_goes_out_and_it_resumes_with_the_present() -> None:
    sink, fast, clock, controls = Collect(), Collect(), Clock(), Controls()
    scheduler = OutputScheduler([(sink, None), (fast, 60.0)], controls, clock)
    scheduler.send(neutral(0.5))
    wait_for(lambda: len(fast.affects) >= 1)
    controls.paused = True
    time.sleep(0.1)  # a frame may have been under way
    count = len(fast.affects)
    for k in range(2, 20):
        clock.now += 0.5
        scheduler.send(neutral(0.5 * k))
    time.sleep(0.1)
    assert seen(sink) == [0.5]
    assert len(fast.affects) == count
    assert controls.newest is not None
    assert controls.newest.time == 9.5  # it listens on
    controls.paused = False
    clock.now += 0.5
    scheduler.send(neutral(10.0))
    assert seen(sink) == [0.5, 10.0]
    wait_for(lambda: len(fast.affects) > count)
    assert fast.affects[count].time >= 9.0  # where the glide to the newest but one began
    scheduler.close()


def test_with_an_offset_it_resumes_with_what_is_due_then() -> None:
    sink, clock, controls = Collect(), Clock(), Controls(offset=2.0)
    scheduler = OutputScheduler([(sink, None)], controls, clock)
    controls.paused = True
    for k in range(10):
        scheduler.send(neutral(0.5 * k))
        clock.now += 0.5
    clock.now -= 0.25  # 4.75 s
    scheduler.send(neutral(5.0))  # by now all that was due by 2.75 s is gone
    controls.paused = False
    clock.now += 0.25
    wait_for(lambda: len(sink.affects) >= 1)
    clock.now += 1.0
    wait_for(lambda: len(sink.affects) >= 3)
    assert seen(sink) == [3.0, 3.5, 4.0]
    scheduler.close()


def test_each_sink_has_its_own_rate() -> None:
    slow, fast, clock = Threads(), Threads(), Clock()
    plain = Threads()
    scheduler = OutputScheduler([(slow, 10.0), (fast, 50.0), (plain, None)], Controls(), clock)
    scheduler.send(ramp(0.5))
    for _ in range(25):
        before = len(fast.affects)
        clock.now += 0.02
        wait_for(lambda before=before: len(fast.affects) > before)
    scheduler.close()
    assert len(fast.affects) in (25, 26)
    assert 5 <= len(slow.affects) <= 6
    assert len(plain.affects) == 1
    assert slow.names == fast.names == {"output scheduler"}
    assert plain.names == {threading.current_thread().name}


def test_a_missed_frame_is_not_made_up_for() -> None:
    sink, clock = Collect(), Clock()
    scheduler = OutputScheduler([(sink, 60.0)], Controls(), clock)
    scheduler.send(ramp(0.5))
    wait_for(lambda: len(sink.affects) == 1)
    clock.now += 600.0
    wait_for(lambda: len(sink.affects) >= 2)
    time.sleep(0.2)
    assert len(sink.affects) == 2
    scheduler.close()


def test_in_real_time_the_frames_run_from_one_emission_to_the_next() -> None:
    sink = Collect()
    scheduler = OutputScheduler([(sink, 60.0)], Controls())
    count = 0
    while not any(time % 0.5 for time in seen(sink)):
        count += 1
        assert count < 100
        scheduler.send(ramp(0.5 * count))
        time.sleep(0.5)
    wait_for(lambda: sink.affects[-1].time == 0.5 * count)
    held = len(sink.affects)
    wait_for(lambda: len(sink.affects) >= held + 3)  # the last is held, and goes on being sent
    scheduler.close()
    assert seen(sink) == sorted(seen(sink))
    assert sink.affects[-1].time == 0.5 * count


def test_channels_wait_and_glide_each_by_itself() -> None:
    sink, fast, clock, controls = Collect(), Collect(), Clock(), Controls(offset=1.0)
    scheduler = OutputScheduler([(sink, None), (fast, 50.0)], controls, clock)
    for moment in (0.5, 1.0):
        for channel in (1, 5):
            scheduler.send(replace(ramp(moment + 10 * channel), channel=channel))
        clock.now += 0.5
    assert seen(sink) == []
    scheduler.close()
    assert scheduler.unsent == 4

    scheduler = OutputScheduler([(sink, None), (fast, 50.0)], Controls(), clock)
    scheduler.send(replace(ramp(10.5), channel=1))
    scheduler.send(replace(ramp(50.5), channel=5))
    clock.now += 0.5
    scheduler.send(replace(ramp(11.0), channel=1))
    scheduler.send(replace(ramp(51.0), channel=5))
    assert [(affect.channel, affect.time) for affect in sink.affects] == [(1, 10.5), (5, 50.5), (1, 11.0), (5, 51.0)]
    clock.now += 0.25

    def half_way() -> set[tuple[int | None, float]]:
        return {(affect.channel, round(affect.time, 6)) for affect in list(fast.affects) if affect.time % 0.5}

    wait_for(lambda: {(1, 10.75), (5, 50.75)} <= half_way())
    scheduler.close()
    assert all(10 * (affect.channel or 0) < affect.time <= 10 * (affect.channel or 0) + 1 for affect in fast.affects)


@pytest.mark.parametrize("rate", [None, 60.0])
def test_a_sink_that_fails_disturbs_nobody_and_is_told_once(
    rate: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = FullDisk(), Collect()
    sinks: list[tuple[Sink, float | None]] = [(broken, rate), (sound, rate)]
    scheduler = OutputScheduler(sinks, Controls())
    while scheduler.faults < 3:
        scheduler.send(neutral(0.5))
        time.sleep(0.02)
    wait_for(lambda: len(sound.affects) >= 3)
    before = scheduler.faults
    scheduler.close()
    assert scheduler.faults > before  # closing failed too
    assert (broken.closings, sound.closings) == (1, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "sink FullDisk: OSError: [Errno 28] No space left on device (told once, counted from here on)"
    ]


@pytest.mark.parametrize("rate", [0.0, -30.0, 0.5, 121.0, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_meant_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="1 to 120 Hz"):
        OutputScheduler([(Collect(), rate)], Controls())


def test_it_may_be_closed_before_anything_was_sent() -> None:
    sink = Collect()
    scheduler = OutputScheduler([(sink, 30.0)], Controls())
    scheduler.close()
    assert sink.closings == 1


def test_after_a_standstill_what_was_due_meanwhile_is_left_out_and_counted() -> None:
    now = [100.0]
    sink, controls = Collect(), Controls(offset=2.0)
    scheduler = OutputScheduler([(sink, None)], controls, clock=lambda: now[0])
    for k in range(1, 5):
        scheduler.send(neutral(0.5 * k))
        now[0] += 0.5
    now[0] += 6.0
    scheduler.send(neutral(2.5))  # of the present: due in two seconds
    wait_for(lambda: scheduler.stale == 4)
    for _ in range(5):
        now[0] += 0.5
        wait_for(lambda: scheduler._looked == now[0] or len(sink.affects) > 0)
    wait_for(lambda: len(sink.affects) == 1)
    scheduler.close()
    assert [affect.time for affect in sink.affects] == [2.5]
    assert scheduler.unsent == 0
