"""The session: what came in goes out, what is lost is counted, and everything is closed however it ends."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from valaro.streamer.core.protocols import Block
from valaro.streamer.core.session import Session
from valaro.streamer.core.signals import stop_on_signals
from valaro.streamer.core.standstill import Standstill
from valaro.streamer.errors import AudioFileError, DeviceError
from valaro.streamer.sources import Memory

from ..fakes import Collect, CountingEngine, Endless, FullDisk
from ..oscdump import wait_for

HERE = Path(__file__)
SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def noise(frames: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(frames, channels)).astype(np.float32)


def test_a_whole_source_reaches_the_engine_and_every_sink() -> None:
    sound, engine, sinks = noise(50_000, 2), CountingEngine(), [Collect(), Collect()]
    session = Session(Memory(sound, 24_000), engine, sinks, ring_seconds=0.05)  # far smaller than the sound
    session.run()
    np.testing.assert_array_equal(engine.heard, sound)
    for sink in sinks:
        assert [affect.time for affect in sink.affects] == [0.5, 1.0, 1.5, 2.0, 50_000 / 24_000]
        assert sink.closings == 1
    assert (engine.warm, engine.finishes) == (True, 1)
    counters = session.counters
    assert (counters.frames, counters.dropped, counters.emissions, counters.sink_faults) == (50_000, 0, 5, 0)


def test_a_live_source_loses_what_finds_no_room_and_it_is_counted() -> None:
    source, engine = Endless(burst=60_000), CountingEngine()
    session = Session(source, engine, [Stopper := Collect()], ring_seconds=1.0)
    with session:
        assert Stopper.first.wait(30)
    counters = session.counters
    assert counters.dropped >= 36_000  # the burst alone had that much too many
    assert source.offered == counters.frames + counters.dropped + session._ring.available


def test_while_the_input_is_away_the_emissions_say_so() -> None:
    source, sink = Endless(), Collect()
    with Session(source, CountingEngine(), [sink]) as session:
        assert sink.first.wait(30)
        source.lost, source.losses, source.filled = True, 1, 12_000
        wait_for(lambda: sink.affects[-1].activity == "lost")
        source.lost = False
        wait_for(lambda: sink.affects[-1].activity == "music")
    assert sink.affects[0].activity == "music"
    assert (session.counters.losses, session.counters.filled) == (1, 12_000)


def test_bad_samples_of_the_engine_are_in_the_counters() -> None:
    session = Session(Memory([0.0, np.nan, np.inf], 24_000), CountingEngine(), [])
    session.run()
    assert session.counters.bad_samples == 2


def test_a_sink_that_fails_is_told_once_counted_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = FullDisk(), Collect()
    session = Session(Memory(noise(36_000), 24_000), CountingEngine(), [bad, good])
    with caplog.at_level(logging.WARNING):
        session.run()
    assert len(good.affects) == 3
    assert (good.closings, bad.closings) == (1, 1)
    assert session.counters.sink_faults == 4  # three emissions and the closing
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "FullDisk" in messages[0]
    assert "No space left on device" in messages[0]
    assert "\n" not in messages[0]


def test_stop_ends_it_without_finishing_the_engine() -> None:
    source, engine, sink = Endless(), CountingEngine(), Collect()
    session = Session(source, engine, [sink])
    thread = threading.Thread(target=session.run)
    thread.start()
    assert sink.first.wait(30)
    session.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert (source.stops, sink.closings, engine.finishes) == (1, 1, 0)


def test_as_a_context_manager_it_runs_aside_and_can_be_waited_for() -> None:
    sink = Collect()
    with Session(Memory(noise(24_000), 24_000), CountingEngine(), [sink]) as session:
        assert session.wait(30)
    assert len(sink.affects) == 2
    assert sink.closings == 1
    session.close()  # again: nothing more happens
    assert sink.closings == 1


@pytest.mark.parametrize(
    ("cause", "raised", "text"),
    [
        (DeviceError("audio input 'x' went away"), DeviceError, "went away"),
        (AudioFileError("a.wav: cannot be decoded"), AudioFileError, "cannot be decoded"),
        (RuntimeError("two\nlines"), DeviceError, "endless: failed (RuntimeError: two lines)"),
    ],
)
def test_a_source_that_fails_is_raised_after_everything_is_closed(
    cause: Exception, raised: type[Exception], text: str
) -> None:
    source, engine, sink = Endless(breaks=cause), CountingEngine(), Collect()
    with pytest.raises(raised) as caught:
        Session(source, engine, [sink]).run()
    assert text in str(caught.value)
    assert (source.stops, sink.closings, engine.finishes) == (1, 1, 0)
    assert engine.frames == source.offered  # what came before the fault was still heard
    assert len(sink.affects) == 2


def test_the_failure_of_a_session_in_a_thread_is_raised_by_its_closing() -> None:
    session = Session(Endless(breaks=DeviceError("went away")), CountingEngine(), [Collect()])
    session.start()
    assert session.wait(30)
    with pytest.raises(DeviceError, match="went away"):
        session.close()


def test_an_error_of_the_block_is_not_hidden_by_the_sources() -> None:
    def host() -> None:
        with Session(Endless(breaks=DeviceError("went away")), CountingEngine(), []) as session:
            session.wait(30)
            raise KeyError("the host program's own")

    with pytest.raises(KeyError):
        host()


class Unopenable(Endless):
    def start(self, write: object) -> None:
        raise DeviceError("audio input 'endless' is busy")


def test_a_source_that_cannot_be_opened_raises_at_once_and_the_sinks_are_closed() -> None:
    for begin in ("run", "start"):
        source, sink = Unopenable(), Collect()
        session = Session(source, CountingEngine(), [sink])
        with pytest.raises(DeviceError, match="busy"):
            getattr(session, begin)()
        assert (source.stops, sink.closings) == (1, 1)


class Burning(CountingEngine):
    def push(self, samples: np.ndarray) -> list:
        raise ZeroDivisionError("a defect")


def test_a_defect_of_the_engine_closes_everything_and_comes_out() -> None:
    source, sink = Endless(), Collect()
    with pytest.raises(ZeroDivisionError):
        Session(source, Burning(), [sink]).run()
    assert (source.stops, sink.closings) == (1, 1)


def test_a_session_runs_once_and_a_stopped_one_not_at_all() -> None:
    source, sink = Endless(), Collect()
    session = Session(source, CountingEngine(), [sink])
    session.stop()
    session.run()
    assert (source.offered, sink.closings) == (0, 1)
    with pytest.raises(RuntimeError, match="once"):
        session.run()


@pytest.mark.parametrize("which", SIGNALS)
def test_a_signal_ends_it_in_good_order_and_the_old_handlers_come_back(which: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    source, sink = Endless(), Collect()
    session = Session(source, CountingEngine(), [sink])

    def send_it() -> None:
        sink.first.wait(30)
        os.kill(os.getpid(), which)

    sender = threading.Thread(target=send_it)
    with stop_on_signals(session):
        sender.start()
        session.run()
    sender.join()
    assert (source.stops, sink.closings) == (1, 1)
    assert {each: signal.getsignal(each) for each in before} == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no hang-up signal here")
def test_started_with_nohup_it_outlives_its_terminal() -> None:
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(Session(Endless(), CountingEngine(), [])):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, old)


def test_without_handlers_ctrl_c_still_closes_everything() -> None:
    source, sink = Endless(), Collect()
    session = Session(source, CountingEngine(), [sink])

    def send_it() -> None:
        sink.first.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send_it)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        session.run()
    sender.join()
    assert (source.stops, sink.closings) == (1, 1)


STUCK = """
import os, signal, sys, time
from valaro.streamer.core.protocols import Block
from valaro.streamer.core.session import Session
from valaro.streamer.core.standstill import Standstill
from valaro.streamer.core.signals import stop_on_signals
sys.path.insert(0, sys.argv[1])
from fakes import Collect, CountingEngine, Endless

