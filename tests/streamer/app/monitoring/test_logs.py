"""The log: forms, repeats, and the hourly sign of life."""

import json
import logging
import re
from datetime import UTC, datetime

import pytest
from valaro.streamer.app.console import Notices, notify, set_notice_format
from valaro.streamer.app.monitoring.logs import Heartbeat, JsonLines, Repeats
from valaro.streamer.core.session import Session

from ...fakes import Collect, CountingEngine, Endless, neutral
from ...oscdump import wait_for

Captured = pytest.CaptureFixture[str]
log = logging.getLogger("valaro.streamer.test")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def record(template: str, *args: object, **extra: object) -> logging.LogRecord:
    return log.makeRecord(log.name, logging.WARNING, "here", 1, template, args, None, extra=extra)


def test_the_same_is_told_once_a_minute_and_then_how_often_it_was() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    logged = []
    for _ in range(600):  # ten a minute, an hour
        logged.append(repeats.line(record("MIDI %s: lost", "pad")))
        clock.now += 6.0
    logged = [line for line in logged if line]
    assert logged[0] == "MIDI pad: lost"
    assert logged[1:] == ["MIDI pad: lost (9 more in the last 1 min)"] * 59


def test_after_a_pause_it_says_of_how_long_it_speaks() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    assert [repeats.line(record("gone")) for _ in range(4)] == ["gone", "", "", ""]
    clock.now += 60 * 7 + 1
    assert repeats.line(record("gone")) == "gone (3 more in the last 7 min)"
    clock.now += 61
    assert repeats.line(record("gone")) == "gone"


def test_some_different_ones_of_a_kind_are_told_and_a_flood_is_not() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    lines = [repeats.line(record("sink %s: full", number)) for number in range(1000)]
    assert [line for line in lines if line] == [f"sink {number}: full" for number in range(5)]
    assert repeats.line(record("another %s", "matter")) == "another matter"
    clock.now += 60
    assert repeats.line(record("sink %s: full", 0)) == "sink 0: full (995 more in the last 1 min)"


def test_what_it_remembers_does_not_grow() -> None:
    repeats = Repeats()
    for number in range(2000):
        assert repeats.line(record(f"no template {number}"))
    assert len(repeats._templates) == 256
    assert repeats.line(record("no template 1999")) == ""


def test_notices_hold_repeats_back_when_they_are_asked_to(capsys: Captured) -> None:
    with Notices(Repeats()):
        for _ in range(3):
            log.warning("line\n%s", "feed")
    assert capsys.readouterr().err == "valaro: line feed\n"


def test_after_a_command_the_log_is_as_it_was() -> None:
    logger = logging.getLogger("valaro")
    before = logger.level, logger.propagate, logger.handlers[:]
    with Notices():
        assert logger.isEnabledFor(logging.INFO)
    assert (logger.level, logger.propagate, logger.handlers) == before


def test_a_json_line_holds_time_level_logger_message_and_fields(capsys: Captured) -> None:
    before = datetime.now(UTC)
    set_notice_format("json")
    try:
        with Notices():
            log.warning("%s is\nlost", "Ä\udcff", extra={"losses": 3})
            notify("heard 3 s, 100 % of it")
            notify("no such file", logging.ERROR)
    finally:
        set_notice_format("text")
    notify("as ever")
    warning, notice, fault, text = capsys.readouterr().err.splitlines()
    entry = json.loads(warning)
    assert before.replace(microsecond=0) <= datetime.fromisoformat(entry.pop("time")) <= datetime.now(UTC)
    assert entry == {
        "level": "warning",
        "logger": "valaro.streamer.test",
        "message": "Ä\udcff is lost",
        "losses": 3,
    }
    assert json.loads(notice) | {"time": ""} == {
        "time": "",
        "level": "info",
        "logger": "valaro",
        "message": "heard 3 s, 100 % of it",
    }
    assert (json.loads(fault)["level"], json.loads(fault)["message"]) == ("error", "no such file")
    assert text == "valaro: as ever"


def test_the_time_is_utc() -> None:
    line = record("x")
    line.created = 0.25
    assert json.loads(JsonLines().format(line))["time"] == "1970-01-01T00:00:00.250+00:00"


def test_held_lines_keep_their_form_and_level(capsys: Captured) -> None:
    set_notice_format("json")
    try:
        with Notices(Repeats()) as notices:
            notices.held = True
            log.warning("first")
            log.warning("first")
            assert notices.latest == "first"
            assert capsys.readouterr().err == ""
    finally:
        set_notice_format("text")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["level"] == "warning"


def test_once_an_hour_it_says_that_it_is_alive(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "valaro")
    clock, sink = Clock(), Collect()
    source = Endless()
    session = Session(source, CountingEngine(), [sink])
    alive = Heartbeat(lambda: session.counters, lambda: {"osc": 2, "midi": 0}, clock=clock)
    with session:
        wait_for(lambda: len(sink.affects) >= 2)
    for _ in range(3 * 7200 + 1):
        alive.send(neutral(0.5))
        clock.now += 0.5
    alive.close()
    assert len(caplog.records) == 3
    message = caplog.records[-1].getMessage()
    emissions = session.counters.emissions
    assert re.match(rf"alive for 3 h, music: frames {session.counters.frames}, .*emissions {emissions}, ", message)
    assert "osc faults 2" in message
    assert "midi" not in message
    fields = json.loads(JsonLines().format(caplog.records[-1]))
    assert fields["emissions"] == emissions
    assert fields["uptime_seconds"] == 3 * 3600
    assert fields["faults"] == {"osc": 2}
    assert fields["resident_bytes"] is None or fields["resident_bytes"] > 10_000_000