class Stuck(Collect):
    def close(self):
        os.kill(os.getpid(), signal.SIGINT)  # the second Ctrl-C, while something hangs in the closing
        time.sleep(600)

session = Session(Endless(), CountingEngine(), [Stuck()])
with stop_on_signals(session):
    os.kill(os.getpid(), signal.SIGINT)
    session.run()
"""


def test_a_second_ctrl_c_is_immediate() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUCK, str(HERE.parent.parent)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGINT, ended.stderr


class Still:
    """A live source that a test steps: it offers what it is told to."""

    live = True
    name = "still"
    rate = 24_000
    channels = 1
    flags = losses = filled = 0
    lost = finished = False
    failure = None

    def __init__(self) -> None:
        self.write: Callable[[Block], int] = len

    def start(self, write: Callable[[Block], int]) -> None:
        self.write = write

    def stop(self) -> None:
        pass


def test_what_was_not_heard_in_a_standstill_is_counted_and_what_waited_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    source, engine = Still(), CountingEngine()
    session = Session(source, engine, [])
    session._open()
    standstill = Standstill(lambda: now[0])

    def look(seconds: float, frames: int) -> int:
        """So much time passes, in which so much sound comes; the frames that are lost then."""
        now[0] += seconds
        source.write(np.zeros((frames, 1), np.float32))
        session._resume_in_the_present(standstill)
        return session.counters.dropped

    assert look(0.05, 1_200) == 0
    assert look(1.5, 36_000) == 0  # the engine was slow, and all is in the ring
    assert look(0.9, 0) == 0  # a device that hesitates
    assert session._ring.available == 37_200
    assert look(5.0, 2_400) == round(4.9 * 24_000) + 39_600  # what never came, and what was of before
    assert session._ring.available == 0
    assert look(0.05, 1_200) == round(4.9 * 24_000) + 39_600
    assert session.counters.frames == 0
    assert caplog.messages == ["still: 4.9 s were not heard: this program stood still"]
